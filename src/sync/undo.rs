//! Undoing one run: reads what it took, decides what comes back, writes.
//!
//! Invariant: needs nothing of Entra, so it works when the directory is what is
//! wrong. A run of its own, under the lease, through the same desk as a pass.
//! What comes back counts as rejected from then on: later passes see that Entra
//! does not want it and leave it alone until an operator approves.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use super::error::{Error, Result};
use super::keeping::in_time;
use super::progress::{Phase, Progress};
use super::report::Report;
use super::write::Writer;
use super::{Request, Source, Takes};
use crate::db::Limits;
use crate::ledger::lease::{self, Lease};
use crate::ledger::ownership::{self, ForgottenTeam};
use crate::ledger::taken::{self, Kept};
use crate::ledger::{self, held};
use crate::litellm::keys::{self, TakenKey};
use crate::litellm::members::TakenMember;
use crate::litellm::teams::TakenTeam;
use crate::litellm::{Capabilities, snapshot};
use crate::model::ids::{RunId, SourceId, UserId};
use crate::model::policy::Scope;
use crate::model::report::{Mode, Trigger};
use crate::plan::undo::{Loss, LostKey, Present, Undo, undo};
use crate::plan::{Item, Member, Removal, removals_digest};

/// What an undo was asked for.
#[derive(Debug, Clone)]
pub struct UndoRequest {
    /// The run whose removals are to be undone.
    pub of: RunId,
    /// Who asks, for the record.
    pub who: String,
}

/// How an undo ended.
#[derive(Debug)]
pub struct Undone {
    /// As of a pass; its run is the undo's own.
    pub report: Report,
    /// What was decided, once it was.
    pub undo: Option<Undo>,
    /// Digest of the set of removals that later passes now leave alone.
    pub protected: Option<String>,
}

impl Source {
    /// Gives back what a run took. The report is there even when it failed.
    pub async fn undo(
        &self,
        request: &UndoRequest,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> (Undone, Option<Error>) {
        let run = RunId::new(Uuid::new_v4());
        let asked = Request {
            trigger: Trigger::Cli,
            mode: Mode::Full,
            scope: Scope::default(),
        };
        let mut undone = Undone {
            report: Report::begin(run, &asked, self.clock.now()),
            undo: None,
            protected: None,
        };
        let span = crate::telemetry::pass(run);
        let work = self.run_undo(run, request, progress, stop, &mut undone);
        let ended = in_time(stop, Box::pin(work)).instrument(span).await;
        let ended = ended.map_err(|error| how_to_go_on(error, request));
        progress.enter(Phase::Idle);
        match ended {
            Ok(()) => (undone, None),
            Err(error) => {
                undone.report.fail(self.clock.now(), &self.name(), &error);
                (undone, Some(error))
            }
        }
    }

    /// Decides what would come back; writes nothing, needs no lease.
    ///
    /// # Errors
    /// Whatever would make undoing fail before it writes.
    pub async fn plan_undo(&self, of: RunId) -> Result<Undo> {
        let capabilities = self.probe().await?;
        let mut transaction = self.database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, self.settings.described()).await?;
        transaction.commit().await?;
        match source {
            Some(source) => self.decide_undo(source, of, &capabilities).await,
            None => Ok(undo(
                of,
                &[],
                Present {
                    target: &Default::default(),
                    owned: &Default::default(),
                    keys: &[],
                    later: &[],
                },
            )),
        }
    }

    async fn run_undo(
        &self,
        run: RunId,
        request: &UndoRequest,
        progress: &Progress,
        stop: &CancellationToken,
        undone: &mut Undone,
    ) -> Result<()> {
        progress.enter(Phase::Opening);
        let (source, capabilities) = tokio::select! {
            opened = self.open() => opened?,
            () = stop.cancelled() => return Err(Error::Stopped),
        };
        let life = self.settings.schedule.lease;
        let lease = lease::acquire(&self.database, source, &self.holder, life).await?;
        undone.report.started_at = self.clock.now();
        let report = &undone.report;
        let begun = (report.trigger, report.mode, report.started_at);
        self.note_start(lease, run, begun, Takes::Nothing).await?;

        let halt = stop.child_token();
        let work = self.work_undo(
            lease,
            run,
            request,
            &capabilities,
            (progress, &halt),
            undone,
        );
        let ended = self.while_held(lease, &halt, Box::pin(work)).await;
        let ended = ended.map_err(|error| how_to_go_on(error, request));
        self.close(lease, run, &ended, &mut undone.report).await;
        ended
    }

    /// The straight line: read, decide, write.
    async fn work_undo(
        &self,
        lease: Lease,
        run: RunId,
        request: &UndoRequest,
        capabilities: &Capabilities,
        (progress, stop): (&Progress, &CancellationToken),
        undone: &mut Undone,
    ) -> Result<()> {
        progress.enter(Phase::Comparing);
        let undo = tokio::select! {
            undo = self.decide_undo(lease.source, request.of, capabilities) => undo?,
            () = stop.cancelled() => return Err(Error::Stopped),
        };
        undone.report.undoing(&undo);
        let undo = &*undone.undo.insert(undo);
        undone.protected = self.protect(lease, run, request, undo).await?;
        let writer = Writer::new(
            &self.database,
            &self.settings.litellm,
            capabilities,
            lease,
            run,
        );
        let (tally, ended) = writer.give_back(undo, progress, stop).await;
        undone.report.undone(undo, tally, self.clock.now());
        ended
    }

    /// Before anything comes back, so that no pass finds it unprotected.
    async fn protect(
        &self,
        lease: Lease,
        run: RunId,
        request: &UndoRequest,
        undo: &Undo,
    ) -> Result<Option<String>> {
        let protected = undo.protected();
        if protected.is_empty() {
            return Ok(None);
        }
        let digest = removals_digest(&protected);
        let causes: BTreeSet<String> = protected.iter().filter_map(Removal::cause).collect();
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        lease::fence(&mut transaction, lease).await?;
        let set = held::Undone {
            digest: &digest,
            items: protected.iter().map(Removal::key).collect(),
            causes: causes.into_iter().collect(),
            reason: &format!("run {} was undone", undo.of),
            run,
            who: &request.who,
            now: self.clock.now(),
        };
        held::reject_undone(&mut transaction, lease.source, &set).await?;
        transaction.commit().await?;
        Ok(Some(digest))
    }

    async fn decide_undo(
        &self,
        source: SourceId,
        of: RunId,
        capabilities: &Capabilities,
    ) -> Result<Undo> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let mut losses: Vec<Result<Loss>> = Vec::new();
        taken::of_run(&mut transaction, of, |kept| losses.push(loss(kept))).await?;
        if losses.is_empty() && taken::is_said_of(&mut transaction, of).await? {
            return Err(ledger::Error::CopiesGone { run: of }.into());
        }
        let later = taken::since(&mut transaction, of).await?;
        let owned = ownership::load(&mut transaction, source).await?;
        transaction.commit().await?;
        let later = later
            .iter()
            .map(|removal| taken::read("taken.removal", removal))
            .collect::<ledger::Result<Vec<Removal>>>()?;
        let losses = losses.into_iter().collect::<Result<Vec<Loss>>>()?;

        let users = losses.iter().flat_map(|loss| {
            let of_person = loss.removal.user().cloned();
            of_person.into_iter().chain(loss.users.iter().cloned())
        });
        let groups = losses.iter().filter_map(|loss| loss.removal.group());
        let interest = snapshot::Interest::in_these(users, groups);
        let mut transaction = self.database.begin(Limits::READ).await?;
        let target = snapshot::read(&mut transaction, capabilities, &interest).await?;
        let keys = || losses.iter().flat_map(|loss| &loss.keys);
        let tokens: Vec<&str> = keys().map(|key| key.token.as_str()).collect();
        let aliases: Vec<&str> = keys().filter_map(|key| key.alias.as_deref()).collect();
        let present = keys::present(&mut transaction, &tokens, &aliases).await?;
        transaction.commit().await?;
        let present: Vec<LostKey> = present
            .into_iter()
            .map(|key| LostKey {
                token: key.token,
                alias: key.alias,
                owner: None,
            })
            .collect();
        let present = Present {
            target: &target,
            owned: &owned,
            keys: &present,
            later: &later,
        };
        Ok(undo(of, &losses, present))
    }
}

/// Who ends an undo is told how to do the rest.
fn how_to_go_on(error: Error, request: &UndoRequest) -> Error {
    match error {
        Error::Stopped => Error::StoppedUndoing { of: request.of },
        other => other,
    }
}

/// What a decision needs to know of a copy.
fn loss(kept: Kept) -> Result<Loss> {
    let removal: Removal = taken::read("taken.removal", &kept.removal)?;
    let mut loss = Loss {
        taken: kept.taken_id,
        keys: Vec::new(),
        users: Vec::new(),
        managed: Vec::new(),
        given_back_by: kept.undone_by.map(RunId::new),
        removal,
    };
    match loss.removal {
        Removal::TeamMember { .. } => {
            let member: TakenMember = taken::read("taken.copy", &kept.copy)?;
            loss.keys = member.keys.iter().filter_map(lost_key).collect();
        }
        Removal::DeleteTeam { .. } => {
            let team: TakenTeam = taken::read("taken.copy", &kept.copy)?;
            let owned: ForgottenTeam = taken::read("taken.owned", &kept.owned)?;
            loss.keys = team.keys.iter().filter_map(lost_key).collect();
            loss.users = team
                .members()
                .into_iter()
                .map(|member| UserId::new(member.user))
                .collect();
            loss.managed = owned
                .members
                .into_iter()
                .map(|member| Member {
                    user: member.user,
                    person: member.person,
                })
                .collect();
        }
        _ => {}
    }
    Ok(loss)
}

fn lost_key(key: &TakenKey) -> Option<LostKey> {
    Some(LostKey {
        token: key.token()?.to_owned(),
        alias: key.alias().map(str::to_owned),
        owner: key.user().map(UserId::new),
    })
}

/// The object of `undo --dry-run --format json`: as a plan's.
#[must_use]
pub fn undo_json(undo: &Undo) -> Value {
    json!({
        "digest": undo.digest(),
        "changes": undo.counts(),
        "items": undo.items().collect::<Vec<Item>>(),
        "held": Value::Null,
        "skipped": undo.skipped(),
        "errors": [],
    })
}
