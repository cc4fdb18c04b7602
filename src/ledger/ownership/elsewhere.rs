//! What other sources of this ledger manage as well.
//!
//! Invariant: a ledger of one source is asked nothing about others: every
//! question begins with their rows of `source`, and there are none.

use std::collections::{BTreeSet, HashMap, HashSet};

use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::ids::{GroupId, PersonId, ServicePrincipalId, SourceId, UserId};
use crate::model::ledger::{Elsewhere, Stay};

const DOING: &str = "reading what other sources manage";

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = Text)]
    user_id: String,
}

#[derive(QueryableByName)]
struct GroupRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Bool)]
    unwanted: bool,
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    user_id: String,
}

/// Rows of people in other sources than $1, now or before, and whether that
/// source wants them gone.
const PEOPLE: &str = "FROM entra_sync.source s JOIN ( \
        SELECT source_id, user_id, unwanted FROM entra_sync.owned_user \
        UNION ALL \
        SELECT e.source_id, e.user_id, coalesce(o.unwanted, false) \
        FROM entra_sync.earlier_user e \
             LEFT JOIN entra_sync.owned_user o USING (source_id, person_id) \
     ) h USING (source_id) WHERE s.source_id <> $1";

/// Of what this source manages, what others do too; `None` when there is no
/// other.
pub(super) async fn load(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<Option<Elsewhere>> {
    #[derive(QueryableByName)]
    struct Others {
        #[diesel(sql_type = BigInt)]
        others: i64,
    }
    let found: Others =
        sql_query("SELECT count(*) AS others FROM entra_sync.source WHERE source_id <> $1")
            .bind::<Integer, _>(source.get())
            .get_result(connection)
            .await
            .doing(DOING)?;
    if found.others == 0 {
        return Ok(None);
    }
    held(connection, source, &[]).await.map(Some)
}

/// Tells what of this is held by sources that somebody's settings name: these
/// settings, or those of a daemon that runs.
///
/// # Errors
/// When the database fails.
pub async fn tell_named(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    settings: &[ServicePrincipalId],
    elsewhere: &mut Elsewhere,
) -> Result<()> {
    #[derive(QueryableByName)]
    struct Unnamed {
        #[diesel(sql_type = Integer)]
        source_id: i32,
    }
    let settings: Vec<Uuid> = settings.iter().map(ServicePrincipalId::as_uuid).collect();
    let unnamed: Vec<Unnamed> = sql_query(
        "SELECT source_id FROM entra_sync.source s \
         WHERE source_id <> $1 AND service_principal_id <> ALL ($2) \
           AND NOT EXISTS (SELECT FROM entra_sync.replica r \
                           WHERE r.expires_at > clock_timestamp() \
                             AND lower(s.tenant) || '/' || s.service_principal_id \
                                 = ANY (r.sources))",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(settings)
    .load(connection)
    .await
    .doing(DOING)?;
    let unnamed: Vec<i32> = unnamed.into_iter().map(|row| row.source_id).collect();
    elsewhere.named = match unnamed.is_empty() {
        true => None,
        false => Some(Box::new(held(connection, source, &unnamed).await?)),
    };
    Ok(())
}

/// What other sources manage too, but for some of them.
async fn held(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    without: &[i32],
) -> Result<Elsewhere> {
    let teams: Vec<GroupRow> = sql_query(
        "SELECT DISTINCT o.group_id FROM entra_sync.owned_team o \
         JOIN entra_sync.owned_team m ON m.source_id = $1 AND m.group_id = o.group_id \
         WHERE o.source_id <> $1 AND o.source_id <> ALL ($2)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<Integer>, _>(without)
    .load(connection)
    .await
    .doing(DOING)?;
    let users: Vec<UserRow> = sql_query(format!(
        "SELECT h.user_id, bool_and(h.unwanted) AS unwanted {PEOPLE} \
         AND s.source_id <> ALL ($2) AND h.user_id IN ( \
            SELECT user_id FROM entra_sync.owned_user WHERE source_id = $1 \
            UNION ALL SELECT user_id FROM entra_sync.earlier_user WHERE source_id = $1) \
         GROUP BY h.user_id"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<Integer>, _>(without)
    .load(connection)
    .await
    .doing(DOING)?;
    Ok(Elsewhere {
        team_members: members(connection, source, without, "owned_team_member").await?,
        organization_members: members(connection, source, without, "owned_organization_member")
            .await?,
        teams: teams
            .into_iter()
            .map(|row| GroupId::new(row.group_id))
            .collect::<BTreeSet<_>>(),
        users: users
            .into_iter()
            .map(|row| {
                let stay = match row.unwanted {
                    true => Stay::Unwanted,
                    false => Stay::Wanted,
                };
                (UserId::new(row.user_id), stay)
            })
            .collect::<HashMap<_, _>>(),
        named: None,
    })
}

async fn members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    without: &[i32],
    table: &str,
) -> Result<HashSet<(GroupId, UserId)>> {
    let rows: Vec<MemberRow> = sql_query(format!(
        "SELECT DISTINCT o.group_id, o.user_id FROM entra_sync.{table} o \
         JOIN entra_sync.{table} m \
              ON m.source_id = $1 AND m.group_id = o.group_id AND m.user_id = o.user_id \
         WHERE o.source_id <> $1 AND o.source_id <> ALL ($2)"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<Integer>, _>(without)
    .load(connection)
    .await
    .doing(DOING)?;
    let pair = |row: MemberRow| (GroupId::new(row.group_id), UserId::new(row.user_id));
    Ok(rows.into_iter().map(pair).collect())
}

/// Which of these members of a group's team other sources manage by now: one
/// of them may have begun to since the plan was made.
///
/// # Errors
/// When the database fails.
pub async fn team_members_held_elsewhere(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    group: GroupId,
    users: &[&UserId],
) -> Result<HashSet<UserId>> {
    members_held(connection, source, (group, users), "owned_team_member").await
}

/// The same of a group's organization.
///
/// # Errors
/// When the database fails.
pub async fn organization_members_held_elsewhere(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    group: GroupId,
    users: &[&UserId],
) -> Result<HashSet<UserId>> {
    let of = (group, users);
    members_held(connection, source, of, "owned_organization_member").await
}

async fn members_held(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    (group, users): (GroupId, &[&UserId]),
    table: &str,
) -> Result<HashSet<UserId>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    // By the primary key of each other source: joined otherwise, a planner that
    // takes sources for many reads everybody's memberships, with every team.
    let rows: Vec<NameRow> = sql_query(format!(
        "SELECT m.user_id FROM entra_sync.source s, LATERAL ( \
            SELECT user_id FROM entra_sync.{table} \
            WHERE source_id = s.source_id AND group_id = $2 AND user_id = ANY ($3) OFFSET 0) m \
         WHERE s.source_id <> $1"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(group.as_uuid())
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing(DOING)?;
    Ok(rows
        .into_iter()
        .map(|row| UserId::new(row.user_id))
        .collect())
}

/// Notes whom this source would deactivate, and nobody else any more, `among`
/// those a pass looked at: others that manage the same rows then need not spare
/// them for its sake. Returns who was not noted before.
///
/// # Errors
/// When the database fails.
pub async fn note_unwanted(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[PersonId],
    among: Option<&BTreeSet<PersonId>>,
) -> Result<Vec<PersonId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        person_id: Uuid,
        #[diesel(sql_type = Bool)]
        unwanted: bool,
    }
    let uuids = |people: &mut dyn Iterator<Item = &PersonId>| -> Vec<Uuid> {
        people.map(PersonId::as_uuid).collect()
    };
    let noted: Vec<Row> = sql_query(
        "UPDATE entra_sync.owned_user SET unwanted = (person_id = ANY ($2)) \
         WHERE source_id = $1 AND unwanted <> (person_id = ANY ($2)) \
           AND ($3 IS NULL OR person_id = ANY ($3)) RETURNING person_id, unwanted",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(uuids(&mut people.iter()))
    .bind::<Nullable<Array<SqlUuid>>, _>(among.map(|among| uuids(&mut among.iter())))
    .load(connection)
    .await
    .doing("noting whom this source does not want")?;
    let noted = noted.into_iter().filter(|row| row.unwanted);
    Ok(noted.map(|row| PersonId::new(row.person_id)).collect())
}

/// Which of these rows other sources manage by now, for people whom they do not
/// want gone.
///
/// # Errors
/// When the database fails.
pub async fn users_wanted_elsewhere(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    users: &[&UserId],
) -> Result<HashSet<UserId>> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let rows: Vec<NameRow> = sql_query(format!(
        "SELECT h.user_id {PEOPLE} AND NOT h.unwanted AND h.user_id = ANY ($2)"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing(DOING)?;
    Ok(rows
        .into_iter()
        .map(|row| UserId::new(row.user_id))
        .collect())
}
