//! Graph tells that something has changed, and a pass finds out what.

use std::net::TcpListener;

use entra_sync::simulator::{KeptSubscription, LifecycleEvent, Permission};
use serde_json::json;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::support::World;
use crate::support::binary::Running;
use crate::support::database::connect;
use crate::support::wait::wait_for;

/// A daemon that can be reached before it says where.
async fn subscribed(world: &mut World) -> (Running, String) {
    // More than any pass needs.
    world
        .entra
        .tenant(|tenant| tenant.grant(Permission::GroupReadAll));
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let url = format!("http://{address}/graph/notifications");
    quiet(world).set("ENTRA_SYNC__SERVER__LISTEN", &address);
    world.set("ENTRA_SYNC__SERVER__NOTIFICATIONS_URL", &url);
    let daemon = Running::start(world.environment(), &["run"]);
    pass_by(world, "start", 1).await;
    daemon.says("Graph tells of changes from now on", 2).await;
    // What changed before Graph told is looked for once.
    pass_by(world, "notification", 1).await;
    (daemon, url)
}

async fn post(url: &str, body: &serde_json::Value) -> u16 {
    let client = reqwest::Client::new();
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
    let before = passes(&world).await.len();
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
    pass_by(&world, "notification", 2).await;
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
    pass_by(&world, "notification", 2).await;
    world.entra.notify(LifecycleEvent::Missed);
    wait_for("a pass that reads everything", || async {
        let client = connect(&world.database.url_as("postgres")).await;
        let found = client
            .query(
                "SELECT FROM entra_sync.run WHERE trigger = 'notification' AND mode = 'full' \
                 AND status IS NOT NULL",
                &[],
            )
            .await
            .expect("runs");
        (!found.is_empty()).then_some(())
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
