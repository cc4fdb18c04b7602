use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::support::{self, Room, effective};
use crate::config::{Secret, Shown};

const KEYS: [(&str, &str); 7] = [
    ("entra.client_secret", "ENTRA_SYNC__ENTRA__CLIENT_SECRET"),
    ("litellm.license", "ENTRA_SYNC__LITELLM__LICENSE"),
    ("litellm.redis_url", "ENTRA_SYNC__LITELLM__REDIS_URL"),
    ("litellm.database_url", "ENTRA_SYNC__LITELLM__DATABASE_URL"),
    ("notify.secret", "ENTRA_SYNC__NOTIFY__SECRET"),
    ("notify.webhook_url", "ENTRA_SYNC__NOTIFY__WEBHOOK_URL"),
    ("server.token", "ENTRA_SYNC__SERVER__TOKEN"),
];

/// Everything that loading gives to anybody, good or bad.
fn all_that_is_said(room: &Room) -> String {
    match room.load() {
        Ok(loaded) => format!("{loaded:?} {loaded:#?}"),
        Err(error) => format!("{error} {error:?} {error:#?}"),
    }
}

fn secret() -> impl Strategy<Value = String> {
    // A mark that no message holds by chance, among what URLs and YAML trip over.
    "[ -~]{0,6}ZQX[0-9]{5}XQZ[ -~]{0,6}".prop_filter("blank", |text| !text.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_secret_is_never_said_wherever_it_is_given(secret in secret()) {
        for (_, name) in KEYS {
            let text = all_that_is_said(&Room::complete().without("DATABASE_URL").with(name, &secret));
            prop_assert!(!text.contains("ZQX"), "{name}: {text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_never_said_encoded_or_not(secret in secret()) {
        for (name, url) in [
            ("DATABASE_URL", format!("postgresql://u:{secret}@db/litellm?schema=x")),
            ("DATABASE_URL", format!("postgresql://u@db/litellm?password={secret}")),
            ("DATABASE_URL", format!("postgresql://u@db/litellm?password=a&{secret}=1")),
            ("DATABASE_PASSWORD", secret.clone()),
            ("ENTRA_SYNC__LITELLM__REDIS_URL", format!("redis://:{secret}@redis/0")),
            ("ENTRA_SYNC__NOTIFY__WEBHOOK_URL", format!("https://example.org/{secret}")),
            ("MICROSOFT_GRAPH_ENDPOINT", format!("https://u:{secret}@graph.microsoft.com/v1.0")),
            ("ENTRA_SYNC__TELEMETRY__OTLP_ENDPOINT", format!("https://u:{secret}@collector/")),
        ] {
            let mut room = Room::complete();
            if name == "DATABASE_PASSWORD" {
                room = room.without("DATABASE_URL")
                    .with("DATABASE_HOST", "db")
                    .with("DATABASE_USER", "u")
                    .with("DATABASE_NAME", "d");
            }
            let text = all_that_is_said(&room.with(name, &url));
            prop_assert!(!text.contains("ZQX"), "{name} {url}: {text}");
        }
    }

    #[test]
    fn a_secret_from_a_file_is_never_said(secret in secret()) {
        for (key, name) in KEYS {
            let room = Room::complete()
                .without("DATABASE_URL")
                .without("MICROSOFT_CLIENT_SECRET")
                .write("secret", &secret);
            let path = room.path("secret").display().to_string();
            let text = all_that_is_said(&room.with(&format!("{name}_FILE"), &path));
            prop_assert!(!text.contains("ZQX"), "{key}: {text}");
        }
    }
}

#[test]
fn a_text_that_is_no_number_in_a_yaml_secret_survives_as_it_is() {
    let room = Room::complete()
        .without("MICROSOFT_CLIENT_SECRET")
        .with("ENTRA_SYNC__ENTRA__CLIENT_SECRET", "0012");
    let settings = room.loaded().settings;
    let secret = support::secret(&settings);
    assert_eq!(secret.value().expose_secret(), "0012");
}

#[test]
fn a_secret_that_yaml_took_for_a_number_is_refused() {
    let room = Room::complete()
        .without("MICROSOFT_CLIENT_SECRET")
        .file("my.yaml", "entra: {client_secret: 0012345}");
    assert_eq!(
        room.wrong(),
        "the configuration has a problem: my.yaml: `entra.client_secret` is not a text; put the \
         secret in quotes"
    );
}

#[test]
fn a_secret_file_is_used_and_named_when_it_is_missing() {
    let room = Room::complete()
        .without("MICROSOFT_CLIENT_SECRET")
        .write("secret", "from-a-file\n");
    let path = room.path("secret");
    let room = room.with(
        "ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE",
        path.to_str().unwrap(),
    );
    let settings = room.loaded().settings;
    let Secret::File {
        path: read_from,
        value,
    } = support::secret(&settings)
    else {
        panic!("not from a file");
    };
    assert_eq!(*read_from, path);
    assert_eq!(value.expose_secret(), "from-a-file");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        room.wrong(),
        "the configuration has a problem: environment ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE: \
         `entra.client_secret_file` is of no use: cannot read the secret in secret: No such file \
         or directory (os error 2); check the path, who may read it and what it holds"
    );
}

#[test]
fn what_is_shown_of_a_secret_is_that_it_is_there() {
    let loaded = Room::complete().loaded();
    assert_eq!(
        effective(&loaded, "entra.client_secret").shown,
        Shown::Hidden
    );
    assert_eq!(effective(&loaded, "server.token").shown, Shown::NotSet);
    assert_eq!(
        effective(&loaded, "litellm.database_url").shown,
        Shown::Value("postgresql://litellm:***@localhost/litellm".into())
    );
}

#[test]
fn a_key_inside_the_metadata_of_teams_is_never_said() {
    let params = r#"{"metadata": {"logging": [{"callback_vars": {"langfuse_secret": "ZQX"}}]}}"#;
    let room = Room::complete().with("ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS", params);
    let text = all_that_is_said(&room);
    assert!(!text.contains("ZQX"), "{text}");
}
