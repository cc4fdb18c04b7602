//! The daemon signs in by certificate and by a federated token, which are
//! replaced while it runs.

use tempfile::TempDir;

use crate::check_entra::{check, of};
use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, quiet};
use crate::early_signals::make_pipe;
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::certificates::of_an_application;
use crate::support::file::put;

/// The tenant forgets what it trusted, and every token that was issued.
fn revoke(world: &World) {
    world.entra.tenant(|tenant| tenant.trust_no_assertion());
    world.entra.expire_tokens();
    world.entra.reset_requests();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_under_a_running_daemon() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("both.pem");
    let (first, trusted) = of_an_application("first");
    let write = |pair: &crate::support::certificates::Pair| {
        put(&file, format!("{}{}", pair.certificate, pair.key));
    };
    write(&first);
    world
        .entra
        .tenant(|tenant| tenant.trust_certificate(trusted));
    world.set("MICROSOFT_CLIENT_SECRET", "");
    world.set("ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE", file.display());
    let (_, found) = check(&world).await;
    let (message, _) = of(&found, "PASS", "token");
    assert!(
        message.starts_with("Entra issued a token for the client certificate in ")
            && message.contains("SHA-256"),
        "{message}"
    );
    let shown = entra_sync(world.environment(), &["config"]).await.stdout;
    assert!(
        shown.contains("both.pem") && !shown.contains("BEGIN"),
        "{shown}"
    );

    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    let (second, trusted) = of_an_application("second");
    revoke(&world);
    world
        .entra
        .tenant(|tenant| tenant.trust_certificate(trusted.clone()));
    write(&second);
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    let asked = world.entra.requests().of("token");
    assert_eq!(
        (asked.requests, asked.refused),
        (1, 0),
        "it was read at once"
    );

    // One that Entra does not know ends the passes until it is replaced.
    write(&first);
    revoke(&world);
    world
        .entra
        .tenant(|tenant| tenant.trust_certificate(trusted));
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 2).await, "failed");
    daemon.says("Entra refused the client certificate", 1).await;
    write(&second);
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert!(!log.contains("BEGIN") && !log.contains("eyJ"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_token_is_replaced_under_a_running_daemon() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("azure-identity-token");
    let trust = |token: &str| {
        world
            .entra
            .tenant(|tenant| tenant.trust_federated_token(token));
        std::fs::write(&file, token).expect("written");
    };
    trust("header.first.signature");
    // As Azure's webhook sets it up: nothing else names the application.
    for (ours, azures) in [
        ("MICROSOFT_TENANT", "AZURE_TENANT_ID"),
        ("MICROSOFT_CLIENT_ID", "AZURE_CLIENT_ID"),
    ] {
        let value = world.environment()[ours].clone();
        world.set(ours, "");
        world.set(azures, value);
    }
    world.set("MICROSOFT_CLIENT_SECRET", "");
    world.set("AZURE_FEDERATED_TOKEN_FILE", file.display());
    world.set("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/");
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    revoke(&world);
    world
        .entra
        .tenant(|tenant| tenant.trust_federated_token("header.second.signature"));
    std::fs::write(&file, "header.second.signature").expect("written");
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    let asked = world.entra.requests().of("token");
    assert_eq!((asked.requests, asked.refused), (1, 0));
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert!(!log.contains("header."), "{log}");
}

/// The secret is refused, so its file is read again: a pass that waited there
/// would keep its lease for as long.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_file_that_gives_nothing_fails_the_pass_and_frees_the_lease() {
    let mut world = world().await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let [file, other] = ["secret", "other"].map(|name| folder.path().join(name));
    let old = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    std::fs::write(&other, "rotated").expect("written");
    world.secret_from(&file, &old);
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    world
        .entra
        .tenant(|tenant| tenant.set_client_secret("rotated"));
    world.entra.expire_tokens();
    make_pipe(&file).await;
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "failed");
    daemon
        .says("the client secret cannot be read from", 1)
        .await;
    daemon.says("it is a pipe and no regular file", 1).await;

    world.set("ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE", other.display());
    let by_hand = entra_sync(world.environment(), &["sync"]).await;
    by_hand.exits_with(0);

    put(&file, "rotated\n");
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_a_credential_is_waited_for() {
    let world = world().await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pipe");
    make_pipe(&file).await;
    for (value, setting) in [
        (
            Some("MICROSOFT_CLIENT_SECRET"),
            "ENTRA_SYNC__ENTRA__CLIENT_SECRET_FILE",
        ),
        (
            Some("MICROSOFT_CLIENT_SECRET"),
            "ENTRA_SYNC__ENTRA__CLIENT_CERTIFICATE_FILE",
        ),
        (
            Some("MICROSOFT_CLIENT_SECRET"),
            "ENTRA_SYNC__ENTRA__FEDERATED_TOKEN_FILE",
        ),
        (
            Some("DATABASE_URL"),
            "ENTRA_SYNC__LITELLM__DATABASE_URL_FILE",
        ),
        (None, "ENTRA_SYNC__SERVER__TOKEN_FILE"),
    ] {
        let mut environment = world.environment().clone();
        if let Some(value) = value {
            environment.remove(value);
        }
        environment.insert(setting.to_owned(), file.display().to_string());
        let ended = entra_sync(&environment, &["sync"]).await.exits_with(64);
        let message = ended.message();
        assert!(
            message.contains(setting) && message.contains("it is a pipe and no regular file"),
            "{setting}: {message}"
        );
    }
}
