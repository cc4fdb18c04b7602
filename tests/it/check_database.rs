//! `entra-sync check` and what it says about the database.

use entra_sync::simulator::RoleState;

use crate::check_entra::{check, failures, of};
use crate::cli_exit_codes::world;
use crate::support::doorman::Doorman;
use crate::support::{World, psql, seed};

async fn altered(sql: &str) -> World {
    let mut world = world().await;
    world.database = world.database.unexported();
    let owner = crate::support::database::connect(&world.database.url_as("postgres")).await;
    owner.batch_execute(sql).await.expect(sql);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_fails_with_cause_and_remedy() {
    let world = world()
        .await
        .with("DATABASE_URL", "postgresql://sync@127.0.0.1:1/litellm");
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (1, vec!["database"]));
    let (message, remedy) = of(&found, "FAIL", "database");
    assert!(message.contains("refused"), "{message}");
    assert!(remedy.contains("check host and port"), "{remedy}");
    of(&found, "PASS", "user attributes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_says_so() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for("right");
    world.set("DATABASE_URL", door.url_with("wrong"));
    let (_, found) = check(&world).await;
    let (message, remedy) = of(&found, "FAIL", "database");
    assert!(message.contains("refuses the login"), "{message}");
    assert!(remedy.contains("password"), "{remedy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_missing_right_is_named_with_the_script_that_grants_it() {
    for (sql, words) in [
        (
            "REVOKE INSERT ON \"LiteLLM_TeamTable\" FROM entra_sync",
            "INSERT on LiteLLM_TeamTable",
        ),
        (
            "REVOKE UPDATE (teams) ON \"LiteLLM_UserTable\" FROM entra_sync",
            "UPDATE (teams) on LiteLLM_UserTable",
        ),
        (
            "REVOKE SELECT ON \"LiteLLM_VerifiedSubject\" FROM entra_sync",
            "SELECT on LiteLLM_VerifiedSubject",
        ),
        (
            "REVOKE SELECT ON _prisma_migrations FROM entra_sync",
            "SELECT on _prisma_migrations",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM entra_sync, public",
            "USAGE on schema public",
        ),
    ] {
        let world = altered(sql).await;
        let (code, found) = check(&world).await;
        assert_eq!(code, 1, "{sql}: {found:#?}");
        let (message, remedy) = of(&found, "FAIL", "database rights");
        assert_eq!(message, format!("the role lacks {words}"));
        assert!(remedy.contains("run deploy/sql/role.sql"), "{remedy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_asked_for_by_the_settings() {
    let sql = "REVOKE INSERT ON \"LiteLLM_OrganizationTable\" FROM entra_sync";
    let mut world = altered(sql).await;
    let (code, found) = check(&world).await;
    assert_eq!(code, 0, "{found:#?}");
    world.set("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    let (_, found) = check(&world).await;
    let (message, _) = of(&found, "FAIL", "database rights");
    assert_eq!(
        message,
        "the role lacks INSERT on LiteLLM_OrganizationTable"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_only_removals_need_fail_while_the_settings_remove() {
    let mut world = world().await;
    let owner = world.database.url_as("postgres");
    psql::run_file(&owner, "deploy/sql/role.sql", &[("removals", "off")]).expect("the script runs");
    let (code, found) = check(&world).await;
    assert_eq!(code, 1, "{found:#?}");
    let (message, _) = of(&found, "FAIL", "database rights");
    assert!(
        message.contains("DELETE on LiteLLM_TeamMembership"),
        "{message}"
    );
    for key in [
        "MEMBERSHIP",
        "UNASSIGNED_GROUP",
        "DISABLED_USER",
        "DELETED_USER",
    ] {
        let (_, found) = check(&world).await;
        let (_, remedy) = of(&found, "FAIL", "database rights");
        let named = format!("deprovision.{}", key.to_lowercase());
        assert!(remedy.contains(&named), "{remedy}");
        world.set(&format!("ENTRA_SYNC__DEPROVISION__{key}"), "keep");
        let (_, found) = check(&world).await;
        assert!(
            !found.iter().any(|one| one[3].contains(&named)),
            "{found:#?}"
        );
    }
    let (_, found) = check(&world).await;
    assert!(
        found
            .iter()
            .all(|one| one[0] != "database rights" || one[1] == "PASS"),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_grants_all_that_any_settings_ask_for() {
    let mut world = world().await;
    world.set("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
    world.set(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"model_aliases": {"a": "b"}, "object_permission": {"mcp_servers": ["s"]}, "models": ["m"]}"#,
    );
    let (code, found) = check(&world).await;
    assert_eq!(code, 0, "{found:#?}");
    assert!(
        found
            .iter()
            .all(|one| one[0] != "database rights" || one[1] == "PASS"),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_litellms_tables_fails_with_its_remedy() {
    for (sql, word) in [
        (
            "ALTER TABLE \"LiteLLM_TeamTable\" DROP COLUMN model_id CASCADE",
            "LiteLLM_TeamTable.model_id",
        ),
        (
            "INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('x', 'x', 'now')",
            "migration is running",
        ),
    ] {
        let world = altered(sql).await;
        let (code, found) = check(&world).await;
        assert_eq!(
            (code, failures(&found)),
            (1, vec!["LiteLLM schema"]),
            "{found:#?}"
        );
        let (message, _) = of(&found, "FAIL", "LiteLLM schema");
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_schema_may_be_made_or_its_script_is_named() {
    let world = altered("DROP SCHEMA entra_sync CASCADE").await;
    let (code, found) = check(&world).await;
    assert_eq!(code, 1);
    let (message, remedy) = of(&found, "FAIL", "ledger");
    assert!(message.contains("may not make it"), "{message}");
    assert!(remedy.contains("role.sql"), "{remedy}");
    let owner = crate::support::database::connect(&world.database.url_as("postgres")).await;
    let grant = "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO entra_sync', current_database()); END $$";
    owner.batch_execute(grant).await.expect("the grant");
    let (code, found) = check(&world).await;
    assert_eq!(code, 0, "{found:#?}");
    assert!(
        of(&found, "PASS", "ledger")
            .0
            .contains("the first pass makes it")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_another_tenant_fails() {
    let mut world = world().await;
    world.pass().await;
    world.set("MICROSOFT_TENANT", "fabrikam.example.com");
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (1, vec!["source"]));
    assert!(of(&found, "FAIL", "source").1.contains("set them back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_warns() {
    let world = world().await.with("ENTRA_SYNC__LITELLM__SEATS", "2");
    let (_, found) = check(&world).await;
    assert!(of(&found, "PASS", "seats").0.contains("0 of 2"));
    seed::user("one").insert(&world.database).await;
    seed::user("two").insert(&world.database).await;
    let (code, found) = check(&world).await;
    assert_eq!(code, 0);
    let (message, remedy) = of(&found, "WARN", "seats");
    assert!(message.contains("2 of 2"), "{message}");
    assert!(remedy.contains("litellm.seats"), "{remedy}");
}

/// The statements that grant what a finding says is missing.
fn grants(finding: &str) -> String {
    let (_, mut rest) = finding.split_once("the role lacks ").expect("a list");
    let mut statements = String::new();
    while let Some((privilege, tables)) = rest.split_once(" on ") {
        let (table, more) = tables.split_once(", ").unwrap_or((tables, ""));
        let kind = if privilege == "USAGE" {
            "SEQUENCE"
        } else {
            "TABLE"
        };
        statements += &format!("GRANT {privilege} ON {kind} \"{table}\" TO entra_sync;");
        rest = more;
    }
    statements
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_are_asked_for_are_all_that_a_pass_needs() {
    let mut world = altered(
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM entra_sync; \
         REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM entra_sync",
    )
    .await;
    world.set("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
    world.set(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"model_aliases": {"a": "b"}, "object_permission": {"mcp_servers": ["s"]},
            "models": ["m"], "max_budget": 5, "budget_duration": "1d", "team_member_budget": 1}"#,
    );
    let (_, found) = check(&world).await;
    let missing: String = found
        .iter()
        .filter(|one| one[0] == "database rights" && one[1] == "FAIL")
        .map(|one| grants(&one[2]))
        .collect();
    let owner = crate::support::database::connect(&world.database.url_as("postgres")).await;
    owner.batch_execute(&missing).await.expect(&missing);
    let (code, found) = check(&world).await;
    assert_eq!(code, 0, "{found:#?}");
    let report = world.pass().await;
    assert_eq!((report.errors.len(), report.changes.teams.created), (0, 2));
    // Following what changed takes other rights than making it.
    world.entra.tenant(|tenant| {
        tenant.application().role("proxy_admin", RoleState::Enabled);
        tenant.group("science").display_name("Natural science");
        let ada = tenant.user("ada").display_name("Ada L.");
        ada.user_principal_name("ada.l@contoso.example.com")
            .assigned("proxy_admin");
        tenant.user("dora");
        tenant.group("arts").member("dora");
    });
    let report = world.pass().await;
    assert_eq!(report.errors, []);
    assert_eq!(
        (report.changes.teams.updated, report.changes.users.updated),
        (1, 1)
    );
    assert_eq!(report.changes.organizations.updated, 1);
    // And so does taking away.
    let ada = entra_sync::simulator::person_id("ada").to_string();
    let science = entra_sync::simulator::group_id("science").to_string();
    seed::key("k1", &ada)
        .with("team_id", science.as_str())
        .insert(&world.database)
        .await;
    seed::key("k2", &ada).insert(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").unassigned("proxy_admin").disabled();
        tenant.group("science").without_member("ada");
        tenant.group("arts").unassigned_entirely();
    });
    let report = world.pass().await;
    assert_eq!(report.errors, []);
    let changes = report.changes;
    assert_eq!((changes.teams.deleted, changes.keys.deleted), (1, 1));
    assert_eq!((changes.users.deactivated, changes.keys.blocked), (1, 2));
    assert_eq!(world.user("ada").await["user_role"], "internal_user_viewer");
}
