//! `entra-sync show RUN`: what one pass changed.

use std::io::Write;

use anyhow::Context;
use serde_json::json;

use super::arguments::ShowArguments;
use super::{Exit, Format, history, output, which_run};
use crate::config::Settings;
use crate::db::Limits;
use crate::ledger::changes;
use crate::plan::printable;
use crate::sync::open_database;

/// Prints one pass with every change it made.
pub(super) async fn run(
    command: &ShowArguments,
    format: Format,
    chosen: Vec<Settings>,
) -> anyhow::Result<Exit> {
    let first = chosen.first().context("the settings have no source")?;
    let database = open_database(first)?;
    let (_, run) = which_run::find(&database, &chosen, &command.run).await?;
    let mut transaction = database.begin(Limits::READ).await?;
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
