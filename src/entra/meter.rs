//! Counting what one reading costs and how far it is.

use std::ops::AddAssign;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::progress::Progress;
use crate::model::directory::ReadingCost;

/// Counters of one reading; shared by its workers.
#[derive(Debug)]
pub(super) struct Meter<'p> {
    requests: AtomicU64,
    resource_units: AtomicU64,
    retries: AtomicU64,
    outages_in_a_row: AtomicU32,
    pub(super) progress: &'p Progress,
}

impl<'p> Meter<'p> {
    pub(super) fn new(progress: &'p Progress) -> Self {
        Self {
            requests: AtomicU64::new(0),
            resource_units: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            outages_in_a_row: AtomicU32::new(0),
            progress,
        }
    }

    pub(super) fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.progress.update(|progress| progress.requests += 1);
    }

    pub(super) fn cost(&self, units: u64) {
        self.resource_units.fetch_add(units, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.progress.update(|progress| progress.retries += 1);
    }

    pub(super) fn throttled(&self) {
        self.progress.update(|progress| progress.throttled += 1);
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

/// Two readings of one pass cost what both cost.
impl AddAssign for ReadingCost {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.resource_units += other.resource_units;
        self.retries += other.retries;
    }
}
