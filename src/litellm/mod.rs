//! LiteLLM's tables: what is in them and how they are written.
//!
//! Invariant: a row that this room writes is the row that LiteLLM would have
//! written. Must not: decide anything; that is `plan`'s work.

pub mod budget_reset;
