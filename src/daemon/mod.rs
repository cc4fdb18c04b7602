//! When passes run: the schedule, signals, and one pass at a time.
//!
//! Invariant: a wake carries no data; whatever asks, the same pass runs. One
//! runs, at most one waits. Asked to end, the daemon asks the pass to, and
//! does nothing else any more.
//! Must not: know what a pass does.

mod schedule;
mod ticker;
mod wakes;

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::config::{OnStart, Settings};
use crate::model::policy::Scope;
use crate::model::quarantine::Failing;
use crate::model::report::{Kind, Mode, Status, Trigger};
use crate::sync::{Error, Progress, Report, Request, Source};
use schedule::{Schedule, moment};
use wakes::Wake;

pub use wakes::{Hangup, Wakes};

/// When an instance that found the lease taken looks again.
const LEASE_PAUSE: TimeDelta = TimeDelta::seconds(5);

/// Gives new settings when the daemon is asked to read them again. May block.
pub type Reload = Arc<dyn Fn() -> anyhow::Result<Settings> + Send + Sync>;

/// Runs until it is asked to end.
///
/// # Errors
/// When the ticker cannot be set up, or the first settings cannot be used. A
/// pass that fails is logged and tried again.
pub async fn run(settings: Settings, reload: Reload, mut wakes: Wakes) -> anyhow::Result<()> {
    let ticker = ticker::start(wakes.sender()).await?;
    let mut daemon = Daemon::new(settings, reload)?;
    tracing::info!(schedule.next = %daemon.schedule.describe(), "entra-sync is up");
    let ended = daemon.until_stopped(&mut wakes).await;
    ticker.stop().await;
    tracing::info!("entra-sync ends");
    Ok(ended?)
}

struct Daemon {
    source: Source,
    schedule: Schedule,
    reload: Reload,
    /// The one pass that waits.
    waiting: Option<Trigger>,
    /// Whether a pass has shown that the settings fit the ledger.
    proven: bool,
    /// Digest of the removals that the last pass held.
    held: Option<String>,
}

/// What to do after waking.
enum Next {
    Go,
    End,
    /// These settings will never do: somebody has to change them.
    GiveUp(Error),
}

impl Daemon {
    fn new(settings: Settings, reload: Reload) -> anyhow::Result<Self> {
        let schedule = Schedule::new(&settings.schedule, Utc::now())?;
        let waiting = match settings.schedule.on_start {
            OnStart::Pass => Some(Trigger::Start),
            OnStart::Wait => None,
        };
        Ok(Self {
            source: Source::new(Arc::new(settings))?,
            schedule,
            reload,
            waiting,
            proven: false,
            held: None,
        })
    }

    async fn until_stopped(&mut self, wakes: &mut Wakes) -> Result<(), Error> {
        if self.waiting.is_none() {
            // Nobody asks for a pass, so a quarantine of before goes on.
            self.may_pass().await;
        }
        loop {
            let next = match self.waiting.take() {
                Some(trigger) => self.pass(trigger, wakes).await,
                None => {
                    let wake = wakes.next().await;
                    self.woken(wake, wakes).await
                }
            };
            match next {
                Next::Go => {}
                Next::End => return Ok(()),
                Next::GiveUp(error) => return Err(error),
            }
        }
    }

    async fn woken(&mut self, wake: Wake, wakes: &Wakes) -> Next {
        match wake {
            Wake::Stop => return Next::End,
            Wake::Tick => {
                if self.schedule.is_due(Utc::now()) {
                    if self.may_pass().await {
                        self.waiting.get_or_insert(Trigger::Schedule);
                    }
                } else if self.source.has_a_new_secret().await {
                    tracing::info!("the secret changed in its file and is tried");
                    self.waiting.get_or_insert(Trigger::Reload);
                }
            }
            Wake::Pass => {
                self.waiting.get_or_insert(Trigger::Signal);
            }
            Wake::Reload => {
                // The files may be on a disk that does not answer.
                tokio::select! {
                    () = self.read_settings_again() => {}
                    () = wakes.stopped() => return Next::End,
                }
            }
        }
        Next::Go
    }

    /// Whether a time of the schedule may be kept. In quarantine it is let go
    /// by; who asks by name (a signal, a start, new settings) is not asked this.
    async fn may_pass(&mut self) -> bool {
        let before = self.source.quarantine();
        let quarantine = self.source.quarantine_of_all().await;
        let now = Utc::now();
        match quarantine {
            Some(failing) if failing.rests(now) => {
                self.schedule.is_past(now);
                self.schedule.retry_at(failing.next_at);
                tracing::debug!(
                    quarantine.kind = failing.trouble.as_str(),
                    failures = failing.failures,
                    next_attempt = moment(failing.next_at),
                    "the schedule waits"
                );
                false
            }
            after => {
                if before.is_some() && after.is_none() {
                    tracing::info!(
                        "another process got a pass through; the schedule is kept again"
                    );
                }
                true
            }
        }
    }

    async fn read_settings_again(&mut self) {
        let reload = Arc::clone(&self.reload);
        let read = tokio::task::spawn_blocking(move || reload()).await;
        match read.map_err(Into::into).flatten().and_then(|settings| {
            let schedule = Schedule::new(&settings.schedule, Utc::now())?;
            crate::telemetry::start(&settings.telemetry);
            Ok((Source::new(Arc::new(settings))?, schedule))
        }) {
            Ok((source, schedule)) => {
                self.source = source.following(&self.source);
                self.schedule = schedule;
                self.waiting = Some(Trigger::Reload);
                tracing::info!(schedule.next = %self.schedule.describe(), "settings read again");
            }
            Err(error) => tracing::error!(
                error.message = format!("{error:#}"),
                "the settings cannot be used; the daemon goes on with the ones it has"
            ),
        }
    }

    /// Runs one pass, listening meanwhile: what comes in waits for its end.
    async fn pass(&mut self, trigger: Trigger, wakes: &mut Wakes) -> Next {
        let request = Request {
            trigger,
            mode: Mode::Full,
            scope: Scope::default(),
        };
        let stop = CancellationToken::new();
        let progress = Progress::unobserved();
        let mut later = Vec::new();
        let ended = {
            let pass = self.source.pass(&request, &progress, &stop);
            tokio::pin!(pass);
            loop {
                tokio::select! {
                    ended = &mut pass => break Some(ended),
                    wake = wakes.next() => match wake {
                        Wake::Stop => {
                            stop.cancel();
                            pass.await;
                            break None;
                        }
                        // A pass that is due while one runs has just been had.
                        Wake::Tick => {}
                        wake => later.push(wake),
                    },
                }
            }
        };
        let (report, error) = match ended {
            None => return Next::End,
            Some((_, Some(error))) if error.is_configuration() && !self.proven => {
                return Next::GiveUp(error);
            }
            Some(ended) => ended,
        };
        self.passed(&report, error.as_ref());
        for wake in later {
            if matches!(self.woken(wake, wakes).await, Next::End) {
                return Next::End;
            }
        }
        Next::Go
    }

    fn passed(&mut self, report: &Report, error: Option<&Error>) {
        let now = Utc::now();
        self.schedule.is_past(now);
        log(report, error);
        self.tell_of_held(report);
        let Some(error) = error else {
            self.proven = true;
            return;
        };
        match self.source.quarantine() {
            Some(failing) if error.trouble() == Some(failing.trouble) => {
                self.schedule.retry_at(failing.next_at);
                say_when(&failing);
            }
            // The lease is with another instance; its life is short.
            _ => self.schedule.retry_at(now + LEASE_PAUSE),
        }
    }
}

impl Daemon {
    /// One line when a set of removals is held that was not held before, and one
    /// when none is any more.
    fn tell_of_held(&mut self, report: &Report) {
        let run = report.run_id;
        match (&report.held, &self.held) {
            (Some(set), known) if known.as_ref() != Some(&set.digest) => {
                tracing::error!(
                    target: "alert",
                    {
                        run.id = %run,
                        held.removals = set.removals,
                        held.digest = set.digest,
                        held.reason = set.reason,
                    },
                    "removals are held: `entra-sync plan` lists them, `approve` or `reject` decides"
                );
                self.held = Some(set.digest.clone());
            }
            (None, Some(digest)) if report.status != Status::Failed => {
                tracing::info!(
                    target: "alert",
                    { run.id = %run, held.digest = digest },
                    "no removals are held any more"
                );
                self.held = None;
            }
            _ => {}
        }
    }
}

/// When the source is asked again, and why not sooner or later.
fn say_when(failing: &Failing) {
    tracing::warn!(
        quarantine.kind = failing.trouble.as_str(),
        failures = failing.failures,
        retry_seconds = (failing.next_at - failing.last_at).num_seconds(),
        "next attempt at {} because {} has failed {}",
        moment(failing.next_at),
        failing.trouble.deed(),
        failing.times()
    );
}

/// One line for one pass; one more for each object that gave trouble.
fn log(report: &Report, error: Option<&Error>) {
    let run = report.run_id;
    // What ended the whole pass is said below, once.
    for failed in report
        .errors
        .iter()
        .filter(|failed| failed.kind != Kind::Source)
    {
        tracing::warn!(
            run.id = %run,
            object.kind = failed.kind.as_str(),
            object.id = %failed.id,
            error.message = %failed.message,
            "an object gave trouble"
        );
    }
    let duration_ms = report.finished_at.map_or(0, |finished| {
        (finished - report.started_at).num_milliseconds()
    });
    let changes = report.changes.total();
    let (trigger, status) = (report.trigger.as_str(), report.status.as_str());
    match error {
        Some(error) if error.is_lease_held() => {
            tracing::info!(run.id = %run, trigger, error.message = %error, "another instance works");
        }
        Some(error) => tracing::error!(
            run.id = %run, trigger, status, duration_ms, changes,
            error.kind = error.kind(), error.message = %error, "pass failed"
        ),
        None if report.status == Status::Unchanged => {
            tracing::info!(run.id = %run, trigger, status, duration_ms, "pass ended");
        }
        None => tracing::info!(
            run.id = %run, trigger, status, duration_ms, changes,
            skipped = report.skipped.len(), errors = report.errors.len(), "pass ended"
        ),
    }
}
