//! Subscriptions to Graph's change notifications: which there are, and how a
//! notification is known to be Graph's.
//!
//! Invariant: of each source and of each thing watched there is one at most. Of
//! the secret that Graph repeats only the digest is kept.
//! Must not: decide when to make or prolong one.

use std::time::Duration;

use diesel::sql_types::{Array, Binary, Bool, Double, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::Result;
use super::migrate::has_table;
use crate::db::QueryContext;
use crate::model::ids::SourceId;

/// A subscription of a source.
#[derive(Debug, Clone, QueryableByName)]
pub struct Kept {
    /// Its id, as Graph gave it.
    #[diesel(sql_type = SqlUuid)]
    pub subscription_id: Uuid,
    /// `groups` or `users`.
    #[diesel(sql_type = Text)]
    pub watched: String,
    /// Where Graph posts.
    #[diesel(sql_type = Text)]
    pub url: String,
    /// Whether it is time to prolong it.
    #[diesel(sql_type = Bool)]
    pub due: bool,
}

/// What proves that a notification is Graph's.
#[derive(Debug, Clone, QueryableByName)]
pub struct Proof {
    /// The subscription.
    #[diesel(sql_type = SqlUuid)]
    pub subscription_id: Uuid,
    /// Whose it is: [`crate::model::source::Described::key`].
    #[diesel(sql_type = Text)]
    pub source: String,
    /// SHA-256 of the secret.
    #[diesel(sql_type = Binary)]
    pub state_digest: Vec<u8>,
}

/// Whether a new subscription is the only one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is.
    Only,
    /// Another process made one meanwhile: this one is to be ended.
    OneTooMany,
    /// Another one has its id: nothing is known of it.
    SameId,
}

/// A subscription that has just been made.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// Its id, as Graph gave it.
    pub subscription_id: Uuid,
    /// `groups` or `users`.
    pub watched: &'a str,
    /// Where Graph posts.
    pub url: &'a str,
    /// SHA-256 of the secret.
    pub state_digest: &'a [u8; 32],
    /// When it is to be prolonged.
    pub tend_in: Duration,
}

/// Whether the schema has the table yet: the first pass makes it.
///
/// # Errors
/// When the database fails.
pub async fn are_kept(connection: &mut AsyncPgConnection) -> Result<bool> {
    has_table(connection, "subscription").await
}

/// The subscriptions of a source.
///
/// # Errors
/// When the database fails.
pub async fn of(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Vec<Kept>> {
    Ok(sql_query(
        "SELECT subscription_id, watched, url, tend_at <= clock_timestamp() AS due \
         FROM entra_sync.subscription WHERE source_id = $1 ORDER BY watched",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading the subscriptions")?)
}

/// What proves notifications of these sources, by their keys.
///
/// # Errors
/// When the database fails.
pub async fn proofs(connection: &mut AsyncPgConnection, sources: &[String]) -> Result<Vec<Proof>> {
    Ok(sql_query(
        "SELECT subscription_id, key AS source, state_digest FROM entra_sync.subscription q \
         JOIN entra_sync.source s ON s.source_id = q.source_id, \
         LATERAL (SELECT lower(s.tenant) || '/' || s.service_principal_id AS key) AS k \
         WHERE key = ANY($1)",
    )
    .bind::<Array<Text>, _>(sources)
    .load(connection)
    .await
    .doing("reading what proves notifications")?)
}

/// Keeps a new subscription, unless there is one of its kind.
///
/// # Errors
/// When the database fails.
pub async fn record(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    new: New<'_>,
) -> Result<Registered> {
    let kept = sql_query(
        "INSERT INTO entra_sync.subscription \
           (subscription_id, source_id, watched, url, state_digest, tend_at) \
         VALUES ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6)) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<SqlUuid, _>(new.subscription_id)
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(new.watched)
    .bind::<Text, _>(new.url)
    .bind::<Binary, _>(new.state_digest.as_slice())
    .bind::<Double, _>(new.tend_in.as_secs_f64())
    .execute(connection)
    .await
    .doing("keeping a subscription")?;
    if kept > 0 {
        return Ok(Registered::Only);
    }
    let same = sql_query("SELECT FROM entra_sync.subscription WHERE subscription_id = $1")
        .bind::<SqlUuid, _>(new.subscription_id)
        .execute(connection)
        .await
        .doing("looking for a subscription with the id of another")?;
    Ok(match same {
        0 => Registered::OneTooMany,
        _ => Registered::SameId,
    })
}

/// It was prolonged, or is to be prolonged: next time after this.
///
/// # Errors
/// When the database fails.
pub async fn tend(
    connection: &mut AsyncPgConnection,
    subscription: Uuid,
    after: Duration,
) -> Result<()> {
    sql_query(
        "UPDATE entra_sync.subscription \
         SET tend_at = clock_timestamp() + make_interval(secs => $2) WHERE subscription_id = $1",
    )
    .bind::<SqlUuid, _>(subscription)
    .bind::<Double, _>(after.as_secs_f64())
    .execute(connection)
    .await
    .doing("noting when to prolong a subscription")?;
    Ok(())
}

/// It is no more.
///
/// # Errors
/// When the database fails.
pub async fn forget(connection: &mut AsyncPgConnection, subscription: Uuid) -> Result<()> {
    sql_query("DELETE FROM entra_sync.subscription WHERE subscription_id = $1")
        .bind::<SqlUuid, _>(subscription)
        .execute(connection)
        .await
        .doing("forgetting a subscription")?;
    Ok(())
}
