//! The way to Microsoft: through a proxy, and past a private authority.

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use crate::check_entra::{check, failures, of};
use crate::cli_exit_codes::world;
use crate::support::certificates::Authority;
use crate::support::proxy::Proxy;

/// A name that nobody but the proxy knows.
const HOST: &str = "entra.example.test";

fn port(url: &str) -> u16 {
    Url::parse(url).expect("a URL").port().expect("a port")
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_graph_are_asked_through_the_proxy_and_by_a_private_authority() {
    let mut world = world().await;
    let authority = Authority::new();
    let folder = TempDir::new().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).expect("written");
    let graph = world.entra.graph_url();
    let proxy = Proxy::before(port(&graph), &authority.signs_for(HOST)).await;
    for name in ["MICROSOFT_GRAPH_ENDPOINT", "MICROSOFT_TOKEN_ENDPOINT"] {
        let path = Url::parse(&world.environment()[name]).expect("a URL");
        world.set(name, format!("https://{HOST}{}", path.path()));
    }
    world.set("HTTPS_PROXY", proxy.url());

    // Whoever shows a certificate that nobody here knows gets no secret.
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (1, vec!["token"]), "{found:#?}");
    let (message, remedy) = of(&found, "FAIL", "token");
    assert!(message.contains("cannot be reached"), "{message}");
    assert!(remedy.contains("SSL_CERT_FILE"), "{remedy}");
    assert_eq!(world.entra.requests().log.len(), 0);

    world.set("SSL_CERT_FILE", roots.display());
    let before = proxy.asked().len();
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (0, vec![]), "{found:#?}");
    let asked = proxy.asked().split_off(before);
    // One client for tokens, one for Graph.
    assert!(asked.len() >= 2, "{asked:?}");
    for one in &asked {
        assert_eq!(*one, format!("CONNECT {HOST}:443"));
    }

    world.set("NO_PROXY", "example.test");
    // A resolver that cannot be reached says so in time.
    world.set("RES_OPTIONS", "timeout:1 attempts:1");
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (1, vec!["token"]), "{found:#?}");
    let (_, remedy) = of(&found, "FAIL", "token");
    assert!(remedy.contains("its name cannot be resolved"), "{remedy}");
    assert_eq!(proxy.asked().len(), before + asked.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_identity_is_asked_for_past_every_proxy() {
    let mut world = world().await;
    let secret = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    let (url, client) = (
        world.entra.token_url(),
        world.environment()["MICROSOFT_CLIENT_ID"].clone(),
    );
    // Azure knows its machines; this one stands for it and asks for them.
    let azure = Router::new().route(
        "/metadata/identity/oauth2/token",
        get(move |request: Request| {
            let (url, client, secret) = (url.clone(), client.clone(), secret.clone());
            async move {
                assert_eq!(request.headers()["metadata"], "true");
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", &client),
                    ("client_secret", &secret),
                    ("scope", "https://graph.microsoft.com/.default"),
                ];
                let http = reqwest::Client::builder().no_proxy().build();
                let http = http.expect("a client");
                let answer = http.post(url).form(&form).send().await.expect("an answer");
                let answer: serde_json::Value = answer.json().await.expect("JSON");
                axum::Json(json!({
                    "access_token": answer["access_token"],
                    "expires_in": "3599",
                }))
            }
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, azure).await });
    world.set("MICROSOFT_CLIENT_SECRET", "");
    world.set("MICROSOFT_CLIENT_ID", "");
    world.set("ENTRA_SYNC__ENTRA__CREDENTIAL", "managed_identity");
    world.set(
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        format!("http://{address}"),
    );
    // Nobody listens there.
    world.set("HTTP_PROXY", "http://127.0.0.1:1");
    world.set("ALL_PROXY", "http://127.0.0.1:1");
    let (_, found) = check(&world).await;
    let (message, _) = of(&found, "PASS", "token");
    assert_eq!(
        message,
        "Entra issued a token for the system-assigned managed identity"
    );
    // The proxy is honoured by everybody else.
    let (_, remedy) = of(&found, "FAIL", "service principal");
    assert!(remedy.contains("the connection is refused"), "{remedy}");
}
