//! The simulator's own time, for quotas and for the age of links.
//!
//! Invariant: it never goes back. Held, it moves only when it is told to, so
//! that a test of a week needs no week.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
enum Hand {
    Running { since: Instant, ahead: Duration },
    Held(Duration),
}

/// The clock.
#[derive(Debug)]
pub(super) struct Clock(Mutex<Hand>);

impl Default for Clock {
    fn default() -> Self {
        Self(Mutex::new(Hand::Running {
            since: Instant::now(),
            ahead: Duration::ZERO,
        }))
    }
}

impl Clock {
    fn hand(&self) -> MutexGuard<'_, Hand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the simulator was started.
    pub(super) fn now(&self) -> Duration {
        match &*self.hand() {
            Hand::Running { since, ahead } => since.elapsed() + *ahead,
            Hand::Held(at) => *at,
        }
    }

    /// Stops it.
    pub(super) fn hold(&self) {
        let now = self.now();
        *self.hand() = Hand::Held(now);
    }

    /// Moves it forward, held or not.
    pub(super) fn advance(&self, by: Duration) {
        match &mut *self.hand() {
            Hand::Running { ahead, .. } => *ahead += by,
            Hand::Held(at) => *at += by,
        }
    }
}
