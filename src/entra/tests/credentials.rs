//! Client certificates and federated tokens, as the token endpoint sees them.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;

use super::stub::{Reply, Stub, TOKEN, quick};
use crate::config::{ClientCertificate, Cloud, Credential, EntraSettings};
use crate::entra::DatabaseTokens;
use crate::entra::token::Tokens;

const KEY: &str = include_str!("../../../tests/fixtures/client_certificate.key");
const CLIENT: &str = "22222222-2222-2222-2222-222222222222";
const AUDIENCE: &str = "https://login.microsoftonline.com/contoso.test/oauth2/v2.0/token";

/// A certificate with the key above; each has another name.
fn certificate(name: &str) -> String {
    let key = rcgen::KeyPair::from_pem_and_sign_algo(KEY, &rcgen::PKCS_RSA_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.self_signed(&key).unwrap().pem()
}

fn with_certificate(stub: &Stub, folder: &Path) -> EntraSettings {
    std::fs::write(folder.join("cert.pem"), certificate("first")).unwrap();
    std::fs::write(folder.join("key.pem"), KEY).unwrap();
    let files = ClientCertificate {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    EntraSettings {
        credential: Credential::ClientCertificate(files),
        ..stub.settings()
    }
}

fn with_token_file(stub: &Stub, file: &Path) -> EntraSettings {
    EntraSettings {
        credential: Credential::WorkloadIdentity {
            token_file: file.to_owned(),
        },
        ..stub.settings()
    }
}

/// The fields of each token request.
fn forms(stub: &Stub) -> Vec<HashMap<String, String>> {
    let bodies = stub.seen_at(TOKEN);
    let form = |body: &str| {
        url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect()
    };
    bodies.iter().map(|seen| form(&seen.body)).collect()
}

/// Header and claims, once the signature is found good by the certificate.
fn verified(assertion: &str, certificate: &str) -> (Value, Value) {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let parsed = x509_cert::Certificate::from_der(&der).unwrap();
    let key = &parsed.tbs_certificate.subject_public_key_info;
    let key = DecodingKey::from_rsa_der(key.subject_public_key.raw_bytes());
    let mut rules = Validation::new(Algorithm::PS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[CLIENT]);
    rules.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    rules.validate_nbf = true;
    let claims = jsonwebtoken::decode::<Value>(assertion, &key, &rules).unwrap();
    let header = assertion.split('.').next().unwrap();
    let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    (header, claims.claims)
}

fn thumbprint(certificate: &str) -> String {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    URL_SAFE_NO_PAD.encode(Sha256::digest(der))
}

fn granted(token: &str) -> Reply {
    Reply::json(200, &json!({ "access_token": token, "expires_in": 3599 }))
}

fn refusal(code: u64) -> Reply {
    Reply::json(
        401,
        &json!({ "error": "invalid_client", "error_codes": [code], "error_description": "private" }),
    )
}

#[tokio::test]
async fn a_certificate_signs_a_new_assertion_for_each_request() {
    let stub = Stub::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = with_certificate(&stub, folder.path());
    stub.set(TOKEN, [Reply::text(503, ""), granted("a")]);
    let tokens = Tokens::new(&settings, quick()).unwrap();
    tokens.get().await.unwrap();
    let forms = forms(&stub);
    assert_eq!(forms.len(), 2);
    let mut ids = Vec::new();
    let pem = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    for form in &forms {
        assert_eq!(form.len(), 5, "{form:?}");
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!(form["client_id"], CLIENT);
        assert_eq!(
            form["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let (header, claims) = verified(&form["client_assertion"], &pem);
        assert_eq!(
            header,
            json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint(&pem) })
        );
        assert_eq!(claims["sub"], CLIENT);
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert!((1..=600).contains(&life), "{claims}");
        assert_eq!(claims["iat"], claims["nbf"]);
        ids.push(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    let said = format!("{tokens:?} {}", tokens.credential().await);
    assert!(said.contains("cert.pem"), "{said}");
    for part in KEY.lines().filter(|line| !line.starts_with('-')) {
        assert!(!said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_certificate_that_was_replaced_is_used_without_a_refusal() {
    let stub = Stub::start().await;
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(&with_certificate(&stub, folder.path()), quick()).unwrap();
    tokens.get().await.unwrap();
    let second = certificate("second");
    std::fs::write(folder.path().join("cert.pem"), &second).unwrap();
    tokens.forget_token().await;
    tokens.get().await.unwrap();
    let (header, _) = verified(&forms(&stub)[1]["client_assertion"], &second);
    assert_eq!(header["x5t#S256"], thumbprint(&second));
    // A key that does not belong to it yet, or no file at all: the last pair.
    for text in [KEY, ""] {
        std::fs::write(folder.path().join("cert.pem"), text).unwrap();
        tokens.forget_token().await;
        tokens.get().await.unwrap();
        verified(&forms(&stub).pop().unwrap()["client_assertion"], &second);
    }
}

#[tokio::test]
async fn a_refused_certificate_rests_until_another_is_there() {
    let stub = Stub::start().await;
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(&with_certificate(&stub, folder.path()), quick()).unwrap();
    stub.set(TOKEN, [refusal(700_027)]);
    for _ in 0..3 {
        let error = tokens.get().await.unwrap_err();
        assert_eq!(error.kind(), "certificate_rejected");
        let text = error.to_string();
        assert!(
            text.contains("AADSTS700027") && text.contains("clock"),
            "{text}"
        );
        assert!(!text.contains("private") && !text.contains("eyJ"), "{text}");
    }
    assert_eq!(stub.seen_at(TOKEN).len(), 1);
    assert!(!tokens.has_a_new_secret().await);
    std::fs::write(folder.path().join("cert.pem"), certificate("second")).unwrap();
    assert!(tokens.has_a_new_secret().await);
    assert!(!tokens.has_a_new_secret().await, "said once");
    stub.set(TOKEN, [granted("b")]);
    assert_eq!(tokens.get().await.unwrap().value().expose_secret(), "b");
}

#[tokio::test]
async fn a_federated_token_is_read_for_each_request() {
    let stub = Stub::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "header.one.signature\n").unwrap();
    let tokens = Tokens::new(&with_token_file(&stub, file.path()), quick()).unwrap();
    tokens.get().await.unwrap();
    std::fs::write(file.path(), "header.two.signature").unwrap();
    tokens.forget_token().await;
    tokens.get().await.unwrap();
    let forms = forms(&stub);
    assert_eq!(forms[0]["client_assertion"], "header.one.signature");
    assert_eq!(forms[1]["client_assertion"], "header.two.signature");
    assert_eq!(forms[1]["client_id"], CLIENT);
    assert!(!forms[1].contains_key("client_secret"));
    assert!(!format!("{tokens:?}").contains("header.two"));
}

#[tokio::test]
async fn a_refused_federated_token_is_tried_again_once_it_changed() {
    let stub = Stub::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "old").unwrap();
    let tokens = Tokens::new(&with_token_file(&stub, file.path()), quick()).unwrap();
    stub.set(TOKEN, [refusal(700_213)]);
    for _ in 0..3 {
        let error = tokens.get().await.unwrap_err();
        assert_eq!(error.kind(), "federated_token_rejected");
        assert!(error.to_string().contains("subject"), "{error}");
    }
    assert_eq!(stub.seen_at(TOKEN).len(), 1);
    std::fs::write(file.path(), "new").unwrap();
    stub.set(TOKEN, [granted("b")]);
    assert_eq!(tokens.get().await.unwrap().value().expose_secret(), "b");
    // A file that went away is named, and nothing is sent without it.
    std::fs::remove_file(file.path()).unwrap();
    tokens.forget_token().await;
    let error = tokens.get().await.unwrap_err();
    assert_eq!(error.kind(), "federated_token_file");
    assert!(error.to_string().contains(&*file.path().to_string_lossy()));
    assert_eq!(stub.seen_at(TOKEN).len(), 2);
}

#[tokio::test]
async fn tokens_for_the_database_are_asked_for_by_its_own_scope_and_cloud() {
    for (cloud, scope) in [
        (
            Cloud::Global,
            "https://ossrdbms-aad.database.windows.net/.default",
        ),
        (
            Cloud::China,
            "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
        ),
        (
            Cloud::UsGov,
            "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
        ),
    ] {
        let stub = Stub::start().await;
        let settings = EntraSettings {
            cloud,
            ..stub.settings()
        };
        let tokens = DatabaseTokens::with_pace(&settings, quick()).unwrap();
        for _ in 0..3 {
            assert_eq!(tokens.token().await.unwrap().expose_secret(), "token-1");
        }
        tokens.forget().await;
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "token-2");
        let forms = forms(&stub);
        assert_eq!(forms.len(), 2);
        assert!(forms.iter().all(|form| form["scope"] == scope), "{forms:?}");
    }
}
