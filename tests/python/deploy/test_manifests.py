"""What kustomize and Helm make of deploy/ is what Kubernetes takes, asks for no
more than it needs, and names only settings that entra-sync has."""

import pathlib
import re
import subprocess
import tempfile
import unittest

import kubernetes_validate
import yaml

from support import (
    CHART, COMPONENTS, HELM, IDENTITY, KUBERNETES, OVERLAYS, ROOT, VALUES, chart, component, documents, everything,
    helm, kustomize, kustomize_folder, needs_helm, needs_kustomize, of_kind, pod_template, workloads,
)

# The oldest that the chart admits, one in between, and the newest known here.
VERSIONS = ["1.29", "1.33", kubernetes_validate.latest_version()]
# Custom resources of the Prometheus operator: Kubernetes has no schema for them.
CUSTOM = {"PrometheusRule": {"groups"}, "ServiceMonitor": {"selector", "endpoints"}}

SECRETS = "/run/secrets/entra-sync/"


def settings():
    """Every setting, as a path; `sources.` and maps stand for what is in them."""
    found = {}

    def walk(value, path):
        for key, inner in value.items():
            found[".".join([*path, key])] = inner
            if isinstance(inner, dict):
                walk(inner, [*path, key])

    walk(yaml.safe_load((ROOT / "src/config/default.yaml").read_text()), [])
    return found


def setting_of(name):
    """ENTRA_SYNC__LITELLM__DATABASE_URL_FILE is litellm.database_url_file."""
    return name.removeprefix("ENTRA_SYNC__").lower().replace("__", ".")


def unknown_keys(value, known, path=()):
    for key, inner in value.items():
        dotted = ".".join([*path, key])
        if dotted not in known:
            yield dotted
        elif isinstance(inner, dict) and isinstance(known[dotted], dict):
            yield from unknown_keys(inner, known, (*path, key))


def weaknesses(pod):
    """Where a pod is weaker than the pod security standard `restricted`, and where
    it could write or ask Kubernetes for something."""
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "gets a token of Kubernetes"
    if pod.get("enableServiceLinks") is not False:
        yield "gets names of services in its environment"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes", []):
        if not {"configMap", "secret"} & set(volume):
            yield f"volume {volume['name']} is something else than settings and secrets"
        if volume.get("secret", {}).get("defaultMode", 0o440) != 0o440:
            yield f"volume {volume['name']} is open to others"
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield "may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "may write to its root"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "has capabilities"
        if own.get("privileged") or own.get("runAsUser") == 0:
            yield "is privileged"
        if not container.get("resources", {}).get("limits", {}).get("memory"):
            yield "no limit of memory"
        for mount in container.get("volumeMounts", []):
            if mount.get("readOnly") is not True:
                yield f"may write to {mount['mountPath']}"
        for variable in container.get("env", []):
            if "valueFrom" in variable or "SECRET" in variable["name"] and not variable["name"].endswith("_FILE"):
                yield f"has a secret in {variable['name']}"
        if container.get("envFrom"):
            yield "has a whole object in its environment"


class Manifests(unittest.TestCase):
    def test_kubernetes_takes_them(self):
        checked = set()
        # Most objects of one set are those of another.
        seen = []
        for name, objects in everything().items():
            with self.subTest(name):
                for one in objects:
                    if one in seen:
                        continue
                    seen.append(one)
                    if one["kind"] in CUSTOM:
                        self.assertEqual(set(one["spec"]), CUSTOM[one["kind"]])
                        continue
                    for version in VERSIONS:
                        kubernetes_validate.validate(one, version, strict=True)
                    checked.add(one["kind"])
        if checked:
            self.assertLessEqual({"Deployment", "CronJob", "NetworkPolicy", "PodDisruptionBudget"}, checked)

    def test_a_misspelt_field_is_found(self):
        (wrong,) = documents((KUBERNETES / "base/deployment.yaml").read_text())
        pod_template(wrong)["spec"]["automountServiceAccountTokens"] = False
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)

    def test_pods_have_no_more_than_they_need(self):
        for name, objects in everything().items():
            with self.subTest(name):
                self.assertTrue(workloads(objects))
                for one in workloads(objects):
                    self.assertEqual(list(weaknesses(pod_template(one)["spec"])), [])
                for account in of_kind(objects, "ServiceAccount"):
                    self.assertIs(account["automountServiceAccountToken"], False)
                kinds = {one["kind"] for one in objects}
                self.assertFalse({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret"} & kinds)

    def test_a_weak_pod_is_found(self):
        found = set(weaknesses({
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
            "containers": [{"name": "a", "env": [{"name": "MICROSOFT_CLIENT_SECRET", "value": "x"}],
                            "volumeMounts": [{"name": "host", "mountPath": "/host"}]}],
        }))
        self.assertEqual(len(found), 11, found)

    def test_selectors_find_the_pods(self):
        for name, objects in everything().items():
            with self.subTest(name):
                for one in workloads(objects):
                    template = pod_template(one)
                    labels = template["metadata"]["labels"].items()
                    policies = of_kind(objects, "NetworkPolicy")
                    selectors = [policy["spec"]["podSelector"]["matchLabels"] for policy in policies]
                    self.assertEqual(len(selectors), 1)
                    if one["kind"] == "Deployment":
                        selectors.append(one["spec"]["selector"]["matchLabels"])
                        selectors += [service["spec"]["selector"] for service in of_kind(objects, "Service")]
                        budgets = of_kind(objects, "PodDisruptionBudget")
                        selectors += [budget["spec"]["selector"]["matchLabels"] for budget in budgets]
                        spreads = template["spec"].get("topologySpreadConstraints", [])
                        selectors += [spread["labelSelector"]["matchLabels"] for spread in spreads]
                        self.assertGreaterEqual(len(selectors), 3)
                    for selector in selectors:
                        self.assertTrue(selector)
                        self.assertLessEqual(selector.items(), labels)
                    # A budget with a Job's pod in it lets nothing be drained.
                    if one["kind"] == "CronJob":
                        for other in of_kind(objects, "PodDisruptionBudget") + of_kind(objects, "Service"):
                            selector = other["spec"]["selector"]
                            self.assertFalse(selector.get("matchLabels", selector).items() <= labels)
                services = of_kind(objects, "Service")
                for monitor in of_kind(objects, "ServiceMonitor"):
                    wanted = monitor["spec"]["selector"]["matchLabels"].items()
                    self.assertTrue(any(wanted <= service["metadata"]["labels"].items() for service in services))
                    ports = {port["name"] for service in services for port in service["spec"]["ports"]}
                    self.assertLessEqual({end["port"] for end in monitor["spec"]["endpoints"]}, ports)

    def test_references_lead_to_something(self):
        for name, objects in everything().items():
            with self.subTest(name):
                maps = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
                accounts = {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")}
                for one in workloads(objects):
                    pod = pod_template(one)["spec"]
                    volumes = {volume["name"]: volume for volume in pod["volumes"]}
                    self.assertIn("settings.yaml", maps[volumes["settings"]["configMap"]["name"]])
                    if accounts:
                        self.assertIn(pod["serviceAccountName"], accounts)
                    mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
                    self.assertEqual(mounts, set(volumes))

    def test_settings_are_known_and_secrets_are_files(self):
        known = settings()
        for name, objects in everything().items():
            with self.subTest(name):
                for one in workloads(objects):
                    container = pod_template(one)["spec"]["containers"][0]
                    environment = {entry["name"]: entry["value"] for entry in container["env"]}
                    for variable, value in environment.items():
                        if variable.startswith("ENTRA_SYNC__"):
                            self.assertIn(setting_of(variable), known)
                        if variable.endswith("_FILE"):
                            self.assertTrue(value.startswith(SECRETS), value)
                    self.assertEqual(environment["ENTRA_SYNC_CONFIG"], "/etc/entra-sync/settings.yaml")
                    self.assertIn("ENTRA_SYNC__LITELLM__DATABASE_URL_FILE", environment)
                    # One way to sign in to Entra, and not two.
                    self.assertEqual(
                        ("ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE" in environment)
                        + ("ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE" in environment)
                        + (environment.get("ENTRA_SYNC__ENTRA__CREDENTIAL") == "workload_identity"), 1)
                for one in of_kind(objects, "ConfigMap"):
                    if "settings.yaml" in one["data"]:
                        self.assertEqual(list(unknown_keys(yaml.safe_load(one["data"]["settings.yaml"]), known)), [])

    def test_an_unknown_setting_is_found(self):
        found = unknown_keys({"entra": {"tenants": "x", "tenant": "y"}, "litell": {}}, settings())
        self.assertEqual(list(found), ["entra.tenants", "litell"])

    def test_the_example_of_the_secret_has_the_keys_that_are_mounted(self):
        text = (KUBERNETES / "secret.example.yaml").read_text()
        base = set(re.findall(SECRETS + "(.+)", (KUBERNETES / "base/deployment.yaml").read_text()))
        parts = [file.read_text() for file in (KUBERNETES / "components").rglob("*.yaml")]
        wanted = set(re.findall(SECRETS + "(.+)", "".join(parts)))
        self.assertGreater(len(wanted), 4)
        # What is a comment is for those who use its component.
        for example, keys in ((text, base), (re.sub(r"(?m)^  #(?=\S)", "  ", text), base | wanted)):
            (secret,) = documents(example)
            kubernetes_validate.validate(secret, VERSIONS[0], strict=True)
            self.assertEqual(set(secret["stringData"]), keys)

    @needs_kustomize
    def test_every_component_is_tried(self):
        there = {folder.name for folder in (KUBERNETES / "components").iterdir()}
        self.assertEqual({name for _, name in COMPONENTS}, there)

    @needs_kustomize
    def test_patches_of_the_guide_can_be_applied(self):
        guide = (ROOT / "docs/KUBERNETES.md").read_text()
        blocks = re.findall(r"(?ms)^```yaml\n(patches:.*?)^```", guide)
        self.assertTrue(blocks)
        for block in blocks:
            with self.subTest(block), tempfile.TemporaryDirectory(dir=KUBERNETES / "overlays") as folder:
                file = pathlib.Path(folder, "kustomization.yaml")
                file.write_text("resources: [../../base]\n" + block)
                for one in kustomize_folder(folder):
                    kubernetes_validate.validate(one, VERSIONS[0], strict=True)


class WorkloadIdentity(unittest.TestCase):
    def check(self, objects, client):
        account = of_kind(objects, "ServiceAccount")[0]
        self.assertEqual(account["metadata"]["annotations"], {"azure.workload.identity/client-id": client})
        for one in workloads(objects):
            template = pod_template(one)
            self.assertEqual(template["metadata"]["labels"]["azure.workload.identity/use"], "true")
            environment = {entry["name"]: entry["value"] for entry in template["spec"]["containers"][0]["env"]}
            self.assertEqual(environment["ENTRA_SYNC__ENTRA__CREDENTIAL"], "workload_identity")
            self.assertNotIn("ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE", environment)

    @needs_kustomize
    def test_kustomize(self):
        self.check(kustomize("overlays/workload-identity"), "REPLACE-WITH-CLIENT-ID")
        self.check(kustomize("overlays/example"), IDENTITY)
        # Also without a daemon.
        self.check(component("overlays/once", "workload-identity"), "REPLACE-WITH-CLIENT-ID")

    @needs_helm
    def test_chart(self):
        self.check(chart("workload identity"), IDENTITY)
        self.check(chart("once by identity"), IDENTITY)


@needs_kustomize
class ApiToken(unittest.TestCase):
    def test_it_is_a_file_of_the_secret(self):
        objects = component("base", "api-token")
        environment = pod_template(workloads(objects)[0])["spec"]["containers"][0]["env"]
        wanted = {"name": "ENTRA_SYNC__SERVER__TOKEN_FILE", "value": SECRETS + "server-token"}
        self.assertIn(wanted, environment)
        self.assertIn(setting_of(wanted["name"]), settings())


class Paused(unittest.TestCase):
    """Nothing of it runs by itself, whatever else there is."""

    def check(self, objects):
        for one in workloads(objects):
            still = one["spec"]["replicas"] == 0 if one["kind"] == "Deployment" else one["spec"]["suspend"]
            self.assertIs(still, True, one["metadata"]["name"])

    @needs_kustomize
    def test_kustomize(self):
        self.check(component("overlays/high-availability", "paused"))
        self.check(component("overlays/once", "paused"))

    @needs_helm
    def test_chart(self):
        self.check(chart("paused"))
        self.check(chart("once, paused"))


@needs_kustomize
class ChangeNotifications(unittest.TestCase):
    def test_one_path_leads_to_the_daemon(self):
        objects = component("base", "change-notifications")
        (ingress,) = of_kind(objects, "Ingress")
        (service,) = of_kind(objects, "Service")
        (rule,) = ingress["spec"]["rules"]
        (path,) = rule["http"]["paths"]
        self.assertEqual((path["path"], path["pathType"]), ("/graph/notifications", "Exact"))
        self.assertEqual(path["backend"]["service"]["name"], service["metadata"]["name"])
        self.assertIn(path["backend"]["service"]["port"]["name"], {port["name"] for port in service["spec"]["ports"]})
        (policy,) = of_kind(objects, "NetworkPolicy")
        # Prometheus is still let in.
        self.assertEqual(len(policy["spec"]["ingress"]), 2)


@needs_helm
@needs_kustomize
class KustomizeAndHelm(unittest.TestCase):
    """They are two ways to the same objects."""

    PAIRS = [("base", "default"), ("overlays/workload-identity", "workload identity"),
             ("overlays/high-availability", "high availability"), ("overlays/once", "once"),
             ("overlays/monitored", "watched")]

    @staticmethod
    def bare(value):
        """Without what differs on purpose: labels, annotations, names of maps, the
        default pull policy, the order of the environment."""
        if isinstance(value, list):
            value = [KustomizeAndHelm.bare(inner) for inner in value]
            named = all(isinstance(one, dict) and "name" in one for one in value)
            return sorted(value, key=lambda one: one["name"]) if named else value
        if not isinstance(value, dict):
            return value
        dropped = {"labels", "matchLabels", "annotations", "imagePullPolicy", "configMap", "app.kubernetes.io/instance"}
        return {key: KustomizeAndHelm.bare(inner) for key, inner in value.items() if key not in dropped}

    def test_they_agree(self):
        both = [(overlay, kustomize(overlay), chart(values)) for overlay, values in self.PAIRS]
        both += [(f"{overlay} with {name}", component(overlay, name), chart(values))
                 for (overlay, name), values in COMPONENTS.items() if values]
        for overlay, *objects in both:
            ours, theirs = (
                {(one["kind"], one["metadata"]["name"]): self.bare({**one, "metadata": None})
                 for one in objects if one["kind"] not in ("ConfigMap", "PrometheusRule")}
                for objects in objects)
            with self.subTest(overlay):
                self.assertEqual(set(ours), set(theirs))
            for key, spec in ours.items():
                with self.subTest(overlay, object=key):
                    self.assertEqual(spec, theirs[key])

    def test_every_overlay_but_the_example_has_its_values(self):
        self.assertEqual({overlay for overlay, _ in self.PAIRS} | {"overlays/example"}, set(OVERLAYS))


@needs_helm
class Chart(unittest.TestCase):
    REFUSED = {
        "a misspelt value": {"replicaCount": 2},
        "a misspelt inner value": {"image": {"repo": "x"}},
        "a number as text": {"replicas": "two"},
        "a digest that is none": {"image": {"digest": "latest"}},
        "a section of settings that is none": {"settings": {"litell": {}}},
        "settings as text": {"settings": "entra: {}"},
        "no database": {"secret": {"keys": {"databaseUrl": ""}}},
        "no credential": {"secret": {"keys": {"clientSecret": ""}}},
        "a key without its certificate": {"secret": {"keys": {"clientCertificateKey": "key"}}},
        "an identity without its id": {"workloadIdentity": {"enabled": True}},
        "an identity that is no id": {"workloadIdentity": {"enabled": True, "clientId": "contoso"}},
        "a schedule with a word": {"cronJob": {"enabled": True, "schedule": "hourly"}},
        "a port out of range": {"networkPolicy": {"databasePort": 70000}},
        "a link with its own anchor": {"prometheusRule": {"runbooks": "https://git.example.org/a#b"}},
    }

    def test_lint(self):
        done = helm("lint", "--strict")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_wrong_values_are_refused_by_the_schema(self):
        for name, values in self.REFUSED.items():
            with self.subTest(name):
                done = helm("template", "--kube-version", "1.31.0", values=values)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("values don't meet the specifications of the schema", done.stderr)

    def test_a_named_account_is_needed_when_none_is_made(self):
        done = helm("template", "--kube-version", "1.31.0", values={"serviceAccount": {"create": False}})
        self.assertIn("serviceAccount.name is needed", done.stderr)

    def test_other_settings_are_another_pod(self):
        def checksum(values):
            done = helm("template", "--kube-version", "1.31.0", values=values)
            return pod_template(workloads(documents(done.stdout))[0])["metadata"]["annotations"]["checksum/settings"]
        self.assertNotEqual(checksum({}), checksum({"settings": {"guard": {"max_removals": 5}}}))

    def test_a_packed_chart_is_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            command = [HELM, "package", "--destination", folder, str(CHART)]
            subprocess.run(command, check=True, capture_output=True)
            (packed,) = pathlib.Path(folder).iterdir()
            ways = [helm("template", "a", "--kube-version", "1.31.0", values=VALUES["watched"], chart=chart)
                    for chart in (CHART, packed)]
        self.assertEqual([way.returncode for way in ways], [0, 0], ways[1].stderr)
        self.assertEqual(*(way.stdout for way in ways))

    def test_versions_are_those_of_the_program(self):
        about = yaml.safe_load((CHART / "Chart.yaml").read_text())
        manifest = (ROOT / "Cargo.toml").read_text()
        self.assertIn(f'\nversion = "{about["appVersion"]}"\n', manifest)
        for file in KUBERNETES.rglob("kustomization.yaml"):
            for image in yaml.safe_load(file.read_text()).get("images", []):
                self.assertEqual(image["newTag"], about["appVersion"], file)


if __name__ == "__main__":
    unittest.main()
