//! The vocabulary every room shares: ids, roles, what Entra says, what LiteLLM
//! has, what we own, and the settings that decide between them.
//!
//! Invariant: plain data. Nothing here performs I/O, reads a clock or draws a
//! random number, and nothing here knows SQL, HTTP or a runtime. A layering
//! test keeps it so.

pub mod complete;
pub mod defaults;
pub mod directory;
pub mod evidence;
pub mod ids;
pub mod known;
pub mod ledger;
pub mod links;
pub mod policy;
pub mod quarantine;
pub mod report;
pub mod role;
pub mod source;
pub mod storable;
pub mod target;
