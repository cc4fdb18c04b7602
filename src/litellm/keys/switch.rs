//! Blocking keys with SCIM's marker, and taking it back (litellm-contract 2h).
//!
//! Invariant: a key that somebody else blocked is never unblocked.

use std::collections::HashMap;

use diesel::sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Token;
use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::litellm::writing::Writing;

/// A key whose `blocked` was changed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SwitchedKey {
    /// `token`.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// `user_id`.
    #[diesel(sql_type = Text)]
    pub user: String,
}

/// How a key was that we blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBlock {
    /// `token`.
    pub token: String,
    /// `blocked`: false or NULL.
    pub blocked: Option<bool>,
    /// Of its `metadata` the marker, if it had one; all of it if it was no
    /// object.
    pub metadata: Value,
}

/// Keys whose `blocked` is NULL are not blocked (litellm-contract 2h).
const BLOCK: &str = "UPDATE \"LiteLLM_VerificationToken\" k SET blocked = true, \
        metadata = CASE WHEN jsonb_typeof(k.metadata) = 'object' THEN k.metadata \
                        ELSE '{}'::jsonb END || '{\"scim_blocked\": true}'::jsonb, \
        updated_at = $2 \
     WHERE k.token = ANY($1) AND k.blocked IS NOT TRUE RETURNING k.token, k.user_id AS \"user\"";

/// Only with the marker: what an administrator blocked stays blocked.
const UNBLOCK: &str = "UPDATE \"LiteLLM_VerificationToken\" k SET blocked = false, \
        metadata = k.metadata - 'scim_blocked', updated_at = $2 \
     WHERE k.token = ANY($1) AND k.blocked AND jsonb_typeof(k.metadata) = 'object' \
       AND k.metadata -> 'scim_blocked' = 'true'::jsonb \
     RETURNING k.token, k.user_id AS \"user\"";

/// LiteLLM's deletion of a team locks keys first and the rows of their users
/// then (litellm-contract 2g); who switches a user's keys has the user's row
/// already, and no order of locks suits LiteLLM's other writers too. So that the
/// two never wait for each other until PostgreSQL ends one of them, which may be
/// LiteLLM's, we give up long before it looks (`deadlock_timeout`, 1 s), and
/// come again.
pub(in crate::litellm) async fn give_way(connection: &mut AsyncPgConnection) -> Result<()> {
    Ok(connection
        .batch_execute("SET LOCAL lock_timeout TO 300")
        .await
        .doing("limiting the wait for keys")?)
}

/// Blocks all keys of these users that are not blocked, with SCIM's marker;
/// also returns how each was.
pub(in crate::litellm) async fn block(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[String],
) -> Result<Vec<(SwitchedKey, TakenBlock)>> {
    let tokens = lock_of_users(connection, users).await?;
    let mut before = as_they_are(connection, &tokens).await?;
    let blocked = switch(connection, writing, BLOCK, &tokens).await?;
    Ok(blocked
        .into_iter()
        .filter_map(|key| {
            let was = before.remove(&key.token)?;
            Some((key, was))
        })
        .collect())
}

/// Unblocks those keys of these users that carry SCIM's marker.
pub(in crate::litellm) async fn unblock(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[String],
) -> Result<Vec<SwitchedKey>> {
    let tokens = lock_of_users(connection, users).await?;
    switch_on(connection, writing, &tokens).await
}

/// The same for these keys.
pub(super) async fn switch_on(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    tokens: &[String],
) -> Result<Vec<SwitchedKey>> {
    switch(connection, writing, UNBLOCK, tokens).await
}

/// Blocks these keys.
pub(super) async fn switch_off(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    tokens: &[String],
) -> Result<Vec<SwitchedKey>> {
    switch(connection, writing, BLOCK, tokens).await
}

/// Gives keys that still carry the marker back the `blocked` and the marker
/// that they had; the rest of their metadata stays as it is now.
pub(in crate::litellm) async fn restore_blocks(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    taken: &[&TakenBlock],
) -> Result<Vec<SwitchedKey>> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sql_query(
        "UPDATE \"LiteLLM_VerificationToken\" k SET blocked = was.blocked, updated_at = $4, \
            metadata = CASE \
                WHEN jsonb_typeof(was.metadata) = 'object' \
                    THEN (k.metadata - 'scim_blocked') || was.metadata \
                WHEN k.metadata - 'scim_blocked' = '{}'::jsonb THEN was.metadata \
                ELSE k.metadata - 'scim_blocked' END \
         FROM (SELECT n.* FROM unnest($1::text[], $2::bool[], $3::jsonb[]) \
                    AS n (token, blocked, metadata)) was \
         WHERE k.token = was.token AND k.blocked AND jsonb_typeof(k.metadata) = 'object' \
           AND k.metadata -> 'scim_blocked' = 'true'::jsonb \
         RETURNING k.token, k.user_id AS \"user\"",
    )
    .bind::<Array<Text>, _>(taken.iter().map(|t| t.token.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Bool>>, _>(taken.iter().map(|t| t.blocked).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(taken.iter().map(|t| &t.metadata).collect::<Vec<_>>())
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing("giving keys back as they were")?)
}

/// The keys must be locked.
async fn as_they_are(
    connection: &mut AsyncPgConnection,
    tokens: &[String],
) -> Result<HashMap<String, TakenBlock>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        token: String,
        #[diesel(sql_type = Nullable<Bool>)]
        blocked: Option<bool>,
        #[diesel(sql_type = Jsonb)]
        metadata: Value,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT token, blocked, metadata FROM \"LiteLLM_VerificationToken\" \
         WHERE token = ANY($1) AND blocked IS NOT TRUE",
    )
    .bind::<Array<Text>, _>(tokens)
    .load(connection)
    .await
    .doing("reading keys that are to be blocked")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let taken = TakenBlock {
                token: row.token.clone(),
                blocked: row.blocked,
                metadata: only(row.metadata, &["scim_blocked"]),
            };
            (row.token, taken)
        })
        .collect())
}

/// Of an object these keys only; of anything else all of it.
pub(in crate::litellm) fn only(metadata: Value, names: &[&str]) -> Value {
    match metadata {
        Value::Object(all) => Value::Object(
            all.into_iter()
                .filter(|(name, _)| names.contains(&name.as_str()))
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}

async fn lock_of_users(
    connection: &mut AsyncPgConnection,
    users: &[String],
) -> Result<Vec<String>> {
    let locked: Vec<Token> = sql_query(
        "SELECT token FROM \"LiteLLM_VerificationToken\" \
         WHERE user_id = ANY($1) ORDER BY token COLLATE \"C\" FOR UPDATE",
    )
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing("locking keys of users")?;
    Ok(locked.into_iter().map(|row| row.token).collect())
}

async fn switch(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    statement: &str,
    tokens: &[String],
) -> Result<Vec<SwitchedKey>> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sql_query(statement)
        .bind::<Array<Text>, _>(tokens)
        .bind::<Timestamp, _>(writing.stamp())
        .load(connection)
        .await
        .doing("blocking or unblocking keys")?)
}
