//! Posting what waits, one after the other, for as long as it is worth it.
//!
//! Invariant: every attempt has an end, every message a last attempt, and one
//! line says of each that was not delivered. The URL is a secret: nothing of it
//! is said, so reqwest's own messages are not used.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::form::Form;
use super::message::{Message, Subject};
use super::sent::{Outcome, Sent};
use super::signature::{self, sign};
use crate::config::{NotifySettings, signing_key};

/// For one attempt, from the connection to the answer's status.
const PATIENCE: Duration = Duration::from_secs(10);

/// To a host that does not answer at all.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A receiver that names a longer pause, or a time further away, is taken to have
/// named this one.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

/// How long a message is tried, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Before the second attempt; doubled from there on.
    pub(super) first: Duration,
    pub(super) longest: Duration,
    /// One that is older gets no further attempt.
    pub(super) give_up_after: Duration,
}

impl Pace {
    pub(super) const PATIENT: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
        give_up_after: Duration::from_secs(15 * 60),
    };
}

/// Whoever posts.
pub(super) struct Courier {
    pub(super) settings: watch::Receiver<NotifySettings>,
    pub(super) sent: Arc<Sent>,
    pub(super) pace: Pace,
    /// Somebody asked the process to end.
    pub(super) ending: CancellationToken,
}

/// Why an attempt was in vain.
#[derive(Debug)]
struct Refusal {
    reason: String,
    again: Again,
}

/// Whether another attempt may go better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Yes, and not before this long if the receiver said so.
    After(Option<Duration>),
    Never,
}

impl Courier {
    /// Delivers until nobody can send any more or the process ends, and then what
    /// still waits.
    pub(super) async fn deliver(self, mut waiting: mpsc::Receiver<Message>) {
        let mut client = None;
        loop {
            let message = tokio::select! {
                biased;
                message = waiting.recv() => message,
                () = self.ending.cancelled() => None,
            };
            let Some(message) = message else { return };
            let subject = message.subject;
            let outcome = match self.one(&mut client, &message).await {
                Ok(()) => Outcome::Delivered,
                Err(reason) => {
                    tracing::error!(
                        target: "alert",
                        {
                            run.id = message.run,
                            notification.kind = subject.as_str(),
                            notification.id = message.id,
                        },
                        "a notification was not delivered: {reason}"
                    );
                    Outcome::Failed
                }
            };
            if let Subject::Found(kind) = subject {
                self.sent.count(kind, outcome);
            }
        }
    }

    /// Tries until it is taken, refused, or too old.
    async fn one(&self, client: &mut Option<Client>, message: &Message) -> Result<(), String> {
        let client = match client {
            Some(client) => client,
            // Most processes never need one.
            None => client.insert(new_client()?),
        };
        let mut pause = self.pace.first;
        loop {
            // New settings count from the next attempt on.
            let settings = self.settings.borrow().clone();
            let refusal = match attempt(client, &settings, message).await {
                Ok(()) => {
                    tracing::debug!(notification.kind = message.subject.as_str(), "delivered");
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            let Again::After(asked) = refusal.again else {
                return Err(refusal.reason);
            };
            let rest = pause.max(asked.unwrap_or_default());
            let age = (Utc::now() - message.at).to_std().unwrap_or_default();
            // The receiver chose a part of the sum.
            let then = age.saturating_add(rest);
            if then > self.pace.give_up_after || self.ending.is_cancelled() {
                return Err(format!("{}; it is given up", refusal.reason));
            }
            tracing::debug!(
                notification.kind = message.subject.as_str(),
                retry_seconds = rest.as_secs(),
                "a notification is tried again: {}",
                refusal.reason
            );
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                // Once more, now.
                () = self.ending.cancelled() => {}
            }
            pause = (pause * 2).min(self.pace.longest);
        }
    }
}

/// One attempt.
pub(super) async fn once(settings: &NotifySettings, message: &Message) -> Result<(), String> {
    let sent = attempt(&new_client()?, settings, message).await;
    sent.map_err(|refusal| refusal.reason)
}

fn new_client() -> Result<Client, String> {
    Client::builder()
        .user_agent(concat!("litellm-entra-sync/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .connect_timeout(CONNECT_PATIENCE)
        // The URL is the key; a redirect would carry the message elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|_| "this machine's TLS or proxy settings are unusable".to_owned())
}

async fn attempt(
    client: &Client,
    settings: &NotifySettings,
    message: &Message,
) -> Result<(), Refusal> {
    let never = |reason: &str| Refusal {
        reason: reason.to_owned(),
        again: Again::Never,
    };
    let Some(url) = &settings.webhook_url else {
        return Err(never("notify.webhook_url is not set"));
    };
    // Parsed once already, when the settings were read.
    let url: Url =
        (url.value().expose_secret().parse()).map_err(|_| never("notify.webhook_url is no URL"))?;
    let body = Form::of(settings.form, &url).body(message).to_string();
    let timestamp = Utc::now().timestamp();
    let mut request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(signature::ID, &message.id)
        .header(signature::TIMESTAMP, timestamp);
    let secret = settings.secret.as_ref();
    if let Some(key) = secret.and_then(|secret| signing_key(secret.value().expose_secret())) {
        let signed = sign(&key, &message.id, timestamp, body.as_bytes());
        request = request.header(signature::SIGNATURE, signed);
    }
    match request.body(body).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(refused(answer.status(), answer.headers())),
        Err(error) => Err(Refusal {
            reason: unreachable(&error).to_owned(),
            again: Again::After(None),
        }),
    }
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Refusal {
    let code = status.as_u16();
    let may_pass = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    let reason = if status.is_redirection() {
        format!("the webhook answers with {code}, and redirects are not followed")
    } else {
        format!("the webhook answers with {code}")
    };
    Refusal {
        reason,
        again: match may_pass {
            true => Again::After(retry_after(headers, Utc::now())),
            false => Again::Never,
        },
    }
}

/// In seconds, or as a time; a day at most.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // More than a number can say is still a number.
        Err(_) if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
            LONGEST_REST
        }
        Err(_) => {
            let time = DateTime::parse_from_rfc2822(value).ok()?;
            (time.to_utc() - now).to_std().ok()?
        }
    };
    Some(asked.min(LONGEST_REST))
}

/// In words of ours: reqwest's name the URL.
fn unreachable(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the webhook does not answer in time"
    } else if error.is_connect() {
        "the webhook's host cannot be reached (name, network, proxy or certificate)"
    } else {
        "the connection to the webhook broke off"
    }
}
