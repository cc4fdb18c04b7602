//! The signed statement by which a client certificate proves the application.
//!
//! PS256 with `x5t#S256`, as graph-contract 1.1 has it: the older RS256 with
//! `x5t` needs SHA-1. rustls signs, with the key as it read it for TLS, so that
//! every form of key file that works there works here.
//!
//! Invariant: each assertion is new (`jti`) and short-lived, and is for one
//! token endpoint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use rustls::SignatureScheme;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::config::Certified;

/// Seconds that an assertion is good for: one request, and clocks that differ.
const LIFE: i64 = 300;

/// Who says what to whom.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// The application: issuer and subject.
    pub(super) client_id: String,
    /// The token endpoint.
    pub(super) audience: String,
}

impl Statement {
    /// The statement of this moment, signed.
    ///
    /// # Errors
    /// Why the key cannot sign it.
    pub(super) fn signed(&self, certified: &Certified) -> Result<SecretString, String> {
        let signer = certified
            .key
            .key
            .choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])
            .ok_or("its key is no RSA key, and Entra takes no other")?;
        let now = Utc::now().timestamp();
        let header = json!({
            "alg": "PS256",
            "typ": "JWT",
            "x5t#S256": URL_SAFE_NO_PAD.encode(certified.thumbprint),
        });
        let claims = json!({
            "aud": self.audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": Uuid::new_v4(),
            "iat": now,
            "nbf": now,
            "exp": now + LIFE,
        });
        let statement = format!("{}.{}", part(&header), part(&claims));
        let signature = signer
            .sign(statement.as_bytes())
            .map_err(|error| error.to_string())?;
        Ok(format!("{statement}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

fn part(value: &impl Serialize) -> String {
    // A map of texts and numbers is always JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}
