//! Managed identities: what is asked of this machine, and what it may answer.

use secrecy::ExposeSecret;
use serde_json::json;

use super::stub::{Reply, Stub, quick};
use crate::config::{Credential, EntraSettings, IdentityIssuer, ManagedIdentity};
use crate::entra::token::Tokens;

const METADATA: &str = "/metadata/identity/oauth2/token";
const APP: &str = "/msi/token";
const IDENTITY: &str = "55555555-5555-4555-8555-555555555555";

fn settings(stub: &Stub, identity: ManagedIdentity) -> EntraSettings {
    EntraSettings {
        credential: Credential::ManagedIdentity(identity),
        ..stub.settings()
    }
}

fn metadata(stub: &Stub, client_id: Option<&str>) -> Tokens {
    let issuer = IdentityIssuer::Metadata(format!("{}{METADATA}", stub.origin).parse().unwrap());
    let client_id = client_id.map(str::to_owned);
    let identity = ManagedIdentity { issuer, client_id };
    Tokens::new(&settings(stub, identity), quick()).unwrap()
}

fn granted() -> Reply {
    let body = json!({
        "access_token": "a",
        "expires_in": "86399",
        "expires_on": "1893456000",
        "refresh_token": "",
    });
    Reply::json(200, &body)
}

async fn value(tokens: &Tokens) -> String {
    let token = tokens.get().await.unwrap();
    token.value().expose_secret().to_owned()
}

#[tokio::test]
async fn the_metadata_service_is_asked_as_azure_has_it() {
    let stub = Stub::start().await;
    stub.set(METADATA, [granted()]);
    assert_eq!(value(&metadata(&stub, None)).await, "a");
    assert_eq!(value(&metadata(&stub, Some(IDENTITY))).await, "a");
    let seen = stub.seen();
    for one in &seen {
        assert_eq!(one.headers["metadata"], "true");
        assert_eq!(one.query["api-version"], "2018-02-01");
        assert_eq!(one.query["resource"], "https://graph.microsoft.com");
        assert_eq!(one.body, "");
    }
    assert!(!seen[0].query.contains_key("client_id"));
    assert_eq!(seen[1].query["client_id"], IDENTITY);
}

#[tokio::test]
async fn app_service_is_asked_with_its_header_and_tells_when_the_token_ends() {
    let stub = Stub::start().await;
    let in_an_hour = chrono::Utc::now().timestamp() + 3_600;
    let body = json!({ "access_token": "a", "expires_on": in_an_hour.to_string() });
    stub.set(APP, [Reply::json(200, &body)]);
    let issuer = IdentityIssuer::AppService {
        endpoint: format!("{}{APP}", stub.origin).parse().unwrap(),
        header: "proof-ZQX".to_owned().into(),
    };
    let identity = ManagedIdentity {
        issuer,
        client_id: None,
    };
    let tokens = Tokens::new(&settings(&stub, identity), quick()).unwrap();
    for _ in 0..3 {
        assert_eq!(value(&tokens).await, "a");
    }
    let seen = stub.seen_at(APP);
    assert_eq!(seen.len(), 1, "it is kept for its life");
    assert_eq!(seen[0].headers["x-identity-header"], "proof-ZQX");
    assert_eq!(seen[0].query["api-version"], "2019-08-01");
    assert_eq!(seen[0].query["resource"], "https://graph.microsoft.com");
    assert!(!format!("{tokens:?}").contains("ZQX"));
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again_and_a_refusal_is_final() {
    for status in [404, 410, 429, 500, 503] {
        let stub = Stub::start().await;
        stub.set(METADATA, [Reply::text(status, "<html>"), granted()]);
        assert_eq!(value(&metadata(&stub, None)).await, "a", "{status}");
        assert_eq!(stub.seen().len(), 2, "{status}");
    }
    for status in [400, 401, 403, 307] {
        let stub = Stub::start().await;
        let body = json!({ "error": "invalid_request", "error_description": "private words" });
        let refusal = Reply::json(status, &body).header("location", "/elsewhere");
        stub.set(METADATA, [refusal]);
        let error = metadata(&stub, None).get().await.unwrap_err();
        assert_eq!(error.kind(), "managed_identity_refused", "{status}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("HTTP {status}, invalid_request")),
            "{text}"
        );
        assert!(!text.contains("private"), "{text}");
        assert_eq!(stub.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_any_end_of_life_is_not_used() {
    let stub = Stub::start().await;
    stub.set(
        METADATA,
        [Reply::json(200, &json!({ "access_token": "a" }))],
    );
    let error = metadata(&stub, None).get().await.unwrap_err();
    assert_eq!(error.kind(), "malformed");
    assert!(error.to_string().contains("managed identities"), "{error}");
}
