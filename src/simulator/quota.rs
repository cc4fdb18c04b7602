//! The quota of resource units of one application in one tenant: a bucket that
//! holds what may be used in ten seconds, and empties at that pace.
//!
//! Invariant: what is refused is counted, too, as Graph does it: who does not
//! wait, waits longer. Nothing is refused while no quota is set.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The window of Graph's quotas.
const WINDOW_SECONDS: u64 = 10;

/// The most that `x-ms-throttle-limit-percentage` says, in hundredths; usage
/// counts no further.
const MOST: u64 = 180;

/// Above this share of the quota, in hundredths, answers carry it.
const WORTH_SAYING: u64 = 80;

/// Resource units in ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quota(u32);

impl Quota {
    /// A tenant of fewer than 50 users.
    pub const SMALL: Self = Self(3_500);
    /// A tenant of 50 to 500 users.
    pub const MEDIUM: Self = Self(5_000);
    /// A tenant of more than 500 users.
    pub const LARGE: Self = Self(8_000);

    /// Any other quota.
    #[must_use]
    pub fn units(units: u32) -> Self {
        Self(units)
    }
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "S" | "s" => Ok(Self::SMALL),
            "M" | "m" => Ok(Self::MEDIUM),
            "L" | "l" => Ok(Self::LARGE),
            number => match number.parse() {
                Ok(units) if units > 0 => Ok(Self(units)),
                _ => Err("S, M, L or a number of resource units in ten seconds".to_owned()),
            },
        }
    }
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    /// Seconds to wait, if it is refused.
    pub(super) refused_for: Option<u64>,
    /// The used share of the quota in hundredths, if it is worth saying.
    pub(super) share: Option<u64>,
}

impl Charge {
    /// What is charged without a quota.
    pub(super) const FREE: Self = Self {
        refused_for: None,
        share: None,
    };
}

/// The bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Thousandths of a unit that fit.
    size: u64,
    /// Thousandths of a unit that are in it.
    used: u64,
    at: Duration,
}

impl Bucket {
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            size: u64::from(quota.0) * 1000,
            used: 0,
            at: Duration::ZERO,
        }
    }

    /// What flows out in a second.
    fn pace(&self) -> u64 {
        self.size / WINDOW_SECONDS
    }

    /// Charges so many units at this time.
    pub(super) fn charge(&mut self, units: u32, now: Duration) -> Charge {
        let passed = now.saturating_sub(self.at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.used = self
            .used
            .saturating_sub(passed.saturating_mul(self.pace()) / 1000);
        self.at = now;
        let wanted = self.used + u64::from(units) * 1000;
        self.used = wanted.min(self.size * MOST / 100);
        let share = wanted.min(self.used) * 100 / self.size.max(1);
        let missing = wanted.saturating_sub(self.size);
        // The next request will want as much, and finds this one in the bucket.
        let again = missing + u64::from(units) * 1000;
        let wait = again.div_ceil(self.pace().max(1));
        Charge {
            refused_for: (missing > 0).then_some(wait),
            share: (share > WORTH_SAYING).then_some(share),
        }
    }

    /// Takes a charge back: what fails for another reason costs nothing.
    pub(super) fn refund(&mut self, units: u32) {
        self.used = self.used.saturating_sub(u64::from(units) * 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_full_bucket_may_be_used_at_once_and_refills_in_ten_seconds() {
        let mut bucket = Bucket::new(Quota::units(100));
        for _ in 0..80 {
            assert_eq!(bucket.charge(1, at(0)), Charge::FREE);
        }
        let charge = bucket.charge(20, at(0));
        assert_eq!((charge.refused_for, charge.share), (None, Some(100)));
        assert_eq!(bucket.charge(1, at(0)).refused_for, Some(1));
        assert_eq!(bucket.charge(10, at(1)).refused_for, Some(1 + 1));
        assert_eq!(bucket.charge(100, at(20)).refused_for, None);
        bucket.refund(100);
        assert_eq!(bucket.charge(50, at(20)), Charge::FREE);
    }

    #[test]
    fn refused_requests_count_and_the_wait_that_is_asked_for_is_enough() {
        let mut bucket = Bucket::new(Quota::units(100));
        bucket.charge(100, at(0));
        let waits: Vec<_> = (0..6)
            .map(|_| bucket.charge(10, at(0)).refused_for.unwrap())
            .collect();
        assert_eq!(waits, [2, 3, 4, 5, 6, 7], "impatience prolongs the wait");
        for _ in 0..50 {
            bucket.charge(10, at(0));
        }
        let charge = bucket.charge(10, at(0));
        assert_eq!(charge.share, Some(180), "no further");
        let wait = charge.refused_for.unwrap();
        assert_eq!(bucket.charge(10, at(wait)).refused_for, None);
    }

    #[test]
    fn a_quota_is_a_size_or_a_number() {
        assert_eq!("S".parse(), Ok(Quota::SMALL));
        assert_eq!("m".parse(), Ok(Quota::MEDIUM));
        assert_eq!("L".parse(), Ok(Quota::LARGE));
        assert_eq!("250".parse(), Ok(Quota::units(250)));
        assert!("0".parse::<Quota>().is_err() && "XL".parse::<Quota>().is_err());
    }
}
