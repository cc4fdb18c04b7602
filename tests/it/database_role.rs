//! `deploy/sql/role.sql`: what it grants is there, what it does not is refused.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::database::connect;
use crate::support::{TestDatabase, psql, seed};

/// What a pass does, statement by statement.
const ALLOWED: [&str; 41] = [
    // Reading.
    "SELECT * FROM \"LiteLLM_TeamTable\"",
    "SELECT * FROM \"LiteLLM_TeamMembership\"",
    "SELECT * FROM \"LiteLLM_OrganizationTable\"",
    "SELECT * FROM \"LiteLLM_OrganizationMembership\"",
    "SELECT * FROM \"LiteLLM_BudgetTable\"",
    "SELECT * FROM \"LiteLLM_VerificationToken\"",
    "SELECT * FROM \"LiteLLM_VerifiedSubject\"",
    "SELECT * FROM \"LiteLLM_AccessGroupTable\"",
    "SELECT * FROM \"LiteLLM_JWTKeyMapping\"",
    "SELECT * FROM \"_prisma_migrations\"",
    "SELECT user_id, user_email, sso_user_id, user_role, teams, metadata FROM \"LiteLLM_UserTable\"",
    "SELECT count(*) FROM \"LiteLLM_UserTable\"",
    "SELECT user_id FROM \"LiteLLM_UserTable\" ORDER BY user_id COLLATE \"C\" FOR UPDATE",
    "SELECT team_id FROM \"LiteLLM_TeamTable\" FOR UPDATE",
    "SELECT pg_advisory_xact_lock(hashtext('a team'))",
    // Adding and changing.
    "INSERT INTO \"LiteLLM_BudgetTable\" (budget_id, created_by, updated_by) VALUES ('b', '', '')",
    "INSERT INTO \"LiteLLM_OrganizationTable\" (organization_id, organization_alias, budget_id, models, created_by, updated_by) \
         VALUES ('new', 'new', 'budget', '{}', '', '')",
    "INSERT INTO \"LiteLLM_TeamTable\" (team_id, members_with_roles, models) VALUES ('new', '[]', '{}')",
    "INSERT INTO \"LiteLLM_UserTable\" (user_id, models) VALUES ('new', '{}') ON CONFLICT DO NOTHING",
    "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('new', 'team') ON CONFLICT (user_id, team_id) DO NOTHING",
    "INSERT INTO \"LiteLLM_OrganizationMembership\" (user_id, organization_id, user_role) VALUES ('user', 'organization', 'internal_user')",
    "INSERT INTO \"LiteLLM_ModelTable\" (aliases, created_by, updated_by) VALUES ('{}', '', '') RETURNING id",
    "INSERT INTO \"LiteLLM_ObjectPermissionTable\" (object_permission_id) VALUES ('p')",
    "INSERT INTO \"LiteLLM_AuditLog\" (id, action, table_name, object_id) VALUES ('a', 'created', 'LiteLLM_TeamTable', 'team')",
    "UPDATE \"LiteLLM_UserTable\" SET user_email = 'a@example.com', user_alias = '', user_role = 'internal_user', \
         sso_user_id = 'x', teams = '{}', metadata = '{}', updated_at = now() WHERE user_id = 'user'",
    "UPDATE \"LiteLLM_TeamTable\" SET team_alias = '', organization_id = NULL, models = '{}', members_with_roles = '[]', \
         blocked = true, metadata = '{}', updated_at = now()",
    "UPDATE \"LiteLLM_OrganizationTable\" SET organization_alias = '', updated_at = now(), updated_by = ''",
    "UPDATE \"LiteLLM_AccessGroupTable\" SET assigned_team_ids = '{}', updated_at = now(), updated_by = ''",
    "CREATE TEMPORARY TABLE directory (id text) ON COMMIT DROP",
    "CREATE TABLE entra_sync.something (id text)",
    // Removals.
    "DELETE FROM \"LiteLLM_TeamMembership\"",
    "INSERT INTO \"LiteLLM_DeletedVerificationToken\" (id, token) VALUES ('d', 'token')",
    "UPDATE \"LiteLLM_VerificationToken\" SET blocked = true, metadata = '{}', updated_at = now()",
    "SELECT token FROM \"LiteLLM_VerificationToken\" ORDER BY token COLLATE \"C\" FOR UPDATE",
    "DELETE FROM \"LiteLLM_VerificationToken\"",
    "DELETE FROM \"LiteLLM_OrganizationMembership\"",
    "DELETE FROM \"LiteLLM_JWTKeyMapping\" m RETURNING to_jsonb(m)",
    // Undoing.
    "INSERT INTO \"LiteLLM_VerificationToken\" (token, spend, models) VALUES ('back', 1, '{}') ON CONFLICT DO NOTHING RETURNING token",
    "INSERT INTO \"LiteLLM_JWTKeyMapping\" (id, jwt_claim_name, jwt_claim_value, token) VALUES ('m', 'sub', 'x', 'token') \
         ON CONFLICT DO NOTHING",
    "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id, spend) VALUES ('new', 'team', 1) ON CONFLICT DO NOTHING",
    "SELECT project_id FROM \"LiteLLM_ProjectTable\"",
];

/// What a defect must not be able to do.
const REFUSED: [&str; 25] = [
    "UPDATE \"LiteLLM_UserTable\" SET spend = 0",
    "UPDATE \"LiteLLM_UserTable\" SET max_budget = 0",
    "UPDATE \"LiteLLM_TeamTable\" SET spend = 0",
    "UPDATE \"LiteLLM_TeamTable\" SET team_id = 'other'",
    "UPDATE \"LiteLLM_OrganizationTable\" SET spend = 0",
    "UPDATE \"LiteLLM_OrganizationTable\" SET models = '{}'",
    "UPDATE \"LiteLLM_TeamMembership\" SET spend = 0",
    "UPDATE \"LiteLLM_BudgetTable\" SET max_budget = 0",
    "UPDATE \"LiteLLM_VerificationToken\" SET spend = 0",
    "SELECT password FROM \"LiteLLM_UserTable\"",
    "DELETE FROM \"LiteLLM_UserTable\"",
    "DELETE FROM \"LiteLLM_OrganizationTable\"",
    "DELETE FROM \"LiteLLM_BudgetTable\"",
    // What was taken, and that it was, cannot be hidden.
    "DELETE FROM \"LiteLLM_DeletedVerificationToken\"",
    "DELETE FROM \"LiteLLM_AuditLog\"",
    "UPDATE \"LiteLLM_AuditLog\" SET changed_by = ''",
    "UPDATE \"LiteLLM_JWTKeyMapping\" SET token = ''",
    "SELECT metadata FROM \"LiteLLM_ProjectTable\"",
    "INSERT INTO \"LiteLLM_Config\" (param_name) VALUES ('general_settings')",
    "SELECT * FROM \"LiteLLM_Config\"",
    "INSERT INTO \"LiteLLM_VerifiedSubject\" DEFAULT VALUES",
    "TRUNCATE \"LiteLLM_TeamMembership\"",
    "DROP TABLE \"LiteLLM_TeamMembership\"",
    "ALTER TABLE \"LiteLLM_TeamTable\" ADD COLUMN ours text",
    "CREATE TABLE public.ours (id text)",
];

#[tokio::test]
async fn the_role_may_do_everything_that_a_pass_does() {
    let database = seeded().await;
    let daemon = database.daemon().await;
    for statement in ALLOWED {
        if let Err(code) = attempt(&daemon, statement).await {
            panic!("{statement}: {code:?}");
        }
    }
}

#[tokio::test]
async fn the_role_may_do_nothing_else() {
    let database = seeded().await;
    let daemon = database.daemon().await;
    for statement in REFUSED {
        assert_eq!(
            attempt(&daemon, statement).await,
            Err(SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}"
        );
    }
}

#[tokio::test]
async fn deleting_teams_is_asked_for_and_taken_back() {
    let database = seeded().await;
    let daemon = database.daemon().await;
    let delete = "DELETE FROM \"LiteLLM_TeamTable\"";
    for (answer, expected) in [
        ("on", Ok(())),
        ("off", Err(SqlState::INSUFFICIENT_PRIVILEGE)),
        ("on", Ok(())),
    ] {
        grant(&database, &[("delete_teams", answer)]);
        assert_eq!(
            attempt(&daemon, delete).await,
            expected,
            "delete_teams={answer}"
        );
    }
}

#[tokio::test]
async fn without_removals_nothing_can_be_taken_away() {
    let database = seeded().await;
    grant(&database, &[("removals", "off")]);
    let daemon = database.daemon().await;
    for table in [
        "LiteLLM_TeamMembership",
        "LiteLLM_OrganizationMembership",
        "LiteLLM_VerificationToken",
        "LiteLLM_JWTKeyMapping",
        "LiteLLM_TeamTable",
        "LiteLLM_UserTable",
    ] {
        let statement = format!("DELETE FROM \"{table}\"");
        assert_eq!(
            attempt(&daemon, &statement).await,
            Err(SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}"
        );
    }
    assert_eq!(
        attempt(&daemon, "UPDATE \"LiteLLM_TeamTable\" SET team_alias = ''").await,
        Ok(())
    );
}

#[tokio::test]
async fn the_role_is_made_in_whatever_schema_litellm_uses() {
    let database = seeded().await.unexported();
    let owner = connect(&database.url_as("postgres")).await;
    owner
        .batch_execute("ALTER SCHEMA public RENAME TO \"Lite LLM\"; CREATE SCHEMA public")
        .await
        .expect("the schema is renamed");
    let refusal = psql::run_file(&database.url_as("postgres"), "deploy/sql/role.sql", &[])
        .expect_err("there is no LiteLLM in public");
    assert!(
        refusal.contains("no LiteLLM tables in schema \"public\""),
        "{refusal}"
    );

    let variables = [
        ("litellm_schema", "Lite LLM"),
        ("role", "Sync role"),
        ("password", "'it''s secret'"),
    ];
    let refusal = psql::run_file(
        &database.url_as("postgres"),
        "deploy/sql/role.sql",
        &variables,
    )
    .expect_err("the ledger belongs to the first role");
    assert!(refusal.contains("belongs to another role"), "{refusal}");
    owner
        .batch_execute("DROP SCHEMA entra_sync")
        .await
        .expect("the schema is empty");
    grant(&database, &variables);
    let daemon = connect(&database.url_as("Sync role")).await;
    let update = "UPDATE \"Lite LLM\".\"LiteLLM_TeamTable\" SET team_alias = ''";
    assert_eq!(attempt(&daemon, update).await, Ok(()));

    // A role belongs to the whole cluster and would outlive the test.
    drop(daemon);
    owner
        .batch_execute("DROP OWNED BY \"Sync role\"; DROP ROLE \"Sync role\"")
        .await
        .expect("the role is dropped");
}

/// A database with a row in every table that rights are tried on.
async fn seeded() -> TestDatabase {
    let database = TestDatabase::create().await;
    seed::user("user").insert(&database).await;
    seed::team("team").insert(&database).await;
    seed::join(&database, "user", "team").await;
    seed::budget("budget").insert(&database).await;
    seed::organization("organization", "budget")
        .insert(&database)
        .await;
    seed::user("member").insert(&database).await;
    seed::organization_membership("member", "organization")
        .insert(&database)
        .await;
    seed::key("token", "user")
        .with("team_id", "team")
        .insert(&database)
        .await;
    database
}

fn grant(database: &TestDatabase, variables: &[(&str, &str)]) {
    psql::run_file(
        &database.url_as("postgres"),
        "deploy/sql/role.sql",
        variables,
    )
    .unwrap_or_else(|complaint| panic!("{complaint}"));
}

/// Tries a statement and takes it back.
async fn attempt(client: &Client, statement: &str) -> Result<(), SqlState> {
    client.batch_execute("BEGIN").await.expect("a transaction");
    let outcome = client.batch_execute(statement).await;
    client
        .batch_execute("ROLLBACK")
        .await
        .expect("the end of it");
    outcome.map_err(|error| error.code().cloned().unwrap_or(SqlState::INTERNAL_ERROR))
}
