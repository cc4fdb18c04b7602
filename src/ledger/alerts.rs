//! What keeps a source from its passes, and since when: one row for each kind.
//!
//! Invariant: a row stays when its alert closes, so that it tells when; the next
//! failure of that kind begins it anew.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use crate::db::QueryContext;
use crate::model::ids::SourceId;
use crate::model::quarantine::{Failing, Stage, Standing, Trouble};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    stage: String,
    #[diesel(sql_type = BigInt)]
    failures: i64,
    #[diesel(sql_type = Timestamptz)]
    since: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    last_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    next_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    opened_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    left_out_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    closed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Text)]
    error: String,
    #[diesel(sql_type = Text)]
    message: String,
}

impl TryFrom<Row> for Failing {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let foreign = |place, value| Error::Foreign { place, value };
        Ok(Self {
            trouble: Trouble::from_word(&row.kind)
                .ok_or_else(|| foreign("alert.kind", row.kind))?,
            stage: Stage::from_word(&row.stage).ok_or_else(|| foreign("alert.stage", row.stage))?,
            failures: u32::try_from(row.failures).unwrap_or(u32::MAX),
            since: row.since,
            last_at: row.last_at,
            next_at: row.next_at,
            opened_at: row.opened_at,
            left_out_at: row.left_out_at,
            closed_at: row.closed_at,
            error: row.error,
            message: row.message,
        })
    }
}

/// Everything that fails, or last failed, at this source.
///
/// # Errors
/// When the database fails, or a newer version wrote it.
pub async fn load(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Standing> {
    let rows: Vec<Row> = sql_query(
        "SELECT kind, stage, failures, since, last_at, next_at, opened_at, closed_at, error, \
         message, left_out_at FROM entra_sync.alert WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading alerts")?;
    rows.into_iter()
        .map(Failing::try_from)
        .collect::<Result<Vec<_>>>()
        .map(Standing::of)
}

/// Keeps this in the place of what was known of the same kind.
///
/// # Errors
/// When the database fails.
pub async fn record(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    failing: &Failing,
) -> Result<()> {
    sql_query(
        "INSERT INTO entra_sync.alert (source_id, kind, stage, failures, since, last_at, next_at, \
            opened_at, closed_at, error, message, left_out_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (source_id, kind) DO UPDATE SET stage = excluded.stage, \
            failures = excluded.failures, since = excluded.since, last_at = excluded.last_at, \
            next_at = excluded.next_at, opened_at = excluded.opened_at, \
            closed_at = excluded.closed_at, error = excluded.error, message = excluded.message, \
            left_out_at = excluded.left_out_at",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(failing.trouble.as_str())
    .bind::<Text, _>(failing.stage.as_str())
    .bind::<BigInt, _>(i64::from(failing.failures))
    .bind::<Timestamptz, _>(failing.since)
    .bind::<Timestamptz, _>(failing.last_at)
    .bind::<Timestamptz, _>(failing.next_at)
    .bind::<Nullable<Timestamptz>, _>(failing.opened_at)
    .bind::<Nullable<Timestamptz>, _>(failing.closed_at)
    .bind::<Text, _>(&failing.error)
    .bind::<Text, _>(&failing.message)
    .bind::<Nullable<Timestamptz>, _>(failing.left_out_at)
    .execute(connection)
    .await
    .doing("recording an alert")?;
    Ok(())
}
