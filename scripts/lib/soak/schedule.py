"""A day of the daemon's schedule, by a clock that goes faster.

Invariant: only the daemon's clock does. What is to be waited for outside of it
(Graph, the database) takes as long as ever, so the settings give it as much more
time by its own clock.
"""

import glob
import subprocess
import sys
import time

from bench.passes import say
from bench.tenant import replace_members
from soak.daemon import daemon, memory_mib, passes

EVERY_S = 30
ROUND = 100
CHANGED = 20


def run(bench, options):
    target = int(options.hours * 3600 / EVERY_S)
    say(f"{options.hours:g} hours of schedule, {options.speed} times as fast: {target} passes")
    settings = {
        "ENTRA_SYNC__SCHEDULE__CRON": f"*/{EVERY_S} * * * * *",
        "ENTRA_SYNC__ENTRA__REQUEST_TIMEOUT": "1h",
        "ENTRA_SYNC__SCHEDULE__LEASE": "10m",
    }
    preload = {"LD_PRELOAD": faketime(), "FAKETIME": f"+0 x{options.speed}"}
    rows = []
    started = time.monotonic()
    with daemon(bench, settings, preload) as running:
        running.wait_for("the first pass", lambda: passes(running.samples()) >= 1)
        changed = 0
        while True:
            samples = running.samples()
            done = passes(samples)
            if not rows or done >= rows[-1]["passes"] + ROUND or done >= target:
                rows.append({
                    "passes": done,
                    "memory_mib": round(memory_mib(samples), 1),
                    "open_files": int(samples["process_open_fds"]),
                    "threads": int(samples["process_threads"]),
                    "cpu_s": round(samples["process_cpu_seconds_total"], 1),
                })
                if done >= target:
                    break
                changed += replace_members(bench.directory, bench.url, CHANGED // 2)
            time.sleep(0.05)
        ended = endings(samples)
        errors = [line for line in running.said().splitlines() if " ERROR " in line or " WARN " in line]
    return {
        "hours": options.hours,
        "speed": options.speed,
        "took_s": round(time.monotonic() - started, 1),
        "rows": rows,
        "passes": ended,
        "changed_in_entra": changed,
        "complaints": len(errors),
        "first_complaints": errors[:3],
    }


def endings(samples):
    counts = {}
    for name, value in samples.items():
        if name.startswith("entra_sync_passes_total"):
            labels = dict(part.split("=") for part in name[name.index("{") + 1 : -1].replace('"', "").split(","))
            key = f"{labels['mode']} {labels['status']}"
            counts[key] = counts.get(key, 0) + int(value)
    return counts


def faketime():
    """The library that makes a program's clock go faster; installed when it is missing."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "libfaketime"], check=True, stdout=sys.stderr)
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found[0]


def table(figures):
    lines = [
        f"\n{figures['hours']:g} hours of schedule in {figures['took_s']:g} s, "
        f"{figures['changed_in_entra']} changes made in Entra meanwhile",
        "passes  memory MiB  open files  threads  CPU s",
    ]
    for row in figures["rows"]:
        lines.append(
            f"{row['passes']:6}  {row['memory_mib']:10}  {row['open_files']:10}  {row['threads']:7}  {row['cpu_s']:5}"
        )
    lines.append("ended: " + ", ".join(f"{count} {how}" for how, count in sorted(figures["passes"].items())))
    lines.append(f"lines of warning and above: {figures['complaints']}")
    lines += [f"  {line}" for line in figures["first_complaints"]]
    return "\n".join(lines)
