//! `entra-sync approve DIGEST` and `reject DIGEST`: what an operator says about
//! removals that the guard holds.

use std::io::Write;

use anyhow::{Context, bail};
use chrono::Utc;

use super::arguments::DecideArguments;
use super::sources::Misuse;
use super::{Exit, Format, output};
use crate::config::Settings;
use crate::db::Limits;
use crate::ledger;
use crate::ledger::held::{self, Decision};
use crate::plan::printable;
use crate::sync::open_database;

/// Records the decision; the next complete pass acts on it.
pub(super) async fn run(
    command: &DecideArguments,
    decision: Decision,
    format: Format,
    chosen: Vec<Settings>,
) -> anyhow::Result<Exit> {
    let settings = whose(command, decision, &chosen).await?;
    let database = open_database(settings)?;
    if !ledger::readable(&database).await? {
        bail!("nothing is held: no pass has run on this database yet");
    }
    let mut transaction = database.begin(Limits::WRITE).await?;
    let source = ledger::find_source(&mut transaction, settings.described()).await?;
    let decided = match source {
        Some(source) => {
            let (who, now) = (command.operator.operator(), Utc::now());
            held::decide(
                &mut transaction,
                source,
                &command.digest,
                decision,
                &who,
                now,
            )
            .await?
        }
        None => None,
    };
    transaction.commit().await?;
    let Some(decided) = decided else {
        bail!(
            "no set of held removals, or more than one, has a digest that begins with {}; \
             `entra-sync status` shows what is held",
            printable(&command.digest)
        );
    };
    match format {
        Format::Json => output::json(&decided)?,
        Format::Text => output::text(|out| {
            let what = match decision {
                Decision::Approve => {
                    "are released: the next complete pass applies those it still plans"
                }
                Decision::Reject => "stay unapplied while they are planned",
            };
            writeln!(out, "{} removals {what}.", decided.items.len())?;
            decided
                .items
                .iter()
                .try_for_each(|item| writeln!(out, "  {}", printable(item)))
        })?,
    }
    Ok(Exit::Ok)
}

/// The source whose set has this digest; any of them if none has.
async fn whose<'s>(
    command: &DecideArguments,
    decision: Decision,
    chosen: &'s [Settings],
) -> anyhow::Result<&'s Settings> {
    let first = chosen.first().context("the settings have no source")?;
    if chosen.len() == 1 {
        return Ok(first);
    }
    let database = open_database(first)?;
    if !ledger::readable(&database).await? {
        return Ok(first);
    }
    let mut found = Vec::new();
    let mut transaction = database.begin(Limits::READ).await?;
    for settings in chosen {
        let source = ledger::find_source(&mut transaction, settings.described()).await?;
        let sets = match source {
            Some(source) => held::open(&mut transaction, source).await?,
            None => Vec::new(),
        };
        if sets
            .iter()
            .any(|set| set.digest.starts_with(&command.digest))
        {
            found.push(settings);
        }
    }
    transaction.commit().await?;
    match found.as_slice() {
        [] => Ok(first),
        [only] => Ok(only),
        _ => {
            let what = match decision {
                Decision::Approve => "approve",
                Decision::Reject => "reject",
            };
            Err(Misuse::which(&format!("`{what} {}`", command.digest), chosen).into())
        }
    }
}
