//! Each change as an event of its own, with the target `change`: for whoever
//! keeps logs as a record of what was done. And what a pass left alone that
//! nobody else would look at.
//!
//! Invariant: told is what the ledger holds, so nothing that was not committed.
//! Costs nothing while nobody listens. Must not: say a value; ids only.

use tracing::Level;

use super::Source;
use super::error::Result;
use crate::db::Limits;
use crate::ledger::changes::{self, Mark, Noted};
use crate::model::ids::RunId;
use crate::model::report::{Kind, Skipped};
use crate::plan::Plan;

/// The target of these events.
const TARGET: &str = "change";

impl Source {
    /// Tells every change of a run that has ended, memberships last.
    pub(super) async fn tell_changes(&self, run: RunId) {
        if !tracing::enabled!(target: TARGET, Level::INFO) {
            return;
        }
        if let Err(error) = self.try_to_tell_changes(run).await {
            tracing::warn!(
                error.message = %error,
                "not every change was logged; `entra-sync show {run}` has them"
            );
        }
    }

    async fn try_to_tell_changes(&self, run: RunId) -> Result<()> {
        let mut mark = Mark::default();
        loop {
            let mut transaction = self.database.begin(Limits::READ).await?;
            let noted = changes::noted(&mut transaction, run, &mut mark).await?;
            transaction.commit().await?;
            if noted.is_empty() {
                return Ok(());
            }
            noted.iter().for_each(tell);
        }
    }
}

/// Says once in a pass that something stays for the sake of sources that nobody
/// asks any more.
pub(super) fn tell_of_unnamed_sources(plan: &Plan) {
    let skipped = plan.skipped.iter();
    let count = skipped
        .filter(|skipped| skipped.reason == Skipped::UNNAMED_SOURCE)
        .count();
    if count > 0 {
        tracing::warn!(
            count,
            "Entra takes these away, and they stay: the ledger holds them for a source that no \
             settings name (`entra-sync status` says which). Name it again, or, if it is gone for \
             good, delete its row of entra_sync.source and take out by hand what the report names \
             under {}",
            Skipped::UNNAMED_SOURCE
        );
    }
}

fn tell(change: &Noted) {
    let Noted {
        action,
        kind,
        id,
        users,
        reason,
    } = change;
    match users {
        None => tracing::info!(
            target: TARGET,
            { action, object.kind = kind, object.id = id, reason },
            "{action} {kind}"
        ),
        Some(users) if kind == Kind::OrganizationMembership.as_str() => {
            for user in users {
                tracing::info!(
                    target: TARGET,
                    { action, object.kind = kind, organization.id = id, user.id = user, reason },
                    "{action} {kind}"
                );
            }
        }
        Some(users) => {
            for user in users {
                tracing::info!(
                    target: TARGET,
                    { action, object.kind = kind, team.id = id, user.id = user, reason },
                    "{action} {kind}"
                );
            }
        }
    }
}
