//! The template is LiteLLM's own schema, and what the tests put into it looks
//! like what LiteLLM puts there.

use serde_json::Value;

use crate::support::wait::wait_for;
use crate::support::{TestDatabase, seed};

/// Columns that the contract with LiteLLM names for the tables a pass writes.
const CONTRACT: [(&str, &[&str]); 6] = [
    (
        "LiteLLM_BudgetTable",
        &[
            "budget_id",
            "max_budget",
            "soft_budget",
            "max_parallel_requests",
            "tpm_limit",
            "rpm_limit",
            "tpd_limit",
            "model_max_budget",
            "budget_duration",
            "budget_reset_at",
            "allowed_models",
            "created_at",
            "created_by",
            "updated_at",
            "updated_by",
        ],
    ),
    (
        "LiteLLM_OrganizationTable",
        &[
            "organization_id",
            "organization_alias",
            "budget_id",
            "metadata",
            "models",
            "spend",
            "model_spend",
            "created_at",
            "updated_at",
            "created_by",
            "updated_by",
            "object_permission_id",
        ],
    ),
    (
        "LiteLLM_OrganizationMembership",
        &[
            "user_id",
            "organization_id",
            "user_role",
            "spend",
            "budget_id",
            "created_at",
            "updated_at",
        ],
    ),
    (
        "LiteLLM_TeamTable",
        &[
            "team_id",
            "team_alias",
            "organization_id",
            "admins",
            "members",
            "members_with_roles",
            "metadata",
            "max_budget",
            "spend",
            "models",
            "tpm_limit",
            "rpm_limit",
            "budget_duration",
            "budget_reset_at",
            "blocked",
            "created_at",
            "updated_at",
            "model_spend",
            "model_max_budget",
            "model_id",
            "team_member_permissions",
            "object_permission_id",
            "router_settings",
            "policies",
            "allow_team_guardrail_config",
            "soft_budget",
            "access_group_ids",
            "budget_limits",
            "default_team_member_models",
            "tpd_limit",
        ],
    ),
    (
        "LiteLLM_TeamMembership",
        &["user_id", "team_id", "spend", "budget_id", "total_spend"],
    ),
    (
        "LiteLLM_UserTable",
        &[
            "user_id",
            "user_alias",
            "user_role",
            "user_email",
            "sso_user_id",
            "teams",
            "max_budget",
            "spend",
            "models",
            "metadata",
            "max_parallel_requests",
            "tpm_limit",
            "rpm_limit",
            "budget_duration",
            "budget_reset_at",
            "allowed_cache_controls",
            "model_spend",
            "model_max_budget",
            "created_at",
            "updated_at",
            "policies",
        ],
    ),
];

#[tokio::test]
async fn the_template_has_every_column_of_the_contract() {
    let database = TestDatabase::create().await;
    for (table, columns) in CONTRACT {
        let present: Vec<String> = database
            .admin()
            .query(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = $1",
                &[&table],
            )
            .await
            .expect("the columns")
            .iter()
            .map(|row| row.get(0))
            .collect();
        for column in columns {
            assert!(
                present.iter().any(|name| name == column),
                "{table}.{column} is not there"
            );
        }
    }
}

#[tokio::test]
async fn the_template_looks_migrated_by_prisma() {
    let database = TestDatabase::create().await;
    let migrations = database.rows("_prisma_migrations").await;
    assert_eq!(migrations.len(), 220);
    for migration in migrations {
        assert!(
            !migration["finished_at"].is_null(),
            "{migration} did not finish"
        );
        assert_eq!(
            migration["checksum"].as_str().map(str::len),
            Some(64),
            "{migration}"
        );
    }
}

#[tokio::test]
async fn every_test_has_a_database_of_its_own() {
    let (one, other) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    seed::user("ada").insert(&one).await;
    assert_eq!(one.rows("LiteLLM_UserTable").await.len(), 1);
    assert_eq!(other.rows("LiteLLM_UserTable").await.len(), 0);
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let watcher = TestDatabase::create().await;
    let gone = TestDatabase::create().await;
    let name = gone.url().rsplit('/').next().map(str::to_owned);
    drop(gone);
    wait_for("the database to be dropped", || async {
        let left = watcher
            .admin()
            .query("SELECT FROM pg_database WHERE datname = $1", &[&name])
            .await
            .expect("the list of databases");
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn seeded_rows_equal_those_that_litellm_wrote() {
    let database = TestDatabase::create().await;
    seed::team("grp-plain")
        .with("team_alias", "Plain Group")
        .insert(&database)
        .await;
    let team = reference(
        "team_without_default_params",
        "LiteLLM_TeamTable",
        "team_id",
        "grp-plain",
    );
    assert_eq!(
        settled(&database.rows("LiteLLM_TeamTable").await),
        settled(&[team])
    );

    // The reference was made by a login with another provider.
    let reference_user = reference(
        "user_logs_in_again_with_other_groups",
        "LiteLLM_UserTable",
        "user_id",
        "u-1",
    );
    for team in ["grp-a", "grp-b"] {
        seed::team(team).insert(&database).await;
    }
    seed::user("u-1")
        .with("user_role", reference_user["user_role"].clone())
        .with("user_alias", reference_user["user_alias"].clone())
        .with("user_email", reference_user["user_email"].clone())
        .with("metadata", reference_user["metadata"].clone())
        .insert(&database)
        .await;
    for team in reference_user["teams"].as_array().expect("a list") {
        seed::join(&database, "u-1", team.as_str().expect("an id")).await;
    }
    assert_eq!(
        settled(&database.rows("LiteLLM_UserTable").await),
        settled(&[reference_user])
    );
    let membership = reference(
        "user_logs_in_again_with_other_groups",
        "LiteLLM_TeamMembership",
        "team_id",
        "grp-a",
    );
    assert!(
        database
            .rows("LiteLLM_TeamMembership")
            .await
            .contains(&membership)
    );
}

#[tokio::test]
async fn the_demos_tables_have_the_shape_of_the_genuine_ones() {
    let database = TestDatabase::create().await;
    let script = format!(
        "CREATE SCHEMA demo; SET search_path TO demo; {}; SET search_path TO public",
        entra_sync::demo::LITELLM_TABLES
    );
    database.admin().batch_execute(&script).await.unwrap();
    let shape = |schema: &'static str| {
        let client = database.admin();
        async move {
            let rows = client
                .query(
                    "SELECT c.relname || '.' || a.attname || ' ' || \
                            format_type(a.atttypid, a.atttypmod) || \
                            CASE WHEN a.attnotnull THEN ' not null' ELSE '' END \
                     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
                     WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r' \
                       AND a.attnum > 0 AND NOT a.attisdropped \
                       AND c.relname IN (SELECT relname FROM pg_class \
                                         WHERE relnamespace = 'demo'::regnamespace) \
                     ORDER BY 1",
                    &[&schema],
                )
                .await
                .unwrap();
            rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
        }
    };
    let (ours, genuine) = (shape("demo").await, shape("public").await);
    let missing: Vec<_> = genuine
        .iter()
        .filter(|column| !ours.contains(column))
        .collect();
    let foreign: Vec<_> = ours
        .iter()
        .filter(|column| !genuine.contains(column))
        .collect();
    assert!(
        missing.is_empty() && foreign.is_empty(),
        "missing: {missing:#?}, not in LiteLLM: {foreign:#?}"
    );
}

/// One row of the fixture.
fn reference(scenario: &str, table: &str, key: &str, id: &str) -> Value {
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/litellm-reference-rows.json"))
            .expect("the fixture is JSON");
    fixture[scenario]["rows"][table]
        .as_array()
        .unwrap_or_else(|| panic!("the fixture has no {table} in {scenario}"))
        .iter()
        .find(|row| row[key] == id)
        .unwrap_or_else(|| panic!("the fixture has no {id} in {scenario}"))
        .clone()
}

/// The rows without what differs between any two of them: when they were written.
fn settled(rows: &[Value]) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        for column in ["created_at", "updated_at"] {
            if let Some(value) = row.get_mut(column) {
                *value = Value::Null;
            }
        }
    }
    rows
}
