//! One request to the token endpoint, and what its refusals mean.
//!
//! Source: graph-contract 1.1 to 1.3: branch on `error`; the AADSTS numbers
//! only choose between remedies. Must not: print `error_description`, which
//! quotes identifiers, or remember anything between requests.

use std::time::Duration;

use chrono::Utc;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::call::Call;
use super::credential::Credential;
use super::error::{Error, NetworkCause};
use super::fault::Defect;
use super::link::authority;
use super::pace;
use super::transport::{self, BodyFailure, NetworkFailure};
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

/// The token endpoint of one application.
#[derive(Debug)]
pub(super) struct Sts {
    http: reqwest::Client,
    endpoint: Url,
    tenant: String,
    client_id: String,
    scope: String,
}

impl Sts {
    pub(super) fn new(settings: &EntraSettings) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .user_agent(transport::USER_AGENT)
            .timeout(settings.request_timeout)
            .connect_timeout(transport::CONNECT_TIMEOUT)
            .https_only(settings.token_endpoint.scheme() == "https")
            // A redirect would carry the secret somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Setup {
                cause: transport::network_failure(&error).detail,
            })?;
        Ok(Self {
            http,
            endpoint: settings.token_endpoint.clone(),
            tenant: settings.tenant.clone(),
            client_id: settings.client_id.clone(),
            scope: settings.scope.clone(),
        })
    }

    /// Asks once.
    pub(super) async fn ask(&self, credential: &Credential) -> Result<Issued, Refusal> {
        let proof = credential.form();
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("scope", self.scope.as_str()),
        ];
        form.extend(
            proof
                .iter()
                .map(|(key, value)| (*key, value.expose_secret())),
        );
        let answer = self
            .http
            .post(self.endpoint.clone())
            .form(&form)
            .send()
            .await
            .map_err(|error| self.unreachable(transport::network_failure(&error)))?;
        let status = answer.status();
        let wait = pause(answer.headers());
        let body = match transport::whole_body(answer).await {
            Ok(body) => body,
            Err(BodyFailure::Network(failure)) => return Err(self.unreachable(failure)),
            Err(BodyFailure::Oversized) => return Err(malformed(Defect::Oversized)),
        };
        if status.is_success() {
            return issued(&body);
        }
        Err(self.refused(status.as_u16(), wait, &body))
    }

    fn unreachable(&self, NetworkFailure { cause, detail }: NetworkFailure) -> Refusal {
        let error = Error::Unreachable {
            call: Call::Token,
            host: authority(&self.endpoint),
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

    /// Sorts a refusal by graph-contract 1.3.
    pub(super) fn refused(&self, status: u16, wait: Option<Duration>, body: &[u8]) -> Refusal {
        let told: Told = serde_json::from_slice(body).unwrap_or_default();
        let hint = told.hint(status);
        let client_id = self.client_id.clone();
        let tenant = self.tenant.clone();
        let said = |codes: &[u64]| told.error_codes.iter().any(|code| codes.contains(code));

        if status == 429
            || status >= 500
            || told.error == "temporarily_unavailable"
            || said(&[50033, 90006, 90012, 90024, 90033, 90055, 90090])
        {
            return Refusal {
                error: Error::TokenUnavailable { hint },
                next: Next::Wait(wait),
            };
        }
        let error = match told.error.as_str() {
            _ if said(&[700016, 700011, 70001, 7000112]) => {
                Error::ApplicationUnknown { client_id, hint }
            }
            _ if said(&[90002]) => Error::TenantUnknown { tenant, hint },
            _ if said(&[90038, 900_382, 900_432, 50049]) => Error::WrongCloud { tenant, hint },
            _ if said(&[53003, 530_032]) => Error::BlockedByPolicy { client_id, hint },
            "invalid_client" if said(&[7000222]) => Error::SecretExpired { client_id, hint },
            "invalid_client" => Error::SecretRejected { client_id, hint },
            _ if said(&[7000218]) => Error::SecretRejected { client_id, hint },
            "unauthorized_client" => Error::ApplicationUnknown { client_id, hint },
            "invalid_tenant" => Error::TenantUnknown { tenant, hint },
            "invalid_scope" | "invalid_resource" => Error::ScopeRefused {
                scope: self.scope.clone(),
                hint,
            },
            _ if said(&[70011, 28002, 700_022, 500_011, 1_002_012, 650_057]) => {
                Error::ScopeRefused {
                    scope: self.scope.clone(),
                    hint,
                }
            }
            "access_denied" | "interaction_required" => Error::BlockedByPolicy { client_id, hint },
            _ => Error::TokenRefused { hint },
        };
        let next = match error {
            Error::SecretRejected { .. } | Error::SecretExpired { .. } => Next::Credential,
            _ => Next::Person,
        };
        Refusal { error, next }
    }
}

pub(super) fn issued(body: &[u8]) -> Result<Issued, Refusal> {
    let granted: Granted = serde_json::from_slice(body).map_err(|error| malformed(error.into()))?;
    // It becomes a header; anything else would fail later and less clearly.
    let token = granted.access_token;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed(Defect::Missing("access_token")));
    }
    Ok(Issued {
        token: SecretString::from(token),
        life: Duration::from_secs(granted.expires_in),
    })
}

fn malformed(defect: Defect) -> Refusal {
    Refusal {
        error: Error::Malformed {
            call: Call::Token,
            defect,
            trace: "no request-id".to_owned(),
        },
        next: Next::Wait(None),
    }
}

fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    pace::retry_after(text(RETRY_AFTER)?, text(DATE), Utc::now())
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
}

/// `expires_in` is a number at the token endpoint and a string at IMDS.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(seconds) => Ok(seconds),
        Either::Text(text) => text.trim().parse().map_err(serde::de::Error::custom),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    error: String,
    error_codes: Vec<u64>,
    correlation_id: Option<String>,
    trace_id: Option<String>,
}

impl Told {
    fn hint(&self, status: u16) -> String {
        let mut parts = Vec::new();
        if transport::is_plain(&self.error) {
            parts.push(self.error.clone());
        } else {
            parts.push(format!("HTTP {status} without an OAuth error"));
        }
        parts.extend(self.error_codes.first().map(|code| format!("AADSTS{code}")));
        for (name, id) in [
            ("correlation id", &self.correlation_id),
            ("trace id", &self.trace_id),
        ] {
            if let Some(id) = id.as_deref().filter(|id| transport::is_plain(id)) {
                parts.push(format!("{name} {id}"));
            }
        }
        parts.join(", ")
    }
}
