"""Rows as text for people: one table, a line for each pass.

Must not: compute a figure, or leave out a row.
"""

from bench.machine import sentence

COLUMNS = {
    "tenant": "tenant",
    "graph": "Graph answers",
    "pass": "pass",
    "wall_s": "wall s",
    "cpu_s": "CPU s",
    "peak_rss_mib": "peak MiB",
    "requests": "requests",
    "refused": "refused",
    "resource_units": "units",
    "least_units": "least units",
    "changes": "changes",
    "rows_written": "rows written",
    "longest_lock_ms": "longest lock ms",
    "longest_login_ms": "login waited ms",
    "status": "status",
}
TEXTS = {"tenant", "graph", "pass", "status"}
DECIMALS = {"wall_s": 3, "cpu_s": 3, "peak_rss_mib": 1}


def table(report):
    rows = [{"tenant": run["tenant"], "graph": run["graph"]} | row for run in report["runs"] for row in run["passes"]]
    # A column in which no pass has anything is left out.
    columns = [key for key in COLUMNS if any(row.get(key) for row in rows)]
    lines = [[COLUMNS[key] for key in columns]]
    lines += [[cell(key, row) for key in columns] for row in rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    text = ["  ".join(aligned(*of) for of in zip(columns, line, widths)).rstrip() for line in lines]
    return "\n".join([sentence(report["machine"]), *tenants(report), "", *text])


def tenants(report):
    """What the names of tenants stand for, once each."""
    sizes = {run["tenant"]: run["sizes"] for run in report["runs"]}
    said = [f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in of.items()) for name, of in sizes.items()]
    return said + (["every group is an organization too"] if report["organizations"] else [])


def aligned(column, text, width):
    return text.ljust(width) if column in TEXTS else text.rjust(width)


def cell(column, row):
    value = row.get(column)
    if value is None:
        return "-"
    if column in DECIMALS:
        return f"{value:,.{DECIMALS[column]}f}"
    if column == "status" and row["mode"] != row["asked"]:
        return f"{value}, read in {row['mode']} mode"
    return f"{value:,}" if isinstance(value, int) else value
