"""Dockerfile, scripts/image and manifests speak of one image."""

import hashlib
import io
import json
import pathlib
import re
import sys
import tarfile
import tempfile
import unittest

from support import KUBERNETES, ROOT, documents, pod_template

sys.path.insert(0, str(ROOT / "scripts" / "lib"))
import oci_image  # noqa: E402

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def instruction(name):
    """The last one of a name: that of the image itself."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)[-1]


class Image(unittest.TestCase):
    def test_both_ways_run_the_same_as_the_same_user(self):
        self.assertEqual(instruction("FROM"), "scratch")
        self.assertEqual(oci_image.RUNTIME, {
            "User": instruction("USER"),
            "ExposedPorts": {instruction("EXPOSE") + "/tcp": {}},
            "Entrypoint": json.loads(instruction("ENTRYPOINT")),
            "Cmd": json.loads(instruction("CMD")),
        })

    def test_the_pod_asks_for_that_user_and_port(self):
        pod = pod_template(documents((KUBERNETES / "base/deployment.yaml").read_text())[0])["spec"]
        context = pod["securityContext"]
        self.assertEqual(f"{context['runAsUser']}:{context['runAsGroup']}", instruction("USER"))
        self.assertEqual(str(pod["containers"][0]["ports"][0]["containerPort"]), instruction("EXPOSE"))
        self.assertNotIn("command", pod["containers"][0])

    def test_the_build_is_locked_without_features_and_by_a_named_compiler(self):
        builds = re.findall(r"cargo build .*", DOCKERFILE)
        self.assertEqual([build.rstrip(" \\") for build in builds], ["cargo build --release --locked --bin entra-sync"])
        self.assertRegex(DOCKERFILE, r"(?m)^ARG RUST=docker\.io/library/rust:\d+\.\d+\.\d+-alpine$")
        oldest = re.search(r'rust-version = "(\d+)\.(\d+)"', (ROOT / "Cargo.toml").read_text()).groups()
        used = re.search(r"rust:(\d+)\.(\d+)", DOCKERFILE).groups()
        self.assertGreaterEqual(tuple(map(int, used)), tuple(map(int, oldest)))

    def test_the_archive_is_an_image_and_the_same_twice(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder, "root")
            (root / "etc").mkdir(parents=True)
            (root / "etc/file").write_text("text")
            (root / "program").write_bytes(b"\x7fELF")
            (root / "program").chmod(0o755)
            archives = []
            for name in ("one", "two"):
                file = pathlib.Path(folder, name)
                oci_image.main(str(root), str(file), "a:1")
                archives.append(file.read_bytes())
        self.assertEqual(*archives)
        with tarfile.open(fileobj=io.BytesIO(archives[0])) as tar:
            files = {one.name: tar.extractfile(one).read() for one in tar}

        def blob(of):
            content = files["blobs/" + of["digest"].replace(":", "/")]
            self.assertEqual((len(content), hashlib.sha256(content).hexdigest()), (of["size"], of["digest"][7:]))
            return content
        manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
        self.assertEqual(json.loads(blob(manifest["config"]))["config"], oci_image.RUNTIME)
        with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][0]))) as tar:
            found = {one.name: (one.mode, one.uid, one.mtime) for one in tar}
        self.assertEqual(found, {"etc": (0o755, 0, 0), "etc/file": (0o644, 0, 0), "program": (0o755, 0, 0)})


if __name__ == "__main__":
    unittest.main()
