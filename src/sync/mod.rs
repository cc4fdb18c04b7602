//! One pass: read, decide, write, report. Whatever wakes the daemon, this is
//! what runs.
//!
//! Invariant: nothing is read from Graph before the database is known to be
//! LiteLLM's, nothing is decided before the reading has ended, and nothing is
//! written without the lease. A pass can be dropped at any await: transactions
//! close their connection, and the next pass heals what is missing.
//! Must not: know who asked, beyond writing it down.

mod error;
mod progress;
mod report;
mod undo;
mod write;

use std::sync::Arc;

use chrono::Utc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Settings;
use crate::db::{Database, Limits};
use crate::ledger::lease::{self, Lease};
use crate::ledger::{self, held, ownership, runs};
use crate::litellm::{self, Capabilities, snapshot};
use crate::model::directory::{Directory, ReadingCost};
use crate::model::evidence::Evidence;
use crate::model::ids::{RunId, SourceId};
use crate::model::ledger::Owned;
use crate::model::policy::Scope;
use crate::model::report::{Mode, Trigger};
use crate::model::target::Target;
use crate::plan::{self, Plan, Removal, Removals, World};
use crate::{entra, sync::write::Writer};

pub use error::{Error, Result};
pub use progress::{Phase, Progress, Watch, Written};
pub use report::{Report, failed_plan_json, plan_json};
pub use undo::{UndoRequest, Undone, undo_json};

/// One Enterprise Application and the database it is kept in step with. Made
/// once, it keeps its connections, token and throttling between passes.
pub struct Source {
    settings: Arc<Settings>,
    database: Database,
    reader: entra::Reader,
    holder: String,
}

/// What a pass was asked for. It carries no data: only how far to look.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asked.
    pub trigger: Trigger,
    /// How the directory is to be read.
    pub mode: Mode,
    /// How far to look.
    pub scope: Scope,
}

/// A plan with what it was made from.
pub struct Planned {
    /// The changes.
    pub plan: Plan,
    /// What Entra says.
    pub directory: Directory,
    /// What LiteLLM has.
    pub target: Target,
    /// What is ours.
    pub owned: Owned,
}

impl Source {
    /// Prepares connections; nothing is sent yet.
    ///
    /// # Errors
    /// When this machine's TLS or proxy settings are unusable.
    pub fn new(settings: Arc<Settings>) -> Result<Self> {
        Ok(Self {
            database: Database::new(&settings.litellm.database)?,
            reader: entra::Reader::new(&settings.entra)?,
            holder: holder(),
            settings,
        })
    }

    /// The database, for commands that only look.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The reader, for `check`.
    #[must_use]
    pub fn reader(&self) -> &entra::Reader {
        &self.reader
    }

    /// The settings this source was made from.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The object id that names this source in reports.
    fn name(&self) -> String {
        self.settings.entra.service_principal_id.to_string()
    }

    /// Runs one pass to its end. The report is there even when it failed.
    pub async fn pass(
        &self,
        request: &Request,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Report, Option<Error>) {
        let run = RunId::new(Uuid::new_v4());
        let mut report = Report::begin(run, request, Utc::now());
        let ended = self.run(run, request, progress, stop, &mut report).await;
        progress.enter(Phase::Idle);
        match ended {
            Ok(()) => (report, None),
            Err(error) => {
                report.fail(Utc::now(), &self.name(), &error);
                (report, Some(error))
            }
        }
    }

    async fn run(
        &self,
        run: RunId,
        request: &Request,
        progress: &Progress,
        stop: &CancellationToken,
        report: &mut Report,
    ) -> Result<()> {
        progress.enter(Phase::Opening);
        ledger::migrate(&self.database).await?;
        let (source, capabilities) = self.open().await?;
        let life = self.settings.schedule.lease;
        let lease = lease::acquire(&self.database, source, &self.holder, life).await?;
        let mut begun = self.database.begin(Limits::WRITE).await?;
        runs::start(
            &mut begun,
            lease,
            run,
            request.trigger,
            request.mode,
            report.started_at,
        )
        .await?;
        begun.commit().await?;

        let work = self.work(lease, run, request, &capabilities, progress, stop, report);
        let ended = tokio::select! {
            ended = work => ended,
            lost = self.keep(lease) => Err(lost),
        };
        self.close(lease, run, &ended, report).await;
        ended
    }

    /// The straight line: read, decide, write.
    #[expect(
        clippy::too_many_arguments,
        reason = "one private call, each a different thing"
    )]
    async fn work(
        &self,
        lease: Lease,
        run: RunId,
        request: &Request,
        capabilities: &Capabilities,
        progress: &Progress,
        stop: &CancellationToken,
        report: &mut Report,
    ) -> Result<()> {
        let planned = tokio::select! {
            planned = self.decide(Some(lease.source), request, capabilities, progress) => planned?,
            () = stop.cancelled() => return Err(Error::Stopped),
        };
        report.read(&planned.directory);
        report.planned(&planned.plan);
        // The reading has served; a first pass over a large tenant needs room.
        drop((planned.directory, planned.target, planned.owned));
        progress.enter(Phase::Writing);
        let writer = Writer::new(
            &self.database,
            &self.settings.litellm,
            capabilities,
            lease,
            run,
        );
        let (tally, ended) = writer.apply(&planned.plan, progress, stop).await;
        report.written(&planned.plan, tally, Utc::now());
        ended?;
        self.settle(lease, run, request, &planned.plan).await
    }

    /// Notes what waits, what is held and what is no longer ours. Only a pass
    /// that looked at everything knows.
    async fn settle(&self, lease: Lease, run: RunId, request: &Request, plan: &Plan) -> Result<()> {
        if !request.scope.is_everything() {
            return Ok(());
        }
        let deprovision = &plan.deprovision;
        let keys = |removals: &[Removal]| removals.iter().map(Removal::key).collect::<Vec<_>>();
        let held = deprovision.verdict.alarm.as_ref().map(|held| {
            (
                held.digest.as_str(),
                held.reason.as_str(),
                keys(&deprovision.verdict.held),
            )
        });
        let planned = keys(&deprovision.verdict.held);
        let outcome = held::Outcome {
            run,
            now: Utc::now(),
            waiting: if self.settings.deprovision.grace.is_zero() {
                Vec::new()
            } else {
                [keys(&deprovision.waiting), planned.clone()].concat()
            },
            spent: deprovision.verdict.spent.iter().cloned().collect(),
            closing: if plan.unreadable.is_empty() {
                let waiting = keys(&deprovision.waiting);
                held::Closing::NotAmong(planned.into_iter().chain(waiting).collect())
            } else {
                held::Closing::Nothing
            },
            held,
        };
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        lease::fence(&mut transaction, lease).await?;
        held::record(&mut transaction, lease.source, &outcome).await?;
        let forgotten = &deprovision.forgotten;
        ownership::forget_team_members(&mut transaction, lease.source, &forgotten.team_members)
            .await?;
        let members = &forgotten.organization_members;
        ownership::forget_organization_members(&mut transaction, lease.source, members).await?;
        ownership::forget_blocks(&mut transaction, lease.source, &forgotten.blocks).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Reads and decides, for `plan`: writes nothing, runs no DDL, needs no
    /// lease.
    ///
    /// # Errors
    /// Whatever would make a pass fail before it writes.
    pub async fn plan(&self, request: &Request, progress: &Progress) -> Result<Planned> {
        progress.enter(Phase::Opening);
        let known = ledger::exists(&self.database).await?;
        let mut transaction = self.database.begin(Limits::READ).await?;
        let schema = &self.settings.litellm.database.schema;
        let capabilities = litellm::probe(&mut transaction, schema).await?;
        let source = if known {
            let entra = &self.settings.entra;
            ledger::find_source(&mut transaction, &entra.tenant, entra.service_principal_id).await?
        } else {
            None
        };
        transaction.commit().await?;
        let planned = self.decide(source, request, &capabilities, progress).await;
        progress.enter(Phase::Idle);
        planned
    }

    async fn decide(
        &self,
        source: Option<SourceId>,
        request: &Request,
        capabilities: &Capabilities,
        progress: &Progress,
    ) -> Result<Planned> {
        progress.enter(Phase::Reading);
        let mut directory = self.reader.read(&request.scope, progress.reading()).await?;
        progress.enter(Phase::Comparing);
        let (owned, held) = match source {
            Some(source) => {
                let mut transaction = self.database.begin(Limits::READ).await?;
                let owned = ownership::load(&mut transaction, source).await?;
                let window = self.settings.guard.window;
                let held = held::load(&mut transaction, source, window).await?;
                transaction.commit().await?;
                (owned, held)
            }
            None => (Owned::default(), held::State::default()),
        };
        let policy = &self.settings.litellm.policy;
        let interest = snapshot::Interest::of(&directory, &owned, policy);
        let mut transaction = self.database.begin(Limits::READ).await?;
        let target = snapshot::read(&mut transaction, capabilities, &interest).await?;
        transaction.commit().await?;
        let world = World {
            directory: &directory,
            target: &target,
            owned: &owned,
            policy,
            scope: &request.scope,
        };
        let settings = &self.settings;
        let questions = plan::questions(world, &settings.deprovision);
        let (evidence, cost) = if questions.is_empty() {
            (Evidence::default(), ReadingCost::default())
        } else {
            progress.enter(Phase::Reading);
            let again = self.reader.second_look(&questions, progress.reading());
            again.await
        };
        let plan = plan::plan(
            world,
            Removals {
                deprovision: &settings.deprovision,
                guard: &settings.guard,
                evidence: &evidence,
                waiting: &held.waiting,
                decisions: &held.decisions,
                recent: &held.recent,
                now: Utc::now(),
            },
        );
        directory.cost += cost;
        Ok(Planned {
            plan,
            directory,
            target,
            owned,
        })
    }

    async fn open(&self) -> Result<(SourceId, Capabilities)> {
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        let schema = &self.settings.litellm.database.schema;
        let capabilities = litellm::probe(&mut transaction, schema).await?;
        let entra = &self.settings.entra;
        let source =
            ledger::resolve_source(&mut transaction, &entra.tenant, entra.service_principal_id)
                .await?;
        transaction.commit().await?;
        Ok((source, capabilities))
    }

    /// Keeps the lease until it is lost; a database that does not answer for a
    /// while is no loss, because every write checks the epoch anyway.
    async fn keep(&self, lease: Lease) -> Error {
        let life = self.settings.schedule.lease;
        loop {
            tokio::time::sleep(life / 3).await;
            match lease::renew(&self.database, lease, life).await {
                Ok(()) => {}
                Err(lost @ ledger::Error::LeaseLost { .. }) => return lost.into(),
                Err(error) => {
                    tracing::warn!(error.message = %error, "the lease was not renewed; trying again");
                }
            }
        }
    }

    /// Writes the run's end and gives the lease back. What fails here has no
    /// effect on LiteLLM's rows, so it is only logged.
    async fn close(&self, lease: Lease, run: RunId, ended: &Result<()>, report: &mut Report) {
        if let Err(error) = ended {
            report.fail(Utc::now(), &self.name(), error);
        }
        let recorded = async {
            let mut transaction = self.database.begin(Limits::WRITE).await?;
            let json = report.json();
            let error = ended.as_ref().err().map(ToString::to_string);
            let outcome = runs::Outcome {
                status: report.status,
                finished_at: report.finished_at.unwrap_or_else(Utc::now),
                plan_digest: report.plan_digest.as_deref(),
                report: &json,
                error: error.as_deref(),
            };
            runs::finish(&mut transaction, run, outcome).await?;
            let keep = chrono::Duration::from_std(self.settings.history.keep);
            if let Ok(keep) = keep {
                runs::prune(&mut transaction, lease.source, Utc::now() - keep).await?;
            }
            transaction.commit().await?;
            lease::release(&self.database, lease).await
        };
        if let Err(error) = recorded.await {
            tracing::warn!(error.message = %error, "the end of the run was not recorded");
        }
    }
}

/// Host and process, as `status` shows the holder of the lease.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "unknown host",
        host => host,
    };
    format!("{host} (process {})", std::process::id())
}
