//! When a source whose passes fail is tried again, and when somebody is told.
//!
//! A source is in quarantine while something keeps whole passes from their
//! end. What an hour cannot mend is asked for ever more rarely; what may be
//! over in a moment is asked for soon. An alert opens once, and closes when a
//! pass gets through the stage that failed.
//!
//! Invariant: a function of what happened and of the clock that is handed in,
//! so that a restart, a second instance and a pass by hand go on where the last
//! one stopped. Must not: store, log, or know how a pass is made.

mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use trouble::Trouble;

/// The stages of a pass, in their order. A pass that ended in one of them got
/// through those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reaching the database and looking at its tables.
    Opening,
    /// Getting a token.
    Token,
    /// Reading from Graph.
    Reading,
    /// Reading LiteLLM's rows.
    Comparing,
    /// Writing.
    Writing,
    /// There is nothing left to fail.
    Done,
}

impl Stage {
    const ALL: [Self; 6] = [
        Self::Opening,
        Self::Token,
        Self::Reading,
        Self::Comparing,
        Self::Writing,
        Self::Done,
    ];

    /// The word in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Token => "token",
            Self::Reading => "reading",
            Self::Comparing => "comparing",
            Self::Writing => "writing",
            Self::Done => "done",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// How a pass ended, as far as it matters here.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The stage in which it ended.
    pub stage: Stage,
    /// What made it fail; `None` if it went well, or if what ended it says
    /// nothing about the source (another instance holds the lease).
    pub failure: Option<Failure>,
    /// UTC.
    pub at: DateTime<Utc>,
    /// The schedule's next time after that.
    pub scheduled: Option<DateTime<Utc>>,
}

/// Why a pass failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What is to be mended.
    pub trouble: Trouble,
    /// The error's label.
    pub error: String,
    /// One sentence with cause and remedy.
    pub message: String,
    /// The pause that the other side asked for; zero if none.
    pub asked: Duration,
}

/// Failures of one kind in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// What is to be mended.
    pub trouble: Trouble,
    /// Where the last pass that failed so got to.
    pub stage: Stage,
    /// How many in a row; at least 1.
    pub failures: u32,
    /// The first of them, UTC.
    pub since: DateTime<Utc>,
    /// The last of them, UTC.
    pub last_at: DateTime<Utc>,
    /// The schedule waits until then, UTC.
    pub next_at: DateTime<Utc>,
    /// When the alert opened; `None` while there were too few failures.
    pub opened_at: Option<DateTime<Utc>>,
    /// When a time of the schedule was first left out for it although its alert
    /// was open; `None` while none was.
    pub left_out_at: Option<DateTime<Utc>>,
    /// When a pass got through; `None` while it goes on.
    pub closed_at: Option<DateTime<Utc>>,
    /// The last error's label.
    pub error: String,
    /// The last error, with cause and remedy.
    pub message: String,
}

impl Failing {
    /// Whether it goes on.
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        self.closed_at.is_none()
    }

    /// Whether its alert is open.
    #[must_use]
    pub const fn is_alert(&self) -> bool {
        self.opened_at.is_some() && self.goes_on()
    }

    /// Whether the schedule waits now. A failure that lies ahead of the clock
    /// was written by one that was wrong, and binds nobody.
    #[must_use]
    pub fn rests(&self, now: DateTime<Utc>) -> bool {
        self.goes_on() && self.last_at <= now && now < self.next_at
    }

    /// How often, in words: `once`, `3 times`.
    #[must_use]
    pub fn times(&self) -> String {
        match self.failures {
            1 => "once".to_owned(),
            failures => format!("{failures} times"),
        }
    }

    /// One more of these failures.
    fn again(&self, stage: Stage) -> Self {
        Self {
            stage: self.stage.max(stage),
            failures: self.failures.saturating_add(1),
            ..self.clone()
        }
    }
}

/// An alert that opened, lasts or closed: what is logged, and what a
/// notification carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Which of the two.
    pub change: AlertChange,
    /// What it is about, as it stands now.
    pub failing: Failing,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertChange {
    /// Somebody should look.
    Opened,
    /// It lasts: from now on the schedule's own times are left out for it.
    Stretched,
    /// It is over.
    Closed,
}

/// Everything that fails, or last failed, at one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing(BTreeMap<Trouble, Failing>);

impl Standing {
    /// From what was kept; the last of two about the same trouble counts.
    pub fn of(kept: impl IntoIterator<Item = Failing>) -> Self {
        Self(kept.into_iter().map(|one| (one.trouble, one)).collect())
    }

    /// Everything kept, in the order of [`Trouble`].
    pub fn iter(&self) -> impl Iterator<Item = &Failing> {
        self.0.values()
    }

    /// What is kept about this trouble.
    #[must_use]
    pub fn get(&self, trouble: Trouble) -> Option<&Failing> {
        self.0.get(&trouble)
    }

    /// Puts this in the place of what is kept about the same trouble.
    pub fn put(&mut self, failing: Failing) {
        self.0.insert(failing.trouble, failing);
    }

    /// The failure that the schedule waits for: the newest that goes on.
    #[must_use]
    pub fn quarantine(&self) -> Option<&Failing> {
        self.iter()
            .filter(|one| one.goes_on())
            .max_by_key(|one| one.last_at)
    }

    /// Alerts that are open.
    pub fn alerts(&self) -> impl Iterator<Item = &Failing> {
        self.iter().filter(|one| one.is_alert())
    }

    /// What a pass that ended so makes of it, and what that does to alerts.
    pub fn after(&mut self, ended: &Ended) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let failed = ended.failure.as_ref().map(|failure| failure.trouble);
        for one in self.0.values_mut() {
            let is_over = one.stage < ended.stage && Some(one.trouble) != failed;
            if is_over && one.goes_on() {
                one.closed_at = Some(ended.at);
                if one.opened_at.is_some() {
                    alerts.push(Alert {
                        change: AlertChange::Closed,
                        failing: one.clone(),
                    });
                }
            }
        }
        if let Some(failure) = &ended.failure {
            alerts.extend(self.failed(failure, ended));
        }
        alerts
    }

    fn failed(&mut self, failure: &Failure, ended: &Ended) -> Vec<Alert> {
        let trouble = failure.trouble;
        let earlier = self.get(trouble).filter(|one| one.goes_on());
        let mut failing = match earlier {
            Some(earlier) => earlier.again(ended.stage),
            None => Failing {
                trouble,
                stage: ended.stage,
                failures: 1,
                since: ended.at,
                last_at: ended.at,
                next_at: ended.at,
                opened_at: None,
                left_out_at: None,
                closed_at: None,
                error: String::new(),
                message: String::new(),
            },
        };
        failing.last_at = ended.at;
        failing.error.clone_from(&failure.error);
        failing.message.clone_from(&failure.message);
        failing.next_at =
            trouble.next_attempt(failing.failures, failure.asked, ended.scheduled, ended.at);
        let opens = failing.opened_at.is_none() && failing.failures >= trouble.alerts_after();
        if opens {
            failing.opened_at = Some(ended.at);
        }
        let leaves_out = ended.scheduled.is_some_and(|time| time < failing.next_at);
        let stretches = leaves_out && failing.left_out_at.is_none() && failing.is_alert();
        if stretches {
            failing.left_out_at = Some(ended.at);
        }
        self.put(failing.clone());
        let alert = |change| Alert {
            change,
            failing: failing.clone(),
        };
        let opened = opens.then(|| alert(AlertChange::Opened));
        let stretched = stretches.then(|| alert(AlertChange::Stretched));
        opened.into_iter().chain(stretched).collect()
    }
}

#[cfg(test)]
mod tests;
