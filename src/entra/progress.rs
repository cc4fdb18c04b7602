//! How far a reading is, for whoever wants to watch.

use std::ops::AddAssign;

use tokio::sync::watch;

/// What has been asked of Graph, whatever came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// HTTP requests, retries included.
    pub requests: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Resource units, as Graph counts them.
    pub resource_units: u64,
    /// Answers that asked us to slow down.
    pub throttled: u64,
    /// Requests that waited for resource units before they were sent.
    pub held_back: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.retries += more.retries;
        self.resource_units += more.resource_units;
        self.throttled += more.throttled;
        self.held_back += more.held_back;
    }
}

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
    /// What it has asked of Graph so far.
    pub usage: Usage,
}

/// The readings' end of two watches; the receivers may be dropped at any time.
#[derive(Debug)]
pub struct Progress {
    reading: watch::Sender<ReadingProgress>,
    /// Of all readings together: it does not start again with the next.
    usage: watch::Sender<Usage>,
}

impl Progress {
    /// A watched progress.
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<ReadingProgress>) {
        let (reading, receiver) = watch::channel(ReadingProgress::default());
        let usage = watch::Sender::new(Usage::default());
        (Self { reading, usage }, receiver)
    }

    /// What all readings together have asked of Graph.
    #[must_use]
    pub fn usage(&self) -> watch::Receiver<Usage> {
        self.usage.subscribe()
    }

    /// For readings nobody watches.
    #[must_use]
    pub fn unobserved() -> Self {
        Self::new().0
    }

    pub(super) fn restart(&self) {
        self.reading.send_replace(ReadingProgress::default());
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut ReadingProgress)) {
        self.reading.send_modify(change);
    }

    pub(super) fn uses(&self, more: Usage) {
        self.reading.send_modify(|reading| reading.usage += more);
        self.usage.send_modify(|usage| *usage += more);
    }
}
