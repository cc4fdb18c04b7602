//! Who may see and do what.
//!
//! Health and metrics carry no ids of objects: anybody who reaches the port may
//! have them. The rest of what is read carries object ids and error texts: for
//! whoever is on this machine, and for whoever shows the token. Whatever
//! changes something needs the token from everybody; without one in the
//! settings that part is off.
//!
//! Invariant: the token is compared in constant time, and is taken from the
//! settings in use at that moment.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::routes::{App, Problem};

/// For what only looks.
pub(super) async fn to_look(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let token = app.token();
    let shown = Shown::of(request.headers(), token.as_ref());
    let local = peer.ip().to_canonical().is_loopback() && is_meant(request.headers());
    match shown {
        Shown::Right => next.run(request).await,
        // Who shows a wrong one is told so.
        Shown::Wrong => refused("the token is not the one of server.token").into_response(),
        Shown::None if local => next.run(request).await,
        Shown::None => refused(
            "from another machine, or under another host's name, this needs the header \
             `Authorization: Bearer` with server.token",
        )
        .into_response(),
    }
}

/// For what changes something.
pub(super) async fn to_act(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(token) = app.token() else {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "nothing can be changed over HTTP while server.token is not set",
        )
        .into_response();
    };
    match Shown::of(request.headers(), Some(&token)) {
        Shown::Right => next.run(request).await,
        Shown::Wrong => refused("the token is not the one of server.token").into_response(),
        Shown::None => refused("this needs the header `Authorization: Bearer` with server.token")
            .into_response(),
    }
}

fn refused(why: &'static str) -> impl IntoResponse {
    (
        [(header::WWW_AUTHENTICATE, "Bearer")],
        Problem::new(StatusCode::UNAUTHORIZED, why),
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    None,
    Wrong,
    Right,
}

impl Shown {
    fn of(headers: &HeaderMap, token: Option<&SecretString>) -> Self {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(first) = given.next() else {
            return Self::None;
        };
        let (Some(token), None) = (token, given.next()) else {
            return Self::Wrong;
        };
        match bearer(first.as_bytes()) {
            Some(shown) if is_same(shown, token.expose_secret().as_bytes()) => Self::Right,
            _ => Self::Wrong,
        }
    }
}

/// The scheme's name is in any case (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Over digests of one length, so that not even the length is told.
fn is_same(shown: &[u8], token: &[u8]) -> bool {
    let (shown, token) = (Sha256::digest(shown), Sha256::digest(token));
    shown.ct_eq(&token).into()
}

/// What proxies add when they ask for somebody else.
const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Whether the request names this machine as such. A page in a browser that
/// had its own name point to 127.0.0.1 would send that name. What a proxy on
/// this machine passes on comes from anywhere.
fn is_meant(headers: &HeaderMap) -> bool {
    if PASSED_ON.iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    let Some(host) = headers.get(header::HOST) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "a-token-of-sixteen-or-more";

    fn shown(values: &[&str]) -> Shown {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Shown::of(&headers, Some(&SecretString::from(TOKEN)))
    }

    #[test]
    fn only_the_token_itself_is_right() {
        assert_eq!(shown(&[]), Shown::None);
        assert_eq!(shown(&[&format!("Bearer {TOKEN}")]), Shown::Right);
        assert_eq!(shown(&[&format!("bearer  {TOKEN}")]), Shown::Right);
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            "Bearer a-token-of-sixteen-or-mor",
            "Bearer a-token-of-sixteen-or-more-",
            "Basic a-token-of-sixteen-or-more",
        ] {
            assert_eq!(shown(&[wrong]), Shown::Wrong, "{wrong}");
        }
        let right = format!("Bearer {TOKEN}");
        assert_eq!(shown(&[&right, &right]), Shown::Wrong);
    }

    #[test]
    fn without_a_token_in_the_settings_none_is_right() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer ".parse().unwrap());
        assert_eq!(Shown::of(&headers, None), Shown::Wrong);
    }

    #[test]
    fn a_browser_that_was_led_here_by_another_name_is_told_apart() {
        let meant = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            is_meant(&headers)
        };
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
        ] {
            assert!(meant(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:8080", "[evil]"] {
            assert!(!meant(host), "{host}");
        }
        assert!(!is_meant(&HeaderMap::new()));
    }

    #[test]
    fn who_is_asked_for_by_a_proxy_is_not_on_this_machine() {
        for name in PASSED_ON {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "127.0.0.1:8080".parse().unwrap());
            assert!(is_meant(&headers));
            headers.insert(name, "127.0.0.1".parse().unwrap());
            assert!(!is_meant(&headers), "{name}");
        }
    }
}
