//! `entra-sync sync`: one pass, then exit.
//!
//! Invariant: signals are caught before anything else is done, so that an
//! interrupted pass always gives back what it holds.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use super::arguments::{ScopeArguments, SyncArguments};
use super::sources::{self, Heading};
use super::stop::Stop;
use super::words::{counted, singular};
use super::{Arguments, Exit, Format, output, watch};
use crate::config::Settings;
use crate::model::policy::Scope;
use crate::model::report::{Kind, Mode, Skipped, Status, Trigger};
use crate::notify::Notifier;
use crate::plan::printable;
use crate::sync::{Error, Progress, Report, Request, Source};

/// How long a webhook may take, further attempts included.
const NOTIFYING: Duration = Duration::from_secs(15);

/// Runs one pass for each source and prints their reports.
pub(super) async fn run(
    command: &SyncArguments,
    format: Format,
    arguments: &Arguments,
) -> anyhow::Result<Exit> {
    let stop = Stop::listen().context("signals cannot be caught")?;
    let loaded = tokio::select! {
        loaded = super::settings(arguments) => loaded?,
        () = stop.asked() => bail!("ended on request, before the settings were read"),
    };
    let chosen = sources::chosen(&loaded, &arguments.common())?;
    sources::each(chosen, async |settings, heading| {
        one(command, format, settings, &stop, &heading).await
    })
    .await
}

async fn one(
    command: &SyncArguments,
    format: Format,
    settings: Settings,
    stop: &Stop,
    heading: &Heading,
) -> anyhow::Result<Exit> {
    let patience = settings.schedule.lease * 2;
    let source = Source::new(Arc::new(settings))?;
    let scope = scope(&command.scope);
    let request = Request {
        trigger: Trigger::Cli,
        // What is asked of some objects is asked of them whole.
        mode: match command.full || !scope.is_everything() {
            true => Mode::Full,
            false => Mode::Incremental,
        },
        scope,
    };
    let (progress, watched) = Progress::new();
    let attempt = async || source.pass(&request, &progress, stop.token()).await;
    let pass = patiently(attempt, stop.token(), patience);
    let (report, error) = tokio::select! {
        ended = pass => ended,
        never = watch::show(watched) => match never {},
        never = stop.announced() => match never {},
    };
    if let Some(error) = &error {
        eprintln!("entra-sync: {error}");
    }
    notify(source.settings(), &report, stop).await;
    match format {
        Format::Json => heading.json(report.json())?,
        Format::Text => output::text(|out| {
            heading.text(out)?;
            text(&report, out)
        })?,
    }
    Ok(match error {
        Some(error) if error.is_configuration() => Exit::Usage,
        _ => Exit::of_status(report.status),
    })
}

/// An alert that this pass opens is told by nobody else: the daemon's next pass
/// finds it open. Does not wait for a receiver once somebody asks to end.
async fn notify(settings: &Settings, report: &Report, stop: &Stop) {
    let (notifier, delivery) = Notifier::start(&settings.notify);
    notifier.tell(settings, report);
    drop(notifier);
    tokio::select! {
        () = delivery.drain(NOTIFYING) => {}
        () = stop.asked() => {}
    }
}

pub(super) fn scope(arguments: &ScopeArguments) -> Scope {
    Scope::asked(
        arguments.groups.iter().copied().collect(),
        arguments.people.iter().copied().collect(),
    )
}

/// Waits for another instance's pass, saying who holds the lease.
pub(super) async fn patiently<T>(
    attempt: impl AsyncFn() -> (T, Option<Error>),
    stop: &CancellationToken,
    patience: Duration,
) -> (T, Option<Error>) {
    let begun = Instant::now();
    let mut said = false;
    loop {
        let (ended, error) = attempt().await;
        let held = error.as_ref().is_some_and(Error::is_lease_held);
        if !held || begun.elapsed() >= patience || stop.is_cancelled() {
            return (ended, error);
        }
        if let (Some(error), false) = (&error, said) {
            eprintln!(
                "entra-sync: {error}; waiting up to {} s",
                patience.as_secs()
            );
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A report for people.
pub(super) fn text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let json = report.json();
    let seconds = json["duration_ms"].as_f64().unwrap_or_default() / 1000.0;
    writeln!(
        out,
        "{}: {} pass in {seconds:.1} s, run {}",
        report.status.as_str(),
        report.mode.as_str(),
        report.run_id
    )?;
    let read = &report.directory;
    if report.status != Status::Failed || read.requests > 0 {
        writeln!(
            out,
            "read     {}, {}, {} ({}, {}, {})",
            counted(read.groups, "group"),
            counted(read.users, "user"),
            counted(read.memberships, "membership"),
            counted(read.requests, "request"),
            counted(read.resource_units, "resource_unit"),
            counted(read.retries, "retry"),
        )?;
    }
    changed(report, out)?;
    if let Some(held) = &report.held {
        writeln!(
            out,
            "held     {} removals: {}; `entra-sync plan` lists them, `entra-sync approve {}` \
             releases them, `reject` keeps them unapplied",
            held.removals,
            printable(&held.reason),
            held.digest.get(..12).unwrap_or(&held.digest)
        )?;
    }
    left_out(&report.skipped, out)?;
    errors(report, out)
}

/// What was changed, in one line.
pub(super) fn changed(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let changed = changes(&report.json()["changes"]);
    if report.status == Status::Failed && changed.is_empty() {
        return Ok(());
    }
    let changed = if changed.is_empty() {
        "nothing".to_owned()
    } else {
        changed
    };
    writeln!(out, "changed  {changed}")
}

/// Objects that gave trouble, one line each. What ended all of it is said on
/// standard error already.
pub(super) fn errors(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for error in &report.errors {
        if error.kind == Kind::Source {
            continue;
        }
        let kind = error.kind.as_str();
        let message = printable(&error.message);
        writeln!(out, "error    {kind} {}: {message}", printable(&error.id))?;
    }
    Ok(())
}

/// One line for each kind and reason, with the first ids; JSON has them all.
pub(super) fn left_out(skipped: &[Skipped], out: &mut impl Write) -> io::Result<()> {
    const NAMED: usize = 3;
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for one in skipped {
        reasons
            .entry((one.kind.as_str(), one.reason.as_str()))
            .or_default()
            .push(&one.id);
    }
    for ((kind, reason), ids) in reasons {
        let named: Vec<_> = ids.iter().take(NAMED).map(|id| printable(id)).collect();
        let more = if ids.len() > NAMED { ", …" } else { "" };
        writeln!(
            out,
            "left out {} ({reason}): {}{more}",
            counted(ids.len() as u64, kind),
            named.join(", ")
        )?;
    }
    Ok(())
}

/// "1 team created, 12 team memberships added".
pub(super) fn changes(counts: &serde_json::Value) -> String {
    let mut words = Vec::new();
    for (objects, counts) in counts.as_object().into_iter().flatten() {
        for (action, count) in counts.as_object().into_iter().flatten() {
            let count = count.as_u64().unwrap_or_default();
            if count > 0 {
                let counted = counted(count, singular(objects));
                words.push(format!("{counted} {action}"));
            }
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_in_english() {
        let counts = serde_json::json!({
            "organizations": {"created": 1, "updated": 0},
            "team_memberships": {"added": 1, "removed": 2},
            "users": {"created": 3},
        });
        assert_eq!(
            changes(&counts),
            "1 organization created, 1 team membership added, 2 team memberships removed, \
             3 users created"
        );
    }

    #[test]
    fn what_was_left_out_is_counted_in_english() {
        let skipped = |kind, id: &str| Skipped {
            kind,
            id: id.to_owned(),
            reason: "disabled".to_owned(),
        };
        let mut out = Vec::new();
        let all = [
            skipped(Kind::User, "a"),
            skipped(Kind::User, "b"),
            skipped(Kind::TeamMembership, "t/c"),
        ];
        left_out(&all, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "left out 1 team membership (disabled): t/c\nleft out 2 users (disabled): a, b\n"
        );
    }
}
