//! `entra-sync resync`: asks the daemon for a pass, and waits for it if told to.
//!
//! Invariant: a request that was recorded stays, however the waiting ends. The
//! waiting has an end when nobody is there who could make the pass.
//! Must not: make a pass itself, or need the lease.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;

use super::arguments::ResyncArguments;
use super::sources::{self, Heading};
use super::words::counted;
use super::{Exit, Format, output, sync};
use crate::config::Settings;
use crate::db::{Database, Limits};
use crate::ledger::requests::{self, Asker, Ended, Outcome, Waiting, Wish};
use crate::ledger::{self, replicas};
use crate::model::ids::RunId;
use crate::model::report::Mode;
use crate::sync::{Report, open_database};

/// Who waits asks this often how it stands.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Asks for each source before it waits for any.
pub(super) async fn run(
    command: &ResyncArguments,
    format: Format,
    chosen: Vec<Settings>,
) -> anyhow::Result<Exit> {
    let mut asked = BTreeMap::new();
    for settings in &chosen {
        asked.insert(settings.source.clone(), ask(command, settings).await);
    }
    sources::each(chosen, async |settings, heading| {
        let Some(asked) = asked.remove(&settings.source) else {
            bail!("the source is named twice");
        };
        let asked = asked?;
        if command.wait {
            wait(&asked, &settings, format, &heading).await
        } else {
            tell(&asked, format, &heading)
        }
    })
    .await
}

/// A request that is recorded.
struct Asked {
    database: Database,
    waiting: Waiting,
    /// How many daemons know the source.
    daemons: i64,
}

async fn ask(command: &ResyncArguments, settings: &Settings) -> anyhow::Result<Asked> {
    let database = open_database(settings)?;
    let who = command.operator.operator();
    let wish = Wish {
        mode: match command.full {
            true => Mode::Full,
            false => Mode::Incremental,
        },
        asker: Asker::CommandLine,
        asked_by: &who,
    };
    let waiting = requests::ask(&database, settings.described(), wish).await?;
    let now = look(&database, settings, &waiting).await?;
    Ok(Asked {
        database,
        waiting,
        daemons: now.daemons,
    })
}

/// How it stands with a request.
struct Now {
    outcome: Outcome,
    daemons: i64,
}

async fn look(database: &Database, settings: &Settings, waiting: &Waiting) -> ledger::Result<Now> {
    let mut transaction = database.begin(Limits::READ).await?;
    let outcome = requests::outcome(&mut transaction, waiting.id).await?;
    let daemons = replicas::knowing(&mut transaction, &settings.described().key()).await?;
    transaction.commit().await?;
    Ok(Now { outcome, daemons })
}

fn tell(asked: &Asked, format: Format, heading: &Heading) -> anyhow::Result<Exit> {
    let (waiting, daemons) = (&asked.waiting, asked.daemons);
    match format {
        Format::Json => heading.json(json!({
            "request_id": waiting.id,
            "mode": waiting.mode,
            "asked_at": waiting.asked_at,
            "daemons": daemons,
        }))?,
        Format::Text => output::text(|out| {
            heading.text(out)?;
            writeln!(
                out,
                "asked for {}: request {}{}",
                kind(waiting.mode),
                waiting.id,
                match daemons {
                    0 => String::new(),
                    many => format!(", heard by {}", counted(many.unsigned_abs(), "daemon")),
                }
            )
        })?,
    }
    if daemons == 0 {
        eprintln!(
            "entra-sync: no daemon is there to hear it; the request stays for the next one that \
             starts (`entra-sync run`), or for the next `entra-sync sync`"
        );
    }
    Ok(Exit::Ok)
}

fn kind(mode: Mode) -> &'static str {
    match mode {
        Mode::Full => "a full pass",
        Mode::Incremental | Mode::Drift => "an incremental pass",
    }
}

async fn wait(
    asked: &Asked,
    settings: &Settings,
    format: Format,
    heading: &Heading,
) -> anyhow::Result<Exit> {
    let ended = tokio::select! {
        ended = until_ended(asked, settings) => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            bail!("no longer waiting; the request {} stays, and so does its pass", asked.waiting.id);
        }
    };
    if let Some(error) = &ended.error {
        eprintln!("entra-sync: {error}");
    }
    let exit = Exit::of_status(ended.status);
    match format {
        Format::Json => heading.json(ended.report)?,
        Format::Text => output::text(|out| {
            heading.text(out)?;
            text(&ended, out)
        })?,
    }
    Ok(exit)
}

fn text(ended: &Ended, out: &mut impl Write) -> io::Result<()> {
    match Report::from_json(&ended.report) {
        Some(report) => sync::text(&report, out),
        // Of another version.
        None => writeln!(out, "{}: run {}", ended.status.as_str(), ended.run),
    }
}

/// Waits for the end of the run that takes the request; as long as passes run,
/// be it of other sources, it may still get its turn.
async fn until_ended(asked: &Asked, settings: &Settings) -> anyhow::Result<Box<Ended>> {
    let patience = settings.schedule.lease * 2;
    let mut said = Said::default();
    let mut idle_since = None;
    loop {
        let now = look(&asked.database, settings, &asked.waiting).await?;
        match now.outcome {
            Outcome::Ended(ended) => return Ok(ended),
            Outcome::Running(run) => said.running(run),
            Outcome::BrokenOff(run) => bail!(
                "run {run}, which took the request, broke off: its process died; ask again, the \
                 next pass does what is left"
            ),
            Outcome::Unknown => bail!(
                "the request {} is gone from the ledger, and the source with it; ask again",
                asked.waiting.id
            ),
            Outcome::Waiting { somebody_passes } => {
                if somebody_passes {
                    idle_since = None;
                }
                let idle_since = *idle_since.get_or_insert_with(Instant::now);
                if now.daemons == 0 {
                    said.alone(patience);
                }
                if idle_since.elapsed() >= patience {
                    bail!("{}; the request stays", remedy(now.daemons));
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn remedy(daemons: i64) -> &'static str {
    match daemons {
        0 => {
            "no daemon is there to make the pass: start `entra-sync run`, or run `entra-sync sync`"
        }
        _ => {
            "a daemon is there and begins no pass: its log says why, and `entra-sync check` looks \
             for it"
        }
    }
}

/// What whoever waits has been told.
#[derive(Default)]
struct Said {
    alone: bool,
    running: Option<RunId>,
}

impl Said {
    fn running(&mut self, run: RunId) {
        if self.running.replace(run) != Some(run) {
            eprintln!("entra-sync: run {run} has begun");
        }
    }

    fn alone(&mut self, patience: Duration) {
        if !std::mem::replace(&mut self.alone, true) {
            eprintln!(
                "entra-sync: no daemon is there to hear it; waiting up to {} s for one",
                patience.as_secs()
            );
        }
    }
}
