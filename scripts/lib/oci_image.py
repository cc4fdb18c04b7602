"""Packs a folder as an OCI image: oci_image.py FOLDER FILE NAME.

FILE becomes a tar archive in OCI's image layout, which `skopeo copy
oci-archive:FILE docker://…`, `podman load` and `docker load` take. The same folder
gives the same bytes: times are 0 (or SOURCE_DATE_EPOCH), owners root.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import sys
import tarfile

# As in deploy/Dockerfile; tests/python/deploy/test_image.py compares the two.
RUNTIME = {
    "User": "65532:65532",
    "ExposedPorts": {"8080/tcp": {}},
    "Entrypoint": ["/entra-sync"],
    "Cmd": ["run"],
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def entry(name, size, time, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, time, mode
    return info


def layer(folder, time):
    """The folder as an uncompressed tar archive, in the order of names."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise SystemExit(f"{path} is neither a folder nor a file")
            if path.is_dir():
                info = entry(name, 0, time, 0o755)
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                content = path.read_bytes()
                executable = path.stat().st_mode & 0o100
                tar.addfile(entry(name, len(content), time, 0o755 if executable else 0o644), io.BytesIO(content))
    return archive.getvalue()


def described(kind, content):
    return {"mediaType": kind, "digest": "sha256:" + hashlib.sha256(content).hexdigest(), "size": len(content)}


def image(folder, name, time):
    """The files of the layout, by path."""
    plain = layer(folder, time)
    packed = gzip.compress(plain, mtime=0)
    config = json.dumps({
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": RUNTIME,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]},
    }, sort_keys=True).encode()
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
    }, sort_keys=True).encode()
    index = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            **described("application/vnd.oci.image.manifest.v1+json", manifest),
            "annotations": {"org.opencontainers.image.ref.name": name},
        }],
    }, sort_keys=True).encode()
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    for content in (config, manifest, packed):
        files["blobs/sha256/" + hashlib.sha256(content).hexdigest()] = content
    return files


def main(folder, file, name):
    time = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    with tarfile.open(file, "w") as tar:
        for path, content in sorted(image(pathlib.Path(folder), name, time).items()):
            tar.addfile(entry(path, len(content), time), io.BytesIO(content))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
