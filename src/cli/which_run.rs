//! Which run somebody means: by its id, the beginning of it, or `last`.

use anyhow::bail;

use super::sources::Misuse;
use crate::config::Settings;
use crate::db::{Database, Limits, Transaction};
use crate::ledger::runs::Run;
use crate::ledger::{self, runs};
use crate::model::ids::SourceId;
use crate::plan::{printable, span};

/// Finds it among the runs of these sources, with the source whose it is.
///
/// # Errors
/// When there is none, or more than one.
pub(super) async fn find<'s>(
    database: &Database,
    chosen: &'s [Settings],
    wanted: &str,
) -> anyhow::Result<(&'s Settings, Run)> {
    if !ledger::readable(database).await? {
        bail!("no pass has run on this database yet");
    }
    let mut transaction = database.begin(Limits::READ).await?;
    let mut sources = Vec::new();
    for settings in chosen {
        let source = ledger::find_source(&mut transaction, settings.described()).await?;
        sources.extend(source.map(|source| (settings, source)));
    }
    let run = match sources.as_slice() {
        [] if chosen.len() == 1 => bail!("no pass has run for this source yet"),
        [] => bail!("no pass has run for any of these sources yet"),
        _ if wanted == "last" && chosen.len() > 1 => {
            return Err(Misuse::which("`last`", chosen).into());
        }
        sources => among(&mut transaction, sources, wanted).await?,
    };
    transaction.commit().await?;
    Ok(run)
}

async fn among<'s>(
    transaction: &mut Transaction,
    sources: &[(&'s Settings, SourceId)],
    wanted: &str,
) -> anyhow::Result<(&'s Settings, Run)> {
    let mut found = Vec::new();
    for (settings, source) in sources {
        let runs = match wanted {
            "last" => runs::list(transaction, *source, 1).await?,
            wanted => runs::find(transaction, *source, wanted).await?,
        };
        found.extend(runs.into_iter().map(|run| (*settings, run)));
    }
    match (found.pop(), found.is_empty()) {
        (Some(run), true) => Ok(run),
        (Some(_), false) => bail!(
            "several runs begin with {}: give more of the id",
            printable(wanted)
        ),
        (None, _) if wanted == "last" => bail!("no pass has run yet"),
        (None, _) => bail!(
            "no run begins with {}; `entra-sync history` lists them; what is older than \
             history.keep ({}) is gone, with the copies of what it took",
            printable(wanted),
            kept(sources)
        ),
    }
}

fn kept(sources: &[(&Settings, SourceId)]) -> String {
    let keep = sources.first().map(|(settings, _)| settings.history.keep);
    span(keep.unwrap_or_default())
}
