//! How many notifications came to what end.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Kind;

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It was refused, or nobody answered for too long.
    Failed,
    /// Too many others waited.
    Dropped,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Dropped];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Counts since the process began.
#[derive(Debug, Default)]
pub struct Sent([[AtomicU64; Outcome::ALL.len()]; Kind::ALL.len()]);

impl Sent {
    pub(super) fn count(&self, kind: Kind, outcome: Outcome) {
        self.of(kind, outcome).fetch_add(1, Ordering::Relaxed);
    }

    /// Every kind with every outcome, zeros included, as a metric wants them.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Kind, Outcome, u64)> {
        let pairs = Kind::ALL
            .into_iter()
            .flat_map(|kind| Outcome::ALL.map(|outcome| (kind, outcome)));
        pairs
            .map(|(kind, outcome)| {
                let many = self.of(kind, outcome).load(Ordering::Relaxed);
                (kind, outcome, many)
            })
            .collect()
    }

    fn of(&self, kind: Kind, outcome: Outcome) -> &AtomicU64 {
        // Both are numbered from 0 in the order of their `ALL`.
        &self.0[kind as usize][outcome as usize]
    }
}
