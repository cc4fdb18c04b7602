//! Records what has just been written or adopted, inside the transaction that
//! did it.

use diesel::sql_types::{Array, Bool, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::ids::{GroupId, PersonId, RunId, SourceId, UserId};
use crate::model::ledger::{
    LastWritten, Member, Origin, Ours, OwnedOrganization, OwnedTeam, OwnedUser, Placement, RoleFrom,
};

fn parts<T: Clone>(last: &LastWritten<T>) -> (bool, Option<T>) {
    match last {
        LastWritten::Never => (false, None),
        LastWritten::Null => (true, None),
        LastWritten::Value(value) => (true, Some(value.clone())),
    }
}

/// Writes these teams' ledger rows as they are now.
///
/// # Errors
/// When the database fails.
pub async fn record_teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    run: RunId,
    teams: &[(GroupId, OwnedTeam)],
) -> Result<()> {
    if teams.is_empty() {
        return Ok(());
    }
    // unnest flattens arrays of arrays, so the model lists travel as JSON.
    let models: Vec<Option<Value>> = teams
        .iter()
        .map(|(_, team)| parts(&team.models).1.map(Value::from))
        .collect();
    sql_query(
        "INSERT INTO entra_sync.owned_team \
         (source_id, group_id, origin, alias_written, alias, models_written, models, \
          awaits_organization, blocked_by_us, run_id) \
         SELECT $1, t.group_id, t.origin, t.alias_written, t.alias, t.models_written, \
                CASE WHEN t.models IS NOT NULL THEN \
                    ARRAY(SELECT jsonb_array_elements_text(t.models)) END, \
                t.awaits_organization, t.blocked, $2 \
         FROM unnest($3::uuid[], $4::text[], $5::bool[], $6::text[], $7::bool[], $8::jsonb[], \
                     $9::bool[], $10::bool[]) \
              AS t (group_id, origin, alias_written, alias, models_written, models, \
                    awaits_organization, blocked) \
         ON CONFLICT (source_id, group_id) DO UPDATE SET \
            origin = excluded.origin, alias_written = excluded.alias_written, \
            alias = excluded.alias, models_written = excluded.models_written, \
            models = excluded.models, awaits_organization = excluded.awaits_organization, \
            run_id = excluded.run_id",
    )
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Array<SqlUuid>, _>(teams.iter().map(|(id, _)| id.as_uuid()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(
        teams
            .iter()
            .map(|(_, t)| t.origin.as_str())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        teams
            .iter()
            .map(|(_, t)| parts(&t.alias).0)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(
        teams
            .iter()
            .map(|(_, t)| parts(&t.alias).1)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        teams
            .iter()
            .map(|(_, t)| parts(&t.models).0)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Jsonb>>, _>(models)
    .bind::<Array<Bool>, _>(
        teams
            .iter()
            .map(|(_, t)| t.placement == Placement::AwaitsOrganization)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        teams
            .iter()
            .map(|(_, t)| t.block == Ours::Yes)
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing("recording owned teams")?;
    Ok(())
}

/// Writes these organizations' ledger rows as they are now.
///
/// # Errors
/// When the database fails.
pub async fn record_organizations(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    run: RunId,
    organizations: &[(GroupId, OwnedOrganization)],
) -> Result<()> {
    if organizations.is_empty() {
        return Ok(());
    }
    let (ids, rest): (Vec<Uuid>, Vec<&OwnedOrganization>) = organizations
        .iter()
        .map(|(id, organization)| (id.as_uuid(), organization))
        .unzip();
    sql_query(
        "INSERT INTO entra_sync.owned_organization \
         (source_id, group_id, origin, alias_written, alias, run_id) \
         SELECT $1, o.group_id, o.origin, o.alias_written, o.alias, $2 \
         FROM unnest($3::uuid[], $4::text[], $5::bool[], $6::text[]) \
              AS o (group_id, origin, alias_written, alias) \
         ON CONFLICT (source_id, group_id) DO UPDATE SET \
            origin = excluded.origin, alias_written = excluded.alias_written, \
            alias = excluded.alias, run_id = excluded.run_id",
    )
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Text>, _>(rest.iter().map(|o| o.origin.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rest.iter().map(|o| parts(&o.alias).0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(rest.iter().map(|o| parts(&o.alias).1).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("recording owned organizations")?;
    Ok(())
}

/// Writes these people's ledger rows as they are now.
///
/// # Errors
/// When the database fails.
pub async fn record_users(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    run: RunId,
    users: &[(PersonId, OwnedUser)],
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let (ids, rest): (Vec<Uuid>, Vec<&OwnedUser>) =
        users.iter().map(|(id, user)| (id.as_uuid(), user)).unzip();
    keep_earlier(connection, source, &ids, &rest).await?;
    sql_query(
        "INSERT INTO entra_sync.owned_user \
         (source_id, person_id, user_id, origin, alias_written, alias, email_written, email, \
          role, role_assigned, subject, deactivated_by_us, run_id) \
         SELECT $1, u.person_id, u.user_id, u.origin, u.alias_written, u.alias, u.email_written, \
                u.email, u.role, u.assigned, u.subject, u.deactivated, $2 \
         FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::bool[], \
                     $9::text[], $10::text[], $11::bool[], $12::bool[], $13::text[]) \
              AS u (person_id, user_id, origin, alias_written, alias, email_written, email, role, \
                    deactivated, assigned, subject) \
         ON CONFLICT (source_id, person_id) DO UPDATE SET \
            user_id = excluded.user_id, origin = excluded.origin, \
            alias_written = excluded.alias_written, alias = excluded.alias, \
            email_written = excluded.email_written, email = excluded.email, \
            role = excluded.role, role_assigned = excluded.role_assigned, \
            subject = excluded.subject, \
            deactivated_by_us = CASE WHEN owned_user.user_id = excluded.user_id \
                THEN owned_user.deactivated_by_us ELSE excluded.deactivated_by_us END, \
            run_id = excluded.run_id",
    )
    .bind::<Integer, _>(source.get())
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Text>, _>(rest.iter().map(|u| u.user.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rest.iter().map(|u| u.origin.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(rest.iter().map(|u| parts(&u.alias).0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(
        rest.iter()
            .map(|u| parts(&u.alias).1.map(String::from))
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(rest.iter().map(|u| parts(&u.email).0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(
        rest.iter()
            .map(|u| parts(&u.email).1.map(String::from))
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(
        rest.iter()
            .map(|u| u.role.map(|r| r.as_str()))
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        rest.iter()
            .map(|u| u.deactivation == Ours::Yes)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        rest.iter()
            .map(|u| u.role_from == RoleFrom::Assignment)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(
        rest.iter()
            .map(|u| u.subject.as_ref().map(UserId::as_str))
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing("recording known people")?;
    Ok(())
}

/// Remembers rows that people are about to be no more: the person may still be
/// able to log in as them. One that is theirs again is no earlier one.
async fn keep_earlier(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[Uuid],
    now: &[&OwnedUser],
) -> Result<()> {
    const COLUMNS: &str = "source_id, person_id, user_id, origin, alias_written, alias, \
         email_written, email, role, role_assigned, subject, deactivated_by_us";
    let users: Vec<&str> = now.iter().map(|user| user.user.as_str()).collect();
    // Person by person, by the key: a first pass fills the table faster than
    // PostgreSQL counts it, and the planner would read the whole for each batch.
    let statements = [
        format!(
            "INSERT INTO entra_sync.earlier_user ({COLUMNS}) \
             SELECT {COLUMNS} FROM unnest($2::uuid[], $3::text[]) AS now (now_person, now_id), \
                LATERAL (SELECT * FROM entra_sync.owned_user \
                    WHERE source_id = $1 AND person_id = now_person OFFSET 0) was \
             WHERE user_id <> now_id \
             ON CONFLICT (source_id, person_id, user_id) DO UPDATE SET \
                role = excluded.role, role_assigned = excluded.role_assigned, \
                subject = excluded.subject, deactivated_by_us = excluded.deactivated_by_us"
        ),
        "DELETE FROM entra_sync.earlier_user o \
         USING unnest($2::uuid[], $3::text[]) AS now (person_id, user_id) \
         WHERE o.source_id = $1 AND o.person_id = now.person_id AND o.user_id = now.user_id"
            .to_owned(),
    ];
    for statement in statements {
        sql_query(statement)
            .bind::<Integer, _>(source.get())
            .bind::<Array<SqlUuid>, _>(people)
            .bind::<Array<Text>, _>(&users)
            .execute(connection)
            .await
            .doing("recording the rows that people were")?;
    }
    Ok(())
}

/// A managed membership: which group's, whose, and how it came to be ours.
pub type Membership = (GroupId, Member, Origin);

/// Records managed team members; one already recorded keeps its origin.
///
/// # Errors
/// When the database fails.
pub async fn record_team_members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[Membership],
) -> Result<()> {
    record_members(connection, source, members, "owned_team_member").await
}

/// Records managed organization members; one already recorded keeps its origin.
///
/// # Errors
/// When the database fails.
pub async fn record_organization_members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[Membership],
) -> Result<()> {
    record_members(connection, source, members, "owned_organization_member").await
}

async fn record_members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[Membership],
    table: &str,
) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    sql_query(format!(
        "INSERT INTO entra_sync.{table} (source_id, group_id, person_id, user_id, adopted) \
         SELECT $1, m.group_id, m.person_id, m.user_id, m.adopted \
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bool[]) \
              AS m (group_id, person_id, user_id, adopted) \
         ON CONFLICT (source_id, group_id, person_id, user_id) DO NOTHING"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(
        members
            .iter()
            .map(|(group, _, _)| group.as_uuid())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<SqlUuid>, _>(
        members
            .iter()
            .map(|(_, member, _)| member.person.as_uuid())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(
        members
            .iter()
            .map(|(_, member, _)| member.user.as_str())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        members
            .iter()
            .map(|(_, _, origin)| *origin == Origin::Adopted)
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing("recording owned memberships")?;
    Ok(())
}

/// These team memberships are no longer ours. Returns those that were.
///
/// # Errors
/// When the database fails.
pub async fn forget_team_members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[(GroupId, Member)],
) -> Result<Vec<Membership>> {
    forget_members(connection, source, members, "owned_team_member").await
}

/// These organization memberships are no longer ours. Returns those that were.
///
/// # Errors
/// When the database fails.
pub async fn forget_organization_members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[(GroupId, Member)],
) -> Result<Vec<Membership>> {
    forget_members(connection, source, members, "owned_organization_member").await
}

#[derive(QueryableByName)]
struct Forgotten {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Bool)]
    adopted: bool,
}

async fn forget_members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    members: &[(GroupId, Member)],
    table: &str,
) -> Result<Vec<Membership>> {
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let (groups, people): (Vec<Uuid>, Vec<Uuid>) = members
        .iter()
        .map(|(group, member)| (group.as_uuid(), member.person.as_uuid()))
        .unzip();
    let users: Vec<&str> = members.iter().map(|(_, m)| m.user.as_str()).collect();
    let forgotten: Vec<Forgotten> = sql_query(format!(
        "DELETE FROM entra_sync.{table} o \
         USING unnest($2::uuid[], $3::uuid[], $4::text[]) AS m (group_id, person_id, user_id) \
         WHERE o.source_id = $1 AND o.group_id = m.group_id AND o.person_id = m.person_id \
           AND o.user_id = m.user_id \
         RETURNING o.group_id, o.person_id, o.user_id, o.adopted"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(groups)
    .bind::<Array<SqlUuid>, _>(people)
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing("forgetting memberships")?;
    Ok(forgotten
        .into_iter()
        .map(|row| {
            let origin = if row.adopted {
                Origin::Adopted
            } else {
                Origin::Created
            };
            let member = Member {
                user: UserId::new(row.user_id),
                person: PersonId::new(row.person_id),
            };
            (GroupId::new(row.group_id), member, origin)
        })
        .collect())
}
