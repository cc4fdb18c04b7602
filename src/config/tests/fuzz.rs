//! Settings and URLs, changed in ways that nobody thought of.

use secrecy::SecretString;

use super::support::Room;
use crate::config::{DEFAULTS, DatabaseTarget, Secret, database};
use crate::fuzz::fuzz;

const MARK: &str = "ZQX";

#[test]
fn a_password_in_a_database_url_is_never_told() {
    let seeds: &[&[u8]] = &[
        b"postgresql://litellm:ZQX%40ss%2Fw@db.example.org:6432/lite%20llm?schema=proxy&connection_limit=20&pool_timeout=60&pgbouncer=true",
        b"postgres://u:ZQX@[::1]:5433,db2,db3:5434/d?sslmode=verify-full&sslrootcert=/ca.pem&target_session_attrs=read-write",
        b"postgresql:///d?host=/var/run/postgresql&user=u&password=ZQX&connect_timeout=5&keepalives_idle=30&options=-c%20x%3Dy",
        b"prisma://accelerate.example/?api_key=ZQX",
    ];
    let words = [
        "postgresql://",
        "@",
        ":",
        "/",
        "?",
        "&",
        "#",
        "%",
        "%00",
        "%zz",
        "[",
        "]",
        ",",
        "=",
        "password=",
        "sslmode=require",
        "sslaccept=strict",
        "sslcert=x",
        "sslkey=x",
        "host=",
        "hostaddr=",
        "port=",
        "schema=",
        "statement_cache_size=0",
        "65536",
        "99999999999999999999",
    ];
    fuzz(seeds, &words, |bytes| {
        let url = String::from_utf8_lossy(bytes).into_owned();
        let shown = database::redacted(&url);
        let read = DatabaseTarget::parse(Secret::Value(SecretString::from(url.clone())));
        let said = match &read {
            Ok(target) => format!("{target:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        // Where the mark is a part of a password and of nothing else.
        let before = |end: char| url.split(end).next().unwrap_or_default();
        let at_most_once = url.matches(MARK).count() == 1;
        let in_credentials = before('@').contains(&format!(":{MARK}"))
            && before('@').len() < url.len()
            && !before('@').contains('?')
            && before('@').starts_with("postgres");
        let in_parameter = url.contains(&format!("password={MARK}"));
        let is_password = ["?", "&"]
            .iter()
            .any(|mark| url.contains(&format!("{mark}password={MARK}")));
        if at_most_once && (in_credentials || is_password) {
            assert!(!said.contains(MARK), "{said}");
        }
        if at_most_once && (in_credentials || in_parameter) {
            let shown = shown.as_deref().unwrap_or_default();
            assert!(!shown.contains(MARK), "{shown}");
        }
        if let Ok(target) = read {
            assert!(shown.is_some(), "what is understood can be shown");
            assert!(target.pool_size > 0);
        }
    });
}

#[test]
fn settings_are_taken_or_refused_and_no_secret_is_told() {
    let seeds: &[&[u8]] = &[
        DEFAULTS.as_bytes(),
        b"entra:\n  tenant: contoso.onmicrosoft.com\n  client_secret: ZQX-secret\n  groups: {include: ['a*'], exclude: []}\nschedule:\n  interval: 15m\n  full: '0 3 * * *'\nlitellm: {seats: auto, database_url: 'postgresql://u:ZQX-secret@db/d'}\n",
        b"sources:\n  contoso-eu:\n    entra: {tenant: a.example, client_secret: ZQX-secret}\n    deprovision: {grace: 2d}\n",
    ];
    let words = [
        "15m",
        "0s",
        "99999999y",
        "* * * * *",
        "0 0 31 2 *",
        "&d ",
        "*d",
        "<<: ",
        "- ",
        "? ",
        "~",
        "!!binary ",
        "|\n  ",
        "---\n",
        "sources:\n",
        "entra.tenant",
        "include",
        "0.5",
        "'[a-'",
    ];
    let room = Room::complete().without("MICROSOFT_CLIENT_SECRET");
    let room = room.file("my.yaml", "");
    let path = room.path("my.yaml");
    fuzz(seeds, &words, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        let said = match room.load() {
            Ok(loaded) => format!("{loaded:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        // Under another key it may be told.
        let text = String::from_utf8_lossy(bytes);
        let is_secret = text.match_indices(MARK).all(|(at, _)| {
            text[..at].ends_with("client_secret: ") && !text[..at].contains(['\u{0}', '\u{feff}'])
        });
        if is_secret {
            assert!(!said.contains("ZQX-secret"), "{said}");
        }
    });
}

/// Few lines that would be as many values as there are grains of sand, and
/// lists in lists that would exhaust the stack.
#[test]
fn settings_that_multiply_or_nest_without_end_are_refused_at_once() {
    let mut many = String::from("a0: &a0 [1, 1]\n");
    for level in 1..40 {
        let items = [format!("*a{}", level - 1).as_str(); 10].join(", ");
        many.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let deep = format!("a:\n  {}x\n", "- ".repeat(20_000));
    let keys = "{client_secret: ZQX-secret}: x\n".to_owned();
    for text in [many, deep, keys] {
        let wrong = Room::complete().file("my.yaml", &text).wrong();
        assert!(wrong.contains("my.yaml"), "{wrong}");
        assert!(!wrong.contains(MARK), "{wrong}");
    }
}
