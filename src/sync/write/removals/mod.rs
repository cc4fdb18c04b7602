//! Taking away what the guard released, and giving back what we took.
//!
//! Invariant: each removal commits together with the end of our ownership, a
//! whole copy of what went, and the guard's count; what somebody changed since
//! the snapshot is left to the next pass.

mod access;
mod members;
mod places;

use access::{Ended, GivenBack, Lowered};
use members::{Leaver, OrganizationLeaver};
use places::Place;

use super::Tally;
use super::step::Desk;
use crate::db::Transaction;
use crate::ledger::changes::Change;
use crate::ledger::{recent, waiting};
use crate::model::ids::GroupId;
use crate::model::ledger::Recent;
use crate::model::report::Kind;
use crate::plan::{Plan, Removal};
use crate::sync::error::{Error, Result};

/// Members that one transaction takes out: each rewrites the roster and copies
/// keys, under the team's lock.
const MEMBERS: usize = 500;
const PEOPLE: usize = 200;

/// What a person or team gets back, and whose access ends: before anything
/// else, so that it happens even when the rest of the pass fails.
pub(super) async fn write_access(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let back: Vec<GivenBack<'_>> = plan.restorations.iter().map(GivenBack).collect();
    desk.run(&back, 1, tally).await?;
    let ended: Vec<Ended<'_>> = tasks(plan)
        .filter(|task| matches!(task.removal, Removal::Deactivation { .. }))
        .map(Ended)
        .collect();
    // One kind of administrator at a time: see `Ended::write`.
    for same in ended.chunk_by(|a, b| a.administrators() == b.administrators()) {
        desk.run(same, PEOPLE, tally).await?;
    }
    Ok(())
}

/// Everything else that is taken away.
pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let of = |wanted: fn(&Removal) -> bool| -> Vec<Task<'_>> {
        tasks(plan).filter(|task| wanted(task.removal)).collect()
    };
    let roles: Vec<Lowered<'_>> = of(|r| matches!(r, Removal::LowerRole { .. }))
        .into_iter()
        .map(Lowered)
        .collect();
    desk.run(&roles, PEOPLE, tally).await?;
    let leavers: Vec<Leaver<'_>> = of(|r| matches!(r, Removal::TeamMember { .. }))
        .into_iter()
        .map(Leaver)
        .collect();
    for team in leavers.chunk_by(|a, b| a.0.removal.group() == b.0.removal.group()) {
        desk.run(team, MEMBERS, tally).await?;
    }
    let members: Vec<OrganizationLeaver<'_>> =
        of(|r| matches!(r, Removal::OrganizationMember { .. }))
            .into_iter()
            .map(OrganizationLeaver)
            .collect();
    for organization in members.chunk_by(|a, b| a.0.removal.group() == b.0.removal.group()) {
        desk.run(organization, MEMBERS, tally).await?;
    }
    let places: Vec<Place<'_>> =
        of(|r| matches!(r, Removal::BlockTeam { .. } | Removal::DeleteTeam { .. }))
            .into_iter()
            .map(Place)
            .collect();
    desk.run(&places, 1, tally).await
}

/// A released removal, and whether an operator approved it.
#[derive(Clone, Copy)]
struct Task<'a> {
    removal: &'a Removal,
    approval: Approval,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Given,
    NotAsked,
}

/// The released removals in their order.
fn tasks(plan: &Plan) -> impl Iterator<Item = Task<'_>> {
    let verdict = &plan.deprovision.verdict;
    verdict.released.iter().map(|removal| Task {
        removal,
        approval: if verdict.approved.contains(&removal.key()) {
            Approval::Given
        } else {
            Approval::NotAsked
        },
    })
}

async fn count(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    tasks: impl Iterator<Item = Task<'_>>,
) -> Result<()> {
    let tasks: Vec<Task<'_>> = tasks.collect();
    let keys: Vec<String> = tasks.iter().map(|task| task.removal.key()).collect();
    waiting::end(transaction, desk.lease.source, &keys).await?;
    let mut unapproved = Recent::default();
    let unasked = tasks
        .iter()
        .filter(|task| task.approval == Approval::NotAsked);
    for Task { removal, .. } in unasked {
        unapproved.removals += removal.weight();
        unapproved.people.extend(removal.person_losing());
        if let Some(group) = removal.group_losing() {
            *unapproved.by_group.entry(group).or_default() += removal.weight();
        }
    }
    Ok(recent::count(transaction, desk.run, &unapproved).await?)
}

fn refuse(task: Task<'_>, error: &Error, tally: &mut Tally) {
    let item = task.removal.item("remove");
    let mut message = format!("could not be taken away: {error}");
    // A locked team says so itself.
    if !error.is_about_a_team() {
        message.push_str("; the next pass tries again");
    }
    tally.error(item.kind, item.id, message);
}

fn team_change(action: &str, group: GroupId, reason: &str) -> Change {
    Change {
        action: action.to_owned(),
        kind: Kind::Team.as_str().to_owned(),
        id: group.to_string(),
        reason: reason.to_owned(),
        before: None,
        after: None,
    }
}
