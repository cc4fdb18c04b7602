//! `entra-sync status`: the last pass, the lease, what is managed, what is
//! held, and what fails.

use std::fmt::Display;
use std::io::Write;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::sources::Heading;
use super::words::counted;
use super::{Exit, Format, history, output};
use crate::config::{Loaded, Settings};
use crate::db::Limits;
use crate::ledger::ownership::{self, Extent};
use crate::ledger::runs::Run;
use crate::ledger::{self, alerts, held, lease, runs};
use crate::model::quarantine::{Failing, Standing};
use crate::plan::printable;
use crate::sync::open_database;

/// Prints the state of this source.
pub(super) async fn run(
    format: Format,
    settings: Settings,
    heading: &Heading,
) -> anyhow::Result<Exit> {
    let database = open_database(&settings)?;
    let entra = &settings.entra;
    let (mut last, mut success, mut holder, mut managed) = (None, None, None, Extent::default());
    let mut open = Vec::new();
    let mut standing = Standing::default();
    if ledger::exists(&database).await? {
        let mut transaction = database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, settings.described()).await?;
        if let Some(source) = source {
            last = runs::list(&mut transaction, source, 1).await?.pop();
            success = runs::last_success(&mut transaction, source).await?;
            holder = lease::holder(&mut transaction, source).await?;
            managed = ownership::extent(&mut transaction, source).await?;
            open = held::open(&mut transaction, source).await?;
            standing = alerts::load(&mut transaction, source).await?;
        }
        transaction.commit().await?;
    }
    let held = last
        .as_ref()
        .and_then(|run: &Run| run.report.as_ref()?.get("held").cloned());
    match format {
        Format::Json => heading.json(json!({
            "source": {
                "tenant": entra.tenant,
                "service_principal_id": entra.service_principal_id,
            },
            "lease": holder.as_ref().map(|(holder, seconds)| json!({
                "holder": holder, "remaining_seconds": seconds,
            })),
            "last_run": last,
            "last_success_at": success.as_ref().map(|run| run.started_at),
            "managed": managed,
            "held": held,
            "held_sets": open,
            "alerts": standing.alerts().map(alert).collect::<Vec<_>>(),
            "quarantine": standing.quarantine().map(alert),
        }))?,
        Format::Text => output::text(|out| {
            heading.text(out)?;
            writeln!(
                out,
                "source   tenant {}, service principal {}",
                entra.tenant, entra.service_principal_id
            )?;
            match &last {
                None => writeln!(out, "last     no pass has run yet")?,
                Some(run) => writeln!(out, "last     {}", history::line(run))?,
            }
            if let Some(run) = &success {
                writeln!(out, "success  {}", moment(run.started_at))?;
            }
            match &holder {
                None => writeln!(out, "lease    free: no pass is running")?,
                Some((holder, seconds)) => writeln!(out, "lease    {holder}, {seconds} s more")?,
            }
            writeln!(
                out,
                "managed  {}, {}, {}, {}, {}",
                counted(managed.teams.unsigned_abs(), "team"),
                counted(managed.organizations.unsigned_abs(), "organization"),
                counted(managed.users.unsigned_abs(), "user"),
                counted(managed.team_memberships.unsigned_abs(), "team_membership"),
                counted(
                    managed.organization_memberships.unsigned_abs(),
                    "organization_membership"
                ),
            )?;
            for set in &open {
                write!(
                    out,
                    "{:<8} {}, digest {}: {}",
                    set.status,
                    counted(set.items.len() as u64, "removal"),
                    set.digest,
                    printable(&set.reason)
                )?;
                match (&set.decided_by, set.decided_at) {
                    (Some(who), Some(when)) => {
                        writeln!(out, "; {} at {}", printable(who), moment(when))?;
                    }
                    _ => writeln!(out)?,
                }
            }
            for failing in standing.alerts() {
                writeln!(
                    out,
                    "alert    {}: {} has failed since {}: {}",
                    failing.trouble.as_str(),
                    failing.trouble.deed(),
                    moment(failing.since),
                    printable(&failing.message)
                )?;
            }
            if let Some(failing) = standing.quarantine() {
                writeln!(
                    out,
                    "waits    next attempt at {}, because {} has failed {}; SIGUSR1 or SIGHUP: now",
                    moment(failing.next_at),
                    failing.trouble.deed(),
                    failing.times()
                )?;
            }
            Ok(())
        })?,
    }
    Ok(Exit::Ok)
}

/// Says of what the ledger has and no settings name that it is left alone.
/// Beside the data, and only if it can be had.
pub(super) async fn tell_of_the_unnamed(loaded: &Loaded) {
    let unnamed = async {
        let database = open_database(&loaded.settings)?;
        if !ledger::exists(&database).await? {
            return Ok(Vec::new());
        }
        let mut transaction = database.begin(Limits::READ).await?;
        let settings: Vec<_> = loaded.sources.iter().map(Settings::described).collect();
        let unnamed = ledger::unnamed_sources(&mut transaction, &settings).await?;
        transaction.commit().await?;
        anyhow::Ok(unnamed)
    };
    if let Ok(unnamed) = unnamed.await
        && !unnamed.is_empty()
    {
        eprintln!(
            "entra-sync: no settings name what the ledger calls {}: it is left alone, with all \
             that it manages",
            unnamed.join(", ")
        );
    }
}

/// What fails, for programs.
fn alert(failing: &Failing) -> Value {
    json!({
        "kind": failing.trouble,
        "failures": failing.failures,
        "since": failing.since,
        "last_at": failing.last_at,
        "next_attempt_at": failing.next_at,
        "opened_at": failing.opened_at,
        "error": failing.error,
        "message": failing.message,
        "remedy": failing.trouble.remedy(),
    })
}

fn moment(time: DateTime<Utc>) -> impl Display {
    time.format("%Y-%m-%dT%H:%M:%SZ")
}
