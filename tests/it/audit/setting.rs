//! When LiteLLM's table cannot take the rows, or the role may not add them.

use super::{Log, SETTING, TEAM, about, two_groups, world};
use crate::check_entra::{check, failures, of};
use crate::support::binary::entra_sync;
use crate::support::database::connect;
use crate::support::look::group;
use crate::support::{World, psql};

async fn altered(sql: &str) -> World {
    let mut world = world(two_groups).await;
    world.database = world.database.unexported();
    let owner = connect(&world.database.url_as("postgres")).await;
    owner.batch_execute(sql).await.expect(sql);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_place_for_them_the_pass_goes_on_and_says_so() {
    for (sql, cause) in [
        (
            "DROP TABLE \"LiteLLM_AuditLog\"",
            "this LiteLLM has no table LiteLLM_AuditLog",
        ),
        (
            "ALTER TABLE \"LiteLLM_AuditLog\" DROP COLUMN changed_by_api_key",
            "LiteLLM_AuditLog lacks changed_by_api_key",
        ),
        (
            "ALTER TABLE \"LiteLLM_AuditLog\" ADD COLUMN reason text NOT NULL",
            "LiteLLM_AuditLog demands a value for reason",
        ),
    ] {
        let world = altered(sql).await;
        let (code, found) = check(&world).await;
        assert_eq!((code, failures(&found)), (0, vec![]), "{found:#?}");
        let (message, remedy) = of(&found, "WARN", "audit log");
        assert!(message.contains(cause), "{message}");
        assert!(remedy.contains("store_audit_logs"), "{remedy}");

        let ended = entra_sync(world.environment(), &["sync"]).await;
        let ended = ended.exits_with(0);
        assert_eq!(ended.stderr.matches(cause).count(), 1, "{ended:#?}");
        assert_eq!(world.count(TEAM).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_add_them_is_found_by_check_and_changes_nothing_unrecorded() {
    let mut world = world(two_groups).await;
    let owner = world.database.url_as("postgres");
    let grant = |audit| psql::run_file(&owner, "deploy/sql/role.sql", &[("audit", audit)]);
    grant("off").expect("the script runs");
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (1, vec!["database rights"]));
    let (message, remedy) = of(&found, "FAIL", "database rights");
    assert_eq!(
        message,
        "for audit rows the role lacks INSERT on LiteLLM_AuditLog"
    );
    assert!(
        remedy.contains("role.sql") && remedy.contains("audit=on"),
        "{remedy}"
    );

    let report = world.pass().await;
    assert!(!report.errors.is_empty());
    assert_eq!(world.count(TEAM).await, 0);
    for error in &report.errors {
        assert!(error.message.contains("LiteLLM_AuditLog"), "{error:?}");
    }

    world.set(SETTING, "false");
    let (code, _) = check(&world).await;
    assert_eq!(code, 0);
    grant("on").expect("the script runs");
    world.set(SETTING, "true");
    world.settle().await;
    let log = Log::read(&world).await;
    log.one(&about("created", TEAM, group("science")));
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_own_file_and_variable_switch_it_on() {
    let mut world = World::new(two_groups).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("litellm.yaml");
    std::fs::write(&file, "litellm_settings: {store_audit_logs: true}").expect("a file");
    world.set("ENTRA_SYNC__LITELLM__CONFIG_FILE", file.display());
    world.settle().await;
    assert_eq!(Log::read(&world).await.0.len(), 6);

    let world = World::new(two_groups)
        .await
        .with("LITELLM_STORE_AUDIT_LOGS", "True");
    world.settle().await;
    assert_eq!(Log::read(&world).await.0.len(), 6);
}
