//! What was found in LiteLLM and is wanted by Entra becomes ours: ledger rows
//! only, nothing of LiteLLM's changes.

use super::step::Desk;
use crate::db::{Limits, Transaction};
use crate::ledger::lease;
use crate::ledger::ownership::{self, Membership};
use crate::model::ledger::Origin;
use crate::plan::{MemberList, Plan};
use crate::sync::error::{Error, Result};

const BATCH: usize = 5_000;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan) -> Result<()> {
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
    for users in adopted.users.chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::record_users(&mut transaction, source, desk.run, users).await?;
        transaction.commit().await?;
    }
    for members in memberships(&adopted.team_members).chunks(BATCH) {
        let mut transaction = open(desk).await?;
        ownership::record_team_members(&mut transaction, source, members).await?;
        transaction.commit().await?;
    }
    for members in memberships(&adopted.organization_members).chunks(BATCH) {
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

fn memberships(lists: &[MemberList]) -> Vec<Membership> {
    lists
        .iter()
        .flat_map(|list| {
            list.members
                .iter()
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
