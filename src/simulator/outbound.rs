//! What the simulator posts to others: whether they want notifications, and the
//! notifications.
//!
//! Invariant: plain http goes to loopback only; no redirect is followed.
//! Must not: wait without end, or try for ever.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use url::{Host, Url};
use uuid::Uuid;

use super::subscriptions::Post;

/// How long Graph waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a notification is posted at most; Graph goes on for hours.
const TRIES: u32 = 5;

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// The way out.
#[derive(Debug, Clone)]
pub(super) struct Outbound(Client);

impl Outbound {
    pub(super) fn new() -> reqwest::Result<Self> {
        Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .build()
            .map(Self)
    }

    /// Whether somebody answers at this URL as a receiver of notifications must.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(super) async fn validate(&self, url: &Url) -> Result<(), String> {
        let token = format!(
            "Validation: Testing client application reachability for subscription \
             Request-Id: {}",
            Uuid::new_v4()
        );
        let mut asked = url.clone();
        asked
            .query_pairs_mut()
            .append_pair("validationToken", &token);
        let request = self
            .0
            .post(asked)
            .header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => {
                return Err("Subscription validation request timed out.".to_owned());
            }
            Err(_) => return Err("Subscription validation request failed.".to_owned()),
        };
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(format!(
                "Subscription validation request failed. HTTP status code is {status}."
            ));
        }
        let kind = answer.headers().get(CONTENT_TYPE);
        let is_plain = kind
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.split(';').next().map(str::trim) == Some("text/plain"));
        match answer.text().await {
            Ok(text) if is_plain && text == token => Ok(()),
            Ok(_) if is_plain => Err("The validation token was not given back.".to_owned()),
            Ok(_) => Err("The validation token was not given back as text/plain.".to_owned()),
            Err(_) => Err("Subscription validation request failed.".to_owned()),
        }
    }

    /// Posts until it is taken, or given up.
    pub(super) async fn deliver(&self, post: Post) {
        for _ in 0..TRIES {
            let sent = self.0.post(post.url.clone()).json(&post.body).send().await;
            if sent.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether notifications may go there.
pub(super) fn is_allowed(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => true,
        "http" => is_loopback,
        _ => false,
    }
}
