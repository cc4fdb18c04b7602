//! A small pseudo-random sequence (splitmix64), the same on every machine and
//! with every version of every crate.
//!
//! Must not: be used for anything secret.

/// The sequence.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when there is none.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let drawn = self.next().checked_rem(limit as u64).unwrap_or(0);
        usize::try_from(drawn).unwrap_or(0)
    }

    /// True so many times in a thousand.
    pub(super) fn per_mille(&mut self, chance: usize) -> bool {
        self.below(1000) < chance
    }

    /// One of the list; the empty text when it is empty.
    pub(super) fn pick<'w>(&mut self, list: &[&'w str]) -> &'w str {
        let at = self.below(list.len());
        list.get(at).copied().unwrap_or_default()
    }
}
