//! What the token endpoint makes of a `client_assertion`: signed by a
//! certificate of the application, or a token of an issuer that it trusts.
//!
//! Invariant: as strict as the identity platform: PS256 or nothing, the
//! certificate by its SHA-256, audience, issuer, subject and times, and no
//! assertion twice.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use rustls::SignatureScheme;
use rustls::crypto::ring;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;

use super::tenant::Credentials;

/// What a client assertion is (RFC 7523).
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What allows for clocks that differ, in seconds.
const SKEW: i64 = 300;

/// Longer is not accepted, in seconds.
const LONGEST_LIFE: i64 = 600 + SKEW;

/// The assertions that were used.
#[derive(Debug, Default)]
pub(super) struct Used(Mutex<BTreeSet<String>>);

/// Why an assertion is not accepted: AADSTS number and words.
pub(super) struct Unproven(pub(super) u32, pub(super) &'static str);

/// Checks a client assertion.
pub(super) fn check(
    kind: Option<&str>,
    assertion: &str,
    credentials: &Credentials,
    used: &Used,
) -> Result<(), Unproven> {
    if kind != Some(TYPE) {
        return Err(Unproven(50_027, "client_assertion_type is not supported."));
    }
    if credentials.federated_tokens.contains(assertion) {
        return Ok(());
    }
    let malformed = Unproven(50_027, "The JWT is malformed.");
    let Some((signed, signature)) = assertion.rsplit_once('.') else {
        return Err(malformed);
    };
    let mut parts = signed.splitn(2, '.').map(decoded);
    let (Some(Some(header)), Some(Some(claims))) = (parts.next(), parts.next()) else {
        return Err(malformed);
    };
    if header.get("x5t#S256").is_none() {
        return Err(Unproven(
            700_213,
            "No matching federated identity record found for presented assertion subject.",
        ));
    }
    if header["alg"] != "PS256" || header["typ"] != "JWT" {
        return Err(Unproven(50_027, "The JWT's algorithm is not supported."));
    }
    let certificate = credentials
        .certificates
        .iter()
        .find(|der| header["x5t#S256"] == URL_SAFE_NO_PAD.encode(Sha256::digest(der)));
    let Some(certificate) = certificate else {
        return Err(Unproven(
            700_027,
            "The certificate with identifier used to sign the client assertion is not registered.",
        ));
    };
    let is_signed = URL_SAFE_NO_PAD
        .decode(signature)
        .is_ok_and(|signature| verifies(certificate, signed.as_bytes(), &signature));
    if !is_signed {
        return Err(Unproven(50_012, "The signature is not valid."));
    }
    check_claims(&claims, credentials)?;
    let id = claims["jti"].as_str().unwrap_or_default().to_owned();
    let mut used = used.0.lock().unwrap_or_else(PoisonError::into_inner);
    if id.is_empty() || !used.insert(id) {
        return Err(Unproven(50_013, "The assertion has no jti of its own."));
    }
    Ok(())
}

fn check_claims(claims: &Value, credentials: &Credentials) -> Result<(), Unproven> {
    let client = credentials.client_id.to_string();
    let names_us = |text: &str| {
        text.contains(&format!("/{}/", credentials.tenant_id))
            || text.contains(&format!("/{}/", credentials.domain))
    };
    let audience = claims["aud"].as_str().unwrap_or_default();
    if !audience.ends_with("/oauth2/v2.0/token") || !names_us(audience) {
        return Err(Unproven(50_013, "The audience is not this token endpoint."));
    }
    if claims["iss"] != client.as_str() || claims["sub"] != client.as_str() {
        return Err(Unproven(50_013, "Issuer and subject must be the client."));
    }
    let now = Utc::now().timestamp();
    let time = |name: &str| claims[name].as_i64();
    match (time("nbf"), time("exp")) {
        (Some(from), Some(to))
            if from <= now + SKEW && now - SKEW < to && to <= now + LONGEST_LIFE =>
        {
            Ok(())
        }
        _ => Err(Unproven(
            700_024,
            "Client assertion is not within its valid time range.",
        )),
    }
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn verifies(certificate: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(certificate) = x509_cert::Certificate::from_der(certificate) else {
        return false;
    };
    let key = &certificate.tbs_certificate.subject_public_key_info;
    let Some(key) = key.subject_public_key.as_bytes() else {
        return false;
    };
    ring::default_provider()
        .signature_verification_algorithms
        .mapping
        .iter()
        .filter(|(scheme, _)| *scheme == SignatureScheme::RSA_PSS_SHA256)
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}
