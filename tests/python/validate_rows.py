#!/usr/bin/env python3
"""Reads rows that the integration tests wrote with LiteLLM's own models.

What: LiteLLM loads every team, user and membership through these classes, and a
row that they refuse takes the team, and every key of its members, out of
service. Each line of each *.jsonl file in the folder is one row:

    {"table": "LiteLLM_TeamTable", "row": {"team_id": ...}}

with every column, as PostgreSQL's to_json prints it (the form is written by
tests/it/support/export.rs).

How: scripts/test sets PYTHONPATH to an installation of requirements.txt:

    python3 tests/python/validate_rows.py FOLDER

Exit code 1 and a line per defect when a row is refused, or when there is no
row of a table that every run writes. Nothing is left behind; no network.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

# LiteLLM otherwise asks the network for a price list while it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from pydantic import TypeAdapter, ValidationError  # noqa: E402

from litellm.models.budget import LiteLLM_BudgetTableFull  # noqa: E402
from litellm.models.organization import LiteLLM_OrganizationTable  # noqa: E402
from litellm.models.organization_membership import LiteLLM_OrganizationMembershipTable  # noqa: E402
from litellm.models.team import LiteLLM_DeletedTeamTable, LiteLLM_TeamTable, Member  # noqa: E402
from litellm.models.team_membership import LiteLLM_TeamMembership  # noqa: E402
from litellm.models.user import LiteLLM_UserTable  # noqa: E402
from litellm.models.verification_token import (  # noqa: E402
    LiteLLM_DeletedVerificationToken,
    LiteLLM_VerificationToken,
)
from litellm.proxy._types import LiteLLM_AuditLogs, LitellmUserRoles  # noqa: E402
from litellm.proxy.common_utils.timezone_utils import budget_duration_error  # noqa: E402

MODELS = {
    "LiteLLM_AuditLog": LiteLLM_AuditLogs,
    "LiteLLM_BudgetTable": LiteLLM_BudgetTableFull,
    "LiteLLM_DeletedTeamTable": LiteLLM_DeletedTeamTable,
    "LiteLLM_DeletedVerificationToken": LiteLLM_DeletedVerificationToken,
    "LiteLLM_OrganizationMembership": LiteLLM_OrganizationMembershipTable,
    "LiteLLM_OrganizationTable": LiteLLM_OrganizationTable,
    "LiteLLM_TeamMembership": LiteLLM_TeamMembership,
    "LiteLLM_TeamTable": LiteLLM_TeamTable,
    "LiteLLM_UserTable": LiteLLM_UserTable,
    "LiteLLM_VerificationToken": LiteLLM_VerificationToken,
}

# A run that wrote none of these has tested nothing.
NEVER_EMPTY = ["LiteLLM_AuditLog", "LiteLLM_TeamMembership", "LiteLLM_TeamTable", "LiteLLM_UserTable"]


# What LiteLLM prints into an audit row, and which of its models prints it.
PRINTED = {
    ("created", "LiteLLM_UserTable", "updated_values"): LiteLLM_UserTable,
    ("deleted", "LiteLLM_TeamTable", "before_value"): LiteLLM_TeamTable,
    ("deleted", "LiteLLM_VerificationToken", "before_value"): LiteLLM_VerificationToken,
}


def audit_defects(row):
    """An audit row against how LiteLLM makes one: from JSON text that it masks, some of it printed by its models."""
    values = {name: row[name] for name in ("before_value", "updated_values")}
    texts = {name: None if value is None else json.dumps(value) for name, value in values.items()}
    try:
        made = LiteLLM_AuditLogs(**{**row, **texts})
    except (ValidationError, ValueError, TypeError) as refusal:
        yield f"LiteLLM_AuditLogs refuses it: {refusal}"
        return
    for name, value in values.items():
        masked = getattr(made, name)
        if masked is not None and json.loads(masked) != value:
            yield f"{name} holds what LiteLLM masks"
        model = PRINTED.get((row["action"], row["table_name"], name))
        if model is None:
            continue
        try:
            printed = json.loads(model(**json.loads(json.dumps(value))).model_dump_json(exclude_none=True))
        except (ValidationError, ValueError, TypeError) as refusal:
            yield f"{name}: {model.__name__} refuses it: {refusal}"
            continue
        # Columns that are older than this model's field may be missing.
        for field in value:
            if printed.get(field) != value[field]:
                yield f"{name}.{field}: {model.__name__} prints {printed.get(field)!r}, not {value[field]!r}"
    # The one value that LiteLLM encodes twice: a team before an update.
    is_text = isinstance(row["before_value"], str)
    is_update = row["action"] == "updated" and "members_with_roles" not in (row["updated_values"] or {})
    if is_text != is_update:
        yield f"before_value is {'text' if is_text else 'no text'} inside JSON"
    elif is_text and "team_id" not in json.loads(row["before_value"]):
        yield "before_value is not the text of a team's row"


def defects(table, row):
    """What LiteLLM would refuse, or read as something else."""
    model = MODELS.get(table)
    if model is None:
        yield "a table that no pass writes"
        return
    if model is LiteLLM_AuditLogs:
        yield from audit_defects(row)
        return
    try:
        # A copy: LiteLLM's validators change their input.
        model(**json.loads(json.dumps(row)))
    except (ValidationError, ValueError, TypeError) as refusal:
        yield f"{model.__name__} refuses it: {refusal}"

    # The models are lenient where the rest of LiteLLM is not.
    if (duration := row.get("budget_duration")) is not None and (error := budget_duration_error(duration)):
        yield error
    if (role := row.get("user_role")) is not None and role not in [known.value for known in LitellmUserRoles]:
        yield f"no role of LiteLLM: {role!r}"
    if "members_with_roles" in row:
        try:
            TypeAdapter(list[Member]).validate_python(row["members_with_roles"])
        except ValidationError as refusal:
            yield f"members_with_roles: {refusal}"
        members = [member.get("user_id") for member in row["members_with_roles"] if isinstance(member, dict)]
        if len(members) != len(set(members)):
            yield "members_with_roles names somebody twice"
    for column in ("models", "teams", "admins", "members", "policies", "allowed_cache_controls"):
        if column in row and row[column] is None:
            yield f"{column} is NULL; LiteLLM writes a list"


def validate(lines):
    """Every defect with its row, and how many rows of each table were read."""
    found, seen = [], Counter()
    for line in lines:
        item = json.loads(line)
        seen[item["table"]] += 1
        found.extend(f"{item['table']} {json.dumps(item['row'])}\n    {defect}" for defect in defects(item["table"], item["row"]))
    found.extend(f"no row of {table} was written" for table in NEVER_EMPTY if not seen[table])
    return found, seen


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: validate_rows.py FOLDER")
    files = sorted(Path(sys.argv[1]).glob("*.jsonl"))
    found, seen = validate(line for file in files for line in file.read_text(encoding="utf-8").splitlines())
    for table, count in sorted(seen.items()):
        print(f"    {table}: {count} rows")
    for defect in found:
        print(defect, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
