"""What the figures were measured on: machine and versions.

Invariant: what else the machine had to do is said, too: the load is that of
the minute before the first pass. Must not: name the machine, its user or a
folder.
"""

import os
import platform
import re
import shutil
import subprocess

from bench.database import ROOT, psql


def machine(cluster, binary):
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "architecture": platform.machine(),
        "memory_gib": round(memory),
        "load": round(os.getloadavg()[0], 1),
        "linux": platform.release(),
        "postgresql": psql(cluster, "SHOW server_version"),
        "litellm_schema": litellm_schema(),
        "entra_sync": said([binary, "--version"]),
        "commit": said(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]),
        "rustc": said(["rustc", "--version"]),
    }


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return found.group(1).strip() if found else "unknown processor"


def litellm_schema():
    """The release whose migrations made the database."""
    text = (ROOT / "tests/python/requirements-schema.txt").read_text(encoding="utf-8")
    return re.search(r"^(litellm-proxy-extras==\S+)", text, re.MULTILINE).group(1).replace("==", " ")


def said(command):
    """The first line of what a program says of itself; None without the program."""
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 else None


def sentence(machine):
    return (
        "{cores} cores ({processor}, {architecture}), {memory_gib} GiB, load before {load}, Linux {linux}, PostgreSQL {postgresql}, "
        "LiteLLM's schema of {litellm_schema}, {entra_sync} at {commit}, {rustc}"
    ).format(**machine)
