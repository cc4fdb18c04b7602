//! Passes that somebody asks for through the ledger: `entra-sync resync`, and
//! what the HTTP interface and Graph's notifications ask in the same way.

use std::collections::BTreeSet;
use std::time::Duration;

use entra_sync::config::{DatabaseTarget, Secret};
use entra_sync::db::Database;
use entra_sync::ledger::requests::{self, Asker, Wish};
use entra_sync::model::report::Mode;
use entra_sync::simulator::{Effect, Fault, group_id};
use serde_json::Value;
use tokio_postgres::Client;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::database::connect;
use crate::support::pooler::Pooler;
use crate::support::wait::wait_for;

const RESYNC: [&str; 4] = ["resync", "--wait", "--format", "json"];

async fn idle_daemon(world: &World) -> Running {
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("pass ended", 1).await;
    daemon
}

async fn ends(daemon: Running) {
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

async fn postgres(world: &World) -> Client {
    connect(&world.database.url_as("postgres")).await
}

/// The process of the server that serves the connection that listens.
async fn listener(client: &Client) -> Option<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = 'entra-sync (listening)' AND query LIKE 'LISTEN%'";
    let row = client.query_opt(sql, &[]).await.expect("sessions");
    row.map(|row| row.get(0))
}

/// Asks as the server would, so many times.
async fn ask(world: &World, times: usize, wishes: &[(Asker, Mode)]) {
    let settings = world.settings();
    let database = Database::new(&settings.litellm.database).expect("a pool");
    for (asker, mode) in wishes.repeat(times) {
        let wish = Wish {
            mode,
            asker,
            asked_by: asker.trigger().as_str(),
        };
        let asked = requests::ask(&database, settings.described(), wish).await;
        asked.expect("it is recorded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resync_wakes_an_idle_daemon_and_gives_the_report_of_its_pass() {
    let mut world = world().await;
    quiet(&mut world).set("USER", "ada");
    let daemon = idle_daemon(&world).await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("ada");
    });

    let report = entra_sync(world.environment(), &RESYNC)
        .await
        .exits_with(0)
        .json();

    let sync = entra_sync(world.environment(), &["sync", "--format", "json"]).await;
    let fields = |report: &Value| -> BTreeSet<String> {
        report
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(fields(&report), fields(&sync.json()));
    assert_eq!(report["trigger"], "resync");
    assert_eq!(report["mode"], "incremental");
    assert_eq!(report["status"], "succeeded");
    assert_eq!(report["changes"]["team_memberships"]["added"], 1);

    let text = entra_sync(world.environment(), &["resync", "--full", "--wait"])
        .await
        .exits_with(0);
    assert!(
        text.stdout.starts_with("unchanged: full pass in "),
        "{}",
        text.stdout
    );
    let history = entra_sync(world.environment(), &["history", "--format", "json"]);
    let history = history.await.exits_with(0).json();
    let who = history[0]["asked_by"][0].as_str().expect("somebody");
    assert!(who.starts_with("ada@"), "{who}");
    assert_eq!(history[1]["trigger"], "cli");
    assert_eq!(history[1]["asked_by"], serde_json::json!([]));
    let shown = entra_sync(world.environment(), &["show", "last"]).await;
    assert!(
        shown.stdout.contains("(asked for by ada@"),
        "{}",
        shown.stdout
    );
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_a_request_and_whoever_has_one_connection_does_not_listen() {
    let world = world().await;
    world.pass().await;
    let settings = world.settings();
    let database = Database::new(&settings.litellm.database).expect("a pool");
    let listening = database.listen(requests::CHANNEL).await;
    let mut listener = listening.expect("a connection").expect("a listener");
    ask(&world, 1, &[(Asker::Api, Mode::Incremental)]).await;
    let hears = tokio::time::timeout(Duration::from_secs(30), listener.hears());
    assert_eq!(hears.await.expect("in time"), Ok(()));

    for parameter in ["connection_limit=1", "pgbouncer=true"] {
        let mut settings = world.settings();
        let url = format!("{}?{parameter}", world.database.url());
        let secret = Secret::Value(url.into());
        settings.litellm.database = DatabaseTarget::parse(secret).expect("a URL");
        let database = Database::new(&settings.litellm.database).expect("a pool");
        let listening = database.listen(requests::CHANNEL).await;
        assert!(listening.expect("no failure").is_none(), "{parameter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_found_through_a_transaction_pooler_and_without_the_connection_that_listens() {
    let mut direct = world().await;
    quiet(&mut direct);
    let mut pooled = world().await;
    quiet(&mut pooled);
    let pooler = Pooler::before(&pooled.database.url()).await;
    let url = pooler.url(&pooled.database.url());
    pooled.set("DATABASE_URL", format!("{url}?pgbouncer=true"));
    let (one, other) = tokio::join!(idle_daemon(&direct), idle_daemon(&pooled));
    let client = postgres(&direct).await;
    let before = wait_for("a connection that listens", || listener(&client)).await;
    assert_eq!(listener(&postgres(&pooled).await).await, None);

    let kill = "SELECT pg_terminate_backend($1)";
    client.execute(kill, &[&before]).await.expect("it ends");
    for world in [&direct, &pooled] {
        let report = entra_sync(world.environment(), &RESYNC).await.exits_with(0);
        assert_eq!(report.json()["trigger"], "resync");
    }
    let after = wait_for("another connection that listens", || listener(&client)).await;
    assert_ne!(before, after);
    ends(one).await;
    ends(other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_daemons_one_takes_the_request() {
    let mut world = world().await;
    quiet(&mut world);
    let one = idle_daemon(&world).await;
    // A pass that it makes on its start could serve the first request.
    world.set("ENTRA_SYNC__SCHEDULE__ON_START", "false");
    let other = Running::start(world.environment(), &["run"]);
    for daemon in [&one, &other] {
        daemon.says("shared with other replicas", 1).await;
    }
    for number in 1..=3 {
        entra_sync(world.environment(), &RESYNC).await.exits_with(0);
        let by = |(trigger, _): &(String, String)| trigger == "resync";
        let count = passes(&world).await.iter().filter(|pass| by(pass)).count();
        assert_eq!(count, number, "{:?}", passes(&world).await);
    }
    ends(one).await;
    ends(other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_while_a_pass_runs_is_one_pass_that_begins_after_it() {
    let mut world = world().await;
    quiet(&mut world);
    let daemon = idle_daemon(&world).await;
    let late = Fault::new(Effect::Latency {
        milliseconds: 600_000,
    });
    world.entra.fault(late.on("*/appRoleAssignedTo*").times(1));
    world.entra.reset_requests();
    daemon.signal("USR1").await;
    wait_for("a pass that reads", || async {
        (world.entra.requests().in_flight > 0).then_some(())
    })
    .await;
    let wishes = [
        (Asker::Notification, Mode::Incremental),
        (Asker::Api, Mode::Full),
    ];
    ask(&world, 25, &wishes).await;
    assert_eq!(passes(&world).await.len(), 2, "the second one still runs");
    let rows = world.database.rows("entra_sync.pass_request").await;
    assert_eq!(rows.len(), 2, "{rows:#?}");
    world.entra.answer_now();

    assert_eq!(pass_by(&world, "api", 1).await, "unchanged");
    ends(daemon).await;
    let triggers: Vec<String> = passes(&world).await.into_iter().map(|run| run.0).collect();
    assert_eq!(triggers, ["start", "signal", "api"]);
    let client = postgres(&world).await;
    let served = client
        .query_one(
            "SELECT count(*) FROM entra_sync.pass_request JOIN entra_sync.run USING (run_id) \
             WHERE run.trigger = 'api' AND run.mode = 'full' AND started_at >= \
                   (SELECT finished_at FROM entra_sync.run WHERE trigger = 'signal')",
            &[],
        )
        .await;
    assert_eq!(served.expect("a count").get::<_, i64>(0), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_request_stays_and_waiting_for_it_ends() {
    let world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let early = entra_sync(world.environment(), &["resync"])
        .await
        .exits_with(1);
    assert!(
        early.stderr.contains("no pass has run for this source yet"),
        "{}",
        early.stderr
    );
    world.pass().await;

    let asked = entra_sync(world.environment(), &["resync", "--format", "json"]);
    let asked = asked.await.exits_with(0);
    assert_eq!(asked.json()["daemons"], 0);
    assert!(
        asked.stderr.contains("no daemon is there to hear it"),
        "{}",
        asked.stderr
    );
    let waited = entra_sync(world.environment(), &["resync", "--wait"])
        .await
        .exits_with(1);
    assert_eq!(waited.stdout, "");
    assert!(
        waited.stderr.contains("start `entra-sync run`"),
        "{}",
        waited.stderr
    );
    // A pass for one group is none for everybody; one over everything serves.
    let group = group_id("arts").to_string();
    let waiting = async || {
        let rows = world.database.rows("entra_sync.pass_request").await;
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows[0]["run_id"].is_null()
    };
    entra_sync(world.environment(), &["sync", "--group", &group])
        .await
        .exits_with(0);
    assert!(waiting().await);
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert!(!waiting().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quarantine_who_asks_by_name_gets_a_pass_and_a_notification_waits() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "debug");
    world
        .entra
        .tenant(|tenant| tenant.set_client_secret("another"));
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "failed");
    daemon
        .says("because signing in to Entra has failed once", 1)
        .await;

    ask(&world, 1, &[(Asker::Notification, Mode::Incremental)]).await;
    daemon.says("the schedule waits", 1).await;
    assert_eq!(passes(&world).await.len(), 1);
    let report = entra_sync(world.environment(), &RESYNC).await.exits_with(1);
    assert_eq!(report.json()["trigger"], "resync");
    assert_eq!(report.json()["status"], "failed");
    assert!(
        report.stderr.contains("refused the client secret"),
        "{report:?}"
    );
    // It begins after both were asked, so it is for both.
    let rows = world.database.rows("entra_sync.pass_request").await;
    assert!(rows.iter().all(|row| !row["run_id"].is_null()), "{rows:#?}");
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_fails_before_it_begins_ends_the_waiting_and_is_not_tried_in_a_hurry() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__SCHEDULE__LEASE", "9s");
    let daemon = idle_daemon(&world).await;
    let client = postgres(&world).await;
    let rename = "ALTER TABLE \"LiteLLM_TeamTable\" RENAME TO \"LiteLLM_Elsewhere\"";
    client.batch_execute(rename).await.expect("it is renamed");

    let waited = entra_sync(world.environment(), &["resync", "--wait"])
        .await
        .exits_with(1);

    assert!(
        waited
            .stderr
            .contains("a daemon is there and begins no pass"),
        "{}",
        waited.stderr
    );
    // It asked for the request three times and made an attempt once, and once more
    // when the quarantine had it.
    let attempts = daemon.stderr().matches("pass failed").count();
    assert!((1..=2).contains(&attempts), "{}", daemon.stderr());
    // LiteLLM's rows are read once more when the test has passed.
    let back = "ALTER TABLE \"LiteLLM_Elsewhere\" RENAME TO \"LiteLLM_TeamTable\"";
    client.batch_execute(back).await.expect("it is renamed");
    ends(daemon).await;
}
