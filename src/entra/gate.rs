//! One door for all workers: whoever is told to slow down shuts it for
//! everyone, because Graph counts per application and tenant
//! (graph-contract 8.2).
//!
//! Invariant: a shorter pause never opens what a longer one shut.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Gate {
    opens: Mutex<Option<Instant>>,
}

impl Gate {
    /// Shuts the door for at least this long from now.
    pub(super) fn shut_for(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut opens = self.opens.lock().unwrap_or_else(PoisonError::into_inner);
        *opens = Some(opens.map_or(until, |open| open.max(until)));
    }

    /// Waits until the door is open.
    pub(super) async fn passed(&self) {
        loop {
            let opens = *self.opens.lock().unwrap_or_else(PoisonError::into_inner);
            match opens {
                Some(at) if at > Instant::now() => tokio::time::sleep_until(at).await,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shut_gate_holds_everyone_until_the_longest_pause_is_over() {
        let gate = Gate::default();
        let start = Instant::now();
        gate.shut_for(Duration::from_millis(60));
        gate.shut_for(Duration::from_millis(1));
        tokio::join!(gate.passed(), gate.passed());
        assert!(start.elapsed() >= Duration::from_millis(60));
    }
}
