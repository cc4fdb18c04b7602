//! The application and its groups, without the people in them.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{Array, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::groups::{self, StoredGroup};
use super::{head, unread};
use crate::db::QueryContext;
use crate::ledger::error::{Error, Result};
use crate::model::complete::{Complete, Recorded};
use crate::model::directory::{Assignment, Principal, Unread};
use crate::model::ids::{AppRoleId, GroupId, PersonId, SourceId};
use crate::model::known::{KnownGroup, Outline};

/// The application and its groups as they are known, and the seal by which what
/// is looked up here may be called whole.
///
/// # Errors
/// [`Error::DirectoryUnknown`] when no reading has been recorded, or the
/// database fails.
pub async fn outline(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<(Outline, Complete<()>)> {
    let Some(roles) = head::roles(connection, source).await? else {
        return Err(Error::DirectoryUnknown);
    };
    let assignments = assignments(connection, source).await?;
    let groups = groups::load(connection, source).await?;
    let outline = Outline {
        roles,
        assignments: assignments.into_iter().collect(),
        groups: groups
            .into_iter()
            .map(|(id, stored)| (id, stored.group))
            .collect(),
        unread_people: unread_people(connection, source).await?,
    };
    Ok((outline, Complete::recorded((), Recorded::whole())))
}

pub(super) async fn assignments(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeSet<Assignment>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = SqlUuid)]
        principal_id: Uuid,
        #[diesel(sql_type = SqlUuid)]
        app_role_id: Uuid,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT kind, principal_id, app_role_id FROM entra_sync.directory_assignment \
         WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading the known assignments")?;
    rows.into_iter()
        .map(|row| {
            let principal = match row.kind.as_str() {
                "group" => Principal::Group(GroupId::new(row.principal_id)),
                "person" => Principal::Person(PersonId::new(row.principal_id)),
                _ => {
                    return Err(Error::Foreign {
                        place: "directory_assignment.kind",
                        value: row.kind,
                    });
                }
            };
            let role = AppRoleId::new(row.app_role_id);
            Ok(Assignment { principal, role })
        })
        .collect()
}

/// Makes assignments and groups those of a reading or a round, by differences
/// only. Returns what each group is numbered.
pub(super) async fn save<'a>(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    assigned: impl IntoIterator<Item = &'a Assignment>,
    stored: &BTreeMap<GroupId, StoredGroup>,
    groups: &BTreeMap<GroupId, KnownGroup>,
) -> Result<BTreeMap<GroupId, i32>> {
    let known = assignments(connection, source).await?;
    let now: BTreeSet<&Assignment> = assigned.into_iter().collect();
    let gone: Vec<&Assignment> = known.iter().filter(|row| !now.contains(row)).collect();
    let new: Vec<&Assignment> = now
        .into_iter()
        .filter(|row| !known.contains(*row))
        .collect();
    let delete = "DELETE FROM entra_sync.directory_assignment AS a \
         USING unnest($2::text[], $3::uuid[], $4::uuid[]) AS n (kind, principal_id, app_role_id) \
         WHERE a.source_id = $1 AND a.kind = n.kind AND a.principal_id = n.principal_id \
           AND a.app_role_id = n.app_role_id";
    let insert = "INSERT INTO entra_sync.directory_assignment \
                (source_id, kind, principal_id, app_role_id) \
         SELECT $1, n.* FROM unnest($2::text[], $3::uuid[], $4::uuid[]) AS n";
    for (rows, statement) in [(gone, delete), (new, insert)] {
        if rows.is_empty() {
            continue;
        }
        let (kinds, principals): (Vec<&str>, Vec<Uuid>) = rows
            .iter()
            .map(|row| match row.principal {
                Principal::Group(group) => ("group", group.as_uuid()),
                Principal::Person(person) => ("person", person.as_uuid()),
            })
            .unzip();
        let roles: Vec<Uuid> = rows.iter().map(|row| row.role.as_uuid()).collect();
        sql_query(statement)
            .bind::<Integer, _>(source.get())
            .bind::<Array<Text>, _>(kinds)
            .bind::<Array<SqlUuid>, _>(principals)
            .bind::<Array<SqlUuid>, _>(roles)
            .execute(connection)
            .await
            .doing("recording the known assignments")?;
    }
    groups::save(connection, source, stored, groups).await
}

/// People whose object could not be read, each with the reason.
pub(super) async fn unread_people(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<PersonId, Unread>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        person_id: Uuid,
        #[diesel(sql_type = Text)]
        unread: String,
        #[diesel(sql_type = Nullable<Text>)]
        unread_says: Option<String>,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT person_id, unread, unread_says FROM entra_sync.directory_unread_person \
         WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading who could not be read")?;
    rows.into_iter()
        .map(|row| {
            let place = "directory_unread_person.unread";
            let reason = unread::read(row.unread, row.unread_says, place)?;
            Ok((PersonId::new(row.person_id), reason))
        })
        .collect()
}

/// Makes these the people whose object could not be read, if they are others.
pub(super) async fn save_unread_people(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &BTreeMap<PersonId, Unread>,
) -> Result<()> {
    if unread_people(connection, source).await? == *people {
        return Ok(());
    }
    sql_query("DELETE FROM entra_sync.directory_unread_person WHERE source_id = $1")
        .bind::<Integer, _>(source.get())
        .execute(connection)
        .await
        .doing("forgetting who could not be read")?;
    let (words, sentences): (Vec<&str>, Vec<Option<String>>) =
        people.values().map(unread::columns).unzip();
    sql_query(
        "INSERT INTO entra_sync.directory_unread_person \
                (source_id, person_id, unread, unread_says) \
         SELECT $1, n.* FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(people.keys().map(PersonId::as_uuid).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(words)
    .bind::<Array<Nullable<Text>>, _>(sentences)
    .execute(connection)
    .await
    .doing("recording who could not be read")?;
    Ok(())
}
