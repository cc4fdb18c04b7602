//! `entra-sync config`: the settings in force, or the commented defaults.

use std::io::Write;

use super::{Exit, Format, output};
use crate::config::{DEFAULTS, Loaded};

/// Prints the commented defaults.
pub(super) fn defaults() -> anyhow::Result<Exit> {
    output::text(|out| out.write_all(DEFAULTS.as_bytes()))?;
    Ok(Exit::Ok)
}

/// Prints every key with its value and where it came from; secrets hidden.
pub(super) fn run(format: Format, loaded: &Loaded) -> anyhow::Result<Exit> {
    match format {
        Format::Json => output::json(&loaded.origins)?,
        Format::Text => output::text(|out| {
            for effective in &loaded.origins {
                writeln!(out, "{effective}")?;
            }
            for warning in &loaded.settings.warnings {
                writeln!(out, "# warning: {warning}")?;
            }
            Ok(())
        })?,
    }
    Ok(Exit::Ok)
}
