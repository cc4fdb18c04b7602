"""A private PostgreSQL with LiteLLM's genuine schema.

Invariant: the server has PostgreSQL's own settings, so that a commit is as
durable as in a deployment; each scenario has a database that nothing was
written to before. Must not: leave the server behind, or know what is measured.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NAME = "entra_sync_bench"


@contextmanager
def server():
    """Gives the server's URL, as its superuser."""
    # Its own state file: a developer's database may be running beside.
    environment = {**os.environ, "ENTRA_SYNC_DATABASE_STATE": str(ROOT / ".cache" / f"bench-{os.getpid()}")}
    command = str(ROOT / "scripts" / "database")
    subprocess.run([command, "start", "--durable"], env=environment, check=True, stdout=subprocess.DEVNULL)
    try:
        said = subprocess.run([command, "url"], env=environment, check=True, capture_output=True, text=True).stdout
        # Lines for a shell; the first one names the server.
        yield said.splitlines()[0].split("=", 1)[1]
    finally:
        subprocess.run([command, "stop"], env=environment, check=True)


def fresh(cluster):
    """An empty LiteLLM in the place of the last one; gives its URL."""
    psql(cluster, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    psql(cluster, f"CREATE DATABASE {NAME} TEMPLATE litellm_template OWNER litellm")
    return cluster.rsplit("/", 1)[0] + "/" + NAME


def psql(url, statement):
    """The answer of one statement, without blanks around it."""
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=statement, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"PostgreSQL refused a statement of the benchmark: {done.stderr.strip()}")
    return done.stdout.strip()


def rows_written(url):
    """PostgreSQL's own count; a session adds to it before it ends."""
    return int(psql(url, """
        SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables
        WHERE relname LIKE 'LiteLLM\\_%'"""))
