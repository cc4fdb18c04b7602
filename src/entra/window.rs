//! How many requests are in flight at most: halved at each sign of strain, one
//! more after a row of good answers.
//!
//! Invariant: never above the settings' ceiling, never below one. Must not:
//! look at a clock.

use tokio::time::Instant;

/// Good answers in a row that widen the window by one.
const GOOD_ANSWERS: u32 = 8;

/// The window of one application in one tenant.
#[derive(Debug)]
pub(super) struct Window {
    ceiling: usize,
    limit: usize,
    in_flight: usize,
    good: u32,
    /// When it was last made narrower.
    narrowed: Option<Instant>,
}

impl Window {
    pub(super) fn new(ceiling: usize) -> Self {
        Self {
            ceiling,
            limit: ceiling,
            in_flight: 0,
            good: 0,
            narrowed: None,
        }
    }

    /// Somebody with this ceiling looks through it as well. Each keeps to their
    /// own; together they keep to the highest.
    pub(super) fn admit(&mut self, ceiling: usize) {
        if ceiling > self.ceiling {
            // A window that is narrow has its reason.
            if self.limit == self.ceiling {
                self.limit = ceiling;
            }
            self.ceiling = ceiling;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.in_flight < self.limit
    }

    pub(super) fn enter(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// An answer came as it should.
    pub(super) fn well(&mut self) {
        self.good += 1;
        if self.good >= GOOD_ANSWERS {
            self.good = 0;
            self.limit = (self.limit + 1).min(self.ceiling);
        }
    }

    /// A request that was sent at this time met a service that is overloaded.
    pub(super) fn strained(&mut self, sent: Instant, now: Instant) {
        self.good = 0;
        // What was in flight together says the same thing many times.
        if self.narrowed.is_none_or(|narrowed| sent >= narrowed) {
            self.limit = (self.limit / 2).max(1);
            self.narrowed = Some(now);
        }
    }

    /// How many are let in at present, for logs.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn strain_halves_the_window_once_for_all_that_was_in_flight_and_good_answers_widen_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(16);
        for _ in 0..16 {
            window.strained(at(0), at(1));
        }
        assert_eq!(window.limit(), 8);
        for sent in 1..20 {
            window.strained(at(sent), at(sent));
        }
        assert_eq!(window.limit(), 1, "never nobody");
        for _ in 0..GOOD_ANSWERS - 1 {
            window.well();
        }
        assert_eq!(window.limit(), 1);
        window.well();
        assert_eq!(window.limit(), 2);
        for _ in 0..GOOD_ANSWERS - 1 {
            window.well();
        }
        window.strained(at(0), at(30));
        window.well();
        assert_eq!(window.limit(), 2, "in a row");
        for _ in 0..1_000 {
            window.well();
        }
        assert_eq!(window.limit(), 16, "the ceiling");
    }

    #[test]
    fn only_as_many_as_the_limit_are_let_in() {
        let start = Instant::now();
        let mut window = Window::new(4);
        for _ in 0..4 {
            assert!(window.has_room());
            window.enter();
        }
        assert!(!window.has_room());
        window.strained(start, start);
        window.leave();
        window.leave();
        assert!(
            !window.has_room(),
            "two are in flight, and two is the limit"
        );
        window.leave();
        assert!(window.has_room());
    }

    #[test]
    fn a_higher_ceiling_of_somebody_else_opens_only_a_window_that_is_open() {
        let start = Instant::now();
        let mut window = Window::new(4);
        window.admit(2);
        assert_eq!(window.limit(), 4);
        window.admit(8);
        assert_eq!(window.limit(), 8);
        window.strained(start, start);
        window.admit(64);
        assert_eq!(window.limit(), 4);
    }
}
