//! Rows of `LiteLLM_TeamTable`, made as LiteLLM's login makes a team from a
//! group (litellm-contract 2a), with the rows that belong to one.

mod belongings;
mod delete;
mod restore;

use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use super::audit::{self, Audit};
use super::error::Result;
use super::members::{lock_team, try_lock_teams};
use super::organizations::Found;
use super::writing::{Insert, Writing};
use crate::db::QueryContext;
use crate::model::defaults::TeamDefaults;
use crate::model::ids::{OrganizationId, TeamId};
use belongings::Belongings;
pub use delete::{Deletion, TakenTeam, delete, set_blocked};
pub use restore::{RestoredTeam, TeamRestoration, restore};

/// A team to insert.
#[derive(Debug, Clone)]
pub struct NewTeam<'a> {
    /// `team_id`.
    pub team: TeamId,
    /// `team_alias`.
    pub alias: Option<&'a str>,
    /// `organization_id`.
    pub organization: Option<&'a OrganizationId>,
    /// `models`; `None` takes those of the defaults.
    pub models: Option<&'a [String]>,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

/// What became of teams to insert.
#[derive(Debug, Default)]
pub struct InsertedTeams {
    /// Ids of those that were not there.
    pub made: Vec<String>,
    /// Ids of those on which somebody else works; nothing was done about them.
    pub busy: Vec<String>,
}

/// Inserts teams under LiteLLM's team locks: of several those that are free, of
/// one alone it waits. One that a login has made meanwhile is left as it is.
///
/// # Errors
/// When the database refuses a row, or the lock of one alone is not granted;
/// nothing of the batch is then kept.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    teams: &[NewTeam<'_>],
) -> Result<InsertedTeams> {
    let busy = match teams {
        [only] => {
            lock_team(connection, &only.team).await?;
            Vec::new()
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|team| team.team.as_str()).collect();
            try_lock_teams(connection, &ids).await?
        }
    };
    let free = teams
        .iter()
        .filter(|team| !busy.iter().any(|busy| busy == team.team.as_str()));
    let teams = absent(connection, free.cloned().collect()).await?;
    if teams.is_empty() {
        let made = Vec::new();
        return Ok(InsertedTeams { made, busy });
    }
    let belongings = Belongings::insert(connection, writing, defaults, &teams).await?;
    let made = insert_rows(connection, writing, defaults, &teams, &belongings).await?;
    belongings::join_access_groups(connection, writing, defaults, &teams).await?;
    audit::teams_created(connection, writing, &made).await?;
    Ok(InsertedTeams { made, busy })
}

/// Those that are not there, read again under their locks.
async fn absent<'a>(
    connection: &mut AsyncPgConnection,
    teams: Vec<NewTeam<'a>>,
) -> Result<Vec<NewTeam<'a>>> {
    let ids: Vec<&str> = teams.iter().map(|team| team.team.as_str()).collect();
    let present: Vec<Id> =
        sql_query("SELECT team_id AS id FROM \"LiteLLM_TeamTable\" WHERE team_id = ANY($1)")
            .bind::<Array<Text>, _>(&ids)
            .load(connection)
            .await
            .doing("looking for teams that are there")?;
    Ok(teams
        .into_iter()
        .filter(|team| !present.iter().any(|row| row.id == team.team.as_str()))
        .collect())
}

async fn insert_rows(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    teams: &[NewTeam<'_>],
    belongings: &Belongings,
) -> Result<Vec<String>> {
    let sql = Insert::into("LiteLLM_TeamTable", writing.capabilities)
        .columns(&[
            ("team_id", "n.team_id"),
            ("team_alias", "n.alias"),
            ("organization_id", "n.organization_id"),
            ("admins", "'{}'"),
            ("members", "'{}'"),
            ("members_with_roles", "'[]'"),
            ("metadata", "n.metadata"),
            ("max_budget", "$8"),
            ("soft_budget", "$9"),
            (
                "models",
                "ARRAY(SELECT jsonb_array_elements_text(n.models))",
            ),
            ("tpm_limit", "$10"),
            ("rpm_limit", "$11"),
            ("tpd_limit", "$12"),
            ("budget_duration", "$13"),
            ("budget_reset_at", "$14"),
            ("blocked", "$15"),
            ("model_spend", "'{}'"),
            ("model_max_budget", "$16"),
            ("model_id", "n.model_id"),
            ("team_member_permissions", "$17"),
            ("object_permission_id", "n.object_permission_id"),
            ("router_settings", "$18"),
            ("policies", "$19"),
            ("allow_team_guardrail_config", "false"),
            ("access_group_ids", "$20"),
            ("budget_limits", "$21"),
            ("default_team_member_models", "$22"),
            ("created_at", "$23"),
            ("updated_at", "$23"),
        ])
        .select(
            "FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], \
                         $6::integer[], $7::text[]) \
                  AS n (team_id, alias, organization_id, models, metadata, model_id, \
                        object_permission_id) \
             RETURNING team_id AS id",
        );
    let models: Vec<Value> = teams
        .iter()
        .map(|team| json!(team.models.unwrap_or(&defaults.models)))
        .collect();
    let rows: Vec<Id> = sql_query(sql)
        .bind::<Array<Text>, _>(teams.iter().map(|t| t.team.as_str()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(teams.iter().map(|t| t.alias).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(
            teams
                .iter()
                .map(|t| t.organization.map(OrganizationId::as_str))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Jsonb>, _>(models)
        .bind::<Array<Jsonb>, _>(belongings.metadata(defaults, teams))
        .bind::<Array<Nullable<Integer>>, _>(belongings.models(teams))
        .bind::<Array<Nullable<Text>>, _>(belongings.permissions(teams))
        .bind::<Nullable<Double>, _>(defaults.max_budget)
        .bind::<Nullable<Double>, _>(defaults.soft_budget)
        .bind::<Nullable<BigInt>, _>(defaults.tpm_limit)
        .bind::<Nullable<BigInt>, _>(defaults.rpm_limit)
        .bind::<Nullable<BigInt>, _>(defaults.tpd_limit)
        .bind::<Nullable<Text>, _>(defaults.budget_duration.as_deref())
        .bind::<Nullable<Timestamp>, _>(writing.reset_at(defaults.budget_duration.as_deref())?)
        .bind::<Bool, _>(defaults.blocked)
        .bind::<Jsonb, _>(Value::Object(defaults.model_max_budget.clone()))
        .bind::<Array<Text>, _>(&defaults.team_member_permissions)
        .bind::<Jsonb, _>(Value::Object(defaults.router_settings.clone()))
        .bind::<Array<Text>, _>(&defaults.policies)
        .bind::<Array<Text>, _>(&defaults.access_group_ids)
        .bind::<Nullable<Jsonb>, _>(budget_limits(writing, defaults)?)
        .bind::<Array<Text>, _>(&defaults.default_team_member_models)
        .bind::<Timestamp, _>(writing.stamp())
        .load(connection)
        .await
        .doing("inserting teams")?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// `reset_at` is ISO 8601 in the calendar's zone, as Python's `isoformat` gives
/// it.
fn budget_limits(writing: Writing<'_>, defaults: &TeamDefaults) -> Result<Option<Value>> {
    let Some(limits) = &defaults.budget_limits else {
        return Ok(None);
    };
    let limits: Vec<Value> = limits
        .iter()
        .map(|limit| {
            let reset_at = writing
                .reset_at(Some(&limit.duration))?
                .map(|at| at.and_utc().with_timezone(&writing.calendar.zone))
                .map(|at| at.format("%Y-%m-%dT%H:%M:%S%:z").to_string());
            Ok(json!({
                "budget_duration": limit.duration,
                "max_budget": limit.max_budget,
                "reset_at": reset_at,
            }))
        })
        .collect::<Result<_>>()?;
    Ok(Some(Value::Array(limits)))
}

/// Columns to change in one team's row. Each is written only while it holds
/// what the plan saw.
#[derive(Debug, Clone)]
pub struct TeamUpdate<'a> {
    /// The row.
    pub team: &'a TeamId,
    /// `team_alias`: before and after.
    pub alias: Option<(Option<&'a str>, Option<&'a str>)>,
    /// `organization_id`, only while it is NULL.
    pub organization: Option<&'a OrganizationId>,
    /// `models`: before and after.
    pub models: Option<(&'a [String], &'a [String])>,
}

/// Changes one team under LiteLLM's team lock, which the caller holds.
///
/// # Errors
/// When the database refuses.
pub async fn update(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    update: &TeamUpdate<'_>,
) -> Result<Found> {
    let before = match writing.audit {
        Audit::Off => None,
        Audit::On => audit::team_as_it_is(connection, update.team).await?,
    };
    let changed = sql_query(
        "UPDATE \"LiteLLM_TeamTable\" SET \
            team_alias = CASE WHEN $2 THEN $4 ELSE team_alias END, \
            organization_id = COALESCE($5, organization_id), \
            models = CASE WHEN $6 THEN $8 ELSE models END, \
            updated_at = $9 \
         WHERE team_id = $1 AND (NOT $2 OR team_alias IS NOT DISTINCT FROM $3) \
           AND ($5 IS NULL OR organization_id IS NULL) \
           AND (NOT $6 OR COALESCE(models, '{}') = $7)",
    )
    .bind::<Text, _>(update.team.as_str())
    .bind::<Bool, _>(update.alias.is_some())
    .bind::<Nullable<Text>, _>(update.alias.and_then(|(before, _)| before))
    .bind::<Nullable<Text>, _>(update.alias.and_then(|(_, after)| after))
    .bind::<Nullable<Text>, _>(update.organization.map(OrganizationId::as_str))
    .bind::<Bool, _>(update.models.is_some())
    .bind::<Array<Text>, _>(update.models.map_or(&[][..], |(before, _)| before))
    .bind::<Array<Text>, _>(update.models.map_or(&[][..], |(_, after)| after))
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing(format!("changing team {}", update.team))?;
    if let (1, Some(before)) = (changed, before) {
        audit::team_updated(connection, writing, update, &before).await?;
    }
    Ok(Found::from_count(changed))
}
