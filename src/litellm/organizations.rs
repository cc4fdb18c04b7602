//! Organizations, their budget rows and their members (litellm-contract 2b,
//! 2f), written as LiteLLM's organization endpoints write them.

use diesel::sql_types::{Array, BigInt, Double, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use uuid::Uuid;

use super::copies::{self, Copy, text};
use super::error::Result;
use super::writing::{ACTOR, Insert, Writing};
use crate::db::QueryContext;
use crate::model::defaults::TeamDefaults;
use crate::model::ids::{OrganizationId, UserId};

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

/// Inserts organizations, each with its own budget row; one that somebody made
/// meanwhile is left as it is and not returned.
///
/// # Errors
/// When the database refuses a row; nothing of the batch is then kept.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    organizations: &[(OrganizationId, &str)],
) -> Result<Vec<String>> {
    let organizations = absent(connection, organizations).await?;
    if organizations.is_empty() {
        return Ok(Vec::new());
    }
    let budgets: Vec<String> = organizations
        .iter()
        .map(|_| Uuid::new_v4().to_string())
        .collect();
    insert_budgets(connection, writing, defaults, &budgets).await?;
    let sql = Insert::into("LiteLLM_OrganizationTable", writing.capabilities)
        .columns(&[
            ("organization_id", "n.id"),
            ("organization_alias", "n.alias"),
            ("budget_id", "n.budget_id"),
            ("metadata", "'{}'"),
            ("models", "$4"),
            ("spend", "0"),
            ("model_spend", "'{}'"),
            ("created_at", "$5"),
            ("created_by", "$6"),
            ("updated_at", "$5"),
            ("updated_by", "$6"),
        ])
        .select(
            "FROM unnest($1::text[], $2::text[], $3::text[]) AS n (id, alias, budget_id) \
             RETURNING organization_id AS id",
        );
    let inserted: Vec<Id> = sql_query(sql)
        .bind::<Array<Text>, _>(
            organizations
                .iter()
                .map(|(id, _)| id.as_str())
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Text>, _>(
            organizations
                .iter()
                .map(|(_, alias)| *alias)
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Text>, _>(&budgets)
        .bind::<Array<Text>, _>(&defaults.models)
        .bind::<Timestamp, _>(writing.stamp())
        .bind::<Text, _>(ACTOR)
        .load(connection)
        .await
        .doing("inserting organizations")?;
    Ok(inserted.into_iter().map(|row| row.id).collect())
}

/// Budget rows come first and nothing refers to one of an organization that is
/// there already, so those are left out before.
async fn absent<'a>(
    connection: &mut AsyncPgConnection,
    organizations: &[(OrganizationId, &'a str)],
) -> Result<Vec<(OrganizationId, &'a str)>> {
    let present: Vec<Id> = sql_query(
        "SELECT organization_id AS id FROM \"LiteLLM_OrganizationTable\" \
         WHERE organization_id = ANY($1)",
    )
    .bind::<Array<Text>, _>(
        organizations
            .iter()
            .map(|(id, _)| id.as_str())
            .collect::<Vec<_>>(),
    )
    .load(connection)
    .await
    .doing("looking for organizations that are there")?;
    Ok(organizations
        .iter()
        .filter(|(id, _)| !present.iter().any(|row| row.id == id.as_str()))
        .cloned()
        .collect())
}

async fn insert_budgets(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &TeamDefaults,
    budgets: &[String],
) -> Result<()> {
    let model_max_budget = Some(&defaults.model_max_budget)
        .filter(|budget| !budget.is_empty())
        .map(|budget| Value::Object(budget.clone()));
    let sql = Insert::into("LiteLLM_BudgetTable", writing.capabilities)
        .columns(&[
            ("budget_id", "n.budget_id"),
            ("max_budget", "$2"),
            ("soft_budget", "$3"),
            ("tpm_limit", "$4"),
            ("rpm_limit", "$5"),
            ("tpd_limit", "$6"),
            ("model_max_budget", "$7"),
            ("budget_duration", "$8"),
            ("budget_reset_at", "$9"),
            ("allowed_models", "'{}'"),
            ("created_at", "$10"),
            ("created_by", "$11"),
            ("updated_at", "$10"),
            ("updated_by", "$11"),
        ])
        .select("FROM unnest($1::text[]) AS n (budget_id)");
    sql_query(sql)
        .bind::<Array<Text>, _>(budgets)
        .bind::<Nullable<Double>, _>(defaults.max_budget)
        .bind::<Nullable<Double>, _>(defaults.soft_budget)
        .bind::<Nullable<BigInt>, _>(defaults.tpm_limit)
        .bind::<Nullable<BigInt>, _>(defaults.rpm_limit)
        .bind::<Nullable<BigInt>, _>(defaults.tpd_limit)
        .bind::<Nullable<Jsonb>, _>(model_max_budget)
        .bind::<Nullable<Text>, _>(defaults.budget_duration.as_deref())
        .bind::<Nullable<Timestamp>, _>(writing.reset_at(defaults.budget_duration.as_deref())?)
        .bind::<Timestamp, _>(writing.stamp())
        .bind::<Text, _>(ACTOR)
        .execute(connection)
        .await
        .doing("inserting the organizations' budgets")?;
    Ok(())
}

/// Changes an organization's alias while it still is what the plan saw; tells
/// whether it was.
///
/// # Errors
/// When the database refuses.
pub async fn rename(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    organization: &OrganizationId,
    before: &str,
    after: &str,
) -> Result<Found> {
    let changed = sql_query(
        "UPDATE \"LiteLLM_OrganizationTable\" \
         SET organization_alias = $3, updated_at = $4, updated_by = $5 \
         WHERE organization_id = $1 AND organization_alias = $2",
    )
    .bind::<Text, _>(organization.as_str())
    .bind::<Text, _>(before)
    .bind::<Text, _>(after)
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(ACTOR)
    .execute(connection)
    .await
    .doing(format!("renaming organization {organization}"))?;
    Ok(Found::from_count(changed))
}

/// Whether a row still was what the plan saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was, and has been changed.
    AsPlanned,
    /// It was not; nothing was written.
    Moved,
}

impl Found {
    pub(super) const fn from_count(rows: usize) -> Self {
        if rows == 0 {
            Self::Moved
        } else {
            Self::AsPlanned
        }
    }
}

/// Inserts memberships (organization and user); one that is there stays as it
/// is and is not returned. A user or organization without a row is passed over.
///
/// # Errors
/// When the database refuses; nothing of the batch is then kept.
pub async fn add_members(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    members: &[(&OrganizationId, &UserId)],
) -> Result<Vec<(String, String)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        organization_id: String,
        #[diesel(sql_type = Text)]
        user_id: String,
    }
    let (organizations, users): (Vec<&str>, Vec<&str>) = members
        .iter()
        .map(|(organization, user)| (organization.as_str(), user.as_str()))
        .unzip();
    let added: Vec<Row> = sql_query(
        "INSERT INTO \"LiteLLM_OrganizationMembership\" \
         (user_id, organization_id, user_role, spend, created_at, updated_at) \
         SELECT u.user_id, o.organization_id, 'internal_user', 0, $3, $3 \
         FROM unnest($1::text[], $2::text[]) AS p (organization_id, user_id) \
         JOIN \"LiteLLM_UserTable\" u ON u.user_id = p.user_id \
         JOIN \"LiteLLM_OrganizationTable\" o ON o.organization_id = p.organization_id \
         ORDER BY u.user_id COLLATE \"C\", o.organization_id COLLATE \"C\" \
         ON CONFLICT (user_id, organization_id) DO NOTHING RETURNING organization_id, user_id",
    )
    .bind::<Array<Text>, _>(organizations)
    .bind::<Array<Text>, _>(users)
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing("adding members of organizations")?;
    Ok(added
        .into_iter()
        .map(|row| (row.organization_id, row.user_id))
        .collect())
}

/// What became of members that were to leave an organization.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RemovedMembers {
    /// Their rows of `LiteLLM_OrganizationMembership`, sorted by user.
    pub taken: Vec<Value>,
    /// Somebody gave them another role there than ours: they stay.
    pub kept: Vec<String>,
}

/// Deletes memberships of role `internal_user`, the one that we write. Whoever
/// was made more of by hand stays. Teams and keys are not touched, as by
/// LiteLLM's own endpoint.
///
/// # Errors
/// When the database refuses; nothing of the batch is then kept.
pub async fn remove_members(
    connection: &mut AsyncPgConnection,
    organization: &OrganizationId,
    users: &[&UserId],
) -> Result<RemovedMembers> {
    let users: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    let rows: Vec<Copy> = sql_query(
        "DELETE FROM \"LiteLLM_OrganizationMembership\" m \
         WHERE m.organization_id = $1 AND m.user_id = ANY($2) AND m.user_role = 'internal_user' \
         RETURNING to_jsonb(m) AS row",
    )
    .bind::<Text, _>(organization.as_str())
    .bind::<Array<Text>, _>(&users)
    .load(connection)
    .await
    .doing(format!("removing members of organization {organization}"))?;
    let mut taken = copies::rows(rows);
    taken.sort_by(|a, b| text(a, "user_id").cmp(&text(b, "user_id")));
    let kept: Vec<Id> = sql_query(
        "SELECT user_id AS id FROM \"LiteLLM_OrganizationMembership\" \
         WHERE organization_id = $1 AND user_id = ANY($2) ORDER BY user_id COLLATE \"C\"",
    )
    .bind::<Text, _>(organization.as_str())
    .bind::<Array<Text>, _>(&users)
    .load(connection)
    .await
    .doing(format!("looking who stays in organization {organization}"))?;
    Ok(RemovedMembers {
        taken,
        kept: kept.into_iter().map(|row| row.id).collect(),
    })
}

/// Puts memberships back where none is, with their spend and their budget; one
/// whose user or organization is gone is passed over. Returns the users.
///
/// # Errors
/// When the database refuses; nothing of the batch is then kept.
pub async fn restore_members(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    organization: &OrganizationId,
    taken: &[Value],
) -> Result<Vec<String>> {
    let users: Vec<&str> = taken
        .iter()
        .filter_map(|row| text(row, "user_id"))
        .collect();
    let there: Vec<Id> = sql_query(
        "SELECT u.user_id AS id FROM \"LiteLLM_UserTable\" u \
         WHERE u.user_id = ANY($2) AND EXISTS ( \
             SELECT FROM \"LiteLLM_OrganizationTable\" o WHERE o.organization_id = $1)",
    )
    .bind::<Text, _>(organization.as_str())
    .bind::<Array<Text>, _>(&users)
    .load(connection)
    .await
    .doing(format!(
        "looking for former members of organization {organization}"
    ))?;
    let rows: Vec<&Value> = taken
        .iter()
        .filter(|row| text(row, "organization_id") == Some(organization.as_str()))
        .filter(|row| text(row, "user_id").is_some_and(|user| there.iter().any(|t| t.id == user)))
        .collect();
    copies::insert(
        connection,
        writing.capabilities,
        "LiteLLM_OrganizationMembership",
        "user_id",
        &[("budget_id", "LiteLLM_BudgetTable", "budget_id")],
        &rows,
    )
    .await
}
