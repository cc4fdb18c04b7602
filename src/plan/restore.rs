//! Giving back what deactivation or blocking took, to whom comes back.
//!
//! Invariant: only what we took is given back, and only to whom it was taken
//! from: a row that has become somebody else's since is not touched for them.

use super::World;
use super::change::{Member, Plan};
use super::desired::Desired;
use super::identity::is_anothers;
use super::people::Bound;
use super::removals::Removals;
use crate::model::directory::{Account, Attributes};
use crate::model::evidence::Whereabouts;
use crate::model::ids::{GroupId, PersonId, TeamId, UserId};
use crate::model::ledger::Ours;
use crate::model::target::{Activity, Block};

/// Something that is given back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Restoration {
    /// A person's access, with the keys that deactivation blocked.
    Reactivation(Member),
    /// A team, to its group that is assigned again.
    UnblockTeam(GroupId),
}

pub(super) fn decide(
    world: World<'_>,
    removals: Option<Removals<'_>>,
    desired: &Desired<'_>,
    bound: &Bound,
    plan: &mut Plan,
) {
    for (person, owned) in world.owned.rows() {
        if owned.deactivation == Ours::No || !world.scope.covers_person(person) {
            continue;
        }
        let enabled = match world.directory.people.get(&person) {
            Some(read) => matches!(
                &read.attributes,
                Attributes::Known(known) if known.account == Account::Enabled
            ),
            // In no group that is read: the look-up that would take access away
            // gives it back as well.
            None => removals.is_some_and(|removals| {
                let seen = removals.evidence.people.get(&person);
                seen == Some(&Whereabouts::Present(Account::Enabled))
            }),
        };
        let row = world.target.users.get(&owned.user);
        let theirs = row.filter(|row| !is_anothers(world, person, owned, row));
        let deactivated = theirs.is_some_and(|row| row.activity == Activity::Deactivated);
        if enabled && deactivated && is_still_theirs(world, bound, person, &owned.user) {
            plan.restorations.push(Restoration::Reactivation(Member {
                user: owned.user.clone(),
                person,
            }));
        }
    }
    if !world.scope.asked_people().is_empty() {
        return;
    }
    for group in desired.groups.keys() {
        let ours = world
            .owned
            .teams
            .get(group)
            .is_some_and(|team| team.block == Ours::Yes);
        let row = world.target.teams.get(&TeamId::of(*group));
        if ours && row.is_some_and(|row| row.block == Block::Blocked) {
            plan.restorations.push(Restoration::UnblockTeam(*group));
        }
    }
    plan.restorations.sort();
}

/// Whether the row stands for nobody but this person. The reading's word goes
/// before the ledger's, which may name two people for one row.
fn is_still_theirs(world: World<'_>, bound: &Bound, person: PersonId, user: &UserId) -> bool {
    let mut readers = bound.iter().filter(|(_, row)| *row == user).peekable();
    if readers.peek().is_some() {
        return readers.all(|(reader, _)| *reader == person);
    }
    let mut known = world.owned.people.iter();
    known.all(|(other, known)| {
        // Whom the reading gives another row is not this one any more.
        let is_elsewhere = bound.contains_key(other);
        let row = world.target.users.get(user);
        let is_lost = || row.is_some_and(|row| is_anothers(world, *other, known, row));
        *other == person || known.user != *user || is_elsewhere || is_lost()
    })
}
