//! `entra-sync migrate`: our own schema, brought to this version.

use std::io::Write;

use serde_json::json;

use super::{Exit, Format, output};
use crate::config::Loaded;
use crate::db::Limits;
use crate::sync::open_database;
use crate::{ledger, litellm};

/// Applies what is pending and says so.
pub(super) async fn run(format: Format, loaded: Loaded) -> anyhow::Result<Exit> {
    let database = open_database(&loaded.settings)?;
    let mut transaction = database.begin(Limits::READ).await?;
    litellm::probe(&mut transaction, &loaded.settings.litellm.database.schema).await?;
    transaction.commit().await?;
    let migrated = ledger::migrate(&database).await?;
    match format {
        Format::Json => output::json(&json!({ "applied": migrated.applied }))?,
        Format::Text => output::text(|out| {
            if migrated.applied.is_empty() {
                return writeln!(out, "Schema entra_sync is at the newest version.");
            }
            writeln!(out, "Applied to schema entra_sync:")?;
            migrated
                .applied
                .iter()
                .try_for_each(|version| writeln!(out, "  {version}"))
        })?,
    }
    Ok(Exit::Ok)
}
