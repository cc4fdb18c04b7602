//! `entra-sync check`: whether everything that a pass needs is there.
//!
//! Invariant: nothing is written, not even our own schema, and nobody is told
//! unless asked for; every line that is no PASS says what to do. Must not: name anybody in the directory.

mod database;
mod finding;

use std::io::Write;

use serde_json::json;

use super::arguments::CheckArguments;
use super::sources::Heading;
use super::{Exit, Format, output};
use crate::config::{self, Settings};
use crate::db::Database;
use crate::entra::{self, Outcome};
use crate::notify;
use crate::sync::open_database;
use finding::{Finding, Verdict};

/// Looks at everything and prints what was found.
pub(super) async fn run(
    command: &CheckArguments,
    format: Format,
    settings: Settings,
    heading: &Heading,
) -> anyhow::Result<Exit> {
    let settings = &settings;
    let mut findings = configuration(settings);
    let (reader, database) = prepare(settings, &mut findings);
    if !command.offline {
        let (entra, litellm) = tokio::join!(entra(reader), async {
            match database {
                Some(database) => database::check(&database, settings).await,
                None => Vec::new(),
            }
        });
        findings.extend(entra);
        findings.extend(litellm);
    }
    if !command.offline {
        findings.extend(change_notifications(settings));
    }
    if command.notify {
        findings.push(webhook(settings).await);
    }
    heading.print(format)?;
    print(format, &findings, heading)?;
    let failed = findings.iter().any(|one| one.result == Verdict::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Ok })
}

/// The object for programs when the settings cannot be used; people have been
/// told on standard error.
pub(super) fn refused(format: Format, error: &config::Error) -> anyhow::Result<Exit> {
    if format == Format::Json {
        let findings: Vec<Finding> = error
            .problems()
            .iter()
            .map(|problem| {
                let text = problem.to_string();
                let what = text.strip_suffix(&problem.remedy).unwrap_or(&text);
                let what = what.trim_end_matches([';', ' ']);
                Finding::fail("configuration", what, &problem.remedy)
            })
            .collect();
        print(format, &findings, &Heading::None)?;
    }
    Ok(Exit::Usage)
}

fn print(format: Format, findings: &[Finding], heading: &Heading) -> anyhow::Result<()> {
    match format {
        Format::Json => heading.json(json!({
            "ok": findings.iter().all(|one| one.result != Verdict::Fail),
            "checks": findings,
        })),
        Format::Text => output::text(|out| {
            findings
                .iter()
                .try_for_each(|one| writeln!(out, "{}", one.line()))
        }),
    }
}

fn configuration(settings: &Settings) -> Vec<Finding> {
    const NAME: &str = "configuration";
    let warnings = settings
        .warnings
        .iter()
        .map(|warning| Finding::told(NAME, Verdict::Warn, warning));
    let message = match settings.warnings.len() {
        0 => "every setting can be used".to_owned(),
        1 => "every setting can be used, with 1 warning".to_owned(),
        many => format!("every setting can be used, with {many} warnings"),
    };
    let mut findings = vec![Finding::pass(NAME, message)];
    findings.extend(warnings);
    findings
}

/// What can be told of both ends before anybody is asked.
fn prepare(
    settings: &Settings,
    findings: &mut Vec<Finding>,
) -> (Option<entra::Reader>, Option<Database>) {
    let reader = entra::Reader::new(&settings.entra)
        .map_err(|error| {
            findings.push(Finding::told(
                "HTTP client",
                Verdict::Fail,
                &error.to_string(),
            ));
        })
        .ok();
    if let Err(error) = Database::prepare(&settings.litellm.database) {
        findings.push(database::unreachable(&error));
        return (reader, None);
    }
    match open_database(settings) {
        Ok(database) => (reader, Some(database)),
        Err(error) => {
            let finding = Finding::told("database", Verdict::Fail, &error.to_string());
            findings.push(finding);
            (reader, None)
        }
    }
}

/// Only subscribing shows whether Graph grants it, and `check` writes nothing.
fn change_notifications(settings: &Settings) -> Option<Finding> {
    let url = settings.server.notifications_url.as_ref()?;
    let message = format!(
        "the daemon asks Graph to post to {url}; for groups that takes the permission \
         Group.Read.All, without it only people are told of; its log says what Graph refused"
    );
    Some(Finding::pass("change notifications", message))
}

async fn webhook(settings: &Settings) -> Finding {
    const NAME: &str = "notifications";
    match notify::try_out(settings).await {
        Ok(()) => Finding::pass(NAME, "the webhook took a test message"),
        Err(reason) => Finding::fail(
            NAME,
            reason,
            "look at notify.webhook_url and at what receives it",
        ),
    }
}

async fn entra(reader: Option<entra::Reader>) -> Vec<Finding> {
    let Some(reader) = reader else {
        return Vec::new();
    };
    reader
        .probe()
        .await
        .into_iter()
        .map(|probe| match probe.outcome {
            Outcome::Pass(message) => Finding::pass(probe.name, message),
            Outcome::Warn(text) => Finding::told(probe.name, Verdict::Warn, &text),
            Outcome::Fail(text) => Finding::told(probe.name, Verdict::Fail, &text),
        })
        .collect()
}
