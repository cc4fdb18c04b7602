"""Where the files of deploy/ are, and what kustomize and Helm make of them.

ENTRA_SYNC_HELM, ENTRA_SYNC_KUSTOMIZE and ENTRA_SYNC_PROMTOOL name the tools
(scripts/lib/deploy.sh); without one, tests that need it are skipped.
"""

import functools
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "entra-sync"

HELM = os.environ.get("ENTRA_SYNC_HELM")
KUSTOMIZE = os.environ.get("ENTRA_SYNC_KUSTOMIZE")
PROMTOOL = os.environ.get("ENTRA_SYNC_PROMTOOL")

needs_helm = unittest.skipUnless(HELM, "no Helm: install it, or npm")
needs_kustomize = unittest.skipUnless(KUSTOMIZE, "no kustomize: install it, or kubectl")
needs_promtool = unittest.skipUnless(PROMTOOL, "no promtool")

OVERLAYS = ["base", *sorted(f"overlays/{path.name}" for path in (KUBERNETES / "overlays").iterdir())]

IDENTITY = "22222222-2222-4222-8222-222222222222"

# Values that together reach every branch of the chart.
VALUES = {
    "default": {},
    "workload identity": {"workloadIdentity": {"enabled": True, "clientId": IDENTITY}},
    "high availability": {"replicas": 2},
    "once": {"cronJob": {"enabled": True}},
    "once by identity": {
        "cronJob": {"enabled": True},
        "workloadIdentity": {"enabled": True, "clientId": IDENTITY},
    },
    "by certificate": {"secret": {"keys": {"clientCertificate": "client-certificate"}}},
    "once by certificate": {
        "cronJob": {"enabled": True},
        "secret": {"keys": {"clientCertificate": "client-certificate"}},
    },
    "licensed": {"secret": {"keys": {"license": "license"}}},
    "once, licensed": {"cronJob": {"enabled": True}, "secret": {"keys": {"license": "license"}}},
    "telling": {"secret": {"keys": {"webhookUrl": "webhook-url"}}},
    "once, telling": {"cronJob": {"enabled": True}, "secret": {"keys": {"webhookUrl": "webhook-url"}}},
    "signed": {"secret": {"keys": {"webhookSecret": "webhook-secret"}}},
    "once, signed": {"cronJob": {"enabled": True}, "secret": {"keys": {"webhookSecret": "webhook-secret"}}},
    "steered": {"secret": {"keys": {"serverToken": "server-token"}}},
    "paused": {"paused": True, "replicas": 2},
    "once, paused": {"paused": True, "cronJob": {"enabled": True}},
    "once, no night": {"cronJob": {"enabled": True, "fullSchedule": ""}},
    "watched": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbooks": "https://git.example.org/docs/RUNBOOKS.md"},
        "dashboard": {"enabled": True},
    },
    "all that can be said": {
        "fullnameOverride": "sync-of-people",
        "image": {"digest": "sha256:" + "0123456789abcdef" * 4},
        "imagePullSecrets": [{"name": "registry"}],
        "secret": {
            "keys": {
                "serverToken": "server-token",
                "license": "license",
                "webhookUrl": "webhook-url",
                "webhookSecret": "webhook-secret",
                "clientCertificate": "client-certificate",
                "clientCertificateKey": "client-certificate-key",
                "redisUrl": "redis-url",
            }
        },
        "serviceAccount": {"create": False, "name": "somebody"},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org:3128"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/certs", "readOnly": True}],
        "podLabels": {"team": "identity"},
        "podAnnotations": {"note": "a"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {
            "extraIngress": [{"from": [{"podSelector": {}}]}],
            "extraEgress": [{"ports": [{"port": 3128, "protocol": "TCP"}]}],
        },
    },
}


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def kustomize_folder(folder):
    """The objects of a kustomization, as applied."""
    done = subprocess.run([*KUSTOMIZE.split(), str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(done.stderr)
    return documents(done.stdout)


@functools.cache
def kustomize(overlay):
    """The objects of an overlay that is there."""
    return kustomize_folder(KUBERNETES / overlay)


def kustomize_of(overlay, *components):
    """The objects of an overlay with components of deploy/ that it does not name."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "kustomization.yaml")
        file.write_text(yaml.safe_dump({
            "resources": [os.path.relpath(KUBERNETES / overlay, os.path.realpath(folder))],
            "components": [os.path.relpath(DEPLOY / one, os.path.realpath(folder)) for one in components],
        }))
        return kustomize_folder(folder)


# Each component over what it is for, and the values of the chart that are the same, if
# there are any. The one of deploy/monitoring has an overlay of its own.
COMPONENTS = {
    ("base", "api-token"): "steered",
    ("base", "change-notifications"): None,
    ("base", "client-certificate"): "by certificate",
    ("overlays/once", "client-certificate"): "once by certificate",
    ("base", "high-availability"): "high availability",
    ("base", "license"): "licensed",
    ("overlays/once", "license"): "once, licensed",
    ("overlays/high-availability", "paused"): "paused",
    ("overlays/once", "paused"): "once, paused",
    ("base", "webhook"): "telling",
    ("overlays/once", "webhook"): "once, telling",
    ("base", "webhook-secret"): "signed",
    ("overlays/once", "webhook-secret"): "once, signed",
    ("base", "workload-identity"): "workload identity",
    ("overlays/once", "workload-identity"): "once by identity",
}


@functools.cache
def component(overlay, name):
    """The objects of one of COMPONENTS."""
    return kustomize_of(overlay, f"kubernetes/components/{name}")


def helm(*arguments, values=None, chart=CHART):
    """Helm's own answer to a command about the chart: code, output, messages."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values or {}, file)
        file.flush()
        command = [HELM, *arguments, "--values", file.name, str(chart)]
        return subprocess.run(command, capture_output=True, text=True)


@functools.cache
def chart(name):
    """The objects that the chart makes of one of VALUES."""
    done = helm("template", "--namespace", "entra-sync", "--kube-version", "1.31.0",
                "--name-template", "entra-sync", values=VALUES[name])
    if done.returncode:
        raise AssertionError(done.stderr)
    return documents(done.stdout)


def everything():
    """Each set of objects that there is, with what it is called."""
    sets = {}
    if KUSTOMIZE:
        sets |= {f"kustomize {overlay}": kustomize(overlay) for overlay in OVERLAYS}
        sets |= {f"kustomize {overlay} with {name}": component(overlay, name) for overlay, name in COMPONENTS}
    if HELM:
        sets |= {f"helm {name}": chart(name) for name in VALUES}
    return sets


def of_kind(objects, kind):
    return [one for one in objects if one["kind"] == kind]


def pod_template(one):
    spec = one["spec"]
    return spec["jobTemplate"]["spec"]["template"] if one["kind"] == "CronJob" else spec["template"]


def workloads(objects):
    return of_kind(objects, "Deployment") + of_kind(objects, "CronJob")
