use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_token_opens_graph_and_nothing_else_does() {
    let asked = Asked::of(|t| {
        t.group("Sales");
    })
    .await;
    asked.good("/groups").await;
    for bearer in ["", "Bearer ", "Bearer wrong", "Basic eDp5"] {
        let request = asked
            .client
            .get(format!("{}/groups", asked.simulator.graph_url()));
        let response = request
            .header("authorization", bearer)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 401, "{bearer}");
        assert!(response.headers().contains_key("www-authenticate"));
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], "InvalidAuthenticationToken");
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_until_a_new_one_is_asked_for() {
    let mut asked = Asked::of(|_| ()).await;
    asked.simulator.expire_tokens();
    asked
        .refused("/groups", 401, "InvalidAuthenticationToken")
        .await;
    asked.new_token().await;
    asked.good("/groups").await;
    asked.simulator.tenant(|t| t.token_lifetime(Duration::ZERO));
    asked.new_token().await;
    asked
        .refused("/groups", 401, "InvalidAuthenticationToken")
        .await;
}

#[tokio::test]
async fn wrong_credentials_are_refused_as_the_identity_platform_does() {
    let asked = Asked::of(|_| ()).await;
    let cases = [
        (("client_secret", "wrong"), 401, "invalid_client", 7_000_215),
        (("client_secret", ""), 401, "invalid_client", 7_000_218),
        (
            ("client_id", "00000000-0000-0000-0000-000000000001"),
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            ("grant_type", "password"),
            400,
            "unsupported_grant_type",
            70003,
        ),
        (("grant_type", ""), 400, "invalid_request", 900_144),
        (
            ("scope", "https://graph.microsoft.com/User.Read"),
            400,
            "invalid_scope",
            1_002_012,
        ),
        (
            ("scope", "https://graph.microsoft.us/.default"),
            400,
            "invalid_resource",
            500_011,
        ),
        (
            ("scope", "a/.default b/.default"),
            400,
            "invalid_scope",
            700_022,
        ),
    ];
    for (change, status, error, number) in cases {
        let (got, body) = asked.ask_token(&[change]).await;
        assert_eq!(
            (got, body["error"].as_str()),
            (status, Some(error)),
            "{body}"
        );
        assert_eq!(body["error_codes"], json!([number]));
        let text = body["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("AADSTS{number}: ")), "{text}");
        assert!(!text.contains("wrong"), "the secret is not repeated");
        assert!(body["trace_id"].is_string() && body["correlation_id"].is_string());
    }
    let url = format!(
        "{}/nowhere.example.com/oauth2/v2.0/token",
        asked.simulator.url()
    );
    let response = asked
        .client
        .post(url)
        .form(&[("a", "b")])
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.json::<Value>().await.unwrap()["error_codes"],
        json!([90002])
    );
}

#[tokio::test]
async fn the_secret_may_come_as_http_basic() {
    let asked = Asked::of(|_| ()).await;
    let (id, secret) = asked
        .simulator
        .tenant(|t| (t.client_id().to_string(), t.client_secret().to_owned()));
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", &*format!("{}/.default", asked.simulator.url())),
    ];
    let request = asked
        .client
        .post(asked.simulator.token_url())
        .basic_auth(id, Some(secret));
    assert_eq!(request.form(&form).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn expires_in_is_a_number_or_a_text() {
    let asked = Asked::of(|t| t.token_lifetime(Duration::from_secs(600))).await;
    assert_eq!(asked.ask_token(&[]).await.1["expires_in"], 600);
    asked.simulator.tenant(|t| t.expires_in(ExpiresIn::Text));
    assert_eq!(asked.ask_token(&[]).await.1["expires_in"], "600");
}

#[tokio::test]
async fn permissions_are_frozen_in_the_token() {
    let mut asked = Asked::of(|t| {
        t.user("anna");
    })
    .await;
    asked
        .simulator
        .tenant(|t| t.revoke(Permission::UserReadAll));
    asked.good("/users").await;
    asked.new_token().await;
    asked
        .refused("/users", 403, "Authorization_RequestDenied")
        .await;
}
