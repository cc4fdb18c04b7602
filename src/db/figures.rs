//! How long transactions take, and how long they wait for locks and hold them.
//!
//! Invariant: what is kept does not grow with what is measured.
//! Must not: know what a transaction is about.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Seconds. A login that waits for one second is what must not happen.
const BOUNDS: [f64; 11] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// How a transaction ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// It was made durable.
    Committed,
    /// It was taken back.
    RolledBack,
    /// It broke off, and its connection was closed.
    Abandoned,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Durations by the label `outcome`.
pub type ByOutcome = Family<[(&'static str, &'static str); 1], Histogram>;

/// Figures of one [`super::Database`] and all that share its connections.
#[derive(Debug, Clone)]
pub struct Figures(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    transactions: ByOutcome,
    waited: Histogram,
    held: Histogram,
}

impl Default for Figures {
    fn default() -> Self {
        Self(Arc::new(Kept {
            transactions: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            waited: Histogram::new(BOUNDS),
            held: Histogram::new(BOUNDS),
        }))
    }
}

impl Figures {
    /// Seconds from BEGIN to the end, by how it ended.
    #[must_use]
    pub fn transactions(&self) -> &ByOutcome {
        &self.0.transactions
    }

    /// Seconds that writing transactions waited for locks.
    #[must_use]
    pub fn waited(&self) -> &Histogram {
        &self.0.waited
    }

    /// Seconds that writing transactions held locks.
    #[must_use]
    pub fn held(&self) -> &Histogram {
        &self.0.held
    }

    pub(super) fn ended(&self, outcome: Outcome, took: Duration) {
        let label = [("outcome", outcome.as_str())];
        let ended = self.0.transactions.get_or_create(&label);
        ended.observe(took.as_secs_f64());
    }

    /// A writing transaction waited so long for its locks and held them so long.
    pub fn locks(&self, waited: Duration, held: Duration) {
        self.0.waited.observe(waited.as_secs_f64());
        self.0.held.observe(held.as_secs_f64());
    }
}
