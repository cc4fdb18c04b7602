//! One source of the daemon: when its passes run, one at a time.
//!
//! Invariant: whatever asks, the same pass runs. One runs, at most one waits.
//! Asked to end, it asks the pass to, and does nothing else any more. A source
//! that another replica looks after is let be; what was due then is made up for
//! by whoever has it next.
//! Must not: know what a pass does.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::board::{Desk, Place};
use super::order::{Course, Order, Wanted};
use super::requests::{Answered, Requests};
use super::roster::{Eyes, Share};
use super::schedule::{Due, Schedule, moment};
use super::telling::{log, say_when, tell_of_held};
use crate::config::OnStart;
use crate::ledger::requests::Asker;
use crate::model::policy::Scope;
use crate::model::report::{Mode, Trigger};
use crate::sync::{Error, Made, Progress, Report, Request, Source};

/// When an instance that found the lease taken looks again, at the latest.
const LEASE_PAUSE: TimeDelta = TimeDelta::seconds(5);

pub(super) struct Worker {
    source: Source,
    schedule: Schedule,
    eyes: Eyes,
    requests: Requests,
    answered: Answered,
    /// Whose the source was when this was last looked at.
    share: Share,
    /// How many passes may run at once in this process.
    slots: Arc<Semaphore>,
    stop: CancellationToken,
    /// Where it shows what it does.
    desk: Desk,
    /// The one pass that waits.
    waiting: Option<Wanted>,
    /// A pass that was this replica's wish and is another's to make. One that
    /// has died leaves it to us, and its row outlives it for a while.
    left: Option<Wanted>,
    /// Who asked for the pass that a taken lease put off: the next attempt is
    /// still theirs.
    put_off: Option<Trigger>,
    /// Whether a pass has shown that the settings fit the ledger.
    proven: bool,
}

/// What to do after waking.
enum Next {
    Go,
    End,
    /// These settings will never do: somebody has to change them.
    GiveUp(Error),
}

/// How a pass came out.
enum Ended {
    Stopped,
    /// It waited for its turn, and meanwhile another replica got the source.
    LeftToOthers,
    Passed(Box<Report>, Option<Error>),
}

impl Worker {
    pub(super) fn new(
        course: Course,
        eyes: Eyes,
        requests: Requests,
        slots: Arc<Semaphore>,
        stop: CancellationToken,
        desk: Desk,
    ) -> Self {
        let waiting = match course.source.settings().schedule.on_start {
            OnStart::Pass => Some(Wanted::by(Trigger::Start)),
            OnStart::Wait => None,
        };
        let mut worker = Self {
            source: course.source,
            schedule: course.schedule,
            eyes,
            requests,
            answered: Answered::default(),
            share: Share::Alone,
            slots,
            stop,
            desk,
            waiting,
            left: None,
            put_off: None,
            proven: false,
        };
        worker.share = worker.look();
        if worker.share == Share::Theirs {
            worker.left = worker.waiting.take();
        }
        worker
    }

    /// Whose the source is now.
    fn look(&self) -> Share {
        self.eyes.share(&self.source.settings().described().key())
    }

    /// Runs until it is asked to end.
    ///
    /// # Errors
    /// When the settings cannot be used with this ledger.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), Error> {
        self.show_last_success().await;
        if self.waiting.is_none() && self.share != Share::Theirs {
            // Nobody asks for a pass, so a quarantine of before goes on.
            self.may_pass().await;
        }
        loop {
            self.show();
            let next = match self.waiting.take() {
                Some(wanted) => self.pass(wanted, &mut orders).await,
                None => {
                    let order = self.next(&mut orders).await;
                    self.told(order).await
                }
            };
            match next {
                Next::Go => {}
                Next::End => return Ok(()),
                Next::GiveUp(error) => return Err(error),
            }
        }
    }

    /// Shows where things stand between two passes.
    fn show(&self) {
        let place = match self.share {
            Share::Theirs => Place::Elsewhere,
            Share::Alone | Share::Ours => Place::Here,
        };
        let (next, quarantine) = (self.schedule.next(), self.source.quarantine());
        let alerts = self.source.open_alerts();
        self.desk.show(|state| {
            state.place = place;
            state.next_at = next;
            state.quarantine = quarantine;
            state.alerts = alerts;
        });
    }

    /// Passes of before this process count too.
    async fn show_last_success(&self) {
        if let Some(at) = self.source.last_success_at().await {
            self.desk.show(|state| {
                state.last_success_at = state.last_success_at.max(Some(at));
            });
        }
    }

    async fn next(&mut self, orders: &mut mpsc::Receiver<Order>) -> Order {
        let key = self.source.settings().described().key();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Order::Stop,
            order = orders.recv() => order.unwrap_or(Order::Stop),
            () = self.requests.come(&key) => Order::Asked,
            () = self.eyes.changed() => Order::Tick,
        }
    }

    async fn told(&mut self, order: Order) -> Next {
        match order {
            Order::Stop => return Next::End,
            Order::Tick => self.tick().await,
            Order::Pass => {
                if self.look() != Share::Theirs {
                    self.waiting.get_or_insert(Wanted::by(Trigger::Signal));
                }
            }
            Order::Asked => self.asked().await,
            Order::Settings(course) => {
                self.source = course.source.following(&self.source);
                self.schedule = course.schedule;
                self.share = self.look();
                self.left = None;
                // What the old schedule was to try again is heard again.
                self.answered = Answered::default();
                if self.share != Share::Theirs {
                    self.waiting = Some(Wanted::by(Trigger::Reload));
                }
            }
        }
        Next::Go
    }

    async fn tick(&mut self) {
        let now = Utc::now();
        self.schedule.look_at(now);
        let share = self.look();
        if (share == Share::Theirs) != (self.share == Share::Theirs) {
            let id = self.source.settings().entra.service_principal_id;
            match share {
                Share::Theirs => {
                    tracing::info!(source.id = %id, "another replica has this source now")
                }
                _ => {
                    tracing::info!(source.id = %id, "this replica has this source now");
                    self.show_last_success().await;
                }
            }
        }
        let before = std::mem::replace(&mut self.share, share);
        if share == Share::Theirs {
            self.answered = Answered::default();
            self.put_off = None;
            self.schedule.let_by(now);
            return;
        }
        if let Some(left) = self.left.take()
            && self.source.made_since(left.due.since, left.due.mode).await == Made::NotYet
        {
            self.waiting.get_or_insert(left);
            return;
        }
        let Some(due) = self.schedule.due(now) else {
            if self.source.has_a_new_secret().await {
                tracing::info!("the secret changed in its file and is tried");
                self.waiting.get_or_insert(Wanted::by(Trigger::Reload));
            }
            return;
        };
        // Nobody else makes passes of a source that is one replica's alone and
        // was before.
        let others = share == Share::Ours || before == Share::Theirs;
        if !self.may_pass().await {
            return;
        }
        if others && self.source.made_since(due.since, due.mode).await == Made::Already {
            self.put_off = None;
            self.schedule.is_made(now, due);
            return;
        }
        let trigger = self.put_off.unwrap_or(Trigger::Schedule);
        self.waiting.get_or_insert(Wanted { trigger, due });
    }

    /// Makes a pass for whoever asks through the ledger. A person is not kept
    /// waiting by quarantine, a notification is: the next attempt serves it.
    async fn asked(&mut self) {
        if self.look() == Share::Theirs {
            return;
        }
        let Some(waiting) = self.source.requests().await else {
            return;
        };
        let Some(wish) = self.answered.wish(waiting) else {
            return;
        };
        if wish.asker == Asker::Notification && !self.may_pass().await {
            return;
        }
        // Whoever hears this waits for nothing else.
        self.waiting = Some(Wanted::like(wish.asker.trigger(), wish.mode));
    }

    /// Whether a time of the schedule may be kept. In quarantine it is let go
    /// by; who asks by name (a signal, a start, new settings) is not asked this.
    async fn may_pass(&mut self) -> bool {
        let before = self.source.quarantine();
        let quarantine = self.source.quarantine_of_all().await;
        let now = Utc::now();
        match quarantine {
            Some(failing) if failing.rests(now) => {
                self.schedule.put_off(now, failing.next_at);
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

    /// Runs one pass, listening meanwhile: what comes in waits for its end.
    async fn pass(&mut self, wanted: Wanted, orders: &mut mpsc::Receiver<Order>) -> Next {
        let mut later = Vec::new();
        let ended = {
            let pass = self.turn(wanted);
            tokio::pin!(pass);
            loop {
                tokio::select! {
                    ended = &mut pass => break ended,
                    // The pass sees a request to end by itself; whoever gave it
                    // says nothing more.
                    order = orders.recv(), if !self.stop.is_cancelled() => match order {
                        None | Some(Order::Stop) => self.stop.cancel(),
                        // A pass that is due while one runs has just been had.
                        Some(Order::Tick) => {}
                        Some(order) => later.push(order),
                    },
                }
            }
        };
        match ended {
            Ended::Stopped => return Next::End,
            Ended::LeftToOthers => {
                self.left = Some(wanted);
                self.answered = Answered::default();
            }
            Ended::Passed(_, Some(error)) if error.is_configuration() && !self.proven => {
                return Next::GiveUp(error);
            }
            Ended::Passed(report, error) => self.passed(wanted, &report, error.as_ref()),
        }
        for order in later {
            if matches!(self.told(order).await, Next::End) {
                return Next::End;
            }
        }
        Next::Go
    }

    /// Waits until this process may run one more pass, and runs it.
    async fn turn(&self, wanted: Wanted) -> Ended {
        let slot = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ended::Stopped,
            slot = self.slots.acquire() => slot,
        };
        // Never closed.
        let _slot = slot.ok();
        if self.look() == Share::Theirs {
            return Ended::LeftToOthers;
        }
        let request = Request {
            trigger: wanted.trigger,
            mode: wanted.due.mode,
            scope: Scope::default(),
        };
        let (progress, watch) = Progress::new();
        self.desk
            .pass_begins(wanted.trigger, wanted.due.mode, watch);
        let (report, error) = self.source.pass(&request, &progress, &self.stop).await;
        let is_stopped = self.stop.is_cancelled();
        if is_stopped && matches!(error, Some(Error::Stopped)) {
            self.desk.no_pass();
            return Ended::Stopped;
        }
        self.desk
            .pass_ended(self.source.settings(), &report, error.as_ref());
        if is_stopped {
            // It was at its end already, and what it is the first to know is told
            // by nobody else.
            log(&report, error.as_ref());
            tell_of_held(&report);
            return Ended::Stopped;
        }
        Ended::Passed(Box::new(report), error)
    }

    fn passed(&mut self, wanted: Wanted, report: &Report, error: Option<&Error>) {
        let now = Utc::now();
        let mode = wanted.due.mode;
        log(report, error);
        tell_of_held(report);
        self.put_off = None;
        let Some(error) = error else {
            self.proven = true;
            // What still waits was put off by what is over now, or was served by
            // less than it asks for.
            self.answered = Answered::default();
            // It may have done more than it was asked for.
            let done = match report.mode {
                Mode::Full => Mode::Full,
                Mode::Incremental | Mode::Drift => mode,
            };
            self.schedule.is_past(now, done);
            return;
        };
        if error.is_lease_held() && wanted.is_requested() {
            // Who asked is heard again, unless the other pass is what they get.
            self.answered = Answered::default();
            return;
        }
        self.schedule.is_past(now, mode);
        match self.source.quarantine() {
            Some(failing) if error.trouble() == Some(failing.trouble) => {
                let due = Due { since: now, mode };
                self.schedule.retry_at(failing.next_at, due);
                say_when(report.run_id, &failing);
            }
            // The lease is with another instance; its life is short.
            _ => {
                self.put_off = Some(wanted.trigger);
                self.schedule.retry_at(now + pause(error), wanted.due);
            }
        }
    }
}

/// Until when a lease that is taken can be had, or its holder looks again.
fn pause(error: &Error) -> TimeDelta {
    let remaining = error.lease_remaining().map(TimeDelta::seconds);
    remaining.map_or(LEASE_PAUSE, |remaining| {
        remaining.clamp(TimeDelta::seconds(1), LEASE_PAUSE)
    })
}
