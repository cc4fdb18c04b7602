//! People who are disabled or deleted in Entra.

use super::{Removals, doubt, is_anothers, is_protected, managed_row, member};
use crate::model::directory::{Account, Attributes};
use crate::model::evidence::Whereabouts;
use crate::model::ids::PersonId;
use crate::model::ledger::Ours;
use crate::model::policy::GonePersonPolicy;
use crate::model::report::{Kind, ObjectError};
use crate::model::role::Role;
use crate::model::target::Activity;
use crate::plan::World;
use crate::plan::people::Bound;
use crate::plan::removal::{Removal, Why};

/// Managed people whom this reading does not show at all. They left every
/// group, or are gone: only their own object tells.
pub(super) fn unseen(world: World<'_>) -> Vec<PersonId> {
    if !world.scope.is_everything() {
        return Vec::new();
    }
    world
        .owned
        .people
        .keys()
        .filter(|person| {
            !world.directory.people.contains_key(person)
                && !world.directory.unread_people.contains_key(person)
        })
        .copied()
        .collect()
}

pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    bound: &Bound,
    candidates: &mut Vec<Removal>,
    doubts: &mut Vec<ObjectError>,
) {
    if !world.scope.is_everything() {
        return;
    }
    for (person, read) in &world.directory.people {
        let disabled = matches!(
            &read.attributes,
            Attributes::Known(attributes) if attributes.account == Account::Disabled
        );
        if disabled && removals.deprovision.disabled_user == GonePersonPolicy::Deactivate {
            deactivate(world, *person, Why::Disabled, candidates);
        }
    }
    for person in unseen(world) {
        if bound.contains_key(&person) {
            continue;
        }
        let (policy, why) = match removals.evidence.people.get(&person) {
            Some(Whereabouts::Present(Account::Disabled)) => {
                (removals.deprovision.disabled_user, Why::Disabled)
            }
            Some(Whereabouts::SoftDeleted) => (removals.deprovision.deleted_user, Why::SoftDeleted),
            Some(Whereabouts::Purged) => (removals.deprovision.deleted_user, Why::Purged),
            Some(Whereabouts::Unknown(message)) => {
                doubts.push(doubt(Kind::User, person, message.clone()));
                continue;
            }
            Some(Whereabouts::Present(Account::Enabled)) | None => continue,
        };
        if policy == GonePersonPolicy::Deactivate {
            deactivate(world, person, why, candidates);
        }
    }
}

fn deactivate(world: World<'_>, person: PersonId, why: Why, candidates: &mut Vec<Removal>) {
    let Some((user, row)) = managed_row(world, person) else {
        return;
    };
    let spared = is_protected(world, person, user, row) || is_anothers(world, person, user, row);
    if row.activity == Activity::Active && !spared {
        candidates.push(Removal::Deactivation {
            member: member(person, user),
            why,
            administrator: match world.owned.people.get(&person).and_then(|owned| owned.role) {
                Some(Role::ProxyAdmin) => Ours::Yes,
                _ => Ours::No,
            },
        });
    }
}
