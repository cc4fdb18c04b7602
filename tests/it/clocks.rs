//! Machines whose clocks are wrong: what is counted in time is counted by the
//! database.

use entra_sync::config::Environment;
use entra_sync::simulator::Tenant;
use serde_json::Value;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{passes, quiet};
use crate::guard::{EACH, crowd, leave};
use crate::support::World;
use crate::support::binary::{Ended, Running, entra_sync};
use crate::support::look::people;
use crate::support::wait::wait_for;

/// Debian's libfaketime, wherever this architecture has it.
fn another_clock() -> String {
    let libraries = std::fs::read_dir("/usr/lib").expect("libraries").flatten();
    let mut places = libraries.map(|one| one.path().join("faketime/libfaketimeMT.so.1"));
    let place = places.find(|place| place.exists());
    let place = place.expect("libfaketime is installed (Debian's package libfaketime)");
    place.to_str().expect("text").to_owned()
}

/// One pass on a machine whose clock is so far off.
async fn sync_off_by(world: &World, by: &str) -> Ended {
    let mut environment: Environment = world.environment().clone();
    for (name, value) in [
        ("LD_PRELOAD", another_clock().as_str()),
        ("FAKETIME", by),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ] {
        environment.insert(name.to_owned(), value.to_owned());
    }
    entra_sync(&environment, &["sync", "--format", "json"]).await
}

fn bob_leaves(tenant: &mut Tenant) {
    tenant.group("science").without_member("bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_a_day_ahead_cuts_no_grace_short() {
    let world = world().await.with("ENTRA_SYNC__DEPROVISION__GRACE", "24h");
    world.settle().await;
    world.entra.tenant(bob_leaves);
    world.pass().await;
    let ended = sync_off_by(&world, "+25h").await.exits_with(0);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let said = "this machine's clock and the database's differ";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_a_day_behind_does_not_pass_by_the_guards_window() {
    let world = World::new(crowd)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 5)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100);
    world.settle().await;
    leave(&world, "science", 4);
    sync_off_by(&world, "-25h").await.exits_with(0);
    assert_eq!(world.members("science").await.len(), EACH - 4);
    leave(&world, "science", 8);
    let held = sync_off_by(&world, "-25h").await.exits_with(3).json();
    assert_eq!(held["held"]["removals"], 4, "{held:#}");
    assert_eq!(world.members("science").await.len(), EACH - 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_months_behind_keeps_the_copies_of_what_it_took() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(bob_leaves);
    let taken: Value = sync_off_by(&world, "-100d").await.exits_with(0).json();
    let run = taken["run_id"].as_str().expect("an id");
    assert_eq!(world.members("science").await, people(["ada"]));
    entra_sync(world.environment(), &["undo", run])
        .await
        .exits_with(0);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

async fn by_schedule(world: &World) -> usize {
    let passes = passes(world).await;
    let ended = passes.iter().filter(|(_, status)| status != "unfinished");
    ended.filter(|(by, _)| by == "schedule").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_under_a_running_daemon_stops_no_schedule() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__SCHEDULE__CRON", "* * * * * *");
    let folder = tempfile::TempDir::new().expect("a folder");
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+3d\n").expect("written");
    let clock_path = clock.to_str().expect("text").to_owned();
    for (name, value) in [
        ("LD_PRELOAD", another_clock().as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &clock_path),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ] {
        world.set(name, value);
    }
    let daemon = Running::start(world.environment(), &["run"]);
    wait_for("a pass by the clock that is ahead", || async {
        (by_schedule(&world).await > 0).then_some(())
    })
    .await;
    std::fs::write(&clock, "+0d\n").expect("written");
    daemon.says("clock was set back", 1).await;
    let before = by_schedule(&world).await;
    wait_for("two more by the right one", || async {
        (by_schedule(&world).await > before + 1).then_some(())
    })
    .await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}
