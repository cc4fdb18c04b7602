//! How far a reading is, for whoever wants to watch.

use tokio::sync::watch;

/// A reading's state at one moment. All counts start at zero with the reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadingProgress {
    /// Groups to be read, once the assignment list is known.
    pub groups_total: u64,
    /// Groups read or given up.
    pub groups_done: u64,
    /// Memberships read so far.
    pub memberships: u64,
    /// HTTP requests sent to Graph, retries included.
    pub requests: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Resource units used so far, as Graph counts them.
    pub resource_units: u64,
    /// Answers that asked us to slow down.
    pub throttled: u64,
    /// Requests that waited for resource units before they were sent.
    pub held_back: u64,
}

/// The reading's end of the watch; the receiver may be dropped at any time.
#[derive(Debug)]
pub struct Progress(watch::Sender<ReadingProgress>);

impl Progress {
    /// A watched progress.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<ReadingProgress>) {
        let (sender, receiver) = watch::channel(ReadingProgress::default());
        (Self(sender), receiver)
    }

    /// For readings nobody watches.
    #[must_use]
    pub fn unobserved() -> Self {
        Self::new().0
    }

    pub(super) fn restart(&self) {
        self.0.send_replace(ReadingProgress::default());
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ReadingProgress)) {
        self.0.send_modify(change);
    }
}
