//! Chance that comes again: the same seed throws the same numbers.

/// A generator that is enough for a test; whoever uses it prints the seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // Seeds that follow each other must not throw numbers that do.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }

    /// One of these.
    pub fn one_of<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        let place = usize::try_from(self.below(things.len() as u64)).expect("it is small");
        &things[place]
    }

    /// One of these keys.
    pub fn key<'t>(&mut self, keys: &'t [String]) -> &'t str {
        self.one_of::<String>(keys)
    }
}
