//! What becomes of the team and organization of a group that is no longer
//! assigned.
//!
//! Invariant: only a team that we made is blocked or deleted; what the settings
//! keep stays as it is.
//! Must not: judge whether the group is assigned; [`super::groups`] has looked
//! twice.

use std::collections::BTreeSet;

use super::groups::{membership, organization_membership};
use super::{Forgotten, Removals};
use crate::model::ids::{GroupId, TeamId};
use crate::model::ledger::{Lifted, Member, Origin, Ours};
use crate::model::policy::{MembershipPolicy, UnassignedGroupPolicy};
use crate::model::target::Block;
use crate::plan::World;
use crate::plan::removal::{Removal, Why};

/// Decides about a group that neither look at the assignments shows.
pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    group: GroupId,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
) {
    let team = TeamId::of(group);
    if world.target.broken_teams.contains_key(&team) {
        return;
    }
    let (Some(owned), Some(row)) = (world.owned.teams.get(&group), world.target.teams.get(&team))
    else {
        // Of a team that has gone, no membership outlives the assignment.
        if !world.target.teams.contains_key(&team) {
            let members = world.owned.team_members.get(&group).into_iter().flatten();
            let members = members.map(|member| (group, member.clone()));
            forgotten.team_members.extend(members);
        }
        if !matches!(
            removals.deprovision.unassigned_group,
            UnassignedGroupPolicy::Keep | UnassignedGroupPolicy::Block
        ) {
            memberships(world, removals, group, candidates, forgotten);
        }
        return;
    };
    let managed = world.owned.team_members.get(&group).map_or(0, Vec::len);
    // People whom somebody added by hand lose a team that goes as well.
    let members = (row.roster.len() as u64 + row.strangers).max(managed as u64);
    let elsewhere = world.owned.held_elsewhere.as_ref();
    let is_shared = elsewhere.is_some_and(|held| held.teams.contains(&group));
    let policy = match (removals.deprovision.unassigned_group, owned.origin) {
        // Another source goes on with it, and decides what becomes of it.
        (UnassignedGroupPolicy::Block | UnassignedGroupPolicy::Delete, _) if is_shared => {
            forgotten.teams.push(group);
            UnassignedGroupPolicy::Detach
        }
        // An adopted team was somebody's before it was ours.
        (UnassignedGroupPolicy::Block | UnassignedGroupPolicy::Delete, Origin::Adopted) => {
            UnassignedGroupPolicy::Detach
        }
        (policy, _) => policy,
    };
    match policy {
        UnassignedGroupPolicy::Keep => {}
        UnassignedGroupPolicy::Detach => {
            memberships(world, removals, group, candidates, forgotten);
        }
        UnassignedGroupPolicy::Block => {
            // Somebody else's block serves as well, and is theirs to end.
            let is_free = owned.block == Ours::No && owned.lifted == Lifted::No;
            if is_free && row.block == Block::Open {
                candidates.push(Removal::BlockTeam { group, members });
            }
        }
        UnassignedGroupPolicy::Delete => {
            // The organization stays without its members: those of the team go
            // with the team.
            if removals.deprovision.membership == MembershipPolicy::Remove {
                let people = world.owned.organization_members.get(&group);
                for member in people.into_iter().flatten() {
                    let why = Why::GroupUnassigned;
                    organization_membership(world, group, member, why, candidates, forgotten);
                }
            }
            candidates.push(Removal::DeleteTeam { group, members });
        }
    }
}

/// Teams of ours that are not there, of groups that are not assigned: it is not
/// we who would make them again.
pub(super) fn gone_teams(world: World<'_>) -> Vec<GroupId> {
    if !world.scope.judges_absence() {
        return Vec::new();
    }
    let is_gone = |group: &GroupId| {
        let team = TeamId::of(*group);
        world.scope.covers_group(*group)
            && !world.directory.groups.contains_key(group)
            && !world.target.teams.contains_key(&team)
            && !world.target.broken_teams.contains_key(&team)
    };
    let owned = world.owned.teams.keys().copied();
    owned.filter(is_gone).collect()
}

/// Ends all managed memberships of a group, unless members stay by policy.
fn memberships(
    world: World<'_>,
    removals: Removals<'_>,
    group: GroupId,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
) {
    if removals.deprovision.membership == MembershipPolicy::Keep {
        return;
    }
    let lists = [&world.owned.team_members, &world.owned.organization_members];
    let members: BTreeSet<&Member> = lists
        .into_iter()
        .filter_map(|list| list.get(&group))
        .flatten()
        .collect();
    for member in members {
        let why = Why::GroupUnassigned;
        membership(world, group, member, why, candidates, forgotten);
    }
}
