//! The resource units that an application may use in a tenant: a bucket that
//! is debited before a request is sent and corrected by what the answer says.
//!
//! Invariant: less is used than Graph allows, as far as that is known. What
//! Graph allows depends on the tenant's size, which nobody tells: the largest
//! quota is assumed until a 429 teaches otherwise. Must not: look at a clock,
//! or wait; who asks is told how long.
//!
//! Source: graph-contract 8.1 (quotas, costs) and 8.2 (the limiter).

use std::time::Duration;

use tokio::time::Instant;

use crate::config::ResourceUnits;

/// The window of Graph's quotas.
const WINDOW: Duration = Duration::from_secs(10);

/// Units in a window for a tenant of more than 500 users.
const LARGE: f64 = 8_000.0;

/// Units in a window for one of fewer than 50: no tenant has less.
const SMALL: f64 = 3_500.0;

/// The part of a quota that is used; the rest is for errors of the estimate.
const SHARE: f64 = 0.8;

/// How much a quota that was lowered grows again, in a second: from the least
/// to the most takes 75 minutes.
const RECOVERY: f64 = 1.0;

/// Above this, Graph's word on how much of the quota is used changes nothing
/// more: what is beyond it, 429s say.
const MOST_TOLD: f64 = 1.0;

/// The bucket of one application in one tenant.
#[derive(Debug)]
pub(super) struct Budget {
    /// Units in a window, as far as is known.
    quota: f64,
    /// What is in the bucket; below zero when an answer cost more than thought.
    left: f64,
    at: Instant,
    learning: Learning,
    /// When the quota was last lowered.
    lowered: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learning {
    /// 429s lower the quota.
    On,
    /// The settings name it.
    Off,
}

impl Budget {
    pub(super) fn new(units: ResourceUnits, now: Instant) -> Self {
        let (quota, learning) = match units {
            ResourceUnits::Auto => (LARGE, Learning::On),
            ResourceUnits::Fixed(units) => (f64::from(units), Learning::Off),
        };
        Self {
            quota,
            left: SHARE * quota,
            at: now,
            learning,
            lowered: None,
        }
    }

    /// Takes other settings over. What was used stays used, and what was
    /// learned is kept as long as it still means something.
    pub(super) fn set(&mut self, units: ResourceUnits, now: Instant) {
        self.refill(now);
        let fresh = Self::new(units, now);
        if (self.learning, fresh.learning) != (Learning::On, Learning::On) {
            let used = self.capacity() - self.left;
            self.left = fresh.capacity() - used;
            self.quota = fresh.quota;
        }
        self.learning = fresh.learning;
    }

    /// Takes so many units out.
    ///
    /// # Errors
    /// How long until they are there.
    pub(super) fn take(&mut self, units: u64, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        let units = whole(units);
        // Who wants more than fits waits for a full bucket.
        let missing = units.min(self.capacity()) - self.left;
        if missing > 0.0 {
            // Timers are no finer than a millisecond.
            let wait = Duration::from_secs_f64(missing / self.rate());
            return Err(wait + Duration::from_millis(1));
        }
        self.left -= units;
        Ok(())
    }

    /// What was taken as an estimate cost this in truth.
    pub(super) fn correct(&mut self, taken: u64, cost: u64) {
        self.left = (self.left + whole(taken) - whole(cost)).min(self.capacity());
    }

    /// Graph says how much of the quota is used: 1 is all of it.
    pub(super) fn told(&mut self, used: f64, now: Instant) {
        self.refill(now);
        self.left = self.left.min((SHARE - used.min(MOST_TOLD)) * self.quota);
    }

    /// Graph says that no units are left, in its answer to a request that was
    /// sent at this time.
    pub(super) fn exhausted(&mut self, sent: Instant, now: Instant) {
        self.refill(now);
        self.left = self.left.min(0.0);
        // What was in flight together says the same thing many times.
        let is_news = self.lowered.is_none_or(|lowered| sent >= lowered);
        if self.learning == Learning::On && is_news {
            self.quota = (self.quota / 2.0).max(SMALL);
            self.lowered = Some(now);
        }
    }

    /// The assumed quota, for logs.
    pub(super) fn quota(&self) -> u64 {
        self.quota as u64
    }

    fn capacity(&self) -> f64 {
        SHARE * self.quota
    }

    /// Units in a second.
    fn rate(&self) -> f64 {
        self.capacity() / WINDOW.as_secs_f64()
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        if self.learning == Learning::On {
            self.quota = (self.quota + passed * RECOVERY).min(LARGE);
        }
        self.left = (self.left + passed * self.rate()).min(self.capacity());
        self.at = self.at.max(now);
    }
}

/// Far below where a float would round.
fn whole(units: u64) -> f64 {
    f64::from(u32::try_from(units).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock(Instant);

    impl Clock {
        fn start() -> Self {
            Self(Instant::now())
        }

        fn at(&self, seconds: f64) -> Instant {
            self.0 + Duration::from_secs_f64(seconds)
        }
    }

    fn drain(budget: &mut Budget, units: u64, now: Instant) -> u64 {
        (0..)
            .take_while(|_| budget.take(units, now).is_ok())
            .count() as u64
            * units
    }

    #[test]
    fn four_fifths_of_the_quota_may_be_used_at_once_and_a_tenth_of_that_each_second() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Fixed(1_000), clock.at(0.0));
        assert_eq!(drain(&mut budget, 2, clock.at(0.0)), 800);
        let wait = budget.take(2, clock.at(0.0)).unwrap_err();
        assert_eq!(wait.as_millis(), 25 + 1);
        assert!(budget.take(2, clock.at(0.0) + wait).is_ok(), "long enough");
        assert_eq!(drain(&mut budget, 1, clock.at(1.0)), 78);
        assert_eq!(
            drain(&mut budget, 1, clock.at(60.0)),
            800,
            "no more than fits"
        );
        assert_eq!(
            drain(&mut budget, 1, clock.at(59.0)),
            0,
            "no time goes back"
        );
    }

    #[test]
    fn a_request_that_costs_more_than_ever_fits_goes_out_all_the_same() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Fixed(10), clock.at(0.0));
        assert!(budget.take(20, clock.at(0.0)).is_ok());
        let wait = budget.take(1, clock.at(0.0)).unwrap_err();
        assert!((16_000..17_000).contains(&wait.as_millis()), "{wait:?}");
    }

    #[test]
    fn answers_correct_the_estimate_in_both_directions() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Fixed(100), clock.at(0.0));
        for _ in 0..16 {
            assert!(budget.take(2, clock.at(0.0)).is_ok());
            budget.correct(2, 5);
        }
        assert!(budget.take(1, clock.at(0.0)).is_err(), "16 × 5 = 80");
        budget.correct(5, 0);
        assert_eq!(drain(&mut budget, 1, clock.at(0.0)), 5);
        budget.correct(1_000, 0);
        assert_eq!(drain(&mut budget, 1, clock.at(0.0)), 80);
    }

    #[test]
    fn a_429_halves_the_quota_once_for_all_that_was_in_flight_and_not_below_the_least() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Auto, clock.at(0.0));
        assert_eq!(budget.quota(), 8_000);
        for _ in 0..16 {
            budget.exhausted(clock.at(0.0), clock.at(0.1));
        }
        assert_eq!(budget.quota(), 4_000);
        assert!(budget.take(1, clock.at(0.1)).is_err(), "nothing is left");
        for _ in 0..16 {
            budget.exhausted(clock.at(0.2), clock.at(0.3));
        }
        assert_eq!(budget.quota(), 3_500);
        budget.refill(clock.at(600.3));
        assert_eq!(budget.quota(), 4_100, "slowly up again");
        budget.refill(clock.at(1e6));
        assert_eq!(budget.quota(), 8_000);
    }

    #[test]
    fn a_quota_from_the_settings_is_not_learned_but_the_bucket_is_empty_all_the_same() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Fixed(5_000), clock.at(0.0));
        budget.exhausted(clock.at(0.0), clock.at(0.0));
        assert_eq!(budget.quota(), 5_000);
        assert!(budget.take(1, clock.at(0.0)).is_err());
        assert_eq!(drain(&mut budget, 1, clock.at(1.0)), 400);
    }

    #[test]
    fn what_graph_says_of_its_own_count_slows_down_before_a_429() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Fixed(1_000), clock.at(0.0));
        budget.told(0.81, clock.at(0.0));
        let wait = budget.take(1, clock.at(0.0)).unwrap_err();
        assert!((130..145).contains(&wait.as_millis()), "{wait:?}");
        budget.told(1.8, clock.at(0.0));
        let wait = budget.take(1, clock.at(0.0)).unwrap_err();
        assert!(wait < Duration::from_secs(3), "bounded: {wait:?}");
    }

    #[test]
    fn other_settings_count_at_once_and_what_was_learned_stays() {
        let clock = Clock::start();
        let mut budget = Budget::new(ResourceUnits::Auto, clock.at(0.0));
        budget.exhausted(clock.at(0.0), clock.at(0.0));
        budget.set(ResourceUnits::Auto, clock.at(0.0));
        assert_eq!(budget.quota(), 4_000);
        assert!(budget.take(1, clock.at(0.0)).is_err());
        budget.set(ResourceUnits::Fixed(1_000), clock.at(100.0));
        assert_eq!(drain(&mut budget, 1, clock.at(100.0)), 800);
        budget.set(ResourceUnits::Fixed(2_000), clock.at(100.0));
        assert_eq!(drain(&mut budget, 1, clock.at(100.0)), 800, "what is new");
        budget.set(ResourceUnits::Auto, clock.at(100.0));
        assert_eq!(budget.quota(), 8_000);
    }
}
