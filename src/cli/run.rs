//! `entra-sync run`: the daemon.

use super::{CommonArguments, Exit};
use crate::config::Loaded;
use crate::daemon;

/// Runs until a signal ends it.
pub(super) async fn run(common: CommonArguments, loaded: Loaded) -> anyhow::Result<Exit> {
    let reload = move || {
        let loaded = crate::config::load(&super::sources(&common))?;
        for warning in &loaded.settings.warnings {
            tracing::warn!("{warning}");
        }
        Ok(loaded.settings)
    };
    daemon::run(loaded.settings, Box::new(reload)).await?;
    Ok(Exit::Ok)
}
