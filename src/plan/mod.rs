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
mod concerned;
mod decided;
mod default_teams;
mod desired;
mod digest;
pub mod explain;
mod follow;
pub mod following;
mod guard;
mod identity;
mod item;
mod members;
mod newcomers;
mod people;
mod places;
mod removal;
mod removals;
pub mod render;
mod restore;
#[cfg(test)]
mod tests;
mod text;
pub mod undo;

pub use change::{
    Adopted, DefaultTeamChange, FieldChange, Member, MemberList, OrganizationChange,
    OrganizationMembersChange, Plan, RosterChange, TeamChange, UserChange,
};
pub use decided::Over;
pub use desired::{Desired, WantedGroup, desired};
pub use digest::fingerprint;
pub use guard::{Approvals, Situation, Source, Verdict, digest as removals_digest, guard};
pub use item::{Item, LISTED_FOR_INFORMATION, TAKEN_OUT, Waits};
pub use people::first_met;
pub use places::created_team;
pub use removal::{Removal, Why};
pub use removals::{Deprovision, Forgotten, Leftover, Removals, Waiting};
pub use restore::Restoration;
pub use text::{printable, span};

use crate::model::directory::Directory;
use crate::model::evidence::Questions;
use crate::model::ledger::Owned;
use crate::model::policy::{DeprovisionSettings, Policy, Scope};
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

/// What must be read a second time before [`plan`] may take anything away.
#[must_use]
pub fn questions(world: World<'_>, settings: &DeprovisionSettings) -> Questions {
    let wanted = desired(world, &mut Plan::default());
    removals::questions(world, &wanted, settings)
}

/// The changes that make LiteLLM equal to Entra, as far as we may: what is
/// added, changed and given back, then what is taken away.
#[must_use]
pub fn plan(world: World<'_>, removals: Removals<'_>) -> Plan {
    decide(world, Some(removals))
}

/// The same without taking anything away.
#[must_use]
pub fn additions(world: World<'_>) -> Plan {
    decide(world, None)
}

fn decide(world: World<'_>, removals: Option<Removals<'_>>) -> Plan {
    let mut plan = Plan::default();
    let wanted = desired(world, &mut plan);
    let (bound, newcomers) = people::decide(world, &wanted, &mut plan);
    places::decide(world, &wanted, &mut plan);
    members::decide(world, &wanted, &bound, &mut plan);
    default_teams::decide(world, &bound, &newcomers, &mut plan);
    restore::decide(world, removals, &wanted, &bound, &mut plan);
    if let Some(removals) = removals {
        removals::decide(world, removals, &wanted, &bound, &mut plan);
    }
    plan.sort();
    plan
}
