//! Rows as LiteLLM's own models print them: known fields only, no nulls at the
//! top, times as ISO 8601 in UTC, lists never null.

use chrono::{NaiveDateTime, Timelike};
use serde_json::{Map, Value};

/// Fields of LiteLLM's model of a key. `policies` and `organization_id` are
/// not among them.
const KEY: [&str; 46] = [
    "token",
    "key_name",
    "key_alias",
    "spend",
    "total_spend",
    "max_budget",
    "expires",
    "models",
    "aliases",
    "config",
    "user_id",
    "team_id",
    "agent_id",
    "project_id",
    "max_parallel_requests",
    "metadata",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "budget_duration",
    "budget_reset_at",
    "allowed_cache_controls",
    "allowed_routes",
    "key_type",
    "permissions",
    "model_spend",
    "model_max_budget",
    "budget_fallbacks",
    "soft_budget_cooldown",
    "blocked",
    "budget_id",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "settings_updated_at",
    "last_active",
    "object_permission_id",
    "access_group_ids",
    "rotation_count",
    "auto_rotate",
    "rotation_interval",
    "last_rotation_at",
    "key_rotation_at",
    "router_settings",
    "budget_limits",
];

/// Fields of LiteLLM's model of a user, without the password.
pub(super) const USER: [&str; 26] = [
    "user_id",
    "user_alias",
    "team_id",
    "sso_user_id",
    "organization_id",
    "object_permission_id",
    "password_reset_required",
    "last_breach_check_at",
    "teams",
    "user_role",
    "max_budget",
    "spend",
    "user_email",
    "models",
    "metadata",
    "max_parallel_requests",
    "tpm_limit",
    "rpm_limit",
    "budget_duration",
    "budget_reset_at",
    "allowed_cache_controls",
    "policies",
    "model_spend",
    "model_max_budget",
    "created_at",
    "updated_at",
];

/// Columns that LiteLLM reads as an empty list when they are NULL.
const LISTS: [&str; 10] = [
    "models",
    "allowed_cache_controls",
    "allowed_routes",
    "access_group_ids",
    "teams",
    "policies",
    "admins",
    "members",
    "team_member_permissions",
    "default_team_member_models",
];

const TIMES: [&str; 9] = [
    "expires",
    "budget_reset_at",
    "created_at",
    "updated_at",
    "settings_updated_at",
    "last_active",
    "last_rotation_at",
    "key_rotation_at",
    "last_breach_check_at",
];

/// What a team's row has that the request to make it had not.
const NOT_REQUESTED: [&str; 3] = ["spend", "created_at", "updated_at"];

/// What a request leaves out when there is nothing to say.
const LEFT_OUT_EMPTY: [&str; 6] = [
    "metadata",
    "router_settings",
    "policies",
    "access_group_ids",
    "default_team_member_models",
    "team_member_permissions",
];

pub(super) fn key(row: &Value) -> Value {
    printed(row, |column| KEY.contains(&column), iso)
}

pub(super) fn user(row: &Value) -> Value {
    printed(row, |column| USER.contains(&column), iso)
}

/// A deleted team: its members are models too, and print no nulls either.
pub(super) fn team(row: &Value) -> Value {
    let mut printed = printed(row, |_| true, iso);
    members(&mut printed);
    printed
}

/// A new team, as it was asked for.
pub(super) fn created_team(row: &Value) -> Value {
    let mut printed = printed(row, |column| !NOT_REQUESTED.contains(&column), spaced);
    members(&mut printed);
    if let Value::Object(fields) = &mut printed {
        fields.retain(|name, value| {
            let empty = value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty);
            !(empty && LEFT_OUT_EMPTY.contains(&name.as_str()))
        });
    }
    printed
}

fn printed(row: &Value, known: impl Fn(&str) -> bool, time: fn(NaiveDateTime) -> String) -> Value {
    let fields = row.as_object().into_iter().flatten();
    Value::Object(
        fields
            .filter(|(name, _)| known(name))
            .filter_map(|(name, value)| {
                let value = match value {
                    Value::Null if LISTS.contains(&name.as_str()) => Value::Array(Vec::new()),
                    Value::Null => return None,
                    Value::String(text) if TIMES.contains(&name.as_str()) => text
                        .parse()
                        .map_or_else(|_| value.clone(), |at| Value::String(time(at))),
                    other => other.clone(),
                };
                Some((name.clone(), value))
            })
            .collect(),
    )
}

fn members(team: &mut Value) {
    let Some(roster) = team.get_mut("members_with_roles") else {
        return;
    };
    if roster.as_object().is_some_and(Map::is_empty) {
        *roster = Value::Array(Vec::new());
    }
    for entry in roster.as_array_mut().into_iter().flatten() {
        if let Some(fields) = entry.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
    }
}

/// As pydantic prints a time: six digits of a fraction, or none.
fn iso(at: NaiveDateTime) -> String {
    if at.nanosecond() == 0 {
        at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    } else {
        at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }
}

/// As Python's `str` prints a time.
fn spaced(at: NaiveDateTime) -> String {
    if at.nanosecond() == 0 {
        at.format("%Y-%m-%d %H:%M:%S+00:00").to_string()
    } else {
        at.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The right sides were printed by LiteLLM 1.109.1's own models.
    #[test]
    fn a_key_is_printed_as_litellm_prints_it() {
        let row = json!({
            "token": "hash-1", "spend": 1.5, "models": null, "max_parallel_requests": null,
            "metadata": { "n": null }, "blocked": null, "policies": ["p"],
            "organization_id": "org", "expires": "2030-01-02T03:04:05",
            "budget_reset_at": "2026-12-01T00:00:00.123", "router_settings": {},
        });
        assert_eq!(
            key(&row),
            json!({
                "token": "hash-1", "spend": 1.5, "models": [], "metadata": { "n": null },
                "expires": "2030-01-02T03:04:05Z",
                "budget_reset_at": "2026-12-01T00:00:00.123000Z", "router_settings": {},
            })
        );
    }

    #[test]
    fn a_new_team_is_printed_as_it_was_asked_for() {
        let row = json!({
            "team_id": "t", "team_alias": "T", "organization_id": null, "admins": [],
            "members": [], "members_with_roles": {}, "metadata": {}, "max_budget": null,
            "spend": 0, "models": [], "budget_duration": "30d",
            "budget_reset_at": "2026-12-01T00:00:00", "blocked": false,
            "created_at": "2026-01-01T00:00:00", "updated_at": "2026-01-01T00:00:00",
            "model_spend": {}, "model_max_budget": {}, "team_member_permissions": [],
            "router_settings": {}, "policies": [], "allow_team_guardrail_config": false,
            "access_group_ids": [], "default_team_member_models": [],
        });
        assert_eq!(
            created_team(&row),
            json!({
                "team_alias": "T", "team_id": "t", "admins": [], "members": [],
                "members_with_roles": [], "budget_duration": "30d", "models": [],
                "blocked": false, "budget_reset_at": "2026-12-01 00:00:00+00:00",
                "model_spend": {}, "model_max_budget": {}, "allow_team_guardrail_config": false,
            })
        );
    }

    #[test]
    fn a_deleted_team_prints_members_without_nulls() {
        let row = json!({
            "team_id": "t", "metadata": { "x": null },
            "members_with_roles": [{ "user_id": "a", "user_email": null, "role": "user" }],
            "updated_at": "2026-01-01T00:00:00.1",
        });
        assert_eq!(
            team(&row),
            json!({
                "team_id": "t", "metadata": { "x": null },
                "members_with_roles": [{ "user_id": "a", "role": "user" }],
                "updated_at": "2026-01-01T00:00:00.100000Z",
            })
        );
    }
}
