//! Delivery to a receiver on loopback.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::config::{NotifyWhen, Secret, WebhookForm};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(super) fn sample() -> Message {
    Message {
        id: "msg_1".to_owned(),
        subject: Subject::Found(Kind::Held),
        source: "default".to_owned(),
        tenant: "contoso.onmicrosoft.com".to_owned(),
        run: Some("1961243e-95be-4d98-8088-6c90a46c8202".to_owned()),
        at: "2026-11-21T10:00:00Z".parse().unwrap(),
        summary: "7 removals are held".to_owned(),
        details: json!({"digest": "abc", "removals": 7, "reason": "<!channel> *all* & [more](x)"})
            .as_object()
            .unwrap()
            .clone(),
        remedy: Some("look".to_owned()),
    }
}

fn fresh(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        at: Utc::now(),
        ..sample()
    }
}

fn settings(url: &str) -> NotifySettings {
    NotifySettings {
        webhook_url: Some(Secret::Value(SecretString::from(url))),
        form: WebhookForm::Auto,
        secret: Some(Secret::Value(SecretString::from(KEY))),
        when: [NotifyWhen::Held].into(),
    }
}

/// Fast enough for a test; gives up after some dozens of attempts.
const QUICK: Pace = Pace {
    first: Duration::from_millis(5),
    longest: Duration::from_millis(20),
    give_up_after: Duration::from_millis(500),
};

#[derive(Default)]
struct Desk {
    /// What is answered next; 200 when there is nothing left.
    answers: Mutex<VecDeque<(u16, &'static str)>>,
    posts: Mutex<Vec<(HeaderMap, String)>>,
}

impl Desk {
    fn ids(&self) -> Vec<String> {
        let posts = self.posts.lock().unwrap();
        let id =
            |(headers, _): &(HeaderMap, String)| headers["webhook-id"].to_str().unwrap().to_owned();
        posts.iter().map(id).collect()
    }
}

async fn receive(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: String) -> Response {
    desk.posts.lock().unwrap().push((headers, body));
    let answer = desk.answers.lock().unwrap().pop_front();
    match answer {
        // Never answers.
        Some((0, _)) => std::future::pending().await,
        Some((status, header)) => {
            let name = if status == 307 {
                "location"
            } else {
                "retry-after"
            };
            (StatusCode::from_u16(status).unwrap(), [(name, header)]).into_response()
        }
        None => StatusCode::OK.into_response(),
    }
}

/// A receiver that answers so, and its URL.
async fn receiver(answers: &[(u16, &'static str)]) -> (Arc<Desk>, String) {
    let desk = Arc::new(Desk::default());
    desk.answers.lock().unwrap().extend(answers);
    let routes = axum::Router::new()
        .fallback(receive)
        .with_state(Arc::clone(&desk));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hush", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (desk, url)
}

fn counted(sent: &Sent, kind: Kind) -> [u64; 3] {
    let all = sent.snapshot();
    let mut of_kind = all.into_iter().filter(|(of, ..)| *of == kind);
    std::array::from_fn(|_| of_kind.next().unwrap().2)
}

/// Posts these and waits for their end; what was counted.
async fn deliver(url: &str, messages: Vec<Message>) -> [u64; 3] {
    let (notifier, delivery) = Notifier::at(QUICK, &settings(url));
    for message in messages {
        notifier.post(Kind::Held, message);
    }
    let sent = notifier.sent();
    drop(notifier);
    delivery.drain(Duration::from_secs(20)).await;
    counted(&sent, Kind::Held)
}

#[tokio::test]
async fn what_fails_for_now_is_tried_again_as_the_same_message() {
    let (desk, url) = receiver(&[(500, "0"), (429, "0"), (503, "0")]).await;
    assert_eq!(
        deliver(&url, vec![fresh("msg_a"), fresh("msg_b")]).await,
        [2, 0, 0]
    );
    assert_eq!(desk.ids(), ["msg_a", "msg_a", "msg_a", "msg_a", "msg_b"]);
}

#[tokio::test]
async fn each_attempt_is_signed_over_what_was_sent() {
    let (desk, url) = receiver(&[]).await;
    deliver(&url, vec![fresh("msg_a")]).await;
    let posts = desk.posts.lock().unwrap();
    let (headers, body) = &posts[0];
    assert_eq!(headers["content-type"], "application/json");
    let timestamp: i64 = headers["webhook-timestamp"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((Utc::now().timestamp() - timestamp).abs() < 60);
    let key = crate::config::signing_key(KEY).unwrap();
    let expected = signature::sign(&key, "msg_a", timestamp, body.as_bytes());
    assert_eq!(headers["webhook-signature"], expected);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    let (desk, url) = receiver(&[(400, ""), (404, ""), (410, "")]).await;
    let messages = ["a", "b", "c", "d"].map(fresh).to_vec();
    assert_eq!(deliver(&url, messages).await, [1, 3, 0]);
    assert_eq!(desk.ids(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (other, elsewhere) = receiver(&[]).await;
    let (desk, url) = receiver(&[(307, Box::leak(elsewhere.into_boxed_str()))]).await;
    assert_eq!(deliver(&url, vec![fresh("a")]).await, [0, 1, 0]);
    assert_eq!((desk.ids().len(), other.ids().len()), (1, 0));
}

#[tokio::test]
async fn a_receiver_that_stays_away_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(deliver(&url, vec![fresh("a")]).await, [0, 1, 0]);
    // One that asks for more time than there is, at once.
    let (desk, url) = receiver(&[(503, "3600")]).await;
    assert_eq!(deliver(&url, vec![fresh("a")]).await, [0, 1, 0]);
    assert_eq!(desk.ids().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_ages_is_given_up_and_the_next_message_is_delivered() {
    let ages = "18446744073709551615";
    let (desk, url) = receiver(&[(429, ages), (503, ages)]).await;
    let messages = ["a", "b", "c"].map(|id| Message {
        // The overflow was of the pause and an age that is not nothing.
        at: Utc::now() - chrono::TimeDelta::milliseconds(100),
        ..fresh(id)
    });
    assert_eq!(deliver(&url, messages.to_vec()).await, [1, 2, 0]);
    assert_eq!(desk.ids(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_receiver_that_hangs_keeps_nobody_waiting_and_the_rest_is_dropped() {
    let (desk, url) = receiver(&[(0, "")]).await;
    let (notifier, delivery) = Notifier::at(QUICK, &settings(&url));
    let begun = Instant::now();
    notifier.post(Kind::Held, fresh("first"));
    while desk.ids().is_empty() {
        tokio::task::yield_now().await;
    }
    for number in 0..WAITING + 3 {
        notifier.post(Kind::Held, fresh(&number.to_string()));
    }
    assert_eq!(counted(&notifier.sent(), Kind::Held), [0, 0, 3]);
    // Nor does the end of the process.
    delivery.end(Duration::from_millis(50)).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn new_settings_count_from_the_next_attempt_on() {
    let (desk, url) = receiver(&[]).await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}/", gone.local_addr().unwrap());
    drop(gone);
    let (notifier, delivery) = Notifier::at(Pace::PATIENT, &settings(&away));
    notifier.post(Kind::Held, fresh("a"));
    tokio::task::yield_now().await;
    delivery.settings.send_replace(settings(&url));
    drop(notifier);
    delivery.drain(Duration::from_secs(20)).await;
    assert_eq!(desk.ids(), ["a"]);
}

#[test]
fn a_pause_is_asked_for_in_seconds_or_as_a_time() {
    let now: DateTime<Utc> = "2026-11-21T10:00:00Z".parse().unwrap();
    let asked = |value: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        delivery::retry_after(&headers, now).map(|pause| pause.as_secs())
    };
    assert_eq!(asked("7"), Some(7));
    assert_eq!(asked("Sat, 21 Nov 2026 10:00:30 GMT"), Some(30));
    assert_eq!(asked("Sat, 21 Nov 2026 09:00:00 GMT"), None);
    assert_eq!(asked("soon"), None);
    assert_eq!(asked("-1"), None);
    for beyond in [
        "86401",
        "18446744073709551615",
        "18446744073709551616",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        assert_eq!(asked(beyond), Some(86_400), "{beyond}");
    }
}

#[test]
fn a_queue_that_is_full_is_told_from_one_that_nobody_empties() {
    let (queue, waiting) = mpsc::channel(1);
    queue.try_send(sample()).unwrap();
    let full = why(&queue.try_send(sample()).unwrap_err());
    drop(waiting);
    let closed = why(&queue.try_send(sample()).unwrap_err());
    assert!(full.contains("64 others wait"), "{full}");
    assert!(
        closed.contains("the task that delivers has ended"),
        "{closed}"
    );
}
