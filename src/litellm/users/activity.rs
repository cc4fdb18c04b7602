//! Taking a person's access away and giving it back, as LiteLLM's SCIM does
//! (litellm-contract 2h), and lowering a role.
//!
//! Invariant: a row whose state does not change is not written, and neither
//! are its keys.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{Array, Bool, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::litellm::keys::{self, SwitchedKey};
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

/// What became of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switching {
    /// Their state changed, sorted.
    pub changed: Vec<Switched>,
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
    let changed = write(connection, writing, &due, to).await?;
    let keys = match to {
        Activity::Off => keys::block(connection, writing, &changed).await?,
        Activity::On => keys::unblock(connection, writing, &changed).await?,
    };
    Ok(Switching {
        unchanged: due
            .into_iter()
            .filter(|user| changed.binary_search(user).is_err())
            .collect(),
        changed: grouped(changed, keys),
        spared,
        without_row: wanted
            .into_iter()
            .filter(|user| !present.iter().any(|there| there == user))
            .map(str::to_owned)
            .collect(),
    })
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
    #[derive(QueryableByName)]
    struct Changed {
        #[diesel(sql_type = Text)]
        user_id: String,
    }
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

/// Lowers a role while it still is what the plan saw.
///
/// # Errors
/// When the database refuses.
pub async fn lower_role(
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
    .doing(format!("lowering the role of user {user}"))?;
    Ok(Found::from_count(changed))
}
