//! One row for every pass: who asked, how it ended, what it reported.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{
    Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;

use super::error::Result;
use super::lease::Lease;
use crate::db::QueryContext;
use crate::model::ids::{RunId, SourceId};
use crate::model::report::{Mode, Status, Trigger};

/// A pass as the ledger keeps it.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// Who asked for it.
    pub trigger: String,
    /// `full` or `incremental`.
    pub mode: String,
    /// `None` while it runs, or when its process died.
    pub status: Option<String>,
    /// UTC.
    pub started_at: DateTime<Utc>,
    /// UTC.
    pub finished_at: Option<DateTime<Utc>>,
    /// The object that `sync --format json` printed.
    pub report: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whose requests it took: `account@host`, `api`; nobody's where the daemon's
    /// own schedule, a signal or `sync` made it run.
    pub asked_by: Vec<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    run_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    trigger: String,
    #[diesel(sql_type = Text)]
    mode: String,
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    started_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    finished_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    report: Option<Value>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    asked_by: Vec<String>,
}

impl From<Row> for Run {
    fn from(row: Row) -> Self {
        Self {
            run_id: RunId::new(row.run_id),
            trigger: row.trigger,
            mode: row.mode,
            status: row.status,
            started_at: row.started_at,
            finished_at: row.finished_at,
            report: row.report,
            error: row.error,
            asked_by: row.asked_by,
        }
    }
}

const COLUMNS: &str = "SELECT run_id, trigger, mode, status, started_at, finished_at, report, error, \
     ARRAY(SELECT DISTINCT q.asked_by FROM entra_sync.pass_request q \
           WHERE q.run_id = run.run_id ORDER BY 1) AS asked_by \
     FROM entra_sync.run";

/// Records that a pass began.
///
/// # Errors
/// When the database fails.
pub async fn start(
    connection: &mut AsyncPgConnection,
    lease: Lease,
    run: RunId,
    trigger: Trigger,
    mode: Mode,
    now: DateTime<Utc>,
) -> Result<()> {
    sql_query(
        "INSERT INTO entra_sync.run (run_id, source_id, epoch, trigger, mode, started_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Integer, _>(lease.source.get())
    .bind::<BigInt, _>(lease.epoch)
    .bind::<Text, _>(trigger.as_str())
    .bind::<Text, _>(mode.as_str())
    .bind::<Timestamptz, _>(now)
    .execute(connection)
    .await
    .doing("recording the start of the run")?;
    Ok(())
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// Its last word.
    pub status: Status,
    /// How it read, which may be otherwise than was asked for.
    pub mode: Mode,
    /// UTC.
    pub finished_at: DateTime<Utc>,
    /// Over the plan's items.
    pub plan_digest: Option<&'a str>,
    /// The object that is printed.
    pub report: &'a Value,
    /// Why it failed.
    pub error: Option<&'a str>,
}

/// Records how a pass ended.
///
/// # Errors
/// When the database fails.
pub async fn finish(
    connection: &mut AsyncPgConnection,
    run: RunId,
    outcome: Outcome<'_>,
) -> Result<()> {
    sql_query(
        "UPDATE entra_sync.run SET status = $2, finished_at = $3, plan_digest = $4, report = $5, \
         error = $6, mode = $7 WHERE run_id = $1",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Text, _>(outcome.status.as_str())
    .bind::<Timestamptz, _>(outcome.finished_at)
    .bind::<Nullable<Text>, _>(outcome.plan_digest)
    .bind::<Jsonb, _>(outcome.report)
    .bind::<Nullable<Text>, _>(outcome.error)
    .bind::<Text, _>(outcome.mode.as_str())
    .execute(connection)
    .await
    .doing("recording the end of the run")?;
    Ok(())
}

/// The newest runs of a source, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    limit: i64,
) -> Result<Vec<Run>> {
    let rows: Vec<Row> = sql_query(format!(
        "{COLUMNS} WHERE source_id = $1 ORDER BY started_at DESC LIMIT $2"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<BigInt, _>(limit)
    .load(connection)
    .await
    .doing("reading the history")?;
    Ok(rows.into_iter().map(Run::from).collect())
}

/// The runs whose id begins with this text; several when it is ambiguous.
///
/// # Errors
/// When the database fails.
pub async fn find(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    id_prefix: &str,
) -> Result<Vec<Run>> {
    let rows: Vec<Row> = sql_query(format!(
        "{COLUMNS} WHERE source_id = $1 AND starts_with(run_id::text, lower($2)) \
         ORDER BY started_at DESC LIMIT 3"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(id_prefix)
    .load(connection)
    .await
    .doing("looking for the run")?;
    Ok(rows.into_iter().map(Run::from).collect())
}

/// The newest run that ended well (`succeeded`, `unchanged` or `held`).
///
/// # Errors
/// When the database fails.
pub async fn last_success(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<Option<Run>> {
    let row: Option<Row> = sql_query(format!(
        "{COLUMNS} WHERE source_id = $1 AND status IN ('succeeded', 'unchanged', 'held') \
         ORDER BY started_at DESC LIMIT 1"
    ))
    .bind::<Integer, _>(source.get())
    .get_result(connection)
    .await
    .optional()
    .doing("looking for the last successful run")?;
    Ok(row.map(Run::from))
}

/// Whether a daemon made a pass to its end that began at this time or later and
/// was no less than this. What somebody ran by hand may have been about some
/// objects only.
///
/// # Errors
/// When the database fails.
pub async fn is_made(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    since: DateTime<Utc>,
    mode: Mode,
) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Made {
        #[diesel(sql_type = Bool)]
        made: bool,
    }
    let found: Made = sql_query(
        "SELECT EXISTS (SELECT FROM entra_sync.run \
         WHERE source_id = $1 AND started_at >= $2 AND status IS NOT NULL AND trigger <> $3 \
           AND (mode = $4 OR $4 <> $5)) AS made",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Timestamptz, _>(since)
    .bind::<Text, _>(Trigger::Cli.as_str())
    .bind::<Text, _>(Mode::Full.as_str())
    .bind::<Text, _>(mode.as_str())
    .get_result(connection)
    .await
    .doing("looking for passes of other instances")?;
    Ok(found.made)
}

/// Deletes runs that began longer ago than this by the database's clock, with
/// their changes, the requests and the copies of what they took; also those whose process
/// died and that never ended. Never this run, whatever clocks say: what it took
/// is to be had back.
///
/// # Errors
/// When the database fails.
pub async fn prune(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    keep: Duration,
    run: RunId,
) -> Result<usize> {
    Ok(sql_query(
        "DELETE FROM entra_sync.run \
         WHERE source_id = $1 AND started_at < now() - make_interval(secs => $2) \
           AND run_id <> $3",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Double, _>(keep.as_secs_f64())
    .bind::<SqlUuid, _>(run.as_uuid())
    .execute(connection)
    .await
    .doing("pruning the history")?)
}
