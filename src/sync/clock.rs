//! The database's clock, as this process reckons it between two looks.
//!
//! Invariant: what is stored in the ledger or compared with it is in the
//! database's time, because grace, the guard's window and how long copies are
//! kept are counted there and by every replica. A wrong clock of this machine
//! changes when a pass begins, never what it takes.
//! Must not: be used for the schedule, which is the machine's.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

/// Clocks that differ by more confuse whoever compares log and ledger.
const TOLERATED: TimeDelta = TimeDelta::seconds(60);

/// A look at the database's clock.
#[derive(Debug, Clone, Copy)]
struct Look {
    said: DateTime<Utc>,
    at: Instant,
}

/// Shared by the passes of one source.
#[derive(Debug, Default)]
pub(super) struct Clock(Mutex<Option<Look>>);

impl Clock {
    /// The database says that it is now this time.
    pub(super) fn set(&self, said: DateTime<Utc>) {
        let at = Instant::now();
        let before = self.lock().replace(Look { said, at });
        let apart = |said: DateTime<Utc>, here: DateTime<Utc>| (said - here).abs() > TOLERATED;
        let known = before.is_some_and(|look| apart(look.now(), Utc::now()));
        if apart(said, Utc::now()) && !known {
            tracing::warn!(
                clock.database = %said.to_rfc3339(),
                "this machine's clock and the database's differ by more than a minute: the \
                 database's counts for everything but the schedule; look at NTP on both"
            );
        }
    }

    /// This machine's, until the database has been asked.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.lock().map_or_else(Utc::now, Look::now)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    fn now(self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.at.elapsed()).unwrap_or_default();
        self.said + passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_look_time_goes_on_from_there() {
        let clock = Clock::default();
        assert!((clock.now() - Utc::now()).abs() < TOLERATED);
        let said = "2020-02-03T04:05:06Z".parse().unwrap();
        clock.set(said);
        let now = clock.now();
        assert!(now >= said && now - said < TOLERATED, "{now}");
    }
}
