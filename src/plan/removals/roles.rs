//! Roles that Entra no longer gives.
//!
//! Invariant: a role is lowered only if the row holds the one we last wrote,
//! and only when every group that could give a higher one was read, and two
//! readings agree, of what the application's roles are as well: a role that a
//! group gives is as much in doubt as being in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Removals, doubt, is_protected, member, unanswered};
use crate::model::directory::{
    AppRole, AppRoleState, Assignment, Attributes, Group, Principal, Unread,
};
use crate::model::evidence::{Needed, Questions, Whereabouts};
use crate::model::ids::{AppRoleId, GroupId, PersonId, UserId};
use crate::model::ledger::RoleFrom;
use crate::model::policy::Scope;
use crate::model::report::{Kind, ObjectError, Skipped};
use crate::model::role::{Role, RoleValue};
use crate::model::target::StoredRole;
use crate::plan::World;
use crate::plan::desired::{Desired, skipped};
use crate::plan::identity::is_anothers;
use crate::plan::people::Bound;
use crate::plan::removal::Removal;

type Roles = BTreeMap<AppRoleId, AppRole>;

/// A role that this reading does not give any more.
struct Lowered<'a> {
    person: PersonId,
    user: &'a UserId,
    before: Role,
    after: Role,
}

/// Of those, the ones of whom no group that was not read may say otherwise.
fn lowered<'a>(world: World<'a>, desired: &Desired<'_>) -> Vec<Lowered<'a>> {
    let hidden = unread(world).map(|(_, role)| role).max();
    let mut lowered = seemingly_lowered(world, desired);
    lowered.retain(|lowered| hidden.is_none_or(|hidden| hidden <= lowered.after));
    lowered
}

/// Excluded groups because of which somebody keeps a role.
fn in_the_way(world: World<'_>, desired: &Desired<'_>) -> BTreeSet<GroupId> {
    let excluded = unread(world).filter(|(group, _)| !world.policy.groups.admits(*group));
    let excluded: Vec<(GroupId, Role)> = excluded.collect();
    if excluded.is_empty() {
        return BTreeSet::new();
    }
    let seemingly = seemingly_lowered(world, desired);
    let lowest = seemingly.iter().map(|lowered| lowered.after).min();
    let stands = |role: Role| lowest.is_some_and(|lowest| role > lowest);
    let standing = excluded.into_iter().filter(|(_, role)| stands(*role));
    standing.map(|(group, _)| group).collect()
}

fn seemingly_lowered<'a>(world: World<'a>, desired: &Desired<'_>) -> Vec<Lowered<'a>> {
    if !world.scope.judges_absence() {
        return Vec::new();
    }
    let frozen = frozen(world);
    let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
    let mut lowered = Vec::new();
    for (person, owned) in &world.owned.people {
        let row = world.target.users.get(&owned.user);
        let (Some(ours), Some(row)) = (owned.role, row) else {
            continue;
        };
        if !world.scope.covers_person(*person) {
            continue;
        }
        let wanted = match desired.roles.get(person) {
            Some(wanted) => *wanted,
            // The default is for new users: who never had an app role has lost
            // nothing in Entra.
            None if owned.role_from == RoleFrom::Default => continue,
            None => default,
        };
        let is_ours = row.role == StoredRole::Role(ours);
        if !is_ours || wanted >= ours {
            continue;
        }
        if frozen.contains(person) {
            continue;
        }
        if is_withheld(world, *person)
            || is_protected(world, owned, row)
            || is_anothers(world, *person, owned, row)
        {
            continue;
        }
        lowered.push(Lowered {
            person: *person,
            user: &owned.user,
            before: ours,
            after: wanted,
        });
    }
    lowered.sort_unstable_by_key(|lowered| lowered.person);
    lowered
}

/// What must be read again before a role is lowered: the assignments, and every
/// group that gives a higher one.
pub(super) fn ask(world: World<'_>, desired: &Desired<'_>, questions: &mut Questions) {
    let lowered = lowered(world, desired);
    let Some(lowest) = lowered.iter().map(|lowered| lowered.after).min() else {
        return;
    };
    questions.assignments = Needed::Yes;
    let first = world.directory.assignments.get();
    questions.bearers.extend(
        higher(&world.directory.roles, first, lowest).filter_map(|row| match row.principal {
            Principal::Group(group) => Some(group),
            Principal::Person(_) => None,
        }),
    );
}

/// Where the ledger knows one row as two people, it keeps the higher of what is
/// left to them.
fn once_for_each_row(mut lowered: Vec<Lowered<'_>>) -> Vec<Lowered<'_>> {
    let mut highest: BTreeMap<&UserId, Role> = BTreeMap::new();
    for lowered in &lowered {
        let after = highest.entry(lowered.user).or_insert(lowered.after);
        *after = lowered.after.max(*after);
    }
    lowered.retain(|lowered| {
        let is_highest = highest.get(lowered.user) == Some(&lowered.after);
        is_highest && highest.remove(lowered.user).is_some()
    });
    lowered
}

pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    bound: &Bound,
    (candidates, doubts, left_out): (&mut Vec<Removal>, &mut Vec<ObjectError>, &mut Vec<Skipped>),
) {
    left_out.extend(
        in_the_way(world, desired)
            .into_iter()
            .map(|group| skipped(Kind::Group, group, "excluded_role")),
    );
    for lowered in once_for_each_row(lowered(world, desired)) {
        let Lowered {
            person,
            user,
            before,
            after,
        } = lowered;
        if bound.get(&person).is_some_and(|bound| bound != user) || is_away(world, removals, person)
        {
            continue;
        }
        match second_look(world, removals, person, after) {
            Second::Agrees => candidates.push(Removal::LowerRole {
                member: member(person, user),
                before,
                after,
                from: match desired.roles.contains_key(&person) {
                    true => RoleFrom::Assignment,
                    false => RoleFrom::Default,
                },
            }),
            Second::Contradicts => {}
            Second::Missing(reason) => doubts.push(doubt(
                Kind::User,
                person,
                format!(
                    "seems to have lost an app role, but the assignments or the groups that give \
                     it could not be read a second time to make sure; the role was kept, the next \
                     pass looks again: {reason}"
                ),
            )),
        }
    }
}

/// Somebody who may come back with every role, or of whom nothing is known.
fn is_away(world: World<'_>, removals: Removals<'_>, person: PersonId) -> bool {
    !world.directory.people.contains_key(&person)
        && !matches!(
            removals.evidence.people.get(&person),
            Some(Whereabouts::Present(_) | Whereabouts::Purged)
        )
}

enum Second {
    Agrees,
    Contradicts,
    Missing(String),
}

/// Whether the second readings agree that nothing gives a higher role.
fn second_look(world: World<'_>, removals: Removals<'_>, person: PersonId, wanted: Role) -> Second {
    let again = match &removals.evidence.assignments {
        Some(Ok(again)) => again,
        other => return Second::Missing(unanswered(other.as_ref())),
    };
    let mut verdict = Second::Agrees;
    let defined = [&world.directory.roles, &removals.evidence.roles];
    let lists = [world.directory.assignments.get(), again.get()];
    let readings = defined
        .into_iter()
        .flat_map(|roles| lists.map(|list| higher(roles, list, wanted)));
    for row in readings.flatten() {
        match row.principal {
            Principal::Person(other) if other == person => return Second::Contradicts,
            Principal::Person(_) => {}
            Principal::Group(group) if bears(world, group, person) => return Second::Contradicts,
            // Also of somebody whom the first reading showed by way of another
            // group only: its direct list may have been the short one.
            Principal::Group(group) => match removals.evidence.role_bearers(group) {
                Some(Ok(bearers)) if bearers.get().binary_search(&person).is_ok() => {
                    return Second::Contradicts;
                }
                Some(Ok(_)) if world.policy.groups.admits(group) => {}
                other => verdict = Second::Missing(unanswered(other)),
            },
        }
    }
    verdict
}

/// Whether the first reading showed somebody as receiving a group's roles, had
/// it any: only the other one may show that.
fn bears(world: World<'_>, group: GroupId, person: PersonId) -> bool {
    let group = world.directory.groups.get(&group);
    let bearers = group.and_then(Group::role_bearers);
    bearers.is_some_and(|bearers| bearers.binary_search(&person).is_ok())
}

/// Nothing is concluded about somebody whose object could not be read.
fn is_withheld(world: World<'_>, person: PersonId) -> bool {
    world.directory.unread_people.contains_key(&person)
        || world
            .directory
            .people
            .get(&person)
            .is_some_and(|read| matches!(read.attributes, Attributes::Unknown))
}

/// Groups that were not read, and the roles that they give: anybody might have
/// those.
fn unread(world: World<'_>) -> impl Iterator<Item = (GroupId, Role)> {
    giving(&world.directory.roles, world.directory.assignments.get()).filter_map(
        move |(assignment, role)| match assignment.principal {
            Principal::Person(_) => None,
            Principal::Group(group) => {
                let read = world.directory.groups.get(&group);
                let is_unread = !world.policy.groups.admits(group)
                    || read.is_none_or(|read| !is_read(world, group, read));
                is_unread.then_some((group, role))
            }
        },
    )
}

/// Whether it is known who receives a group's roles, as far as this pass looks:
/// where only some people are looked at, a group that none of them is in was
/// left out.
fn is_read(world: World<'_>, id: GroupId, group: &Group) -> bool {
    let left_out = matches!(world.scope, Scope::Changed(_)) && !world.scope.covers_group(id);
    match group.members {
        Err(Unread::OutOfScope) if left_out => true,
        _ => group.role_bearers().is_some(),
    }
}

/// Whether a group that could not be read gives this role: anybody may have it
/// from there.
pub(super) fn is_hidden(world: World<'_>, role: Role) -> bool {
    unread(world).any(|(group, given)| given == role && world.policy.groups.admits(group))
}

/// Managed members of groups that a filter excludes and the list does not name
/// any more: such a group is not treated as unassigned, and nobody knows which
/// role it gave.
fn frozen(world: World<'_>) -> HashSet<PersonId> {
    let managed = world.owned.team_members.iter();
    managed
        .filter(|(group, _)| !world.policy.groups.admits(**group))
        .filter(|(group, _)| !world.directory.groups.contains_key(group))
        .flat_map(|(_, members)| members.iter().map(|member| member.person))
        .collect()
}

/// Assignments that give a higher role than this one.
fn higher<'a>(
    roles: &'a Roles,
    list: &'a [Assignment],
    than: Role,
) -> impl Iterator<Item = &'a Assignment> {
    giving(roles, list)
        .filter(move |(_, role)| *role > than)
        .map(|(assignment, _)| assignment)
}

/// Assignments that give a role which counts.
fn giving<'a>(
    roles: &'a Roles,
    list: &'a [Assignment],
) -> impl Iterator<Item = (&'a Assignment, Role)> {
    list.iter().filter_map(move |assignment| {
        let role = roles.get(&assignment.role)?;
        let counts = role.state == AppRoleState::Enabled;
        match RoleValue::read(role.value.as_deref()) {
            RoleValue::Role(role) if counts => Some((assignment, role)),
            _ => None,
        }
    })
}
