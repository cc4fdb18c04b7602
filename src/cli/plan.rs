//! `entra-sync plan`: what a pass would change.

use std::sync::Arc;

use super::arguments::PlanArguments;
use super::sources::Heading;
use super::{Exit, Format, output, sync, watch};
use crate::config::Settings;
use crate::model::report::{Mode, Trigger};
use crate::plan::render;
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
            render::text(&planned.plan, out)
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
