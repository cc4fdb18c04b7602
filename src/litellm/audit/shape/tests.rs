//! Against what LiteLLM 1.109.1's own code made of the same rows
//! (`tests/fixtures/README.md`).

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::super::mask::mask;
use super::*;

fn cases(section: &str) -> Vec<Value> {
    let fixture = include_str!("../../../../tests/fixtures/audit_rows.json");
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    let cases = fixture[section].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{section}");
    cases
}

#[test]
fn deleted_keys_are_printed_as_litellm_prints_them() {
    for case in cases("key_deleted") {
        assert_eq!(mask(&key(&case["row"])), case["audit"]["before_value"]);
    }
}

#[test]
fn deleted_teams_are_printed_as_litellm_prints_them() {
    for case in cases("team_deleted") {
        assert_eq!(mask(&team(&case["row"])), case["audit"]["before_value"]);
    }
}

#[test]
fn new_users_are_printed_as_litellm_prints_them() {
    for case in cases("user_created") {
        let mut row = case["row"].clone();
        // PostgreSQL prints a whole number without a fraction.
        row["spend"] = json!(0.0);
        assert_eq!(mask(&user(&row)), case["audit"]["updated_values"]);
    }
}

#[test]
fn a_team_before_a_change_is_printed_as_prisma_prints_it() {
    for case in cases("team_updated") {
        let theirs = case["audit"]["before_value"].as_str().expect("a text");
        let theirs: Value = serde_json::from_str(theirs).unwrap();
        assert_eq!(stored_team(&case["row"]), theirs);
    }
}

#[test]
fn columns_that_litellms_model_of_a_key_does_not_know_are_left_out() {
    let row = json!({
        "token": "hash-1", "models": null, "blocked": null, "policies": ["p"],
        "organization_id": "org", "metadata": { "n": null },
    });
    assert_eq!(
        key(&row),
        json!({ "token": "hash-1", "models": [], "metadata": { "n": null } })
    );
}

#[test]
fn a_roster_that_was_never_written_is_an_empty_list() {
    let row = json!({ "team_id": "t", "members_with_roles": {} });
    let list = json!({ "team_id": "t", "members_with_roles": [] });
    assert_eq!(created_team(&row, Tz::UTC), list);
    assert_eq!(team(&row), list);
}

#[test]
fn times_keep_the_zone_that_litellm_gives_them() {
    let row = json!({
        "budget_reset_at": "2026-12-01T00:00:00.1",
        "budget_limits": [{ "max_budget": 1.0, "reset_at": "2026-12-01T09:00:00+09:00" }],
    });
    assert_eq!(
        created_team(&row, Tz::Asia__Tokyo)["budget_reset_at"],
        "2026-12-01 09:00:00.100000+09:00"
    );
    let deleted = team(&row);
    assert_eq!(deleted["budget_reset_at"], "2026-12-01T00:00:00.100000Z");
    assert_eq!(
        deleted["budget_limits"][0]["reset_at"],
        "2026-12-01T09:00:00+09:00"
    );
}
