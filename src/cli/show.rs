//! `entra-sync show RUN`: what one pass changed.

use std::io::Write;

use anyhow::{Context, bail};
use serde_json::json;

use super::arguments::ShowArguments;
use super::{Exit, Format, history, output};
use crate::config::Loaded;
use crate::db::{Database, Limits, Transaction};
use crate::ledger::runs::Run;
use crate::ledger::{self, changes, runs};
use crate::model::ids::SourceId;
use crate::plan::printable;

/// Prints one pass with every change it made.
pub(super) async fn run(
    command: &ShowArguments,
    format: Format,
    loaded: Loaded,
) -> anyhow::Result<Exit> {
    let database = Database::new(&loaded.settings.litellm.database)?;
    let entra = &loaded.settings.entra;
    if !ledger::exists(&database).await? {
        bail!("no pass has run on this database yet");
    }
    let mut transaction = database.begin(Limits::READ).await?;
    let source = ledger::find_source(&mut transaction, &entra.tenant, entra.service_principal_id)
        .await?
        .context("no pass has run for this source yet")?;
    let run = find(&mut transaction, source, &command.run).await?;
    let changes = changes::of_run(&mut transaction, run.run_id).await?;
    transaction.commit().await?;
    match format {
        Format::Json => output::json(&json!({ "run": run, "changes": changes }))?,
        Format::Text => output::text(|out| {
            writeln!(out, "{}", history::line(&run))?;
            for change in &changes {
                write!(
                    out,
                    "{} {} {}",
                    change.action,
                    change.kind,
                    printable(&change.id)
                )?;
                let (before, after) = (&change.before, &change.after);
                let columns = after.iter().flat_map(|after| after.as_object()).flatten();
                for (column, value) in columns {
                    let old = before.as_ref().and_then(|before| before.get(column));
                    let value = printable(&value.to_string()).into_owned();
                    match old {
                        Some(old) => {
                            let old = printable(&old.to_string()).into_owned();
                            write!(out, " {column}: {old} -> {value}")?;
                        }
                        None if value == "null" => {}
                        None => write!(out, " {column}: {value}")?,
                    }
                }
                writeln!(out, " ({})", change.reason)?;
            }
            Ok(())
        })?,
    }
    Ok(Exit::Ok)
}

async fn find(
    transaction: &mut Transaction,
    source: SourceId,
    wanted: &str,
) -> anyhow::Result<Run> {
    if wanted == "last" {
        let newest = runs::list(transaction, source, 1).await?;
        return newest.into_iter().next().context("no pass has run yet");
    }
    let mut found = runs::find(transaction, source, wanted).await?;
    match (found.pop(), found.is_empty()) {
        (Some(run), true) => Ok(run),
        (Some(_), false) => bail!("several runs begin with {wanted}: give more of the id"),
        (None, _) => bail!("no run begins with {wanted}; `entra-sync history` lists them"),
    }
}
