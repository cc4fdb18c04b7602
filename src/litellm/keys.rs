//! Virtual keys: deleted with a tombstone, blocked with SCIM's marker, and
//! both taken back (litellm-contract 2e, 2h).
//!
//! Invariant: a key that somebody else blocked is never unblocked, and a key
//! comes back only where none with its token is.

mod switch;

use std::collections::HashMap;

use diesel::sql_types::{Array, Bool, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit;
use super::copies::{self, Copy, text};
use super::error::Result;
use super::writing::Writing;
use crate::db::QueryContext;
pub use switch::{SwitchedKey, TakenBlock};
pub(super) use switch::{block, give_way, only, restore_blocks, unblock};
use switch::{switch_off, switch_on};

pub(super) const KEYS: &str = "LiteLLM_VerificationToken";
const TOMBSTONES: &str = "LiteLLM_DeletedVerificationToken";
const MAPPINGS: &str = "LiteLLM_JWTKeyMapping";

/// Columns that LiteLLM's tombstone does not take over: it has no place for
/// the one, and its model of a key does not know the other.
const NOT_KEPT: [&str; 2] = ["budget_limits", "policies"];

/// Lists are never NULL where LiteLLM has written a row out again.
const LISTS: [&str; 4] = [
    "models",
    "allowed_cache_controls",
    "allowed_routes",
    "access_group_ids",
];

/// What a key refers to by a foreign key.
const REFERENCES: [copies::Reference; 4] = [
    ("budget_id", "LiteLLM_BudgetTable", "budget_id"),
    (
        "organization_id",
        "LiteLLM_OrganizationTable",
        "organization_id",
    ),
    (
        "object_permission_id",
        "LiteLLM_ObjectPermissionTable",
        "object_permission_id",
    ),
    ("project_id", "LiteLLM_ProjectTable", "project_id"),
];

/// A key that was deleted, as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenKey {
    /// Its row in `LiteLLM_VerificationToken`.
    pub key: Value,
    /// Rows of `LiteLLM_JWTKeyMapping` that led to it.
    pub mappings: Vec<Value>,
}

impl TakenKey {
    /// `token`: the hash under which LiteLLM caches the key.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        text(&self.key, "token")
    }

    /// `key_alias`.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        text(&self.key, "key_alias")
    }

    /// `user_id` of its owner.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        text(&self.key, "user_id")
    }
}

#[derive(QueryableByName)]
struct Token {
    #[diesel(sql_type = Text)]
    token: String,
}

/// Locks the keys of these users in one team, in one order.
pub(super) async fn lock_of_members(
    connection: &mut AsyncPgConnection,
    team: &str,
    users: &[&str],
) -> Result<Vec<String>> {
    let locked: Vec<Token> = sql_query(
        "SELECT token FROM \"LiteLLM_VerificationToken\" \
         WHERE team_id = $1 AND user_id = ANY($2) ORDER BY token COLLATE \"C\" FOR UPDATE",
    )
    .bind::<Text, _>(team)
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing(format!("locking keys of members of team {team}"))?;
    Ok(locked.into_iter().map(|row| row.token).collect())
}

/// Deletes keys that are locked already, leaving tombstones where this LiteLLM
/// has them.
pub(super) async fn delete(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    tokens: &[String],
) -> Result<Vec<TakenKey>> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let mappings = delete_mappings(connection, writing, tokens).await?;
    let stones = tombstones(writing)
        .map(|insert| format!(", stones AS ({insert})"))
        .unwrap_or_default();
    let rows: Vec<Copy> = sql_query(format!(
        "WITH gone AS (DELETE FROM \"{KEYS}\" WHERE token = ANY($1) RETURNING *){stones} \
         SELECT to_jsonb(gone) AS row FROM gone, (SELECT $2::timestamp) AS at \
         ORDER BY gone.token COLLATE \"C\""
    ))
    .bind::<Array<Text>, _>(tokens)
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing("deleting keys")?;
    let mut led: HashMap<String, Vec<Value>> = HashMap::new();
    for mapping in mappings {
        let token = text(&mapping, "token").unwrap_or_default().to_owned();
        led.entry(token).or_default().push(mapping);
    }
    let taken: Vec<TakenKey> = copies::rows(rows)
        .into_iter()
        .map(|key| TakenKey {
            mappings: text(&key, "token")
                .and_then(|token| led.remove(token))
                .unwrap_or_default(),
            key,
        })
        .collect();
    audit::keys_deleted(connection, writing, &taken).await?;
    Ok(taken)
}

/// They would go with their key today; before LiteLLM's migration
/// 20260717000000 they kept it from going.
async fn delete_mappings(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    tokens: &[String],
) -> Result<Vec<Value>> {
    if !writing.capabilities.has(MAPPINGS, "token") {
        return Ok(Vec::new());
    }
    let rows: Vec<Copy> = sql_query(format!(
        "DELETE FROM \"{MAPPINGS}\" m WHERE m.token = ANY($1) RETURNING to_jsonb(m) AS row"
    ))
    .bind::<Array<Text>, _>(tokens)
    .load(connection)
    .await
    .doing("deleting JWT mappings of keys")?;
    Ok(copies::rows(rows))
}

/// `deleted_by` and its like stay NULL, as for LiteLLM's own SSO and SCIM.
fn tombstones(writing: Writing<'_>) -> Option<String> {
    let shared = writing
        .capabilities
        .columns(KEYS)
        .filter(|column| !NOT_KEPT.contains(column))
        .filter(|column| writing.capabilities.has(TOMBSTONES, column));
    copies::tombstone(
        writing.capabilities,
        TOMBSTONES,
        shared,
        &LISTS,
        "gone",
        "$2",
    )
}

/// Keys that came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// `token` of each.
    pub tokens: Vec<String>,
    /// Those of them whose `key_alias` another key has by now: LiteLLM lets no
    /// two keys have one alias, so they came back without.
    pub without_alias: Vec<String>,
}

/// Puts back keys of these users, with their mappings, where no key with that
/// token is. A mapping whose claim leads to another key by now stays away.
///
/// The tombstones stay: they are LiteLLM's record that the key was deleted
/// then, which remains true, and a role that cannot delete them cannot hide
/// what it took.
pub(super) async fn restore(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    taken: &[&TakenKey],
) -> Result<Restored> {
    if taken.is_empty() {
        return Ok(Restored::default());
    }
    let aliases: Vec<&str> = taken.iter().filter_map(|key| key.alias()).collect();
    let used = present(connection, &[], &aliases).await?;
    let clashes = |key: &TakenKey| {
        key.alias().is_some_and(|alias| {
            used.iter().any(|other| {
                other.alias.as_deref() == Some(alias) && Some(other.token.as_str()) != key.token()
            })
        })
    };
    let rows: Vec<Value> = taken
        .iter()
        .map(|taken| {
            let mut row = taken.key.clone();
            if clashes(taken) {
                row["key_alias"] = Value::Null;
            }
            row
        })
        .collect();
    let rows: Vec<&Value> = rows.iter().collect();
    let capabilities = writing.capabilities;
    let tokens =
        copies::insert(connection, capabilities, KEYS, "token", &REFERENCES, &rows).await?;
    let is_back = |key: &TakenKey| {
        key.token()
            .is_some_and(|token| tokens.iter().any(|there| there == token))
    };
    let mappings: Vec<&Value> = taken
        .iter()
        .filter(|key| is_back(key))
        .flat_map(|key| &key.mappings)
        .collect();
    copies::insert(connection, capabilities, MAPPINGS, "id", &[], &mappings).await?;
    follow_owners(connection, writing, &tokens).await?;
    let without_alias = taken
        .iter()
        .filter(|key| is_back(key) && clashes(key))
        .filter_map(|key| key.token().map(str::to_owned))
        .collect();
    Ok(Restored {
        tokens,
        without_alias,
    })
}

/// A key that is there.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct PresentKey {
    /// `token`.
    #[diesel(sql_type = Text)]
    pub token: String,
    /// `key_alias`.
    #[diesel(sql_type = Nullable<Text>)]
    pub alias: Option<String>,
}

/// Those keys that have one of these tokens or one of these aliases.
///
/// # Errors
/// When the database fails.
pub async fn present(
    connection: &mut AsyncPgConnection,
    tokens: &[&str],
    aliases: &[&str],
) -> Result<Vec<PresentKey>> {
    if tokens.is_empty() && aliases.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sql_query(
        "SELECT token, key_alias AS alias FROM \"LiteLLM_VerificationToken\" \
         WHERE token = ANY($1) OR key_alias = ANY($2) ORDER BY token COLLATE \"C\"",
    )
    .bind::<Array<Text>, _>(tokens)
    .bind::<Array<Text>, _>(aliases)
    .load(connection)
    .await
    .doing("looking for keys that are there")?)
}

/// A person may have been deactivated or come back since the key was deleted:
/// the key then must be as it would be had it been there.
async fn follow_owners(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    tokens: &[String],
) -> Result<()> {
    #[derive(QueryableByName)]
    struct Owned {
        #[diesel(sql_type = Text)]
        token: String,
        #[diesel(sql_type = Bool)]
        active: bool,
    }
    if tokens.is_empty() {
        return Ok(());
    }
    let owned: Vec<Owned> = sql_query(
        "SELECT k.token, (u.metadata -> 'scim_active') IS DISTINCT FROM 'false'::jsonb AS active \
         FROM \"LiteLLM_VerificationToken\" k \
         JOIN \"LiteLLM_UserTable\" u ON u.user_id = k.user_id WHERE k.token = ANY($1)",
    )
    .bind::<Array<Text>, _>(tokens)
    .load(connection)
    .await
    .doing("asking whether the owners of restored keys are active")?;
    let (active, inactive): (Vec<Owned>, Vec<Owned>) = owned.into_iter().partition(|o| o.active);
    let tokens = |owned: Vec<Owned>| owned.into_iter().map(|o| o.token).collect::<Vec<_>>();
    switch_on(connection, writing, &tokens(active)).await?;
    switch_off(connection, writing, &tokens(inactive)).await?;
    Ok(())
}
