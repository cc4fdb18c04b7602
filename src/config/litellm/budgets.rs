//! Budgets inside `default_team_params`: per model, several at once, and the
//! one that a team's members share.
//!
//! Source: LiteLLM 1.109.1, `validate_team_model_max_budget` and
//! `validate_budget_duration` (`proxy/management_endpoints/common_utils.py`),
//! `BudgetConfig` (`types/utils.py`), `BudgetLimitEntry` (`models/team.py`) and
//! `TeamMemberBudgetHandler` (`proxy/management_endpoints/team_endpoints.py`).
//! Must not: compute when a budget starts over.

use serde_json::{Map, Value, json};

use super::ParamError;
use super::fields::Fields;
use super::lax::{self, Fault};
use super::licence::Licence;
use crate::litellm::budget_reset;
use crate::model::defaults::{BudgetLimit, MemberBudget};

/// A duration that LiteLLM lets a budget have.
pub(super) fn duration(value: &Value) -> Result<String, Fault> {
    let duration = lax::text(value)?;
    budget_reset::validate(&duration)
        .map_err(|bad| format!("is `{duration}`, which LiteLLM refuses: {}", bad.reason))?;
    Ok(duration)
}

/// How a budget per model is stored.
#[derive(Debug, Clone, Copy)]
enum Nulls {
    /// `LiteLLM_TeamTable`: `tpm_limit` and `rpm_limit` stand there as null.
    Kept,
    /// `LiteLLM_BudgetTable`: nulls are left out.
    Dropped,
}

/// `model_max_budget`, as its team column holds it.
pub(super) fn of_models(fields: &mut Fields<'_>, licence: &Licence) -> Map<String, Value> {
    model_budgets(fields, "model_max_budget", licence, Nulls::Kept).unwrap_or_default()
}

/// The `team_member_*` limits; `None` when none of them is set. `team` is the
/// team's own `budget_duration`.
pub(super) fn of_members(
    fields: &mut Fields<'_>,
    licence: &Licence,
    team: Option<&String>,
) -> Option<MemberBudget> {
    let max_budget = fields.optional("team_member_budget", lax::dollars);
    let tpm_limit = fields.optional("team_member_tpm_limit", lax::limit);
    let rpm_limit = fields.optional("team_member_rpm_limit", lax::limit);
    let model_max_budget = model_budgets(
        fields,
        "team_member_model_max_budget",
        licence,
        Nulls::Dropped,
    );
    // The key's presence counts: given as null, a member budget never resets;
    // left out, it resets with the team.
    let given = fields.raw("team_member_budget_duration").is_some();
    let own = fields.optional("team_member_budget_duration", duration);
    let any = max_budget.is_some()
        || tpm_limit.is_some()
        || rpm_limit.is_some()
        || own.is_some()
        || model_max_budget.is_some();
    any.then(|| MemberBudget {
        max_budget,
        duration: if given { own } else { team.cloned() },
        tpm_limit,
        rpm_limit,
        model_max_budget,
    })
}

/// `budget_limits`. An empty list is stored as one. Without `reset_at`, which
/// LiteLLM computes for every team.
pub(super) fn at_once(fields: &mut Fields<'_>) -> Option<Vec<BudgetLimit>> {
    let entries = fields.optional("budget_limits", lax::list)?;
    let section = fields.path("budget_limits");
    let mut limits = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match budget_limit(&format!("{section}[{index}]"), entry) {
            Ok(limit) => limits.push(limit),
            Err(errors) => fields.extend(errors),
        }
    }
    Some(limits)
}

fn budget_limit(section: &str, entry: &Value) -> Result<BudgetLimit, Vec<ParamError>> {
    let mut fields = Fields::open(section, entry)?;
    // LiteLLM itself takes any duration here and lets the reset job find out.
    let duration = required(&mut fields, "budget_duration", duration);
    let max_budget = required(&mut fields, "max_budget", lax::dollars);
    if fields.given("reset_at").is_some() {
        fields.refuse(
            "reset_at",
            "is computed from budget_duration for every team",
            "take it out",
        );
    }
    refuse_unknown(
        &mut fields,
        "a window has budget_duration and max_budget only",
    );
    let limit = duration
        .zip(max_budget)
        .map(|(duration, max_budget)| BudgetLimit {
            duration,
            max_budget,
        });
    fields.finish(limit)?.ok_or_else(Vec::new)
}

fn model_budgets(
    fields: &mut Fields<'_>,
    key: &str,
    licence: &Licence,
    nulls: Nulls,
) -> Option<Map<String, Value>> {
    let budgets = fields.optional(key, lax::mapping)?;
    if !budgets.is_empty() && !licence.grants_premium() {
        let (reason, remedy) = licence.premium_fault();
        fields.refuse(key, reason, remedy);
        return None;
    }
    let section = fields.path(key);
    let mut stored = Map::new();
    for (model, budget) in &budgets {
        if model.trim().is_empty() {
            fields.fault(key, "has a blank model name");
        }
        match model_budget(&format!("{section}.{model}"), budget, nulls) {
            Ok(budget) => {
                stored.insert(model.clone(), budget);
            }
            Err(errors) => fields.extend(errors),
        }
    }
    Some(stored)
}

fn model_budget(section: &str, budget: &Value, nulls: Nulls) -> Result<Value, Vec<ParamError>> {
    let mut fields = Fields::open(section, budget)?;
    let max_budget = renamed(&mut fields, "max_budget", "budget_limit", lax::dollars);
    let duration = renamed(&mut fields, "budget_duration", "time_period", duration);
    for key in ["tpm_limit", "rpm_limit"] {
        if fields.given(key).is_some() {
            fields.refuse(
                key,
                "is not enforced for a team's model budget, so LiteLLM refuses it",
                "set model_tpm_limit or model_rpm_limit instead",
            );
        }
    }
    refuse_unknown(
        &mut fields,
        "a model budget has max_budget and budget_duration only",
    );
    let stored = match nulls {
        Nulls::Kept => json!({
            "max_budget": max_budget, "budget_duration": duration,
            "tpm_limit": null, "rpm_limit": null,
        }),
        Nulls::Dropped => json!({ "max_budget": max_budget, "budget_duration": duration }),
    };
    fields.finish(stored)
}

/// Reads a required key that LiteLLM also knows by an older name.
fn renamed<'a, T>(
    fields: &mut Fields<'a>,
    key: &str,
    older: &str,
    read: impl FnOnce(&'a Value) -> Result<T, Fault>,
) -> Option<T> {
    if fields.raw(older).is_none() {
        return required(fields, key, read);
    }
    if fields.raw(key).is_some() {
        fields.refuse(
            key,
            format!("stands beside `{older}`, which LiteLLM prefers"),
            "keep one of the two",
        );
    }
    required(fields, older, read)
}

fn required<'a, T>(
    fields: &mut Fields<'a>,
    key: &str,
    read: impl FnOnce(&'a Value) -> Result<T, Fault>,
) -> Option<T> {
    if fields.raw(key).is_none() {
        fields.fault(key, "is missing");
        return None;
    }
    fields.not_null(key, read)
}

fn refuse_unknown(fields: &mut Fields<'_>, known: &str) {
    for (key, _) in fields.left_over() {
        fields.refuse(key, "is a key that LiteLLM ignores", known);
    }
}
