//! Memberships in teams and organizations.
//!
//! Invariant: compared by `user_id`; an entry of role `admin` is a person's
//! and stays manual; nothing is taken away here.

use std::collections::HashSet;

use super::World;
use super::change::{
    Member, MemberList, OrganizationChange, OrganizationMembersChange, Plan, RosterChange,
    TeamChange,
};
use super::desired::{Desired, WantedGroup};
use super::people::Bound;
use crate::model::ids::{GroupId, OrganizationId, TeamId, UserId};
use crate::model::policy::Organizations;
use crate::model::report::{Kind, ObjectError};
use crate::model::target::{OrganizationRow, TeamRole, TeamRow};

/// Decides about every wanted membership.
pub(super) fn decide(world: World<'_>, desired: &Desired<'_>, bound: &Bound, plan: &mut Plan) {
    let new_teams: HashSet<GroupId> = plan.teams.iter().map(TeamChange::group).collect();
    let organizations = plan.organizations.iter().map(OrganizationChange::group);
    let new_organizations: HashSet<GroupId> = organizations.collect();
    for (group, wanted) in &desired.groups {
        let members = members(wanted, bound);
        let id = TeamId::of(*group);
        if let Some(sentence) = world.target.broken_teams.get(&id) {
            plan.unreadable.push(ObjectError {
                kind: Kind::Team,
                id: id.to_string(),
                message: sentence.clone(),
            });
        }
        // Without a row there is none to come: no licence for it, or a pass
        // for one person over a group that has none yet.
        let row = world.target.teams.get(&id);
        if row.is_some() || new_teams.contains(group) {
            team(world, plan, *group, row, &members);
        }
        let row = world.target.organizations.get(&OrganizationId::of(*group));
        let there = row.is_some() || new_organizations.contains(group);
        if let (Organizations::On(_), true) = (world.policy.organizations, there) {
            organization(world, plan, *group, row, &members);
        }
    }
}

/// The group's members who have or will have a row, sorted by it.
fn members(wanted: &WantedGroup<'_>, bound: &Bound) -> Vec<Member> {
    let mut members: Vec<Member> = wanted
        .members
        .iter()
        .filter_map(|person| {
            bound.get(person).map(|user| Member {
                user: user.clone(),
                person: *person,
            })
        })
        .collect();
    members.sort_unstable();
    members
}

fn team(
    world: World<'_>,
    plan: &mut Plan,
    group: GroupId,
    row: Option<&TeamRow>,
    members: &[Member],
) {
    let id = TeamId::of(group);
    let managed = world
        .owned
        .team_members
        .get(&group)
        .map_or(&[][..], Vec::as_slice);
    let mut change = RosterChange {
        group,
        add: Vec::new(),
        repair: Vec::new(),
        restored: Vec::new(),
        roster: row.map_or(0, TeamRow::entries),
    };
    let mut adopted = Vec::new();
    for member in members {
        let is_managed = managed.binary_search(member).is_ok();
        match standing(world, &id, row, &member.user) {
            Standing::Absent => {
                if is_managed {
                    change.restored.push(member.user.clone());
                }
                change.add.push(member.clone());
            }
            Standing::Admin => {}
            Standing::Torn => change.repair.push(member.clone()),
            Standing::Whole if is_managed => {}
            Standing::Whole => adopted.push(member.clone()),
        }
    }
    if !change.add.is_empty() || !change.repair.is_empty() {
        plan.rosters.push(change);
    }
    if !adopted.is_empty() {
        plan.adopted.team_members.push(MemberList {
            group,
            members: adopted,
        });
    }
}

/// How a user stands to a team.
enum Standing {
    /// Not on the roster.
    Absent,
    /// On the roster as admin.
    Admin,
    /// On the roster, but missing from `UserTable.teams` or TeamMembership.
    Torn,
    /// In all three copies.
    Whole,
}

fn standing(world: World<'_>, team: &TeamId, row: Option<&TeamRow>, user: &UserId) -> Standing {
    let Some(row) = row else {
        return Standing::Absent;
    };
    let first = row.roster.partition_point(|entry| entry.user < *user);
    let mut entries = row
        .roster
        .iter()
        .skip(first)
        .take_while(|e| e.user == *user);
    let Some(entry) = entries.next() else {
        return Standing::Absent;
    };
    // LiteLLM takes whichever entry it meets first; one admin among several
    // entries of a user is a person's decision.
    if entry.role == TeamRole::Admin || entries.any(|entry| entry.role == TeamRole::Admin) {
        return Standing::Admin;
    }
    let in_teams = world
        .target
        .users
        .get(user)
        .is_some_and(|row| row.teams.binary_search(team).is_ok());
    let in_memberships = row.memberships.binary_search(user).is_ok();
    if in_teams && in_memberships {
        Standing::Whole
    } else {
        Standing::Torn
    }
}

fn organization(
    world: World<'_>,
    plan: &mut Plan,
    group: GroupId,
    row: Option<&OrganizationRow>,
    members: &[Member],
) {
    let present = row.map_or(&[][..], |row| row.members.as_slice());
    let managed = world
        .owned
        .organization_members
        .get(&group)
        .map_or(&[][..], Vec::as_slice);
    let (there, add): (Vec<Member>, Vec<Member>) = members
        .iter()
        .cloned()
        .partition(|member| present.binary_search(&member.user).is_ok());
    let is_managed = |member: &Member| managed.binary_search(member).is_ok();
    if !add.is_empty() {
        let restored = add.iter().filter(|member| is_managed(member));
        let restored = restored.map(|member| member.user.clone()).collect();
        plan.organization_members.push(OrganizationMembersChange {
            group,
            add,
            restored,
        });
    }
    let adopted: Vec<Member> = there
        .into_iter()
        .filter(|member| !is_managed(member))
        .collect();
    if !adopted.is_empty() {
        plan.adopted.organization_members.push(MemberList {
            group,
            members: adopted,
        });
    }
}
