//! One request for a token of a managed identity, and what a refusal means.
//!
//! Sources: graph-contract 1.1 and 1.3 (the metadata service of virtual
//! machines, and the endpoint of App Service and Container Apps).
//!
//! Invariant: nothing of this goes through a proxy or over a redirect: whoever
//! can ask gets the token. Must not: print `IDENTITY_HEADER`, or tell errors
//! apart by their description, which Azure may change.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::call::Call;
use super::credential_error::CredentialError;
use super::error::Error;
use super::fault::Defect;
use super::issuer::{self, Issued, Next, Refusal};
use super::transport::{self, BodyFailure};
use crate::config::{EntraSettings, IdentityIssuer, ManagedIdentity};

/// It is one hop away, or not there at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Between tries while the service is updated; it takes seconds.
const PAUSE: Duration = Duration::from_secs(2);

/// The same where it says that it is gone, which is over within 70 s.
const LONG_PAUSE: Duration = Duration::from_secs(20);

/// Who gives tokens on this machine.
pub(super) struct Machine {
    http: reqwest::Client,
    url: Url,
    header: (HeaderName, HeaderValue),
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl Machine {
    pub(super) fn new(settings: &EntraSettings, identity: &ManagedIdentity) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .user_agent(transport::USER_AGENT)
            .timeout(settings.request_timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Setup {
                cause: transport::network_failure(&error).detail,
            })?;
        let (endpoint, version, header) = match &identity.issuer {
            IdentityIssuer::Metadata(endpoint) => (
                endpoint,
                "2018-02-01",
                (
                    HeaderName::from_static("metadata"),
                    HeaderValue::from_static("true"),
                ),
            ),
            IdentityIssuer::AppService { endpoint, header } => {
                let mut value =
                    HeaderValue::from_str(header.expose_secret()).map_err(|_| Error::Setup {
                        cause: "IDENTITY_HEADER cannot be sent as a header".to_owned(),
                    })?;
                value.set_sensitive(true);
                let name = HeaderName::from_static("x-identity-header");
                (endpoint, "2019-08-01", (name, value))
            }
        };
        let mut url = endpoint.clone();
        // It wants the resource, not one of its scopes.
        let resource = settings.scope.trim_end_matches("/.default");
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", resource);
        if let Some(client_id) = &identity.client_id {
            url.query_pairs_mut().append_pair("client_id", client_id);
        }
        Ok(Self { http, url, header })
    }

    /// Asks once.
    pub(super) async fn ask(&self) -> Result<Issued, Refusal> {
        let (name, value) = self.header.clone();
        let unreachable = |failure| issuer::unreachable(Call::ManagedIdentity, &self.url, failure);
        let answer = self
            .http
            .get(self.url.clone())
            .header(name, value)
            .send()
            .await
            .map_err(|error| unreachable(transport::network_failure(&error)))?;
        let status = answer.status();
        let asked = issuer::pause(answer.headers());
        let body = match transport::whole_body(answer).await {
            Ok(body) => body,
            Err(BodyFailure::Network(failure)) => return Err(unreachable(failure)),
            Err(BodyFailure::Oversized) => {
                return Err(issuer::malformed(Call::ManagedIdentity, Defect::Oversized));
            }
        };
        if status.is_success() {
            return issuer::issued(Call::ManagedIdentity, &body);
        }
        Err(refused(status.as_u16(), asked, &body))
    }
}

/// Sorts a refusal by its status alone.
fn refused(status: u16, asked: Option<Duration>, body: &[u8]) -> Refusal {
    let hint = hint(status, body);
    let pause = match status {
        404 | 429 | 500.. => Some(PAUSE),
        410 => Some(LONG_PAUSE),
        _ => None,
    };
    match pause {
        Some(pause) => Refusal {
            error: Error::TokenUnavailable { hint },
            next: Next::Wait(asked.or(Some(pause))),
        },
        None => Refusal {
            error: CredentialError::ManagedIdentityRefused { hint }.of_entra(),
            next: Next::Person,
        },
    }
}

fn hint(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize, Default)]
    struct Told {
        error: String,
    }
    let told: Told = serde_json::from_slice(body).unwrap_or_default();
    if transport::is_plain(&told.error) {
        format!("managed identity, HTTP {status}, {}", told.error)
    } else {
        format!("managed identity, HTTP {status}")
    }
}
