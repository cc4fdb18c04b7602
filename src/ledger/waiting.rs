//! Removals within their grace time, or past it and not applied yet.
//!
//! Invariant: a wait ends with the transaction that applies the removal, or
//! with a complete pass that does not plan it; one that could not be written
//! does not wait anew.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Integer, Text, Timestamptz};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::Result;
use crate::db::QueryContext;
use crate::model::ids::SourceId;

/// Since when removals wait, by key.
pub(super) async fn load(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<String, DateTime<Utc>>> {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = Timestamptz)]
        since: DateTime<Utc>,
    }
    let waiting: Vec<Waiting> =
        sql_query("SELECT key, since FROM entra_sync.waiting_removal WHERE source_id = $1")
            .bind::<Integer, _>(source.get())
            .load(connection)
            .await
            .doing("reading waiting removals")?;
    Ok(waiting
        .into_iter()
        .map(|row| (row.key, row.since))
        .collect())
}

/// Begins waits, and ends all others but those of `due`.
pub(super) async fn note(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    now: DateTime<Utc>,
    waiting: &[String],
    due: &[String],
) -> Result<()> {
    sql_query(
        "DELETE FROM entra_sync.waiting_removal \
         WHERE source_id = $1 AND NOT key = ANY($2) AND NOT key = ANY($3)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<Text>, _>(waiting)
    .bind::<Array<Text>, _>(due)
    .execute(connection)
    .await
    .doing("ending waits")?;
    sql_query(
        "INSERT INTO entra_sync.waiting_removal (source_id, key, since) \
         SELECT $1, key, $3 FROM unnest($2::text[]) AS n (key) ON CONFLICT DO NOTHING",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<Text>, _>(waiting)
    .bind::<Timestamptz, _>(now)
    .execute(connection)
    .await
    .doing("recording waits")?;
    Ok(())
}

/// Ends the waits of what is applied.
///
/// # Errors
/// When the database fails.
pub async fn end(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    applied: &[String],
) -> Result<()> {
    sql_query("DELETE FROM entra_sync.waiting_removal WHERE source_id = $1 AND key = ANY($2)")
        .bind::<Integer, _>(source.get())
        .bind::<Array<Text>, _>(applied)
        .execute(connection)
        .await
        .doing("ending the waits of what was applied")?;
    Ok(())
}
