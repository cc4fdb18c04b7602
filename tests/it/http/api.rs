//! What the API tells, and to whom.

use serde_json::Value;

use super::{Served, TOKEN};
use crate::cli_exit_codes::world;
use crate::support::binary::entra_sync;

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_what_status_and_history_tell() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let mut source = served.json("/api/v1/sources/default").await;
    assert_eq!(source["name"], "default");
    assert_eq!(source["replica"]["state"], "idle");
    assert!(source["replica"]["next_run_at"].is_string(), "{source}");
    let status = entra_sync(world.environment(), &["status", "--format", "json"]).await;
    let known = source.as_object_mut().expect("an object");
    known.remove("name");
    known.remove("replica");
    assert_eq!(Value::Object(known.clone()), status.exits_with(0).json());
    let runs = served.json("/api/v1/runs?source=default&limit=5").await;
    let history = entra_sync(world.environment(), &["history", "--format", "json"]).await;
    assert_eq!(runs["runs"], history.exits_with(0).json());
    let run = runs["runs"][0]["run_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        served.json(&format!("/api/v1/runs/{run}")).await,
        runs["runs"][0]
    );
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_not_in_it() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let mut said = String::new();
    for path in [
        "/metrics",
        "/readyz",
        "/livez",
        "/api/v1/sources",
        "/api/v1/runs",
    ] {
        said.push_str(&served.get(path).await.1);
    }
    let said = said.to_lowercase();
    let secret = &world.environment()["MICROSOFT_CLIENT_SECRET"];
    let people = world.database.rows("LiteLLM_UserTable").await;
    assert!(!people.is_empty());
    for person in &people {
        for column in ["user_email", "user_alias"] {
            let word = person[column].as_str().expect("a text").to_lowercase();
            assert!(!said.contains(&word), "{word} is in {said}");
        }
    }
    assert!(!said.contains(&secret.to_lowercase()));
    assert!(!said.contains(TOKEN));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_answered_with_what_would_be_right() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    for (path, status, word) in [
        ("/", 404, "openapi.json"),
        ("/api/v1/sources/elsewhere", 404, "/api/v1/sources"),
        ("/api/v1/runs?source=elsewhere", 404, "/api/v1/sources"),
        ("/api/v1/runs?limit=0", 400, "from 1 to 200"),
        ("/api/v1/runs?limit=many", 400, "from 1 to 200"),
        ("/api/v1/runs?limits=5", 400, "`limit`"),
        ("/api/v1/runs/last", 400, "GUID"),
        (
            "/api/v1/runs/00000000-0000-4000-8000-000000000000",
            404,
            "history.keep",
        ),
    ] {
        let (code, body) = served.get(path).await;
        assert_eq!(code, status, "{path}: {body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["error"]["status"], status, "{path}");
        let message = body["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(word), "{path}: {message}");
    }
    let client = reqwest::Client::new();
    let address = format!("http://{}/metrics", served.address);
    let posted = client.post(&address).send().await.expect("an answer");
    assert_eq!(posted.status(), 405);
    served.end().await;
}

/// A page in a browser that had its own name point to this machine, and
/// somebody with a wrong token, see nothing.
#[tokio::test(flavor = "multi_thread")]
async fn another_hosts_name_and_a_wrong_token_are_refused() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let client = reqwest::Client::new();
    let address = format!("http://{}/api/v1/sources", served.address);
    let host = ("host", "evil.example:8080".to_owned());
    let right = ("authorization", format!("Bearer {TOKEN}"));
    let wrong = ("authorization", format!("Bearer {TOKEN}x"));
    for (headers, status) in [
        (vec![], 200),
        (vec![&host], 401),
        (vec![&host, &right], 200),
        (vec![&right], 200),
        (vec![&wrong], 401),
    ] {
        let mut request = client.get(&address);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{headers:?}");
    }
    served.end().await;
}
