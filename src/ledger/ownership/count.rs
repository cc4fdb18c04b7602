//! How much is owned, without loading it.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{Array, BigInt, Integer, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::ids::{GroupId, PersonId, SourceId};
use crate::model::ledger::ManagedCounts;

/// How much is owned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, QueryableByName)]
#[expect(
    missing_docs,
    reason = "each field is the number of objects its name says"
)]
pub struct Extent {
    #[diesel(sql_type = BigInt)]
    pub teams: i64,
    #[diesel(sql_type = BigInt)]
    pub organizations: i64,
    #[diesel(sql_type = BigInt)]
    pub users: i64,
    #[diesel(sql_type = BigInt)]
    pub team_memberships: i64,
    #[diesel(sql_type = BigInt)]
    pub organization_memberships: i64,
}

/// Counts what is owned for this source.
///
/// # Errors
/// When the database fails.
pub async fn extent(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Extent> {
    Ok(sql_query(
        "SELECT \
         (SELECT count(*) FROM entra_sync.owned_team WHERE source_id = $1) AS teams, \
         (SELECT count(*) FROM entra_sync.owned_organization WHERE source_id = $1) \
            AS organizations, \
         (SELECT count(*) FROM entra_sync.owned_user WHERE source_id = $1) AS users, \
         (SELECT count(*) FROM entra_sync.owned_team_member WHERE source_id = $1) \
            AS team_memberships, \
         (SELECT count(*) FROM entra_sync.owned_organization_member WHERE source_id = $1) \
            AS organization_memberships",
    )
    .bind::<Integer, _>(source.get())
    .get_result(connection)
    .await
    .doing("counting what we own")?)
}

/// Counts what the guard weighs removals against.
///
/// # Errors
/// When the database fails.
pub async fn counts(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    recent: &BTreeSet<PersonId>,
) -> Result<ManagedCounts> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        organization_members: i64,
        #[diesel(sql_type = BigInt)]
        people: i64,
        #[diesel(sql_type = BigInt)]
        people_with_access: i64,
    }
    #[derive(QueryableByName)]
    struct OfGroup {
        #[diesel(sql_type = SqlUuid)]
        group_id: Uuid,
        #[diesel(sql_type = BigInt)]
        members: i64,
    }
    let row: Row = sql_query(
        "SELECT \
         (SELECT count(*) FROM entra_sync.owned_organization_member WHERE source_id = $1) \
            AS organization_members, \
         count(*) AS people, \
         count(*) FILTER (WHERE NOT deactivated_by_us AND person_id <> ALL($2)) \
            AS people_with_access \
         FROM entra_sync.owned_user WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(recent.iter().map(PersonId::as_uuid).collect::<Vec<_>>())
    .get_result(connection)
    .await
    .doing("counting who is managed")?;
    let groups: Vec<OfGroup> = sql_query(
        "SELECT group_id, count(*) AS members FROM entra_sync.owned_team_member \
         WHERE source_id = $1 GROUP BY group_id",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("counting who is managed in each team")?;
    let of_team: BTreeMap<GroupId, u64> = groups
        .into_iter()
        .map(|row| (GroupId::new(row.group_id), row.members.unsigned_abs()))
        .collect();
    Ok(ManagedCounts {
        team_members: of_team.values().sum(),
        of_team,
        organization_members: row.organization_members.unsigned_abs(),
        people: row.people.unsigned_abs(),
        people_with_access: row.people_with_access.unsigned_abs(),
    })
}
