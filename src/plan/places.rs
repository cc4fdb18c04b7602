//! Organizations and teams: what stands for a group.
//!
//! Invariant: a team or organization that a person made is adopted as it is:
//! never renamed away from a person's name, never moved, its models never
//! touched.

use std::collections::BTreeSet;

use super::World;
use super::admits;
use super::change::{CREATED, FieldChange, OrganizationChange, Plan, TeamChange};
use super::desired::{Desired, WantedGroup, skipped};
use super::follow::{Verdict, follow};
use crate::model::ids::{GroupId, OrganizationId, TeamId};
use crate::model::ledger::{
    LastWritten, Lifted, Origin, Ours, OwnedOrganization, OwnedTeam, Placement,
};
use crate::model::policy::{OrganizationTeamModels, Organizations};
use crate::model::report::{Kind, ObjectError, Skipped};
use crate::model::target::TeamRow;

/// Decides about every wanted group's organization and team.
pub(super) fn decide(world: World<'_>, desired: &Desired<'_>, plan: &mut Plan) {
    // A pass for one person leaves the places alone.
    if !world.scope.asked_people().is_empty() {
        return;
    }
    let mut team_room = world.policy.teams.room(world.target.team_count);
    for (group, wanted) in &desired.groups {
        if let Organizations::On(_) = world.policy.organizations {
            organization(world, plan, *group, wanted);
        }
        let team = TeamId::of(*group);
        // Said where its members are decided about.
        if world.target.broken_teams.contains_key(&team) {
            continue;
        }
        match world.target.teams.get(&team) {
            Some(row) => existing_team(world, plan, *group, wanted, row),
            None if team_room == 0 => {
                plan.skipped
                    .push(skipped(Kind::Team, *group, Skipped::NO_TEAM_LICENCE));
            }
            None => {
                if new_team(world, plan, *group, wanted) {
                    team_room -= 1;
                }
            }
        }
    }
}

fn organization(world: World<'_>, plan: &mut Plan, group: GroupId, wanted: &WantedGroup<'_>) {
    let id = OrganizationId::of(group);
    let Some(row) = world.target.organizations.get(&id) else {
        // `organization_alias` cannot be NULL; the id is at least unambiguous.
        let alias = wanted.alias.clone().unwrap_or_else(|| group.to_string());
        plan.organizations
            .push(OrganizationChange::Create { group, alias });
        return;
    };
    let known = world.owned.organizations.get(&group);
    let mut owned = known.cloned().unwrap_or(OwnedOrganization {
        origin: Origin::Adopted,
        alias: LastWritten::Never,
    });
    if known.is_none() {
        plan.adopted.first_seen.organizations.push(group);
    }
    // A group without a name says nothing: the organization keeps its own.
    let wanted = wanted.alias.as_ref();
    match follow(Some(&row.alias), wanted, &owned.alias, |a, b| a == b) {
        Verdict::Write(after) => {
            owned.alias = LastWritten::Value(after.clone());
            plan.organizations.push(OrganizationChange::Rename {
                group,
                alias: FieldChange {
                    before: Some(row.alias.clone()),
                    after: Some(after),
                },
                owned,
            });
            return;
        }
        Verdict::Equal => owned.alias = LastWritten::Value(row.alias.clone()),
        Verdict::Leave => {}
    }
    if known != Some(&owned) {
        plan.adopted.organizations.push((group, owned));
    }
}

/// Plans a new team; false when it cannot be made.
fn new_team(world: World<'_>, plan: &mut Plan, group: GroupId, wanted: &WantedGroup<'_>) -> bool {
    let (organization, models) = match world.policy.organizations {
        Organizations::Off => (world.policy.team_defaults.organization.clone(), None),
        Organizations::On(_) => (
            Some(OrganizationId::of(group)),
            organization_models(world, group),
        ),
    };
    if let (Organizations::Off, Some(organization)) = (world.policy.organizations, &organization)
        && let Err(reason) = admits::team(world, organization)
    {
        plan.unreadable.push(ObjectError {
            kind: Kind::Team,
            id: group.to_string(),
            message: format!("the team cannot be made: {reason}"),
        });
        return false;
    }
    plan.teams.push(TeamChange::Create {
        group,
        alias: wanted.alias.clone(),
        organization,
        models,
    });
    true
}

/// What a team inside its group's organization holds: the organization's list
/// as it is now, or as it is about to be made.
fn organization_models(world: World<'_>, group: GroupId) -> Option<Vec<String>> {
    match world.policy.organizations {
        Organizations::Off => None,
        Organizations::On(OrganizationTeamModels::AllOrgModels) => {
            Some(vec!["all-org-models".to_owned()])
        }
        Organizations::On(OrganizationTeamModels::Mirror) => {
            let organization = world.target.organizations.get(&OrganizationId::of(group));
            Some(match organization {
                Some(row) => row.models.clone(),
                None => world.policy.team_defaults.models.clone(),
            })
        }
    }
}

fn existing_team(
    world: World<'_>,
    plan: &mut Plan,
    group: GroupId,
    wanted: &WantedGroup<'_>,
    row: &TeamRow,
) {
    let known = world.owned.teams.get(&group);
    let mut owned = known.cloned().unwrap_or(OwnedTeam {
        origin: Origin::Adopted,
        alias: LastWritten::Never,
        models: LastWritten::Never,
        placement: Placement::Settled,
        block: Ours::No,
        lifted: Lifted::No,
    });
    if known.is_none() {
        plan.adopted.first_seen.teams.push(group);
    }
    let alias = team_alias(wanted, row, &mut owned);
    let organization = attachment(world, group, row, &mut owned);
    let models = mirrored_models(world, group, row, organization.as_ref(), &mut owned);
    if alias.is_none() && organization.is_none() && models.is_none() {
        if known != Some(&owned) {
            plan.adopted.teams.push((group, owned));
        }
        return;
    }
    plan.teams.push(TeamChange::Update {
        group,
        alias,
        organization,
        models,
        owned,
    });
}

fn team_alias(
    wanted: &WantedGroup<'_>,
    row: &TeamRow,
    owned: &mut OwnedTeam,
) -> Option<FieldChange<String>> {
    let verdict = follow(
        row.alias.as_ref(),
        wanted.alias.as_ref(),
        &owned.alias,
        |a, b| a == b,
    );
    match verdict {
        // A team that was found is left as it was, an empty name included,
        // until its name has once been Entra's.
        Verdict::Write(_)
            if owned.origin == Origin::Adopted && owned.alias == LastWritten::Never =>
        {
            None
        }
        Verdict::Write(after) => {
            owned.alias = LastWritten::Value(after.clone());
            Some(FieldChange {
                before: row.alias.clone(),
                after: Some(after),
            })
        }
        Verdict::Equal => {
            owned.alias = LastWritten::wrote(row.alias.clone());
            None
        }
        Verdict::Leave => None,
    }
}

/// A team that was made standalone because its organization could not be made
/// joins it now, unless somebody has placed it meanwhile.
fn attachment(
    world: World<'_>,
    group: GroupId,
    row: &TeamRow,
    owned: &mut OwnedTeam,
) -> Option<OrganizationId> {
    if owned.placement == Placement::Settled {
        return None;
    }
    if row.organization.is_some() {
        owned.placement = Placement::Settled;
        return None;
    }
    match world.policy.organizations {
        Organizations::Off => None,
        // The organization is there or is created before this change; if that
        // fails again, so does this change, and the mark stays.
        Organizations::On(_) => {
            owned.placement = Placement::Settled;
            Some(OrganizationId::of(group))
        }
    }
}

fn mirrored_models(
    world: World<'_>,
    group: GroupId,
    row: &TeamRow,
    attached: Option<&OrganizationId>,
    owned: &mut OwnedTeam,
) -> Option<FieldChange<Vec<String>>> {
    let inside =
        attached.is_some() || row.organization.as_ref() == Some(&OrganizationId::of(group));
    let LastWritten::Value(last) = &owned.models else {
        return None;
    };
    if !inside || set(last) != set(&row.models) {
        return None;
    }
    let wanted = organization_models(world, group)?;
    if set(&wanted) == set(&row.models) {
        return None;
    }
    owned.models = LastWritten::Value(wanted.clone());
    Some(FieldChange {
        before: Some(row.models.clone()),
        after: Some(wanted),
    })
}

fn set(models: &[String]) -> BTreeSet<&str> {
    models.iter().map(String::as_str).collect()
}

/// The ledger row of a team that was just made.
#[must_use]
pub fn created_team(
    alias: Option<String>,
    models: Option<Vec<String>>,
    placement: Placement,
) -> OwnedTeam {
    OwnedTeam {
        origin: CREATED,
        alias: LastWritten::wrote(alias),
        models: models.map_or(LastWritten::Never, LastWritten::Value),
        placement,
        block: Ours::No,
        lifted: Lifted::No,
    }
}
