//! Which run somebody means: by its id, the beginning of it, or `last`.

use anyhow::{Context, bail};

use crate::config::Settings;
use crate::db::{Database, Limits, Transaction};
use crate::ledger::runs::Run;
use crate::ledger::{self, runs};
use crate::model::ids::SourceId;
use crate::plan::printable;

/// Finds it among the runs of the source that the settings name.
///
/// # Errors
/// When there is none, or more than one.
pub(super) async fn find(
    database: &Database,
    settings: &Settings,
    wanted: &str,
) -> anyhow::Result<Run> {
    let entra = &settings.entra;
    if !ledger::exists(database).await? {
        bail!("no pass has run on this database yet");
    }
    let mut transaction = database.begin(Limits::READ).await?;
    let source = ledger::find_source(&mut transaction, &entra.tenant, entra.service_principal_id)
        .await?
        .context("no pass has run for this source yet")?;
    let run = among(&mut transaction, source, settings, wanted).await?;
    transaction.commit().await?;
    Ok(run)
}

async fn among(
    transaction: &mut Transaction,
    source: SourceId,
    settings: &Settings,
    wanted: &str,
) -> anyhow::Result<Run> {
    if wanted == "last" {
        let newest = runs::list(transaction, source, 1).await?;
        return newest.into_iter().next().context("no pass has run yet");
    }
    let mut found = runs::find(transaction, source, wanted).await?;
    match (found.pop(), found.is_empty()) {
        (Some(run), true) => Ok(run),
        (Some(_), false) => bail!(
            "several runs begin with {}: give more of the id",
            printable(wanted)
        ),
        (None, _) => bail!(
            "no run begins with {}; `entra-sync history` lists them; what is older than \
             history.keep ({}) is gone, with the copies of what it took",
            printable(wanted),
            humantime::format_duration(settings.history.keep)
        ),
    }
}
