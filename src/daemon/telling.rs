//! What the daemon says of its passes.
//!
//! Must not: say names, e-mails or secrets; object ids only.

use super::schedule::moment;
use crate::model::ids::RunId;
use crate::model::quarantine::Failing;
use crate::model::report::{Kind, Question, Status};
use crate::sync::{Error, Report};

/// One line when a set of removals is held that was not held before, and one
/// when none is any more.
pub(super) fn tell_of_held(report: &Report) {
    let run = report.run_id;
    match (report.question, &report.held) {
        (Some(Question::New), Some(set)) => tracing::error!(
            target: "alert",
            {
                run.id = %run,
                held.removals = set.removals,
                held.digest = set.digest,
                held.reason = set.reason,
            },
            "removals are held: `entra-sync plan` lists them, `approve` or `reject` decides"
        ),
        (Some(Question::Over), _) => tracing::info!(
            target: "alert",
            { run.id = %run },
            "no removals are held any more"
        ),
        _ => {}
    }
}

/// When the source is asked again, and why not sooner or later.
pub(super) fn say_when(run: RunId, failing: &Failing) {
    tracing::warn!(
        run.id = %run,
        quarantine.kind = failing.trouble.as_str(),
        failures = failing.failures,
        retry_seconds = (failing.next_at - failing.last_at).num_seconds(),
        "next attempt at {} because {} has failed {}",
        moment(failing.next_at),
        failing.trouble.deed(),
        failing.times()
    );
}

/// One line for one pass; one more for each object that gave trouble.
pub(super) fn log(report: &Report, error: Option<&Error>) {
    let run = report.run_id;
    // What ended the whole pass is said below, once.
    for failed in report
        .errors
        .iter()
        .filter(|failed| failed.kind != Kind::Source)
    {
        tracing::warn!(
            run.id = %run,
            object.kind = failed.kind.as_str(),
            object.id = %failed.id,
            error.message = %failed.message,
            "an object gave trouble"
        );
    }
    let duration_ms = report.finished_at.map_or(0, |finished| {
        (finished - report.started_at).num_milliseconds()
    });
    let changes = report.changes.total();
    let (requests, units) = (report.directory.requests, report.directory.resource_units);
    let (trigger, status) = (report.trigger.as_str(), report.status.as_str());
    match error {
        Some(error) if error.is_lease_held() => {
            tracing::info!(run.id = %run, trigger, error.message = %error, "another instance works");
        }
        Some(error) => tracing::error!(
            run.id = %run, trigger, status, duration_ms, changes,
            graph.requests = requests, graph.resource_units = units,
            error.kind = error.kind(), error.message = %error, "pass failed"
        ),
        None if report.status == Status::Unchanged => {
            tracing::info!(
                run.id = %run, trigger, status, duration_ms,
                graph.requests = requests, graph.resource_units = units, "pass ended"
            );
        }
        None => tracing::info!(
            run.id = %run, trigger, status, duration_ms, changes,
            graph.requests = requests, graph.resource_units = units,
            skipped = report.skipped.len(), errors = report.errors.len(), "pass ended"
        ),
    }
}
