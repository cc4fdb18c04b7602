//! How commands end, for the shell: every exit code of the contract.

use entra_sync::simulator::{Fault, group_id};
use serde_json::json;

use crate::support::World;
use crate::support::binary::entra_sync;

/// Ada and Bob in one group, Cleo in another.
pub async fn world() -> World {
    World::new(|tenant| {
        for person in ["ada", "bob", "cleo"] {
            tenant.user(person);
        }
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant.group("arts").member("cleo").assigned_by_default();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_exit_with_0_on_standard_output() {
    let nothing = Default::default();
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["sync", "--help"],
        &["help", "plan"],
    ] {
        let ended = entra_sync(&nothing, arguments).await.exits_with(0);
        assert!(!ended.stdout.is_empty(), "{arguments:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_on_the_command_line_exit_with_64() {
    let nothing = Default::default();
    for arguments in [
        &[][..],
        &["--nonsense"],
        &["synchronise"],
        &["sync", "--nonsense"],
        &["sync", "--group", "not-an-id"],
        &["sync", "--user"],
        &["plan", "--full"],
        &["show"],
        &["history", "--limit", "0"],
        &["history", "--limit", "many"],
        &["--format", "xml", "status"],
    ] {
        let ended = entra_sync(&nothing, arguments).await.exits_with(64);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used_exit_with_64_before_anything_is_asked() {
    let world = world().await;
    for (name, value, words) in [
        (
            "ENTRA_SYNC__LITELLM__SEETS",
            "5",
            ["ENTRA_SYNC__LITELLM__SEETS", "ENTRA_SYNC__LITELLM__SEATS"],
        ),
        (
            "ENTRA_SYNC__SCHEDULE__CRON",
            "every day",
            ["schedule.cron", "ENTRA_SYNC__SCHEDULE__CRON"],
        ),
        (
            "ENTRA_SYNC__ENTRA__CONCURRENCY",
            "0",
            ["entra.concurrency", ";"],
        ),
        ("MICROSOFT_TENANT", "", ["entra.tenant", "MICROSOFT_TENANT"]),
        (
            "MICROSOFT_SERVICE_PRINCIPAL_ID",
            "x",
            ["entra.service_principal_id", ";"],
        ),
        (
            "DATABASE_URL",
            "mysql://host/db",
            ["litellm.database_url", "DATABASE_URL"],
        ),
        // Both the secret and its file.
        (
            "ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE",
            "/nonexistent",
            ["entra.client_secret", ";"],
        ),
    ] {
        let mut environment = world.environment().clone();
        environment.insert(name.to_owned(), value.to_owned());
        for command in [
            &["sync"][..],
            &["plan"],
            &["status"],
            &["history"],
            &["show", "last"],
            &["migrate"],
            &["run"],
            &["config"],
            &["check"],
        ] {
            let ended = entra_sync(&environment, command).await.exits_with(64);
            assert_eq!(ended.stdout, "", "{name}: {command:?}");
            let message = ended.message();
            for word in words {
                assert!(message.contains(word), "{word} is not in: {message}");
            }
        }
    }
    assert_eq!(world.entra.requests().log.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_succeeds_exits_with_0_and_so_does_one_without_changes() {
    let world = world().await;
    let first = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(0);
    assert_eq!(first.json()["status"], "succeeded");
    let second = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(0);
    assert_eq!(second.json()["status"], "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_plan_with_check_exits_with_2_when_there_is_something_to_change() {
    let world = world().await;
    let plan = |arguments: &'static [&'static str]| entra_sync(world.environment(), arguments);
    plan(&["plan"]).await.exits_with(0);
    let drift = plan(&["plan", "--check", "--format", "json"])
        .await
        .exits_with(2);
    assert_eq!(drift.json()["changes"]["teams"]["created"], 2);
    // A plan makes nothing, not even our own tables.
    let none: Vec<String> = Vec::new();
    let own = crate::support::tables::all(&world.database, "entra_sync").await;
    assert_eq!(own.keys().cloned().collect::<Vec<_>>(), none);
    world.pass().await;
    plan(&["plan", "--check"]).await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_be_read_makes_4_and_the_others_are_written() {
    let world = world().await;
    let arts = group_id("arts").to_string();
    world.entra.fault(
        Fault::status(403)
            .on(format!("/groups/{arts}/members*"))
            .always(),
    );
    let planned = entra_sync(world.environment(), &["plan", "--format", "json"])
        .await
        .exits_with(4);
    assert_eq!(planned.json()["errors"][0]["id"], arts.as_str());
    let ended = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(4);
    let report = ended.json();
    assert_eq!(report["status"], "partial");
    assert_eq!(report["errors"][0]["kind"], "group");
    assert_eq!(report["errors"][0]["id"], arts.as_str());
    let message = report["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("GroupMember.Read.All"), "{message}");
    assert_eq!(report["changes"]["team_memberships"]["added"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_fails_exits_with_1_and_still_prints_its_object() {
    let world = world().await.with("MICROSOFT_CLIENT_SECRET", "wrong");
    let ended = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(1);
    let report = ended.json();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["errors"][0]["kind"], "source");
    assert_eq!(report["errors"][0]["message"], ended.message());
    let ended = entra_sync(world.environment(), &["plan", "--format", "json"])
        .await
        .exits_with(1);
    let plan = ended.json();
    assert_eq!(plan["items"], json!([]));
    assert_eq!(plan["errors"][0]["message"], ended.message());
    let ended = entra_sync(world.environment(), &["check", "--format", "json"])
        .await
        .exits_with(1);
    assert_eq!(ended.json()["ok"], false);
}
