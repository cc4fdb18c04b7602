//! Whether probes are told the truth.

use tempfile::TempDir;

use super::Served;
use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, quiet};
use crate::early_signals::make_pipe;
use crate::support::binary::Running;
use crate::support::doorman::Doorman;
use crate::support::file::put;
use crate::support::port;
use crate::support::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_while_the_database_answers_and_alive_all_the_time() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    world.set("DATABASE_URL", door.url());
    let served = Served::after_a_pass(&mut world).await;
    let ready = served.json("/readyz").await;
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["sources"]["default"], "idle");
    door.shut();
    let reason = wait_for("a probe that fails", || async {
        let (status, body) = served.get("/readyz").await;
        (status == 503).then_some(body)
    })
    .await;
    assert!(reason.contains("the database does not answer"), "{reason}");
    assert_eq!(served.json("/livez").await["status"], "alive");
    let (status, body) = served.get("/api/v1/sources").await;
    assert_eq!(status, 503, "{body}");
    door.open();
    wait_for("a probe that succeeds", || async {
        (served.get("/readyz").await.0 == 200).then_some(())
    })
    .await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_while_the_login_is_refused_and_the_urls_file_gives_nothing() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for("old");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("url");
    world.database_url_from(&path, &door.url_with("old"));
    let served = Served::after_a_pass(&mut world).await;
    make_pipe(&path).await;
    door.ask_for("new");
    // What is connected stays so; what comes needs the new password.
    door.shut();
    door.open();
    served.daemon.signal("USR1").await;
    served.daemon.says("pass failed", 1).await;
    let said = served.daemon.stderr();
    assert!(
        said.contains("refuses the login") && said.contains("the URL cannot be read again"),
        "{said}"
    );
    wait_for("a probe that fails", || async {
        (served.get("/readyz").await.0 == 503).then_some(())
    })
    .await;
    assert_eq!(served.json("/livez").await["status"], "alive");
    put(&path, door.url_with("new"));
    wait_for("a probe that succeeds", || async {
        (served.get("/readyz").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stands_by_is_ready_and_says_so() {
    let mut world = world().await;
    let one = Served::after_a_pass(&mut world).await;
    let other = Served::start(&world).await;
    let word = async |served: &Served| {
        let (status, body) = served.get("/readyz").await;
        let ready: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let word = ready["sources"]["default"].as_str()?;
        (status == 200).then(|| word.to_owned())
    };
    let stands_by = wait_for("one that stands by beside one that does not", || async {
        let states = [word(&one).await?, word(&other).await?];
        let by = |word: &str| states.iter().position(|state| state == word);
        by("idle")?;
        by("standby")
    })
    .await;
    let (stays, goes) = if stands_by == 0 {
        (one, other)
    } else {
        (other, one)
    };
    let assigned = "entra_sync_source_assigned{source=\"default\"}";
    assert_eq!(stays.metrics().await.value(assigned), 0.0);
    assert_eq!(stays.metrics().await.value("entra_sync_replicas"), 2.0);
    assert_eq!(goes.metrics().await.value(assigned), 1.0);
    goes.end().await;
    wait_for("the other one to take the source", || async {
        (stays.metrics().await.value(assigned) == 1.0).then_some(())
    })
    .await;
    stays.end().await;
}

/// Passes matter more than the port.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_keeps_no_pass_waiting() {
    let mut world = world().await;
    let taken = std::net::TcpListener::bind(("127.0.0.1", port::own())).expect("a port");
    let address = taken.local_addr().expect("an address");
    quiet(&mut world).set("ENTRA_SYNC__SERVER__LISTEN", address);
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("nobody is answered over HTTP", 1).await;
    daemon.says("pass ended", 1).await;
    assert!(
        daemon.stderr().contains("set server.listen to another"),
        "{}",
        daemon.stderr()
    );
    drop(taken);
    daemon.says("listening for probes", 1).await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}
