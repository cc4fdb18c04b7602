//! People who are disabled or deleted in Entra.

use super::{Removals, doubt, is_anothers_administrator, is_named_administrator, member};
use crate::model::directory::{Account, Attributes, Unread};
use crate::model::evidence::Whereabouts;
use crate::model::ids::PersonId;
use crate::model::ledger::{Ours, OwnedUser};
use crate::model::policy::GonePersonPolicy;
use crate::model::report::{Kind, ObjectError, Skipped};
use crate::model::role::Role;
use crate::model::target::Activity;
use crate::plan::World;
use crate::plan::desired::{Desired, skipped};
use crate::plan::identity::{is_anothers, is_bound_to};
use crate::plan::people::Bound;
use crate::plan::removal::{Removal, Why};

/// Managed people whom this reading does not show at all. They left every
/// group, or are gone: only their own object tells. So it is with those who are
/// assigned by name and whom Entra does not show.
pub(super) fn unseen(world: World<'_>) -> Vec<PersonId> {
    if !world.scope.judges_absence() {
        return Vec::new();
    }
    world
        .owned
        .people
        .keys()
        .filter(|person| {
            world.scope.covers_person(**person)
                && !world.directory.people.contains_key(person)
                && matches!(
                    world.directory.unread_people.get(person),
                    None | Some(Unread::NotFound)
                )
        })
        .copied()
        .collect()
}

/// What is decided: removals, doubts, and who is kept on purpose.
type Lists<'l> = (
    &'l mut Vec<Removal>,
    &'l mut Vec<ObjectError>,
    &'l mut Vec<Skipped>,
);

pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    bound: &Bound,
    (candidates, doubts, kept): Lists<'_>,
) {
    if !world.scope.judges_absence() {
        return;
    }
    for (person, read) in &world.directory.people {
        let disabled = matches!(
            &read.attributes,
            Attributes::Known(attributes) if attributes.account == Account::Disabled
        );
        if disabled && removals.deprovision.disabled_user == GonePersonPolicy::Deactivate {
            deactivate(world, desired, (*person, Why::Disabled), candidates, kept);
        }
    }
    for person in unseen(world) {
        if bound.contains_key(&person) {
            continue;
        }
        // While an assignment names them, only a place among the deleted items
        // is proof: a copy of the directory that lags shows neither.
        let is_named = world.directory.unread_people.contains_key(&person);
        let seen = removals.evidence.people.get(&person);
        if is_named && !matches!(seen, Some(Whereabouts::SoftDeleted)) {
            continue;
        }
        let (policy, why) = match seen {
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
            deactivate(world, desired, (person, why), candidates, kept);
        }
    }
}

/// Whether somebody who could not be read is among the deleted items: that
/// answers it.
pub(super) fn is_deleted(removals: Removals<'_>, object: &ObjectError) -> bool {
    let person = match object.kind {
        Kind::User => object.id.parse().ok(),
        _ => None,
    };
    person.is_some_and(|person: PersonId| {
        removals.evidence.people.get(&person) == Some(&Whereabouts::SoftDeleted)
    })
}

/// Every row that a person can log in as: the one that stands for them, and
/// earlier ones that are still bound to them.
fn deactivate(
    world: World<'_>,
    desired: &Desired<'_>,
    (person, why): (PersonId, Why),
    candidates: &mut Vec<Removal>,
    kept: &mut Vec<Skipped>,
) {
    let row = |known: &OwnedUser| world.target.users.get(&known.user);
    let now = world.owned.people.get(&person).into_iter();
    let now = now.filter_map(|known| Some((known, row(known)?)));
    let now = now.filter(|(known, row)| !is_anothers(world, person, known, row));
    let earlier = world.owned.earlier.get(&person).into_iter().flatten();
    let earlier = earlier.filter_map(|known| Some((known, row(known)?)));
    let earlier = earlier.filter(|(known, row)| is_bound_to(world, person, known, row));
    for (known, row) in now.chain(earlier) {
        if row.activity != Activity::Active || is_named_administrator(world, known, row) {
            continue;
        }
        // A login may have written it first; this pass takes it over.
        let wanted = desired.roles.get(&person) == Some(&Role::ProxyAdmin);
        let is_taken_over = known.role.is_some() && wanted;
        if is_anothers_administrator(known, row) && !is_taken_over {
            kept.push(skipped(Kind::User, person, "administrator_not_ours"));
            continue;
        }
        candidates.push(Removal::Deactivation {
            member: member(person, &known.user),
            why,
            administrator: match known.role {
                Some(Role::ProxyAdmin) => Ours::Yes,
                _ if is_taken_over => Ours::Yes,
                _ => Ours::No,
            },
        });
    }
}
