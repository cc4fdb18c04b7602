//! Whether the organization of `default_team_params.organization_id` admits the
//! teams that the other defaults describe.
//!
//! Invariant: a team that LiteLLM itself would refuse to make there
//! (litellm-contract 2b) is not made.

use super::World;
use crate::model::ids::OrganizationId;

/// Says which default the organization does not admit, and what to do.
pub(super) fn team(world: World<'_>, organization: &OrganizationId) -> Result<(), String> {
    let Some(row) = world.target.organizations.get(organization) else {
        return Err(format!(
            "default_team_params.organization_id names organization {organization}, which LiteLLM \
             does not have; create it or change the setting"
        ));
    };
    let defaults = &world.policy.team_defaults;
    let remedy = "as LiteLLM would refuse it; lower the default or raise the organization's limit";
    let exceeded = [
        (
            "max_budget",
            exceeds(defaults.max_budget, row.ceiling.max_budget),
        ),
        (
            "tpm_limit",
            exceeds(defaults.tpm_limit, row.ceiling.tpm_limit),
        ),
        (
            "rpm_limit",
            exceeds(defaults.rpm_limit, row.ceiling.rpm_limit),
        ),
    ];
    if let Some((name, _)) = exceeded.iter().find(|(_, exceeded)| *exceeded) {
        return Err(format!(
            "default_team_params.{name} is more than organization {organization} has, {remedy}"
        ));
    }
    let everything = row.models.is_empty() || row.models.iter().any(|m| m == "all-proxy-models");
    let foreign = defaults.models.iter().find(|m| !row.models.contains(m));
    match foreign {
        Some(model) if !everything => Err(format!(
            "default_team_params.models lists {model:?}, which organization {organization} does \
             not; take it out there or add it to the organization"
        )),
        _ => Ok(()),
    }
}

/// Without a limit on either side there is nothing to compare.
fn exceeds<T: PartialOrd>(wanted: Option<T>, ceiling: Option<T>) -> bool {
    matches!((wanted, ceiling), (Some(wanted), Some(ceiling)) if wanted > ceiling)
}
