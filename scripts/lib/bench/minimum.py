"""The least resource units with which a pass could do.

What: Graph bills a request, whatever its page holds. Pages of 999 are the
largest; a delta link covers 50 groups at most. With these prices (with
$select), the least that a pass of a kind needs:

    in full     1  the service principal
                1  for each page of its assignments
                2  for each page of each group's members, attributes included
    by changes  1  the service principal
                1  for each page of its assignments
                1  for each 50 groups, whose changes fit one page
                1  for the changes of all people

These are the rows "FULL least privilege" and "NO CHANGE" of the table of
minimum times: 1,002 and 13 units for 500 groups of 100, 4,004 and 45 for 2,000
groups of 500. That table has groups of even sizes; here each group counts with
the pages that it has, as no reader could do with fewer.

Not in it: the links from which a full pass lets changes be told, the names of
groups, and the second look before something is taken away. A pass that made
changes is compared with the same minimum; what is above it is their price.

Must not: ask Graph. What is counted is what the last pass wrote down.
"""

import json

from bench.database import psql

PAGE = 999
BUCKET = 50


def least_units(url):
    """By kind of pass, for the directory as it was last known; None, if nothing is."""
    if psql(url, "SELECT to_regclass('entra_sync.directory_group') IS NULL") == "t":
        return None
    known = json.loads(psql(url, f"""
        SELECT json_build_object(
            'groups', count(*),
            'pages', coalesce(sum(greatest(1, ceil((headcount + other_members) / {PAGE}.0))), 0)::bigint,
            'assignments', (SELECT count(*) FROM entra_sync.directory_assignment)
        ) FROM entra_sync.directory_group"""))
    if not known["groups"]:
        return None
    beginning = 1 + up(known["assignments"], PAGE)
    return {
        "full": beginning + 2 * known["pages"],
        "incremental": beginning + up(known["groups"], BUCKET) + 1,
    }


def up(count, size):
    return -(-count // size)
