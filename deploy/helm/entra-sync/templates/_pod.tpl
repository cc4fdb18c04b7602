{{/*
The pod of the Deployment and of the CronJobs. `args`: what entra-sync is to do;
`daemon`: whether it listens; `byHand`: whether somebody asks for it, and reads what it
says. Such a pod has a name of its own, so that neither the Service nor the
PodDisruptionBudget takes it for the daemon.
*/}}
{{- define "entra-sync.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $keys := $values.secret.keys -}}
{{- $certificate := ternary "" $keys.clientCertificate $values.workloadIdentity.enabled -}}
{{- $files := dict
  "ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE" (ternary "" $keys.clientSecret (or $values.workloadIdentity.enabled (ne $certificate "")))
  "ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE" $certificate
  "ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_KEY_FILE" (ternary $keys.clientCertificateKey "" (ne $certificate ""))
  "ENTRA_SYNC__LITELLM__DATABASE_URL_FILE" $keys.databaseUrl
  "ENTRA_SYNC__LITELLM__LICENSE_FILE" $keys.license
  "ENTRA_SYNC__LITELLM__REDIS_URL_FILE" $keys.redisUrl
  "ENTRA_SYNC__NOTIFY__WEBHOOK_URL_FILE" $keys.webhookUrl
  "ENTRA_SYNC__NOTIFY__SECRET_FILE" $keys.webhookSecret
  "ENTRA_SYNC__SERVER__TOKEN_FILE" (ternary $keys.serverToken "" .daemon)
-}}
metadata:
  labels:
    app.kubernetes.io/name: {{ include "entra-sync.name" $root }}{{ if .byHand }}-by-hand{{ end }}
    {{- include "entra-sync.part" $root | nindent 4 }}
    {{- if $values.workloadIdentity.enabled }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Other settings are a rollout.
    checksum/settings: {{ toYaml $values.settings | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "entra-sync.serviceAccount" $root }}
  automountServiceAccountToken: false
  # Otherwise the Service puts names of its own into the environment.
  enableServiceLinks: false
  # entra-sync ends between two transactions, at the latest after 8 s.
  terminationGracePeriodSeconds: 15
  {{- if not .daemon }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile:
      type: RuntimeDefault
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if and .daemon (gt (int $values.replicas) 1) }}
  topologySpreadConstraints:
    - topologyKey: kubernetes.io/hostname
      maxSkew: 1
      whenUnsatisfiable: DoNotSchedule
      nodeTaintsPolicy: Honor
      labelSelector:
        matchLabels:
          {{- include "entra-sync.selector" $root | nindent 10 }}
    - topologyKey: topology.kubernetes.io/zone
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "entra-sync.selector" $root | nindent 10 }}
  {{- end }}
  containers:
    - name: entra-sync
      image: {{ include "entra-sync.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        - name: ENTRA_SYNC_CONFIG
          value: /etc/entra-sync/settings.yaml
        {{- if $values.workloadIdentity.enabled }}
        - name: ENTRA_SYNC__ENTRA__CREDENTIAL
          value: workload_identity
        {{- end }}
        {{- range $setting, $key := $files }}
        {{- if $key }}
        - name: {{ $setting }}
          value: /run/secrets/entra-sync/{{ $key }}
        {{- end }}
        {{- end }}
        {{- if .daemon }}
        - name: ENTRA_SYNC__SERVER__LISTEN
          value: 0.0.0.0:8080
        {{- end }}
        {{- if not .byHand }}
        - name: ENTRA_SYNC__TELEMETRY__LOG_FORMAT
          value: json
        {{- end }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if .daemon }}
      ports:
        - name: http
          containerPort: 8080
          protocol: TCP
      # Time for a start while the node is busy; then /livez alone decides.
      startupProbe:
        httpGet:
          path: /livez
          port: http
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet:
          path: /livez
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet:
          path: /readyz
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: settings
          mountPath: /etc/entra-sync
          readOnly: true
        - name: secrets
          mountPath: /run/secrets/entra-sync
          readOnly: true
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: settings
      configMap:
        name: {{ include "entra-sync.fullname" $root }}
    - name: secrets
      secret:
        secretName: {{ $values.secret.name }}
        defaultMode: 0440
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
