//! Memberships of groups that people left, and groups that are no longer
//! assigned.

use std::collections::{BTreeMap, BTreeSet};

use super::{Forgotten, Removals, assigned, doubt, unanswered, unassigned};
use crate::model::directory::Principal;
use crate::model::evidence::{Needed, Questions, Whereabouts};
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use crate::model::ledger::{Lifted, Member, Ours, OwnedTeam};
use crate::model::policy::{DeprovisionSettings, MembershipPolicy, Scope};
use crate::model::report::{Kind, ObjectError};
use crate::model::target::{Block, TeamRole, UserRow};
use crate::plan::World;
use crate::plan::desired::{Desired, WantedGroup};
use crate::plan::removal::{Removal, Why};

/// What must be read again: groups that lack a managed member, the assignment
/// list if it lacks a group, and people whom no reading shows.
pub(super) fn questions(
    world: World<'_>,
    desired: &Desired<'_>,
    settings: &DeprovisionSettings,
) -> Questions {
    let mut questions = Questions::default();
    if settings.membership == MembershipPolicy::Remove {
        for group in desired.groups.keys() {
            let left = leavers(world, desired, *group);
            if !left.is_empty() {
                questions.groups.push(*group);
            }
            // Also those whom another group shows: they may have been deleted
            // while this reading went on.
            questions
                .people
                .extend(left.iter().map(|member| member.person));
        }
    }
    if gone_from_the_list(world).next().is_some() {
        questions.assignments = Needed::Yes;
    }
    questions
}

/// Managed members whom the group's reading lacks, with every row that stood
/// for them when they joined.
fn leavers<'a>(world: World<'a>, desired: &'a Desired<'_>, group: GroupId) -> BTreeSet<&'a Member> {
    let present = desired
        .groups
        .get(&group)
        .map_or(&[][..], |group| group.members);
    let managed = |lists: &'a Managed| lists.get(&group).map_or(&[][..], Vec::as_slice);
    let team = managed(&world.owned.team_members);
    let organization = managed(&world.owned.organization_members);
    team.iter()
        .chain(organization)
        .filter(|member| present.binary_search(&member.person).is_err())
        .filter(|member| world.scope.covers_person(member.person))
        .collect()
}

/// Groups of ours that the assignment list does not name, with those of which we
/// still own memberships after the team has gone. Filters freeze what they
/// exclude, and a pass that looks at some objects only says nothing
/// about the others.
fn gone_from_the_list(world: World<'_>) -> impl Iterator<Item = GroupId> {
    if !world.scope.judges_absence() {
        return BTreeSet::new().into_iter();
    }
    let assigned = assigned(world);
    let lists = [&world.owned.team_members, &world.owned.organization_members];
    let groups: BTreeSet<GroupId> = lists
        .into_iter()
        .flatten()
        .filter(|(_, people)| !people.is_empty())
        .map(|(group, _)| group)
        .chain(world.owned.teams.keys())
        .copied()
        .filter(|group| !assigned.contains(group) && world.scope.covers_group(*group))
        .filter(|group| world.policy.groups.admits(*group))
        .collect();
    groups.into_iter()
}

/// Whether nobody is in the group, whoever of them this pass looks at.
fn is_empty(world: World<'_>, id: GroupId, group: &WantedGroup<'_>) -> bool {
    match world.scope {
        Scope::Everything | Scope::Asked(_) => group.members.is_empty(),
        Scope::Changed(changed) => changed.headcounts.get(&id).is_none_or(|heads| *heads == 0),
    }
}

/// Groups with managed members that this reading shows empty.
pub(super) fn read_as_empty(world: World<'_>, desired: &Desired<'_>) -> BTreeSet<GroupId> {
    desired
        .groups
        .iter()
        .filter(|(id, group)| {
            is_empty(world, **id, group)
                && world
                    .owned
                    .team_members
                    .get(id)
                    .is_some_and(|managed| !managed.is_empty())
        })
        .map(|(id, _)| *id)
        .collect()
}

/// Whether this pass has looked at the group's team in LiteLLM.
fn is_seen(world: World<'_>, group: GroupId) -> bool {
    match world.scope {
        Scope::Everything | Scope::Asked(_) => true,
        Scope::Changed(changed) => changed.groups.contains(&group),
    }
}

/// Blocks of ours that somebody has ended, so that the next one is theirs: as
/// long as the group is not assigned their word stands, then it is over.
pub(super) fn ended_blocks(world: World<'_>) -> Vec<(GroupId, Lifted)> {
    let ended = |group: &GroupId, owned: &OwnedTeam| {
        let team = TeamId::of(*group);
        if world.target.broken_teams.contains_key(&team) || !is_seen(world, *group) {
            return None;
        }
        let row = world.target.teams.get(&team);
        // A team that is gone took its block along.
        let is_over = row.is_none() || world.directory.groups.contains_key(group);
        let is_open = row.is_none_or(|row| row.block == Block::Open);
        let was_ours = owned.block == Ours::Yes && is_open;
        let was_lifted = owned.lifted == Lifted::Yes && is_over;
        (was_ours || was_lifted).then_some(match is_over {
            true => Lifted::No,
            false => Lifted::Yes,
        })
    };
    let teams = world.owned.teams.iter();
    teams
        .filter_map(|(group, owned)| Some((*group, ended(group, owned)?)))
        .collect()
}

pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    candidates: &mut Vec<Removal>,
    doubts: &mut Vec<ObjectError>,
    forgotten: &mut Forgotten,
) {
    if removals.deprovision.membership == MembershipPolicy::Remove {
        for group in desired.groups.keys() {
            left(
                world,
                removals,
                desired,
                *group,
                (candidates, doubts, forgotten),
            );
        }
    }
    for group in gone_from_the_list(world) {
        let list = match &removals.evidence.assignments {
            Some(Ok(list)) => list,
            other => {
                let reason = unanswered(other.as_ref());
                doubts.push(doubt(
                    Kind::Group,
                    group,
                    format!(
                        "seems no longer assigned, but the assignment list could not be read a \
                         second time to make sure; nothing was changed for it, the next pass looks \
                         again: {reason}"
                    ),
                ));
                continue;
            }
        };
        let assigned = Principal::Group(group);
        if list.get().iter().all(|row| row.principal != assigned) {
            unassigned::decide(world, removals, group, candidates, forgotten);
        }
    }
}

/// The three lists a decision about a group adds to.
type Lists<'l> = (
    &'l mut Vec<Removal>,
    &'l mut Vec<ObjectError>,
    &'l mut Forgotten,
);

fn left(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    group: GroupId,
    (candidates, doubts, forgotten): Lists<'_>,
) {
    let leavers = leavers(world, desired, group);
    if leavers.is_empty() {
        return;
    }
    // Not answered, or not asked: whoever is there stays.
    let again = match removals.evidence.groups.get(&group) {
        Some(Ok(again)) => again.get().as_slice(),
        other => {
            let reason = unanswered(other);
            doubts.push(doubt(
                Kind::Group,
                group,
                format!(
                    "members seem to have left, but the group could not be read a second time to \
                     make sure; nobody was removed, the next pass looks again: {reason}"
                ),
            ));
            return;
        }
    };
    for member in leavers {
        let person = member.person;
        if again.binary_search(&person).is_ok() {
            continue;
        }
        let why = match whereabouts(removals, person) {
            Where::Here => Why::LeftGroup,
            Where::Gone => Why::Purged,
            // Entra keeps the memberships of a deleted person for 30 days and
            // gives them back with the person; so do we.
            Where::Restorable => continue,
            Where::Unknown(message) => {
                doubts.push(doubt(Kind::User, person, message));
                continue;
            }
        };
        membership(world, group, member, why, candidates, forgotten);
    }
}

enum Where {
    Here,
    Restorable,
    Gone,
    Unknown(String),
}

fn whereabouts(removals: Removals<'_>, person: PersonId) -> Where {
    match removals.evidence.people.get(&person) {
        Some(Whereabouts::Present(_)) => Where::Here,
        Some(Whereabouts::SoftDeleted) => Where::Restorable,
        Some(Whereabouts::Purged) => Where::Gone,
        Some(Whereabouts::Unknown(message)) => Where::Unknown(message.clone()),
        None => Where::Unknown(
            "is in no reading and was not looked up; memberships were kept".to_owned(),
        ),
    }
}

/// Ends a row's managed memberships that stand for one group.
pub(super) fn membership(
    world: World<'_>,
    group: GroupId,
    member: &Member,
    why: Why,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
) {
    if is_managed(&world.owned.team_members, group, member) {
        let row = world.target.users.get(&member.user);
        match row.map(|row| standing(world, group, &member.user, row)) {
            Some(Standing::Member) => candidates.push(Removal::TeamMember {
                group,
                member: member.clone(),
                why,
            }),
            // Ended by hand, made an administrator by hand, or gone with
            // LiteLLM's row: not ours now.
            Some(Standing::Absent | Standing::Admin) | None => {
                forgotten.team_members.push((group, member.clone()));
            }
            Some(Standing::Unread) => {}
        }
    }
    let row = world.target.users.get(&member.user);
    match row.map(|row| standing(world, group, &member.user, row)) {
        // Whoever is an administrator of the team by hand needs this as well.
        Some(Standing::Admin) => {
            if is_managed(&world.owned.organization_members, group, member) {
                forgotten.organization_members.push((group, member.clone()));
            }
        }
        Some(Standing::Unread) => {}
        Some(Standing::Absent | Standing::Member) | None => {
            organization_membership(world, group, member, why, candidates, forgotten);
        }
    }
}

/// The same of the group's organization alone.
pub(super) fn organization_membership(
    world: World<'_>,
    group: GroupId,
    member: &Member,
    why: Why,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
) {
    if !is_managed(&world.owned.organization_members, group, member) {
        return;
    }
    let is_there = world.target.users.contains_key(&member.user);
    let organization = world.target.organizations.get(&OrganizationId::of(group));
    match organization {
        Some(row) if is_there && row.members.binary_search(&member.user).is_ok() => {
            candidates.push(Removal::OrganizationMember {
                group,
                member: member.clone(),
                why,
            });
        }
        _ => forgotten.organization_members.push((group, member.clone())),
    }
}

type Managed = BTreeMap<GroupId, Vec<Member>>;

fn is_managed(lists: &Managed, group: GroupId, member: &Member) -> bool {
    let members = lists.get(&group);
    members.is_some_and(|members| members.binary_search(member).is_ok())
}

enum Standing {
    Absent,
    Admin,
    Member,
    /// The roster cannot be read: that says nothing about who is on it.
    Unread,
}

fn standing(world: World<'_>, group: GroupId, user: &UserId, user_row: &UserRow) -> Standing {
    let team = TeamId::of(group);
    if world.target.broken_teams.contains_key(&team) {
        return Standing::Unread;
    }
    let Some(row) = world.target.teams.get(&team) else {
        return Standing::Absent;
    };
    let first = row.roster.partition_point(|entry| entry.user < *user);
    let mut entries = row
        .roster
        .iter()
        .skip(first)
        .take_while(|entry| entry.user == *user)
        .peekable();
    let on_roster = entries.peek().is_some();
    // One admin among several entries of a user is a person's decision.
    if entries.any(|entry| entry.role == TeamRole::Admin) {
        return Standing::Admin;
    }
    // A torn membership is a membership: the other copies go as well.
    let in_teams = user_row.teams.binary_search(&team).is_ok();
    let in_memberships = row.memberships.binary_search(user).is_ok();
    if on_roster || in_teams || in_memberships {
        Standing::Member
    } else {
        Standing::Absent
    }
}
