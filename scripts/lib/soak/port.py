"""Full passes, with and without requests at the HTTP port.

Invariant: the requests come from a process of their own; both rows are of one
daemon, whose first pass has ended.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from bench.passes import say
from soak.daemon import daemon, memory_mib, passes

# Nothing but what is asked for.
SETTINGS = {
    # Passes one after the other would wait for Graph's quota, and that is not asked here.
    "ENTRA_SYNC__ENTRA__RESOURCE_UNITS": "1000000",
    "ENTRA_SYNC__SCHEDULE__CRON": "0 0 1 1 *",
    "ENTRA_SYNC__SCHEDULE__FULL_CRON": "0 0 1 1 *",
    # Without links there are only full readings.
    "ENTRA_SYNC__ENTRA__MEMBERSHIP": "transitive",
}


def run(bench, options):
    say(f"{options.passes} full passes without and with {options.rate} requests a second")
    with daemon(bench, SETTINGS) as running:
        running.wait_for("the first pass", lambda: passes(running.samples()) >= 1)
        quiet = timed(running, options.passes)
        before = memory_mib(running.samples())
        sender = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("requests.py")), running.address, str(options.rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        try:
            busy = timed(running, options.passes)
        finally:
            answers, _ = sender.communicate("stop\n", timeout=60)
        after = memory_mib(running.samples())
    return {
        "rate": options.rate,
        "quiet": quiet,
        "busy": busy,
        "answers": json.loads(answers),
        "memory_before_mib": round(before, 1),
        "memory_after_mib": round(after, 1),
    }


def timed(running, count):
    """Seconds of so many passes, by the daemon's own histogram."""
    times = []
    for _ in range(count):
        before = running.samples()
        running.ask_for_a_pass()
        running.wait_for("a pass", lambda: passes(running.samples()) > passes(before))
        after = running.samples()
        name = 'entra_sync_pass_duration_seconds_sum{source="default",mode="full"}'
        times.append(after[name] - before.get(name, 0.0))
    return {
        "passes": count,
        "median_s": round(statistics.median(times), 3),
        "least_s": round(min(times), 3),
        "most_s": round(max(times), 3),
    }


def table(figures):
    lines = ["\nfull passes      number  median s  least s  most s"]
    for name, row in (("nobody asks", figures["quiet"]), (f"{figures['rate']} requests/s", figures["busy"])):
        lines.append(f"{name:15}  {row['passes']:6}  {row['median_s']:8}  {row['least_s']:7}  {row['most_s']:6}")
    answers = figures["answers"]
    lines.append(
        f"answers: {answers['sent']} in {answers['seconds']} s ({answers['rate']}/s); by code "
        + ", ".join(f"{code}: {count}" for code, count in sorted(answers["codes"].items()))
        + f"; ms median {answers['median_ms']}, 99 % within {answers['p99_ms']}, most {answers['most_ms']}"
    )
    lines.append(f"memory MiB: {figures['memory_before_mib']} before the requests, {figures['memory_after_mib']} after")
    return "\n".join(lines)
