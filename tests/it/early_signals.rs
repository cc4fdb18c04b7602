//! Signals that come early, and signals that come while nobody answers.
//!
//! Until a program has told the kernel otherwise, a signal ends it: nothing can
//! be promised before that. So these tests wait for the first moment at which
//! the kernel says that the signals are caught, and the settings file is a pipe
//! that nobody writes to: what has not happened by then happens too late.

use std::path::{Path, PathBuf};
use std::time::Instant;

use entra_sync::simulator::{Effect, Fault};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, quiet};
use crate::support::World;
use crate::support::binary::{Ended, PROMISED, Running};
use crate::support::database::connect;
use crate::support::wait::wait_for;

const HUP: u32 = 1;
const INT: u32 = 2;
const USR1: u32 = 10;
const TERM: u32 = 15;

/// Sends a signal; the program must end within the time that is promised.
async fn ends_on(running: Running, signal: &str, code: i32) -> Ended {
    let begun = Instant::now();
    running.signal(signal).await;
    let ended = running.ended().await.exits_with(code);
    assert!(
        begun.elapsed() < PROMISED,
        "{signal}: {:?}",
        begun.elapsed()
    );
    ended
}

/// A pipe at this path, in the place of what is there.
pub async fn make_pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    let made = tokio::process::Command::new("mkfifo")
        .arg(path)
        .status()
        .await;
    assert!(made.expect("mkfifo is there").success());
}

/// A settings file that is a pipe: whoever reads it waits for a writer.
pub struct Pipe {
    path: PathBuf,
    _folder: TempDir,
}

impl Pipe {
    pub async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("settings.yaml");
        make_pipe(&path).await;
        Self {
            path,
            _folder: folder,
        }
    }

    pub fn arguments<'a>(&'a self, command: &'a str) -> [&'a str; 3] {
        [command, "--config", self.path.to_str().expect("UTF-8")]
    }

    /// Waits until somebody reads, and gives them this.
    pub async fn write(&self, text: &str) {
        let mut writer = self.read().await;
        writer.write_all(text.as_bytes()).await.expect("it reads");
    }

    /// Waits until somebody reads.
    async fn read(&self) -> pipe::Sender {
        reader_of(&self.path).await
    }
}

async fn reader_of(path: &Path) -> pipe::Sender {
    wait_for("somebody who reads the settings", || async {
        // Refused for as long as nobody has opened the other end.
        pipe::OpenOptions::new().open_sender(path).ok()
    })
    .await
}

/// A server that takes connections and never says a word: its port, and how
/// many connections it has taken.
async fn silent() -> (u16, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        let mut guests = Vec::new();
        while let Ok((guest, _)) = listener.accept().await {
            guests.push(guest);
            count.send_replace(guests.len());
        }
    });
    (port, counted)
}

async fn with_a_silent_database(world: &mut World) -> watch::Receiver<usize> {
    let mut url: url::Url = world.environment()["DATABASE_URL"].parse().expect("a URL");
    let (port, guests) = silent().await;
    url.set_port(Some(port)).expect("a host");
    // A URL may ask to wait for ever; ending must not depend on it.
    world.set("DATABASE_URL", format!("{url}?connect_timeout=0"));
    guests
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_catches_its_signals_before_it_reads_its_settings() {
    let world = world().await;
    for signal in ["TERM", "INT"] {
        let settings = Pipe::new().await;
        let daemon = Running::start(world.environment(), &settings.arguments("run"));
        let _writer = settings.read().await;
        assert!(daemon.catches(&[HUP, INT, USR1, TERM]));
        let ended = ends_on(daemon, signal, 0).await;
        assert_eq!(ended.stdout, "");
    }
    assert!(world.entra.requests().log.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn early_requests_for_a_pass_or_new_settings_kill_nobody_and_are_kept() {
    let mut world = world().await;
    quiet(&mut world).set("ENTRA_SYNC__SCHEDULE__ON_START", "false");
    let settings = Pipe::new().await;
    let daemon = Running::start(world.environment(), &settings.arguments("run"));
    let mut writer = settings.read().await;
    daemon.signal("USR1").await;
    writer.write_all(b"{}\n").await.expect("it reads");
    drop(writer);
    assert_eq!(pass_by(&world, "signal", 1).await, "succeeded");

    // Settings that are read again and do not come keep nobody from ending.
    daemon.signal("HUP").await;
    let writer = settings.read().await;
    ends_on(daemon, "TERM", 0).await;
    drop(writer);

    let daemon = Running::start(world.environment(), &settings.arguments("run"));
    let mut writer = settings.read().await;
    daemon.signal("HUP").await;
    writer.write_all(b"{}\n").await.expect("it reads");
    drop(writer);
    daemon.says("entra-sync is up", 1).await;
    let mut writer = settings.read().await;
    writer.write_all(b"{}\n").await.expect("it reads again");
    drop(writer);
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");
    ends_on(daemon, "TERM", 0).await;
}

/// What nobody writes to is given up for whoever asks once more.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_never_come_do_not_keep_the_next_hup_from_being_heard() {
    let mut world = world().await;
    quiet(&mut world);
    let settings = Pipe::new().await;
    let daemon = Running::start(world.environment(), &settings.arguments("run"));
    settings.write("{}\n").await;
    assert_eq!(pass_by(&world, "start", 1).await, "succeeded");
    daemon.signal("HUP").await;
    daemon.says("reading the settings takes long", 1).await;
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    std::fs::remove_file(&settings.path).expect("removed");
    let better = "litellm: {create_organizations: true}\n";
    std::fs::write(&settings.path, better).expect("written");
    daemon.signal("HUP").await;
    daemon.says("is given up; they are read anew", 1).await;
    assert_eq!(pass_by(&world, "reload", 1).await, "succeeded");
    assert_eq!(world.count("LiteLLM_OrganizationTable").await, 2);
    ends_on(daemon, "TERM", 0).await;
}

/// Starts a daemon again and again, and asks it to end a little later each
/// time: later by so many looks at what the kernel says about it.
async fn ends_at_any_moment(world: &World) {
    for looks in 0..10_u32 {
        let daemon = Running::start(world.environment(), &["run"]);
        // The last of the four: a signal that comes just as its own handler is
        // put in is taken from the kernel, and nobody listens yet.
        wait_for("a daemon that catches signals", || async {
            daemon.catches(&[HUP]).then_some(())
        })
        .await;
        for _ in 0..looks.pow(3) {
            assert!(daemon.catches(&[TERM]), "it catches them ever after");
        }
        ends_on(daemon, "TERM", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_at_any_moment_of_its_start() {
    let mut world = world().await;
    quiet(&mut world);
    ends_at_any_moment(&world).await;
    // Whatever was broken off, whoever comes next finds a lease that is free.
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_at_any_moment_while_its_database_says_nothing() {
    let mut world = world().await;
    quiet(&mut world);
    with_a_silent_database(&mut world).await;
    ends_at_any_moment(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_at_any_moment_while_entra_says_nothing() {
    let mut world = world().await;
    quiet(&mut world);
    let never = Fault::new(Effect::Latency {
        milliseconds: 600_000,
    });
    world.entra.fault(never.always());
    ends_at_any_moment(&world).await;
    let token = format!("http://127.0.0.1:{}/token", silent().await.0);
    world.set("MICROSOFT_TOKEN_ENDPOINT", token);
    ends_at_any_moment(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_still_reading_its_settings_ends_with_1_and_says_so() {
    let world = world().await;
    for signal in ["TERM", "INT"] {
        let settings = Pipe::new().await;
        let sync = Running::start(world.environment(), &settings.arguments("sync"));
        let _writer = settings.read().await;
        assert!(sync.catches(&[INT, TERM]));
        assert!(!sync.catches(&[HUP]), "nohup says who ignores it");
        let ended = ends_on(sync, signal, 1).await;
        assert!(ended.message().contains("ended on request"));
    }
    assert!(world.entra.requests().log.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_ends_with_1_while_its_database_says_nothing() {
    let mut world = world().await;
    let mut guests = with_a_silent_database(&mut world).await;
    let sync = Running::start(world.environment(), &["sync", "--format", "json"]);
    guests
        .wait_for(|guests| *guests > 0)
        .await
        .expect("a connection");
    let ended = ends_on(sync, "TERM", 1).await;
    assert_eq!(ended.json()["status"], "failed");
    assert!(
        ended.stderr.contains("ended on request"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_gives_up_a_statement_that_takes_too_long_and_gives_the_lease_back() {
    let world = world().await;
    // Longer than anybody waits; the connection goes first.
    world
        .on_write("LiteLLM_UserTable", "true", "PERFORM pg_sleep(600);")
        .await;
    let superuser = connect(&world.database.url_as("postgres")).await;
    let sync = Running::start(world.environment(), &["sync", "--format", "json"]);
    wait_for("a statement that does not end", || async {
        let asked = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
                     AND datname = current_database()";
        let found = superuser.query_opt(asked, &[]).await;
        found.expect("a look").map(drop)
    })
    .await;
    let ended = ends_on(sync, "INT", 1).await;
    assert_eq!(ended.json()["status"], "failed");
    assert!(
        ended.stderr.contains("ended on request"),
        "{}",
        ended.stderr
    );
    let runs = world.database.rows("entra_sync.run").await;
    assert_eq!(runs[0]["status"], "failed");
    assert_eq!(world.count("LiteLLM_UserTable").await, 0);
    // Nobody waits for a lease that nobody holds.
    world.relent().await;
    world.settle().await;
}
