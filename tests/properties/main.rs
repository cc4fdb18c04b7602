//! The laws of the pure core: what must hold for every directory, every
//! LiteLLM and every ledger, however they came to disagree.
//!
//! Each law is tried on thousands of small, nasty worlds; `PROPTEST_CASES` sets
//! how many. A world that ever broke a law is kept in
//! `tests/proptest-regressions` and tried first.
//!
//! Must not: ask a database. What writing does is modelled in [`apply`], from
//! LiteLLM's contract and not from our SQL, so that the two can disagree.

mod apply;
mod build;
mod convergence;
mod crashes;
mod departures;
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

use proptest::test_runner::Config;

/// Two thousand worlds for each law, unless `PROPTEST_CASES` says otherwise.
fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2_000;
    }
    config
}
