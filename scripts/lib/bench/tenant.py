"""A generated Entra tenant in a process of its own, and the changes made to it.

Invariant: the same tenant at the same point of a scenario gets the same
changes; where members are replaced, each group stays as large as it was. Must
not: hold the members of a tenant; the peak memory of a pass begins with that of
the process that starts it.
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
            sys.exit("the simulator did not start; a binary built without the feature `simulator` has none")
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
    """So many memberships end, and as many begin. Says how many changes that were."""
    return make(directory, picked(url, count))


def add_members(directory, url, count):
    """So many memberships begin. Says how many changes that were."""
    changes = picked(url, count)
    for change in changes:
        change["group"]["remove"] = []
    return make(directory, changes)


def make(directory, changes):
    made = sum(len(change["group"]["add"]) + len(change["group"]["remove"]) for change in changes)
    if made == 0:
        sys.exit("no membership could be changed: nobody is left who is not in the groups already")
    control(directory, "tenant", json.dumps(changes).encode())
    return made


def picked(url, count):
    """Changes of the simulator's that take so many members out and as many others in."""
    return json.loads(psql(url, PICKED.format(count=count)))


# After a pass, whom LiteLLM has as a member is one in Entra too. Who goes is
# spread evenly over all memberships, so that a large group loses more. Who comes
# into a group is looked for among those who are not in it, from a place on that
# the group's id says; without that the same few would come into every group.
PICKED = """
    WITH numbered AS (
        SELECT team_id, user_id, row_number() OVER (ORDER BY team_id, user_id) AS number, count(*) OVER () AS total
        FROM "LiteLLM_TeamMembership"
    ), leaving AS (
        SELECT team_id, array_agg(user_id) AS people FROM numbered
        WHERE number * {count} / total > (number - 1) * {count} / total
        GROUP BY team_id
    ), replaced AS (
        SELECT team_id, people AS leaving, array(
            SELECT stranger.user_id
            FROM (VALUES (1, md5(team_id), 'g'), (2, '', md5(team_id))) AS stretch (turn, above, up_to), LATERAL (
                SELECT known.user_id FROM "LiteLLM_UserTable" AS known
                WHERE known.user_id > above AND known.user_id <= up_to AND NOT EXISTS (
                    SELECT FROM "LiteLLM_TeamMembership" AS held
                    WHERE held.user_id = known.user_id AND held.team_id = leaving.team_id
                )
                ORDER BY known.user_id LIMIT cardinality(people)
            ) AS stranger
            ORDER BY turn, stranger.user_id LIMIT cardinality(people)
        ) AS coming
        FROM leaving
    )
    SELECT coalesce(json_agg(json_build_object('group', json_build_object(
        'key', team_id,
        'add', coming,
        -- Where nobody is left who could come, nobody goes.
        'remove', leaving[:cardinality(coming)]
    )) ORDER BY team_id), '[]')
    FROM replaced"""


def control(directory, what, body=None, method=None):
    """Asks the simulator's control interface."""
    request = urllib.request.Request(f"{directory['url']}/_control/{what}", body, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        return urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        sys.exit(f"the simulator refused a change of the benchmark: {error}: {error.read().decode(errors='replace')}")
