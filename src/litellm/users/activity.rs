//! Taking a person's access away and giving it back, as LiteLLM's SCIM does
//! (litellm-contract 2h), and lowering a role.
//!
//! Invariant: a row whose state does not change is not written, and neither
//! are its keys.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::litellm::keys::{self, SwitchedKey, TakenBlock};
use crate::litellm::organizations::Found;
use crate::litellm::writing::Writing;
use crate::model::ids::UserId;
use crate::model::role::Role;

/// What to do about rows whose role is `proxy_admin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Administrators {
    /// They are not ours: leave them.
    Spare,
    /// We made them: treat them as the others.
    Ours,
}

/// A user whose access was taken away or given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// `user_id`.
    pub user: String,
    /// `token` of each key that was blocked or unblocked with it.
    pub keys: Vec<String>,
}

/// Access that was taken away, as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenAccess {
    /// `user_id`.
    pub user: String,
    /// Of the row's `metadata` what SCIM's deactivation writes, as far as it was
    /// there; all of it if it was no object.
    pub metadata: Value,
    /// The keys that were blocked with it.
    pub blocked: Vec<TakenBlock>,
}

/// What became of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switching {
    /// Their state changed, sorted.
    pub changed: Vec<Switched>,
    /// How those were who were deactivated, sorted.
    pub taken: Vec<TakenAccess>,
    /// They are administrators that are not ours: nothing was written.
    pub spared: Vec<String>,
    /// They were so already; neither they nor their keys were written.
    pub unchanged: Vec<String>,
    /// They have no row.
    pub without_row: Vec<String>,
}

impl Switching {
    /// How many keys were blocked or unblocked.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.changed.iter().map(|user| user.keys.len()).sum()
    }
}

#[derive(Clone, Copy)]
enum Activity {
    Off,
    On,
}

/// Deactivates users: `scim_active` false, and every key that is not blocked
/// is, with SCIM's marker. `PROXY_ADMIN_ID` is the caller's to leave out.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn deactivate(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[&UserId],
    administrators: Administrators,
) -> Result<Switching> {
    switch(connection, writing, users, administrators, Activity::Off).await
}

/// The reverse, for those whose `scim_active` is false; keys that somebody
/// else blocked stay blocked.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn reactivate(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[&UserId],
    administrators: Administrators,
) -> Result<Switching> {
    switch(connection, writing, users, administrators, Activity::On).await
}

async fn switch(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[&UserId],
    administrators: Administrators,
    to: Activity,
) -> Result<Switching> {
    let wanted: BTreeSet<&str> = users.iter().map(|user| user.as_str()).collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let present = super::lock(connection, &wanted).await?;
    let (spared, due) = match administrators {
        Administrators::Ours => (Vec::new(), present.clone()),
        Administrators::Spare => part_administrators(connection, &present).await?,
    };
    let mut before = match to {
        Activity::Off => as_they_are(connection, &due).await?,
        Activity::On => BTreeMap::new(),
    };
    let changed = write(connection, writing, &due, to).await?;
    before.retain(|user, _| changed.binary_search(user).is_ok());
    keys::give_way(connection).await?;
    let keys = match to {
        Activity::Off => {
            let (keys, taken): (Vec<SwitchedKey>, Vec<TakenBlock>) =
                keys::block(connection, writing, &changed)
                    .await?
                    .into_iter()
                    .unzip();
            for (key, block) in keys.iter().zip(taken) {
                if let Some(taken) = before.get_mut(&key.user) {
                    taken.blocked.push(block);
                }
            }
            keys
        }
        Activity::On => keys::unblock(connection, writing, &changed).await?,
    };
    Ok(Switching {
        unchanged: due
            .into_iter()
            .filter(|user| changed.binary_search(user).is_err())
            .collect(),
        changed: grouped(changed, keys),
        taken: before.into_values().collect(),
        spared,
        without_row: absent(&wanted, &present),
    })
}

fn absent(wanted: &[&str], present: &[String]) -> Vec<String> {
    wanted
        .iter()
        .filter(|user| !present.iter().any(|there| there == *user))
        .map(|user| (*user).to_owned())
        .collect()
}

/// Undoes deactivations: rows that still are deactivated get back exactly what
/// they and their keys had, every other key with SCIM's marker is unblocked.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn restore(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    taken: &[TakenAccess],
) -> Result<Switching> {
    let wanted: BTreeMap<&str, &TakenAccess> = taken
        .iter()
        .map(|taken| (taken.user.as_str(), taken))
        .collect();
    let ids: Vec<&str> = wanted.keys().copied().collect();
    let present = super::lock(connection, &ids).await?;
    let taken: Vec<&TakenAccess> = wanted.into_values().collect();
    let rows: Vec<Changed> = sql_query(
        "UPDATE \"LiteLLM_UserTable\" u SET updated_at = $3, metadata = CASE \
            WHEN jsonb_typeof(was.metadata) = 'object' THEN was.kept || was.metadata \
            WHEN was.kept = '{}'::jsonb THEN was.metadata ELSE was.kept END \
         FROM (SELECT n.id, \
                      CASE WHEN jsonb_typeof(n.metadata) = 'object' AND NOT o.is_empty \
                           THEN n.metadata - 'scim_metadata' ELSE n.metadata END AS metadata, \
                      CASE WHEN o.is_empty THEN o.metadata - 'scim_active' - 'scim_metadata' \
                           ELSE o.metadata - 'scim_active' END AS kept \
               FROM unnest($1::text[], $2::jsonb[]) AS n (id, metadata) \
               JOIN (SELECT user_id, metadata, \
                            (metadata -> 'scim_metadata') IS NOT DISTINCT FROM '{}'::jsonb \
                                AS is_empty \
                     FROM \"LiteLLM_UserTable\" WHERE user_id = ANY($1)) o \
                 ON o.user_id = n.id) was \
         WHERE u.user_id = was.id AND u.metadata -> 'scim_active' = 'false'::jsonb \
         RETURNING u.user_id",
    )
    .bind::<Array<Text>, _>(&ids)
    .bind::<Array<Jsonb>, _>(taken.iter().map(|t| &t.metadata).collect::<Vec<_>>())
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing("giving people their access back")?;
    let mut changed: Vec<String> = rows.into_iter().map(|row| row.user_id).collect();
    changed.sort();
    let blocks: Vec<&TakenBlock> = taken
        .iter()
        .filter(|taken| changed.binary_search(&taken.user).is_ok())
        .flat_map(|taken| &taken.blocked)
        .collect();
    keys::give_way(connection).await?;
    let mut keys = keys::restore_blocks(connection, writing, &blocks).await?;
    keys.extend(keys::unblock(connection, writing, &changed).await?);
    Ok(Switching {
        unchanged: present
            .iter()
            .filter(|user| changed.binary_search(user).is_err())
            .cloned()
            .collect(),
        changed: grouped(changed, keys),
        without_row: absent(&ids, &present),
        ..Switching::default()
    })
}

#[derive(QueryableByName)]
struct Changed {
    #[diesel(sql_type = Text)]
    user_id: String,
}

/// The rows must be locked.
async fn as_they_are(
    connection: &mut AsyncPgConnection,
    users: &[String],
) -> Result<BTreeMap<String, TakenAccess>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        user_id: String,
        #[diesel(sql_type = Nullable<Jsonb>)]
        metadata: Option<Value>,
    }
    let rows: Vec<Row> =
        sql_query("SELECT user_id, metadata FROM \"LiteLLM_UserTable\" WHERE user_id = ANY($1)")
            .bind::<Array<Text>, _>(users)
            .load(connection)
            .await
            .doing("reading users that are to be deactivated")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let metadata = row.metadata.unwrap_or_default();
            let taken = TakenAccess {
                user: row.user_id.clone(),
                metadata: keys::only(metadata, &["scim_active", "scim_metadata"]),
                blocked: Vec::new(),
            };
            (row.user_id, taken)
        })
        .collect())
}

/// Under the rows' locks, so that a role given just now counts.
async fn part_administrators(
    connection: &mut AsyncPgConnection,
    users: &[String],
) -> Result<(Vec<String>, Vec<String>)> {
    #[derive(QueryableByName)]
    struct WithRole {
        #[diesel(sql_type = Text)]
        user_id: String,
        #[diesel(sql_type = Nullable<Text>)]
        user_role: Option<String>,
    }
    let rows: Vec<WithRole> = sql_query(
        "SELECT user_id, user_role FROM \"LiteLLM_UserTable\" WHERE user_id = ANY($1) \
         ORDER BY user_id COLLATE \"C\"",
    )
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing("reading the roles of users to deactivate or reactivate")?;
    let (spared, due): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row.user_role.as_deref() == Some(Role::ProxyAdmin.as_str()));
    let ids = |rows: Vec<WithRole>| rows.into_iter().map(|row| row.user_id).collect();
    Ok((ids(spared), ids(due)))
}

/// Merged into `metadata`, whose other keys stay; `scim_metadata` is there
/// afterwards, as after SCIM's PATCH. Returns whose state changed, sorted.
async fn write(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[String],
    to: Activity,
) -> Result<Vec<String>> {
    let rows: Vec<Changed> = sql_query(
        "UPDATE \"LiteLLM_UserTable\" u \
         SET metadata = CASE WHEN jsonb_typeof(u.metadata) = 'object' THEN u.metadata \
                             ELSE '{}'::jsonb END \
                 || jsonb_build_object('scim_active', $2, 'scim_metadata', \
                        CASE WHEN jsonb_typeof(u.metadata -> 'scim_metadata') = 'object' \
                             THEN u.metadata -> 'scim_metadata' ELSE '{}'::jsonb END), \
             updated_at = $3 \
         WHERE u.user_id = ANY($1) \
           AND ((u.metadata -> 'scim_active') IS NOT DISTINCT FROM 'false'::jsonb) = $2 \
         RETURNING u.user_id",
    )
    .bind::<Array<Text>, _>(users)
    .bind::<Bool, _>(matches!(to, Activity::On))
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing("deactivating or reactivating users")?;
    let mut changed: Vec<String> = rows.into_iter().map(|row| row.user_id).collect();
    changed.sort();
    Ok(changed)
}

fn grouped(users: Vec<String>, keys: Vec<SwitchedKey>) -> Vec<Switched> {
    let mut of: BTreeMap<String, Vec<String>> =
        users.into_iter().map(|user| (user, Vec::new())).collect();
    for key in keys {
        of.entry(key.user).or_default().push(key.token);
    }
    of.into_iter()
        .map(|(user, mut keys)| {
            keys.sort();
            Switched { user, keys }
        })
        .collect()
}

/// Lowers a role while it still is what the plan saw; with the roles the other
/// way round it undoes that.
///
/// # Errors
/// When the database refuses.
pub async fn change_role(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    user: &UserId,
    before: Role,
    after: Role,
) -> Result<Found> {
    let changed = sql_query(
        "UPDATE \"LiteLLM_UserTable\" SET user_role = $3, updated_at = $4 \
         WHERE user_id = $1 AND user_role = $2",
    )
    .bind::<Text, _>(user.as_str())
    .bind::<Text, _>(before.as_str())
    .bind::<Text, _>(after.as_str())
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing(format!("changing the role of user {user}"))?;
    Ok(Found::from_count(changed))
}
