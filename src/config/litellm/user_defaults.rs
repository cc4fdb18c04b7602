//! `default_internal_user_params` and the settings around it: what every new
//! user starts with.
//!
//! Source: LiteLLM 1.109.1, `insert_sso_user` (`ui_sso.py`), `new_user` with
//! `_update_internal_new_user_params` and `check_if_default_team_set`
//! (`internal_user_endpoints.py`), `generate_key_helper_fn`
//! (`key_management_endpoints.py`), all under `proxy/management_endpoints/`,
//! and the conversions of `proxy/proxy_server.py`.
//!
//! Invariant: every key is taken or refused by name. LiteLLM hands the keys on
//! as arguments: one that is none makes every user creation fail, another is
//! dropped because the login brings its own value. `available_teams` is left
//! alone: it lists teams to join by hand and writes nothing. Must not: look a
//! team up.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ParamError;
use super::budgets;
use super::fields::Fields;
use super::lax::{self, Fault};
use super::licence::Licence;
use crate::model::defaults::{DefaultTeam, Setting, UserDefaults};
use crate::model::ids::TeamId;
use crate::model::role::Role;
use crate::model::target::TeamRole;

const SECTION: &str = "default_internal_user_params";

/// The four settings, as they stand in `litellm_settings`; null is the same as
/// not set.
#[derive(Debug, Clone, Copy)]
pub struct InternalUserSettings<'a> {
    /// `default_internal_user_params`.
    pub params: &'a Value,
    /// `max_internal_user_budget`, US dollars.
    pub max_budget: &'a Value,
    /// `default_max_internal_user_budget`, for when the former is not set.
    pub default_max_budget: &'a Value,
    /// `internal_user_budget_duration`.
    pub budget_duration: &'a Value,
}

/// Reads the settings.
///
/// # Errors
/// Every [`ParamError`] there is.
pub fn parse(
    settings: InternalUserSettings<'_>,
    licence: &Licence,
) -> Result<UserDefaults, Vec<ParamError>> {
    let mut errors = Vec::new();
    let max_budget = global(
        &mut errors,
        "max_internal_user_budget",
        settings.max_budget,
        lax::dollars,
    );
    let fallback = global(
        &mut errors,
        "default_max_internal_user_budget",
        settings.default_max_budget,
        lax::dollars,
    );
    let duration = global(
        &mut errors,
        "internal_user_budget_duration",
        settings.budget_duration,
        budgets::duration,
    );
    match params(settings.params, licence) {
        Ok(defaults) if errors.is_empty() => Ok(UserDefaults {
            max_internal_user_budget: max_budget.or(fallback),
            internal_user_budget_duration: duration,
            ..defaults
        }),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

fn global<T>(
    errors: &mut Vec<ParamError>,
    key: &str,
    value: &Value,
    read: impl FnOnce(&Value) -> Result<T, Fault>,
) -> Option<T> {
    if value.is_null() {
        return None;
    }
    match read(value) {
        Ok(read) => Some(read),
        Err(fault) => {
            errors.push(ParamError::new(key, fault, "correct it or take it out"));
            None
        }
    }
}

fn params(value: &Value, licence: &Licence) -> Result<UserDefaults, Vec<ParamError>> {
    if value.is_null() {
        return Ok(UserDefaults::default());
    }
    let mut fields = Fields::open(SECTION, value)?;
    // Not ours to act on, and no mistake either.
    fields.raw("available_teams");
    let defaults = UserDefaults {
        role: fields.optional("user_role", role),
        max_budget: setting(&mut fields, "max_budget", lax::dollars),
        budget_duration: setting(&mut fields, "budget_duration", budgets::duration),
        models: fields.optional("models", lax::texts).unwrap_or_default(),
        tpm_limit: fields.optional("tpm_limit", bare_limit),
        rpm_limit: fields.optional("rpm_limit", bare_limit),
        max_parallel_requests: fields.optional("max_parallel_requests", parallel_requests),
        teams: default_teams(&mut fields, licence),
        ..UserDefaults::default()
    };
    for (key, value) in fields.left_over() {
        let (reason, remedy) = why_not(key);
        // Null says nothing where LiteLLM hands it on; what it does not know
        // fails all the same, and a person's own value would be overwritten.
        let says_nothing = value.is_null() && matches!(fate(key), Fate::Effect | Fate::NoEffect);
        if !says_nothing {
            fields.refuse(key, reason, remedy);
        }
    }
    fields.finish(defaults)
}

fn setting<'a, T>(
    fields: &mut Fields<'a>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Result<T, Fault>,
) -> Setting<T> {
    match fields.raw(key) {
        None => Setting::Absent,
        Some(Value::Null) => Setting::Null,
        // A fault is noted, so what stands for it here is never seen.
        Some(_) => fields
            .not_null(key, read)
            .map_or(Setting::Null, Setting::Given),
    }
}

fn role(value: &Value) -> Result<Role, Fault> {
    value.as_str().and_then(Role::from_stored).ok_or_else(|| {
        "must be proxy_admin, proxy_admin_viewer, internal_user or internal_user_viewer".into()
    })
}

/// A limit that LiteLLM hands to the database as it is, so quoted it fails.
fn bare_limit(value: &Value) -> Result<i64, Fault> {
    value
        .as_i64()
        .filter(|limit| *limit >= 0)
        .ok_or_else(|| "must be a whole number without quotes that is not negative".to_owned())
}

fn parallel_requests(value: &Value) -> Result<i32, Fault> {
    let limit = bare_limit(value)?;
    i32::try_from(limit).map_err(|_| format!("must be at most {}", i32::MAX))
}

/// `teams`: ids, or mappings, not both.
fn default_teams(fields: &mut Fields<'_>, licence: &Licence) -> Vec<DefaultTeam> {
    let Some(entries) = fields.optional("teams", lax::list) else {
        return Vec::new();
    };
    if !(entries.iter().all(Value::is_string) || entries.iter().all(Value::is_object)) {
        fields.refuse(
            "teams",
            "must be all team ids or all mappings; LiteLLM ignores a mixed list",
            "write each entry as {team_id: …}",
        );
        return Vec::new();
    }
    let section = fields.path("teams");
    let mut teams = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("{section}[{index}]");
        match default_team(&place, entry, licence) {
            Ok(team) if seen.insert(team.team.clone()) => teams.push(team),
            Ok(team) => fields.refuse(
                "teams",
                format!("lists the team `{}` twice", team.team),
                "keep one entry",
            ),
            Err(errors) => fields.extend(errors),
        }
    }
    teams
}

fn default_team(
    place: &str,
    entry: &Value,
    licence: &Licence,
) -> Result<DefaultTeam, Vec<ParamError>> {
    let fault = |fault: Fault| vec![ParamError::new(place, fault, "write a team's id")];
    if entry.is_string() {
        return Ok(DefaultTeam {
            team: TeamId::new(lax::name(entry).map_err(fault)?),
            max_budget: None,
            role: TeamRole::User,
        });
    }
    let mut fields = Fields::open(place, entry)?;
    if fields.given("team_id").is_none() {
        fields.fault("team_id", "is missing");
    }
    let team = fields.optional("team_id", lax::name);
    let max_budget = fields.optional("max_budget_in_team", lax::dollars);
    let role = fields.not_null("user_role", team_role);
    if role == Some(TeamRole::Admin) && !licence.grants_premium() {
        let (reason, remedy) = licence.premium_fault();
        fields.refuse("user_role", reason, remedy);
    }
    for (key, _) in fields.left_over() {
        fields.refuse(
            key,
            "is a key that LiteLLM ignores",
            "an entry has team_id, max_budget_in_team and user_role only",
        );
    }
    let team = team.map(|team| DefaultTeam {
        team: TeamId::new(team),
        max_budget,
        role: role.unwrap_or(TeamRole::User),
    });
    fields.finish(team)?.ok_or_else(Vec::new)
}

fn team_role(value: &Value) -> Result<TeamRole, Fault> {
    match value.as_str() {
        Some("user") => Ok(TeamRole::User),
        Some("admin") => Ok(TeamRole::Admin),
        _ => Err("must be `user` or `admin`".to_owned()),
    }
}

/// What LiteLLM does with a key that we do not take.
enum Fate {
    /// It is the person's own.
    Identity,
    /// It changes the new user, or what comes with it, in a way that is not
    /// rebuilt here.
    Effect,
    /// It says something about keys, and a login makes none; or the login
    /// brings its own value.
    NoEffect,
    /// It is no argument of the function that it is handed to.
    Unknown,
}

fn fate(key: &str) -> Fate {
    match key {
        "user_id" | "user_email" | "user_alias" | "sso_user_id" => Fate::Identity,
        "team_id"
        | "organization_id"
        | "organizations"
        | "model_rpm_limit"
        | "model_tpm_limit"
        | "mcp_rpm_limit"
        | "tag_rpm_limit"
        | "guardrails"
        | "policies"
        | "prompts"
        | "object_permission"
        | "object_permission_id"
        | "router_settings" => Fate::Effect,
        "duration"
        | "aliases"
        | "config"
        | "spend"
        | "key_max_budget"
        | "key_budget_duration"
        | "budget_id"
        | "soft_budget"
        | "blocked"
        | "token"
        | "key"
        | "agent_id"
        | "metadata"
        | "tpd_limit"
        | "update_key_values"
        | "key_alias"
        | "allowed_cache_controls"
        | "permissions"
        | "model_max_budget"
        | "budget_fallbacks"
        | "project_id"
        | "send_invite_email"
        | "created_by"
        | "updated_by"
        | "allowed_routes"
        | "key_type"
        | "auto_rotate"
        | "rotation_interval"
        | "access_group_ids"
        | "budget_limits"
        | "table_name"
        | "password" => Fate::NoEffect,
        _ => Fate::Unknown,
    }
}

fn why_not(key: &str) -> (&'static str, &'static str) {
    match fate(key) {
        Fate::Identity => (
            "is each person's own and cannot be a default",
            "take it out",
        ),
        Fate::Effect => (
            "is not supported here, and users would differ from those that LiteLLM makes",
            "take it out, or set it on the users in LiteLLM",
        ),
        Fate::NoEffect => (
            "has no effect on the users that a login creates",
            "take it out",
        ),
        Fate::Unknown => (
            "is no parameter of a user; with it LiteLLM fails to create any user",
            "take it out, or correct its spelling",
        ),
    }
}

#[cfg(test)]
mod tests;
