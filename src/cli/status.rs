//! `entra-sync status`: the last pass, the lease, what is managed, what is
//! held, and what fails.

use std::fmt::Display;
use std::io::Write;

use chrono::{DateTime, Utc};

use super::sources::Heading;
use super::words::counted;
use super::{Exit, Format, history, output};
use crate::config::{Loaded, Settings};
use crate::db::Limits;
use crate::ledger::{self, Overview};
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
    let mut state = Overview::default();
    if ledger::readable(&database).await? {
        let mut transaction = database.begin(Limits::READ).await?;
        state = ledger::overview(&mut transaction, settings.described()).await?;
        transaction.commit().await?;
    }
    match format {
        Format::Json => heading.json(state.json(settings.described()))?,
        Format::Text => output::text(|out| {
            heading.text(out)?;
            writeln!(
                out,
                "source   tenant {}, service principal {}",
                entra.tenant, entra.service_principal_id
            )?;
            match &state.last {
                None => writeln!(out, "last     no pass has run yet")?,
                Some(run) => writeln!(out, "last     {}", history::line(run))?,
            }
            if let Some(at) = state.success_at {
                writeln!(out, "success  {}", moment(at))?;
            }
            match &state.holder {
                None => writeln!(out, "lease    free: no pass is running")?,
                Some((holder, seconds)) => writeln!(out, "lease    {holder}, {seconds} s more")?,
            }
            let managed = &state.managed;
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
            for set in &state.held_sets {
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
            for failing in state.standing.alerts() {
                writeln!(
                    out,
                    "alert    {}: {} has failed since {}: {}",
                    failing.trouble.as_str(),
                    failing.trouble.deed(),
                    moment(failing.since),
                    printable(&failing.message)
                )?;
            }
            if let Some(failing) = state.standing.quarantine() {
                writeln!(
                    out,
                    "waits    next attempt at {}, because {} has failed {}; `resync` or SIGUSR1: now",
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
        if !ledger::readable(&database).await? {
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

fn moment(time: DateTime<Utc>) -> impl Display {
    time.format("%Y-%m-%dT%H:%M:%SZ")
}
