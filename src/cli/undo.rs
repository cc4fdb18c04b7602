//! `entra-sync undo RUN`: gives back what one pass took away.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::arguments::{Arguments, UndoArguments};
use super::stop::Stop;
use super::{Exit, Format, output, sources, sync, watch, which_run};
use crate::sync::{Progress, Source, UndoRequest, Undone, open_database, undo_json};

/// Gives back, or only shows what would be, and prints.
pub(super) async fn run(
    command: &UndoArguments,
    format: Format,
    arguments: &Arguments,
) -> anyhow::Result<Exit> {
    let stop = Stop::listen().context("signals cannot be caught")?;
    let loaded = tokio::select! {
        loaded = super::settings(arguments) => loaded?,
        () = stop.asked() => bail!("ended on request, before the settings were read"),
    };
    let chosen = sources::chosen(&loaded, &arguments.common())?;
    let database = open_database(&loaded.settings)?;
    let (settings, run) = which_run::find(&database, &chosen, &command.run).await?;
    let (of, patience) = (run.run_id, settings.schedule.lease * 2);
    let source = Source::beside(Arc::new(settings.clone()), database)?;
    if command.dry_run {
        let undo = source.plan_undo(of).await?;
        match format {
            Format::Json => output::json(&undo_json(&undo))?,
            Format::Text => output::text(|out| undo.text(out))?,
        }
        return Ok(Exit::Ok);
    }
    let request = UndoRequest {
        of,
        who: command.operator.operator(),
    };
    let (progress, watched) = Progress::new();
    let attempt = async || source.undo(&request, &progress, stop.token()).await;
    let (undone, error) = tokio::select! {
        ended = sync::patiently(attempt, stop.token(), patience) => ended,
        never = watch::show(watched) => match never {},
        never = stop.announced() => match never {},
    };
    if let Some(error) = &error {
        eprintln!("entra-sync: {error}");
    }
    match format {
        Format::Json => output::json(&undone.report.json())?,
        Format::Text => output::text(|out| text(&request, &undone, out))?,
    }
    Ok(match error {
        Some(error) if error.is_configuration() => Exit::Usage,
        _ => Exit::of_status(undone.report.status),
    })
}

fn text(request: &UndoRequest, undone: &Undone, out: &mut impl Write) -> io::Result<()> {
    let report = &undone.report;
    if let Some(undo) = &undone.undo {
        undo.text(out)?;
    }
    let seconds = report.json()["duration_ms"].as_f64().unwrap_or_default() / 1000.0;
    writeln!(
        out,
        "{}: undid run {} in {seconds:.1} s, run {}",
        report.status.as_str(),
        request.of,
        report.run_id
    )?;
    sync::changed(report, out)?;
    sync::errors(report, out)?;
    if let Some(digest) = &undone.protected {
        let digest = digest.get(..12).unwrap_or(digest);
        writeln!(
            out,
            "rejected while Entra does not want them, passes leave these alone; `entra-sync \
             approve {digest}` lets the next complete pass take them away again"
        )?;
    }
    Ok(())
}
