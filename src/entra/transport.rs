//! What both HTTP clients of this room share: how they name themselves, how a
//! body is read whole, and what a broken connection is called.
//!
//! Must not: print a URL. reqwest's own messages do, so they are never used.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::HeaderMap;
use url::Url;

use super::error::{Error, NetworkCause};
use crate::config::EntraSettings;

/// The product token every request carries.
pub(super) const USER_AGENT: &str = concat!("litellm-entra-sync/", env!("CARGO_PKG_VERSION"));

/// To a host that does not answer at all; graph-contract 11 advises 5 to 10 s.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A page of 999 people is some 0.4 MB; nothing real comes near this. Counted
/// once it is unpacked, and in memory ten times as large at worst.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// A request that got no whole answer.
#[derive(Debug, Clone)]
pub(super) struct NetworkFailure {
    pub(super) cause: NetworkCause,
    /// The innermost cause, in the operating system's words.
    pub(super) detail: String,
}

/// Why a body is not in hand.
#[derive(Debug)]
pub(super) enum BodyFailure {
    Network(NetworkFailure),
    Oversized,
}

/// A client for what must reach this host and no other: a secret, or a body.
pub(super) fn redirected_nowhere(
    settings: &EntraSettings,
    endpoint: &Url,
) -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .timeout(settings.request_timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .https_only(endpoint.scheme() == "https")
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Error::Setup {
            cause: network_failure(&error).detail,
        })
}

/// Reads the body to its end, which the transfer coding must announce.
pub(super) async fn whole_body(mut response: Response) -> Result<Bytes, BodyFailure> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST_BODY => {
                return Err(BodyFailure::Oversized);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => return Err(BodyFailure::Network(network_failure(&error))),
        }
    }
}

/// Classifies reqwest's error by the chain of its sources.
pub(super) fn network_failure(error: &reqwest::Error) -> NetworkFailure {
    let mut innermost: &dyn StdError = error;
    let mut cause = if error.is_timeout() {
        Some(NetworkCause::Timeout)
    } else {
        None
    };
    let mut detail = None;
    while let Some(source) = innermost.source() {
        innermost = source;
        let text = source.to_string();
        if cause.is_none() {
            cause = classify(source, &text);
        }
        detail = Some(text);
    }
    let cause = cause.unwrap_or(if error.is_connect() {
        NetworkCause::Other
    } else {
        // The connection stood, so whatever happened cut it.
        NetworkCause::Cut
    });
    NetworkFailure {
        cause,
        detail: detail.unwrap_or_else(|| "no further cause given".to_owned()),
    }
}

fn classify(source: &(dyn StdError + 'static), text: &str) -> Option<NetworkCause> {
    // hyper-util's connector names the resolver's failure only in its text.
    if text.starts_with("dns error") {
        return Some(NetworkCause::Dns);
    }
    if source.downcast_ref::<rustls::Error>().is_some() {
        return Some(NetworkCause::Tls);
    }
    let io = source.downcast_ref::<io::Error>()?;
    // An io::Error hides what it wraps from `source`, also one of its own kind.
    if let Some(inner) = io.get_ref()
        && let Some(cause) = classify(inner, "")
    {
        return Some(cause);
    }
    match io.kind() {
        io::ErrorKind::ConnectionRefused => Some(NetworkCause::Refused),
        io::ErrorKind::TimedOut => Some(NetworkCause::Timeout),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some(NetworkCause::Cut),
        _ => None,
    }
}

/// The ids by which Microsoft's support finds a request.
pub(super) fn trace(headers: &HeaderMap, client_request_id: &str) -> String {
    match plain(headers, "request-id") {
        Some(id) => format!("request-id {id}, client-request-id {client_request_id}"),
        None => format!("client-request-id {client_request_id}"),
    }
}

/// A header whose value is plain enough to be printed.
fn plain<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?;
    is_plain(value).then_some(value)
}

/// Short, and made of nothing but letters, digits and `-_.`: an id or a code.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
