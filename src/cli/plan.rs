//! `entra-sync plan`: what a pass would change.

use std::io::{self, Write};
use std::sync::Arc;

use super::arguments::PlanArguments;
use super::sources::Heading;
use super::words::counted;
use super::{Exit, Format, output, sync, watch};
use crate::config::Settings;
use crate::model::report::{Mode, Trigger};
use crate::plan::{Plan, printable, render};
use crate::sync::{Progress, Request, Source, failed_plan_json, plan_json};

/// Plans and prints; changes nothing.
pub(super) async fn run(
    command: &PlanArguments,
    format: Format,
    settings: Settings,
    heading: &Heading,
) -> anyhow::Result<Exit> {
    let source = Source::new(Arc::new(settings))?;
    let request = Request {
        trigger: Trigger::Cli,
        mode: Mode::Full,
        scope: sync::scope(&command.scope),
    };
    let (progress, watched) = Progress::new();
    let planned = tokio::select! {
        planned = source.plan(&request, &progress) => planned,
        never = watch::show(watched) => match never {},
    };
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) => {
            // Programs get their object however it ends.
            if format == Format::Json {
                heading.json(failed_plan_json(&source, &error))?;
            }
            return Err(error.into());
        }
    };
    match format {
        Format::Json => heading.json(plan_json(&planned))?,
        Format::Text => output::text(|out| {
            heading.text(out)?;
            render::text(&planned.plan, out)?;
            summary(&planned.plan, out)
        })?,
    }
    Ok(if command.check && !planned.plan.is_empty() {
        Exit::Drift
    } else if !planned.plan.unreadable.is_empty() {
        Exit::Partial
    } else {
        Exit::Ok
    })
}

/// The end of a list that may be long: what it comes to.
fn summary(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    let changes = sync::changes(&serde_json::json!(plan.counts()));
    match changes.as_str() {
        "" => writeln!(out, "planned  nothing")?,
        changes => writeln!(out, "planned  {changes}")?,
    }
    let removals = &plan.deprovision;
    let held = removals.verdict.held.len() as u64;
    match &removals.verdict.alarm {
        Some(set) => writeln!(
            out,
            "held     {}: {}; decide with `entra-sync approve {digest}` or `reject {digest}`",
            counted(set.removals, "removal"),
            printable(&set.reason),
            digest = set.digest.get(..12).unwrap_or(&set.digest)
        )?,
        None if held > 0 => writeln!(
            out,
            "held     {}, rejected before; `entra-sync status` says by whom",
            counted(held, "removal")
        )?,
        None => {}
    }
    let waiting = removals.waiting.len() as u64;
    if waiting > 0 {
        let waiting = counted(waiting, "removal");
        writeln!(out, "waits    {waiting} within deprovision.grace")?;
    }
    sync::left_out(&plan.skipped, out)
}
