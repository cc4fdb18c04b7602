#!/usr/bin/env python3
"""The validation of rows can fail: a sound row passes, spoilt ones do not.

    PYTHONPATH=... python3 tests/python/test_validate_rows.py
"""

import json
import unittest

from validate_rows import NEVER_EMPTY, validate

FIXTURES = __file__.replace("python/test_validate_rows.py", "fixtures/")


def reference_rows():
    """Rows that LiteLLM wrote, as lines of the exchange format."""
    with open(FIXTURES + "litellm-reference-rows.json", encoding="utf-8") as file:
        scenarios = json.load(file)
    yield from audit_rows()
    for name, scenario in scenarios.items():
        if name != "about":
            for table, rows in scenario.get("rows", {}).items():
                yield from ({"table": table, "row": row} for row in rows)


def audit_rows():
    """Audit rows that LiteLLM made, likewise."""
    with open(FIXTURES + "audit_rows.json", encoding="utf-8") as file:
        sections = json.load(file)
    for name, cases in sections.items():
        if name != "source":
            for case in cases:
                made = {"id": "id", "updated_at": "2026-11-21T19:30:15.123"}
                yield {"table": "LiteLLM_AuditLog", "row": {**made, **case["audit"]}}


def lines(items):
    return [json.dumps(item) for item in items]


class Validation(unittest.TestCase):
    def refuses(self, table, **changes):
        rows = list(reference_rows())
        spoilt = next(item for item in rows if item["table"] == table)
        spoilt["row"].update(changes)
        found, _ = validate(lines(rows))
        self.assertTrue(found, f"{table} {changes} went through")

    def test_rows_that_litellm_wrote_pass(self):
        found, seen = validate(lines(reference_rows()))
        self.assertEqual(found, [])
        self.assertGreater(seen["LiteLLM_TeamTable"], 10)

    def test_no_rows_at_all_is_a_defect_for_each_table(self):
        found, _ = validate([])
        self.assertEqual(len(found), len(NEVER_EMPTY))

    def test_a_member_without_any_name_is_refused(self):
        self.refuses("LiteLLM_TeamTable", members_with_roles=[{"user_id": None, "user_email": None, "role": "user"}])

    def test_a_member_with_an_unknown_role_is_refused(self):
        self.refuses("LiteLLM_TeamTable", members_with_roles=[{"user_id": "u", "user_email": None, "role": "member"}])

    def test_a_member_named_twice_is_refused(self):
        self.refuses("LiteLLM_TeamTable", members_with_roles=[{"user_id": "u", "user_email": None, "role": "user"}] * 2)

    def test_a_roster_that_is_no_list_is_refused(self):
        self.refuses("LiteLLM_TeamTable", members_with_roles={})

    def test_a_list_that_is_null_is_refused(self):
        self.refuses("LiteLLM_UserTable", teams=None)

    def test_an_unknown_role_is_refused(self):
        self.refuses("LiteLLM_UserTable", user_role="viewer")

    def test_a_duration_that_litellm_cannot_read_is_refused(self):
        self.refuses("LiteLLM_TeamTable", budget_duration="2mo")

    def test_a_timestamp_that_is_none_is_refused(self):
        self.refuses("LiteLLM_UserTable", budget_reset_at="tomorrow")

    def refuses_audit(self, action, table, column, value):
        rows = list(reference_rows())
        about = {"action": action, "table_name": table}
        spoilt = next(item for item in rows if about.items() <= item["row"].items())
        spoilt["row"][column] = value
        found, _ = validate(lines(rows))
        self.assertTrue(found, f"{action} {table} {value} went through")

    def test_audit_values_that_are_no_json_text_of_litellms_models_are_refused(self):
        self.refuses_audit("deleted", "LiteLLM_VerificationToken", "before_value", {"token": "t", "created_at": "2030-01-02"})
        self.refuses_audit("created", "LiteLLM_UserTable", "updated_values", {"user_id": "u", "max_budget": "5"})
        self.refuses_audit("deleted", "LiteLLM_TeamTable", "before_value", {"team_id": "t", "members_with_roles": {}})

    def test_an_audit_value_that_is_not_masked_is_refused(self):
        self.refuses_audit("created", "LiteLLM_TeamTable", "updated_values", {"metadata": {"api_key": "sk-1234567890"}})

    def test_an_audit_value_that_is_encoded_otherwise_is_refused(self):
        self.refuses_audit("deleted", "LiteLLM_TeamTable", "before_value", "{}")
        rows = list(reference_rows())
        spoilt = next(item for item in rows if isinstance(item["row"].get("before_value"), str))
        spoilt["row"]["before_value"] = {"team_id": "t"}
        found, _ = validate(lines(rows))
        self.assertTrue(found)

    def test_an_unknown_action_is_refused(self):
        self.refuses_audit("deleted", "LiteLLM_TeamTable", "action", "detached")

    def test_a_table_that_no_pass_writes_is_refused(self):
        found, _ = validate([*lines(reference_rows()), json.dumps({"table": "LiteLLM_Config", "row": {}})])
        self.assertEqual(len(found), 1)


if __name__ == "__main__":
    unittest.main()
