//! Small changes of what is ours: what we blocked, deactivated or lowered.

use diesel::sql_types::{Array, Bool, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::ids::{GroupId, PersonId, SourceId, UserId};
use crate::model::ledger::{Lifted, Member, Origin, Ours, OwnedTeam, RoleFrom};
use crate::model::role::Role;

/// The two tables that say which rows people are, or were.
const ROWS: [&str; 2] = ["owned_user", "earlier_user"];

fn pairs(members: &[Member]) -> (Vec<Uuid>, Vec<&str>) {
    members
        .iter()
        .map(|member| (member.person.as_uuid(), member.user.as_str()))
        .unzip()
}

/// Whether the deactivation of these people's rows is ours. A row that is
/// deactivated now was active: what the ledger says of another person who was
/// the same row is over, or access would come back to the wrong one.
///
/// # Errors
/// When the database fails.
pub async fn mark_deactivated(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[Member],
    ours: Ours,
) -> Result<()> {
    let (people, users) = pairs(members);
    for table in ROWS {
        sql_query(format!(
            "UPDATE entra_sync.{table} SET deactivated_by_us = $4 AND (person_id, user_id) IN \
                 (SELECT * FROM unnest($2::uuid[], $3::text[])) \
             WHERE source_id = $1 AND ($4 AND deactivated_by_us AND user_id = ANY($3) \
                OR (person_id, user_id) IN (SELECT * FROM unnest($2::uuid[], $3::text[])))"
        ))
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(&people)
        .bind::<Array<Text>, _>(&users)
        .bind::<Bool, _>(ours == Ours::Yes)
        .execute(connection)
        .await
        .doing("marking deactivated people")?;
    }
    Ok(())
}

/// Deactivations that are ours no more.
///
/// # Errors
/// When the database fails.
pub async fn forget_deactivations(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[Member],
) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    let (people, users) = pairs(members);
    for table in ROWS {
        sql_query(format!(
            "UPDATE entra_sync.{table} o SET deactivated_by_us = false \
             FROM unnest($2::uuid[], $3::text[]) AS m (person_id, user_id) \
             WHERE o.source_id = $1 AND o.person_id = m.person_id AND o.user_id = m.user_id \
               AND o.deactivated_by_us"
        ))
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(&people)
        .bind::<Array<Text>, _>(&users)
        .execute(connection)
        .await
        .doing("forgetting deactivations")?;
    }
    Ok(())
}

/// Roles that are ours no more; one that has been written since stays.
///
/// # Errors
/// When the database fails.
pub async fn forget_roles(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    roles: &[(Member, Role)],
) -> Result<()> {
    if roles.is_empty() {
        return Ok(());
    }
    let people: Vec<Uuid> = roles.iter().map(|(m, _)| m.person.as_uuid()).collect();
    let users: Vec<&str> = roles.iter().map(|(m, _)| m.user.as_str()).collect();
    let were: Vec<&str> = roles.iter().map(|(_, role)| role.as_str()).collect();
    for table in ROWS {
        sql_query(format!(
            "UPDATE entra_sync.{table} o SET role = NULL, role_assigned = false \
             FROM unnest($2::uuid[], $3::text[], $4::text[]) AS m (person_id, user_id, role) \
             WHERE o.source_id = $1 AND o.person_id = m.person_id AND o.user_id = m.user_id \
               AND o.role = m.role"
        ))
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(&people)
        .bind::<Array<Text>, _>(&users)
        .bind::<Array<Text>, _>(&were)
        .execute(connection)
        .await
        .doing("forgetting roles")?;
    }
    Ok(())
}

/// Whether a team's blocking is ours.
///
/// # Errors
/// When the database fails.
pub async fn mark_blocked(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    group: GroupId,
    ours: Ours,
) -> Result<()> {
    sql_query(
        "UPDATE entra_sync.owned_team SET blocked_by_us = $3, block_lifted = false \
         WHERE source_id = $1 AND group_id = $2",
    )
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(group.as_uuid())
    .bind::<Bool, _>(ours == Ours::Yes)
    .execute(connection)
    .await
    .doing("marking a blocked team")?;
    Ok(())
}

/// Blocks of teams that are ours no more, and whether a person ended them.
///
/// # Errors
/// When the database fails.
pub async fn forget_blocks(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    blocks: &[(GroupId, Lifted)],
) -> Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    let lifted = |(_, lifted): &(GroupId, Lifted)| *lifted == Lifted::Yes;
    sql_query(
        "UPDATE entra_sync.owned_team o SET blocked_by_us = false, block_lifted = b.lifted \
         FROM unnest($2::uuid[], $3::bool[]) AS b (group_id, lifted) \
         WHERE o.source_id = $1 AND o.group_id = b.group_id",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(
        blocks
            .iter()
            .map(|(id, _)| id.as_uuid())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(blocks.iter().map(lifted).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("forgetting blocks")?;
    Ok(())
}

/// These teams are no longer ours. What is managed in them is another matter.
///
/// # Errors
/// When the database fails.
pub async fn forget_teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    groups: &[GroupId],
) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    sql_query("DELETE FROM entra_sync.owned_team WHERE source_id = $1 AND group_id = ANY($2)")
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(groups.iter().map(GroupId::as_uuid).collect::<Vec<_>>())
        .execute(connection)
        .await
        .doing("forgetting teams that are gone")?;
    Ok(())
}

/// The role we last wrote, and what gives it.
///
/// # Errors
/// When the database fails.
pub async fn mark_role(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    person: PersonId,
    (role, from): (Role, RoleFrom),
) -> Result<()> {
    sql_query(
        "UPDATE entra_sync.owned_user SET role = $3, role_assigned = $4 \
         WHERE source_id = $1 AND person_id = $2",
    )
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(person.as_uuid())
    .bind::<Text, _>(role.as_str())
    .bind::<Bool, _>(from == RoleFrom::Assignment)
    .execute(connection)
    .await
    .doing("marking a lowered role")?;
    Ok(())
}

/// What the ledger held of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenTeam {
    /// The team, if it was ours.
    pub team: Option<OwnedTeam>,
    /// Its managed members.
    pub members: Vec<ManagedMember>,
}

/// A managed member of a team, with the row that stands for the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedMember {
    /// Who.
    pub person: PersonId,
    /// The row.
    pub user: UserId,
    /// How the membership came to be ours.
    pub origin: Origin,
}

/// A team that is no more, with its managed members. Returns what was held.
///
/// # Errors
/// When the database fails or a newer version wrote the ledger.
pub async fn forget_team(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    group: GroupId,
) -> Result<ForgottenTeam> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        person_id: Uuid,
        #[diesel(sql_type = Text)]
        user_id: String,
        #[diesel(sql_type = Bool)]
        adopted: bool,
    }
    let team = super::load::team(connection, source, group).await?;
    let members: Vec<Row> = sql_query(
        "DELETE FROM entra_sync.owned_team_member WHERE source_id = $1 AND group_id = $2 \
         RETURNING person_id, user_id, adopted",
    )
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(group.as_uuid())
    .load(connection)
    .await
    .doing("forgetting members of a team")?;
    sql_query("DELETE FROM entra_sync.owned_team WHERE source_id = $1 AND group_id = $2")
        .bind::<Integer, _>(source.get())
        .bind::<SqlUuid, _>(group.as_uuid())
        .execute(connection)
        .await
        .doing("forgetting a team")?;
    let mut members: Vec<ManagedMember> = members
        .into_iter()
        .map(|row| ManagedMember {
            person: PersonId::new(row.person_id),
            user: UserId::new(row.user_id),
            origin: if row.adopted {
                Origin::Adopted
            } else {
                Origin::Created
            },
        })
        .collect();
    members.sort_by(|a, b| (a.person, &a.user).cmp(&(b.person, &b.user)));
    Ok(ForgottenTeam { team, members })
}
