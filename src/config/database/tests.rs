use secrecy::SecretString;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::*;

fn read(url: &str) -> (DatabaseTarget, Vec<String>) {
    parse(Secret::Value(SecretString::from(url))).unwrap()
}

fn refused(url: &str) -> String {
    let wrong = parse(Secret::Value(SecretString::from(url))).unwrap_err();
    format!("{}; {}", wrong.what, wrong.remedy)
}

fn tls(query: &str) -> DatabaseTls {
    read(&format!("postgresql://u:p@db/litellm?{query}")).0.tls
}

fn hosts(target: &DatabaseTarget) -> Vec<(String, u16)> {
    let names = target.connection.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    names
        .zip(target.connection.get_ports().iter().copied())
        .collect()
}

#[test]
fn a_plain_url_gives_its_parts_and_our_defaults() {
    let (target, _) = read("postgres://litellm:p%40ss%2Fw@db.example.org:6432/lite%20llm");
    assert_eq!(target.connection.get_user(), Some("litellm"));
    assert_eq!(target.connection.get_password(), Some(&b"p@ss/w"[..]));
    assert_eq!(target.connection.get_dbname(), Some("lite llm"));
    assert_eq!(target.connection.get_application_name(), Some("entra-sync"));
    assert_eq!(hosts(&target), [("db.example.org".into(), 6432)]);
    assert_eq!(target.schema, "public");
    assert_eq!(target.pool_size, 4);
    assert_eq!(target.pool_timeout, Some(Duration::from_secs(10)));
    assert_eq!(
        target.connection.get_connect_timeout(),
        Some(&Duration::from_secs(10))
    );
    assert_eq!(target.tls, DatabaseTls::Prefer);
    assert_eq!(target.pooler, Pooler::None);
}

#[test]
fn prismas_parameters_are_honoured() {
    let (target, _) = read(
        "postgresql://u:p@db/litellm?schema=proxy&connection_limit=20&pool_timeout=60\
         &connect_timeout=7&socket_timeout=30&pgbouncer=true&max_idle_connection_lifetime=9",
    );
    assert_eq!(target.schema, "proxy");
    assert_eq!(target.pool_size, 20);
    assert_eq!(target.pool_timeout, Some(Duration::from_secs(60)));
    assert_eq!(target.socket_timeout, Some(Duration::from_secs(30)));
    assert_eq!(
        target.connection.get_connect_timeout(),
        Some(&Duration::from_secs(7))
    );
    assert_eq!(target.pooler, Pooler::Transaction);
    let (waits, _) = read("postgresql://u:p@db/litellm?pool_timeout=0");
    assert_eq!(waits.pool_timeout, None);
    // Zero seconds would be over before the server's machine has answered.
    let (patient, _) = read("postgresql://u:p@db/litellm?connect_timeout=0");
    assert_eq!(patient.connection.get_connect_timeout(), None);
}

#[test]
fn sslmode_means_what_libpq_means_by_it() {
    let root = || Some(PathBuf::from("/ca.pem"));
    for (query, meaning) in [
        ("", DatabaseTls::Prefer),
        ("sslmode=disable", DatabaseTls::Disable),
        ("sslmode=allow", DatabaseTls::Prefer),
        ("sslmode=require", DatabaseTls::Require),
        (
            "sslmode=require&sslrootcert=/ca.pem",
            DatabaseTls::VerifyCa { root: root() },
        ),
        ("sslmode=verify-ca", DatabaseTls::VerifyCa { root: None }),
        (
            "sslrootcert=%2Fca.pem&sslmode=verify-full",
            DatabaseTls::VerifyFull { root: root() },
        ),
        ("sslrootcert=system", DatabaseTls::VerifyFull { root: None }),
    ] {
        assert_eq!(tls(query), meaning, "{query}");
    }
}

#[test]
fn prismas_sslaccept_strict_is_verify_full_with_its_ca_file() {
    let root = || Some(PathBuf::from("/ca.pem"));
    for (query, meaning) in [
        (
            "sslcert=/ca.pem&sslaccept=strict",
            DatabaseTls::VerifyFull { root: root() },
        ),
        (
            "sslmode=require&sslaccept=strict",
            DatabaseTls::VerifyFull { root: None },
        ),
        (
            "sslmode=prefer&sslaccept=strict&sslrootcert=/ca.pem",
            DatabaseTls::VerifyFull { root: root() },
        ),
        (
            "sslmode=require&sslcert=/ca.pem&sslaccept=accept_invalid_certs",
            DatabaseTls::Require,
        ),
    ] {
        assert_eq!(tls(query), meaning, "{query}");
    }
    assert_eq!(
        refused("postgresql://u:p@db/d?sslaccept=strict&sslmode=disable"),
        "contradicts itself: sslaccept=strict and sslmode=disable; remove one of them"
    );
}

#[test]
fn tokio_postgres_is_told_to_insist_on_tls_whenever_it_matters() {
    for (query, mode) in [
        ("sslmode=disable", SslMode::Disable),
        ("sslmode=prefer", SslMode::Prefer),
        ("sslmode=require", SslMode::Require),
        ("sslmode=verify-ca", SslMode::Require),
        ("sslaccept=strict", SslMode::Require),
    ] {
        let (target, _) = read(&format!("postgresql://u:p@db/d?{query}"));
        assert_eq!(target.connection.get_ssl_mode(), mode, "{query}");
    }
}

#[test]
fn an_unchecked_server_beyond_this_machine_is_warned_of() {
    let warned = |url: &str| read(url).1.join("; ");
    assert_eq!(
        warned("postgresql://u:p@db/d?sslmode=require"),
        "the server's certificate is not checked; use sslmode=verify-full"
    );
    assert_eq!(
        warned("postgresql://u:p@db/d?sslmode=disable"),
        "the connection is not encrypted (sslmode=disable); use sslmode=verify-full"
    );
    assert_eq!(warned("postgresql://u:p@127.0.0.1/d"), "");
    assert_eq!(warned("postgresql://u:p@db/d?sslmode=verify-full"), "");
    assert_eq!(
        warned("postgresql://u:p@localhost/d?sslcert=/ca.pem"),
        "sslcert is not used: with sslkey it would be a client certificate, with sslaccept=strict \
         Prisma's file of root certificates; add one of them"
    );
}

#[test]
fn a_client_certificate_is_named_in_libpqs_words() {
    let certificate = |parameters: &str| {
        let (target, warnings) = read(&format!("postgresql://u@db/d?{parameters}"));
        assert!(warnings.is_empty(), "{warnings:?}");
        let files = target.client_certificate;
        files.map(|files| [files.certificate, files.key].map(|path| path.display().to_string()))
    };
    let both = "sslmode=verify-full&sslcert=/c.pem&sslkey=/k.pem";
    assert_eq!(certificate(both), Some(["/c.pem".into(), "/k.pem".into()]));
    assert_eq!(certificate(&format!("{both}&sslcertmode=disable")), None);
    assert!(certificate(&format!("{both}&sslcertmode=require")).is_some());
    // Prisma's word for roots stays what it was.
    let (target, _) = read("postgresql://u@db/d?sslcert=/ca.pem&sslaccept=strict&sslkey=");
    assert_eq!(target.client_certificate, None);
    let root = Some("/ca.pem".into());
    assert_eq!(target.tls, DatabaseTls::VerifyFull { root });
}

#[test]
fn several_hosts_and_ipv6_keep_their_ports() {
    let (target, _) = read("postgresql://u:p@a:1,[2001:db8::1]:2,c/d?target_session_attrs=primary");
    assert_eq!(
        hosts(&target),
        [
            ("a".into(), 1),
            ("2001:db8::1".into(), 2),
            ("c".into(), 5432)
        ]
    );
    assert_eq!(
        target.connection.get_target_session_attrs(),
        TargetSessionAttrs::ReadWrite
    );
    let (named, _) = read("postgresql://u:p@/d?host=a,::1&port=7,8");
    assert_eq!(hosts(&named), [("a".into(), 7), ("::1".into(), 8)]);
    let (replaced, _) = read("postgresql://u:p@a:7/d?host=b");
    assert_eq!(hosts(&replaced), [("b".into(), 7)]);
}

#[test]
fn a_socket_directory_is_used_without_tls() {
    for url in [
        "postgresql://u@/d?host=/run/postgresql&sslmode=require",
        "postgresql://u@%2Frun%2Fpostgresql/d",
    ] {
        let (target, warnings) = read(url);
        assert_eq!(hosts(&target), [("/run/postgresql".into(), 5432)]);
        assert_eq!(target.tls, DatabaseTls::Disable);
        assert!(warnings.is_empty());
    }
}

#[test]
fn timeouts_are_counted_in_libpqs_units() {
    let (target, _) = read(
        "postgresql://u:p@db/d?tcp_user_timeout=30000&keepalives_idle=20&keepalives_interval=6\
         &keepalives_count=4&options=-c%20lock_timeout%3D1000",
    );
    let connection = &target.connection;
    assert_eq!(
        connection.get_tcp_user_timeout(),
        Some(&Duration::from_secs(30))
    );
    assert_eq!(connection.get_keepalives_idle(), Duration::from_secs(20));
    assert_eq!(
        connection.get_keepalives_interval(),
        Some(Duration::from_secs(6))
    );
    assert_eq!(connection.get_keepalives_retries(), Some(4));
    assert_eq!(connection.get_options(), Some("-c lock_timeout=1000"));
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    for (url, message) in [
        (
            "postgresql://u:p@db/d?statement_timeout=5",
            "holds the parameter `statement_timeout`, which is not known; remove it; \
             docs/CONFIGURATION.md lists those that are",
        ),
        (
            "postgresql://u:p@db/d?sslkey=/key.pem",
            "names a key (sslkey) without its certificate; add sslcert; one PEM file may be named \
             in both",
        ),
        (
            "postgresql://u:p@db/d?sslcertmode=require",
            "asks for a client certificate (sslcertmode=require) and names none; add sslcert and \
             sslkey",
        ),
        (
            "postgresql://u:p@db/d?sslcert=/c.pem&sslkey=/k.pem&sslmode=disable",
            "contradicts itself: a client certificate (sslkey) and sslmode=disable; use \
             sslmode=verify-full, or remove sslcert and sslkey",
        ),
        (
            "postgresql://u@db/d?sslcert=/c.pem&sslkey=/k.pem&sslpassword=hunter2",
            "names a key that a password protects (`sslpassword`), which is not supported; decrypt \
             the key with `openssl pkey -in FILE -out NEW_FILE`, name it in sslkey, and remove it",
        ),
        (
            "postgresql://u:p@db/d?sslidentity=/c.p12",
            "names a key that a password protects (`sslidentity`), which is not supported; take \
             the PKCS#12 file apart with `openssl pkcs12 -nodes -in FILE -out NEW_FILE`, and name \
             the new file in both sslcert and sslkey instead",
        ),
        (
            "postgresql://u:p@db/d?sslmode=hunter2",
            "has a wrong value for the parameter `sslmode`; give one of disable, allow, prefer, \
             require, verify-ca, verify-full",
        ),
        (
            "postgresql://u:p@db/d?connection_limit=0",
            "has a wrong value for the parameter `connection_limit`; give at least 1",
        ),
        (
            "postgresql://u:p@db",
            "names no database; add its name after the host, for example /litellm",
        ),
        (
            "postgresql:///d",
            "names no host; add one before the database, or ?host=/run/postgresql for a socket",
        ),
        (
            "postgresql://u:p@a,b/d?port=1,2,3",
            "gives more or fewer ports than hosts; give one port for all, or one for each host",
        ),
        (
            "mysql://u:p@db/d",
            "does not begin with postgresql://; give \
             postgresql://user:password@host:5432/database",
        ),
    ] {
        assert_eq!(refused(url), message, "{url}");
    }
}

#[test]
fn a_password_that_is_not_encoded_is_refused_and_not_quoted() {
    for url in [
        "postgresql://u:hun/ter2@db/d",
        "postgresql://u:hun?ter2@db/d",
        "postgresql://u:hun#ter2@db/d",
        "postgresql://u:hun%ter2@db/d",
    ] {
        let message = refused(url);
        assert!(message.contains("percent-encode"), "{message}");
        assert!(!message.contains("ter2"), "{message}");
        assert_eq!(redacted(url), None);
    }
}

#[test]
fn a_redacted_url_keeps_everything_but_passwords() {
    let show = |url: &str| redacted(url).unwrap();
    assert_eq!(
        show("postgresql://u:hunter2@db:5432/d?schema=x&password=hunter3&sslpassword=h4"),
        "postgresql://u:***@db:5432/d?schema=x&password=***&sslpassword=***"
    );
    assert_eq!(show("postgresql://u@db/d"), "postgresql://u@db/d");
    assert_eq!(show("postgresql://u:p@q@db/d"), "postgresql://u:***@db/d");
    assert_eq!(
        show("postgresql://u:p@db/d?hunter2=x&y"),
        "postgresql://u:***@db/d?***&***"
    );
}

#[test]
fn a_rotated_password_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, "postgresql://u:old@db/d\n").unwrap();
    let (target, _) = parse(Secret::from_file(&path).unwrap()).unwrap();
    std::fs::write(&path, "postgresql://u:new@db/d\n").unwrap();
    let again = target.reread().unwrap();
    assert_eq!(again.connection.get_password(), Some(&b"new"[..]));
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(
        target.reread().unwrap_err().to_string(),
        "the database URL does not begin with postgresql://; give \
         postgresql://user:password@host:5432/database"
    );
}

#[test]
fn a_parameter_in_the_wrong_place_is_refused_and_not_shown() {
    for url in [
        "postgresql:///d&user=u&password=hidden",
        "postgresql://db/d;password=hidden",
        "postgresql://db&password=hidden/d",
        "postgresql://u&password=hidden@db/d",
    ] {
        let said = refused(url);
        assert!(said.contains("before the first ?"), "{said}");
        assert!(!said.contains("hidden"), "{said}");
        assert_eq!(redacted(url), None);
    }
    assert_eq!(
        redacted("postgresql://db/d?sslmode=requirepassword=hidden&schema=x").as_deref(),
        Some("postgresql://db/d?sslmode=***&schema=x")
    );
    let (target, _) = read("postgresql://u%3D1:a=b&c@db/d%26e");
    assert_eq!(target.connection.get_user(), Some("u=1"));
    assert_eq!(target.connection.get_password(), Some(&b"a=b&c"[..]));
    assert_eq!(target.connection.get_dbname(), Some("d&e"));
}
