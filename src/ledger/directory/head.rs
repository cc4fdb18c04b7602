//! What is known of a source as a whole, and what no pass has settled yet.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::{
    Array, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{links, wording};
use crate::db::QueryContext;
use crate::ledger::error::{Error, Result};
use crate::model::directory::{AppRole, AppRoleState};
use crate::model::ids::{AppRoleId, GroupId, PersonId, SourceId};
use crate::model::known::Touched;
use crate::model::links::{DeltaLink, Links};

/// What there is to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Of the settings that what is known depends on.
    pub fingerprint: String,
    /// Of the settings that a plan depends on.
    pub compared: String,
    /// When the last full reading began.
    pub read_at: DateTime<Utc>,
    /// How old the links are: when the round of delta queries that gave them
    /// began, or the reading.
    pub heard_at: DateTime<Utc>,
    /// What no pass has settled.
    pub open: Open,
    /// Where the next round begins, if there is one to begin.
    pub links: Option<Links>,
}

/// What may differ from LiteLLM because no pass has settled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// Nothing: the last pass went to its end.
    Nothing,
    /// What these objects led to.
    These(Touched),
    /// Everything.
    Everything,
}

/// What a full reading is written down with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// As in [`Head`].
    pub fingerprint: String,
    /// As in [`Head`].
    pub compared: String,
    /// When it began.
    pub read_at: DateTime<Utc>,
    /// As in [`Head`]: earlier, where older links were kept.
    pub heard_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    fingerprint: String,
    #[diesel(sql_type = Text)]
    compared: String,
    #[diesel(sql_type = Timestamptz)]
    read_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    heard_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    people_link: Option<String>,
    #[diesel(sql_type = Bool)]
    open_everything: bool,
    #[diesel(sql_type = Array<SqlUuid>)]
    open_people: Vec<Uuid>,
    #[diesel(sql_type = Array<SqlUuid>)]
    open_groups: Vec<Uuid>,
}

/// What is known of the source as a whole; `None` when nothing is.
///
/// # Errors
/// When the database fails.
pub async fn head(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Option<Head>> {
    let row: Option<Row> = sql_query(
        "SELECT fingerprint, compared, read_at, heard_at, people_link, open_everything, \
                open_people, open_groups \
         FROM entra_sync.directory WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .get_result(connection)
    .await
    .optional()
    .doing("reading what is known of the directory")?;
    let Some(row) = row else { return Ok(None) };
    let links = match row.people_link {
        Some(people) => Some(Links {
            groups: links::buckets(connection, source).await?,
            people: DeltaLink::new(people),
        }),
        None => None,
    };
    let touched = Touched {
        people: row.open_people.into_iter().map(PersonId::new).collect(),
        groups: row.open_groups.into_iter().map(GroupId::new).collect(),
    };
    Ok(Some(Head {
        fingerprint: row.fingerprint,
        compared: row.compared,
        read_at: row.read_at,
        heard_at: row.heard_at,
        open: match (row.open_everything, touched == Touched::default()) {
            (true, _) => Open::Everything,
            (false, true) => Open::Nothing,
            (false, false) => Open::These(touched),
        },
        links,
    }))
}

/// Writes down on which terms everything has been compared.
///
/// # Errors
/// When the database fails.
pub async fn compared(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    terms: &str,
) -> Result<()> {
    sql_query("UPDATE entra_sync.directory SET compared = $2 WHERE source_id = $1")
        .bind::<Integer, _>(source.get())
        .bind::<Text, _>(terms)
        .execute(connection)
        .await
        .doing("recording on which terms everything was compared")?;
    Ok(())
}

/// Writes down what a pass has left open: all else is settled.
///
/// # Errors
/// When the database fails.
pub async fn settle(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    open: Open,
) -> Result<()> {
    let everything = open == Open::Everything;
    let touched = match open {
        Open::These(touched) => touched,
        Open::Nothing | Open::Everything => Touched::default(),
    };
    let (people, groups) = uuids(&touched);
    sql_query(
        "UPDATE entra_sync.directory \
         SET open_everything = $2, open_people = $3, open_groups = $4 WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Bool, _>(everything)
    .bind::<Array<SqlUuid>, _>(people)
    .bind::<Array<SqlUuid>, _>(groups)
    .execute(connection)
    .await
    .doing("recording what a pass has left open")?;
    Ok(())
}

pub(super) fn uuids(touched: &Touched) -> (Vec<Uuid>, Vec<Uuid>) {
    let people = touched.people.iter().map(PersonId::as_uuid).collect();
    let groups = touched.groups.iter().map(GroupId::as_uuid).collect();
    (people, groups)
}

/// Forgets the directory and its links: the next pass reads in full. What is
/// owned in LiteLLM stays.
///
/// # Errors
/// When the database fails.
pub async fn forget(connection: &mut AsyncPgConnection, source: SourceId) -> Result<()> {
    for table in [
        "directory_person",
        "directory_unread_person",
        "directory_bucket",
        "directory_group",
        "directory_assignment",
        "directory",
    ] {
        sql_query(format!(
            "DELETE FROM entra_sync.{table} WHERE source_id = $1"
        ))
        .bind::<Integer, _>(source.get())
        .execute(connection)
        .await
        .doing("forgetting the directory")?;
    }
    Ok(())
}

/// Writes down that a full reading is what is known; nothing of it is settled.
pub(super) async fn stamp(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    stamp: &Stamp,
    roles: &BTreeMap<AppRoleId, AppRole>,
    people_link: Option<&DeltaLink>,
) -> Result<()> {
    sql_query(
        "INSERT INTO entra_sync.directory AS d (source_id, fingerprint, compared, read_at, \
                heard_at, roles, people_link, open_everything) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, true) \
         ON CONFLICT (source_id) DO UPDATE SET \
            fingerprint = excluded.fingerprint, compared = excluded.compared, \
            read_at = excluded.read_at, heard_at = excluded.heard_at, roles = excluded.roles, \
            people_link = excluded.people_link, open_everything = true, \
            open_people = '{}', open_groups = '{}'",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(&stamp.fingerprint)
    .bind::<Text, _>(&stamp.compared)
    .bind::<Timestamptz, _>(stamp.read_at)
    .bind::<Timestamptz, _>(stamp.heard_at)
    .bind::<Jsonb, _>(roles_column(roles))
    .bind::<Nullable<Text>, _>(people_link.map(DeltaLink::as_str))
    .execute(connection)
    .await
    .doing("recording a reading of the directory")?;
    Ok(())
}

/// Writes down what a round came to: its touched objects are open besides those
/// that already were, and everything where the application's roles are others.
pub(super) async fn advance(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    (heard_at, people_link): (DateTime<Utc>, &DeltaLink),
    roles: &BTreeMap<AppRoleId, AppRole>,
    touched: &Touched,
) -> Result<()> {
    let (people, groups) = uuids(touched);
    let advanced = sql_query(
        "UPDATE entra_sync.directory SET heard_at = $2, roles = $3, people_link = $4, \
            open_everything = open_everything OR roles <> $3, \
            open_people = ARRAY(SELECT unnest(open_people) UNION SELECT unnest($5::uuid[])), \
            open_groups = ARRAY(SELECT unnest(open_groups) UNION SELECT unnest($6::uuid[])) \
         WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Timestamptz, _>(heard_at)
    .bind::<Jsonb, _>(roles_column(roles))
    .bind::<Text, _>(people_link.as_str())
    .bind::<Array<SqlUuid>, _>(people)
    .bind::<Array<SqlUuid>, _>(groups)
    .execute(connection)
    .await
    .doing("recording a round of delta queries")?;
    match advanced {
        0 => Err(Error::DirectoryUnknown),
        _ => Ok(()),
    }
}

/// The application's role definitions; `None` when no directory is known.
pub(super) async fn roles(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<Option<BTreeMap<AppRoleId, AppRole>>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Jsonb)]
        roles: Value,
    }
    let row: Option<Row> = sql_query("SELECT roles FROM entra_sync.directory WHERE source_id = $1")
        .bind::<Integer, _>(source.get())
        .get_result(connection)
        .await
        .optional()
        .doing("reading the application's roles")?;
    row.map(|row| read_roles(&row.roles)).transpose()
}

/// As an object by role: whether it is enabled, and its value.
fn roles_column(roles: &BTreeMap<AppRoleId, AppRole>) -> Value {
    let column: Map<String, Value> = roles
        .iter()
        .map(|(id, role)| {
            let value = role.value.as_deref().map(wording::stored);
            let enabled = role.state == AppRoleState::Enabled;
            (id.to_string(), serde_json::json!([enabled, value]))
        })
        .collect();
    Value::Object(column)
}

fn read_roles(column: &Value) -> Result<BTreeMap<AppRoleId, AppRole>> {
    let foreign = || Error::Foreign {
        place: "directory.roles",
        value: column.to_string(),
    };
    let Value::Object(roles) = column else {
        return Err(foreign());
    };
    roles
        .iter()
        .map(|(id, role)| {
            let (Ok(id), Some([Value::Bool(enabled), value])) =
                (id.parse(), role.as_array().map(Vec::as_slice))
            else {
                return Err(foreign());
            };
            let role = AppRole {
                value: value.as_str().map(|text| wording::read(text.to_owned())),
                state: match enabled {
                    true => AppRoleState::Enabled,
                    false => AppRoleState::Disabled,
                },
            };
            Ok((id, role))
        })
        .collect()
}
