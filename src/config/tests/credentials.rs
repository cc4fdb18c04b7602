//! Which credential is chosen, what it needs, and what is said of the others.

use super::support::{CLIENT, PRINCIPAL, Room, TENANT, origin};
use crate::config::{Credential, DatabaseAuth, IdentityIssuer, Loaded};

const KEY: &str = include_str!("../../../tests/fixtures/client_certificate.key");
const OTHER: &str = "55555555-5555-4555-8555-555555555555";

/// A certificate with the key above, valid until that day.
fn certificate(year: i32) -> String {
    let key = rcgen::KeyPair::from_pem_and_sign_algo(KEY, &rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["entra-sync".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 20);
    params.self_signed(&key).unwrap().pem()
}

/// Complete but for the client secret.
fn room() -> Room {
    Room::complete()
        .without("MICROSOFT_CLIENT_SECRET")
        .with("ENTRA_SYNC__LITELLM__SEATS", "unlimited")
}

fn with_file(room: Room, name: &str, file: &str, text: &str) -> Room {
    let room = room.write(file, text);
    let path = room.path(file).display().to_string();
    room.with(name, &path)
}

fn used(loaded: &Loaded) -> &'static str {
    loaded.settings.entra.credential.name()
}

fn wrong(room: &Room) -> String {
    let text = room.wrong();
    let prefix = "the configuration has a problem: ";
    text.strip_prefix(prefix).unwrap_or(&text).to_owned()
}

const CERTIFICATE: &str = "ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE";
const CERTIFICATE_KEY: &str = "ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_KEY_FILE";
const CREDENTIAL: &str = "ENTRA_SYNC__ENTRA__CREDENTIAL";

#[test]
fn what_is_configured_is_used_in_a_fixed_order() {
    let room = room().with("IDENTITY_ENDPOINT", "http://127.0.0.1:9/token");
    let room = room.with("IDENTITY_HEADER", "h");
    assert_eq!(used(&room.loaded()), "managed_identity");
    let room = with_file(room, "AZURE_FEDERATED_TOKEN_FILE", "token", "t");
    assert_eq!(used(&room.loaded()), "workload_identity");
    let both = format!("{}{KEY}", certificate(2040));
    let room = with_file(room, CERTIFICATE, "both.pem", &both);
    assert_eq!(used(&room.loaded()), "client_certificate");
    let room = room.with("MICROSOFT_CLIENT_SECRET", "s");
    let loaded = room.loaded();
    assert_eq!(used(&loaded), "client_secret");
    // What the environment holds for others is nobody's wish; ours is.
    assert_eq!(
        loaded.settings.warnings,
        [format!(
            "`entra.client_certificate_file` (environment {CERTIFICATE}) is not used, the \
             credential is client_secret: remove it, or say in `entra.credential` which it shall be"
        )]
    );
    for name in [
        "client_certificate",
        "workload_identity",
        "managed_identity",
    ] {
        let room = with_file(Room::complete(), CERTIFICATE, "both.pem", &both);
        let room = with_file(room, "AZURE_FEDERATED_TOKEN_FILE", "token", "t");
        assert_eq!(used(&room.with(CREDENTIAL, name).loaded()), name);
    }
}

#[test]
fn what_is_asked_for_and_not_there_is_named() {
    for (name, message) in [
        (
            "client_secret",
            "`entra.client_secret` is not set; set MICROSOFT_CLIENT_SECRET or",
        ),
        (
            "client_certificate",
            "`entra.client_certificate_file` is not set; set ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE, or",
        ),
        (
            "workload_identity",
            "`entra.federated_token_file` is not set; set AZURE_FEDERATED_TOKEN_FILE or",
        ),
    ] {
        let text = wrong(&room().with(CREDENTIAL, name));
        assert!(text.starts_with(message), "{text}");
    }
    let text = wrong(&room().with(CERTIFICATE_KEY, "/x"));
    assert!(
        text.contains("names a key without its certificate: `entra.client_certificate_file` is"),
        "{text}"
    );
}

#[test]
fn a_certificate_that_cannot_be_used_says_why() {
    let pem = certificate(2040);
    let elliptic = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let (elliptic_pem, elliptic_key) = (elliptic.cert.pem(), elliptic.signing_key.serialize_pem());
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (certificate, key, message) in [
        ("", KEY, "cert.pem holds no certificate in PEM form"),
        (&*pem, "", "key.pem holds no private key in PEM form"),
        (&pem, encrypted, "the private key in key.pem is encrypted"),
        (
            &pem,
            &elliptic_key,
            "the private key in key.pem is not that of the certificate in cert.pem",
        ),
        (
            &elliptic_pem,
            &elliptic_key,
            "its key is no RSA key, and Entra takes no other",
        ),
    ] {
        let room = with_file(room(), CERTIFICATE, "cert.pem", certificate);
        let text = wrong(&with_file(room, CERTIFICATE_KEY, "key.pem", key));
        let start =
            format!("environment {CERTIFICATE}: `entra.client_certificate_file` is of no use: ");
        assert!(text.starts_with(&start), "{text}");
        assert!(text.contains(message), "{text}");
        assert!(!text.contains("BEGIN") && !text.contains("AAAA"), "{text}");
    }
    let missing = wrong(&room().with(CERTIFICATE, "/nonexistent.pem"));
    assert!(
        missing.contains("cannot read /nonexistent.pem: No such file"),
        "{missing}"
    );
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let warnings = |year| {
        let both = format!("{}{KEY}", certificate(year));
        let room = with_file(room(), CERTIFICATE, "both.pem", &both);
        room.loaded().settings.warnings.join("\n")
    };
    assert_eq!(warnings(2040), "");
    // The tests' day is the first of January 2026.
    assert!(warnings(2026).contains("expires on 2026-01-20"));
    assert!(warnings(2025).contains("expired on 2025-01-20"));
}

#[test]
fn a_workload_identity_is_taken_as_azure_sets_it_up() {
    let bare = || {
        let room = Room::empty()
            .with("MICROSOFT_SERVICE_PRINCIPAL_ID", PRINCIPAL)
            .with("DATABASE_URL", "postgresql://u:p@localhost/d")
            .with("ENTRA_SYNC__LITELLM__SEATS", "unlimited")
            .with("AZURE_TENANT_ID", TENANT)
            .with("AZURE_CLIENT_ID", CLIENT)
            .with("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/");
        with_file(room, "AZURE_FEDERATED_TOKEN_FILE", "token", "t")
    };
    let loaded = bare().loaded();
    assert_eq!(used(&loaded), "workload_identity");
    assert_eq!(
        origin(&loaded, "entra.tenant"),
        "environment AZURE_TENANT_ID"
    );
    assert_eq!(
        loaded.settings.entra.token_endpoint.as_str(),
        format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(loaded.settings.warnings, [""; 0]);

    let ours = bare().with("MICROSOFT_CLIENT_ID", OTHER).loaded();
    assert_eq!(ours.settings.entra.client_id, OTHER);
    let warning = ours.settings.warnings.join("\n");
    assert!(warning.contains("is not AZURE_CLIENT_ID"), "{warning}");

    let elsewhere = bare().with("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/");
    let text = elsewhere.wrong();
    assert!(
        text.contains("`entra.cloud` is global, but AZURE_AUTHORITY_HOST"),
        "{text}"
    );
    let there = elsewhere.with("ENTRA_SYNC__ENTRA__CLOUD", "usgov").loaded();
    assert_eq!(
        there.settings.entra.token_endpoint.host_str(),
        Some("login.microsoftonline.us")
    );
    let foreign = bare().with("AZURE_AUTHORITY_HOST", "https://login.example.org");
    let warning = foreign.loaded().settings.warnings.join("\n");
    assert!(
        warning.contains("`AZURE_AUTHORITY_HOST` is no Microsoft host: federated tokens go to"),
        "{warning}"
    );

    // Without a token file these names are about somebody else's application.
    let text = bare().without("AZURE_FEDERATED_TOKEN_FILE").wrong();
    assert!(text.contains("`entra.tenant` is not set"), "{text}");
    let text = bare()
        .with("AZURE_FEDERATED_TOKEN_FILE", "/nonexistent")
        .wrong();
    assert!(
        text.contains("names a file that cannot be read: /nonexistent"),
        "{text}"
    );
}

#[test]
fn a_managed_identity_needs_no_client_id_and_stays_on_this_machine() {
    let room = || {
        room()
            .without("MICROSOFT_CLIENT_ID")
            .with(CREDENTIAL, "managed_identity")
    };
    let issuer = |room: Room| match room.loaded().settings.entra.credential {
        Credential::ManagedIdentity(identity) => (identity.issuer, identity.client_id),
        other => panic!("{other:?}"),
    };
    let (metadata, nobody) = issuer(room());
    let IdentityIssuer::Metadata(url) = metadata else {
        panic!("{metadata:?}")
    };
    assert_eq!(
        url.as_str(),
        "http://169.254.169.254/metadata/identity/oauth2/token"
    );
    assert_eq!(nobody, None);
    let named = room().with("ENTRA_SYNC__ENTRA__MANAGED_IDENTITY_CLIENT_ID", OTHER);
    assert_eq!(named.loaded().settings.entra.client_id, OTHER);
    assert_eq!(issuer(named).1.as_deref(), Some(OTHER));

    let app = room()
        .with("IDENTITY_ENDPOINT", "http://169.254.129.2:8081/msi/token")
        .with("IDENTITY_HEADER", "header-ZQX");
    let said = format!("{:?}", app.loaded());
    assert!(!said.contains("header-ZQX"), "{said}");
    assert!(matches!(
        issuer(app),
        (IdentityIssuer::AppService { .. }, None)
    ));

    let text = wrong(&room().with("IDENTITY_ENDPOINT", "http://127.0.0.1/x"));
    assert!(text.contains("without IDENTITY_HEADER"), "{text}");
    for url in [
        "http://10.0.0.1",
        "https://example.org",
        "http://a:b@127.0.0.1",
        "x",
    ] {
        let text = wrong(&room().with("AZURE_POD_IDENTITY_AUTHORITY_HOST", url));
        assert!(
            text.contains("AZURE_POD_IDENTITY_AUTHORITY_HOST is no URL of"),
            "{text}"
        );
        assert!(!text.contains(url) || url == "x", "{text}");
    }
}

#[test]
fn a_database_is_logged_in_to_with_tokens_over_tls_only() {
    let room = |url: &str, auth: &str| {
        Room::complete()
            .with("ENTRA_SYNC__LITELLM__SEATS", "unlimited")
            .with("ENTRA_SYNC__LITELLM__DATABASE_AUTH", auth)
            .with("DATABASE_URL", url)
    };
    let verified = "postgresql://u@db/d?sslmode=verify-full";
    let settings = room(verified, "azure").loaded().settings;
    assert_eq!(settings.litellm.database_auth, DatabaseAuth::Azure);
    assert_eq!(settings.warnings, [""; 0]);
    for url in [
        "postgresql://u@db/d",
        "postgresql://u@127.0.0.1/d?sslmode=disable",
        "postgresql://u@/d?host=/run/postgresql&sslmode=verify-full",
    ] {
        let text = wrong(&room(url, "azure"));
        assert!(
            text.contains("lets the token go unencrypted; add sslmode="),
            "{text}"
        );
        room(url, "password").loaded();
    }
    let unused = room("postgresql://u:p@db/d?sslmode=verify-full", "azure");
    let warnings = unused.loaded().settings.warnings.join("");
    assert!(warnings.contains("the password in `litellm.database_url` is not used"));

    let entry = |name: &str, client: &str| {
        format!(
            "  {name}: {{entra: {{client_id: \"{client}\", tenant: {name}.example.com, \
             service_principal_id: \"{client}\"}}}}\n"
        )
    };
    let sources = format!("sources:\n{}{}", entry("a", CLIENT), entry("b", OTHER));
    let text = wrong(&room(verified, "azure").file("my.yaml", &sources));
    assert!(
        text.contains("the sources sign in as different applications"),
        "{text}"
    );
    room(verified, "password")
        .file("my.yaml", &sources)
        .loaded();
}
