"""The passes over one tenant, in their order.

Invariant: each scenario has a tenant and a database of its own, both new; what
a row's name says happened is what was done before that pass. After a pass that
wrote, a pass by changes goes first that the next row does not pay for: it
settles what the earlier one left open, and is a row of its own.
"""

import threading
import subprocess
import time
from contextlib import contextmanager

from bench import database
from bench.passes import Bench, measure, repeated, say
from bench.tenant import replace_members, simulator

FULL = ["--full"]
# Half of them members who go, half others who come.
CHANGES = 100


def all_rows(cluster, binary, tenant, organizations, repeat):
    """First, unchanged and after changes."""
    with begun(cluster, binary, tenant, organizations) as bench:
        rows = [measure(bench, "first full", FULL)]
        if not went_through(rows):
            return rows
        rows.append(repeated(repeat, bench, "unchanged full", FULL))
        rows.append(repeated(repeat, bench, "unchanged incremental"))
        made = replace_members(bench.directory, bench.url, tenant.memberships // 100)
        rows.append(measure(bench, "1 % churn, full", FULL) | {"changes": made})
        rows.append(measure(bench, "incremental after it"))
        rows.append(hundred_changes(bench))
        return rows


def growth_rows(cluster, binary, tenant, organizations, repeat):
    """What stays and what grows with the tenant while the changes are as many."""
    with begun(cluster, binary, tenant, organizations) as bench:
        rows = [measure(bench, "first full", FULL)]
        if not went_through(rows):
            return rows
        rows.append(measure(bench, "incremental after it"))
        rows.append(repeated(repeat, bench, "unchanged incremental"))
        rows.append(hundred_changes(bench))
        return rows


def one_team_rows(cluster, binary, tenant, organizations, repeat):
    """One group with everybody in it, and a login that wants its team all the
    time. Nobody is left who could come, so that nothing is changed."""
    with begun(cluster, binary, tenant, organizations) as bench:
        with logins(bench.url) as waits:
            rows = [measure(bench, "first full", FULL)]
        rows[0]["longest_login_ms"] = max(waits, default=0)
        if not went_through(rows):
            return rows
        rows.append(repeated(repeat, bench, "unchanged full", FULL))
        rows.append(repeated(repeat, bench, "unchanged incremental"))
        return rows


@contextmanager
def begun(cluster, binary, tenant, organizations):
    sizes = ", ".join(f"{count:,} {what}" for what, count in tenant.sizes().items())
    say(f"{tenant.name} tenant ({sizes}), Graph answers {tenant.graph()}")
    with simulator(binary, tenant) as directory:
        yield Bench(binary, directory, database.fresh(cluster), organizations)


def hundred_changes(bench):
    made = replace_members(bench.directory, bench.url, CHANGES // 2)
    return measure(bench, f"{CHANGES} changes, incremental") | {"changes": made}


def went_through(rows):
    """Without a first pass the others would not be what their names say."""
    if rows[0]["exit_code"] == 0:
        return True
    say("  no further pass over this tenant: the first one did not go through")
    return False


@contextmanager
def logins(url):
    """Somebody who takes the lock of the one team again and again, as a login
    does, and notes in milliseconds how long that took each time."""
    waits, over = [], threading.Event()

    def log_in():
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", url]
        session = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while not over.wait(0.02):
            started = time.monotonic()
            session.stdin.write("""
                BEGIN;
                SELECT count(pg_advisory_xact_lock(hashtext(team_id))) FROM "LiteLLM_TeamTable";
                COMMIT;\n""")
            session.stdin.flush()
            session.stdout.readline()
            waits.append(round((time.monotonic() - started) * 1000))
        session.stdin.close()
        session.wait()

    login = threading.Thread(target=log_in)
    login.start()
    try:
        yield waits
    finally:
        over.set()
        login.join()
