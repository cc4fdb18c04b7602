//! What signals do to the daemon.

use std::time::Instant;

use entra_sync::simulator::{Effect, Fault};
use tempfile::TempDir;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::early_signals::make_pipe;
use crate::support::World;
use crate::support::binary::{PROMISED, Running, entra_sync};
use crate::support::database::connect;
use crate::support::look::group;
use crate::support::seed;
use crate::support::session::Session;
use crate::support::tables;
use crate::support::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_waits_for_anothers_lease_is_still_of_who_asked() {
    let mut world = world().await;
    quiet(&mut world);
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    daemon.says("pass ended", 1).await;
    let client = connect(&world.database.url_as("postgres")).await;
    let taken = "UPDATE entra_sync.lease SET epoch = epoch + 1, holder = 'another', \
                 expires_at = clock_timestamp() + interval '1 hour'";
    client.batch_execute(taken).await.expect("the lease");
    daemon.signal("USR1").await;
    daemon.says("another instance works", 1).await;
    let free = "UPDATE entra_sync.lease SET expires_at = clock_timestamp()";
    client.batch_execute(free).await.expect("its end");
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    assert_eq!(passes(&world).await.len(), 2);
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn usr1_asks_for_a_pass_now_and_many_for_one_more() {
    let mut world = world().await;
    quiet(&mut world);
    world.set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    let late = Fault::new(Effect::Latency {
        milliseconds: 600_000,
    });
    world.entra.fault(late.on("*/appRoleAssignedTo*").times(1));
    daemon.signal("USR1").await;
    wait_for("a pass that reads", || async {
        (world.entra.waiting_faults() == 0).then_some(())
    })
    .await;
    for _ in 0..5 {
        daemon.signal("USR1").await;
    }
    // By then it has heard what it was told before.
    renewed(&world).await;
    world.entra.answer_now();
    pass_by(&world, "signal", 2).await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
    assert_eq!(passes(&world).await.len(), 3, "{:?}", passes(&world).await);
}

/// Waits until the lease has been prolonged.
async fn renewed(world: &World) {
    let until = || async { world.database.rows("entra_sync.lease").await[0]["expires_at"].clone() };
    let before = until().await;
    wait_for("a lease that is renewed", || async {
        (until().await != before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_reads_a_changed_secret_file_and_then_passes() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("secret");
    let old = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    world.secret_from(&path, &old);
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    world
        .entra
        .tenant(|tenant| tenant.set_client_secret("rotated"));
    world.entra.expire_tokens();
    std::fs::write(&path, "rotated\n").expect("the file is written");
    world.entra.reset_requests();
    daemon.signal("HUP").await;
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");
    // The old secret was not even tried: a refusal would have had it read again.
    let token = world.entra.requests().of("token");
    assert_eq!((token.requests, token.refused), (1, 0));
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

/// Whoever opened such a file would wait for somebody who writes, or read for
/// ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_no_regular_file_is_refused_and_the_next_hup_is_heard() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("secret");
    let secret = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    world.secret_from(&path, &secret);
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    make_pipe(&path).await;
    daemon.signal("HUP").await;
    daemon.says("it is a pipe and no regular file", 1).await;
    std::fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
    daemon.signal("HUP").await;
    daemon.says("it is a device and no regular file", 1).await;
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, &secret).expect("written");
    daemon.signal("HUP").await;
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_reads_changed_settings_and_keeps_the_old_ones_when_they_are_broken() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("settings.yaml");
    std::fs::write(&path, "litellm: {create_organizations: false}\n").expect("written");
    let file = path.to_str().expect("UTF-8").to_owned();
    let daemon = Running::start(world.environment(), &["run", "--config", &file]);
    pass_by(&world, "start", 1).await;
    assert!(
        world
            .database
            .rows("LiteLLM_OrganizationTable")
            .await
            .is_empty()
    );

    std::fs::write(&path, "litellm: {create_organisations: true}\n").expect("written");
    daemon.signal("HUP").await;
    daemon
        .says("the daemon goes on with the ones it has", 1)
        .await;
    assert!(
        daemon.stderr().contains("litellm.create_organisations"),
        "{}",
        daemon.stderr()
    );
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");

    std::fs::write(&path, "litellm: {create_organizations: true}\n").expect("written");
    daemon.signal("HUP").await;
    assert_eq!(pass_by(&world, "reload", 1).await, "succeeded");
    assert_eq!(
        world.database.rows("LiteLLM_OrganizationTable").await.len(),
        2
    );
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

/// It has proved useful once: a mistake in a file does not end it for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_hup_brings_after_a_good_pass_fails_without_ending_the_daemon() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("settings.yaml");
    let right = world.environment()["MICROSOFT_TENANT"].clone();
    let write = |tenant: &str| {
        std::fs::write(&path, format!("entra: {{tenant: {tenant}}}\n")).expect("written");
    };
    write(&right);
    world.set("MICROSOFT_TENANT", "");
    let file = path.to_str().expect("UTF-8").to_owned();
    let daemon = Running::start(world.environment(), &["run", "--config", &file]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    daemon.says("pass ended", 1).await;
    let before = tables::litellm(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });

    write("fabrikam.example.com");
    daemon.signal("HUP").await;
    daemon.says("pass failed", 1).await;
    assert!(
        daemon.stderr().contains("belongs to tenant"),
        "{}",
        daemon.stderr()
    );
    daemon.signal("USR1").await;
    daemon.says("pass failed", 2).await;
    assert_eq!(tables::litellm(&world.database).await, before);
    assert_eq!(
        passes(&world).await.len(),
        1,
        "nothing of it in this ledger"
    );

    write(&right);
    daemon.signal("HUP").await;
    assert_eq!(pass_by(&world, "reload", 1).await, "succeeded");
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn term_and_int_end_a_reading_that_never_ends() {
    for signal in ["TERM", "INT"] {
        let mut world = world().await;
        quiet(&mut world);
        let never = Fault::new(Effect::Latency {
            milliseconds: 600_000,
        });
        world.entra.fault(never.on("/groups/*/members*").always());
        let daemon = Running::start(world.environment(), &["run"]);
        wait_for("a pass that reads", || async {
            let requests = world.entra.requests();
            (requests.of("groups").requests > 0 && requests.in_flight > 0).then_some(())
        })
        .await;
        let begun = Instant::now();
        daemon.signal(signal).await;
        daemon.ended().await.exits_with(0);
        assert!(
            begun.elapsed() < PROMISED,
            "{signal}: {:?}",
            begun.elapsed()
        );
        assert!(world.database.rows("LiteLLM_TeamTable").await.is_empty());
        // Whoever comes next need not wait the lease out.
        world.entra.clear_faults();
        world.pass().await;
    }
}

/// More memberships than one transaction writes, and a daemon that is in the
/// middle of a later one: users and membership rows are written, the rosters
/// wait for a row that the session has.
async fn daemon_in_the_middle_of_writing() -> (World, Running, Session) {
    let mut world = World::new(|tenant| {
        for number in 0..GROUPS {
            let key = format!("group-{number}");
            for person in 0..MEMBERS {
                let person = format!("person-{}", (number * 7 + person) % 300);
                tenant.group(&key).member(&person);
            }
            tenant.group(&key).assigned_by_default();
        }
    })
    .await;
    quiet(&mut world).set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    // Teams are written in the order of their ids.
    let last = (0..GROUPS).map(|number| format!("group-{number}"));
    let last = last.max_by_key(|key| group(key)).expect("a group");
    seed::team(&group(&last))
        .with("team_alias", last.as_str())
        .insert(&world.database)
        .await;
    let session = Session::begin(&world.database).await;
    session
        .run(&format!(
            "SELECT FROM \"LiteLLM_TeamTable\" WHERE team_id = '{}' FOR UPDATE",
            group(&last)
        ))
        .await;
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(session.is_waited_for().await, "transactionid");
    (world, daemon, session)
}

const GROUPS: usize = 60;
const MEMBERS: usize = 50;

/// Some of the memberships are there, not all, and each is whole.
async fn assert_begun(world: &World) {
    assert_whole(world).await;
    let written = world.count("LiteLLM_TeamMembership").await;
    assert!((1..GROUPS * MEMBERS).contains(&written), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn term_in_the_middle_of_writing_tears_nothing() {
    let (world, daemon, session) = daemon_in_the_middle_of_writing().await;
    let begun = Instant::now();
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
    assert!(begun.elapsed() < PROMISED, "{:?}", begun.elapsed());
    assert_begun(&world).await;
    session.rollback().await;
    assert_begun(&world).await;
    // Whoever comes next need not wait the lease out.
    world.settle().await;
    assert_whole(&world).await;
    let written = world.count("LiteLLM_TeamMembership").await;
    assert_eq!(written, GROUPS * MEMBERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_tears_nothing_either() {
    let (world, daemon, session) = daemon_in_the_middle_of_writing().await;
    daemon.signal("KILL").await;
    daemon.ended().await.exits_with(-1);
    // Its statement may still get the row and end; nobody commits it.
    session.rollback().await;
    assert_begun(&world).await;
    let second = entra_sync(world.environment(), &["sync"]).await;
    second.exits_with(0);
    assert_whole(&world).await;
    let written = world.count("LiteLLM_TeamMembership").await;
    assert_eq!(written, GROUPS * MEMBERS);
    world.settle().await;
}

/// Rosters, `teams` arrays, membership rows and our record of them say the same.
pub async fn assert_whole(world: &World) {
    let client = connect(&world.database.url_as("postgres")).await;
    let pairs = |sql: &'static str| {
        let client = &client;
        async move {
            let rows = client.query(sql, &[]).await.expect(sql);
            rows.iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect::<Vec<(String, String)>>()
        }
    };
    let rosters = pairs(
        "SELECT team_id, e ->> 'user_id' FROM \"LiteLLM_TeamTable\", \
         jsonb_array_elements(members_with_roles) e ORDER BY 1, 2",
    )
    .await;
    let arrays =
        pairs("SELECT t, user_id FROM \"LiteLLM_UserTable\", unnest(teams) t ORDER BY 1, 2").await;
    let memberships =
        pairs("SELECT team_id, user_id FROM \"LiteLLM_TeamMembership\" ORDER BY 1, 2").await;
    let owned = pairs(
        "SELECT group_id::text, person_id::text FROM entra_sync.owned_team_member ORDER BY 1, 2",
    )
    .await;
    assert_eq!(rosters, arrays);
    assert_eq!(rosters, memberships);
    assert_eq!(rosters, owned);
}
