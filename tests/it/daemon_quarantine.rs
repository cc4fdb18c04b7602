//! What repeated failures do to the schedule, who is told, and what ends it.

use entra_sync::simulator::{Fault, Permission};
use serde_json::Value;
use tempfile::TempDir;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::doorman::Doorman;
use crate::support::file::put;

const OPENED: &str = "alert opened";
const CLOSED: &str = "alert closed";
/// What a time of the schedule that is let go by leaves in the debug log.
const WAITS: &str = "the schedule waits";

/// A schedule of every second, and a log that tells of each that is let go by.
fn every_second(world: &mut World) -> &mut World {
    quiet(world);
    world.set("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "debug");
    world.set("ENTRA_SYNC__SCHEDULE__CRON", "* * * * * *")
}

/// The tenant's secret is another one from now on, for whoever asks anew.
fn rotate(world: &World, secret: &str) {
    world
        .entra
        .tenant(|tenant| tenant.set_client_secret(secret));
    world.entra.expire_tokens();
}

async fn status(world: &World) -> Value {
    entra_sync(world.environment(), &["status", "--format", "json"])
        .await
        .exits_with(0)
        .json()
}

async fn ends(daemon: Running) -> String {
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0).stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_alerts_at_once_and_stretches_the_schedule_until_it_is_right() {
    let mut world = world().await;
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    every_second(&mut world);
    rotate(&world, "another");
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "failed");
    daemon.says(OPENED, 1).await;
    daemon.says("failures=1 retry_seconds=60", 1).await;
    daemon
        .says("because signing in to Entra has failed once", 1)
        .await;
    // The schedule comes by every second, and no pass with it.
    daemon.says(WAITS, 3).await;
    assert_eq!(passes(&world).await.len(), 1, "{}", daemon.stderr());

    let told = status(&world).await;
    let alert = &told["alerts"][0];
    assert_eq!(alert["kind"], "authentication", "{told:#}");
    assert_eq!(alert["error"], "secret_rejected");
    assert_eq!(alert["failures"], 1);
    assert_eq!(alert["opened_at"], alert["since"]);
    assert!(
        alert["message"]
            .as_str()
            .is_some_and(|text| text.contains("refused the client secret"))
    );
    assert!(alert["remedy"].is_string());
    assert_eq!(told["quarantine"], *alert);
    let text = entra_sync(world.environment(), &["status"]).await.stdout;
    assert!(text.contains("\nalert    authentication: "), "{text}");
    assert!(text.contains("\nwaits    next attempt at 20"), "{text}");

    // Who asks by name is not kept waiting, and fails once more.
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "failed");
    daemon.says("failures=2 retry_seconds=120", 1).await;
    let asked = world.entra.requests().of("token").requests;
    assert_eq!(asked, 2, "each pass asks for itself");

    rotate(&world, &right);
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 2).await, "succeeded");
    daemon.says(CLOSED, 1).await;
    // The schedule is kept again.
    pass_by(&world, "schedule", 2).await;
    let told = status(&world).await;
    assert_eq!(told["alerts"], serde_json::json!([]));
    assert_eq!(told["quarantine"], Value::Null);
    let log = ends(daemon).await;
    assert_eq!(log.matches(OPENED).count(), 1, "{log}");
    assert_eq!(log.matches(CLOSED).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_alerts_after_three_failures_only() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    world
        .entra
        .fault(Fault::status(503).on("*/appRoleAssignedTo*").always());
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "failed");
    daemon.says("failures=1 retry_seconds=10", 1).await;
    daemon.signal("USR1").await;
    daemon.says("failures=2 retry_seconds=20", 1).await;
    let told = status(&world).await;
    assert_eq!(told["alerts"], serde_json::json!([]), "{told:#}");
    assert_eq!(told["quarantine"]["kind"], "outage");
    assert_eq!(told["quarantine"]["failures"], 2);
    assert_eq!(told["quarantine"]["opened_at"], Value::Null);
    assert!(!daemon.stderr().contains(OPENED), "{}", daemon.stderr());
    for (failures, seconds) in [(3, 40), (4, 80)] {
        daemon.signal("USR1").await;
        let said = format!("failures={failures} retry_seconds={seconds}");
        daemon.says(&said, 1).await;
        assert_eq!(daemon.stderr().matches(OPENED).count(), 1);
    }
    assert_eq!(status(&world).await["alerts"][0]["failures"], 4);
    world.entra.clear_faults();
    daemon.signal("USR1").await;
    daemon.says(CLOSED, 1).await;
    let log = ends(daemon).await;
    assert!(log.contains("reading from Graph works again"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_failures_that_pass_by_tell_nobody() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    world
        .entra
        .fault(Fault::status(503).on("*/appRoleAssignedTo*").times(2));
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("failures=1 retry_seconds=10", 1).await;
    daemon.signal("USR1").await;
    daemon.says("failures=2 retry_seconds=20", 1).await;
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 2).await, "succeeded");
    daemon.says("pass ended", 1).await;
    let log = ends(daemon).await;
    assert!(!log.contains("alert"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_permission_is_seen_by_the_next_pass_although_the_token_lasts() {
    let mut world = world().await;
    every_second(&mut world);
    world
        .entra
        .tenant(|tenant| tenant.revoke(Permission::ApplicationReadAll));
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "failed");
    daemon.says("failures=1 retry_seconds=60", 1).await;
    daemon.says(WAITS, 2).await;
    assert_eq!(passes(&world).await.len(), 1);
    assert!(!daemon.stderr().contains(OPENED), "{}", daemon.stderr());
    world
        .entra
        .tenant(|tenant| tenant.grant(Permission::ApplicationReadAll));
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "succeeded");
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_ends_the_wait() {
    let mut world = world().await;
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    quiet(&mut world);
    rotate(&world, "another");
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says(OPENED, 1).await;
    daemon.says("next attempt at", 1).await;
    daemon.signal("HUP").await;
    // New settings do not make the failures fewer, nor the alert a new one.
    daemon.says("has failed 2 times", 1).await;
    rotate(&world, &right);
    daemon.signal("HUP").await;
    assert_eq!(pass_by(&world, "reload", 2).await, "succeeded");
    daemon.says(CLOSED, 1).await;
    let log = ends(daemon).await;
    assert_eq!(log.matches(OPENED).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_changes_in_its_file_ends_the_wait() {
    let mut world = world().await;
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("secret");
    quiet(&mut world).secret_from(&path, "wrong\n");
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says(OPENED, 1).await;
    // Each change is tried once.
    put(&path, "wrong too\n");
    assert_eq!(pass_by(&world, "reload", 1).await, "failed");
    daemon.says("has failed 2 times", 1).await;
    put(&path, &right);
    assert_eq!(pass_by(&world, "reload", 2).await, "succeeded");
    daemon.says(CLOSED, 1).await;
    ends(daemon).await;
    assert_eq!(passes(&world).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_neither_the_quarantine_nor_the_alert() {
    let mut world = world().await;
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    every_second(&mut world);
    rotate(&world, "another");
    let first = Running::start(world.environment(), &["run"]);
    first.says(OPENED, 1).await;
    first.says("failures=1 retry_seconds=60", 1).await;
    ends(first).await;

    world.set("ENTRA_SYNC__SCHEDULE__ON_START", "false");
    let second = Running::start(world.environment(), &["run"]);
    second.says(WAITS, 3).await;
    assert_eq!(passes(&world).await.len(), 1, "{}", second.stderr());
    ends(second).await;

    // Whoever starts it with a pass at start asks for that pass: a new secret
    // in the environment comes no other way.
    world.set("ENTRA_SYNC__SCHEDULE__ON_START", "true");
    let third = Running::start(world.environment(), &["run"]);
    third.says("failures=2 retry_seconds=120", 1).await;
    assert!(!third.stderr().contains(OPENED), "{}", third.stderr());
    assert_eq!(status(&world).await["alerts"][0]["failures"], 2);
    ends(third).await;

    rotate(&world, &right);
    let fourth = Running::start(world.environment(), &["run"]);
    fourth.says(CLOSED, 1).await;
    ends(fourth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_by_hand_counts_and_its_success_frees_the_daemon() {
    let mut world = world().await;
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    every_second(&mut world);
    rotate(&world, "another");
    let by_hand = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(1);
    assert!(by_hand.stderr.contains(OPENED), "{by_hand:#?}");
    assert_eq!(status(&world).await["alerts"][0]["failures"], 1);

    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("failures=2 retry_seconds=120", 1).await;
    assert!(!daemon.stderr().contains(OPENED), "{}", daemon.stderr());
    daemon.says(WAITS, 1).await;
    // By hand nothing waits.
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(1);
    assert_eq!(status(&world).await["alerts"][0]["failures"], 3);
    rotate(&world, &right);
    let by_hand = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert!(by_hand.stderr.contains(CLOSED), "{by_hand:#?}");
    daemon.says("the schedule is kept again", 1).await;
    assert_eq!(pass_by(&world, "schedule", 1).await, "unchanged");
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_alerts_from_memory_and_settings_read_again_keep_it() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    quiet(&mut world).set("DATABASE_URL", door.url());
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    daemon.says("pass ended", 1).await;
    door.shut();
    for (failures, signal) in [(1, "USR1"), (2, "HUP"), (3, "USR1")] {
        assert!(!daemon.stderr().contains(OPENED), "{}", daemon.stderr());
        daemon.signal(signal).await;
        daemon.says(&format!("failures={failures} "), 1).await;
    }
    daemon.says(OPENED, 1).await;
    door.open();
    daemon.signal("USR1").await;
    daemon.says(CLOSED, 1).await;
    let log = ends(daemon).await;
    assert_eq!(log.matches(OPENED).count(), 1, "{log}");
    // Once it is back it is told what it missed.
    let client = crate::support::database::connect(&world.database.url_as("postgres")).await;
    let row = client
        .query_one(
            "SELECT kind, failures, opened_at < closed_at FROM entra_sync.alert",
            &[],
        )
        .await
        .expect("one alert");
    assert_eq!(row.get::<_, String>(0), "database");
    assert_eq!(row.get::<_, i64>(1), 3);
    assert!(row.get::<_, bool>(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_database_refuses_alerts_at_once_and_a_new_url_file_ends_the_wait() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for("right");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("url");
    quiet(&mut world).database_url_from(&path, &door.url_with("wrong"));
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says(OPENED, 1).await;
    daemon
        .says(
            "because signing in to LiteLLM's database has failed once",
            1,
        )
        .await;
    put(&path, door.url_with("right"));
    assert_eq!(pass_by(&world, "reload", 1).await, "succeeded");
    daemon.says(CLOSED, 1).await;
    ends(daemon).await;
}
