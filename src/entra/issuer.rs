//! Who issues tokens: the token endpoint of the tenant, or Azure itself on its
//! own machines; and what both have in common.
//!
//! Must not: remember anything between requests, or try again.

use std::time::Duration;

use chrono::Utc;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::call::Call;
use super::credential::Credential;
use super::error::{Error, NetworkCause};
use super::fault::Defect;
use super::link::authority;
use super::machine::Machine;
use super::pace;
use super::sts::Sts;
use super::transport::NetworkFailure;
use crate::config;
use crate::config::EntraSettings;

/// A token as it was issued.
pub(super) struct Issued {
    pub(super) token: SecretString,
    pub(super) life: Duration,
}

/// Why none was issued.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: Error,
    pub(super) next: Next,
}

/// What may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Asking again, not before this much time if the server said so.
    Wait(Option<Duration>),
    /// Another credential.
    Credential,
    /// A person.
    Person,
}

/// Who issues the tokens of one application.
#[derive(Debug)]
pub(super) enum Issuer {
    /// The tenant's token endpoint.
    Sts(Sts),
    /// Azure, on this machine.
    Machine(Machine),
}

impl Issuer {
    pub(super) fn new(settings: &EntraSettings) -> Result<Self, Error> {
        match &settings.credential {
            config::Credential::ManagedIdentity(identity) => {
                Machine::new(settings, identity).map(Self::Machine)
            }
            _ => Sts::new(settings).map(Self::Sts),
        }
    }

    /// Asks once.
    pub(super) async fn ask(&self, credential: &mut Credential) -> Result<Issued, Refusal> {
        match self {
            Self::Sts(sts) => sts.ask(credential).await,
            Self::Machine(machine) => machine.ask().await,
        }
    }
}

/// Reads the answer to a request that was granted.
pub(super) fn issued(call: Call, body: &[u8]) -> Result<Issued, Refusal> {
    let granted: Granted =
        serde_json::from_slice(body).map_err(|error| malformed(call, error.into()))?;
    // It becomes a header; anything else would fail later and less clearly.
    let token = granted.access_token;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed(call, Defect::Missing("access_token")));
    }
    // App Service tells only when it ends, by the wall clock.
    let until = |end: u64| {
        let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
        end.saturating_sub(now)
    };
    let seconds = granted.expires_in.or(granted.expires_on.map(until));
    let Some(seconds) = seconds else {
        return Err(malformed(call, Defect::Missing("expires_in")));
    };
    Ok(Issued {
        token: SecretString::from(token),
        life: Duration::from_secs(seconds),
    })
}

pub(super) fn malformed(call: Call, defect: Defect) -> Refusal {
    Refusal {
        error: Error::Malformed {
            call,
            defect,
            trace: "no request-id".to_owned(),
        },
        next: Next::Wait(None),
    }
}

pub(super) fn unreachable(call: Call, endpoint: &Url, failure: NetworkFailure) -> Refusal {
    let NetworkFailure { cause, detail } = failure;
    let error = Error::Unreachable {
        call,
        host: authority(endpoint),
        cause,
        detail,
    };
    let next = match cause {
        // A certificate does not become valid by asking again.
        NetworkCause::Tls => Next::Person,
        _ => Next::Wait(None),
    };
    Refusal { error, next }
}

/// The pause that an answer asks for.
pub(super) fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    pace::retry_after(text(RETRY_AFTER)?, text(DATE), Utc::now())
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    expires_on: Option<u64>,
}

/// A number at the token endpoint and a text where managed identities are.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(seconds) => Ok(Some(seconds)),
        Either::Text(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}
