//! What the daemon does while the database or Graph is away, and after.

use entra_sync::simulator::Fault;
use tempfile::TempDir;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::support::binary::Running;
use crate::support::doorman::Doorman;
use crate::support::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_is_tried_again_until_it_is_back() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    quiet(&mut world).set("DATABASE_URL", door.url());
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    daemon.says("pass ended", 1).await;
    door.shut();
    daemon.signal("USR1").await;
    daemon.says("pass failed", 1).await;
    daemon.says("failures=1 retry_seconds=10", 1).await;
    // Nobody asks: the second failure is the daemon's own retry.
    daemon.says("failures=2 retry_seconds=20", 1).await;
    assert!(
        daemon.stderr().contains("cannot reach LiteLLM's database"),
        "{}",
        daemon.stderr()
    );
    // Whoever has set up no notifications does not hear of them.
    assert!(
        !daemon.stderr().contains("notifications"),
        "{}",
        daemon.stderr()
    );
    door.open();
    assert_eq!(pass_by(&world, "schedule", 1).await, "unchanged");
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_breaks_off_in_a_pass_leaves_nothing_half_done() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    quiet(&mut world).set("DATABASE_URL", door.url());
    let late = entra_sync::simulator::Effect::Latency {
        milliseconds: 600_000,
    };
    let late = Fault::new(late).on("/groups/*/members*");
    world.entra.fault(late);
    let daemon = Running::start(world.environment(), &["run"]);
    wait_for("a pass that reads", || async {
        (world.entra.waiting_faults() == 0).then_some(())
    })
    .await;
    door.shut();
    world.entra.answer_now();
    daemon.says("pass failed", 1).await;
    assert!(world.database.rows("LiteLLM_TeamTable").await.is_empty());
    door.open();
    // The lease was not given back, so it is waited out first.
    assert_eq!(pass_by(&world, "schedule", 1).await, "succeeded");
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
    crate::daemon_signals::assert_whole(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_goes_away_is_tried_again_until_it_is_back() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    world
        .entra
        .fault(Fault::status(503).on("*/appRoleAssignedTo*").always());
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "failed");
    daemon.says("failures=1 retry_seconds=10", 1).await;
    world.entra.clear_faults();
    assert_eq!(pass_by(&world, "schedule", 1).await, "unchanged");
    assert_eq!(passes(&world).await.len(), 3);
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_database_password_is_read_from_its_file_again() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for("old");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("url");
    quiet(&mut world).database_url_from(&path, &door.url_with("old"));
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    daemon.says("pass ended", 1).await;
    std::fs::write(&path, door.url_with("new")).expect("written");
    door.ask_for("new");
    // What is connected stays so; what comes needs the new password.
    door.shut();
    door.open();
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    daemon.signal("TERM").await;
    let ended = daemon.ended().await.exits_with(0);
    assert!(!ended.stderr.contains("pass failed"), "{}", ended.stderr);
}
