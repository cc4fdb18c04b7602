//! The laws of the pure core: what must hold for every directory, every
//! LiteLLM and every ledger, however they came to disagree.
//!
//! Each law is tried on thousands of small, nasty worlds; `PROPTEST_CASES` sets
//! how many. They are the same worlds each time, so that what makes a law fail
//! is a change and not chance; `PROPTEST_RNG_SEED` gives others, and is worth a
//! long run now and then. A world that ever broke a law is kept in
//! `tests/proptest-regressions` and tried first.
//!
//! Must not: ask a database. What writing does is modelled in [`apply`], from
//! LiteLLM's contract and not from our SQL, so that the two can disagree.

mod apply;
mod build;
mod convergence;
mod crashes;
mod departures;
mod elsewhere;
mod following;
mod guarding;
mod identities;
mod incomplete;
mod ledger;
mod leftovers;
mod ownership;
mod policies;
mod removals;
mod settled;
mod stability;
mod whose;
mod world;

use proptest::test_runner::{Config, RngSeed};

/// Two thousand worlds for each law, unless `PROPTEST_CASES` says otherwise.
fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2_000;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(2_026);
    }
    config
}
