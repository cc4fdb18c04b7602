//! Rows of `LiteLLM_AuditLog`, as LiteLLM writes them for the same events
//! (litellm-contract 2i).
//!
//! Invariant: they are written in the transaction of what they record, where
//! LiteLLM writes its own afterwards and at best. Organizations, roles,
//! deactivation and blocking have no audit rows in LiteLLM, so none here.
//! Must not: hold a secret; what LiteLLM masks is masked.

mod mask;
mod shape;

use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Timestamp};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use super::copies::{self, Copy, text};
use super::error::Result;
use super::keys::{KEYS, TakenKey};
use super::writing::{ACTOR, Writing};
use crate::db::QueryContext;
use crate::model::ids::TeamId;

const TEAMS: &str = "LiteLLM_TeamTable";
const USERS: &str = "LiteLLM_UserTable";

/// Whether LiteLLM keeps audit rows: its `store_audit_logs`, and a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// It does not.
    Off,
    /// It does.
    On,
}

/// One event.
struct Event<'a> {
    object: &'a str,
    before: Option<Value>,
    after: Option<Value>,
}

/// Records members that [`super::members::ensure`] put on a roster. The team's
/// lock must be held still.
///
/// # Errors
/// When the database refuses.
pub async fn members_joined(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    joined: &[String],
    audit: Audit,
) -> Result<()> {
    if audit == Audit::Off || joined.is_empty() {
        return Ok(());
    }
    // The roster before is the roster now without those who joined: a hundred
    // thousand entries need not travel. No name in it is one that is masked.
    sql_query(
        "INSERT INTO \"LiteLLM_AuditLog\" \
            (id, updated_at, changed_by, changed_by_api_key, action, table_name, object_id, \
             before_value, updated_values) \
         SELECT gen_random_uuid()::text, $3, $4, '', 'updated', 'LiteLLM_TeamTable', t.team_id, \
                jsonb_build_object('team_alias', t.team_alias, 'members_with_roles', \
                    (SELECT COALESCE(jsonb_agg(e.entry ORDER BY e.position), '[]'::jsonb) \
                     FROM jsonb_array_elements(t.members_with_roles) \
                          WITH ORDINALITY AS e (entry, position) \
                     WHERE NOT COALESCE(e.entry ->> 'user_id' = ANY($2), false))), \
                jsonb_build_object('team_alias', t.team_alias, \
                                   'members_with_roles', t.members_with_roles) \
         FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = $1",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(joined)
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(ACTOR)
    .execute(connection)
    .await
    .doing(format!("recording the new members of team {team}"))?;
    Ok(())
}

/// Records teams that [`super::teams::insert`] made.
///
/// # Errors
/// When the database refuses.
pub async fn teams_created(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    teams: &[String],
    audit: Audit,
) -> Result<()> {
    if audit == Audit::Off || teams.is_empty() {
        return Ok(());
    }
    let rows: Vec<Copy> = sql_query(
        "SELECT to_jsonb(t) AS row FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = ANY($1) \
         ORDER BY t.team_id COLLATE \"C\"",
    )
    .bind::<Array<Text>, _>(teams)
    .load(connection)
    .await
    .doing("reading new teams for their audit rows")?;
    let rows = copies::rows(rows);
    let events = rows.iter().filter_map(|row| {
        Some(Event {
            object: text(row, "team_id")?,
            before: None,
            after: Some(shape::created_team(row)),
        })
    });
    insert(connection, writing, "created", TEAMS, events).await
}

/// Records users that [`super::users::insert`] made.
///
/// # Errors
/// When the database refuses.
pub async fn users_created(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[String],
    audit: Audit,
) -> Result<()> {
    if audit == Audit::Off || users.is_empty() {
        return Ok(());
    }
    // Column by column: our role may not read the password hashes.
    let columns = shape::USER
        .iter()
        .filter(|column| writing.capabilities.has(USERS, column))
        .map(|column| format!("u.\"{column}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let rows: Vec<Copy> = sql_query(format!(
        "SELECT to_jsonb(s) AS row FROM (SELECT {columns} FROM \"LiteLLM_UserTable\" u \
         WHERE u.user_id = ANY($1) ORDER BY u.user_id COLLATE \"C\") s"
    ))
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing("reading new users for their audit rows")?;
    let rows = copies::rows(rows);
    let events = rows.iter().filter_map(|row| {
        Some(Event {
            object: text(row, "user_id")?,
            before: None,
            after: Some(shape::user(row)),
        })
    });
    insert(connection, writing, "created", USERS, events).await
}

pub(super) async fn keys_deleted(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    taken: &[TakenKey],
    audit: Audit,
) -> Result<()> {
    if audit == Audit::Off {
        return Ok(());
    }
    let events = taken.iter().filter_map(|taken| {
        Some(Event {
            object: taken.token()?,
            before: Some(shape::key(&taken.key)),
            after: Some(json!({})),
        })
    });
    insert(connection, writing, "deleted", KEYS, events).await
}

pub(super) async fn team_deleted(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    row: &Value,
    audit: Audit,
) -> Result<()> {
    if audit == Audit::Off {
        return Ok(());
    }
    let event = text(row, "team_id").map(|object| Event {
        object,
        before: Some(shape::team(row)),
        after: Some(json!({})),
    });
    insert(connection, writing, "deleted", TEAMS, event.into_iter()).await
}

async fn insert<'a>(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    action: &str,
    table: &str,
    events: impl Iterator<Item = Event<'a>>,
) -> Result<()> {
    let (mut objects, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        objects.push(event.object);
        before.push(event.before.map(|value| mask::mask(&value)));
        after.push(event.after.map(|value| mask::mask(&value)));
    }
    if objects.is_empty() {
        return Ok(());
    }
    sql_query(
        "INSERT INTO \"LiteLLM_AuditLog\" \
            (id, updated_at, changed_by, changed_by_api_key, action, table_name, object_id, \
             before_value, updated_values) \
         SELECT gen_random_uuid()::text, $1, $2, '', $3, $4, n.object, n.before, n.after \
         FROM unnest($5::text[], $6::jsonb[], $7::jsonb[]) AS n (object, before, after)",
    )
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(ACTOR)
    .bind::<Text, _>(action)
    .bind::<Text, _>(table)
    .bind::<Array<Text>, _>(objects)
    .bind::<Array<Nullable<Jsonb>>, _>(before)
    .bind::<Array<Nullable<Jsonb>>, _>(after)
    .execute(connection)
    .await
    .doing("writing audit rows")?;
    Ok(())
}
