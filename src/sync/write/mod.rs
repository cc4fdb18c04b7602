//! Writing a plan, in short transactions that each hold LiteLLM's rows, our
//! ledger's rows about them, and the lease's epoch.
//!
//! Invariant: nothing is counted before it is committed; a batch that fails is
//! halved until the one bad object is found, and the others are written; what
//! depends on an object that failed is left for the next pass.

mod adoptions;
mod lanes;
mod leftovers;
mod members;
mod organization_members;
mod organizations;
mod pace;
mod removals;
mod step;
mod teams;
mod undo;
mod users;

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::Result;
use super::progress::Progress;
use crate::config::LitellmSettings;
use crate::db::Database;
use crate::ledger::lease::Lease;
use crate::litellm::{Capabilities, Writing};
use crate::model::ids::{GroupId, RunId, UserId};
use crate::model::report::{Counts, Kind, ObjectError, Skipped};
use crate::plan::Plan;
use crate::plan::undo::Undo;
use step::Desk;

/// What has been committed so far, and what was not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) skipped: Vec<Skipped>,
    pub(super) errors: Vec<ObjectError>,
    /// Groups whose organization is not there: their teams stand alone.
    without_organization: HashSet<GroupId>,
    /// Groups whose team is not there: no members to write.
    without_team: HashSet<GroupId>,
    /// Users that could not be inserted, or did not become the row of the person
    /// whose address they hold: no memberships to write.
    without_row: HashSet<UserId>,
    /// Teams that somebody else worked on: their members come again.
    busy_teams: BTreeSet<String>,
    /// When a transaction had the first lock for which others may wait; without
    /// it, its beginning is taken for that.
    locked_at: Option<Instant>,
    /// For how long the slowest transaction kept its locks, at most.
    pub(super) longest_lock: Duration,
    /// Transactions that were committed.
    pub(super) transactions: u64,
}

impl Tally {
    fn absorb(&mut self, other: Self) {
        add(&mut self.counts, &other.counts);
        self.skipped.extend(other.skipped);
        self.errors.extend(other.errors);
        self.without_organization.extend(other.without_organization);
        self.without_team.extend(other.without_team);
        self.without_row.extend(other.without_row);
        self.busy_teams.extend(other.busy_teams);
        self.longest_lock = self.longest_lock.max(other.longest_lock);
        self.transactions += other.transactions;
    }

    /// A new tally that knows what is not there, to be absorbed later.
    fn absences(&self) -> Self {
        Self {
            without_organization: self.without_organization.clone(),
            without_team: self.without_team.clone(),
            without_row: self.without_row.clone(),
            ..Self::default()
        }
    }

    /// Says for how long others may have waited for us.
    pub(super) fn tell_of_locks(&self) {
        let longest_ms = u64::try_from(self.longest_lock.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(
            locks.longest_ms = longest_ms,
            transactions = self.transactions,
            "writing has ended"
        );
    }

    fn error(&mut self, kind: Kind, id: impl ToString, message: impl Into<String>) {
        self.errors.push(ObjectError {
            kind,
            id: id.to_string(),
            message: message.into(),
        });
    }
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.organizations.created += more.organizations.created;
    sum.organizations.updated += more.organizations.updated;
    sum.teams.created += more.teams.created;
    sum.teams.updated += more.teams.updated;
    sum.users.created += more.users.created;
    sum.users.updated += more.users.updated;
    sum.team_memberships.added += more.team_memberships.added;
    sum.team_memberships.repaired += more.team_memberships.repaired;
    sum.organization_memberships.added += more.organization_memberships.added;
    sum.teams.blocked += more.teams.blocked;
    sum.teams.unblocked += more.teams.unblocked;
    sum.teams.deleted += more.teams.deleted;
    sum.users.deactivated += more.users.deactivated;
    sum.users.reactivated += more.users.reactivated;
    sum.team_memberships.removed += more.team_memberships.removed;
    sum.organization_memberships.removed += more.organization_memberships.removed;
    sum.keys.blocked += more.keys.blocked;
    sum.keys.unblocked += more.keys.unblocked;
    sum.keys.deleted += more.keys.deleted;
}

/// Writes one plan.
pub(super) struct Writer<'a> {
    database: &'a Database,
    settings: &'a LitellmSettings,
    capabilities: &'a Capabilities,
    lease: Lease,
    run: RunId,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(
        database: &'a Database,
        settings: &'a LitellmSettings,
        capabilities: &'a Capabilities,
        lease: Lease,
        run: RunId,
    ) -> Self {
        Self {
            database,
            settings,
            capabilities,
            lease,
            run,
        }
    }

    /// Writes the plan as far as it can be written; the tally holds whatever
    /// was committed, even when the pass then failed.
    pub(super) async fn apply(
        &self,
        plan: &Plan,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Tally, Result<()>) {
        progress.enter_writing(plan.counts().total());
        let mut tally = Tally::default();
        let ended = in_order(self.desk(progress, stop), plan, &mut tally).await;
        (tally, ended)
    }

    /// Gives back what an undo decided on, likewise.
    pub(super) async fn give_back(
        &self,
        undo: &Undo,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Tally, Result<()>) {
        progress.enter_writing(undo.returns.len() as u64);
        let mut tally = Tally::default();
        let ended = undo::write(self.desk(progress, stop), undo, &mut tally).await;
        (tally, ended)
    }

    fn desk<'d>(&'d self, progress: &'d Progress, stop: &'d CancellationToken) -> Desk<'d> {
        Desk {
            database: self.database,
            policy: &self.settings.policy,
            writing: Writing::new(self.settings, self.capabilities),
            lease: self.lease,
            run: self.run,
            progress,
            stop,
        }
    }
}

/// Whose access ends, first of all; then organizations before the teams inside
/// them, both and the users before the memberships that join them, and before
/// those the ledger meets the people; what else is taken away comes last, also
/// after what becomes ours: the ledger then tells of the rows as they are before
/// anything goes.
async fn in_order(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    removals::write_access(desk, plan, tally).await?;
    organizations::write(desk, plan, tally).await?;
    teams::write(desk, plan, tally).await?;
    adoptions::people(desk, plan).await?;
    users::write(desk, plan, tally).await?;
    members::write(desk, plan, tally).await?;
    leftovers::write(desk, plan, tally).await?;
    adoptions::write(desk, plan, tally).await?;
    removals::write(desk, plan, tally).await
}
