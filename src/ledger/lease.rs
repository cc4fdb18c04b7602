//! Who may write for a source: a row with an epoch, not a session lock.
//!
//! Invariant: every writing transaction reads the lease's epoch under a row
//! lock that a takeover conflicts with, and a lease that has run out is never
//! prolonged. So a holder that was paused past its time can write nothing,
//! whether somebody took over or not, and a takeover waits for a transaction in
//! flight. No epoch comes twice, also when the row was deleted meanwhile. Works through a transaction-mode pooler, with a pool
//! of one, and trusts only the database's clock.

use std::time::Duration;

use diesel::sql_types::{BigInt, Bool, Double, Integer, Text};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use crate::db::{Database, Limits, QueryContext};
use crate::model::ids::SourceId;

/// A lease that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// For which source.
    pub source: SourceId,
    /// Fencing number: raised by every takeover. A row that is made begins with
    /// milliseconds since 1970, beyond what one before it can have come to.
    pub epoch: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = Bool)]
    expired: bool,
    #[diesel(sql_type = BigInt)]
    remaining_seconds: i64,
}

const SELECT: &str = "SELECT epoch, holder, expires_at <= clock_timestamp() AS expired, \
     ceil(extract(epoch FROM expires_at - clock_timestamp()))::bigint AS remaining_seconds \
     FROM entra_sync.lease WHERE source_id = $1";

/// Takes the lease if nobody holds it.
///
/// # Errors
/// [`Error::LeaseHeld`] names who does.
pub async fn acquire(
    database: &Database,
    source: SourceId,
    holder: &str,
    life: Duration,
) -> Result<Lease> {
    let mut transaction = database.begin(Limits::WRITE).await?;
    sql_query(
        "INSERT INTO entra_sync.lease (source_id, epoch, holder, expires_at) \
         VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, '', 'epoch') \
         ON CONFLICT (source_id) DO NOTHING",
    )
    .bind::<Integer, _>(source.get())
    .execute(&mut *transaction)
    .await
    .doing("preparing the lease")?;
    // Look before locking: a lease in use must not make us wait for its holder.
    let seen = read(&mut transaction, source, SELECT).await?;
    refuse_if_held(seen.as_ref())?;
    // FOR UPDATE conflicts with the writers' FOR KEY SHARE: a takeover waits
    // until no transaction of the old holder is in flight.
    let locked = read(&mut transaction, source, &format!("{SELECT} FOR UPDATE")).await;
    let locked = match (locked, seen) {
        // A holder that was stopped in the middle of a transaction.
        (Err(Error::Database(error)), Some(seen)) if error.is_lock_timeout() => {
            return Err(Error::LeaseBusy {
                holder: seen.holder,
            });
        }
        (locked, _) => locked?,
    };
    refuse_if_held(locked.as_ref())?;
    let epoch = locked.map_or(1, |row| row.epoch + 1);
    sql_query(
        "UPDATE entra_sync.lease SET epoch = $2, holder = $3, \
         expires_at = clock_timestamp() + make_interval(secs => $4) WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .bind::<BigInt, _>(epoch)
    .bind::<Text, _>(holder)
    .bind::<Double, _>(life.as_secs_f64())
    .execute(&mut *transaction)
    .await
    .doing("taking the lease")?;
    transaction.commit().await?;
    Ok(Lease { source, epoch })
}

fn refuse_if_held(row: Option<&Row>) -> Result<()> {
    match row {
        Some(row) if !row.expired => Err(Error::LeaseHeld {
            holder: row.holder.clone(),
            remaining_seconds: row.remaining_seconds,
        }),
        _ => Ok(()),
    }
}

async fn read(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    sql: &str,
) -> Result<Option<Row>> {
    Ok(sql_query(sql)
        .bind::<Integer, _>(source.get())
        .get_result(connection)
        .await
        .optional()
        .doing("reading the lease")?)
}

/// Who holds the lease now, with the seconds left; `None` when it is free.
///
/// # Errors
/// When the database fails.
pub async fn holder(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<Option<(String, i64)>> {
    let row = read(connection, source, SELECT).await?;
    Ok(row
        .filter(|row| !row.expired)
        .map(|row| (row.holder, row.remaining_seconds)))
}

/// Prolongs the lease while it is still ours.
///
/// # Errors
/// [`Error::LeaseLost`] when somebody took over, [`Error::LeaseRanOut`] when
/// nobody did and it is too late all the same.
pub async fn renew(database: &Database, lease: Lease, life: Duration) -> Result<()> {
    let mut transaction = database.begin(Limits::WRITE).await?;
    let renewed = sql_query(
        "UPDATE entra_sync.lease SET expires_at = clock_timestamp() + make_interval(secs => $3) \
         WHERE source_id = $1 AND epoch = $2 AND expires_at > clock_timestamp()",
    )
    .bind::<Integer, _>(lease.source.get())
    .bind::<BigInt, _>(lease.epoch)
    .bind::<Double, _>(life.as_secs_f64())
    .execute(&mut *transaction)
    .await
    .doing("renewing the lease")?;
    let now = read(&mut transaction, lease.source, SELECT).await?;
    transaction.commit().await?;
    match now {
        _ if renewed == 1 => Ok(()),
        row => still_ours(lease, row.as_ref()),
    }
}

/// What keeps the holder of this lease from writing.
fn still_ours(lease: Lease, row: Option<&Row>) -> Result<()> {
    let epoch = lease.epoch;
    match row.filter(|row| row.epoch == epoch) {
        None => Err(Error::LeaseLost { epoch }),
        Some(row) if row.expired => Err(Error::LeaseRanOut { epoch }),
        Some(_) => Ok(()),
    }
}

/// Gives the lease back, so that the next holder need not wait it out.
///
/// # Errors
/// When the database fails; the lease then expires by itself.
pub async fn release(database: &Database, lease: Lease) -> Result<()> {
    let mut transaction = database.begin(Limits::WRITE).await?;
    sql_query(
        "UPDATE entra_sync.lease SET expires_at = clock_timestamp() \
         WHERE source_id = $1 AND epoch = $2",
    )
    .bind::<Integer, _>(lease.source.get())
    .bind::<BigInt, _>(lease.epoch)
    .execute(&mut *transaction)
    .await
    .doing("releasing the lease")?;
    transaction.commit().await?;
    Ok(())
}

/// Makes this transaction one that only the present holder can commit.
///
/// The row lock is FOR KEY SHARE: our own renewal, on another connection, does
/// not wait for it, a takeover does.
///
/// # Errors
/// [`Error::LeaseLost`] when the epoch is no longer ours,
/// [`Error::LeaseRanOut`] when it is, too late, and [`Error::LeaseLocked`] when
/// somebody does not let go of the row.
pub async fn fence(connection: &mut AsyncPgConnection, lease: Lease) -> Result<()> {
    let held: Option<Row> = sql_query(format!("{SELECT} AND epoch = $2 FOR KEY SHARE"))
        .bind::<Integer, _>(lease.source.get())
        .bind::<BigInt, _>(lease.epoch)
        .get_result(connection)
        .await
        .optional()
        .doing("checking the lease")
        .map_err(|error| match error {
            error if error.is_lock_timeout() => Error::LeaseLocked(error),
            error => error.into(),
        })?;
    still_ours(lease, held.as_ref())
}
