//! What of our doing somebody ended or changed in LiteLLM: it is not ours any
//! more, and what they do next is theirs.
//!
//! Invariant: nothing that this pass does is forgotten with what came before.

use std::collections::HashSet;

use super::roles::is_hidden;
use crate::model::ids::UserId;
use crate::model::ledger::Ours;
use crate::model::role::Role;
use crate::model::target::{Activity, StoredRole};
use crate::plan::World;
use crate::plan::change::{Member, Plan, UserChange};
use crate::plan::desired::Desired;
use crate::plan::removal::Removal;

/// Deactivations of ours whose row is active again, or gone.
pub(super) fn deactivations(world: World<'_>, released: &[Removal]) -> Vec<Member> {
    let again: HashSet<&UserId> = released
        .iter()
        .filter(|removal| matches!(removal, Removal::Deactivation { .. }))
        .filter_map(Removal::user)
        .collect();
    let mut over: Vec<Member> = world
        .owned
        .rows()
        .filter(|(person, _)| world.scope.covers_person(*person))
        .filter(|(_, known)| known.deactivation == Ours::Yes && !again.contains(&known.user))
        .filter(|(_, known)| {
            let row = world.target.users.get(&known.user);
            row.is_none_or(|row| row.activity == Activity::Active)
        })
        .map(|(person, known)| Member {
            user: known.user.clone(),
            person,
        })
        .collect();
    over.sort_unstable();
    over
}

/// Roles of ours that the row does not hold, except those that this plan writes
/// or takes over, and those that Entra may have brought about: LiteLLM's login
/// writes app roles as well.
pub(super) fn roles(world: World<'_>, desired: &Desired<'_>, plan: &Plan) -> Vec<(Member, Role)> {
    let written = plan.users.iter().filter_map(|change| match change {
        UserChange::Create { person, .. } => Some(*person),
        UserChange::Update {
            person,
            role,
            owned,
            ..
        } => {
            let was = world.owned.people.get(person).and_then(|known| known.role);
            (role.is_some() || owned.role != was).then_some(*person)
        }
    });
    let taken_over = plan.adopted.users.iter().filter_map(|(person, owned)| {
        let was = world.owned.people.get(person).and_then(|known| known.role);
        (owned.role != was).then_some(*person)
    });
    let ours: HashSet<_> = written.chain(taken_over).collect();
    let mut over: Vec<(Member, Role)> = world
        .owned
        .rows()
        .filter(|(person, _)| !ours.contains(person) && world.scope.covers_person(*person))
        .filter_map(|(person, known)| {
            let role = known.role?;
            let row = world.target.users.get(&known.user);
            let stays = row.is_some_and(|row| match row.role {
                StoredRole::Role(now) => {
                    now == role || desired.roles.get(&person) == Some(&now) || is_hidden(world, now)
                }
                StoredRole::None | StoredRole::Other(_) => false,
            });
            let member = Member {
                user: known.user.clone(),
                person,
            };
            (!stays).then_some((member, role))
        })
        .collect();
    over.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    over
}
