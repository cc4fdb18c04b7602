"""A generated Entra tenant in a process of its own, and the changes made to it.

Invariant: sizes are exact, and a change leaves them as they are: as many
members come as go, group by group. Must not: hold a list of members; the peak
memory of a pass begins with that of the process that starts it.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass

from bench.database import psql


@dataclass(frozen=True)
class Tenant:
    """What is generated, and how Graph answers about it."""

    name: str
    groups: int
    people: int
    memberships: int
    # Every answer comes so many milliseconds later.
    latency_ms: int = 0
    # As `entra-sync simulate` takes it: S, M, L, or units in ten seconds.
    quota: str | None = None

    def sizes(self):
        return {"groups": self.groups, "people": self.people, "memberships": self.memberships}

    def graph(self):
        """How Graph answers, in two words."""
        said = [f"{self.latency_ms} ms"] if self.latency_ms else []
        said += [f"quota {self.quota}"] if self.quota else []
        return ", ".join(said) or "at once"


@contextmanager
def simulator(binary, tenant):
    """Gives what the simulator says about itself in its first line."""
    sizes = [word for what, count in tenant.sizes().items() for word in (f"--{what}", str(count))]
    command = [binary, "simulate", "--listen", "127.0.0.1:0", *sizes, "--latency", f"{tenant.latency_ms}ms"]
    if tenant.quota:
        command += ["--quota", tenant.quota]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line:
            sys.exit("the simulator ended before it said where it listens; was the binary built with the feature `simulator`?")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait()


def reset_requests(directory):
    control(directory, "requests", method="DELETE")


def requests_since(directory):
    """Requests and resource units since the last reset. Of Graph, whose token
    endpoint costs no units; each request of a $batch counts, its envelope not."""
    counts = json.loads(control(directory, "requests"))["by_endpoint"]
    graph = [count for endpoint, count in counts.items() if endpoint not in ("token", "$batch")]
    return {name: sum(count[name] for count in graph) for name in ("requests", "refused", "resource_units")}


def replace_members(directory, url, count):
    """So many memberships end, evenly among all there are, and each of the
    groups gets as many other people. Says how many changes that were."""
    changes = psql(url, REPLACEMENTS.format(count=count))
    made = sum(len(change["group"]["add"]) + len(change["group"]["remove"]) for change in json.loads(changes))
    if made == 0:
        sys.exit(f"no membership of {count} could be replaced: nobody is left who is not in those groups")
    control(directory, "tenant", changes.encode())
    return made


# Whom LiteLLM has as a member is one in Entra too, after a pass. Who comes is
# looked for from a place that the group's id says; from the last quarter of
# ids it might be too near to their end to find enough.
REPLACEMENTS = """
    WITH numbered AS (
        SELECT team_id, user_id, row_number() OVER (ORDER BY team_id, user_id) AS number, count(*) OVER () AS total
        FROM "LiteLLM_TeamMembership"
    ), leaving AS (
        SELECT team_id, array_agg(user_id) AS people FROM numbered
        WHERE number * {count} / total > (number - 1) * {count} / total
        GROUP BY team_id
    ), coming AS (
        SELECT leaving.team_id, array_agg(other.user_id) AS people
        FROM leaving, LATERAL (
            SELECT known.user_id FROM "LiteLLM_UserTable" AS known
            WHERE known.user_id > translate(left(md5(leaving.team_id), 1), 'cdef', '048b') || substr(md5(leaving.team_id), 2, 4)
            AND NOT EXISTS (
                SELECT FROM "LiteLLM_TeamMembership" AS held
                WHERE held.user_id = known.user_id AND held.team_id = leaving.team_id
            )
            ORDER BY known.user_id LIMIT cardinality(leaving.people)
        ) AS other
        GROUP BY leaving.team_id
    )
    SELECT coalesce(json_agg(json_build_object('group', json_build_object(
        'key', team_id,
        'add', coming.people,
        -- Where nobody is left who could come, nobody goes.
        'remove', leaving.people[:cardinality(coming.people)]
    ))), '[]')
    FROM leaving JOIN coming USING (team_id)"""


def control(directory, what, body=None, method=None):
    """Asks the simulator's control interface."""
    request = urllib.request.Request(f"{directory['url']}/_control/{what}", body, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        return urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        sys.exit(f"the simulator refused a change of the benchmark: {error}: {error.read().decode(errors='replace')}")
