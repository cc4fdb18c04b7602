//! Keeps LiteLLM's organizations, teams, users and memberships equal to what
//! Microsoft Entra ID says about one Enterprise Application.
//!
//! `docs/ARCHITECTURE.md` is the map. Direction of knowledge:
//! `model ← plan ← sync → {entra, litellm, ledger}`; `daemon`, `cli` and
//! `server` sit on top.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod aws;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod db;
#[cfg(feature = "simulator")]
pub mod demo;
pub mod entra;
#[cfg(test)]
mod fuzz;
pub mod ledger;
pub mod litellm;
pub mod model;
pub mod notify;
pub mod plan;
pub mod server;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod sync;
pub mod telemetry;
