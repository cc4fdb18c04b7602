//! A server of a few bytes shows each way in which a connection fails;
//! certificates are checked at a fixed time, so that they never expire here.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::config::Secret;

fn target(url: &str) -> DatabaseTarget {
    DatabaseTarget::parse(Secret::Value(url.into())).unwrap()
}

async fn refused(url: &str) -> ConnectError {
    establish(&target(url)).await.err().unwrap()
}

/// A server that reads one message and answers with fixed bytes.
async fn server(answers: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        for answer in answers {
            let _ = stream.read(&mut buffer).await;
            stream.write_all(&answer).await.unwrap();
        }
        // Held open: hanging up would be an answer too.
        std::future::pending::<()>().await;
    });
    port
}

fn error_response(code: &str, message: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, text) in [('S', "FATAL"), ('V', "FATAL"), ('C', code), ('M', message)] {
        fields.push(kind as u8);
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap();
    [vec![b'E'], length.to_be_bytes().to_vec(), fields].concat()
}

#[tokio::test]
async fn a_closed_port_is_connection_refused() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = refused(&format!("postgresql://lite:hunter2@127.0.0.1:{port}/d")).await;
    assert_eq!(error.kind(), "database_unreachable");
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "cannot reach LiteLLM's database at lite@127.0.0.1:{port}/d: "
        )),
        "{text}"
    );
    assert!(text.contains("refused"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_server_without_tls_is_not_talked_to_in_plain_when_tls_is_required() {
    for mode in ["require", "verify-ca", "verify-full"] {
        let port = server(vec![b"N".to_vec()]).await;
        let error = refused(&format!(
            "postgresql://u:p@127.0.0.1:{port}/d?sslmode={mode}"
        ))
        .await;
        assert_eq!(error.kind(), "database_tls", "{error}");
        assert_eq!(
            error.to_string(),
            format!(
                "no TLS with LiteLLM's database at u@127.0.0.1:{port}/d: error performing TLS \
                 handshake: server does not support TLS"
            )
        );
    }
}

#[tokio::test]
async fn the_servers_own_words_are_sorted_and_told() {
    for (code, message, kind) in [
        (
            "28P01",
            "password authentication failed for user \"u\"",
            "database_login",
        ),
        ("28000", "no pg_hba.conf entry for host", "database_login"),
        ("3D000", "database \"d\" does not exist", "database_missing"),
        ("53300", "sorry, too many clients already", "database_busy"),
        (
            "57P03",
            "the database system is starting up",
            "database_busy",
        ),
        ("XX000", "something else", "database_other"),
    ] {
        let port = server(vec![error_response(code, message)]).await;
        let error = refused(&format!(
            "postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable"
        ))
        .await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().ends_with(message), "{error}");
        assert!(!error.remedy().is_empty());
    }
}

#[tokio::test]
async fn a_silent_server_does_not_hold_us_for_ever() {
    let port = server(vec![]).await;
    let url = format!("postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable&connect_timeout=1");
    let error = refused(&url).await;
    assert_eq!(
        error.to_string(),
        format!("LiteLLM's database at u@127.0.0.1:{port}/d did not answer within 1s")
    );
}

#[tokio::test]
async fn a_root_file_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let url = format!(
        "postgresql://u:p@127.0.0.1:1/d?sslmode=verify-full&sslrootcert={}",
        path.display()
    );
    let missing = refused(&url).await.to_string();
    assert!(
        missing.starts_with(&format!(
            "cannot read root certificates from {}: ",
            path.display()
        )),
        "{missing}"
    );
    std::fs::write(&path, "nothing").unwrap();
    assert_eq!(
        refused(&url).await.to_string(),
        format!(
            "cannot read root certificates from {}: it holds no certificate in PEM form",
            path.display()
        )
    );
}

/// Within the validity of every certificate below.
fn then() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000))
}

fn check(tls: &DatabaseTls, name: &str) -> Result<(), rustls::Error> {
    let server = CertificateDer::from_pem_slice(include_bytes!("fixtures/server.pem")).unwrap();
    let provider = Arc::new(ring::default_provider());
    let name = ServerName::try_from(name).unwrap();
    verifier(tls, provider)
        .unwrap()
        .verify_server_cert(&server, &[], &name, &[], then())
        .map(|_| ())
}

fn root(file: &str) -> Option<std::path::PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/db/tls/fixtures");
    Some(fixtures.join(file))
}

#[test]
fn verify_full_checks_chain_and_name() {
    let ours = DatabaseTls::VerifyFull {
        root: root("ca.pem"),
    };
    assert_eq!(check(&ours, "db.example.org"), Ok(()));
    let wrong_name = check(&ours, "other.example.org").unwrap_err().to_string();
    assert!(
        wrong_name.contains("not valid for name \"other.example.org\""),
        "{wrong_name}"
    );
    let theirs = DatabaseTls::VerifyFull {
        root: root("other-ca.pem"),
    };
    assert_eq!(
        check(&theirs, "db.example.org"),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    );
}

#[test]
fn verify_ca_forgives_the_name_and_nothing_else() {
    let ours = DatabaseTls::VerifyCa {
        root: root("ca.pem"),
    };
    assert_eq!(check(&ours, "other.example.org"), Ok(()));
    let theirs = DatabaseTls::VerifyCa {
        root: root("other-ca.pem"),
    };
    assert_eq!(
        check(&theirs, "db.example.org"),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    );
}

#[test]
fn require_accepts_any_certificate() {
    assert_eq!(check(&DatabaseTls::Require, "other.example.org"), Ok(()));
    assert_eq!(check(&DatabaseTls::Prefer, "other.example.org"), Ok(()));
}
