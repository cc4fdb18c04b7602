//! `entra-sync approve DIGEST` and `reject DIGEST`: what an operator says about
//! removals that the guard holds.

use std::io::Write;

use anyhow::bail;
use chrono::Utc;

use super::arguments::DecideArguments;
use super::{Exit, Format, output};
use crate::config::Loaded;
use crate::db::{Database, Limits};
use crate::ledger;
use crate::ledger::held::{self, Decision};
use crate::plan::printable;

/// Records the decision; the next complete pass acts on it.
pub(super) async fn run(
    command: &DecideArguments,
    decision: Decision,
    format: Format,
    loaded: Loaded,
) -> anyhow::Result<Exit> {
    let database = Database::new(&loaded.settings.litellm.database)?;
    let entra = &loaded.settings.entra;
    let mut transaction = database.begin(Limits::WRITE).await?;
    let source =
        ledger::find_source(&mut transaction, &entra.tenant, entra.service_principal_id).await?;
    let decided = match source {
        Some(source) => {
            let (who, now) = (operator(), Utc::now());
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

/// Who decides, for the record: the account on this machine.
pub(super) fn operator() -> String {
    let account = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    account.unwrap_or_else(|| "unknown account".to_owned())
}
