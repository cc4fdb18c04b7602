//! Logins to PostgreSQL without a password of ours: by a client certificate,
//! and by an access token of Entra, over TLS and from a real server.

use tempfile::TempDir;

use crate::check_entra::{check, failures, of};
use crate::daemon_schedule::{pass_by, quiet};
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::certificates::{Authority, Pair};
use crate::support::file::put;
use crate::support::server::Server;
use crate::support::wait::wait_for;

/// A tenant with one group beside a server of its own that speaks TLS.
pub async fn beside(admission: &str) -> (Server, World, Authority, TempDir) {
    let (server, database) = Server::start().await;
    let authority = Authority::new();
    let shown = authority.signs_for("127.0.0.1");
    server.speaks_tls(&shown, &authority.pem(), admission).await;
    let mut world = World::beside(database, |tenant| {
        tenant.user("ada");
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await;
    quiet(&mut world);
    let folder = TempDir::new().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).expect("written");
    // Until the server has read its settings again it lets everybody in.
    wait_for("TLS", || async {
        let connected = tokio_postgres::connect(&world.database.url(), tokio_postgres::NoTls).await;
        connected.is_err().then_some(())
    })
    .await;
    let url = format!(
        "{}?sslmode=verify-full&sslrootcert={}",
        world.database.url(),
        roots.display()
    );
    world.set("DATABASE_URL", url);
    (server, world, authority, folder)
}

fn write(folder: &TempDir, pair: &Pair) {
    put(folder.path().join("client.crt"), &pair.certificate);
    put(folder.path().join("client.key"), &pair.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_logs_in_and_is_replaced_under_a_running_daemon() {
    let (_server, mut world, authority, folder) = beside(
        "hostssl all entra_sync 127.0.0.1/32 trust clientcert=verify-full\n\
         hostnossl all entra_sync 127.0.0.1/32 reject",
    )
    .await;
    let plain = world.environment()["DATABASE_URL"].clone();
    let (code, found) = check(&world).await;
    assert_eq!(
        (code, failures(&found)),
        (1, vec!["database"]),
        "{found:#?}"
    );
    let (message, remedy) = of(&found, "FAIL", "database");
    assert!(message.contains("refuses the login"), "{message}");
    assert!(remedy.contains("client certificate"), "{remedy}");

    let files = folder.path().display();
    world.set(
        "DATABASE_URL",
        format!("{plain}&sslcert={files}/client.crt&sslkey={files}/client.key"),
    );
    write(&folder, &authority.signs_for("somebody_else"));
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("refuses the login", 1).await;
    // A certificate of an authority that the server does not know.
    write(&folder, &Authority::new().signs_for("entra_sync"));
    daemon.says("refuses the login", 2).await;
    write(&folder, &authority.signs_for("entra_sync"));
    assert_eq!(pass_by(&world, "reload", 1).await, "succeeded");
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert!(!log.contains("BEGIN"), "{log}");
    let (code, _) = check(&world).await;
    assert_eq!(code, 0);

    // A key that is not its own is found before anybody is asked.
    let other = authority.signs_for("entra_sync");
    std::fs::write(folder.path().join("client.key"), other.key).expect("written");
    let ended = entra_sync(world.environment(), &["check", "--offline"]).await;
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert!(
        ended.stdout.contains("is not that of the certificate"),
        "{ended:#?}"
    );
    let shown = entra_sync(world.environment(), &["config"]).await.stdout;
    assert!(shown.contains("client.key"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_logs_in_and_a_refused_one_is_asked_for_anew() {
    let (_server, mut world, _authority, _folder) = beside(
        "hostssl all entra_sync 127.0.0.1/32 password\n\
         hostnossl all entra_sync 127.0.0.1/32 reject",
    )
    .await;
    world.set("ENTRA_SYNC__LITELLM__DATABASE_AUTH", "azure");
    let issue = async |token: &str| {
        world
            .entra
            .tenant(|tenant| tenant.set_database_token(token));
        let statement = format!("ALTER ROLE entra_sync PASSWORD '{token}'");
        let url = world.database.url_as("postgres");
        let admin = crate::support::database::connect(&url).await;
        admin.batch_execute(&statement).await.expect("a password");
    };
    let long = "first-token-".repeat(150);
    issue(&long).await;
    let (code, found) = check(&world).await;
    assert_eq!((code, failures(&found)), (0, vec![]), "{found:#?}");
    let daemon = Running::start(world.environment(), &["run"]);
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    // The pass has given its lease back.
    daemon.says("pass ended", 1).await;
    // The kept token is refused from now on, and connections begin anew.
    issue("second-token").await;
    let url = world.database.url_as("postgres");
    let admin = crate::support::database::connect(&url).await;
    let kill =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'entra_sync'";
    admin.batch_execute(kill).await.expect("their end");
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    assert!(!log.contains("-token"), "{log}");

    refuses_to_show_a_token_unencrypted(&mut world).await;
}

/// A URL without TLS is not connected to by token.
pub async fn refuses_to_show_a_token_unencrypted(world: &mut World) {
    let plain = world.database.url();
    world.set("DATABASE_URL", plain);
    let ended = entra_sync(world.environment(), &["check"]).await;
    let message = ended.exits_with(64).stderr;
    assert!(
        message.contains("lets the token go unencrypted"),
        "{message}"
    );
}
