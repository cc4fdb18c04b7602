//! One pass: read, decide, write, report. Whatever wakes the daemon, this is
//! what runs.
//!
//! Invariant: nothing is read from Graph before the database is known to be
//! LiteLLM's, nothing is decided before the reading has ended, and nothing is
//! written without the lease. A pass can be dropped at any await: transactions
//! close their connection, and the next pass heals what is missing. Asked to
//! end, it ends between two transactions, or rolls the open one back when that
//! takes too long.
//! Must not: know who asked, beyond writing it down.

mod clock;
mod database;
mod deciding;
mod elsewhere;
mod ending;
mod error;
mod following;
mod host;
mod keeping;
mod narrowing;
mod progress;
mod quarantine;
mod reach;
mod report;
mod telling;
mod undo;
mod write;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, trace_span};
use uuid::Uuid;

use crate::config::Settings;
use crate::db::{Database, Limits};
use crate::ledger::lease::{self, Lease};
use crate::ledger::{self, requests, runs};
use crate::litellm::{self, Capabilities};
use crate::model::directory::{Directory, ReadingCost};
use crate::model::ids::{RunId, SourceId};
use crate::model::ledger::Owned;
use crate::model::policy::Scope;
use crate::model::report::{Mode, Trigger};
use crate::model::target::Target;
use crate::plan::Plan;
use crate::plan::following::Contradicted;
use crate::telemetry::attribute;
use crate::{entra, sync::write::Writer};
use clock::Clock;
use ending::{Rest, Room};
use keeping::in_time;
use report::Size;

pub use database::open_database;
pub use elsewhere::Made;
pub use error::{Error, Result};
pub use host::{holder, host};
pub use narrowing::Narrowing;
pub use progress::{Moment, Phase, Progress, Watch, Written};
pub use report::{Report, failed_plan_json, plan_json};
pub use undo::{UndoRequest, Undone, undo_json};

/// Asked to end, a transaction that goes on for longer is rolled back.
const TRANSACTION_GRACE: Duration = Duration::from_secs(5);

/// One Enterprise Application and the database it is kept in step with. Made
/// once, it keeps its connections, token and throttling between passes.
pub struct Source {
    settings: Arc<Settings>,
    database: Database,
    reader: entra::Reader,
    holder: String,
    memory: quarantine::Memory,
    narrowing: Narrowing,
    clock: Clock,
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

/// Whether a run is what somebody who asked for a pass waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// It looks at everything.
    Requests,
    /// It is about some objects only, or no pass at all.
    Nothing,
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
    /// How far was looked.
    scope: Scope,
    /// How large the directory is.
    size: Size,
    /// What the second look cost.
    second_look: ReadingCost,
    /// What it contradicts.
    contradicted: Contradicted,
}

impl Source {
    /// Prepares connections; nothing is sent yet.
    ///
    /// # Errors
    /// When this machine's TLS or proxy settings are unusable.
    pub fn new(settings: Arc<Settings>) -> Result<Self> {
        let database = open_database(&settings)?;
        Self::beside(settings, database)
    }

    /// The same with connections that other sources use as well.
    ///
    /// # Errors
    /// When this machine's TLS or proxy settings are unusable.
    pub fn beside(settings: Arc<Settings>, database: Database) -> Result<Self> {
        Ok(Self {
            database,
            reader: entra::Reader::new(&settings.entra)?,
            holder: holder(),
            memory: quarantine::Memory::default(),
            narrowing: Narrowing::default(),
            clock: Clock::default(),
            settings,
        })
    }

    /// The same with other bounds between comparing everything and comparing
    /// what has changed: for tests and benchmarks.
    #[must_use]
    pub fn narrowing(self, narrowing: Narrowing) -> Self {
        Self { narrowing, ..self }
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
    /// Within 8 s of `stop` it has ended, whatever the database does.
    pub async fn pass(
        &self,
        request: &Request,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Report, Option<Error>) {
        let run = RunId::new(Uuid::new_v4());
        let span = crate::telemetry::pass(run);
        self.pass_as(run, request, progress, stop)
            .instrument(span)
            .await
    }

    async fn pass_as(
        &self,
        run: RunId,
        request: &Request,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Report, Option<Error>) {
        let trigger = request.trigger.as_str();
        tracing::debug!(trigger, mode = request.mode.as_str(), "pass begins");
        attribute("source", self.settings.source.as_str());
        attribute("trigger", trigger);
        let mut report = Report::begin(run, request, self.clock.now());
        self.begin_anew().await;
        let pass = self.run(run, request, progress, stop, &mut report);
        let ended = in_time(stop, Box::pin(pass)).await;
        report.alerts = self.note(progress.phase(), ended.as_ref().err()).await;
        progress.enter(Phase::Idle);
        if let Err(error) = &ended {
            report.fail(self.clock.now(), &self.name(), error);
            attribute("error.type", error.kind());
        }
        attribute("mode", report.mode.as_str());
        attribute("status", report.status.as_str());
        (report, ended.err())
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
        // Until there is a lease there is nothing to give back.
        let (source, capabilities) = tokio::select! {
            opened = self.open().instrument(trace_span!("opening")) => opened?,
            () = stop.cancelled() => return Err(Error::Stopped),
        };
        // By the clock that all that follows is counted with.
        report.started_at = self.clock.now();
        let life = self.settings.schedule.lease;
        let lease = lease::acquire(&self.database, source, &self.holder, life).await?;
        let started = report.started_at;
        let takes = match request.scope.is_everything() {
            true => Takes::Requests,
            false => Takes::Nothing,
        };
        let begun = (request.trigger, report.mode, started);
        self.note_start(lease, run, begun, takes).await?;

        let halt = stop.child_token();
        let work = self.work(lease, run, request, &capabilities, progress, &halt, report);
        let ended = self.while_held(lease, &halt, Box::pin(work)).await;
        self.close(lease, run, &ended, report).await;
        ended
    }

    /// Writes the run's row, with the requests that it serves. Without one there is
    /// no pass, and the next need not wait out a lease that nobody uses.
    async fn note_start(
        &self,
        lease: Lease,
        run: RunId,
        (trigger, mode, started): (Trigger, Mode, DateTime<Utc>),
        takes: Takes,
    ) -> Result<()> {
        let noting = async {
            let mut begun = self.database.begin(Limits::WRITE).await?;
            lease::fence(&mut begun, lease).await?;
            runs::start(&mut begun, lease, run, trigger, mode, started).await?;
            if takes == Takes::Requests {
                requests::take(&mut begun, lease, run, mode).await?;
            }
            begun.commit().await?;
            Ok(())
        };
        let noted = noting.await;
        if noted.is_err() {
            self.give_back(lease).await;
        }
        noted
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
            planned = self.prepare(lease, request, capabilities, progress, report) => planned?,
            () = stop.cancelled() => return Err(Error::Stopped),
        };
        let Some(planned) = planned else {
            report.idle(self.clock.now());
            return Ok(());
        };
        report.planned(&planned.plan);
        // The reading has served; a first pass over a large tenant needs room.
        drop((planned.directory, planned.target, planned.owned));
        let writer = Writer::new(
            &self.database,
            &self.settings.litellm,
            capabilities,
            lease,
            run,
        );
        let writing = writer.apply(&planned.plan, progress, stop);
        let (tally, ended) = writing.instrument(trace_span!("writing")).await;
        tally.tell_of_locks();
        report.written(tally, self.clock.now());
        ended?;
        let rest = Rest {
            plan: &planned.plan,
            scope: &planned.scope,
            contradicted: &planned.contradicted,
            room: Room::of(report),
        };
        report.question = self.settle(lease, run, rest).await?;
        Ok(())
    }

    /// What this LiteLLM's tables look like, and that they hold whatever the
    /// settings ask for.
    async fn probe(&self) -> Result<Capabilities> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let settings = &self.settings.litellm;
        let capabilities = litellm::probe(&mut transaction, &settings.database.schema).await?;
        self.clock.set(crate::db::now(&mut transaction).await?);
        transaction.commit().await?;
        litellm::hold_defaults(&capabilities, &settings.policy)?;
        if let Some(sentence) = litellm::hindered_audit(settings.store_audit_logs, &capabilities) {
            tracing::warn!("{sentence}");
        }
        Ok(capabilities)
    }

    /// Looks at LiteLLM's tables before our own schema is made: a database that
    /// is not LiteLLM's, or is being migrated, gets nothing from us.
    async fn open(&self) -> Result<(SourceId, Capabilities)> {
        let capabilities = self.probe().await?;
        ledger::migrate(&self.database).await?;
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        let resolved = ledger::resolve_source(&mut transaction, self.settings.described()).await?;
        transaction.commit().await?;
        if let Some(before) = resolved.renamed_from {
            tracing::info!(
                source = %self.settings.source,
                before,
                "the ledger's source has the name of the settings now; all that it manages is kept"
            );
        }
        Ok((resolved.source, capabilities))
    }
}
