//! LiteLLM's tables: what is in them, and the few ways we change them.
//!
//! Invariant: rows are written as LiteLLM 1.109.1 writes them, under LiteLLM's
//! own advisory lock, with named columns only; `spend` and whatever else a
//! running proxy counts is never touched. This is the only room with LiteLLM's
//! SQL.
//! Must not: decide anything, or commit; the caller's transaction also holds
//! our ledger's rows.

mod audit;
pub mod budget_reset;
mod capabilities;
mod copies;
mod defaults;
mod error;
pub mod keys;
pub mod members;
pub mod organizations;
mod rights;
pub mod snapshot;
pub mod teams;
pub mod users;
mod writing;

pub use audit::{Audit, hindered_audit};
pub use capabilities::{Capabilities, probe};
pub use copies::Mention;
pub use defaults::hold_defaults;
pub use error::{Error, Result};
pub use rights::{Missing, Purpose, Right, missing as missing_rights, needed as needed_rights};
pub use snapshot::{Extent, extent};
pub use writing::Writing;
