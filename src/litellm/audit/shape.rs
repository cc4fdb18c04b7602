//! Rows as LiteLLM's own models print them: known fields only, no nulls at the
//! top, times as ISO 8601 in UTC, lists never null.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;
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

/// What a request leaves out when there is nothing to say. (One that gives
/// them empty makes the same row, and cannot be told from it.)
const LEFT_OUT_EMPTY: [&str; 7] = [
    "metadata",
    "model_max_budget",
    "router_settings",
    "policies",
    "access_group_ids",
    "default_team_member_models",
    "team_member_permissions",
];

pub(super) fn key(row: &Value) -> Value {
    printed(row, |column| KEY.contains(&column), iso_utc)
}

pub(super) fn user(row: &Value) -> Value {
    printed(row, |column| USER.contains(&column), iso_utc)
}

/// A team as Prisma's client prints its row: what is nested stays as stored.
pub(super) fn stored_team(row: &Value) -> Value {
    printed(row, |_| true, iso_utc)
}

/// A deleted team: its members and budget windows are models too, and print no
/// nulls either.
pub(super) fn team(row: &Value) -> Value {
    let mut printed = printed(row, |_| true, iso_utc);
    members(&mut printed);
    budget_windows(&mut printed);
    printed
}

/// A new team, as it was asked for; the times are still in the zone in which
/// they were reckoned.
pub(super) fn created_team(row: &Value, zone: Tz) -> Value {
    let known = |column: &str| !NOT_REQUESTED.contains(&column);
    let mut printed = printed(row, known, |at| {
        spaced(zone.from_utc_datetime(&at).fixed_offset())
    });
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

fn printed(
    row: &Value,
    known: impl Fn(&str) -> bool,
    time: impl Fn(NaiveDateTime) -> String,
) -> Value {
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

/// Each is a duration, an amount, and when it is reset.
fn budget_windows(team: &mut Value) {
    let windows = team.get_mut("budget_limits").and_then(Value::as_array_mut);
    for window in windows.into_iter().flatten() {
        let Some(fields) = window.as_object_mut() else {
            continue;
        };
        fields.retain(|_, value| !value.is_null());
        if let Some(reset_at) = fields.get_mut("reset_at")
            && let Some(at) = reset_at.as_str().and_then(|text| text.parse().ok())
        {
            *reset_at = Value::String(iso(at));
        }
    }
}

fn iso_utc(at: NaiveDateTime) -> String {
    iso(at.and_utc().fixed_offset())
}

/// As pydantic prints a time: six digits of a fraction, or none.
fn iso(at: DateTime<FixedOffset>) -> String {
    let time = at.format("%Y-%m-%dT%H:%M:%S");
    let fraction = fraction(at);
    if at.offset().fix().local_minus_utc() == 0 {
        format!("{time}{fraction}Z")
    } else {
        format!("{time}{fraction}{}", at.format("%:z"))
    }
}

/// As Python's `str` prints a time.
fn spaced(at: DateTime<FixedOffset>) -> String {
    let time = at.format("%Y-%m-%d %H:%M:%S");
    format!("{time}{}{}", fraction(at), at.format("%:z"))
}

fn fraction(at: DateTime<FixedOffset>) -> String {
    match at.nanosecond() {
        0 => String::new(),
        _ => at.format("%.6f").to_string(),
    }
}

#[cfg(test)]
mod tests;
