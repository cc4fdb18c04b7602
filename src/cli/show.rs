//! `entra-sync show RUN`: what one pass changed.

use std::io::{self, Write};

use anyhow::Context;
use serde_json::json;

use super::arguments::ShowArguments;
use super::{Exit, Format, history, output, which_run};
use crate::config::Settings;
use crate::db::Limits;
use crate::ledger::changes;
use crate::ledger::runs::Run;
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
            held(&run, out)?;
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

/// What the run held back; `status` has what is held now.
fn held(run: &Run, out: &mut impl Write) -> io::Result<()> {
    let held = run.report.as_ref().map(|report| &report["held"]);
    let Some(set) = held.filter(|held| !held.is_null()) else {
        return Ok(());
    };
    let text = |key: &str| printable(set[key].as_str().unwrap_or_default()).into_owned();
    writeln!(
        out,
        "held {} removals, digest {}: {}",
        set["removals"],
        text("digest"),
        text("reason")
    )
}
