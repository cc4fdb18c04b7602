//! `litellm.database_auth: aws`, and LiteLLM's names for the same.

use super::support::{Room, effective, origin, value};
use crate::config::DatabaseAuth;
use crate::config::settings::DatabaseTls;

const HOST: &str = "litellm.abc123.eu-central-1.rds.amazonaws.com";

fn of_rds() -> String {
    format!("postgresql://entra_sync@{HOST}/litellm?sslmode=verify-full")
}

fn room(url: &str) -> Room {
    Room::complete()
        .with("ENTRA_SYNC__LITELLM__SEATS", "unlimited")
        .with("ENTRA_SYNC__LITELLM__DATABASE_AUTH", "aws")
        .with("DATABASE_URL", url)
}

fn region(room: &Room) -> String {
    match room.loaded().settings.litellm.database_auth {
        DatabaseAuth::Aws(region) => region.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_region_is_what_was_set_else_what_the_host_says_else_where_this_runs() {
    let elsewhere = "postgresql://u@db.example.org/d?sslmode=verify-full";
    let here = |url: &str| {
        room(url)
            .with("AWS_DEFAULT_REGION", "us-east-2")
            .with("AWS_REGION", "us-east-1")
    };
    assert_eq!(region(&room(&of_rds())), "eu-central-1");
    assert_eq!(room(&of_rds()).loaded().settings.warnings, [""; 0]);
    assert_eq!(region(&here(&of_rds())), "eu-central-1");
    assert_eq!(region(&here(elsewhere)), "us-east-1");
    assert_eq!(region(&here(elsewhere).without("AWS_REGION")), "us-east-2");
    let named = here(elsewhere).with("AWS_REGION_NAME", "us-west-2");
    assert_eq!(region(&named), "us-west-2");
    let litellms = here(&of_rds()).with("AWS_RDS_REGION", "eu-west-1");
    assert_eq!(region(&litellms), "eu-west-1");
    let warnings = litellms.loaded().settings.warnings.join("");
    assert!(warnings.contains("the name of the database's host says eu-central-1"));
    let ours = litellms.with("ENTRA_SYNC__LITELLM__DATABASE_REGION", "eu-west-2");
    assert_eq!(region(&ours), "eu-west-2");
}

#[test]
fn a_database_without_region_host_user_or_tls_is_refused() {
    for (url, message) in [
        (
            "postgresql://u@db.example.org/d?sslmode=require",
            "is `aws`, and nothing tells the region of the database; set litellm.database_region (AWS_RDS_REGION, or AWS_REGION)",
        ),
        (
            "postgresql://u@a,b/d?sslmode=require",
            "is `aws`, and the database URL does not name one host",
        ),
        (
            "postgresql://u@db.example.org/d",
            "is `aws`, and the database URL lets the token go unencrypted; add sslmode=verify-full",
        ),
    ] {
        let text = room(url).wrong();
        assert!(text.contains(message), "{text}");
    }
    let text = room("postgresql://u@db.example.org/d?sslmode=require")
        .with("AWS_REGION", "Frankfurt")
        .wrong();
    assert!(text.contains("AWS_REGION holds no region of AWS"), "{text}");
    let text = room(&of_rds()).with("AWS_RDS_REGION", "EU").wrong();
    assert!(
        text.contains("`litellm.database_region` is no region"),
        "{text}"
    );
    let text = room(&of_rds().replace("entra_sync@", "u:p@"));
    let warnings = text.loaded().settings.warnings.join("");
    assert!(warnings.contains("is not used, because `litellm.database_auth` is aws"));
}

/// As LiteLLM's own chart sets a deployment on RDS up.
fn of_litellm() -> Room {
    Room::complete()
        .without("DATABASE_URL")
        .with("ENTRA_SYNC__LITELLM__SEATS", "unlimited")
        .with("IAM_TOKEN_DB_AUTH", "True")
        .with("DATABASE_HOST", HOST)
        .with("DATABASE_PORT", "5432")
        .with("DATABASE_USER", "entra_sync")
        .with("DATABASE_NAME", "litellm")
}

#[test]
fn litellms_names_of_a_database_on_rds_are_taken_as_they_are() {
    let room = of_litellm();
    assert_eq!(region(&room), "eu-central-1");
    let loaded = room.loaded();
    assert_eq!(value(&loaded, "litellm.database_auth"), "aws");
    assert_eq!(
        origin(&loaded, "litellm.database_auth"),
        "environment IAM_TOKEN_DB_AUTH"
    );
    let shown = format!("{:?}", effective(&loaded, "litellm.database_url"));
    assert!(shown.contains("sslmode=require"), "{shown}");
    // A certificate that is not checked is worth a line.
    let warnings = loaded.settings.warnings.join("");
    assert!(
        warnings.contains("certificate is not checked"),
        "{warnings}"
    );
    let rooted = of_litellm()
        .with("DATABASE_SSLROOTCERT", "/rds.pem")
        .loaded();
    let tls = rooted.settings.litellm.database.tls;
    assert!(
        matches!(tls, DatabaseTls::VerifyFull { root: Some(_) }),
        "{tls:?}"
    );
    let text = of_litellm().without("DATABASE_USER").wrong();
    assert!(text.contains("needs DATABASE_USER too"), "{text}");
    let off = of_litellm().with("IAM_TOKEN_DB_AUTH", "False").loaded();
    let auth = off.settings.litellm.database_auth;
    assert_eq!(auth, DatabaseAuth::Password);
}

#[test]
fn the_parts_come_before_litellms_url_as_in_litellm_and_after_one_of_ours() {
    let theirs = of_litellm().with("DATABASE_URL", "postgresql://u:p@stale/d");
    let loaded = theirs.loaded();
    let user = loaded.settings.litellm.database.connection.get_user();
    assert_eq!(user, Some("entra_sync"));
    let warnings = loaded.settings.warnings.join("");
    assert!(warnings.contains("DATABASE_URL is not used"), "{warnings}");
    assert!(!warnings.contains("u:p"), "{warnings}");

    let ours = of_litellm().with(
        "ENTRA_SYNC__LITELLM__DATABASE_URL",
        "postgresql://u:p@localhost/d",
    );
    let settings = ours.loaded().settings;
    assert_eq!(settings.litellm.database_auth, DatabaseAuth::Password);
    assert_eq!(settings.warnings, [""; 0]);
    let filed = of_litellm().file(
        "my.yaml",
        "litellm: {database_url: \"postgresql://u:p@localhost/d\"}",
    );
    let settings = filed.loaded().settings;
    assert_eq!(settings.litellm.database_auth, DatabaseAuth::Password);

    let decided = theirs
        .with("DATABASE_URL", "postgresql://u:p@localhost/d")
        .with("ENTRA_SYNC__LITELLM__DATABASE_AUTH", "password");
    let settings = decided.loaded().settings;
    assert_eq!(settings.litellm.database_auth, DatabaseAuth::Password);
    assert_eq!(settings.litellm.database.connection.get_user(), Some("u"));

    let alone = Room::complete()
        .with("DATABASE_URL", &of_rds())
        .with("IAM_TOKEN_DB_AUTH", "1");
    assert_eq!(region(&alone), "eu-central-1");

    let both = of_litellm().with("AZURE_POSTGRESQL_AUTH", "true").wrong();
    assert!(
        both.contains("environment IAM_TOKEN_DB_AUTH: and AZURE_POSTGRESQL_AUTH are both on"),
        "{both}"
    );
}
