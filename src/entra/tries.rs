//! What the tries of one request amount to, and whether there is another.
//!
//! Invariant: waiting because Graph asked for it uses up no attempt; it has an
//! end of its own. Must not: sleep.

use std::time::Duration;

use tokio::time::Instant;

use super::call::Call;
use super::error::Error;
use super::pace::Pace;

#[derive(Default)]
pub(super) struct Tries {
    failed: u32,
    throttled: u32,
    first_sent: Option<Instant>,
    first_throttled: Option<Instant>,
    pub(super) token_replaced: bool,
}

impl Tries {
    /// The request goes out, for the first time or again.
    pub(super) fn sent(&mut self) {
        self.first_sent.get_or_insert_with(Instant::now);
    }

    /// How long the gate is to be shut.
    ///
    /// # Errors
    /// When patience is over.
    pub(super) fn throttled(
        &mut self,
        pace: &Pace,
        call: Call,
        asked: Option<Duration>,
        trace: String,
    ) -> Result<Duration, Error> {
        let first = *self.first_throttled.get_or_insert_with(Instant::now);
        if first.elapsed() >= pace.throttle_patience {
            return Err(Error::ThrottledOut {
                call,
                waited: first.elapsed(),
                asked: asked.unwrap_or_default(),
                trace,
            });
        }
        let backoff = pace.throttle_delay(self.throttled);
        self.throttled += 1;
        let wanted = asked.filter(|asked| !asked.is_zero()).unwrap_or(backoff);
        let pause = wanted.min(pace.longest_pause);
        if pause < wanted {
            tracing::warn!(
                asked_s = wanted.as_secs(),
                pause_s = pause.as_secs(),
                "Graph asks for a longer pause than is waited; the reading will be late"
            );
        } else {
            tracing::debug!(pause_ms = pause.as_millis(), %call, "Graph asks for a pause");
        }
        Ok(pause)
    }

    /// How long to wait before the next try, if there is one.
    pub(super) fn failed(&mut self, pace: &Pace, asked: Option<Duration>) -> Option<Duration> {
        let wait = pace
            .delay(self.failed)
            .max(asked.unwrap_or_default().min(pace.longest_pause));
        self.failed += 1;
        let spent = self.first_sent.map(|first| first.elapsed())?;
        (self.failed < pace.attempts && spent + wait <= pace.request_deadline).then_some(wait)
    }
}
