//! Counting what one reading costs and how far it is.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::progress::{Progress, Usage};
use crate::model::directory::ReadingCost;

/// Who waited shorter for resource units was not held up.
const WORTH_SAYING_MS: u64 = 1_000;

/// Counters of one reading; shared by its workers.
#[derive(Debug)]
pub(super) struct Meter<'p> {
    requests: AtomicU64,
    resource_units: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    /// Milliseconds.
    waited: AtomicU64,
    outages_in_a_row: AtomicU32,
    pub(super) progress: &'p Progress,
}

impl<'p> Meter<'p> {
    pub(super) fn new(progress: &'p Progress) -> Self {
        Self {
            requests: AtomicU64::new(0),
            resource_units: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            outages_in_a_row: AtomicU32::new(0),
            progress,
        }
    }

    pub(super) fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.uses(Usage {
            requests: 1,
            ..Usage::default()
        });
    }

    pub(super) fn cost(&self, units: u64) {
        self.resource_units.fetch_add(units, Ordering::Relaxed);
        self.uses(Usage {
            resource_units: units,
            ..Usage::default()
        });
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.uses(Usage {
            retries: 1,
            ..Usage::default()
        });
    }

    pub(super) fn throttled(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        self.uses(Usage {
            throttled: 1,
            ..Usage::default()
        });
    }

    /// A request had to wait so long for resource units.
    pub(super) fn held_back(&self, waited: Duration) {
        if !waited.is_zero() {
            let milliseconds = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            self.waited.fetch_add(milliseconds, Ordering::Relaxed);
            self.uses(Usage {
                held_back: 1,
                ..Usage::default()
            });
        }
    }

    fn uses(&self, more: Usage) {
        self.progress.uses(more);
    }

    /// Whatever was read well ends a row of outages.
    pub(super) fn well(&self) {
        self.outages_in_a_row.store(0, Ordering::Relaxed);
    }

    /// Counts a request that was given up for want of service.
    pub(super) fn outage(&self) {
        self.outages_in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of them came in a row.
    pub(super) fn outages(&self) -> u32 {
        self.outages_in_a_row.load(Ordering::Relaxed)
    }

    pub(super) fn total(&self) -> ReadingCost {
        ReadingCost {
            requests: self.requests.load(Ordering::Relaxed),
            resource_units: self.resource_units.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}

/// However a reading ends, what it cost is said once.
impl Drop for Meter<'_> {
    fn drop(&mut self) {
        let ReadingCost {
            requests,
            resource_units,
            retries,
        } = self.total();
        let throttled = self.throttled.load(Ordering::Relaxed);
        let waited_ms = self.waited.load(Ordering::Relaxed);
        if throttled > 0 || waited_ms >= WORTH_SAYING_MS {
            tracing::info!(
                requests,
                resource_units,
                retries,
                throttled,
                waited_ms,
                "Graph's quota held the reading up"
            );
        } else {
            tracing::debug!(
                requests,
                resource_units,
                retries,
                throttled,
                waited_ms,
                "the reading's requests"
            );
        }
    }
}

/// Two readings of one pass cost what both cost.
impl AddAssign for ReadingCost {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.resource_units += other.resource_units;
        self.retries += other.retries;
    }
}
