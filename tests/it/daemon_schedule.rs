//! The daemon's own clock: a pass on start, passes on the cron line, one at a
//! time.

use entra_sync::simulator::{Effect, Fault};

use crate::cli_exit_codes::world;
use crate::support::World;
use crate::support::binary::Running;
use crate::support::database::connect;
use crate::support::wait::{far_off, wait_for};

/// The triggers of the finished passes, oldest first.
pub async fn passes(world: &World) -> Vec<(String, String)> {
    let client = connect(&world.database.url_as("postgres")).await;
    client
        .query(
            "SELECT trigger, coalesce(status, 'unfinished') FROM entra_sync.run ORDER BY started_at",
            &[],
        )
        .await
        .map(|rows| rows.iter().map(|row| (row.get(0), row.get(1))).collect())
        // Before the first pass there is no table.
        .unwrap_or_default()
}

/// Waits for a finished pass with this trigger; gives how it ended.
pub async fn pass_by(world: &World, trigger: &str, number: usize) -> String {
    wait_for(&format!("pass {number} by {trigger}"), || async {
        let passes = passes(world).await;
        let mut of_it = passes.into_iter().filter(|(by, _)| by == trigger);
        of_it
            .nth(number - 1)
            .map(|(_, status)| status)
            .filter(|status| status != "unfinished")
    })
    .await
}

/// A daemon that passes on start and then only when it is asked to.
pub fn quiet(world: &mut World) -> &mut World {
    world.set("ENTRA_SYNC__SCHEDULE__CRON", far_off());
    world.set("ENTRA_SYNC__SCHEDULE__FULL_CRON", far_off());
    world.set("ENTRA_SYNC__SCHEDULE__JITTER", "0s")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_runs_on_start_and_nothing_more_until_it_is_due() {
    let mut world = world().await;
    quiet(&mut world);
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    daemon.says("pass ended", 1).await;
    daemon.signal("TERM").await;
    let ended = daemon.ended().await.exits_with(0);
    assert_eq!(passes(&world).await.len(), 1);
    assert!(
        ended.stderr.contains("entra-sync is up"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("schedule.next=20"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_on_start_the_first_pass_waits_for_the_schedule() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__SCHEDULE__ON_START", "false");
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("entra-sync is up", 1).await;
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "succeeded");
    assert_eq!(passes(&world).await.len(), 1);
    daemon.signal("INT").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_every_second_never_makes_passes_overlap() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__SCHEDULE__CRON", "* * * * * *");
    // Each pass takes longer than the time between two ticks.
    let slow = Fault::new(Effect::Latency {
        milliseconds: 1_500,
    });
    world.entra.fault(slow.on("*/appRoleAssignedTo*").always());
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "schedule", 3).await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
    let client = connect(&world.database.url_as("postgres")).await;
    let overlapping = client
        .query_one(
            "SELECT count(*) FROM entra_sync.run a JOIN entra_sync.run b ON a.run_id <> b.run_id \
             AND a.started_at <= b.started_at AND b.started_at < a.finished_at",
            &[],
        )
        .await
        .expect("a count");
    assert_eq!(overlapping.get::<_, i64>(0), 0);
    assert!(
        passes(&world)
            .await
            .iter()
            .all(|(by, _)| by == "start" || by == "schedule")
    );
}
