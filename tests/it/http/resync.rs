//! Asking for a pass over HTTP.

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::{Served, TOKEN};
use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes, quiet};
use crate::support::wait::wait_for;

/// Status and body of a request for a pass.
async fn ask(served: &Served, token: Option<&str>, body: &str) -> (u16, Value) {
    let address = format!("http://{}/api/v1/resync", served.address);
    let mut request = reqwest::Client::new().post(address).body(body.to_owned());
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.text().await.expect("a body");
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_the_token_gets_a_pass_and_learns_what_became_of_it() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let (status, body) = ask(&served, Some(TOKEN), r#"{"mode": "full"}"#).await;
    assert_eq!(status, 202, "{body}");
    let request = &body["requests"][0];
    assert_eq!(
        (&request["source"], &request["mode"]),
        (&json!("default"), &json!("full"))
    );
    let id = request["request_id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/requests/{id}");
    let run = wait_for("the end of the pass", || async {
        let now = served.json(&path).await;
        (now["state"] == "ended").then(|| now["run_id"].as_str().expect("a run").to_owned())
    })
    .await;
    let run = served.json(&format!("/api/v1/runs/{run}")).await;
    assert_eq!(
        (
            &run["trigger"],
            &run["mode"],
            &run["status"],
            &run["asked_by"]
        ),
        (
            &json!("api"),
            &json!("full"),
            &json!("unchanged"),
            &json!(["api"])
        )
    );
    // Nothing said is an incremental pass of every source.
    let (status, body) = ask(&served, Some(TOKEN), "").await;
    assert_eq!(
        (status, &body["requests"][0]["mode"]),
        (202, &json!("incremental"))
    );
    assert_eq!(pass_by(&world, "api", 2).await, "unchanged");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_one() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    for token in [None, Some("a-token-that-is-another"), Some("")] {
        let (status, body) = ask(&served, token, "").await;
        assert_eq!(status, 401, "{token:?}: {body}");
    }
    for (body, status) in [
        ("{", 400),
        ("[]", 400),
        (r#"{"mode": "drift"}"#, 400),
        (r#"{"modes": "full"}"#, 400),
        (r#"{"source": "elsewhere"}"#, 404),
    ] {
        let (code, answer) = ask(&served, Some(TOKEN), body).await;
        assert_eq!(code, status, "{body}: {answer}");
    }
    let (status, _) = ask(&served, Some(TOKEN), &" ".repeat(70_000)).await;
    assert_eq!(status, 413);
    served.daemon.signal("USR1").await;
    pass_by(&world, "signal", 1).await;
    served.end().await;
    assert_eq!(passes(&world).await.len(), 2, "{:?}", passes(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_in_the_settings_it_is_off() {
    let mut world = world().await;
    quiet(&mut world);
    let served = Served::start(&world).await;
    let (status, body) = ask(&served, Some("whatever-it-may-be"), "").await;
    assert_eq!(status, 403, "{body}");
    let said = body["error"]["message"].as_str().expect("a sentence");
    assert!(said.contains("server.token is not set"), "{said}");
    served.end().await;
}
