//! Whether this LiteLLM has a place for every default that the settings give.
//!
//! Invariant: a default that would vanish silently is named, and stops the pass
//! before anything is written.

use super::capabilities::Capabilities;
use super::error::{Error, Result};
use crate::model::policy::{Organizations, Policy};

const TEAM: &str = "LiteLLM_TeamTable";
const BUDGET: &str = "LiteLLM_BudgetTable";
const PERMISSION: &str = "LiteLLM_ObjectPermissionTable";

/// Looks for a column for each default that older releases had none for.
///
/// # Errors
/// [`Error::NotCapable`] names the first setting without one.
pub fn hold_defaults(capabilities: &Capabilities, policy: &Policy) -> Result<()> {
    let team = &policy.team_defaults;
    let organizations = matches!(policy.organizations, Organizations::On(_));
    let needs = [
        (
            team.soft_budget.is_some(),
            "default_team_params.soft_budget",
            TEAM,
            "soft_budget",
        ),
        (
            team.tpd_limit.is_some(),
            "default_team_params.tpd_limit",
            TEAM,
            "tpd_limit",
        ),
        // The organization's budget row carries the same limit.
        (
            organizations && team.tpd_limit.is_some(),
            "default_team_params.tpd_limit",
            BUDGET,
            "tpd_limit",
        ),
        (
            !team.team_member_permissions.is_empty(),
            "default_team_params.team_member_permissions",
            TEAM,
            "team_member_permissions",
        ),
        (
            !team.router_settings.is_empty(),
            "default_team_params.router_settings",
            TEAM,
            "router_settings",
        ),
        (
            !team.policies.is_empty(),
            "default_team_params.policies",
            TEAM,
            "policies",
        ),
        (
            !team.access_group_ids.is_empty(),
            "default_team_params.access_group_ids",
            TEAM,
            "access_group_ids",
        ),
        (
            !team.default_team_member_models.is_empty(),
            "default_team_params.default_team_member_models",
            TEAM,
            "default_team_member_models",
        ),
        (
            team.budget_limits.is_some(),
            "default_team_params.budget_limits",
            TEAM,
            "budget_limits",
        ),
        (
            team.object_permission.is_some(),
            "default_team_params.object_permission",
            TEAM,
            "object_permission_id",
        ),
    ];
    let permission = team.object_permission.iter().flat_map(|given| given.keys());
    let permission = permission.map(|column| {
        let setting = "default_team_params.object_permission";
        (true, setting, PERMISSION, column.as_str())
    });
    for (given, setting, table, column) in needs.into_iter().chain(permission) {
        if given && !capabilities.has(table, column) {
            return Err(Error::NotCapable {
                setting,
                table,
                column: column.to_owned(),
            });
        }
    }
    Ok(())
}
