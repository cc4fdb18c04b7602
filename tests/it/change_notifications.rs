//! Graph tells that something has changed, and a pass finds out what.

use entra_sync::simulator::{
    Effect, Fault, KeptSubscription, LifecycleEvent, Permission, RetryAfter,
};
use serde_json::json;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::support::World;
use crate::support::binary::Running;
use crate::support::database::connect;
use crate::support::port;
use crate::support::wait::wait_for;

/// Where a daemon can be reached before it says so.
fn reachable(world: &mut World) -> String {
    // More than any pass needs.
    world
        .entra
        .tenant(|tenant| tenant.grant(Permission::GroupReadAll));
    let address = format!("127.0.0.1:{}", port::own());
    let url = format!("http://{address}/graph/notifications");
    quiet(world).set("ENTRA_SYNC__SERVER__LISTEN", &address);
    world.set("ENTRA_SYNC__SERVER__NOTIFICATIONS_URL", &url);
    url
}

async fn subscribed(world: &mut World) -> (Running, String) {
    let url = reachable(world);
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(world, "start", 1).await;
    daemon.says("Graph tells of changes from now on", 2).await;
    // What changed before Graph told is looked for, once or for each of the two.
    let client = connect(&world.database.url_as("postgres")).await;
    let unserved = "SELECT FROM entra_sync.pass_request q LEFT JOIN entra_sync.run r \
                    USING (run_id) WHERE r.finished_at IS NULL";
    wait_for("a pass for whoever asked", || async {
        let rows = client.query(unserved, &[]).await.expect("requests");
        rows.is_empty().then_some(())
    })
    .await;
    (daemon, url)
}

/// How many passes notifications have asked for so far.
async fn notified(world: &World) -> usize {
    let passes = passes(world).await;
    passes.iter().filter(|(by, _)| by == "notification").count()
}

async fn post(url: &str, body: &serde_json::Value) -> u16 {
    post_by(&reqwest::Client::new(), url, body).await
}

async fn post_by(client: &reqwest::Client, url: &str, body: &serde_json::Value) -> u16 {
    let answer = client.post(url).json(body).send().await.expect("an answer");
    answer.status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_entra_is_in_litellm_without_a_time_of_the_schedule() {
    let mut world = world().await;
    let (daemon, _) = subscribed(&mut world).await;
    let kept = world.entra.subscriptions();
    let mut watched: Vec<&str> = kept.iter().map(|one| one.resource.as_str()).collect();
    watched.sort_unstable();
    assert_eq!(watched, ["groups", "users"]);
    world.entra.tenant(|tenant| {
        tenant.user("dora");
        tenant.group("arts").member("dora");
    });
    wait_for("the newcomer", || async {
        let people = world.database.rows("LiteLLM_UserTable").await;
        (people.len() == 4).then_some(())
    })
    .await;
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert!(!log.contains("ERROR"), "{log}");
    let client = connect(&world.database.url_as("postgres")).await;
    let runs = client
        .query_one(
            "SELECT count(*) FROM entra_sync.run r JOIN entra_sync.pass_request q USING (run_id) \
             WHERE r.trigger = 'notification' AND q.asked_by = 'notification'",
            &[],
        )
        .await
        .expect("a count");
    assert!(runs.get::<_, i64>(0) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_secret_wakes_nobody() {
    let mut world = world().await;
    let (daemon, url) = subscribed(&mut world).await;
    let (before, notified) = (passes(&world).await.len(), notified(&world).await);
    let id = world.entra.subscriptions()[0].id;
    for state in [json!("a guess"), json!(""), json!(null), json!(7)] {
        let one = json!({
            "subscriptionId": id, "clientState": state, "changeType": "updated",
            "resource": "groups/6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        });
        let status = post(&url, &json!({ "value": [one] })).await;
        assert!([202, 400].contains(&status), "{status}");
    }
    assert_eq!(post(&url, &json!({ "values": [] })).await, 400);
    assert_eq!(
        post(&url, &json!({ "value": "x".repeat(300_000) })).await,
        413
    );
    let asked = reqwest::Client::new()
        .post(format!("{url}?validationToken=%3Cscript%3E%20%26"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(asked.headers()["content-type"], "text/plain");
    assert_eq!(asked.headers()["x-content-type-options"], "nosniff");
    assert_eq!(asked.text().await.expect("a text"), "<script> &");
    // All of it has been looked at by the time that a real one is.
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("ada");
    });
    pass_by(&world, "notification", notified + 1).await;
    assert_eq!(passes(&world).await.len(), before + 1);
    let metrics = url.replace("/graph/notifications", "/metrics");
    let text = reqwest::get(metrics).await.expect("an answer");
    let text = text.text().await.expect("a text");
    assert!(
        text.contains("entra_sync_change_notifications_total{result=\"refused\"} "),
        "{text}"
    );
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_graph_drops_is_made_again_and_a_pass_finds_what_was_missed() {
    let mut world = world().await;
    let (daemon, _) = subscribed(&mut world).await;
    let first = world.entra.subscriptions();
    let notified = notified(&world).await;
    // Graph is about to stop: that is prolonged, and only that.
    world.entra.notify(LifecycleEvent::ReauthorizationRequired);
    wait_for("both to be prolonged", || async {
        let now = world.entra.subscriptions();
        let longer = |one: &KeptSubscription| {
            let mut old = first.iter().filter(|old| old.id == one.id);
            old.any(|old| old.expires_at < one.expires_at)
        };
        (now.len() == 2 && now.iter().all(longer)).then_some(())
    })
    .await;
    world.entra.notify(LifecycleEvent::SubscriptionRemoved);
    wait_for("other subscriptions", || async {
        let now = world.entra.subscriptions();
        let new = now
            .iter()
            .all(|one| first.iter().all(|old| old.id != one.id));
        (now.len() == 2 && new).then_some(())
    })
    .await;
    pass_by(&world, "notification", notified + 1).await;
    world.entra.notify(LifecycleEvent::Missed);
    wait_for("a pass that reads everything", || async {
        (full_passes(&world).await > 0).then_some(())
    })
    .await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);

    // Without the setting they are ended.
    world.set("ENTRA_SYNC__SERVER__NOTIFICATIONS_URL", "");
    let daemon = Running::start(world.environment(), &["run"]);
    wait_for("the end of both", || async {
        world.entra.subscriptions().is_empty().then_some(())
    })
    .await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

async fn full_passes(world: &World) -> usize {
    let client = connect(&world.database.url_as("postgres")).await;
    client
        .query(
            "SELECT FROM entra_sync.run WHERE trigger = 'notification' AND mode = 'full' \
             AND status IS NOT NULL",
            &[],
        )
        .await
        .expect("runs")
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_cannot_take_is_asked_for_until_it_can() {
    let mut world = world().await;
    let (daemon, _) = subscribed(&mut world).await;
    let client = connect(&world.database.url_as("postgres")).await;
    let locked = "BEGIN; LOCK TABLE entra_sync.pass_request IN SHARE MODE";
    client.batch_execute(locked).await.expect("the lock");
    world.entra.tenant(|tenant| {
        tenant.user("dora");
        tenant.group("arts").member("dora");
    });
    world.entra.notify(LifecycleEvent::Missed);
    daemon.says("could not be written down", 1).await;
    assert_eq!(full_passes(&world).await, 0);
    client.batch_execute("ROLLBACK").await.expect("the end");
    wait_for("the newcomer", || async {
        let people = world.database.rows("LiteLLM_UserTable").await;
        (people.len() == 4).then_some(())
    })
    .await;
    wait_for("a pass that reads everything", || async {
        (full_passes(&world).await > 0).then_some(())
    })
    .await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_reading_that_is_asked_for_in_quarantine_comes_after_it() {
    let mut world = world().await;
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    world.set("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "debug");
    let (daemon, _) = subscribed(&mut world).await;
    let broken = Fault::status(503).on("*/appRoleAssignedTo*").always();
    world.entra.fault(broken);
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "failed");
    world.entra.notify(LifecycleEvent::Missed);
    daemon.says("the schedule waits", 1).await;
    world.entra.clear_faults();
    wait_for("a pass that reads everything", || async {
        (full_passes(&world).await > 0).then_some(())
    })
    .await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

/// The number in the metrics of what was posted with this result.
async fn posted(url: &str, result: &str) -> u64 {
    let metrics = url.replace("/graph/notifications", "/metrics");
    let text = reqwest::get(metrics).await.expect("an answer");
    let text = text.text().await.expect("a text");
    let name = format!("entra_sync_change_notifications_total{{result=\"{result}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |number| number.parse().expect("a number"))
}

fn claim(id: &str, state: &str) -> serde_json::Value {
    json!({ "value": [{ "subscriptionId": id, "clientState": state, "changeType": "updated" }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_keep_out_neither_a_new_subscription_nor_a_known_one() {
    let mut world = world().await;
    let (daemon, url) = subscribed(&mut world).await;
    let stranger = claim("00000000-0000-0000-0000-000000000001", "a guess");
    let before = posted(&url, "refused").await;
    assert_eq!(post(&url, &stranger).await, 202);
    wait_for("the ledger to be asked for the stranger", || async {
        (posted(&url, "refused").await > before).then_some(())
    })
    .await;
    // Another replica makes one just after that.
    let new = "00000000-0000-0000-0000-000000000002";
    let client = connect(&world.database.url_as("postgres")).await;
    let made = format!(
        "UPDATE entra_sync.subscription SET subscription_id = '{new}', \
         state_digest = sha256('a state') WHERE watched = 'groups'"
    );
    client.batch_execute(&made).await.expect("a subscription");
    let before = posted(&url, "accepted").await;
    assert_eq!(post(&url, &claim(new, "a state")).await, 202);
    wait_for("the ledger to prove the new one", || async {
        (posted(&url, "accepted").await > before).then_some(())
    })
    .await;

    // More strangers than there is room for, while the ledger can tell nothing of
    // them: they are told to come again, who is known is not.
    let locked = "BEGIN; LOCK TABLE entra_sync.subscription IN ACCESS EXCLUSIVE MODE";
    client.batch_execute(locked).await.expect("the lock");
    let known = claim(new, "another guess");
    let poster = reqwest::Client::new();
    let mut turned_away = false;
    for _ in 0..1_000 {
        turned_away = post_by(&poster, &url, &stranger).await == 503;
        if turned_away {
            break;
        }
    }
    let answered = post_by(&poster, &url, &known).await;
    assert_eq!((turned_away, answered), (true, 202));
    client.batch_execute("ROLLBACK").await.expect("the end");
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_that_are_throttled_keep_no_pass_waiting() {
    let mut world = world().await;
    reachable(&mut world);
    let throttled = Fault::throttled(RetryAfter::Text("300".to_owned()));
    world.entra.fault(throttled.on("/subscriptions*").always());
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(&world, "start", 1).await;
    daemon.says("retry_seconds=300", 1).await;
    world.entra.tenant(|tenant| {
        tenant.user("dora");
        tenant.group("arts").member("dora");
    });
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "succeeded");
    assert_eq!(world.database.rows("LiteLLM_UserTable").await.len(), 4);
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_says_of_a_subscription_it_has_made_is_looked_at() {
    let mut world = world().await;
    reachable(&mut world);
    let id = "00000000-0000-0000-0000-000000000007";
    let made = |until: chrono::DateTime<chrono::Utc>| {
        let body = json!({ "id": id, "expirationDateTime": until }).to_string();
        let effect = Effect::Raw {
            status: 201,
            content_type: "application/json".to_owned(),
            body,
        };
        Fault::new(effect).on("/subscriptions").always()
    };
    // One that is over is none.
    world.entra.fault(made(chrono::DateTime::UNIX_EPOCH));
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("which is over or about to be", 1).await;
    daemon.signal("TERM").await;
    let said = daemon.ended().await.exits_with(0).stderr;
    assert!(said.contains(id) && !said.contains("ERROR"), "{said}");
    let client = connect(&world.database.url_as("postgres")).await;
    let kept = "SELECT tend_at < now() + interval '20 minutes' FROM entra_sync.subscription";
    assert!(client.query(kept, &[]).await.expect("rows").is_empty());

    // Two of one id are one, which is prolonged when half of its life is over.
    world.entra.clear_faults();
    let until = chrono::Utc::now() + chrono::TimeDelta::minutes(40);
    world.entra.fault(made(until));
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("which another one has already", 1).await;
    daemon.signal("TERM").await;
    let said = daemon.ended().await.exits_with(0).stderr;
    assert!(said.contains(id) && !said.contains("ERROR"), "{said}");
    let rows = client.query(kept, &[]).await.expect("rows");
    let soon: Vec<bool> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(soon, [true]);
}
