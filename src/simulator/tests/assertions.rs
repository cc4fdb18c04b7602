//! Client assertions: what is wrong with one is said in the identity
//! platform's numbers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Asked;

const KEY: &str = include_str!("../../../tests/fixtures/client_certificate.key");
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn certificate() -> Vec<u8> {
    let key = rcgen::KeyPair::from_pem_and_sign_algo(KEY, &rcgen::PKCS_RSA_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(header: &Value, claims: &Value) -> String {
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]);
    let text = format!("{}.{}", part(header), part(claims));
    let signature = signer.unwrap().sign(text.as_bytes()).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn an_assertion_must_be_right_in_every_part() {
    let der = certificate();
    let asked = Asked::of(|tenant| tenant.trust_certificate(der.clone())).await;
    let (client, tenant) = asked
        .simulator
        .tenant(|tenant| (tenant.client_id(), tenant.tenant_id()));
    let now = Utc::now().timestamp();
    let header = json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": URL_SAFE_NO_PAD.encode(Sha256::digest(&der)),
    });
    let claims = json!({
        "aud": format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        "iss": client,
        "sub": client,
        "jti": "one",
        "nbf": now,
        "exp": now + 300,
    });
    let but = |value: &Value, name: &str, other: Value| {
        let mut value = value.clone();
        value[name] = other;
        value
    };
    let good = signed(&header, &claims);
    let ask = async |kind: &str, assertion: &str| {
        let form = [
            ("client_secret", ""),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        let (status, body) = asked.ask_token(&form).await;
        let number = body["error_codes"][0].as_u64().unwrap_or_default();
        (status, number)
    };
    let forged = {
        let (text, signature) = good.rsplit_once('.').unwrap();
        let turned: String = signature.chars().rev().collect();
        format!("{text}.{turned}")
    };
    for (assertion, number) in [
        ("nonsense".to_owned(), 50_027),
        (forged, 50_012),
        (signed(&but(&header, "alg", json!("none")), &claims), 50_027),
        (
            signed(&but(&header, "x5t#S256", json!("x")), &claims),
            700_027,
        ),
        (
            signed(&json!({ "alg": "PS256", "typ": "JWT" }), &claims),
            700_213,
        ),
        (
            signed(&header, &but(&claims, "aud", json!("https://example.org/"))),
            50_013,
        ),
        (signed(&header, &but(&claims, "sub", json!("x"))), 50_013),
        (
            signed(&header, &but(&claims, "exp", json!(now - 600))),
            700_024,
        ),
        (
            signed(&header, &but(&claims, "exp", json!(now + 86_400))),
            700_024,
        ),
        (signed(&header, &but(&claims, "jti", json!(""))), 50_013),
    ] {
        assert_eq!(ask(TYPE, &assertion).await, (401, number), "{assertion}");
    }
    assert_eq!(ask("jwt", &good).await, (401, 50_027));
    assert_eq!(ask(TYPE, &good).await, (200, 0));
    assert_eq!(ask(TYPE, &good).await, (401, 50_013), "twice");
}
