//! Logins to PostgreSQL by tokens signed with AWS's credentials: over TLS, from a
//! real server that has each token looked at as RDS does.

use url::Url;

use crate::check_entra::{check, failures, of};
use crate::daemon_schedule::pass_by;
use crate::database_logins::{beside, refuses_to_show_a_token_unencrypted};
use crate::support::World;
use crate::support::aws::{Aws, POD, REGION, ROLE, WEB_IDENTITY};
use crate::support::binary::{Running, entra_sync};

/// What no output may hold.
fn keeps_quiet(aws: &Aws, text: &str) {
    let tokens = aws.tokens();
    let signatures = tokens
        .iter()
        .filter_map(|token| token.split("X-Amz-Signature=").nth(1));
    let words = [
        "secret-key-number",
        "session+of",
        "session%2Bof",
        POD,
        WEB_IDENTITY,
    ];
    for secret in words.into_iter().chain(signatures) {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// `check` fails at the database, and says this.
async fn fails(world: &World, aws: &Aws, expected: &str) -> String {
    let (code, found) = check(world).await;
    assert_eq!(
        (code, failures(&found)),
        (1, vec!["database"]),
        "{found:#?}"
    );
    let (message, remedy) = of(&found, "FAIL", "database");
    assert!(message.contains(expected), "{message}");
    keeps_quiet(aws, &format!("{found:?}"));
    remedy.to_owned()
}

async fn passes(world: &World) {
    let (code, found) = check(world).await;
    assert_eq!((code, failures(&found)), (0, vec![]), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_logs_in_and_its_keys_rotate_under_a_running_daemon() {
    let aws = Aws::start().await;
    let (_server, mut world, _authority, folder) = beside(&aws.admission()).await;
    world.set("ENTRA_SYNC__LITELLM__DATABASE_AUTH", "aws");
    world.set("AWS_EC2_METADATA_DISABLED", "true");
    let ended = entra_sync(world.environment(), &["check"]).await;
    let message = ended.exits_with(64).stderr;
    assert!(message.contains("nothing tells the region"), "{message}");
    assert!(message.contains("set litellm.database_region"), "{message}");

    world.set("AWS_REGION", REGION);
    let remedy = fails(&world, &aws, "no AWS credentials: none in the environment").await;
    assert!(
        remedy.contains("give entra-sync working AWS credentials"),
        "{remedy}"
    );

    let shown = folder.path().join("authorization");
    // An end of line can be sent by nobody, and is no reason to show the rest.
    std::fs::write(&shown, format!("{POD}\n")).expect("written");
    world.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", aws.url("/container"));
    world.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", shown.display());
    // Nobody listens there.
    world.set("HTTPS_PROXY", "http://127.0.0.1:1");
    world.set("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "trace,change=off");
    fails(&world, &aws, "its authorization token cannot be used").await;
    let ended = entra_sync(world.environment(), &["sync"]).await;
    keeps_quiet(&aws, &format!("{ended:?}"));
    std::fs::write(&shown, "somebody-else").expect("written");
    fails(&world, &aws, "the container's endpoint").await;
    std::fs::write(&shown, POD).expect("written");
    aws.expires();
    fails(&world, &aws, "have expired").await;

    aws.rotates();
    passes(&world).await;
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    // The pass has given its lease back.
    daemon.says("pass ended", 1).await;
    // The kept token is refused from now on, and connections begin anew.
    aws.rotates();
    let admin = crate::support::database::connect(&world.database.url_as("postgres")).await;
    let kill =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'entra_sync'";
    admin.batch_execute(kill).await.expect("their end");
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    daemon.signal("TERM").await;
    let ended = daemon.ended().await.exits_with(0);
    keeps_quiet(&aws, &format!("{ended:?}"));
    let last = aws.tokens().pop().expect("a token");
    assert!(last.contains("ASIAEXAMPLE3"), "{last}");

    refuses_to_show_a_token_unencrypted(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn litellms_names_log_in_as_an_instance_and_with_a_web_identity() {
    let aws = Aws::start().await;
    let (_server, mut world, _authority, folder) = beside(&aws.admission()).await;
    let url = Url::parse(&world.database.url()).expect("a URL");
    let roots = folder.path().join("roots.pem");
    let identity = folder.path().join("identity");
    for (name, value) in [
        ("DATABASE_URL", String::new()),
        ("IAM_TOKEN_DB_AUTH", "True".to_owned()),
        ("DATABASE_HOST", "127.0.0.1".to_owned()),
        ("DATABASE_PORT", url.port().expect("a port").to_string()),
        ("DATABASE_USER", "entra_sync".to_owned()),
        (
            "DATABASE_NAME",
            url.path().trim_start_matches('/').to_owned(),
        ),
        ("DATABASE_SSLROOTCERT", roots.display().to_string()),
        ("AWS_RDS_REGION", REGION.to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url("")),
    ] {
        world.set(name, value);
    }
    passes(&world).await;

    world.set("AWS_ROLE_ARN", ROLE);
    world.set("AWS_WEB_IDENTITY_TOKEN_FILE", identity.display());
    world.set("AWS_ENDPOINT_URL_STS", aws.url(""));
    fails(&world, &aws, "STS for the web identity").await;
    std::fs::write(&identity, "of-somebody-else").expect("written");
    fails(&world, &aws, "InvalidIdentityToken").await;
    std::fs::write(&identity, WEB_IDENTITY).expect("written");
    passes(&world).await;
    let shown = entra_sync(world.environment(), &["config"]).await.stdout;
    for line in ["IAM_TOKEN_DB_AUTH", "AWS_RDS_REGION", "database_region"] {
        assert!(shown.contains(line), "{shown}");
    }
    keeps_quiet(&aws, &shown);
    aws.refuses("AccessDenied");
    fails(&world, &aws, "AccessDenied").await;

    // Keys of the environment come before everything else.
    world.set("AWS_ACCESS_KEY_ID", "AKIANOBODYS");
    world.set("AWS_SECRET_ACCESS_KEY", "secret-key-number-0");
    let remedy = fails(&world, &aws, "refuses the login").await;
    assert!(
        remedy.contains("check user and password (or token"),
        "{remedy}"
    );
}
