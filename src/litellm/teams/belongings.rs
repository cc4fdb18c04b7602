//! Rows that belong to one team each: the members' shared budget, model
//! aliases, object permissions, and the team's place in its access groups.

use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::NewTeam;
use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::litellm::writing::{ACTOR, Insert, Writing};
use crate::model::defaults::TeamDefaults;

/// Ids of the rows made for a batch of teams, in its order; empty when the
/// defaults ask for none.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    budgets: Vec<String>,
    models: Vec<i32>,
    permissions: Vec<String>,
}

impl Belongings {
    pub(super) async fn insert(
        connection: &mut AsyncPgConnection,
        writing: Writing<'_>,
        defaults: &TeamDefaults,
        teams: &[NewTeam<'_>],
    ) -> Result<Self> {
        Ok(Self {
            budgets: insert_budgets(connection, writing, defaults, teams).await?,
            models: insert_models(connection, writing, defaults, teams.len()).await?,
            permissions: insert_permissions(connection, defaults, teams.len()).await?,
        })
    }

    /// `metadata` of each team: the defaults', plus the id of its own budget.
    pub(super) fn metadata(&self, defaults: &TeamDefaults, teams: &[NewTeam<'_>]) -> Vec<Value> {
        (0..teams.len())
            .map(|position| {
                let mut metadata = defaults.metadata.clone();
                if let Some(budget) = self.budgets.get(position) {
                    let id = Value::String(budget.clone());
                    metadata.insert("team_member_budget_id".to_owned(), id);
                }
                Value::Object(metadata)
            })
            .collect()
    }

    /// `model_id` of each team.
    pub(super) fn models(&self, teams: &[NewTeam<'_>]) -> Vec<Option<i32>> {
        (0..teams.len())
            .map(|position| self.models.get(position).copied())
            .collect()
    }

    /// `object_permission_id` of each team.
    pub(super) fn permissions(&self, teams: &[NewTeam<'_>]) -> Vec<Option<&str>> {
        (0..teams.len())
            .map(|position| self.permissions.get(position).map(String::as_str))
            .collect()
    }
}

/// One shared budget row a team, named as LiteLLM names it.
async fn insert_budgets(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    teams: &[NewTeam<'_>],
) -> Result<Vec<String>> {
    let Some(budget) = &defaults.member_budget else {
        return Ok(Vec::new());
    };
    let ids: Vec<String> = teams
        .iter()
        .map(|team| {
            let unique = Uuid::new_v4().simple();
            match team.alias {
                Some(alias) => format!("team-{}-budget-{unique}", alias.replace(' ', "-")),
                None => format!("team-budget-{unique}"),
            }
        })
        .collect();
    let sql = Insert::into("LiteLLM_BudgetTable", writing.capabilities)
        .columns(&[
            ("budget_id", "n.budget_id"),
            ("max_budget", "$2"),
            ("tpm_limit", "$3"),
            ("rpm_limit", "$4"),
            ("model_max_budget", "$5"),
            ("budget_duration", "$6"),
            ("budget_reset_at", "$7"),
            ("allowed_models", "'{}'"),
            ("created_at", "$8"),
            ("created_by", "$9"),
            ("updated_at", "$8"),
            ("updated_by", "$9"),
        ])
        .select("FROM unnest($1::text[]) AS n (budget_id)");
    sql_query(sql)
        .bind::<Array<Text>, _>(&ids)
        .bind::<Nullable<Double>, _>(budget.max_budget)
        .bind::<Nullable<BigInt>, _>(budget.tpm_limit)
        .bind::<Nullable<BigInt>, _>(budget.rpm_limit)
        .bind::<Nullable<Jsonb>, _>(budget.model_max_budget.clone().map(Value::Object))
        .bind::<Nullable<Text>, _>(budget.duration.as_deref())
        .bind::<Nullable<Timestamp>, _>(writing.reset_at(budget.duration.as_deref())?)
        .bind::<Timestamp, _>(writing.stamp())
        .bind::<Text, _>(ACTOR)
        .execute(connection)
        .await
        .doing("inserting the members' budgets")?;
    Ok(ids)
}

async fn insert_models(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    count: usize,
) -> Result<Vec<i32>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        id: i32,
    }
    let Some(aliases) = &defaults.model_aliases else {
        return Ok(Vec::new());
    };
    let rows: Vec<Row> = sql_query(
        "INSERT INTO \"LiteLLM_ModelTable\" (aliases, created_at, created_by, updated_at, updated_by) \
         SELECT $1, $2, $3, $2, $3 FROM generate_series(1, $4) RETURNING id",
    )
    .bind::<Jsonb, _>(Value::Object(aliases.clone()))
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(ACTOR)
    .bind::<BigInt, _>(i64::try_from(count).unwrap_or(i64::MAX))
    .load(connection)
    .await
    .doing("inserting model aliases")?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

async fn insert_permissions(
    connection: &mut AsyncPgConnection,
    defaults: &TeamDefaults,
    count: usize,
) -> Result<Vec<String>> {
    const TABLE: &str = "LiteLLM_ObjectPermissionTable";
    let Some(permission) = &defaults.object_permission else {
        return Ok(Vec::new());
    };
    let ids: Vec<String> = (0..count).map(|_| Uuid::new_v4().to_string()).collect();
    // Only the given columns are named, so that the others take the table's
    // defaults; jsonb_populate_record turns each into its column's type.
    let names: Vec<String> = permission
        .keys()
        .map(|name| format!("\"{name}\""))
        .collect();
    let (names, values) = if names.is_empty() {
        (String::new(), String::new())
    } else {
        let values: Vec<String> = names.iter().map(|name| format!("p.{name}")).collect();
        (
            format!(", {}", names.join(", ")),
            format!(", {}", values.join(", ")),
        )
    };
    let record: Map<String, Value> = permission
        .iter()
        .map(|(column, value)| (column.clone(), value.clone()))
        .collect();
    sql_query(format!(
        "INSERT INTO \"{TABLE}\" (object_permission_id{names}) \
         SELECT n.id{values} FROM unnest($1::text[]) AS n (id), \
              jsonb_populate_record(NULL::\"{TABLE}\", $2) AS p"
    ))
    .bind::<Array<Text>, _>(&ids)
    .bind::<Jsonb, _>(Value::Object(record))
    .execute(connection)
    .await
    .doing("inserting object permissions")?;
    Ok(ids)
}

/// The reverse copy of `access_group_ids` (litellm-contract 2a).
pub(super) async fn join_access_groups(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    teams: &[NewTeam<'_>],
) -> Result<()> {
    if defaults.access_group_ids.is_empty() {
        return Ok(());
    }
    sql_query(
        "UPDATE \"LiteLLM_AccessGroupTable\" \
         SET assigned_team_ids = COALESCE(assigned_team_ids, '{}') || ARRAY( \
                SELECT n.id FROM unnest($1::text[]) AS n (id) \
                WHERE NOT n.id = ANY(COALESCE(assigned_team_ids, '{}'))), \
             updated_at = $3 \
         WHERE access_group_id = ANY($2)",
    )
    .bind::<Array<Text>, _>(
        teams
            .iter()
            .map(|team| team.team.as_str())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(&defaults.access_group_ids)
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing("entering teams in their access groups")?;
    Ok(())
}
