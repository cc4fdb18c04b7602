//! `entra-sync demo`: everything on one machine, without Entra, without a
//! database to install.
//!
//! A simulated tenant ([`tenant`]), a private PostgreSQL ([`postgres`]) with
//! tables shaped like LiteLLM's ([`LITELLM_TABLES`]), and the story that walks
//! through them ([`story`]).
//!
//! Invariant: nothing of it stays behind but what `--data` names, and nothing
//! outside is read or changed: neither the environment nor a database that
//! already runs.
//!
//! Must not: know how a pass works. The passes are handed in.

mod children;
#[cfg(feature = "demo")]
pub mod embedded;
mod machine;
pub mod postgres;
pub mod story;
pub mod tenant;

#[cfg(test)]
mod tests;

/// Tables shaped like LiteLLM's, as one script.
pub const LITELLM_TABLES: &str = include_str!("litellm_tables.sql");
