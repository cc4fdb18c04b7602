//! Two at once: who waits, for how long, and what a pool of one can do.

use std::time::Instant;

use entra_sync::simulator::{Effect, Fault, Tenant};
use tokio_postgres::Client;

use crate::cli_exit_codes::world;
use crate::support::binary::{Running, entra_sync};
use crate::support::database::connect;
use crate::support::look::{group, people, person};
use crate::support::session::Session;
use crate::support::tables::{self, Tables};
use crate::support::wait::wait_for;
use crate::support::{World, seed};

fn stall(world: &World) {
    let never = Fault::new(Effect::Latency {
        milliseconds: 600_000,
    });
    world.entra.fault(never.on("/groups/*/members*").always());
}

async fn reading(world: &World) {
    wait_for("a pass that reads", || async {
        let requests = world.entra.requests();
        (requests.of("groups").requests > 0 && requests.in_flight > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sync_waits_says_for_whom_and_gives_up() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    stall(&world);
    let first = Running::start(world.environment(), &["sync"]);
    reading(&world).await;
    let begun = Instant::now();
    let second = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(1);
    let waited = begun.elapsed().as_secs();
    assert!((10..60).contains(&waited), "waited {waited} s");
    assert_eq!(second.json()["status"], "failed");
    assert_eq!(
        second.stderr.matches("; waiting up to 10 s").count(),
        1,
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains("(process "), "{}", second.stderr);
    let last = second.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("entra-sync: ") && last.contains("holds the lease"),
        "{last}"
    );
    first.signal("TERM").await;
    first.ended().await.exits_with(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sync_goes_on_as_soon_as_the_first_has_ended() {
    let world = world().await;
    stall(&world);
    let first = Running::start(world.environment(), &["sync"]);
    reading(&world).await;
    let second = Running::start(world.environment(), &["sync", "--format", "json"]);
    second.says("; waiting up to 30 s", 1).await;
    world.entra.clear_faults();
    first.signal("INT").await;
    let first = first.ended().await.exits_with(1);
    assert!(
        first.stderr.contains("ended on request"),
        "{}",
        first.stderr
    );
    let second = second.ended().await.exits_with(0);
    assert_eq!(second.json()["changes"]["team_memberships"]["added"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_holder_was_killed_is_waited_out() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "15s");
    stall(&world);
    let first = Running::start(world.environment(), &["sync"]);
    reading(&world).await;
    first.signal("KILL").await;
    first.ended().await.exits_with(-1);
    world.entra.clear_faults();
    let second = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert!(
        second.stderr.contains("holds the lease"),
        "{}",
        second.stderr
    );
}

/// A `sync` that waits, in the middle of its writing, for the lock that the
/// session has on the team of science; that of arts is written.
async fn sync_that_waits_to_write(world: &World) -> (Running, Session) {
    // Teams that are there: else making them would wait.
    for key in ["arts", "science"] {
        seed::team(&group(key))
            .with("team_alias", key)
            .insert(&world.database)
            .await;
    }
    let session = Session::holding_team(&world.database, &group("science")).await;
    let first = Running::start(world.environment(), &["sync"]);
    assert_eq!(session.is_waited_for().await, "advisory");
    assert_eq!(world.members("arts").await, people(["cleo"]));
    (first, session)
}

/// The ledger but for what passes say of themselves.
async fn ledger(world: &World) -> Tables {
    let mut tables = tables::all(&world.database, "entra_sync").await;
    for own in ["run", "lease", "alert"] {
        assert!(tables.remove(own).is_some(), "{own}");
    }
    tables
}

/// A `sync` that stands still in the middle of its writing, until its lease has
/// run out and nobody is in its way any more.
async fn paused_past_its_lease(world: &World) -> (Running, Client) {
    let (first, session) = sync_that_waits_to_write(world).await;
    first.signal("STOP").await;
    let client = connect(&world.database.url_as("postgres")).await;
    wait_for("the lease to expire", || async {
        let sql = "SELECT expires_at <= clock_timestamp() FROM entra_sync.lease";
        let row = client.query_one(sql, &[]).await.expect("the lease");
        row.get::<_, bool>(0).then_some(())
    })
    .await;
    session.rollback().await;
    (first, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_paused_past_its_lease_writes_nothing_although_nobody_took_over() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let (first, _) = paused_past_its_lease(&world).await;
    let before = (tables::litellm(&world.database).await, ledger(&world).await);

    first.signal("CONT").await;
    let ended = first.ended().await.exits_with(1);

    let message = ended.message();
    assert!(
        message.contains("ran out before it was renewed"),
        "{message}"
    );
    assert_eq!(world.members("science").await, people([]));
    let after = (tables::litellm(&world.database).await, ledger(&world).await);
    assert_eq!(before, after);
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_the_row_of_a_lease_makes_no_second_holder() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "60s");
    let (first, session) = sync_that_waits_to_write(&world).await;
    first.signal("STOP").await;
    let client = connect(&world.database.url_as("postgres")).await;
    // PostgreSQL ends a transaction whose process stands still.
    wait_for("the lease's row to be free", || async {
        let deleted = client.execute("DELETE FROM entra_sync.lease", &[]).await;
        deleted.is_ok().then_some(())
    })
    .await;
    session.rollback().await;
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    let leave = |tenant: &mut Tenant| {
        tenant.group("science").without_member("ada");
    };
    world.entra.tenant(leave);
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert_eq!(world.members("science").await, people(["bob"]));

    first.signal("CONT").await;
    let ended = first.ended().await.exits_with(1);
    let message = ended.message();
    assert!(message.contains("taken over"), "{message}");
    assert_eq!(world.members("science").await, people(["bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_paused_past_its_lease_writes_nothing_more() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let (first, _) = paused_past_its_lease(&world).await;
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    // What the first was about to write would now be a change.
    let (science, ada) = (group("science"), person("ada"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = (
                 SELECT jsonb_agg(e) FROM jsonb_array_elements(members_with_roles) e
                 WHERE e ->> 'user_id' <> '{ada}') WHERE team_id = '{science}';
             UPDATE \"LiteLLM_UserTable\" SET teams = '{{}}' WHERE user_id = '{ada}';
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = '{ada}'"
        ))
        .await;
    assert_eq!(world.members("science").await, people(["bob"]));
    let before = (tables::litellm(&world.database).await, ledger(&world).await);

    first.signal("CONT").await;
    let ended = first.ended().await.exits_with(1);

    let message = ended.message();
    assert!(message.contains("taken over"), "{message}");
    let after = (tables::litellm(&world.database).await, ledger(&world).await);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_does_not_know_yet_is_stopped_by_the_epoch() {
    // Its next look at the lease is minutes away.
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "600s");
    let (first, session) = sync_that_waits_to_write(&world).await;
    let before = (tables::litellm(&world.database).await, ledger(&world).await);
    let client = connect(&world.database.url_as("postgres")).await;
    let raise = "UPDATE entra_sync.lease SET epoch = epoch + 1";
    assert_eq!(client.execute(raise, &[]).await.expect("the epoch"), 1);
    // The transaction in flight gives up its wait; there is no other after it.
    session.is_left_alone().await;
    session.rollback().await;

    let ended = first.ended().await.exits_with(1);

    let message = ended.message();
    assert!(message.contains("taken over"), "{message}");
    let after = (tables::litellm(&world.database).await, ledger(&world).await);
    assert_eq!(before, after);
    assert!(world.members("science").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_a_transaction_of_the_old_holder() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "600s");
    world.pass().await;
    // What every writing transaction begins with.
    let session = Session::begin_as(&world.database, "entra_sync").await;
    session
        .run("SELECT epoch FROM entra_sync.lease FOR KEY SHARE")
        .await;
    let second = Running::start(world.environment(), &["sync"]);
    session.is_waited_for().await;
    session.commit().await;
    second.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_and_status_ask_for_no_lease() {
    let world = world().await;
    stall(&world);
    let first = Running::start(world.environment(), &["sync"]);
    reading(&world).await;
    let status = entra_sync(world.environment(), &["status", "--format", "json"])
        .await
        .exits_with(0);
    let lease = status.json()["lease"].clone();
    assert!(
        lease["holder"]
            .as_str()
            .is_some_and(|text| text.contains("process")),
        "{lease}"
    );
    assert!(lease["remaining_seconds"].is_u64(), "{lease}");
    world.entra.clear_faults();
    entra_sync(world.environment(), &["plan"])
        .await
        .exits_with(0);
    first.signal("TERM").await;
    first.ended().await.exits_with(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_connection_is_enough() {
    let mut world = world().await.with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    let url = format!("{}?connection_limit=1&pool_timeout=5", world.database.url());
    world.set("DATABASE_URL", url);
    // The lease is renewed while the pass works.
    world.set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let slow = Fault::new(Effect::Latency {
        milliseconds: 4_000,
    });
    world.entra.fault(slow.on("/groups/*/members*").times(1));
    entra_sync(world.environment(), &["plan"])
        .await
        .exits_with(0);
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    entra_sync(world.environment(), &["plan", "--check"])
        .await
        .exits_with(0);
    entra_sync(world.environment(), &["check"])
        .await
        .exits_with(0);
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("pass ended", 1).await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

/// What had been committed when the lease was lost is in the report.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_loses_its_lease_tells_what_it_had_written() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    // The first team is made, and whoever writes a member waits for us.
    let meddler = connect(&world.database.url_as("postgres")).await;
    meddler
        .batch_execute("BEGIN; LOCK TABLE \"LiteLLM_TeamMembership\" IN EXCLUSIVE MODE")
        .await
        .expect("a lock");
    let pass = Running::start(world.environment(), &["sync", "--format", "json"]);
    wait_for("users that were made", || async {
        (world.count("LiteLLM_UserTable").await > 0).then_some(())
    })
    .await;
    let thief = connect(&world.database.url_as("postgres")).await;
    thief
        .batch_execute("UPDATE entra_sync.lease SET epoch = epoch + 1, holder = 'another'")
        .await
        .expect("a stolen lease");
    let ended = pass.ended().await.exits_with(1);
    meddler.batch_execute("ROLLBACK").await.expect("an end");
    let report = ended.json();
    assert_eq!(report["status"], "failed");
    let users = world.count("LiteLLM_UserTable").await;
    assert_eq!(report["changes"]["users"]["created"], users);
    assert!(
        ended.message().contains("taken over by another instance"),
        "{ended:#?}"
    );
}
