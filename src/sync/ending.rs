//! How a pass ends: what waits and what is held, the run's row, the history's
//! length, the lease.
//!
//! Invariant: nothing here has an effect on LiteLLM's rows; what fails after
//! the writing is logged, and keeps none of the rest from being done.

use super::Source;
use super::error::Result;
use super::report::Report;
use crate::db::Limits;
use crate::ledger::directory::{self, Open};
use crate::ledger::lease::{self, Lease};
use crate::ledger::{self, held, ownership, runs};
use crate::model::ids::{PersonId, RunId};
use crate::model::known::Touched;
use crate::model::policy::Scope;
use crate::model::report::{Question, Skipped};
use crate::plan::following::{Agreement, Contradicted};
use crate::plan::{Plan, Removal};

/// What a pass leaves behind.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    pub(super) plan: &'a Plan,
    /// How far it looked.
    pub(super) scope: &'a Scope,
    /// Where two readings contradicted each other.
    pub(super) contradicted: &'a Contradicted,
    /// Whether everybody who was to have a seat got one.
    pub(super) room: Room,
}

/// Whether there was room for everybody when it came to writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// There was.
    Enough,
    /// Somebody got no seat although the plan had counted one.
    Short,
}

impl Room {
    pub(super) fn of(report: &Report) -> Self {
        match report.skipped.iter().any(Skipped::waits_for_room) {
            true => Self::Short,
            false => Self::Enough,
        }
    }
}

impl Source {
    /// Notes what is held, what waits and what is no longer ours; of the last two
    /// only a pass that looked at everything knows. Gives what became of held
    /// removals.
    pub(super) async fn settle(
        &self,
        lease: Lease,
        run: RunId,
        Rest {
            plan,
            scope,
            contradicted,
            room,
        }: Rest<'_>,
    ) -> Result<Option<Question>> {
        let deprovision = &plan.deprovision;
        let keys = |removals: &[Removal]| removals.iter().map(Removal::key).collect::<Vec<_>>();
        let waiting = deprovision.waiting.iter();
        let waiting: Vec<String> = waiting.map(|waiting| waiting.removal.key()).collect();
        let held = deprovision.verdict.alarm.as_ref().map(|held| held::Set {
            digest: &held.digest,
            reason: &held.reason,
            items: keys(&deprovision.verdict.held),
            weights: deprovision
                .verdict
                .held
                .iter()
                .map(Removal::weight)
                .collect(),
        });
        if !scope.judges_absence() {
            // It can be decided about; what else waits or is over, a filtered
            // pass does not know.
            let Some(set) = held else { return Ok(None) };
            let mut transaction = self.database.begin(Limits::WRITE).await?;
            lease::fence(&mut transaction, lease).await?;
            let question =
                held::hold(&mut transaction, lease.source, run, self.clock.now(), &set).await?;
            transaction.commit().await?;
            return Ok(question);
        }
        let verdict = &deprovision.verdict;
        let (waiting, due) = match self.settings.deprovision.grace.is_zero() {
            true => Default::default(),
            false => (
                [waiting, keys(&verdict.held)].concat(),
                keys(&verdict.released),
            ),
        };
        let outcome = held::Outcome {
            run,
            now: self.clock.now(),
            waiting,
            due,
            held,
            approved: &deprovision.over.approved,
            rejected: &deprovision.over.rejected,
            unknown: &deprovision.over.unknown,
        };
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        lease::fence(&mut transaction, lease).await?;
        let question = held::record(&mut transaction, lease.source, &outcome).await?;
        let forgotten = &deprovision.forgotten;
        ownership::forget_team_members(&mut transaction, lease.source, &forgotten.team_members)
            .await?;
        let members = &forgotten.organization_members;
        ownership::forget_organization_members(&mut transaction, lease.source, members).await?;
        ownership::forget_blocks(&mut transaction, lease.source, &forgotten.blocks).await?;
        let deactivations = &forgotten.deactivations;
        ownership::forget_deactivations(&mut transaction, lease.source, deactivations).await?;
        ownership::forget_roles(&mut transaction, lease.source, &forgotten.roles).await?;
        ownership::forget_teams(&mut transaction, lease.source, &forgotten.teams).await?;
        let source = lease.source;
        directory::distrust(&mut transaction, source, &contradicted.groups).await?;
        if scope.is_everything() {
            directory::compared(&mut transaction, source, &self.compared()).await?;
        }
        let spared = match &deprovision.unwanted {
            Some(people) => {
                let among = match scope {
                    Scope::Changed(changed) => Some(&changed.people),
                    Scope::Everything | Scope::Asked(_) => None,
                };
                ownership::note_unwanted(&mut transaction, source, people, among).await?
            }
            None => Vec::new(),
        };
        let is_quiet = verdict.held.is_empty() && deprovision.waiting.is_empty();
        match is_quiet.then(|| self.left_open(plan, room, contradicted, spared)) {
            Some(open) => directory::settle(&mut transaction, source, open).await?,
            None if scope.is_everything() => {
                directory::settle(&mut transaction, source, Open::Everything).await?;
            }
            // What it looked at is still open.
            None => {}
        }
        transaction.commit().await?;
        Ok(question)
    }

    /// What is left to the next pass: to look once more at what this one was to
    /// change, whether it did or not. A row that has been bound may have more to
    /// change, and what a login did at the same moment was left alone.
    /// So it is with what two readings contradicted each other about, and with
    /// people whom this source does not want any more: another that passes at the
    /// same time may have spared them for its sake.
    fn left_open(
        &self,
        plan: &Plan,
        room: Room,
        contradicted: &Contradicted,
        spared: Vec<PersonId>,
    ) -> Open {
        match plan.concerned() {
            Some(mut touched)
                if room == Room::Enough && contradicted.assignments == Agreement::Alike =>
            {
                touched.groups.extend(&contradicted.groups);
                touched.people.extend(&contradicted.present);
                touched.people.extend(spared);
                if touched == Touched::default() {
                    Open::Nothing
                } else if touched.people.len() > self.narrowing.most {
                    Open::Everything
                } else {
                    Open::These(touched)
                }
            }
            _ => Open::Everything,
        }
    }

    /// Writes the run's end and gives the lease back. What fails here has no
    /// effect on LiteLLM's rows, so it is only logged.
    pub(super) async fn close(
        &self,
        lease: Lease,
        run: RunId,
        ended: &Result<()>,
        report: &mut Report,
    ) {
        if let Err(error) = ended {
            report.fail(self.clock.now(), &self.name(), error);
        }
        let mut recorded = self.record_end(run, ended, report).await;
        if matches!(&recorded, Err(error) if error.is_broken_off()) {
            recorded = self.record_end(run, ended, report).await;
        }
        if let Err(error) = recorded {
            tracing::warn!(error.message = %error, "the end of the run was not recorded");
        }
        if let Err(error) = self.prune(lease, run).await {
            tracing::warn!(
                error.message = %error,
                "the history was not pruned by history.keep; the next pass tries again"
            );
        }
        self.give_back(lease).await;
        self.tell_changes(run).await;
    }

    /// Lets whoever comes next begin at once: this process too would have to wait
    /// for its own lease.
    pub(super) async fn give_back(&self, lease: Lease) {
        let mut given_back = lease::release(&self.database, lease).await;
        if matches!(&given_back, Err(ledger::Error::Database(error)) if error.is_broken_off()) {
            given_back = lease::release(&self.database, lease).await;
        }
        if let Err(error) = given_back {
            tracing::warn!(error.message = %error, "the lease was not given back; it runs out");
        }
    }

    async fn record_end(&self, run: RunId, ended: &Result<()>, report: &Report) -> Result<()> {
        let json = report.json();
        let error = ended.as_ref().err().map(ToString::to_string);
        let outcome = runs::Outcome {
            status: report.status,
            mode: report.mode,
            finished_at: report.finished_at.unwrap_or_else(|| self.clock.now()),
            plan_digest: report.plan_digest.as_deref(),
            report: &json,
            error: error.as_deref(),
        };
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        runs::finish(&mut transaction, run, outcome).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn prune(&self, lease: Lease, run: RunId) -> Result<()> {
        let mut transaction = self.database.begin(Limits::WRITE_OF_MANY).await?;
        runs::prune(
            &mut transaction,
            lease.source,
            self.settings.history.keep,
            run,
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
