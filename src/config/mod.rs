//! Settings: where they come from, what they may hold, and what they mean.
//!
//! Invariant: whoever holds a [`Settings`] holds validated values; every error
//! names source, key and remedy; no secret is ever printed.

pub mod litellm;
mod settings;

pub use settings::*;
