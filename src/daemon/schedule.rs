//! What is due: the schedule's times, jitter, and times of our own after
//! failures.
//!
//! Invariant: a time that was missed while a pass ran, the machine slept or
//! another replica had the source is made up for once, not once for every miss.
//! A full reading that is due is not had by a pass that read less. A clock that
//! is set back takes what is due back with it.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::config::{Line, ScheduleSettings, Timetable};
use crate::model::report::Mode;

/// A clock that goes back by less is being adjusted: what is due comes as much
/// later.
const ADJUSTED: TimeDelta = TimeDelta::seconds(2);

/// When which pass is due.
#[derive(Debug)]
pub(super) struct Schedule {
    /// What the clock said when it was last looked at.
    seen: DateTime<Utc>,
    times: Timetable,
    /// How long after its time a pass is due: a part of the jitter, the same for
    /// both lines, so that where they meet one pass serves both.
    delay: Duration,
    changes: Option<DateTime<Utc>>,
    everything: Option<DateTime<Utc>>,
    drift_every: Duration,
    drift: Option<DateTime<Utc>>,
    retry: Option<DateTime<Utc>>,
    owed: Option<Due>,
}

/// A pass that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Since when: a pass like it that began at this time or later is this one.
    pub(super) since: DateTime<Utc>,
    /// Which.
    pub(super) mode: Mode,
}

/// What goes first when several are due.
const fn rank(mode: Mode) -> u8 {
    match mode {
        Mode::Drift => 0,
        Mode::Incremental => 1,
        Mode::Full => 2,
    }
}

/// Whether a pass of one kind is one of the other as well.
const fn serves(done: Mode, due: Mode) -> bool {
    matches!(
        (done, due),
        (Mode::Full, _) | (Mode::Incremental, Mode::Incremental) | (Mode::Drift, Mode::Drift)
    )
}

impl Schedule {
    pub(super) fn new(settings: &ScheduleSettings, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let times = Timetable::of(settings)
            .map_err(anyhow::Error::msg)
            .context("reading the schedule")?;
        let mut schedule = Self {
            seen: now,
            changes: times.next_of(Line::Changes, now),
            everything: times.next_of(Line::Everything, now),
            times,
            delay: random_part_of(settings.jitter),
            drift_every: settings.drift_every,
            drift: None,
            retry: None,
            owed: None,
        };
        schedule.compared(now);
        Ok(schedule)
    }

    /// All rows were compared just now, or begin to be looked after.
    pub(super) fn compared(&mut self, now: DateTime<Utc>) {
        self.drift = now.checked_add_signed(
            chrono::TimeDelta::from_std(self.drift_every).unwrap_or(chrono::TimeDelta::MAX),
        );
    }

    /// Looks at the clock. Times that were reckoned by one that was ahead would
    /// not come for as long as it was.
    pub(super) fn look_at(&mut self, now: DateTime<Utc>) {
        let back = self.seen - now;
        self.seen = now;
        if back < ADJUSTED {
            return;
        }
        tracing::info!(
            seconds = back.num_seconds(),
            "this machine's clock was set back, and the schedule's times with it"
        );
        for line in [Line::Changes, Line::Everything] {
            *self.slot(line) = self.times.next_of(line, now);
        }
        for time in [&mut self.drift, &mut self.retry].into_iter().flatten() {
            *time -= back;
        }
    }

    fn slot(&mut self, line: Line) -> &mut Option<DateTime<Utc>> {
        match line {
            Line::Changes => &mut self.changes,
            Line::Everything => &mut self.everything,
        }
    }

    /// The pass that is due now; of several the one that does most. What it does
    /// not serve stays due.
    pub(super) fn due(&self, now: DateTime<Utc>) -> Option<Due> {
        let of = |time: Option<DateTime<Utc>>, delay: Duration, mode| {
            let since = time.filter(|time| *time + delay <= now)?;
            Some(Due { since, mode })
        };
        let retry = self.retry.filter(|time| *time <= now).map(|since| {
            self.owed.unwrap_or(Due {
                since,
                mode: Mode::Incremental,
            })
        });
        [
            of(self.drift, Duration::ZERO, Mode::Drift),
            retry,
            of(self.changes, self.delay, Mode::Incremental),
            of(self.everything, self.delay, Mode::Full),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|due| rank(due.mode))
    }

    /// A pass like this has just ended: the next is counted from now.
    pub(super) fn is_past(&mut self, now: DateTime<Utc>, done: Mode) {
        self.retry = None;
        if self.owed.is_some_and(|owed| serves(done, owed.mode)) {
            self.owed = None;
        }
        let passed =
            |time: Option<DateTime<Utc>>, delay| time.is_none_or(|time| time + delay <= now);
        if serves(done, Mode::Incremental) && passed(self.changes, self.delay) {
            self.changes = self.times.next_of(Line::Changes, now);
        }
        if serves(done, Mode::Full) && passed(self.everything, self.delay) {
            self.everything = self.times.next_of(Line::Everything, now);
        }
        if serves(done, Mode::Drift) {
            self.compared(now);
        }
    }

    /// Another replica made this one already; what else is due stays so.
    pub(super) fn is_made(&mut self, now: DateTime<Utc>, due: Due) {
        match due.mode {
            Mode::Drift => self.compared(now),
            Mode::Incremental if self.changes == Some(due.since) => {
                self.changes = self.times.next_of(Line::Changes, now);
            }
            Mode::Full if self.everything == Some(due.since) => {
                self.everything = self.times.next_of(Line::Everything, now);
            }
            Mode::Incremental | Mode::Full => {
                self.retry = None;
                self.owed = None;
            }
        }
    }

    /// This pass is still to be had, at this time, whatever the lines say.
    pub(super) fn retry_at(&mut self, time: DateTime<Utc>, due: Due) {
        self.retry = Some(time);
        self.owed = match self.owed {
            Some(owed) if rank(owed.mode) > rank(due.mode) => Some(owed),
            _ => Some(due),
        };
    }

    /// What is due now is let go by until this time.
    pub(super) fn put_off(&mut self, now: DateTime<Utc>, until: DateTime<Utc>) {
        let due = self.due(now).map_or(Mode::Incremental, |due| due.mode);
        self.is_past(now, due);
        let due = Due {
            since: now,
            mode: due,
        };
        self.retry_at(until, due);
    }

    /// Another replica looks after the source. The last time that goes by
    /// meanwhile stays due, for whoever takes it over.
    pub(super) fn let_by(&mut self, now: DateTime<Utc>) {
        (self.retry, self.owed) = (None, None);
        self.compared(now);
        for line in [Line::Changes, Line::Everything] {
            while let Some(time) = *self.slot(line)
                && let Some(next) = self.times.next_of(line, time)
                && next + self.delay <= now
            {
                *self.slot(line) = Some(next);
            }
        }
    }

    /// The next time of a line.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        let times = [self.changes, self.everything].into_iter().flatten();
        Some(times.min()? + self.delay)
    }
}

/// A time for a log line.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Spreads instances that share a schedule.
fn random_part_of(jitter: Duration) -> Duration {
    let millis = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0 => Duration::ZERO,
        _ => Duration::from_millis(Uuid::new_v4().as_u64_pair().1 % millis),
    }
}

#[cfg(test)]
mod tests;
