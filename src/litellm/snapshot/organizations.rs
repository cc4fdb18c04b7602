//! Organizations of interest with their members.

use std::collections::BTreeMap;

use diesel::sql_types::{Array, BigInt, Double, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;

use super::teams::{known, members};
use super::{Interest, TextArray, Way, any};
use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::model::ids::{OrganizationId, UserId};
use crate::model::target::{Ceiling, OrganizationRow, UserRow};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    organization_id: String,
    #[diesel(sql_type = Text)]
    organization_alias: String,
    #[diesel(sql_type = Nullable<Array<Nullable<Text>>>)]
    models: Option<Vec<Option<String>>>,
    #[diesel(sql_type = Nullable<Double>)]
    max_budget: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    tpm_limit: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    rpm_limit: Option<i64>,
}

pub(super) async fn read(
    connection: &mut AsyncPgConnection,
    interest: &Interest,
    users: &BTreeMap<UserId, UserRow>,
    way: Way,
) -> Result<BTreeMap<OrganizationId, OrganizationRow>> {
    let wanted = any(&interest.organizations, OrganizationId::as_str);
    let rows: Vec<Row> = sql_query(
        "SELECT o.organization_id, o.organization_alias, o.models, \
                b.max_budget, b.tpm_limit, b.rpm_limit \
         FROM \"LiteLLM_OrganizationTable\" o LEFT JOIN \"LiteLLM_BudgetTable\" b USING (budget_id) \
         WHERE o.organization_id = ANY($1)",
    )
    .bind::<TextArray, _>(&wanted)
    .load(connection)
    .await
    .doing("reading LiteLLM's organizations")?;
    let mut organizations: BTreeMap<OrganizationId, OrganizationRow> = rows
        .into_iter()
        .map(|row| {
            let organization = OrganizationRow {
                alias: row.organization_alias,
                models: row
                    .models
                    .unwrap_or_default()
                    .into_iter()
                    .flatten()
                    .collect(),
                members: Vec::new(),
                ceiling: Ceiling {
                    max_budget: row.max_budget,
                    tpm_limit: row.tpm_limit,
                    rpm_limit: row.rpm_limit,
                },
            };
            (OrganizationId::new(row.organization_id), organization)
        })
        .collect();
    let doing = "reading LiteLLM's organization memberships";
    let lists = match way {
        Way::Streaming => wanted,
        Way::Asking => any(interest.circles(), OrganizationId::as_str),
    };
    let select = "SELECT organization_id AS parent_id, array_agg(user_id) AS users \
         FROM \"LiteLLM_OrganizationMembership\" WHERE organization_id = ANY($1)";
    let mut rows = members(connection, select, "organization_id", (&lists, users), way)
        .await
        .doing(doing)?;
    while let Some(row) = rows.try_next().await.doing(doing)? {
        if let Some(organization) = organizations.get_mut(row.parent_id.as_str()) {
            organization.members = known(row.users, users);
        }
    }
    Ok(organizations)
}
