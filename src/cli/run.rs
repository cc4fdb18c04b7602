//! `entra-sync run`: the daemon.

use super::{Arguments, Exit};
use crate::config::{Loaded, Sources, process_environment};
use crate::daemon;

/// Runs until a signal ends it.
pub(super) async fn run(arguments: &Arguments, loaded: Loaded) -> anyhow::Result<Exit> {
    let (files, overrides) = (arguments.config.clone(), arguments.overrides());
    let reload = move || {
        let loaded = crate::config::load(&Sources {
            files: files.clone(),
            environment: process_environment(),
            overrides,
        })?;
        for warning in &loaded.settings.warnings {
            tracing::warn!("{warning}");
        }
        Ok(loaded.settings)
    };
    daemon::run(loaded.settings, Box::new(reload)).await?;
    Ok(Exit::Ok)
}
