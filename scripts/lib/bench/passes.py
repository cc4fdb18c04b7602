"""One pass of entra-sync, measured from outside.

Invariant: a row says what happened, also of a pass that failed. Memory, CPU
and wall time are those of that one process, the requests those that reached
the simulator meanwhile, the rows those that PostgreSQL counted. Must not:
change the tenant or the database, other than by the pass.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from bench.database import rows_written
from bench.minimum import least_units
from bench.tenant import requests_since, reset_requests


@dataclass(frozen=True)
class Bench:
    """What every pass of a scenario is done with."""

    binary: str
    directory: dict
    url: str
    organizations: bool

    def settings(self):
        """The environment under which the daemon reads that tenant into that database."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ENTRA_SYNC", "MICROSOFT_"))}
        return {
            **inherited,
            "ENTRA_SYNC__ENTRA__TENANT": self.directory["tenant_id"],
            "ENTRA_SYNC__ENTRA__CLIENT_ID": self.directory["client_id"],
            "ENTRA_SYNC__ENTRA__CLIENT_SECRET": self.directory["client_secret"],
            "ENTRA_SYNC__ENTRA__SERVICE_PRINCIPAL_ID": self.directory["service_principal_id"],
            "ENTRA_SYNC__ENTRA__GRAPH_ENDPOINT": self.directory["graph_url"],
            "ENTRA_SYNC__ENTRA__TOKEN_ENDPOINT": self.directory["token_url"],
            "ENTRA_SYNC__LITELLM__DATABASE_URL": self.url.replace("postgres@", "entra_sync@", 1),
            "ENTRA_SYNC__LITELLM__CREATE_ORGANIZATIONS": str(self.organizations).lower(),
            "ENTRA_SYNC__LITELLM__SEATS": "unlimited",
            # The guard counts as ever, but a day's worth of removals in a few
            # minutes is what is asked for here.
            "ENTRA_SYNC__GUARD__MAX_REMOVALS": "1000000000",
            "ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT": "100",
            # Of the debug lines only the one about locks.
            "ENTRA_SYNC__TELEMETRY__LOG_LEVEL": "error,entra_sync::sync::write=debug",
            "ENTRA_SYNC__TELEMETRY__LOG_FORMAT": "json",
        }


def measure(bench, name, flags=()):
    """The row of one pass."""
    say(f"  {name}")
    reset_requests(bench.directory)
    written = rows_written(bench.url)
    with tempfile.TemporaryFile("w+") as log:
        command = [bench.binary, "sync", *flags, "--format", "json"]
        started = time.monotonic()
        process = subprocess.Popen(command, env=bench.settings(), stdout=subprocess.PIPE, stderr=log)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        longest_lock = longest_lock_in(log)
    process.returncode = os.waitstatus_to_exitcode(status)
    report = report_in(output)
    if process.returncode != 0:
        say(f"  {name}: exit code {process.returncode}: {why(report, output)}")
    asked = "full" if "--full" in flags else "incremental"
    # A pass by changes that cannot go on from what is known reads in full.
    mode = report.get("mode", asked)
    graph = requests_since(bench.directory)
    return {
        "pass": name,
        "exit_code": process.returncode,
        "asked": asked,
        "mode": mode,
        "status": report.get("status", f"exit code {process.returncode}"),
        "wall_s": round(wall, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_rss_mib": round(usage.ru_maxrss / 1024, 1),
        "requests": graph["requests"],
        "refused": graph["refused"],
        "resource_units": graph["resource_units"],
        "least_units": (least_units(bench.url) or {}).get(mode),
        "rows_written": rows_written(bench.url) - written,
        "longest_lock_ms": longest_lock,
    }


def repeated(times, *pass_):
    """The run with the median wall time."""
    runs = [measure(*pass_) for _ in range(times)]
    middle = statistics.median_low(run["wall_s"] for run in runs)
    return next(run for run in runs if run["wall_s"] == middle)


def report_in(output):
    """The report that the pass printed; a pass that died printed none."""
    try:
        return json.loads(output)
    except ValueError:
        return {}


def why(report, output):
    """What a pass that did not go through says of that."""
    said = [error["message"] for error in report.get("errors", [])[:3]]
    if report.get("held"):
        said.append("held: " + report["held"]["reason"])
    return "; ".join(said) or output.decode(errors="replace").strip() or "it printed nothing"


def longest_lock_in(log):
    """What the pass says of its own locks; other lines go where they would have gone."""
    longest = None
    log.seek(0)
    for line in log:
        fields = json.loads(line) if line.startswith("{") else {}
        if "locks.longest_ms" in fields:
            longest = max(fields["locks.longest_ms"], longest or 0)
        elif fields.get("level") != "DEBUG":
            sys.stderr.write(line)
    return longest


def say(text):
    """What goes on, apart from the figures."""
    print(text, file=sys.stderr, flush=True)
