//! One request to the token endpoint, and what its refusals mean.
//!
//! Source: graph-contract 1.1 to 1.3: branch on `error`; the AADSTS numbers
//! only choose between remedies. Must not: print `error_description`, which
//! quotes identifiers, or remember anything between requests.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use tracing::Instrument;
use url::Url;

use super::call::Call;
use super::credential::Credential;
use super::error::Error;
use super::fault::Defect;
use super::issuer::{self, Issued, Next, Refusal};
use super::transport::{self, BodyFailure, NetworkFailure};
use crate::config::EntraSettings;

/// What is wrong with a secret, an assertion's signature or time, or what a
/// federated credential expects, under whatever name.
const PROOF_REFUSED: [u64; 12] = [
    7_000_218, 50_012, 50_013, 50_027, 70_021, 700_024, 700_027, 700_030, 700_211, 700_212,
    700_213, 700_229,
];

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
        // A redirect would carry the secret somewhere else.
        let http = transport::redirected_nowhere(settings, &settings.token_endpoint)?;
        Ok(Self {
            http,
            endpoint: settings.token_endpoint.clone(),
            tenant: settings.tenant.clone(),
            client_id: settings.client_id.clone(),
            scope: settings.scope.clone(),
        })
    }

    /// Asks once.
    pub(super) async fn ask(&self, credential: &mut Credential) -> Result<Issued, Refusal> {
        let proof = credential.form().await.map_err(|error| Refusal {
            error,
            next: Next::Credential,
        })?;
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
        let span = Call::Token.span("POST");
        let answer = self
            .http
            .post(self.endpoint.clone())
            .form(&form)
            .send()
            .instrument(span.clone())
            .await
            .map_err(|error| self.unreachable(transport::network_failure(&error)))?;
        let status = answer.status();
        span.record("http.response.status_code", status.as_u16());
        let wait = issuer::pause(answer.headers());
        let body = match transport::whole_body(answer).await {
            Ok(body) => body,
            Err(BodyFailure::Network(failure)) => return Err(self.unreachable(failure)),
            Err(BodyFailure::Oversized) => {
                return Err(issuer::malformed(Call::Token, Defect::Oversized));
            }
        };
        if status.is_success() {
            return issuer::issued(Call::Token, &body);
        }
        Err(self.refused(credential, status.as_u16(), wait, &body))
    }

    fn unreachable(&self, failure: NetworkFailure) -> Refusal {
        issuer::unreachable(Call::Token, &self.endpoint, failure)
    }

    /// Sorts a refusal by graph-contract 1.3.
    pub(super) fn refused(
        &self,
        credential: &Credential,
        status: u16,
        wait: Option<Duration>,
        body: &[u8],
    ) -> Refusal {
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
            name if name == "invalid_client" || said(&PROOF_REFUSED) => {
                return Refusal {
                    error: credential.refused(client_id, hint, &told.error_codes),
                    next: Next::Credential,
                };
            }
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
        Refusal {
            error,
            next: Next::Person,
        }
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
