//! Subscriptions: made once, prolonged, ended, and told of.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;
use uuid::Uuid;

use super::scene::Scene;
use super::stub::{Reply, Stub, quick, read, service_principal_path};
use crate::entra::notifications::{self, ClientState, Deed, SubscriptionId, validation_token};
use crate::entra::pace::Pace;
use crate::entra::{Error, Prolonged, Reader, Watched};
use crate::simulator::{Effect, Fault, LifecycleEvent, Permission};

const SUBSCRIPTIONS: &str = "/v1.0/subscriptions";

/// Who is posted to.
struct Receiver {
    url: Url,
    posted: mpsc::UnboundedReceiver<Bytes>,
}

impl Receiver {
    async fn start() -> Self {
        let (sender, posted) = mpsc::unbounded_channel();
        let router = Router::new().fallback(take).with_state(sender);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let url = format!("http://{address}/notifications?key=hidden");
        Self {
            url: url.parse().unwrap(),
            posted,
        }
    }

    async fn next(&mut self) -> Bytes {
        let next = tokio::time::timeout(Duration::from_secs(10), self.posted.recv());
        next.await.expect("nothing was posted").unwrap()
    }
}

async fn take(
    State(sender): State<mpsc::UnboundedSender<Bytes>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    match validation_token(&query.unwrap_or_default()) {
        Some(token) => ([(CONTENT_TYPE, "text/plain")], token).into_response(),
        None => {
            let _ = sender.send(body);
            StatusCode::ACCEPTED.into_response()
        }
    }
}

async fn watchable() -> Scene {
    Scene::of(|t| {
        t.grant(Permission::GroupReadAll);
        t.group("Sales").member("anna");
    })
    .await
}

fn in_days(days: i64) -> DateTime<Utc> {
    let at = Utc::now() + TimeDelta::days(days);
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap()
}

fn any_url() -> Url {
    "https://user:word@sync.example.com/notifications?key=hidden"
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_subscription_lives_as_asked_until_it_is_ended() {
    let (scene, receiver) = (watchable().await, Receiver::start().await);
    let (state, until) = (ClientState::random(), in_days(2));
    let reader = &scene.reader;
    let subscribed = reader.subscribe(Watched::Users, &receiver.url, &state, until);
    let subscription = subscribed.await.unwrap();
    assert_eq!(subscription.expires_at, until);
    let kept = scene.simulator.subscriptions();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].id, subscription.id.as_uuid());
    assert_eq!(
        (&*kept[0].resource, kept[0].expires_at),
        (Watched::Users.as_str(), until)
    );

    let later = in_days(20);
    let prolonged = reader.prolong(subscription.id, later).await.unwrap();
    assert_eq!(prolonged, Prolonged::Until(later));
    assert_eq!(scene.simulator.subscriptions()[0].expires_at, later);
    // Graph raises a life that is too short.
    let raised = reader.prolong(subscription.id, Utc::now()).await.unwrap();
    let in_half_an_hour = Utc::now() + TimeDelta::minutes(30);
    assert!(matches!(raised, Prolonged::Until(at) if at > in_half_an_hour));

    reader.unsubscribe(subscription.id).await.unwrap();
    assert_eq!(scene.simulator.subscriptions(), []);
    reader.unsubscribe(subscription.id).await.unwrap();
    assert_eq!(
        reader.prolong(subscription.id, later).await.unwrap(),
        Prolonged::Gone
    );
}

#[tokio::test]
async fn what_is_posted_proves_to_be_of_the_subscription() {
    let (scene, mut receiver) = (watchable().await, Receiver::start().await);
    let state = ClientState::random();
    let groups = scene
        .reader
        .subscribe(Watched::Groups, &receiver.url, &state, in_days(1));
    let id = groups.await.unwrap().id;
    let proven = |body: &Bytes| {
        notifications::read(body)
            .unwrap()
            .proven(id, &state.digest())
    };

    // Of people nobody wants to hear.
    scene.change(|t| {
        t.user("anna").display_name("Anna Example");
    });
    scene.change(|t| {
        t.group("Sales").member("ben");
    });
    let body = receiver.next().await;
    assert_eq!(proven(&body), [Deed::Wake]);
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["value"].as_array().unwrap().len(), 1, "{told}");
    let group = crate::simulator::group_id("Sales").to_string();
    assert_eq!(told["value"][0]["resourceData"]["id"], group);
    assert_eq!(told["value"][0]["changeType"], "updated");

    scene.simulator.notify(LifecycleEvent::Missed);
    assert_eq!(proven(&receiver.next().await), [Deed::ReadEverything]);
    let removed = LifecycleEvent::SubscriptionRemoved;
    scene.simulator.notify(removed);
    assert_eq!(proven(&receiver.next().await), [Deed::SubscribeAgain]);
    assert_eq!(scene.simulator.subscriptions(), []);
}

#[tokio::test]
async fn what_graph_has_lost_is_gone() {
    let (scene, receiver) = (watchable().await, Receiver::start().await);
    let state = ClientState::random();
    let made = scene
        .reader
        .subscribe(Watched::Groups, &receiver.url, &state, in_days(1));
    let id = made.await.unwrap().id;
    scene.simulator.forget_subscriptions();
    let prolonged = scene.reader.prolong(id, in_days(2)).await.unwrap();
    assert_eq!(prolonged, Prolonged::Gone);
}

#[tokio::test]
async fn a_url_that_nobody_answers_is_named_with_what_to_do() {
    let scene = watchable().await;
    // Bound, but nobody ever takes a request from it.
    let url: Url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        format!("http://{address}/notifications?key=hidden")
            .parse()
            .unwrap()
    };
    let state = ClientState::random();
    let refused = scene
        .reader
        .subscribe(Watched::Groups, &url, &state, in_days(1))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), "notification_url");
    let text = refused.to_string();
    assert!(text.contains(url.authority()) && text.contains("10 s"));
    assert!(!text.contains("hidden"), "{text}");
    assert!(!format!("{refused:?} {text}").contains(state.expose()));
    assert_eq!(scene.asked("subscriptions"), 1);
}

#[tokio::test]
async fn a_refusal_names_the_permission_and_the_quota() {
    let (scene, receiver) = (watchable().await, Receiver::start().await);
    let state = ClientState::random();
    let subscribe = async |watched| {
        scene
            .reader
            .subscribe(watched, &receiver.url, &state, in_days(1))
            .await
    };
    scene.simulator.subscription_quota(0);
    let full = subscribe(Watched::Groups).await.unwrap_err();
    assert_eq!(full.kind(), "subscription_forbidden");
    assert!(full.to_string().contains("100 of one application"));
    assert!(full.to_string().contains("Group.Read.All"));

    scene.change(|t| {
        t.revoke(Permission::GroupReadAll);
        t.revoke(Permission::UserReadAll);
    });
    scene.reader.forget_token().await;
    for (watched, permission) in [
        (Watched::Groups, "Group.Read.All"),
        (Watched::Users, "User.Read.All"),
    ] {
        let denied = subscribe(watched).await.unwrap_err();
        assert!(matches!(denied, Error::PermissionMissing { .. }));
        let named = format!("permission {permission} ");
        assert!(denied.to_string().contains(&named), "{denied}");
    }
    assert_eq!(scene.simulator.subscriptions(), []);
}

#[tokio::test]
async fn a_lost_answer_is_not_asked_for_again() {
    let (scene, receiver) = (watchable().await, Receiver::start().await);
    let state = ClientState::random();
    let subscribe = async || {
        scene
            .reader
            .subscribe(Watched::Groups, &receiver.url, &state, in_days(1))
            .await
    };
    scene
        .simulator
        .fault(Fault::new(Effect::CutBeforeAnswer).on("/subscriptions"));
    let lost = subscribe().await.unwrap_err();
    assert_eq!(lost.kind(), "unreachable");
    assert_eq!(scene.asked("subscriptions"), 1);
    // It was made all the same.
    assert_eq!(scene.simulator.subscriptions().len(), 1);
    assert!(!format!("{lost:?} {lost}").contains(state.expose()));
}

#[tokio::test]
async fn it_is_sent_once_but_for_a_refused_token() {
    let id = Uuid::from_u128(7);
    let until = in_days(1);
    let good = Reply::json(201, &json!({ "id": id, "expirationDateTime": until }));
    let cases = [
        (Reply::error(500, "generalException"), 1),
        (Reply::error(503, "serviceNotAvailable"), 1),
        (Reply::text(201, "{\"id\":"), 1),
        (good.clone().broken(), 1),
        (
            Reply::error(503, "serviceNotAvailable").header("retry-after", "0.01"),
            1,
        ),
        (
            Reply::error(429, "TooManyRequests").header("retry-after", "0.01"),
            1,
        ),
        (Reply::error(401, "InvalidAuthenticationToken"), 2),
    ];
    for (number, (first, sent)) in cases.into_iter().enumerate() {
        let stub = Stub::start().await;
        stub.set(SUBSCRIPTIONS, [first, good.clone()]);
        let reader = stub.reader();
        let state = ClientState::random();
        let answer = reader
            .subscribe(Watched::Users, &any_url(), &state, until)
            .await;
        assert_eq!(stub.seen_at(SUBSCRIPTIONS).len(), sent, "case {number}");
        match answer {
            Ok(made) => {
                assert_eq!(
                    (sent, made.id, made.expires_at),
                    (2, SubscriptionId::new(id), until)
                );
            }
            Err(error) => {
                assert_eq!(sent, 1, "{error}");
                assert!(!format!("{error:?} {error}").contains(state.expose()));
            }
        }
        let wish: Value = serde_json::from_str(&stub.seen_at(SUBSCRIPTIONS)[0].body).unwrap();
        assert_eq!(wish["clientState"], state.expose());
        assert_eq!(wish["changeType"], "updated,deleted");
        assert_eq!(wish["lifecycleNotificationUrl"], wish["notificationUrl"]);
    }
}

#[tokio::test]
async fn a_throttle_of_subscriptions_is_theirs_alone() {
    let stub = Stub::start().await;
    let throttled = Reply::error(429, "TooManyRequests").header("retry-after", "300");
    stub.set(SUBSCRIPTIONS, [throttled]);
    let pace = Pace {
        longest_pause: Duration::from_secs(300),
        ..quick()
    };
    let reader = Reader::with_pace(&stub.settings(), pace).unwrap();
    let subscribe = async || {
        let (url, state) = (any_url(), ClientState::random());
        let asked = reader.subscribe(Watched::Users, &url, &state, in_days(1));
        match asked.await.unwrap_err() {
            Error::SubscriptionThrottled { asked, .. } => asked,
            other => panic!("{other}"),
        }
    };
    let soon = Duration::from_secs(60);
    assert_eq!(subscribe().await, Duration::from_secs(300));
    // Nor is one sent in the pause, nor waited for.
    let rest = tokio::time::timeout(soon, subscribe()).await.unwrap();
    assert!(rest > Duration::from_secs(200) && rest <= Duration::from_secs(300));
    assert_eq!(stub.seen_at(SUBSCRIPTIONS).len(), 1);
    let reading = tokio::time::timeout(soon, read(&reader)).await;
    reading.expect("the directory's requests wait").unwrap();
}

#[tokio::test]
async fn a_throttle_of_the_directory_keeps_no_subscription_waiting() {
    let stub = Stub::start().await;
    let id = Uuid::from_u128(7);
    let until = in_days(1);
    let good = Reply::json(200, &json!({ "id": id, "expirationDateTime": until }));
    stub.set(&format!("{SUBSCRIPTIONS}/{id}"), [good]);
    let throttled = Reply::error(429, "TooManyRequests").header("retry-after", "300");
    stub.set(&service_principal_path(), [throttled]);
    let pace = Pace {
        longest_pause: Duration::from_secs(300),
        ..quick()
    };
    let reader = Reader::with_pace(&stub.settings(), pace).unwrap();
    let mut reading = Box::pin(read(&reader));
    while stub.seen_at(&service_principal_path()).is_empty() {
        let step = tokio::time::timeout(Duration::from_millis(10), &mut reading);
        assert!(step.await.is_err(), "the reading ended");
    }
    let prolonged = reader.prolong(SubscriptionId::new(id), until);
    tokio::select! {
        prolonged = prolonged => assert_eq!(prolonged.unwrap(), Prolonged::Until(until)),
        _ = reading => panic!("the reading ended"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it waits"),
    }
}

#[tokio::test]
async fn no_redirect_takes_what_is_said_of_a_subscription_elsewhere() {
    let id = SubscriptionId::new(Uuid::from_u128(7));
    let until = in_days(1);
    for status in [301, 302, 303, 307, 308] {
        let (stub, elsewhere) = (Stub::start().await, Stub::start().await);
        let away = |path: &str| {
            let location = format!("{}{path}", elsewhere.origin);
            Reply::text(status, "").header("location", &location)
        };
        let one = format!("{SUBSCRIPTIONS}/{}", id.as_uuid());
        stub.set(SUBSCRIPTIONS, [away(SUBSCRIPTIONS)]);
        stub.set(&one, [away(&one)]);
        let reader = stub.reader();
        let state = ClientState::random();
        let errors = [
            (reader.subscribe(Watched::Users, &any_url(), &state, until))
                .await
                .unwrap_err(),
            reader.prolong(id, until).await.unwrap_err(),
            reader.unsubscribe(id).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), "foreign_link", "{status}: {error}");
            assert!(!error.to_string().contains(&elsewhere.origin));
        }
        assert!(elsewhere.seen().is_empty(), "{status}");
        assert_eq!(stub.seen_at(&one).len(), 2);
    }
    // Nor is one followed that stays at the endpoint.
    let stub = Stub::start().await;
    let within = Reply::text(307, "").header("location", "/v1.0/elsewhere");
    stub.set(SUBSCRIPTIONS, [within]);
    let (url, state) = (any_url(), ClientState::random());
    let reader = stub.reader();
    let refused = reader.subscribe(Watched::Users, &url, &state, until);
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, Error::Refused { status: 307, .. }));
    assert!(stub.seen_at("/v1.0/elsewhere").is_empty());
}
