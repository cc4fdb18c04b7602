//! What was found in LiteLLM and is wanted by Entra becomes ours: ledger rows
//! only, nothing of LiteLLM's changes.
//!
//! Invariant: the ledger knows a person before a membership of theirs is ours,
//! whatever becomes of a change to their row: whom it does not know loses no
//! access.

use super::Tally;
use super::step::Desk;
use crate::db::{Limits, Transaction};
use crate::ledger::lease;
use crate::ledger::ownership::{self, Membership};
use crate::model::ledger::Origin;
use crate::plan::{MemberList, Plan};
use crate::sync::error::{Error, Result};

const BATCH: usize = 5_000;

/// Who is behind the rows that were found.
pub(super) async fn people(desk: Desk<'_>, plan: &Plan) -> Result<()> {
    let met: Vec<_> = plan.newly_met().collect();
    for users in met.chunks(BATCH).chain(plan.adopted.users.chunks(BATCH)) {
        let mut transaction = open(desk).await?;
        ownership::record_users(&mut transaction, desk.lease.source, desk.run, users).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Everything else; not the memberships of a row that did not become theirs.
pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &Tally) -> Result<()> {
    let adopted = &plan.adopted;
    let source = desk.lease.source;
    for teams in adopted.teams.chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::record_teams(&mut transaction, source, desk.run, teams).await?;
        transaction.commit().await?;
    }
    for organizations in adopted.organizations.chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::record_organizations(&mut transaction, source, desk.run, organizations).await?;
        transaction.commit().await?;
    }
    for members in memberships(&adopted.team_members, tally).chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::record_team_members(&mut transaction, source, members).await?;
        transaction.commit().await?;
    }
    for members in memberships(&adopted.organization_members, tally).chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::record_organization_members(&mut transaction, source, members).await?;
        transaction.commit().await?;
    }
    let settled: Vec<_> = adopted
        .default_teams
        .iter()
        .map(|(team, person)| (team, *person))
        .collect();
    for joins in settled.chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::settle_default_teams(&mut transaction, source, joins).await?;
        transaction.commit().await?;
    }
    Ok(())
}

fn memberships(lists: &[MemberList], tally: &Tally) -> Vec<Membership> {
    lists
        .iter()
        .flat_map(|list| {
            list.members
                .iter()
                .filter(|member| !tally.without_row.contains(&member.user))
                .map(|member| (list.group, member.clone(), Origin::Adopted))
        })
        .collect()
}

async fn open(desk: Desk<'_>) -> Result<Transaction> {
    if desk.stop.is_cancelled() {
        return Err(Error::Stopped);
    }
    let mut transaction = desk.database.begin(Limits::WRITE_OF_MANY).await?;
    lease::fence(&mut transaction, desk.lease).await?;
    Ok(transaction)
}
