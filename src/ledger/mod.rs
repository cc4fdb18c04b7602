//! Our own schema in LiteLLM's database: what we own, what we last wrote, what
//! every pass did, and who may write now.
//!
//! Invariant: a record commits in the same transaction as the LiteLLM rows it
//! describes, so the two never disagree after a crash. Every key starts with
//! the source.
//! Must not: touch LiteLLM's tables, or decide anything.

pub mod alerts;
pub mod changes;
mod decided;
pub mod directory;
mod error;
pub mod held;
pub mod lease;
mod migrate;
mod overview;
pub mod ownership;
pub mod recent;
pub mod replicas;
pub mod requests;
pub mod runs;
mod source;
mod standing;
pub mod subscriptions;
pub mod taken;
pub mod waiting;

pub use error::{Error, Result};
pub use migrate::{Migrated, exists, migrate};
pub use overview::{Overview, overview};
pub use source::{Resolved, find_source, resolve_source, unnamed_sources};
pub use standing::{Standing, readable, standing};
