//! `entra-sync history`: the last passes.

use std::io::Write;

use serde_json::json;

use super::arguments::HistoryArguments;
use super::sources::Heading;
use super::{Exit, Format, output, sync};
use crate::config::Settings;
use crate::db::Limits;
use crate::ledger::runs::Run;
use crate::ledger::{self, runs};
use crate::plan::printable;
use crate::sync::open_database;

/// Lists passes, newest first.
pub(super) async fn run(
    command: &HistoryArguments,
    format: Format,
    settings: Settings,
    heading: &Heading,
) -> anyhow::Result<Exit> {
    let database = open_database(&settings)?;
    let mut listed = Vec::new();
    if ledger::readable(&database).await? {
        let mut transaction = database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, settings.described()).await?;
        if let Some(source) = source {
            listed = runs::list(&mut transaction, source, command.limit.into()).await?;
        }
        transaction.commit().await?;
    }
    match format {
        Format::Json => match heading {
            Heading::None => output::json(&listed)?,
            Heading::Of(_) => heading.json(json!({ "runs": listed }))?,
        },
        Format::Text => output::text(|out| {
            heading.text(out)?;
            if listed.is_empty() {
                return writeln!(out, "No pass has run yet.");
            }
            listed
                .iter()
                .try_for_each(|run| writeln!(out, "{}", line(run)))
        })?,
    }
    Ok(Exit::Ok)
}

/// One pass in one line.
pub(super) fn line(run: &Run) -> String {
    let status = run.status.as_deref().unwrap_or("unfinished");
    let changed = run
        .report
        .as_ref()
        .map(|report| sync::changes(&report["changes"]))
        .unwrap_or_default();
    let what = match &run.error {
        Some(error) => printable(error).into_owned(),
        None if changed.is_empty() => "nothing changed".to_owned(),
        None => changed,
    };
    let started = run.started_at.format("%Y-%m-%dT%H:%M:%SZ");
    let asked = match run.asked_by.as_slice() {
        [] => String::new(),
        who => format!(" (asked for by {})", printable(&who.join(", "))),
    };
    format!(
        "{started}  {}  {:<9}  {:<8}  {what}{asked}",
        run.run_id, status, run.trigger
    )
}
