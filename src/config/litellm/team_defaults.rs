//! `litellm_settings.default_team_params`: what every new team starts with.
//!
//! Source: LiteLLM 1.109.1. Its login validates the mapping as a whole
//! `NewTeamRequest` (`proxy/_types.py`, `models/team.py`) and gives it to
//! `new_team` (`proxy/management_endpoints/team_endpoints.py`) as a caller
//! without a role. So every field of that request works, a value it refuses
//! makes every team creation fail, and a key it does not know is ignored.
//!
//! Invariant: each field of the request is either taken, and ends in the
//! column that LiteLLM fills, or refused by name; so is every other key. The
//! fixture `tests/fixtures/team_params.json` holds LiteLLM's own answers.
//! Must not: know a group, or ask the database whether an organization exists.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::lax::{self, Fault};
use super::licence::Licence;
use super::{ParamError, budgets, object_permission, team_metadata};
use crate::model::defaults::TeamDefaults;
use crate::model::ids::OrganizationId;

const SECTION: &str = "default_team_params";

/// Parameters of a team that LiteLLM keeps in `metadata` but does not read
/// from a creation request.
const ONLY_IN_METADATA: [&str; 11] = [
    "model_itpm_limit",
    "model_otpm_limit",
    "tag_rpm_limit",
    "enforced_params",
    "temp_budget_increase",
    "temp_budget_expiry",
    "throttle_on_budget_exceeded",
    "enable_prompt_caching",
    "end_user_budget_id",
    "logging",
    "callback_settings",
];

/// Reads the parameter's value; null and `{}` are the same as not set.
///
/// # Errors
/// Every [`ParamError`] there is, in the order of the parameter's fields.
pub fn parse(value: &Value, licence: &Licence) -> Result<TeamDefaults, Vec<ParamError>> {
    if value.is_null() {
        return Ok(TeamDefaults::default());
    }
    let mut fields = Fields::open(SECTION, value)?;
    refuse_identity(&mut fields);
    let max_budget = fields.optional("max_budget", lax::dollars);
    let budget_duration = fields.optional("budget_duration", budgets::duration);
    let policies = fields.given("policies").and_then(|it| lax::texts(it).ok());
    let defaults = TeamDefaults {
        models: fields.not_null("models", lax::texts).unwrap_or_default(),
        max_budget,
        soft_budget: soft_budget(&mut fields, max_budget),
        tpm_limit: fields.optional("tpm_limit", lax::limit),
        rpm_limit: fields.optional("rpm_limit", lax::limit),
        tpd_limit: fields.optional("tpd_limit", lax::limit),
        organization: fields
            .optional("organization_id", lax::name)
            .map(OrganizationId::new),
        team_member_permissions: texts(&mut fields, "team_member_permissions"),
        metadata: team_metadata::fold(&mut fields, licence),
        blocked: fields.not_null("blocked", lax::flag).unwrap_or_default(),
        model_max_budget: budgets::of_models(&mut fields, licence),
        router_settings: fields
            .optional("router_settings", router_settings)
            .unwrap_or_default(),
        policies: policies.unwrap_or_default(),
        access_group_ids: texts(&mut fields, "access_group_ids"),
        default_team_member_models: texts(&mut fields, "default_team_member_models"),
        budget_limits: budgets::at_once(&mut fields),
        model_aliases: fields.optional("model_aliases", lax::mapping),
        object_permission: object_permissions(&mut fields),
        member_budget: budgets::of_members(&mut fields, licence, budget_duration.as_ref()),
        budget_duration,
    };
    refuse_shared_guarantee(&mut fields, &defaults);
    refuse_unknown(&mut fields);
    fields.finish(defaults)
}

/// `litellm_settings.default_team_settings[0].max_budget`: LiteLLM's last
/// resort when `default_team_params` give no `max_budget`. It is applied after
/// `soft_budget` was compared, so it may even be below that.
///
/// # Errors
/// [`ParamError`] for an amount that is none.
pub fn legacy_max_budget(value: &Value) -> Result<Option<f64>, ParamError> {
    if value.is_null() {
        return Ok(None);
    }
    lax::dollars(value).map(Some).map_err(|fault| {
        ParamError::new(
            "default_team_settings[0].max_budget",
            fault,
            "correct it or take it out",
        )
    })
}

fn texts(fields: &mut Fields<'_>, key: &str) -> Vec<String> {
    fields.optional(key, lax::texts).unwrap_or_default()
}

fn soft_budget(fields: &mut Fields<'_>, max_budget: Option<f64>) -> Option<f64> {
    let soft = fields.optional("soft_budget", lax::dollars)?;
    if max_budget.is_some_and(|max| soft >= max) {
        fields.fault("soft_budget", "must be below max_budget");
    }
    Some(soft)
}

fn object_permissions(
    fields: &mut Fields<'_>,
) -> Option<std::collections::BTreeMap<String, Value>> {
    let value = fields.given("object_permission")?;
    match object_permission::columns(&fields.path("object_permission"), value) {
        Ok(columns) => Some(columns),
        Err(errors) => {
            fields.extend(errors);
            None
        }
    }
}

fn router_settings(value: &Value) -> Result<Map<String, Value>, Fault> {
    let settings = lax::mapping(value)?;
    let nothing_weighed = |weights: &Value| match weights {
        Value::Null => true,
        Value::Object(groups) => groups.values().all(|group| group == &json!({})),
        _ => false,
    };
    if !settings.get("weights").is_none_or(nothing_weighed) {
        return Err(
            "has weights, whose deployment ids LiteLLM checks against its running router".into(),
        );
    }
    Ok(settings)
}

/// What every team has of its own. Empty lists say nothing and pass.
fn refuse_identity(fields: &mut Fields<'_>) {
    for (key, whose) in [
        ("team_id", "the group's object id"),
        ("team_alias", "the group's display name"),
    ] {
        if fields.given(key).is_some() {
            fields.refuse(
                key,
                format!("is {whose} for every team, so LiteLLM overwrites it"),
                "take it out",
            );
        }
    }
    for key in ["members_with_roles", "members", "admins"] {
        let Some(list) = fields.not_null(key, lax::list) else {
            continue;
        };
        if !list.is_empty() {
            fields.refuse(
                key,
                "would put the same people into every team, past the directory",
                "take it out, and assign these people to the groups in Entra",
            );
        }
    }
}

/// With `guaranteed_throughput` LiteLLM adds up the limits of all teams of an
/// organization before it creates another one, so the outcome depends on the
/// order of creation.
fn refuse_shared_guarantee(fields: &mut Fields<'_>, defaults: &TeamDefaults) {
    if defaults.organization.is_none() {
        return;
    }
    for key in ["rpm_limit_type", "tpm_limit_type"] {
        if defaults.metadata.get(key).and_then(Value::as_str) == Some("guaranteed_throughput") {
            fields.refuse(
                key,
                "together with organization_id makes LiteLLM refuse teams once the organization's \
                 throughput is given away",
                "use best_effort_throughput, or take organization_id out",
            );
        }
    }
}

fn refuse_unknown(fields: &mut Fields<'_>) {
    for (key, _) in fields.left_over() {
        if ONLY_IN_METADATA.contains(&key) {
            fields.refuse(
                key,
                "is ignored by LiteLLM here",
                format!("write it as {SECTION}.metadata.{key}"),
            );
        } else {
            fields.refuse(
                key,
                "is no parameter of a team; LiteLLM ignores it",
                "take it out, or correct its spelling",
            );
        }
    }
}

#[cfg(test)]
mod tests;
