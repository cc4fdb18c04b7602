//! Team memberships: three copies, changed together under LiteLLM's team lock
//! (litellm-contract 2d and 5).

use diesel::sql_types::{Array, Double, Jsonb, Nullable, Text, Timestamp};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Error, Result};
use super::users;
use super::writing::{ACTOR, Insert, Writing};
use crate::db::QueryContext;
use crate::model::ids::{TeamId, UserId};
use crate::model::target::TeamRole;

/// What became of members that were to be added or mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ensured {
    /// They were not on the roster and are now.
    pub joined: Vec<String>,
    /// They have no user row any more: nothing was written for them.
    pub without_row: Vec<String>,
}

/// What stands in the way of a team's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ensured(Ensured),
    /// The team is gone; nothing was written.
    TeamGone,
}

/// On what terms members join.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Their role in the team.
    pub role: TeamRole,
    /// `max_budget_in_team`, US dollars: a budget row of the member's own.
    pub own_budget: Option<f64>,
}

impl Terms {
    /// As a member of a group joins its team.
    pub const MEMBER: Self = Self {
        role: TeamRole::User,
        own_budget: None,
    };
}

/// Takes LiteLLM's own lock on a team's roster, for this transaction.
///
/// # Errors
/// When it is not granted within the transaction's lock limit.
pub async fn lock_team(connection: &mut AsyncPgConnection, team: &TeamId) -> Result<()> {
    sql_query("SELECT pg_advisory_xact_lock(hashtext($1))")
        .bind::<Text, _>(team.as_str())
        .execute(connection)
        .await
        .doing(format!("waiting for LiteLLM's lock on team {team}"))
        .map_err(|source| {
            if source.is_lock_timeout() {
                let team = team.to_string();
                Error::TeamLocked { team, source }
            } else {
                source.into()
            }
        })?;
    Ok(())
}

#[derive(QueryableByName)]
struct Team {
    #[diesel(sql_type = Nullable<Text>)]
    shared_budget: Option<String>,
    #[diesel(sql_type = Array<Text>)]
    member_models: Vec<String>,
}

/// Puts users on the roster, into their `teams` and into TeamMembership, each
/// where it is missing; what is there stays as it is. The team's lock must be
/// held.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn ensure(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    members: &[&UserId],
    terms: Terms,
) -> Result<Outcome> {
    let Some(row) = read_team(connection, writing, team).await? else {
        return Ok(Outcome::TeamGone);
    };
    let wanted: Vec<&str> = members.iter().map(|user| user.as_str()).collect();
    let present = users::lock(connection, &wanted).await?;
    let without_row = if present.len() == wanted.len() {
        Vec::new()
    } else {
        wanted
            .iter()
            .filter(|user| !present.iter().any(|there| there == **user))
            .map(|user| (*user).to_owned())
            .collect()
    };
    append_to_users(connection, writing, team, &present).await?;
    insert_memberships(connection, writing, team, &row, &present, terms.own_budget).await?;
    let joined = append_to_roster(connection, writing, team, &present, terms.role).await?;
    Ok(Outcome::Ensured(Ensured {
        joined,
        without_row,
    }))
}

async fn read_team(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
) -> Result<Option<Team>> {
    let models = if writing
        .capabilities
        .has("LiteLLM_TeamTable", "default_team_member_models")
    {
        "coalesce(default_team_member_models, '{}')"
    } else {
        "'{}'::text[]"
    };
    Ok(sql_query(format!(
        "SELECT (SELECT b.budget_id FROM \"LiteLLM_BudgetTable\" b \
                 WHERE b.budget_id = t.metadata ->> 'team_member_budget_id') AS shared_budget, \
                {models} AS member_models \
         FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = $1"
    ))
    .bind::<Text, _>(team.as_str())
    .get_result(connection)
    .await
    .optional()
    .doing(format!("reading team {team} again under its lock"))?)
}

/// Without COALESCE a NULL array would make the guard NULL and the row be
/// passed over for ever (litellm-contract 5).
async fn append_to_users(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    users: &[String],
) -> Result<()> {
    sql_query(
        "UPDATE \"LiteLLM_UserTable\" \
         SET teams = array_append(COALESCE(teams, '{}'), $1), updated_at = $3 \
         WHERE user_id = ANY($2) AND NOT ($1 = ANY(COALESCE(teams, '{}')))",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(users)
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing(format!("adding team {team} to its members"))?;
    Ok(())
}

async fn insert_memberships(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    row: &Team,
    users: &[String],
    own_budget: Option<f64>,
) -> Result<()> {
    if own_budget.is_none() && row.member_models.is_empty() {
        sql_query(
            "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id, budget_id) \
             SELECT n.user_id, $1, $3 FROM unnest($2::text[]) AS n (user_id) \
             ON CONFLICT (user_id, team_id) DO NOTHING",
        )
        .bind::<Text, _>(team.as_str())
        .bind::<Array<Text>, _>(users)
        .bind::<Nullable<Text>, _>(row.shared_budget.as_deref())
        .execute(connection)
        .await
        .doing(format!("inserting memberships of team {team}"))?;
        return Ok(());
    }
    // A limit of the member's own means a budget row of the member's own
    // (litellm-contract 2d). Both inserts are one statement, so the reference
    // is checked when both rows are there.
    let budgets = Insert::into("LiteLLM_BudgetTable", writing.capabilities)
        .columns(&[
            ("budget_id", "f.budget_id"),
            ("max_budget", "$3"),
            ("allowed_models", "$4"),
            ("created_at", "$5"),
            ("created_by", "$6"),
            ("updated_at", "$5"),
            ("updated_by", "$6"),
        ])
        .select("FROM fresh f");
    sql_query(format!(
        "WITH fresh AS MATERIALIZED ( \
            SELECT n.user_id, gen_random_uuid()::text AS budget_id \
            FROM unnest($2::text[]) AS n (user_id) \
            WHERE NOT EXISTS (SELECT FROM \"LiteLLM_TeamMembership\" m \
                              WHERE m.user_id = n.user_id AND m.team_id = $1)), \
         budgets AS ({budgets}) \
         INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id, budget_id) \
         SELECT f.user_id, $1, f.budget_id FROM fresh f"
    ))
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(users)
    .bind::<Nullable<Double>, _>(own_budget)
    .bind::<Array<Text>, _>(&row.member_models)
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(ACTOR)
    .execute(connection)
    .await
    .doing(format!(
        "inserting memberships with own budgets of team {team}"
    ))?;
    Ok(())
}

/// Appends on the server, under the lock, to what the column holds now: a
/// roster of a hundred thousand need not travel. `'{}'` (the column's default)
/// counts as an empty list; `||` would make an invalid entry of it. A string
/// that holds the list, which LiteLLM's readers take, becomes the list. What is
/// no roster fails, so that nothing is lost of it.
async fn append_to_roster(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    users: &[String],
    role: TeamRole,
) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Joined {
        #[diesel(sql_type = Array<Text>)]
        users: Vec<String>,
    }
    let joined: Option<Joined> = sql_query(
        "WITH roster AS MATERIALIZED ( \
            SELECT CASE WHEN jsonb_typeof(t.members_with_roles) = 'string' \
                            THEN (t.members_with_roles #>> '{}')::jsonb \
                        WHEN t.members_with_roles = '{}' THEN $4 \
                        ELSE t.members_with_roles END AS list \
            FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = $1), \
         present AS MATERIALIZED ( \
            SELECT e ->> 'user_id' AS user_id FROM roster, jsonb_array_elements(roster.list) AS e), \
         fresh AS MATERIALIZED ( \
            SELECT u.user_id, u.user_email FROM \"LiteLLM_UserTable\" u \
            WHERE u.user_id = ANY($2) \
              AND NOT EXISTS (SELECT FROM present p WHERE p.user_id = u.user_id)), \
         entries AS ( \
            SELECT jsonb_agg(jsonb_build_object('user_id', f.user_id, 'user_email', f.user_email, \
                                                'role', $5) ORDER BY f.user_id COLLATE \"C\") \
                       AS list, \
                   array_agg(f.user_id ORDER BY f.user_id COLLATE \"C\") AS users \
            FROM fresh f) \
         UPDATE \"LiteLLM_TeamTable\" t \
         SET members_with_roles = roster.list || entries.list, updated_at = $3 \
         FROM entries, roster WHERE t.team_id = $1 AND entries.list IS NOT NULL \
         RETURNING entries.users AS users",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(users)
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Jsonb, _>(serde_json::json!([]))
    .bind::<Text, _>(match role {
        TeamRole::User => "user",
        TeamRole::Admin => "admin",
    })
    .get_result(connection)
    .await
    .optional()
    .doing(format!("writing the roster of team {team}"))?;
    Ok(joined.map_or_else(Vec::new, |row| row.users))
}
