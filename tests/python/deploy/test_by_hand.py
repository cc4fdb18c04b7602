"""deploy/kubernetes/by-hand makes a Job that Kubernetes takes, with the command that was
given, and ends as it ended. The cluster is a stand-in for kubectl; what kubectl does
by itself, it does."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import kubernetes_validate

from support import KUBERNETES, kustomize, needs_kustomize, of_kind

SCRIPT = KUBERNETES / "by-hand"
KUBECTL = shutil.which("kubectl")

# Answers by what stands after --namespace; `asked` has what was created.
STAND_IN = """#!/usr/bin/env python3
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
told = json.loads((folder / "told").read_text())
arguments = sys.argv[1:]
if arguments[0] == "patch":
    os.execv(told["kubectl"], ["kubectl", *arguments])
assert arguments[:2] == ["--namespace", told["namespace"]], arguments
match arguments[2:]:
    case ["create", "job", name, source, "--dry-run=client", "--output=json"]:
        assert source == "--from=cronjob/entra-sync-by-hand", source
        print(json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": told["job"]}))
    case ["create", "--filename=-"]:
        (folder / "asked").write_text(sys.stdin.read())
        print("created")
    case ["get", "pods", selector, path]:
        name = json.loads((folder / "asked").read_text())["metadata"]["name"]
        assert selector == "--selector=job-name=" + name, selector
        if path.endswith("exitCode}"):
            print(told["code"], end="")
        else:
            # Not there yet, then waiting, then running.
            seen = folder / "seen"
            states = ["", "Pending", "Running"]
            at = len(seen.read_text()) if seen.exists() else 0
            seen.write_text("x" * (at + 1))
            print(states[min(at, 2)], end="")
    case ["logs", "--follow", name]:
        print("PASS token")
    case _:
        sys.exit(f"unexpected: {arguments}")
"""


@needs_kustomize
@unittest.skipUnless(KUBECTL, "no kubectl")
class ByHand(unittest.TestCase):
    def run_it(self, *arguments, code="0", environment=None):
        (cronjob,) = [one for one in of_kind(kustomize("base"), "CronJob")]
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "kubectl").write_text(STAND_IN)
            (folder / "kubectl").chmod(0o755)
            (folder / "told").write_text(json.dumps({
                "kubectl": KUBECTL, "code": code, "job": cronjob["spec"]["jobTemplate"]["spec"],
                "namespace": (environment or {}).get("ENTRA_SYNC_NAMESPACE", "entra-sync"),
            }))
            path = f"{folder}:{os.environ['PATH']}"
            done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True,
                                  env={**os.environ, **(environment or {}), "PATH": path})
            asked = folder / "asked"
            return done, json.loads(asked.read_text()) if asked.exists() else None

    def test_the_job_has_the_command_and_kubernetes_takes_it(self):
        arguments = ["explain", 'Ada "the first" \\ Sample', "--format", "json"]
        done, job = self.run_it(*arguments)
        self.assertEqual((done.returncode, done.stdout), (0, "PASS token\n"), done.stderr)
        kubernetes_validate.validate(job, "1.29", strict=True)
        self.assertEqual(job["spec"]["template"]["spec"]["containers"][0]["args"], arguments)

    def test_its_exit_code_is_the_commands(self):
        done, _ = self.run_it("sync", code="3", environment={"ENTRA_SYNC_NAMESPACE": "sync"})
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_without_a_command_nothing_is_made(self):
        done, job = self.run_it()
        self.assertEqual((done.returncode, job), (64, None))


if __name__ == "__main__":
    unittest.main()
