//! Roles that Entra no longer gives.
//!
//! Invariant: a role is lowered only if the row holds the one we last wrote,
//! only when every group that could give a higher one was read, and only when
//! a second look at those groups and at the assignments gives none either.

use std::collections::BTreeSet;

use super::{Removals, doubt, is_protected, managed_row, member};
use crate::model::directory::{AppRoleState, Assignment, Attributes, Principal};
use crate::model::evidence::{Evidence, Needed, Questions, Whereabouts};
use crate::model::ids::{GroupId, PersonId, UserId};
use crate::model::report::{Kind, ObjectError};
use crate::model::role::{Role, RoleValue};
use crate::model::target::StoredRole;
use crate::plan::World;
use crate::plan::desired::Desired;
use crate::plan::people::Bound;
use crate::plan::removal::Removal;

/// Somebody whose role this reading shows too high.
struct Lowering<'a> {
    person: PersonId,
    user: &'a UserId,
    before: Role,
    after: Role,
}

/// What must be read again before a role is lowered: the assignments, and the
/// groups that give a higher one.
pub(super) fn questions(world: World<'_>, desired: &Desired<'_>, questions: &mut Questions) {
    for lowering in lowerings(world, desired) {
        questions.assignments = Needed::Yes;
        questions
            .groups
            .extend(absent_from(world, desired, &lowering));
    }
}

pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    bound: &Bound,
    candidates: &mut Vec<Removal>,
    doubts: &mut Vec<ObjectError>,
) {
    for lowering in lowerings(world, desired) {
        let person = lowering.person;
        if bound.get(&person).is_some_and(|row| row != lowering.user) {
            continue;
        }
        match confirmed(world, removals.evidence, desired, &lowering) {
            Confirmed::Yes => candidates.push(Removal::LowerRole {
                member: member(person, lowering.user),
                before: lowering.before,
                after: lowering.after,
            }),
            Confirmed::No => {}
            Confirmed::Unknown => doubts.push(doubt(
                Kind::User,
                person,
                "seems to have a lower app role, but that could not be read a second time to make \
                 sure; the role stays, the next pass looks again"
                    .to_owned(),
            )),
        }
    }
}

fn lowerings<'a>(world: World<'a>, desired: &Desired<'_>) -> Vec<Lowering<'a>> {
    if !world.scope.is_everything() {
        return Vec::new();
    }
    let hidden = highest_unread(world);
    let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
    let mut lowerings = Vec::new();
    for (person, owned) in &world.owned.people {
        let (Some(ours), Some((user, row))) = (owned.role, managed_row(world, *person)) else {
            continue;
        };
        if is_withheld(world, *person) {
            continue;
        }
        let wanted = desired.roles.get(person).copied().unwrap_or(default);
        let is_ours = row.role == StoredRole::Role(ours);
        if !is_ours || wanted >= ours || hidden.is_some_and(|hidden| hidden > wanted) {
            continue;
        }
        if is_protected(world, *person, user, row) {
            continue;
        }
        lowerings.push(Lowering {
            person: *person,
            user,
            before: ours,
            after: wanted,
        });
    }
    lowerings
}

enum Confirmed {
    Yes,
    No,
    Unknown,
}

fn confirmed(
    world: World<'_>,
    evidence: &Evidence,
    desired: &Desired<'_>,
    lowering: &Lowering<'_>,
) -> Confirmed {
    let person = lowering.person;
    if !world.directory.people.contains_key(&person) {
        match evidence.people.get(&person) {
            Some(Whereabouts::Present(_) | Whereabouts::Purged) => {}
            // Comes back as what the person was.
            Some(Whereabouts::SoftDeleted) => return Confirmed::No,
            // Said already, where the person was looked for.
            Some(Whereabouts::Unknown(_)) => return Confirmed::No,
            None => return Confirmed::Unknown,
        }
    }
    let Some(again) = &evidence.assignments else {
        return Confirmed::Unknown;
    };
    let first = world.directory.assignments.get();
    for assignment in higher(world, again.get(), lowering) {
        match assignment.principal {
            Principal::Person(other) if other == person => return Confirmed::No,
            // A group that only the second list shows to give the role.
            Principal::Group(group) if !first.contains(assignment) => {
                let members = world.owned.team_members.get(&group);
                let managed = members.is_some_and(|list| list.binary_search(&person).is_ok());
                if managed || !desired.groups.contains_key(&group) {
                    return Confirmed::No;
                }
            }
            _ => {}
        }
    }
    for group in absent_from(world, desired, lowering) {
        match evidence.groups.get(&group) {
            Some(Ok(members)) if members.get().binary_search(&person).is_ok() => {
                return Confirmed::No;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Confirmed::Unknown,
        }
    }
    Confirmed::Yes
}

/// Groups that give a higher role, and whose first reading lacks the person.
fn absent_from(
    world: World<'_>,
    desired: &Desired<'_>,
    lowering: &Lowering<'_>,
) -> BTreeSet<GroupId> {
    higher(world, world.directory.assignments.get(), lowering)
        .filter_map(|assignment| match assignment.principal {
            Principal::Group(group) => Some(group),
            Principal::Person(_) => None,
        })
        .filter(|group| {
            desired
                .groups
                .get(group)
                .is_some_and(|group| group.members.binary_search(&lowering.person).is_err())
        })
        .collect()
}

/// Assignments of roles above the one that the person shall have.
fn higher<'a>(
    world: World<'a>,
    assignments: &'a [Assignment],
    lowering: &Lowering<'_>,
) -> impl Iterator<Item = &'a Assignment> {
    let after = lowering.after;
    assignments
        .iter()
        .filter(move |assignment| role_of(world, assignment).is_some_and(|role| role > after))
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

/// The highest role that some group gives which was not read: anybody might
/// have it.
fn highest_unread(world: World<'_>) -> Option<Role> {
    world
        .directory
        .assignments
        .get()
        .iter()
        .filter(|assignment| match assignment.principal {
            Principal::Person(_) => false,
            Principal::Group(group) => {
                !world.policy.groups.admits(group)
                    || world
                        .directory
                        .groups
                        .get(&group)
                        .is_none_or(|group| group.role_bearers().is_none())
            }
        })
        .filter_map(|assignment| role_of(world, assignment))
        .max()
}

/// The role of LiteLLM's that an assignment gives, if it gives one.
fn role_of(world: World<'_>, assignment: &Assignment) -> Option<Role> {
    let role = world.directory.roles.get(&assignment.role)?;
    match RoleValue::read(role.value.as_deref()) {
        RoleValue::Role(value) if role.state == AppRoleState::Enabled => Some(value),
        RoleValue::Role(_) | RoleValue::Refused | RoleValue::Foreign => None,
    }
}
