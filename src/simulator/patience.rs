//! Answers that come late, and how late ones are called for.

use std::time::Duration;

use tokio::sync::watch;

/// Counts how often late answers were called for.
#[derive(Debug, Default)]
pub(super) struct Calls(watch::Sender<u64>);

impl Calls {
    /// A request that comes now: what was called for before is not this one.
    pub(super) fn begin(&self) -> Patience {
        let calls = self.0.subscribe();
        let before = *calls.borrow();
        Patience { calls, before }
    }

    /// Ends all waiting.
    pub(super) fn call(&self) {
        self.0.send_modify(|calls| *calls += 1);
    }
}

/// How one request waits.
pub(super) struct Patience {
    calls: watch::Receiver<u64>,
    before: u64,
}

impl Patience {
    /// Waits so long, or until the answer is called for.
    pub(super) async fn wait(&mut self, milliseconds: u64) {
        if milliseconds == 0 {
            return;
        }
        let before = self.before;
        let called = self.calls.wait_for(|calls| *calls > before);
        // Both ways it is over.
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), called).await;
    }
}
