//! Deciding: from what Entra says, what LiteLLM has and what we own, to the
//! changes that make the second equal to the first.
//!
//! Invariant: pure. The same input gives the same plan, byte for byte, in any
//! order of input; applying a plan and planning again gives nothing; a row
//! that is not ours is never changed beyond what Entra's own login would do.
//! Must not: perform I/O, read a clock, draw a random number, or decide
//! anything from a reading that is not proven complete.

mod addresses;
mod admits;
mod change;
mod default_teams;
mod desired;
mod digest;
mod follow;
mod identity;
mod item;
mod members;
mod newcomers;
mod people;
mod places;
pub mod render;
#[cfg(test)]
mod tests;
mod text;

pub use change::{
    Adopted, DefaultTeamChange, FieldChange, Member, MemberList, OrganizationChange,
    OrganizationMembersChange, Plan, RosterChange, TeamChange, UserChange,
};
pub use desired::{Desired, WantedGroup, desired};
pub use item::{Item, LISTED_FOR_INFORMATION};
pub use places::created_team;
pub use text::printable;

use crate::model::directory::Directory;
use crate::model::ledger::Owned;
use crate::model::policy::{Policy, Scope};
use crate::model::target::Target;

/// Everything a decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What Entra says.
    pub directory: &'a Directory,
    /// What LiteLLM has.
    pub target: &'a Target,
    /// What is ours.
    pub owned: &'a Owned,
    /// What the operator wants.
    pub policy: &'a Policy,
    /// What this pass was asked to look at.
    pub scope: &'a Scope,
}

/// The changes that make LiteLLM equal to Entra, as far as we may.
#[must_use]
pub fn plan(world: World<'_>) -> Plan {
    let mut plan = Plan::default();
    let wanted = desired(world, &mut plan);
    let (bound, newcomers) = people::decide(world, &wanted, &mut plan);
    places::decide(world, &wanted, &mut plan);
    members::decide(world, &wanted, &bound, &mut plan);
    default_teams::decide(world, &bound, &newcomers, &mut plan);
    plan.sort();
    plan
}
