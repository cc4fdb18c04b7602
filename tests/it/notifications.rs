//! What the daemon posts to a webhook, and that nothing waits for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entra_sync::model::report::Status;
use entra_sync::simulator::Fault;
use ring::hmac;

use crate::daemon_schedule::{pass_by, quiet};
use crate::guard::{come_back, crowd, leave};
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::receiver::{Post, Receiver};

/// As many as the guard holds.
const MANY: usize = 15;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The part of the URL that is nobody's business.
const PATH: &str = "/services/hush";

async fn world(receiver: &Receiver) -> World {
    let mut world = World::new(crowd).await;
    quiet(&mut world);
    let url = format!("{}{PATH}", receiver.url());
    world.set("ENTRA_SYNC__NOTIFY__WEBHOOK_URL", url);
    world.set("ENTRA_SYNC__NOTIFY__SECRET", SECRET);
    world.set("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "debug");
    world
}

/// What a receiver does with the specification in hand.
fn is_ours(post: &Post) -> bool {
    let (id, time) = (post.header("webhook-id"), post.header("webhook-timestamp"));
    let key = STANDARD.decode(&SECRET["whsec_".len()..]).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{time}.").as_bytes(), &post.body].concat();
    let signature = post.header("webhook-signature").strip_prefix("v1,");
    let signature = STANDARD.decode(signature.expect("v1")).expect("base64");
    hmac::verify(&key, &signed, &signature).is_ok()
}

fn kinds(posts: &[Post]) -> Vec<String> {
    let kind = |post: &Post| post.json()["kind"].as_str().expect("a kind").to_owned();
    posts.iter().map(kind).collect()
}

async fn ends(daemon: Running) -> String {
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0).stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn check_posts_a_test_when_asked_and_says_what_the_receiver_answered() {
    let receiver = Receiver::start().await;
    let mut world = world(&receiver).await;
    let check = async |world: &World| entra_sync(world.environment(), &["check", "--notify"]).await;
    entra_sync(world.environment(), &["check"])
        .await
        .exits_with(0);
    let ended = check(&world).await.exits_with(0);
    let line = "PASS notifications: the webhook took a test message\n";
    assert!(ended.stdout.contains(line), "{}", ended.stdout);
    let posts = receiver.got(1).await;
    assert_eq!(kinds(&posts), ["test"], "only the second one posts");
    assert!(is_ours(&posts[0]), "{posts:?}");
    assert!(posts[0].json()["run_id"].is_null());

    let ill = Receiver::ill(1, 0).await;
    world.set(
        "ENTRA_SYNC__NOTIFY__WEBHOOK_URL",
        format!("{}{PATH}", ill.url()),
    );
    let ended = check(&world).await.exits_with(1);
    let line = "FAIL notifications: the webhook answers with 500; look at notify.webhook_url";
    assert!(ended.stdout.contains(line), "{}", ended.stdout);
    assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
    world.set("ENTRA_SYNC__NOTIFY__WEBHOOK_URL", "");
    let ended = check(&world).await.exits_with(1);
    let line = "FAIL notifications: notify.webhook_url is not set";
    assert!(ended.stdout.contains(line), "{}", ended.stdout);
    let usage = ["check", "--notify", "--offline"];
    entra_sync(world.environment(), &usage).await.exits_with(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_posted_once_signed_and_once_more_when_it_is_over() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    let secret = |secret: &str| {
        world
            .entra
            .tenant(|tenant| tenant.set_client_secret(secret));
        world.entra.expire_tokens();
    };
    secret("another");
    let daemon = Running::start(world.environment(), &["run"]);
    let first = receiver.got(1).await.remove(0);
    assert!(is_ours(&first), "{first:?}");
    let told = first.json();
    assert_eq!(told["version"], 1);
    assert_eq!(told["kind"], "failure");
    assert_eq!(told["source"], "default");
    assert_eq!(told["tenant"], world.environment()["MICROSOFT_TENANT"]);
    assert_eq!(told["details"]["alert"], "authentication", "{told:#}");
    assert_eq!(told["details"]["error"], "secret_rejected");
    assert_eq!(told["details"]["failures"], 1);
    assert!(told["details"]["next_attempt"].is_string());
    assert!(told["remedy"].is_string() && told["run_id"].is_string());
    // Neither the next failure nor a restart tells it again.
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "failed");
    let mut log = ends(daemon).await;
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 2).await, "failed");
    secret(&right);
    daemon.signal("USR1").await;
    let posts = receiver.got(2).await;
    log += &ends(daemon).await;
    assert_eq!(kinds(&receiver.posts()), ["failure", "recovery"]);
    let over = posts[1].json();
    assert!(is_ours(&posts[1]));
    assert_eq!(over["details"]["of"], "failure");
    assert_eq!(over["details"]["since"], told["details"]["since"]);
    assert_ne!(over["run_id"], told["run_id"]);
    assert!(!log.contains(PATH) && !log.contains("whsec_"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn held_removals_are_posted_once_by_whoever_finds_them() {
    let receiver = Receiver::start().await;
    let world = world(&receiver).await;
    world.settle().await;
    leave(&world, "science", MANY);
    let daemon = Running::start(world.environment(), &["run"]);
    let told = receiver.got(1).await[0].json();
    assert_eq!(told["kind"], "held");
    assert_eq!(told["details"]["removals"], MANY);
    let digest = told["details"]["digest"].as_str().expect("a digest");
    assert!(
        told["remedy"]
            .as_str()
            .expect("one")
            .contains(&digest[..12])
    );
    ends(daemon).await;

    let by_hand = || entra_sync(world.environment(), &["sync"]);
    by_hand().await.exits_with(3);
    // Another set, found by `sync`.
    leave(&world, "science", MANY + 1);
    by_hand().await.exits_with(3);
    come_back(&world, "science", MANY + 1);
    by_hand().await.exits_with(0);
    assert_eq!(kinds(&receiver.posts()), ["held", "held", "recovery"]);
    assert_ne!(receiver.posts()[1].json()["details"]["digest"], digest);
    assert_eq!(receiver.posts()[2].json()["details"]["of"], "held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_or_hangs_delays_no_pass() {
    let receiver = Receiver::ill(1, usize::MAX).await;
    let mut world = world(&receiver).await;
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    let away = Fault::status(503).on("*/appRoleAssignedTo*");
    world.entra.fault(away.always());
    world.set("ENTRA_SYNC__SCHEDULE__CRON", "* * * * * *");
    let daemon = Running::start(world.environment(), &["run"]);
    for number in 1..=2 {
        daemon.says(&format!("failures={number} "), 1).await;
        daemon.signal("USR1").await;
    }
    // The alert opens and lasts, as the schedule comes by every second. The
    // first is answered with 500 and tried again, in vain for as long as the
    // receiver hangs.
    let posts = receiver.got(2).await;
    assert_eq!(kinds(&posts), ["failure", "failure"]);
    assert_eq!(posts[0].header("webhook-id"), posts[1].header("webhook-id"));
    assert!(is_ours(&posts[1]));
    world.entra.clear_faults();
    daemon.signal("USR1").await;
    assert_ne!(pass_by(&world, "signal", 3).await, "failed");
    daemon.says("alert closed", 1).await;
    // One after the other, and none before the one that hangs is given up.
    let posts = kinds(&receiver.posts());
    assert!(posts.iter().all(|kind| kind == "failure"), "{posts:?}");
    // Nor does it keep the process.
    let log = ends(daemon).await;
    assert!(log.contains("what waited for it is not delivered"), "{log}");
    assert_eq!(world.pass().await.status, Status::Unchanged);
}
