//! The bearer token: one at a time, renewed, refused, kept out of sight.

use std::time::Duration;

use serde_json::json;

use super::stub::{
    Reply, Stub, TOKEN, assigned_group, group_id, ids, members, members_path, person, quick, read,
};
use crate::config::{Credential, Secret};
use crate::entra::pace::Pace;
use crate::entra::token::Tokens;
use crate::entra::{Error, Reader};
use secrecy::ExposeSecret;

fn tokens(stub: &Stub, pace: Pace) -> Tokens {
    Tokens::new(&stub.settings(), pace).unwrap()
}

async fn value(tokens: &Tokens) -> String {
    tokens
        .get()
        .await
        .unwrap()
        .value()
        .expose_secret()
        .to_owned()
}

fn refusal(error: &str, code: u64) -> Reply {
    Reply::json(
        400,
        &json!({
            "error": error,
            "error_codes": [code],
            "error_description": format!("AADSTS{code}: private words s3cret"),
            "correlation_id": "33333333-3333-3333-3333-333333333333",
        }),
    )
}

fn granted(token: &str, expires_in: &serde_json::Value) -> Reply {
    Reply::json(
        200,
        &json!({ "access_token": token, "expires_in": expires_in }),
    )
}

#[tokio::test]
async fn twenty_who_ask_at_once_cause_one_token_request() {
    let stub = Stub::start().await;
    let tokens = tokens(&stub, quick());
    let all = futures::future::join_all((0..20).map(|_| value(&tokens))).await;
    assert!(all.iter().all(|token| token == "token-1"));
    assert_eq!(stub.seen_at(TOKEN).len(), 1);
}

#[tokio::test]
async fn the_secret_is_sent_form_encoded_in_the_body() {
    let stub = Stub::start().await;
    value(&tokens(&stub, quick())).await;
    let seen = stub.seen_at(TOKEN).remove(0);
    assert!(seen.body.contains("client_secret=s3cret%26%2B%3D%25"));
    assert!(seen.body.contains("grant_type=client_credentials"));
    assert!(
        seen.body
            .contains("scope=https%3A%2F%2Fgraph.microsoft.com%2F.default")
    );
    assert_eq!(
        seen.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_life_of_a_token_may_be_a_number_or_a_text() {
    let stub = Stub::start().await;
    for life in [json!(3599), json!("3599")] {
        stub.set(TOKEN, [granted("a", &life)]);
        assert_eq!(value(&tokens(&stub, quick())).await, "a");
    }
    for life in [json!("soon"), json!(null)] {
        stub.set(TOKEN, [granted("a", &life)]);
        let error = tokens(&stub, quick()).get().await.unwrap_err();
        assert_eq!(error.kind(), "malformed");
    }
}

#[tokio::test]
async fn a_token_is_renewed_when_its_time_comes() {
    let stub = Stub::start().await;
    stub.set(
        TOKEN,
        [granted("old", &json!(1)), granted("new", &json!(3599))],
    );
    let pace = Pace {
        shortest_token_life: Duration::ZERO,
        ..quick()
    };
    let tokens = tokens(&stub, pace);
    assert_eq!(value(&tokens).await, "old");
    while value(&tokens).await == "old" {
        tokio::task::yield_now().await;
    }
    assert_eq!(stub.seen_at(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_valid_token_stays_in_use_while_its_renewal_fails() {
    let stub = Stub::start().await;
    stub.set(TOKEN, [granted("old", &json!(2)), Reply::text(503, "")]);
    let pace = Pace {
        shortest_token_life: Duration::ZERO,
        attempts: 1,
        ..quick()
    };
    let tokens = tokens(&stub, pace);
    let mut last = String::new();
    while stub.seen_at(TOKEN).len() < 2 {
        last = value(&tokens).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(last, "old");
    // Once it has ended there is nothing left to use.
    loop {
        match tokens.get().await {
            Ok(token) => assert_eq!(token.value().expose_secret(), "old"),
            Err(error) => {
                assert_eq!(error.kind(), "token_unavailable");
                break;
            }
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_token_that_claims_no_life_does_not_cost_a_request_per_call() {
    let stub = Stub::start().await;
    stub.set(TOKEN, [granted("brief", &json!(0))]);
    let tokens = tokens(&stub, quick());
    for _ in 0..5 {
        value(&tokens).await;
    }
    assert_eq!(stub.seen_at(TOKEN).len(), 1);
}

#[tokio::test]
async fn a_refused_secret_is_not_tried_again_during_its_pause() {
    let stub = Stub::start().await;
    stub.set(TOKEN, [refusal("invalid_client", 7_000_215)]);
    let tokens = tokens(&stub, quick());
    for _ in 0..5 {
        let error = tokens.get().await.unwrap_err();
        assert_eq!(error.kind(), "secret_rejected");
    }
    assert_eq!(stub.seen_at(TOKEN).len(), 1);
}

#[tokio::test]
async fn a_secret_file_is_read_again_when_the_secret_is_refused() {
    let stub = Stub::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "new\n").unwrap();
    let mut settings = stub.settings();
    settings.credential = Credential::ClientSecret(Secret::File {
        path: file.path().to_owned(),
        value: "old".to_owned().into(),
    });
    stub.set(
        TOKEN,
        [
            refusal("invalid_client", 7_000_222),
            granted("a", &json!(3599)),
        ],
    );
    let rotated = Tokens::new(&settings, quick()).unwrap();
    assert_eq!(value(&rotated).await, "a");
    let bodies: Vec<String> = stub.seen_at(TOKEN).into_iter().map(|s| s.body).collect();
    assert!(bodies[0].ends_with("client_secret=old"), "{bodies:?}");
    assert!(bodies[1].ends_with("client_secret=new"), "{bodies:?}");

    // During the pause a changed file is noticed as well.
    stub.set(TOKEN, [refusal("invalid_client", 7_000_215)]);
    let paused = Tokens::new(&settings, quick()).unwrap();
    assert_eq!(paused.get().await.unwrap_err().kind(), "secret_rejected");
    stub.set(TOKEN, [granted("b", &json!(3599))]);
    assert_eq!(paused.get().await.unwrap_err().kind(), "secret_rejected");
    std::fs::write(file.path(), "newest").unwrap();
    assert_eq!(value(&paused).await, "b");

    // A file that went away is named, with its path.
    std::fs::remove_file(file.path()).unwrap();
    stub.set(TOKEN, [refusal("invalid_client", 7_000_215)]);
    let gone = Tokens::new(&settings, quick()).unwrap();
    let error = gone.get().await.unwrap_err();
    assert_eq!(error.kind(), "secret_file");
    assert!(error.to_string().contains(&*file.path().to_string_lossy()));
}

#[tokio::test]
async fn refusals_are_told_apart_and_show_no_private_words() {
    let cases = [
        ("invalid_client", 7_000_215, "secret_rejected"),
        ("invalid_client", 7_000_222, "secret_expired"),
        ("invalid_client", 9_999_999, "secret_rejected"),
        ("unauthorized_client", 700_016, "application_unknown"),
        ("unauthorized_client", 1, "application_unknown"),
        ("invalid_request", 90002, "tenant_unknown"),
        ("invalid_request", 900_382, "wrong_cloud"),
        ("invalid_scope", 70011, "scope_refused"),
        ("invalid_resource", 500_011, "scope_refused"),
        // The scope of another cloud, whatever the refusal is called.
        ("invalid_request", 500_011, "scope_refused"),
        ("invalid_request", 70011, "scope_refused"),
        ("invalid_request", 1_002_012, "scope_refused"),
        ("access_denied", 53003, "blocked_by_policy"),
        ("invalid_grant", 1, "token_refused"),
        ("temporarily_unavailable", 1, "token_unavailable"),
        ("server_error", 90033, "token_unavailable"),
    ];
    for (name, code, kind) in cases {
        let stub = Stub::start().await;
        stub.set(TOKEN, [refusal(name, code)]);
        let error = tokens(&stub, quick()).get().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name} {code}");
        let text = error.to_string();
        assert!(
            !text.contains("s3cret") && !text.contains("private"),
            "{text}"
        );
        assert!(text.contains("33333333-3333"), "{text}");
        let is_transient = kind == "token_unavailable";
        assert_eq!(stub.seen_at(TOKEN).len() > 1, is_transient, "{name}");
        assert_eq!(error.is_retryable(), is_transient);
    }
}

#[tokio::test]
async fn a_transient_failure_is_tried_again() {
    let stub = Stub::start().await;
    stub.set(
        TOKEN,
        [
            Reply::text(503, "<html>"),
            Reply::json(429, &json!({})).header("retry-after", "0.01"),
            granted("a", &json!(3599)),
        ],
    );
    assert_eq!(value(&tokens(&stub, quick())).await, "a");
}

#[tokio::test]
async fn a_redirect_of_the_token_endpoint_is_not_followed() {
    let stub = Stub::start().await;
    stub.set(
        TOKEN,
        [Reply::text(307, "").header("location", "/elsewhere")],
    );
    let error = tokens(&stub, quick()).get().await.unwrap_err();
    assert_eq!(error.kind(), "token_refused");
    assert!(stub.seen_at("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_token_revoked_in_the_middle_is_replaced_and_the_reading_goes_on() {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.assign(&[assigned_group(group)]);
    stub.group(group, &[]);
    let path = members_path(group);
    stub.set(
        &path,
        [Reply::page_then(&[person(1)], &stub.link(&path, "2"))],
    );
    stub.set(
        &format!("{path}?page=2"),
        [
            Reply::error(401, "InvalidAuthenticationToken"),
            Reply::page(&[person(2)]),
        ],
    );
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids([1, 2]));
    let pages = stub.seen_at(&format!("{path}?page=2"));
    assert_eq!(pages[0].headers["authorization"], "Bearer token-1");
    assert_eq!(pages[1].headers["authorization"], "Bearer token-2");
    assert_eq!(stub.seen_at(&path).len(), 1, "the same page goes on");
}

#[tokio::test]
async fn a_token_revoked_under_many_requests_is_replaced_once() {
    let stub = Stub::start().await;
    let reader = stub.reader();
    let groups: Vec<_> = (0..20).map(group_id).collect();
    stub.assign(
        &groups
            .iter()
            .copied()
            .map(assigned_group)
            .collect::<Vec<_>>(),
    );
    for group in &groups {
        stub.group(*group, &[person(1)]);
    }
    read(&reader).await.unwrap();
    stub.revoke("token-1");
    let directory = read(&reader).await.unwrap();
    assert!(directory.groups.values().all(|group| group.members.is_ok()));
    assert_eq!(stub.seen_at(TOKEN).len(), 2);
}

#[tokio::test]
async fn a_late_complaint_about_an_old_token_leaves_the_new_one_alone() {
    let stub = Stub::start().await;
    let tokens = tokens(&stub, quick());
    let old = tokens.get().await.unwrap();
    old.was_accepted();
    tokens.reject(&old).await;
    assert_eq!(value(&tokens).await, "token-2");
    tokens.reject(&old).await;
    assert_eq!(value(&tokens).await, "token-2");
    assert_eq!(stub.seen_at(TOKEN).len(), 2);
}

#[tokio::test]
async fn tokens_that_never_work_end_the_reading_without_hammering() {
    let stub = Stub::start().await;
    for number in 1..10 {
        stub.revoke(&format!("token-{number}"));
    }
    let reader: Reader = stub.reader();
    for _ in 0..5 {
        let error = read(&reader).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
    assert_eq!(stub.seen_at(TOKEN).len(), 2);
}

#[tokio::test]
async fn nothing_prints_the_secret_or_the_token() {
    let stub = Stub::start().await;
    let reader = stub.reader();
    read(&reader).await.unwrap();
    let token = reader.line.tokens().get().await.unwrap();
    let text = format!("{reader:?} {token:?} {:?}", reader.line.tokens());
    assert!(
        !text.contains("s3cret") && !text.contains("token-1"),
        "{text}"
    );
}
