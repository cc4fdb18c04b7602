//! `deploy/sql/role.sql`: what it grants is there, what it does not is refused.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::binary::entra_sync;
use crate::support::database::connect;
use crate::support::{TestDatabase, psql, seed};

/// What every pass may do.
const ALLOWED: [&str; 30] = [
    "SELECT * FROM \"LiteLLM_TeamTable\"",
    "SELECT * FROM \"LiteLLM_TeamMembership\"",
    "SELECT * FROM \"LiteLLM_OrganizationTable\"",
    "SELECT * FROM \"LiteLLM_OrganizationMembership\"",
    "SELECT * FROM \"LiteLLM_BudgetTable\"",
    "SELECT * FROM \"LiteLLM_VerifiedSubject\"",
    "SELECT * FROM \"_prisma_migrations\"",
    "SELECT access_group_id, assigned_team_ids FROM \"LiteLLM_AccessGroupTable\"",
    "SELECT id FROM \"LiteLLM_ModelTable\"",
    "SELECT user_id, user_email, sso_user_id, user_role, teams, metadata FROM \"LiteLLM_UserTable\"",
    "SELECT count(*) FROM \"LiteLLM_UserTable\"",
    "SELECT user_id FROM \"LiteLLM_UserTable\" ORDER BY user_id COLLATE \"C\" FOR UPDATE",
    "SELECT team_id FROM \"LiteLLM_TeamTable\" FOR UPDATE",
    "SELECT pg_advisory_xact_lock(hashtext('a team'))",
    "INSERT INTO \"LiteLLM_BudgetTable\" (budget_id, created_by, updated_by) VALUES ('b', '', '')",
    "INSERT INTO \"LiteLLM_OrganizationTable\" (organization_id, organization_alias, budget_id, models, created_by, updated_by) \
         VALUES ('new', 'new', 'budget', '{}', '', '')",
    "INSERT INTO \"LiteLLM_TeamTable\" (team_id, members_with_roles, models) VALUES ('new', '[]', '{}')",
    "INSERT INTO \"LiteLLM_UserTable\" (user_id, models) VALUES ('new', '{}') ON CONFLICT DO NOTHING",
    "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('new', 'team') ON CONFLICT (user_id, team_id) DO NOTHING",
    "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id, spend) VALUES ('new', 'team', 1) ON CONFLICT DO NOTHING",
    "INSERT INTO \"LiteLLM_OrganizationMembership\" (user_id, organization_id, user_role) VALUES ('user', 'organization', 'internal_user')",
    "INSERT INTO \"LiteLLM_ModelTable\" (aliases, created_by, updated_by) VALUES ('{}', '', '') RETURNING id",
    "INSERT INTO \"LiteLLM_ObjectPermissionTable\" (object_permission_id) VALUES ('p')",
    "UPDATE \"LiteLLM_UserTable\" SET user_email = 'a@example.com', user_alias = '', user_role = 'internal_user', \
         sso_user_id = 'x', teams = '{}', updated_at = now() WHERE user_id = 'user'",
    "UPDATE \"LiteLLM_TeamTable\" SET team_alias = '', organization_id = NULL, models = '{}', members_with_roles = '[]', \
         updated_at = now()",
    "UPDATE \"LiteLLM_OrganizationTable\" SET organization_alias = '', updated_at = now(), updated_by = ''",
    "UPDATE \"LiteLLM_AccessGroupTable\" SET assigned_team_ids = '{}', updated_at = now()",
    "CREATE TABLE entra_sync.something (id text)",
    "SELECT has_database_privilege(current_database(), 'CONNECT')",
    "SET LOCAL lock_timeout = '2s'",
];

/// What only removals may do, and the undoing of them.
const REMOVING: [&str; 14] = [
    "DELETE FROM \"LiteLLM_TeamMembership\"",
    "DELETE FROM \"LiteLLM_OrganizationMembership\"",
    "SELECT * FROM \"LiteLLM_VerificationToken\"",
    "SELECT token FROM \"LiteLLM_VerificationToken\" ORDER BY token COLLATE \"C\" FOR UPDATE",
    "DELETE FROM \"LiteLLM_VerificationToken\"",
    "UPDATE \"LiteLLM_VerificationToken\" SET blocked = true, metadata = '{}', updated_at = now()",
    "INSERT INTO \"LiteLLM_DeletedVerificationToken\" (id, token) VALUES ('d', 'token')",
    "DELETE FROM \"LiteLLM_JWTKeyMapping\" m RETURNING to_jsonb(m)",
    "UPDATE \"LiteLLM_UserTable\" SET metadata = '{}'",
    "UPDATE \"LiteLLM_TeamTable\" SET blocked = true",
    "INSERT INTO \"LiteLLM_VerificationToken\" (token, spend, models) VALUES ('back', 1, '{}') ON CONFLICT DO NOTHING RETURNING token",
    "INSERT INTO \"LiteLLM_JWTKeyMapping\" (id, jwt_claim_name, jwt_claim_value, token) VALUES ('m', 'sub', 'x', 'token') \
         ON CONFLICT DO NOTHING",
    "SELECT project_id FROM \"LiteLLM_ProjectTable\"",
    "SELECT object_permission_id FROM \"LiteLLM_ObjectPermissionTable\"",
];

/// What only `unassigned_group: delete` may do.
const DELETING: [&str; 2] = [
    "DELETE FROM \"LiteLLM_TeamTable\"",
    "INSERT INTO \"LiteLLM_DeletedTeamTable\" (id, team_id) VALUES ('d', 'team')",
];

/// What only `store_audit_logs` may do.
const AUDITING: [&str; 1] = [
    "INSERT INTO \"LiteLLM_AuditLog\" (id, action, table_name, object_id) VALUES ('a', 'created', 'LiteLLM_TeamTable', 'team')",
];

/// What a defect must never be able to do.
const REFUSED: [&str; 33] = [
    "UPDATE \"LiteLLM_UserTable\" SET spend = 0",
    "UPDATE \"LiteLLM_UserTable\" SET max_budget = 0",
    "UPDATE \"LiteLLM_UserTable\" SET password = ''",
    "INSERT INTO \"LiteLLM_UserTable\" (user_id, models, password) VALUES ('new', '{}', 'a hash')",
    "UPDATE \"LiteLLM_TeamTable\" SET spend = 0",
    "UPDATE \"LiteLLM_TeamTable\" SET metadata = '{}'",
    "UPDATE \"LiteLLM_TeamTable\" SET team_id = 'other'",
    "UPDATE \"LiteLLM_OrganizationTable\" SET spend = 0",
    "UPDATE \"LiteLLM_OrganizationTable\" SET models = '{}'",
    "UPDATE \"LiteLLM_TeamMembership\" SET spend = 0",
    "UPDATE \"LiteLLM_BudgetTable\" SET max_budget = 0",
    "UPDATE \"LiteLLM_VerificationToken\" SET spend = 0",
    "UPDATE \"LiteLLM_AccessGroupTable\" SET updated_by = ''",
    "SELECT password FROM \"LiteLLM_UserTable\"",
    "SELECT aliases FROM \"LiteLLM_ModelTable\"",
    "SELECT access_group_name FROM \"LiteLLM_AccessGroupTable\"",
    "SELECT mcp_servers FROM \"LiteLLM_ObjectPermissionTable\"",
    "DELETE FROM \"LiteLLM_UserTable\"",
    "DELETE FROM \"LiteLLM_OrganizationTable\"",
    "DELETE FROM \"LiteLLM_BudgetTable\"",
    // What was taken, and that it was, cannot be hidden.
    "DELETE FROM \"LiteLLM_DeletedVerificationToken\"",
    "DELETE FROM \"LiteLLM_AuditLog\"",
    "SELECT * FROM \"LiteLLM_AuditLog\"",
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

/// The script's variables, with the statements that each one adds.
const VARIABLES: [(&str, &[&str]); 3] = [
    ("removals", &REMOVING),
    ("delete_teams", &DELETING),
    ("audit", &AUDITING),
];

#[tokio::test]
async fn each_variable_gives_its_own_rights_and_takes_them_back() {
    let database = seeded().await;
    let daemon = database.daemon().await;
    for choice in 0..8_u8 {
        let answers = answers(choice);
        let variables = grant_as(&database, answers);
        let always = ALLOWED.iter().map(|statement| (statement, Ok(())));
        let never = REFUSED.iter().map(|statement| (statement, refused()));
        let chosen = VARIABLES.iter().zip(answers).flat_map(|(variable, on)| {
            let expected = if on { Ok(()) } else { refused() };
            variable
                .1
                .iter()
                .map(move |statement| (statement, expected.clone()))
        });
        for (statement, expected) in always.chain(never).chain(chosen) {
            assert_eq!(
                attempt(&daemon, statement).await,
                expected,
                "{variables:?}: {statement}"
            );
        }
    }
}

fn refused() -> Result<(), SqlState> {
    Err(SqlState::INSUFFICIENT_PRIVILEGE)
}

#[tokio::test]
async fn removals_are_the_one_thing_that_is_on_unless_said_otherwise() {
    let database = seeded().await;
    let daemon = database.daemon().await;
    grant(&database, &[]);
    let groups: [(&[&str], _); 3] = [
        (&REMOVING, Ok(())),
        (&DELETING, refused()),
        (&AUDITING, refused()),
    ];
    for (statements, expected) in groups {
        for statement in statements {
            assert_eq!(attempt(&daemon, statement).await, expected, "{statement}");
        }
    }
}

/// Backups are taken as the owner of LiteLLM's tables: what was added to the
/// database must not keep them from reading all of it, after a migration too.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_litellms_tables_can_still_dump_the_database() {
    let world = crate::cli_exit_codes::world().await;
    let synced = entra_sync(world.environment(), &["sync"]).await;
    synced.exits_with(0);
    let dumped = tokio::process::Command::new("pg_dump")
        .arg("--format=custom")
        .arg(world.database.url_as("litellm"))
        .output()
        .await
        .expect("pg_dump runs");
    assert!(dumped.status.success(), "{dumped:?}");
    // Nor may it write there.
    let client = connect(&world.database.url_as("litellm")).await;
    let refused = client.execute("DELETE FROM entra_sync.run", &[]).await;
    let refused = refused.expect_err("it only reads");
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
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

/// One of the eight choices of the script's variables.
pub fn answers(choice: u8) -> [bool; 3] {
    [0, 1, 2].map(|bit| choice & (1 << bit) != 0)
}

/// Runs the script with these answers, in the order of its variables.
pub fn grant_as(database: &TestDatabase, answers: [bool; 3]) -> Vec<(&'static str, &'static str)> {
    let variables: Vec<_> = VARIABLES
        .iter()
        .zip(answers)
        .map(|((variable, _), on)| (*variable, if on { "on" } else { "off" }))
        .collect();
    grant(database, &variables);
    variables
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
