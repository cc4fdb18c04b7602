//! Which daemons run now, so that they can share the sources out.
//!
//! Invariant: time is the database's. A row says only who is there; who may
//! write for a source, its lease says, so a row that is wrong costs no more
//! than a wait.
//! Must not: decide whose a source is.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Double, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::Result;
use super::migrate::has_table;
use crate::db::QueryContext;

/// A row of a daemon that ended without a word is deleted after so many lives.
const REMEMBERED: f64 = 20.0;

/// A daemon that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// It alone.
    pub id: Uuid,
    /// The sources that its settings name.
    pub sources: Vec<String>,
    /// How long it counts as running unless it says so again.
    pub remaining: Duration,
}

/// What a daemon says of itself.
#[derive(Debug, Clone, Copy)]
pub struct SignOfLife<'a> {
    /// It alone.
    pub id: Uuid,
    /// Host and process, for people.
    pub host: &'a str,
    /// The sources that its settings name.
    pub sources: &'a [String],
    /// How long this holds.
    pub life: Duration,
}

/// Says that a daemon is there, and gives all that are. `None` while the schema
/// is older than this: the first pass brings it up to date.
///
/// # Errors
/// When the database fails.
pub async fn beat(
    connection: &mut AsyncPgConnection,
    sign: SignOfLife<'_>,
) -> Result<Option<Vec<Replica>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        replica_id: Uuid,
        #[diesel(sql_type = Array<Text>)]
        sources: Vec<String>,
        #[diesel(sql_type = Double)]
        remaining: f64,
    }
    if !has_table(connection, "replica").await? {
        return Ok(None);
    }
    sql_query(
        "INSERT INTO entra_sync.replica (replica_id, host, sources, expires_at) \
         VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) \
         ON CONFLICT (replica_id) DO UPDATE \
         SET sources = EXCLUDED.sources, expires_at = EXCLUDED.expires_at",
    )
    .bind::<SqlUuid, _>(sign.id)
    .bind::<Text, _>(sign.host)
    .bind::<Array<Text>, _>(sign.sources)
    .bind::<Double, _>(sign.life.as_secs_f64())
    .execute(connection)
    .await
    .doing("saying that this replica is there")?;
    sql_query(
        "DELETE FROM entra_sync.replica \
         WHERE expires_at < clock_timestamp() - make_interval(secs => $1)",
    )
    .bind::<Double, _>(sign.life.as_secs_f64() * REMEMBERED)
    .execute(connection)
    .await
    .doing("forgetting replicas that are gone")?;
    let rows: Vec<Row> = sql_query(
        "SELECT replica_id, sources, \
                extract(epoch FROM expires_at - clock_timestamp())::float8 AS remaining \
         FROM entra_sync.replica WHERE expires_at > clock_timestamp() ORDER BY replica_id",
    )
    .load(connection)
    .await
    .doing("reading which replicas are there")?;
    let replicas = rows.into_iter().map(|row| Replica {
        id: row.replica_id,
        sources: row.sources,
        remaining: Duration::try_from_secs_f64(row.remaining).unwrap_or_default(),
    });
    Ok(Some(replicas.collect()))
}

/// How many daemons are there whose settings name this source, by its key.
///
/// # Errors
/// When the database fails.
pub async fn knowing(connection: &mut AsyncPgConnection, key: &str) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        daemons: i64,
    }
    let counted: Counted = sql_query(
        "SELECT count(*) AS daemons FROM entra_sync.replica \
         WHERE $1 = ANY(sources) AND expires_at > clock_timestamp()",
    )
    .bind::<Text, _>(key)
    .get_result(connection)
    .await
    .doing("looking for daemons")?;
    Ok(counted.daemons)
}

/// Takes the row of a daemon that ends away, so that the others need not wait.
///
/// # Errors
/// When the database fails; the row then expires by itself.
pub async fn leave(connection: &mut AsyncPgConnection, id: Uuid) -> Result<()> {
    sql_query("DELETE FROM entra_sync.replica WHERE replica_id = $1")
        .bind::<SqlUuid, _>(id)
        .execute(connection)
        .await
        .doing("saying that this replica ends")?;
    Ok(())
}
