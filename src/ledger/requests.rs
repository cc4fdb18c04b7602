//! Passes that somebody asks the daemon for, and which run took each request.
//!
//! Invariant: a request waits until a run takes it in the transaction that
//! writes the run down, under the lease: so exactly one run takes it, and that
//! run has read nothing yet. Who asks again while a request of theirs waits does
//! not make another one, so a burst cannot fill the table.
//! Must not: say anything about people but who asked; the notification that is
//! sent says nothing at all.

use chrono::{DateTime, Utc};
use diesel::sql_types::{
    Array, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::error::{Error, Result};
use super::lease::Lease;
use super::migrate::has_table;
use crate::db::{Database, Limits, QueryContext};
use crate::model::ids::{RequestId, RunId, SourceId};
use crate::model::report::{Mode, Status, Trigger};
use crate::model::source::Described;

/// What `LISTEN` has to name to hear of requests.
pub const CHANNEL: &str = "entra_sync";

/// How long after its lease has run out a run is taken for dead: a holder whose
/// database did not answer for a while may still renew it.
const BENEFIT_OF_DOUBT_SECONDS: f64 = 5.0;

/// Who asks for a pass through the ledger; of several who wait the first of these
/// gives the run its trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asker {
    /// `entra-sync resync`.
    CommandLine,
    /// The HTTP interface.
    Api,
    /// A Microsoft Graph change notification.
    Notification,
}

impl Asker {
    /// The word in reports and in the ledger.
    #[must_use]
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::CommandLine => Trigger::Resync,
            Self::Api => Trigger::Api,
            Self::Notification => Trigger::Notification,
        }
    }

    fn from_word(word: &str) -> Result<Self> {
        match Trigger::from_word(word) {
            Some(Trigger::Resync) => Ok(Self::CommandLine),
            Some(Trigger::Api) => Ok(Self::Api),
            Some(Trigger::Notification) => Ok(Self::Notification),
            _ => Err(Error::Foreign {
                place: "entra_sync.pass_request.trigger",
                value: word.to_owned(),
            }),
        }
    }
}

/// A pass that is wished for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// How it is to read; a full one is not had by an incremental pass.
    pub mode: Mode,
    /// Who asks.
    pub asker: Asker,
    /// The same in words, for people: an account and a host, or `api`.
    pub asked_by: &'a str,
}

/// A request that no run has taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// It alone.
    pub id: RequestId,
    /// How the pass is to read.
    pub mode: Mode,
    /// Who asks.
    pub asker: Asker,
    /// When it was last asked for, by the database's clock.
    pub asked_at: DateTime<Utc>,
}

/// Asks for a pass of this source and wakes whoever listens. It is for a pass
/// that begins after this; one that runs now does not count.
///
/// # Errors
/// [`Error::NoPassYet`] while the ledger does not know the source,
/// [`Error::NotMigrated`] while its schema is older than this.
pub async fn ask(database: &Database, source: Described<'_>, wish: Wish<'_>) -> Result<Waiting> {
    if !super::readable(database).await? {
        return Err(Error::NoPassYet);
    }
    let mut transaction = database.begin(Limits::WRITE).await?;
    let Some(source) = super::find_source(&mut transaction, source).await? else {
        return Err(Error::NoPassYet);
    };
    let waiting = record(&mut transaction, source, wish).await?;
    transaction.commit().await?;
    Ok(waiting)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    request_id: Uuid,
    #[diesel(sql_type = Text)]
    mode: String,
    #[diesel(sql_type = Text)]
    trigger: String,
    #[diesel(sql_type = Timestamptz)]
    asked_at: DateTime<Utc>,
}

impl TryFrom<Row> for Waiting {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: RequestId::new(row.request_id),
            mode: mode(&row.mode)?,
            asker: Asker::from_word(&row.trigger)?,
            asked_at: row.asked_at,
        })
    }
}

fn mode(word: &str) -> Result<Mode> {
    [Mode::Full, Mode::Incremental]
        .into_iter()
        .find(|mode| mode.as_str() == word)
        .ok_or_else(|| Error::Foreign {
            place: "entra_sync.pass_request.mode",
            value: word.to_owned(),
        })
}

async fn record(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    wish: Wish<'_>,
) -> Result<Waiting> {
    let row: Row = sql_query(
        "INSERT INTO entra_sync.pass_request \
           (request_id, source_id, mode, trigger, asked_by, asked_at) \
         VALUES ($1, $2, $3, $4, $5, clock_timestamp()) \
         ON CONFLICT (source_id, mode, trigger, asked_by) WHERE run_id IS NULL \
         DO UPDATE SET asked_at = EXCLUDED.asked_at \
         RETURNING request_id, mode, trigger, asked_at",
    )
    .bind::<SqlUuid, _>(Uuid::new_v4())
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(wish.mode.as_str())
    .bind::<Text, _>(wish.asker.trigger().as_str())
    .bind::<Text, _>(wish.asked_by)
    .get_result(connection)
    .await
    .doing("asking for a pass")?;
    sql_query("SELECT pg_notify($1, '')")
        .bind::<Text, _>(CHANNEL)
        .execute(connection)
        .await
        .doing("telling the daemons that a pass is asked for")?;
    row.try_into()
}

/// The requests for a pass of this source that no run has taken, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn waiting(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Vec<Waiting>> {
    let rows: Vec<Row> = sql_query(
        "SELECT request_id, mode, trigger, asked_at FROM entra_sync.pass_request \
         WHERE source_id = $1 AND run_id IS NULL ORDER BY asked_at, request_id",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading which passes are asked for")?;
    rows.into_iter().map(Waiting::try_from).collect()
}

/// Which of these sources, by their keys, somebody waits for. None while the
/// schema is older than this: the first pass brings it up to date.
///
/// # Errors
/// When the database fails.
pub async fn asked_for(connection: &mut AsyncPgConnection, keys: &[String]) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Text)]
        key: String,
    }
    if !is_there(connection).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<Key> = sql_query(
        "SELECT lower(s.tenant) || '/' || s.service_principal_id AS key \
         FROM entra_sync.source s \
         WHERE lower(s.tenant) || '/' || s.service_principal_id = ANY($1) \
           AND EXISTS (SELECT FROM entra_sync.pass_request q \
                       WHERE q.source_id = s.source_id AND q.run_id IS NULL)",
    )
    .bind::<Array<Text>, _>(keys)
    .load(connection)
    .await
    .doing("reading which passes are asked for")?;
    Ok(rows.into_iter().map(|row| row.key).collect())
}

async fn is_there(connection: &mut AsyncPgConnection) -> Result<bool> {
    has_table(connection, "pass_request").await
}

/// Gives this run, which begins, the requests that it serves; a full run serves
/// all. To be called in the fenced transaction that writes the run down.
///
/// # Errors
/// When the database fails.
pub async fn take(
    connection: &mut AsyncPgConnection,
    lease: Lease,
    run: RunId,
    mode: Mode,
) -> Result<()> {
    let served: &[&str] = match mode {
        Mode::Full => &[Mode::Full.as_str(), Mode::Incremental.as_str()],
        Mode::Incremental => &[Mode::Incremental.as_str()],
        // It asks Graph for nothing.
        Mode::Drift => return Ok(()),
    };
    sql_query(
        "UPDATE entra_sync.pass_request SET run_id = $2, taken_at = clock_timestamp() \
         WHERE source_id = $1 AND run_id IS NULL AND mode = ANY($3)",
    )
    .bind::<Integer, _>(lease.source.get())
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Array<Text>, _>(served)
    .execute(connection)
    .await
    .doing("taking the requests for this pass")?;
    Ok(())
}

/// What has become of a request.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// No run has taken it.
    Waiting {
        /// Whether a pass runs that began before, or one of another source.
        somebody_passes: bool,
    },
    /// This run took it and goes on.
    Running(RunId),
    /// This run took it and will never end: its process died.
    BrokenOff(RunId),
    /// The run that took it has ended.
    Ended(Box<Ended>),
    /// There is no such request; its source may have been deleted.
    Unknown,
}

/// How the run that took a request ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// Its last word.
    pub status: Status,
    /// The object that `sync --format json` prints.
    pub report: Value,
    /// Why it failed.
    pub error: Option<String>,
}

/// What has become of a request.
///
/// # Errors
/// When the database fails.
pub async fn outcome(connection: &mut AsyncPgConnection, id: RequestId) -> Result<Outcome> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Nullable<SqlUuid>)]
        run_id: Option<Uuid>,
        #[diesel(sql_type = Nullable<Text>)]
        status: Option<String>,
        #[diesel(sql_type = Nullable<Jsonb>)]
        report: Option<Value>,
        #[diesel(sql_type = Nullable<Text>)]
        error: Option<String>,
        #[diesel(sql_type = Bool)]
        busy: bool,
        #[diesel(sql_type = Bool)]
        over: bool,
    }
    let found: Option<Found> = sql_query(
        "SELECT q.run_id, r.status, r.report, r.error, \
                EXISTS (SELECT FROM entra_sync.lease WHERE expires_at > clock_timestamp()) AS busy, \
                coalesce(l.epoch > r.epoch OR l.expires_at + make_interval(secs => $2) \
                         < clock_timestamp(), false) AS over \
         FROM entra_sync.pass_request q \
         LEFT JOIN entra_sync.run r ON r.run_id = q.run_id \
         LEFT JOIN entra_sync.lease l ON l.source_id = q.source_id \
         WHERE q.request_id = $1",
    )
    .bind::<SqlUuid, _>(id.as_uuid())
    .bind::<Double, _>(BENEFIT_OF_DOUBT_SECONDS)
    .get_result(connection)
    .await
    .optional()
    .doing("looking what has become of the request")?;
    let Some(found) = found else {
        return Ok(Outcome::Unknown);
    };
    let Some(run) = found.run_id.map(RunId::new) else {
        return Ok(Outcome::Waiting {
            somebody_passes: found.busy,
        });
    };
    Ok(match (found.status, found.report) {
        (Some(status), Some(report)) => Outcome::Ended(Box::new(Ended {
            run,
            status: Status::from_word(&status).ok_or_else(|| Error::Foreign {
                place: "entra_sync.run.status",
                value: status,
            })?,
            report,
            error: found.error,
        })),
        _ if found.over => Outcome::BrokenOff(run),
        _ => Outcome::Running(run),
    })
}
