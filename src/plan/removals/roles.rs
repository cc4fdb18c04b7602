//! Roles that Entra no longer gives.
//!
//! Invariant: a role is lowered only if the row holds the one we last wrote,
//! and only when every group that could give a higher one was read.

use super::{is_protected, managed_row, member};
use crate::model::directory::{AppRoleState, Attributes, Principal};
use crate::model::ids::PersonId;
use crate::model::role::{Role, RoleValue};
use crate::model::target::StoredRole;
use crate::plan::World;
use crate::plan::desired::Desired;
use crate::plan::people::Bound;
use crate::plan::removal::Removal;

pub(super) fn decide(
    world: World<'_>,
    desired: &Desired<'_>,
    bound: &Bound,
    candidates: &mut Vec<Removal>,
) {
    if !world.scope.is_everything() {
        return;
    }
    let hidden = highest_unread(world);
    let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
    for (person, owned) in &world.owned.people {
        let (Some(ours), Some((user, row))) = (owned.role, managed_row(world, *person)) else {
            continue;
        };
        if bound.get(person).is_some_and(|bound| bound != user) || is_withheld(world, *person) {
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
        candidates.push(Removal::LowerRole {
            member: member(*person, user),
            before: ours,
            after: wanted,
        });
    }
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
        .filter_map(|assignment| world.directory.roles.get(&assignment.role))
        .filter(|role| role.state == AppRoleState::Enabled)
        .filter_map(|role| match RoleValue::read(role.value.as_deref()) {
            RoleValue::Role(role) => Some(role),
            RoleValue::Refused | RoleValue::Foreign => None,
        })
        .max()
}
