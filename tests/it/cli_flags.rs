//! Flags and files: where they may stand and which of them wins.

use entra_sync::config::Environment;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli_exit_codes::world;
use crate::support::binary::{Running, entra_sync};

fn file(folder: &TempDir, name: &str, content: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("the file is written");
    path.to_str().expect("a path in UTF-8").to_owned()
}

async fn setting(environment: &Environment, arguments: &[&str], key: &str) -> Value {
    let ended = entra_sync(environment, arguments).await.exits_with(0);
    ended.json()["settings"][key]["value"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn common_flags_stand_before_or_after_the_subcommand() {
    let world = world().await;
    for arguments in [
        &["--format", "json", "config"][..],
        &["config", "--format", "json"],
        // The later one wins.
        &["--format", "text", "config", "--format", "json"],
    ] {
        assert_eq!(
            setting(world.environment(), arguments, "telemetry.log_level").await,
            "info"
        );
    }
    for (arguments, level) in [
        (&["-v", "config", "--format", "json"][..], "debug"),
        (&["config", "-vv", "--format", "json"], "trace"),
        (&["-v", "config", "-v", "--format", "json"], "trace"),
        (
            &["--log-format", "json", "config", "--format", "json", "-v"],
            "debug",
        ),
    ] {
        let found = setting(world.environment(), arguments, "telemetry.log_level").await;
        assert_eq!(found, level, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_before_and_after_the_subcommand_all_count_and_later_ones_win() {
    let world = world().await;
    let folder = TempDir::new().expect("a folder");
    let first = file(
        &folder,
        "first.yaml",
        "schedule: {lease: 20s, jitter: 1s}\n",
    );
    let second = file(&folder, "second.yaml", "schedule: {lease: 30s}\n");
    let arguments = [
        "--config", &first, "config", "--config", &second, "--format", "json",
    ];
    let ended = entra_sync(world.environment(), &arguments)
        .await
        .exits_with(0);
    let settings = &ended.json()["settings"];
    assert_eq!(settings["schedule.lease"]["value"], "30s");
    assert_eq!(settings["schedule.jitter"]["value"], "1s");
    let origin = settings["schedule.jitter"]["origin"]
        .as_str()
        .expect("text");
    assert!(origin.contains("first.yaml"), "{origin}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variable_names_files_when_no_flag_does() {
    let world = world().await;
    let folder = TempDir::new().expect("a folder");
    let first = file(
        &folder,
        "first.yaml",
        "schedule: {lease: 20s, jitter: 1s}\n",
    );
    let second = file(&folder, "second.yaml", "schedule: {lease: 30s}\n");
    let mut environment = world.environment().clone();
    let json = ["config", "--format", "json"];
    environment.insert("ENTRA_SYNC_CONFIG".into(), format!("{first}:{second}"));
    assert_eq!(setting(&environment, &json, "schedule.lease").await, "30s");
    assert_eq!(setting(&environment, &json, "schedule.jitter").await, "1s");
    let flag = ["--config", &first, "config", "--format", "json"];
    assert_eq!(setting(&environment, &flag, "schedule.lease").await, "20s");
    environment.insert("ENTRA_SYNC_CONFIG".into(), String::new());
    assert_eq!(setting(&environment, &json, "schedule.lease").await, "15s");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_in_a_file_is_named_with_its_file() {
    let world = world().await;
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "mine.yaml", "schedule:\n  crom: '* * * * *'\n");
    let ended = entra_sync(world.environment(), &["--config", &path, "sync"])
        .await
        .exits_with(64);
    let message = ended.message();
    for word in ["mine.yaml", "schedule.crom", "schedule.cron"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_defaults_are_a_file_that_changes_nothing() {
    let world = world().await;
    let defaults = entra_sync(&Environment::new(), &["config", "--defaults"])
        .await
        .exits_with(0);
    assert_eq!(defaults.stderr, "");
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "defaults.yaml", &defaults.stdout);
    let values = |ended: crate::support::binary::Ended| -> Vec<(String, Value)> {
        let json = ended.json();
        let settings = json["settings"].as_object().expect("an object");
        settings
            .iter()
            .map(|(key, one)| (key.clone(), one["value"].clone()))
            .collect()
    };
    let json = ["config", "--format", "json"];
    let without = values(entra_sync(world.environment(), &json).await.exits_with(0));
    let with = ["--config", &path, "config", "--format", "json"];
    let with = values(entra_sync(world.environment(), &with).await.exits_with(0));
    assert_eq!(without, with);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_failure() {
    let world = world().await;
    let program = env!("CARGO_BIN_EXE_entra-sync");
    let status = tokio::process::Command::new("bash")
        .args([
            "-c",
            &format!("set -o pipefail; {program} config --defaults | head -n 1"),
        ])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(world.environment())
        .output()
        .await
        .expect("a shell");
    assert!(status.status.success(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_steer_nothing_yet_are_named_once() {
    let mut world = world().await;
    world.set("ENTRA_SYNC__LITELLM__REDIS_URL", "redis://localhost");
    let said = "`litellm.redis_url` (environment ENTRA_SYNC__LITELLM__REDIS_URL) has no effect in this version";
    let warned = |stderr: &str| {
        let lines = stderr.lines().filter(|line| line.contains(said));
        lines.filter(|line| line.contains(" WARN ")).count()
    };
    let sync = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert_eq!(warned(&sync.stderr), 1, "{}", sync.stderr);
    let check = entra_sync(world.environment(), &["check"])
        .await
        .exits_with(0);
    let found = check.stdout.lines().filter(|line| line.contains(said));
    assert!(found.clone().all(|line| line.starts_with("WARN ")));
    assert_eq!(found.count(), 1, "{}", check.stdout);
    assert!(!check.stderr.contains(said), "{}", check.stderr);
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("pass ended", 1).await;
    daemon.signal("TERM").await;
    let daemon = daemon.ended().await.exits_with(0);
    assert_eq!(warned(&daemon.stderr), 1, "{}", daemon.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_the_role_is_printed_without_any_settings() {
    let printed = entra_sync(&Environment::new(), &["role-sql"])
        .await
        .exits_with(0);
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/sql/role.sql");
    let file = std::fs::read_to_string(file).expect("the script");
    assert_eq!(printed.stdout, file);
}
