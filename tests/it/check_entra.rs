//! `entra-sync check` and what it says about Entra.

use entra_sync::simulator::Permission;
use serde_json::Value;

use crate::cli_exit_codes::world;
use crate::support::binary::entra_sync;
use crate::support::{World, tables};

/// What `check` found: exit code, and name, result, message and remedy of each.
pub async fn check(world: &World) -> (i32, Vec<[String; 4]>) {
    let litellm = tables::litellm(&world.database).await;
    let own = tables::all(&world.database, "entra_sync").await;
    let ended = entra_sync(world.environment(), &["check", "--format", "json"]).await;
    let json = ended.json();
    assert_eq!(json["ok"], ended.code == 0);
    let checks = json["checks"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = checks
        .iter()
        .map(|one| {
            assert_eq!(one.as_object().map(serde_json::Map::len), Some(4), "{one}");
            assert!(
                one["remedy"].is_string() || one["result"] != "FAIL",
                "{one}"
            );
            ["name", "result", "message", "remedy"].map(|field| text(&one[field]))
        })
        .collect();
    assert_eq!(
        litellm,
        tables::litellm(&world.database).await,
        "check wrote"
    );
    assert_eq!(
        own,
        tables::all(&world.database, "entra_sync").await,
        "check wrote"
    );
    (ended.code, found)
}

/// Message and remedy of the first finding like this.
#[track_caller]
pub fn of<'a>(found: &'a [[String; 4]], result: &str, name: &str) -> (&'a str, &'a str) {
    let one = found.iter().find(|one| one[0] == name && one[1] == result);
    match one {
        Some([_, _, message, remedy]) => (message, remedy),
        None => panic!("no {result} {name} in {found:#?}"),
    }
}

pub fn failures(found: &[[String; 4]]) -> Vec<&str> {
    let failed = found.iter().filter(|one| one[1] == "FAIL");
    failed.map(|one| one[0].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_pass_needs_is_looked_at() {
    let world = world().await;
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (0, vec![]), "{found:#?}");
    for name in [
        "configuration",
        "token",
        "service principal",
        "assignments",
        "groups",
        "members",
        "user attributes",
        "database",
        "LiteLLM schema",
        "database rights",
        "ledger",
        "seats",
        "clock",
    ] {
        of(&found, "PASS", name);
    }
    world.pass().await;
    let (_, found) = check(&world).await;
    assert!(of(&found, "PASS", "ledger").0.contains("newest version"));
    of(&found, "PASS", "source");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_one_line_for_each_thing() {
    let world = world().await;
    let ended = entra_sync(world.environment(), &["check"])
        .await
        .exits_with(0);
    for line in ended.stdout.lines() {
        let (result, rest) = line.split_once(' ').expect("two words");
        assert!(["PASS", "WARN", "FAIL"].contains(&result), "{line}");
        assert!(rest.contains(": "), "{line}");
    }
    assert!(ended.stdout.contains("PASS token: "), "{}", ended.stdout);
    assert_eq!(ended.stderr, "", "warnings are findings here");
}

#[tokio::test(flavor = "multi_thread")]
async fn offline_asks_nobody() {
    let mut world = world().await;
    world.set("DATABASE_URL", "postgresql://sync@127.0.0.1:1/litellm");
    let ended = entra_sync(world.environment(), &["check", "--offline"])
        .await
        .exits_with(0);
    assert!(
        ended.stdout.starts_with("PASS configuration: "),
        "{}",
        ended.stdout
    );
    assert_eq!(world.entra.requests().log.len(), 0);
    // The certificates to check the server by are needed before it is asked.
    let url =
        "postgresql://sync@127.0.0.1:1/litellm?sslmode=verify-full&sslrootcert=/nonexistent.pem";
    world.set("DATABASE_URL", url);
    let ended = entra_sync(world.environment(), &["check", "--offline"]).await;
    assert!(matches!(ended.code, 1 | 64), "{ended:#?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("/nonexistent.pem"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used_are_findings_too() {
    let world = world()
        .await
        .with("ENTRA_SYNC__SCHEDULE__CRON", "every day");
    let ended = entra_sync(world.environment(), &["check", "--format", "json"])
        .await
        .exits_with(64);
    let json = ended.json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["checks"][0]["name"], "configuration");
    assert_eq!(json["checks"][0]["result"], "FAIL");
    assert!(json["checks"][0]["remedy"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_fails_the_token_and_the_database_is_still_looked_at() {
    let world = world().await.with("MICROSOFT_CLIENT_SECRET", "wrong");
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (1, vec!["token"]));
    let (message, remedy) = of(&found, "FAIL", "token");
    assert!(message.contains("refused the client secret"), "{message}");
    assert!(remedy.contains("set entra.client_secret"), "{remedy}");
    of(&found, "PASS", "database rights");

    // Whoever has it in a file is told to change the file.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "wrong").expect("it is written");
    let mut filed = world.with("MICROSOFT_CLIENT_SECRET", "");
    let path = file.path().to_str().expect("text").to_owned();
    filed.set("ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE", &path);
    let (_, found) = check(&filed).await;
    let (_, remedy) = of(&found, "FAIL", "token");
    let expected = format!("put the secret's value into {path}, not its id");
    assert!(remedy.contains(&expected), "{remedy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_missing_permission_is_named() {
    for (permission, name) in [
        (Permission::ApplicationReadAll, "service principal"),
        (Permission::GroupMemberReadAll, "groups"),
        (Permission::UserReadAll, "user attributes"),
    ] {
        let world = world().await;
        world.entra.tenant(|tenant| tenant.revoke(permission));
        let (code, found) = check(&world).await;
        assert_eq!(code, 1, "{permission:?}: {found:#?}");
        let (_, remedy) = of(&found, "FAIL", name);
        let wanted = serde_json::to_value(permission).expect("a name");
        assert!(remedy.contains(wanted.as_str().expect("text")), "{remedy}");
        assert!(remedy.contains("admin consent"), "{remedy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_optional_only_warns() {
    let world = world().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").unassigned_entirely();
        tenant.group("arts").unassigned_entirely();
    });
    let (code, found) = check(&world).await;
    assert_eq!(code, 0, "{found:#?}");
    let (message, remedy) = of(&found, "WARN", "assignments");
    assert!(
        message.contains("neither a group nor a person"),
        "{message}"
    );
    assert!(remedy.contains("Users and groups"), "{remedy}");
}
