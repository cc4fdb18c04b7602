"""The passes over one tenant, in their order.

Invariant: each scenario has a tenant and a database of its own, both new; what
a row's name says happened is what was done before that pass. After a pass that
wrote, a pass by changes goes first that the next row does not pay for: it
settles what the earlier one left open, and is a row of its own. A pass that did
not go through is the last row: those after it would not be what they say.
"""

import subprocess
import threading
import time
from contextlib import contextmanager

from bench import database
from bench.passes import Bench, measure, repeated, say
from bench.tenant import add_members, replace_members, simulator

FULL = ["--full"]
CHANGES = 100


def rows(scenario, cluster, binary, tenant, organizations, repeat):
    """The rows of one scenario: one of the three below."""
    sizes = ", ".join(f"{count:,} {what}" for what, count in tenant.sizes().items())
    say(f"{tenant.name} tenant ({sizes}), Graph answers {tenant.graph()}")
    with simulator(binary, tenant) as directory:
        bench = Bench(binary, directory, database.fresh(cluster), organizations)
        measured = []
        for row in scenario(bench, tenant, repeat):
            measured.append(row)
            if row["exit_code"] != 0:
                say("  no further pass over this tenant")
                break
        return measured


def all_kinds(bench, tenant, repeat):
    """First, unchanged and after changes."""
    yield measure(bench, "first full", FULL)
    yield repeated(repeat, bench, "unchanged full", FULL)
    yield repeated(repeat, bench, "unchanged incremental")
    made = replace_members(bench.directory, bench.url, tenant.memberships // 100)
    yield measure(bench, "1 % churn, full", FULL) | {"changes": made}
    yield measure(bench, "incremental after it")
    yield hundred_changes(bench)


def growth(bench, tenant, repeat):
    """What stays and what grows with the tenant while the changes are as many."""
    yield measure(bench, "first full", FULL)
    yield measure(bench, "incremental after it")
    yield repeated(repeat, bench, "unchanged incremental")
    made = add_members(bench.directory, bench.url, CHANGES)
    yield measure(bench, f"{CHANGES} additions, incremental") | {"changes": made}
    yield hundred_changes(bench)


def one_team(bench, tenant, repeat):
    """One group with everybody in it, and a login that wants its team all the
    time. Nobody is left who could come, so that nothing is changed."""
    with logins(bench.url) as waits:
        first = measure(bench, "first full", FULL)
    yield first | {"longest_login_ms": max(waits, default=0)}
    yield repeated(repeat, bench, "unchanged full", FULL)
    yield repeated(repeat, bench, "unchanged incremental")


def hundred_changes(bench):
    """Half of them members who go, half others who come."""
    made = replace_members(bench.directory, bench.url, CHANGES // 2)
    return measure(bench, f"{CHANGES} changes, incremental") | {"changes": made}


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
