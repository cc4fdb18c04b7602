//! People whom LiteLLM does not have: who gets a seat, and as what they begin.
//!
//! Invariant: never more than there is room for; who is left out ranks no
//! higher than who is let in, and takes nothing from them, not even an address.

use std::cmp::Reverse;

use super::World;
use super::addresses::Addresses;
use super::change::{Member, Plan, UserChange};
use super::desired::{Desired, skipped};
use super::people::as_stored;
use crate::model::directory::PersonAttributes;
use crate::model::ids::{PersonId, UserId};
use crate::model::ledger::RoleFrom;
use crate::model::report::{Kind, Skipped};
use crate::model::role::Role;

/// Gives the free seats to the newcomers: the higher role first, then by id.
/// Returns those who got one.
pub(super) fn seat(
    world: World<'_>,
    desired: &Desired<'_>,
    plan: &mut Plan,
    addresses: &mut Addresses<'_>,
    newcomers: Vec<(PersonId, &PersonAttributes)>,
) -> Vec<Member> {
    let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
    let role = |person: PersonId| desired.roles.get(&person).copied().unwrap_or(default);
    let mut ranked: Vec<_> = newcomers
        .into_iter()
        .map(|(person, attributes)| (Reverse(role(person)), person, attributes))
        .collect();
    ranked.sort_unstable_by_key(|(role, person, _)| (*role, *person));
    let room = world.policy.seats.room(world.target.billable_users);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    for (_, person, _) in ranked.iter().skip(room) {
        plan.skipped
            .push(skipped(Kind::User, *person, Skipped::NO_SEAT));
    }
    let mut joined = Vec::with_capacity(ranked.len().min(room));
    for (Reverse(role), person, attributes) in ranked.into_iter().take(room) {
        let user = UserId::new(attributes.subject.as_ref());
        joined.push(Member {
            user: user.clone(),
            person,
        });
        let change = UserChange::Create {
            person,
            user,
            email: email(plan, addresses, person, attributes),
            alias: as_stored(plan, person, attributes.alias.as_deref()),
            role,
            role_from: match desired.roles.contains_key(&person) {
                true => RoleFrom::Assignment,
                false => RoleFrom::Default,
            },
        };
        plan.users.push(change);
    }
    joined
}

/// No address is better than one that is somebody else's: LiteLLM finds a
/// person by id first.
fn email(
    plan: &mut Plan,
    addresses: &mut Addresses<'_>,
    person: PersonId,
    attributes: &PersonAttributes,
) -> Option<Box<str>> {
    let email = as_stored(plan, person, attributes.email.as_deref())?;
    if addresses.take(&email) {
        return Some(email);
    }
    plan.skipped
        .push(skipped(Kind::User, person, "email_taken"));
    None
}
