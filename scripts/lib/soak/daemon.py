"""A running daemon, and what it tells of itself over HTTP.

Invariant: it is ended by its own process id, however the script ends. Must not:
ask the database what it does; its own figures are what is looked at.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager

PATIENCE_S = 300


class Daemon:
    def __init__(self, process, log):
        self.process = process
        self.log = log
        self.address = None

    def said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, what, condition):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            found = condition()
            if found:
                return found
            if self.process.poll() is not None:
                sys.exit(f"the daemon ended while waiting for {what}:\n{self.said()}")
            time.sleep(0.01)
        sys.exit(f"waited {PATIENCE_S} s in vain for {what}:\n{self.said()[-2000:]}")

    def samples(self):
        """Its metrics, by name with labels."""
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def ask_for_a_pass(self):
        self.process.send_signal(signal.SIGUSR1)


def passes(samples):
    """How many have ended."""
    return int(sum(value for name, value in samples.items() if name.startswith("entra_sync_passes_total")))


def memory_mib(samples):
    return samples["process_resident_memory_bytes"] / 1024 / 1024


@contextmanager
def daemon(bench, settings, preload=None):
    """Runs it until the block ends."""
    environment = {
        **bench.settings(),
        "ENTRA_SYNC__SERVER__LISTEN": "127.0.0.1:0",
        "ENTRA_SYNC__TELEMETRY__LOG_LEVEL": "info",
        "ENTRA_SYNC__TELEMETRY__LOG_FORMAT": "text",
        "ENTRA_SYNC__SCHEDULE__JITTER": "0s",
        **settings,
        **(preload or {}),
    }
    with tempfile.NamedTemporaryFile("w") as log:
        process = subprocess.Popen([bench.binary, "run"], env=environment, stdout=subprocess.DEVNULL, stderr=log)
        running = Daemon(process, log)
        try:
            found = running.wait_for("its address", lambda: re.search(r"http\.address=(\S+)", running.said()))
            running.address = found.group(1)
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
