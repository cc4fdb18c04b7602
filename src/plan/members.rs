//! Memberships in teams and organizations.
//!
//! Invariant: compared by `user_id`; an entry of role `admin` is a person's
//! and stays manual; nothing is taken away here.

use super::World;
use super::change::{
    DefaultTeamChange, Member, MemberList, OrganizationMembersChange, Plan, RosterChange,
    TeamChange, UserChange,
};
use super::desired::{Desired, WantedGroup, skipped};
use super::people::Bound;
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use crate::model::policy::Organizations;
use crate::model::report::{Kind, ObjectError};
use crate::model::target::{TeamRole, TeamRow};

/// Decides about every wanted membership.
pub(super) fn decide(world: World<'_>, desired: &Desired<'_>, bound: &Bound, plan: &mut Plan) {
    for (group, wanted) in &desired.groups {
        let members = members(wanted, bound);
        team(world, plan, *group, &members);
        if let Organizations::On(_) = world.policy.organizations {
            organization(world, plan, *group, &members);
        }
    }
    default_teams(world, plan);
}

/// New users join the default teams, also one that this plan makes; who joins
/// it as a member of its group needs no second entry.
fn default_teams(world: World<'_>, plan: &mut Plan) {
    let mut joiners: Vec<Member> = plan
        .users
        .iter()
        .filter_map(|change| match change {
            UserChange::Create { person, user, .. } => Some(Member {
                user: user.clone(),
                person: *person,
            }),
            UserChange::Update { .. } => None,
        })
        .collect();
    if joiners.is_empty() {
        return;
    }
    joiners.sort();
    for team in &world.policy.user_defaults.teams {
        let made = |change: &TeamChange| TeamId::of(change.group()) == team.team;
        if !world.target.teams.contains_key(&team.team) && !plan.teams.iter().any(made) {
            plan.skipped
                .push(skipped(Kind::Team, &team.team, "default_team_missing"));
            continue;
        }
        let of_its_group = plan
            .rosters
            .iter()
            .find(|change| TeamId::of(change.group) == team.team)
            .map_or(&[][..], |change| change.add.as_slice());
        let add: Vec<Member> = joiners
            .iter()
            .filter(|member| of_its_group.binary_search(member).is_err())
            .cloned()
            .collect();
        if !add.is_empty() {
            plan.default_teams.push(DefaultTeamChange {
                team: team.clone(),
                add,
            });
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
    members.sort();
    members
}

fn team(world: World<'_>, plan: &mut Plan, group: GroupId, members: &[Member]) {
    let id = TeamId::of(group);
    if let Some(sentence) = world.target.broken_teams.get(&id) {
        plan.unreadable.push(ObjectError {
            kind: Kind::Team,
            id: id.to_string(),
            message: sentence.clone(),
        });
        return;
    }
    let row = world.target.teams.get(&id);
    let planned = plan.teams.iter().any(|change| change.group() == group);
    if row.is_none() && !planned {
        // No team and none to come: no licence for it, or a pass for one
        // person over a group that has none yet.
        return;
    }
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
    };
    let mut adopted = Vec::new();
    for member in members {
        let is_managed = managed.binary_search(&member.person).is_ok();
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
    let Ok(position) = row.roster.binary_search_by(|entry| entry.user.cmp(user)) else {
        return Standing::Absent;
    };
    if row.roster[position].role == TeamRole::Admin {
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

fn organization(world: World<'_>, plan: &mut Plan, group: GroupId, members: &[Member]) {
    let id = OrganizationId::of(group);
    let row = world.target.organizations.get(&id);
    let planned = plan
        .organizations
        .iter()
        .any(|change| change.group() == group);
    if row.is_none() && !planned {
        return;
    }
    let present = row.map_or(&[][..], |row| row.members.as_slice());
    let managed: &[PersonId] = world
        .owned
        .organization_members
        .get(&group)
        .map_or(&[][..], Vec::as_slice);
    let (there, add): (Vec<Member>, Vec<Member>) = members
        .iter()
        .cloned()
        .partition(|member| present.binary_search(&member.user).is_ok());
    if !add.is_empty() {
        plan.organization_members
            .push(OrganizationMembersChange { group, add });
    }
    let adopted: Vec<Member> = there
        .into_iter()
        .filter(|member| managed.binary_search(&member.person).is_err())
        .collect();
    if !adopted.is_empty() {
        plan.adopted.organization_members.push(MemberList {
            group,
            members: adopted,
        });
    }
}
