//! How much one transaction writes: as much as keeps its locks short on the
//! database at hand, found out by measuring.
//!
//! Invariant: a transaction that held its locks for longer than [`AIM`] makes
//! the next one smaller; one that took less makes it larger only slowly.
//! A roster is one value and is rewritten whole, however few join: that is part
//! of the load, and a long roster gets longer by a share of its own length, so
//! that a team of a hundred thousand takes some dozens of transactions.
//! Must not: know a clock; it is told what was measured.

use std::time::Duration;

/// How long a transaction should hold LiteLLM's locks. A login may need two of
/// them, a team's and a user's, which two transactions of ours hold: it then
/// waits for both, and shall not wait for a second.
pub(super) const AIM: Duration = Duration::from_millis(400);

/// Fewer are not worth a transaction of their own.
const LEAST: usize = 50;

/// The size of the next transaction, in whatever its writer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    most: usize,
    size: usize,
}

impl Pace {
    /// Begins with the most that a transaction may ever write.
    pub(super) const fn of(most: usize) -> Self {
        let most = if most == 0 { 1 } else { most };
        Self { most, size: most }
    }

    /// What the next transaction may write.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// So much was written, and locks were held for so long.
    pub(super) fn took(&mut self, written: usize, held: Duration) {
        let fits = fits(written, held);
        let size = if held > AIM {
            // One slow transaction may be an accident: not less than half.
            fits.max(self.size / 2).min(self.size)
        } else if written >= self.size / 2 {
            fits.min(self.size + self.size / 4 + 1).max(self.size)
        } else {
            // Of a small one most of the time is not for what it wrote.
            self.size
        };
        self.size = size.clamp(LEAST.min(self.most), self.most);
    }
}

/// So many entries of a roster take as long to rewrite as one member takes to
/// be written.
const ENTRIES: usize = 16;

/// A transaction makes a roster longer by at least this part of it.
const SHARE: usize = 32;

/// What one transaction is to do, as it is put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Load {
    members: usize,
    entries: usize,
    longest: usize,
}

impl Load {
    /// One more member, of a team whose roster is in the load already.
    pub(super) const fn add_member(&mut self) {
        self.members += 1;
    }

    /// One more team, whose roster holds so many entries.
    pub(super) fn add_roster(&mut self, entries: usize) {
        self.entries += entries;
        self.longest = self.longest.max(entries);
    }

    /// In what a pace counts.
    pub(super) const fn weight(&self) -> usize {
        self.members + self.entries / ENTRIES
    }

    /// Whether it is enough for one transaction.
    pub(super) fn is_full(&self, pace: &Pace) -> bool {
        self.weight() >= pace.size() && self.members >= self.longest / SHARE
    }

    /// Whether a team with such a roster has to wait for the next one.
    pub(super) fn is_full_for(&self, entries: usize, pace: &Pace) -> bool {
        self.members > 0 && self.weight() + entries / ENTRIES >= pace.size()
    }
}

/// How much would have taken as long as we aim at.
fn fits(written: usize, held: Duration) -> usize {
    let held = held.as_micros().max(1);
    let fits = (written as u128).saturating_mul(AIM.as_micros()) / held;
    usize::try_from(fits).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// The sizes of transactions on a database that writes so many in a
    /// millisecond.
    fn sizes(pace: &mut Pace, in_a_millisecond: u64, transactions: usize) -> Vec<usize> {
        let one = |_| {
            let size = pace.size();
            pace.took(size, ms(size as u64 / in_a_millisecond));
            size
        };
        (0..transactions).map(one).collect()
    }

    #[test]
    fn a_database_that_is_fast_enough_gets_the_most_in_each_transaction() {
        let mut pace = Pace::of(2_500);
        assert_eq!(sizes(&mut pace, 10, 3), [2_500; 3]);
    }

    #[test]
    fn a_slow_one_gets_what_it_writes_in_time_and_not_less() {
        let mut pace = Pace::of(2_500);
        // One in a millisecond: 400 fit.
        assert_eq!(sizes(&mut pace, 1, 6), [2_500, 1_250, 625, 400, 400, 400]);
    }

    #[test]
    fn one_slow_transaction_halves_the_next_and_the_way_back_is_slow() {
        let mut pace = Pace::of(2_500);
        pace.took(2_500, ms(20_000));
        assert_eq!(pace.size(), 1_250);
        assert_eq!(sizes(&mut pace, 10, 5), [1_250, 1_563, 1_954, 2_443, 2_500]);
    }

    #[test]
    fn a_transaction_larger_than_asked_for_is_judged_by_what_it_wrote() {
        let mut pace = Pace::of(2_500);
        pace.took(10_000, ms(500));
        assert_eq!(pace.size(), 2_500, "8,000 would have been in time");
        pace.took(5_000, ms(1_000));
        assert_eq!(pace.size(), 2_000);
    }

    #[test]
    fn a_small_transaction_says_little_unless_it_was_slow() {
        let mut pace = Pace::of(2_500);
        sizes(&mut pace, 1, 4);
        pace.took(1, ms(1));
        assert_eq!(pace.size(), 400);
        pace.took(1, ms(1_000));
        assert_eq!(pace.size(), 200);
    }

    #[test]
    fn the_size_stays_within_its_limits_whatever_is_measured() {
        let mut pace = Pace::of(200);
        for (written, held) in [(200, ms(0)), (0, ms(0)), (200, ms(u64::MAX)), (1, ms(500))] {
            for _ in 0..20 {
                pace.took(written, held);
                assert!((LEAST..=200).contains(&pace.size()), "{pace:?}");
            }
        }
        let mut alone = Pace::of(1);
        alone.took(1, ms(30_000));
        assert_eq!(alone.size(), 1);
        assert_eq!(Pace::of(0).size(), 1);
    }

    /// How many transactions a new team of so many takes, when each is given as
    /// much as it may.
    fn transactions(team: usize, pace: &Pace) -> usize {
        let (mut roster, mut transactions) = (0, 0);
        while roster < team {
            let mut load = Load::default();
            load.add_roster(roster);
            while !load.is_full(pace) {
                load.add_member();
            }
            roster += load.members;
            transactions += 1;
        }
        transactions
    }

    #[test]
    fn a_large_team_takes_some_dozens_of_transactions_even_at_the_slowest_pace() {
        let quick = Pace::of(2_500);
        assert_eq!(transactions(2_500, &quick), 1);
        assert!((40..80).contains(&transactions(100_000, &quick)));
        let mut slow = Pace::of(2_500);
        sizes(&mut slow, 1, 10);
        for _ in 0..10 {
            slow.took(slow.size(), ms(60_000));
        }
        assert_eq!(slow.size(), LEAST);
        let (some, ten_times) = (transactions(100_000, &slow), transactions(1_000_000, &slow));
        assert!(some < 250 && ten_times < some + 100, "{some}, {ten_times}");
    }

    #[test]
    fn long_rosters_are_not_rewritten_together() {
        let pace = Pace::of(2_500);
        let mut load = Load::default();
        assert!(!load.is_full_for(100_000, &pace), "alone it must go");
        load.add_roster(500);
        load.add_member();
        assert!(!load.is_full_for(500, &pace));
        assert!(load.is_full_for(40_000, &pace));
    }
}
