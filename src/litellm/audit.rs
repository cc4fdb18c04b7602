//! Rows of `LiteLLM_AuditLog`, as LiteLLM writes them for the same events
//! (litellm-contract 2i).
//!
//! Invariant: they are written in the transaction of what they record, where
//! LiteLLM writes its own afterwards and at best. LiteLLM records new teams and
//! users, changed rosters, teams renamed, moved or given other models, deleted
//! teams and deleted keys. It records neither organizations nor what a login
//! changes in a user's row, nor roles, nor SCIM's deactivation, nor blocking:
//! so there are no rows for these here. A key that `undo` brings back has no
//! event there; its team's row says that its owner is back.
//! Must not: hold a secret; what LiteLLM masks is masked.

mod mask;
mod shape;

use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Timestamp};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use super::capabilities::Capabilities;
use super::copies::{self, Copy, text};
use super::error::Result;
use super::keys::{KEYS, TakenKey};
use super::teams::TeamUpdate;
use super::users::Inserted;
use super::writing::{ACTOR, Writing};
use crate::config::StoreAuditLogs;
use crate::db::QueryContext;
use crate::model::ids::TeamId;

const TABLE: &str = "LiteLLM_AuditLog";
const TEAMS: &str = "LiteLLM_TeamTable";
const USERS: &str = "LiteLLM_UserTable";

/// What we write of an audit row; all of it is there since LiteLLM's first
/// migration.
const COLUMNS: [&str; 9] = [
    "id",
    "updated_at",
    "changed_by",
    "changed_by_api_key",
    "action",
    "table_name",
    "object_id",
    "before_value",
    "updated_values",
];

/// Whether audit rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// None.
    Off,
    /// One for each event that LiteLLM records.
    On,
}

impl Audit {
    /// What `litellm.store_audit_logs` asks for, as far as this LiteLLM has a
    /// place for it.
    #[must_use]
    pub fn of(wanted: StoreAuditLogs, capabilities: &Capabilities) -> Self {
        match (wanted, obstacle(capabilities)) {
            (StoreAuditLogs::On, None) => Self::On,
            _ => Self::Off,
        }
    }
}

/// Why rows that the setting asks for are not written, with the remedy; `None`
/// when they are, or when it asks for none.
#[must_use]
pub fn hindered_audit(wanted: StoreAuditLogs, capabilities: &Capabilities) -> Option<String> {
    if wanted == StoreAuditLogs::Off {
        return None;
    }
    let (what, remedy) = obstacle(capabilities)?;
    Some(format!(
        "{what}, so no audit rows are written although litellm.store_audit_logs is on; {remedy}, \
         or set litellm.store_audit_logs to false"
    ))
}

/// A changed membership matters more than the note about it, so a table that
/// cannot take the note stops nobody.
fn obstacle(capabilities: &Capabilities) -> Option<(String, &'static str)> {
    if !capabilities.has_table(TABLE) {
        let what = format!("this LiteLLM has no table {TABLE}");
        return Some((what, "let LiteLLM migrate its tables"));
    }
    let missing: Vec<&str> = COLUMNS
        .into_iter()
        .filter(|column| !capabilities.has(TABLE, column))
        .collect();
    if !missing.is_empty() {
        let what = format!("{TABLE} lacks {}", missing.join(", "));
        return Some((what, "let LiteLLM migrate its tables"));
    }
    let unknown: Vec<&str> = capabilities
        .demanded(TABLE)
        .filter(|column| !COLUMNS.contains(column))
        .collect();
    if unknown.is_empty() {
        return None;
    }
    let what = format!(
        "{TABLE} demands a value for {}, which this entra-sync does not know",
        unknown.join(", ")
    );
    Some((what, "upgrade entra-sync"))
}

/// One event.
struct Event<'a> {
    object: &'a str,
    before: Option<Value>,
    after: Option<Value>,
}

/// The INSERT of one row for each row of `source`, an item of a FROM clause
/// with `team_id`, `team_alias`, and the rosters `before` and `after`; `stamp`
/// is the moment. On the server, because a roster of a hundred thousand need
/// not travel. No name in it is one that LiteLLM masks.
pub(super) fn insert_of_rosters(source: &str, stamp: &str) -> String {
    let value = |roster: &str| {
        // As LiteLLM prints a member: these three, null where there is none.
        format!(
            "jsonb_build_object('team_alias', r.team_alias, 'members_with_roles', ( \
                SELECT COALESCE(jsonb_agg(jsonb_build_object( \
                           'user_id', e.entry -> 'user_id', \
                           'user_email', e.entry -> 'user_email', \
                           'role', e.entry -> 'role') ORDER BY e.position), '[]'::jsonb) \
                FROM jsonb_array_elements({roster}) WITH ORDINALITY AS e (entry, position)))"
        )
    };
    format!(
        "INSERT INTO \"{TABLE}\" \
            (id, updated_at, changed_by, changed_by_api_key, action, table_name, object_id, \
             before_value, updated_values) \
         SELECT gen_random_uuid()::text, {stamp}, '{ACTOR}', '', 'updated', '{TEAMS}', r.team_id, \
                {}, {} \
         FROM {source} r",
        value("r.before"),
        value("r.after")
    )
}

/// Records teams that were made just now.
pub(super) async fn teams_created(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    teams: &[String],
) -> Result<()> {
    if writing.audit == Audit::Off || teams.is_empty() {
        return Ok(());
    }
    let rows = teams_as_they_are(connection, teams).await?;
    let events = rows.iter().filter_map(|row| {
        Some(Event {
            object: text(row, "team_id")?,
            before: None,
            after: Some(shape::created_team(row, writing.calendar.zone)),
        })
    });
    insert(connection, writing, "created", TEAMS, events).await
}

/// The row of a team that is about to be changed; `None` when there is none.
pub(super) async fn team_as_it_is(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
) -> Result<Option<Value>> {
    let mut rows = teams_as_they_are(connection, &[team.to_string()]).await?;
    Ok(rows.pop())
}

async fn teams_as_they_are(
    connection: &mut AsyncPgConnection,
    teams: &[String],
) -> Result<Vec<Value>> {
    let rows: Vec<Copy> = sql_query(
        "SELECT to_jsonb(t) AS row FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = ANY($1) \
         ORDER BY t.team_id COLLATE \"C\"",
    )
    .bind::<Array<Text>, _>(teams)
    .load(connection)
    .await
    .doing("reading teams for their audit rows")?;
    Ok(copies::rows(rows))
}

/// Records what was changed in a team, as LiteLLM's update of a team does: the
/// row before as text inside the JSON. LiteLLM masks nothing in that text; we
/// do.
pub(super) async fn team_updated(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    update: &TeamUpdate<'_>,
    before: &Value,
) -> Result<()> {
    let mut after = json!({ "team_id": update.team });
    if let Some((_, alias)) = update.alias {
        after["team_alias"] = json!(alias);
    }
    if let Some(organization) = update.organization {
        after["organization_id"] = json!(organization);
    }
    if let Some((_, models)) = update.models {
        after["models"] = json!(models);
    }
    let before = mask::mask(&shape::stored_team(before)).to_string();
    let event = Event {
        object: update.team.as_str(),
        before: Some(Value::String(before)),
        after: Some(after),
    };
    insert(
        connection,
        writing,
        "updated",
        TEAMS,
        std::iter::once(event),
    )
    .await
}

/// Records users that were inserted just now.
pub(super) async fn users_created(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    users: &[Inserted],
) -> Result<()> {
    if writing.audit == Audit::Off || users.is_empty() {
        return Ok(());
    }
    // Column by column: our role may not read the password hashes.
    let columns = shape::USER
        .iter()
        .filter(|column| writing.capabilities.has(USERS, column))
        .map(|column| format!("u.\"{column}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let ids: Vec<&str> = users.iter().map(|user| user.user_id.as_str()).collect();
    let rows: Vec<Copy> = sql_query(format!(
        "SELECT to_jsonb(s) AS row FROM (SELECT {columns} FROM \"{USERS}\" u \
         WHERE u.user_id = ANY($1) ORDER BY u.user_id COLLATE \"C\") s"
    ))
    .bind::<Array<Text>, _>(ids)
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

/// Records keys that were deleted just now.
pub(super) async fn keys_deleted(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    taken: &[TakenKey],
) -> Result<()> {
    let events = taken.iter().filter_map(|taken| {
        Some(Event {
            object: taken.token()?,
            before: Some(shape::key(&taken.key)),
            after: Some(json!({})),
        })
    });
    insert(connection, writing, "deleted", KEYS, events).await
}

/// Records a team that was deleted just now.
pub(super) async fn team_deleted(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    row: &Value,
) -> Result<()> {
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
    if writing.audit == Audit::Off {
        return Ok(());
    }
    let (mut objects, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        objects.push(event.object);
        before.push(event.before.map(|value| mask::mask(&value)));
        after.push(event.after.map(|value| mask::mask(&value)));
    }
    if objects.is_empty() {
        return Ok(());
    }
    sql_query(format!(
        "INSERT INTO \"{TABLE}\" \
            (id, updated_at, changed_by, changed_by_api_key, action, table_name, object_id, \
             before_value, updated_values) \
         SELECT gen_random_uuid()::text, $1, $2, '', $3, $4, n.object, n.before, n.after \
         FROM unnest($5::text[], $6::jsonb[], $7::jsonb[]) AS n (object, before, after)"
    ))
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
