//! `entra-sync role-sql`: the script that makes the database role, for whoever
//! has the program and not its sources.
//!
//! Must not: connect to anything; the script is run by the owner of LiteLLM's
//! tables, and this program is never that.

use std::io::Write;

use super::{Exit, output};

/// The same that docs and tests run.
const SCRIPT: &str = include_str!("../../deploy/sql/role.sql");

/// Prints it.
pub(super) fn run() -> anyhow::Result<Exit> {
    output::text(|out| out.write_all(SCRIPT.as_bytes()))?;
    Ok(Exit::Ok)
}
