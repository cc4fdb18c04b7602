//! What the daemon tells the service manager that started it.

use std::time::Duration;

use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::sync::mpsc;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, quiet};
use crate::early_signals::Pipe;
use crate::support::World;
use crate::support::binary::Running;

/// The end of the socket where a service manager listens.
struct Manager {
    said: mpsc::UnboundedReceiver<String>,
    heard: Vec<String>,
    _folder: TempDir,
}

impl Manager {
    fn of(world: &mut World) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("notify");
        world.set("NOTIFY_SOCKET", path.display());
        // Fed each second.
        world.set("WATCHDOG_USEC", 2_000_000);
        let socket = UnixDatagram::bind(path).expect("a socket");
        let (sender, said) = mpsc::unbounded_channel();
        // The kernel keeps only a few that nobody has read.
        tokio::spawn(async move {
            loop {
                let mut message = vec![0; 4096];
                let length = socket.recv(&mut message).await.expect("a message");
                message.truncate(length);
                let message = String::from_utf8(message).expect("UTF-8");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self {
            said,
            heard: Vec::new(),
            _folder: folder,
        }
    }

    /// Waits for a message with this in it; gives the message.
    async fn hears(&mut self, words: &str) -> String {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(90), self.said.recv())
                .await
                .unwrap_or_else(|_| panic!("{words:?} was not said: {:#?}", self.heard))
                .expect("a message");
            self.heard.push(message.clone());
            if message.contains(words) {
                return message;
            }
        }
    }

    fn has_heard(&self, words: &str) -> usize {
        self.heard.iter().filter(|one| one.contains(words)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_the_start_the_passes_the_settings_and_the_end() {
    let mut world = world().await;
    quiet(&mut world);
    let mut manager = Manager::of(&mut world);
    let settings = Pipe::new().await;
    let daemon = Running::start(world.environment(), &settings.arguments("run"));
    settings.write("{}\n").await;

    let first = manager.hears("READY=1").await;
    assert_eq!(
        manager.heard.len(),
        1,
        "nothing before: {:?}",
        manager.heard
    );
    assert!(first.contains("STATUS="), "{first}");
    manager.hears("STATUS=pass running since 2").await;
    manager.hears("STATUS=idle; last pass succeeded at 2").await;
    // What stays the same is said once, and still the loop turns.
    let said = manager.has_heard("STATUS=");
    for _ in 0..2 {
        manager.hears("WATCHDOG=1").await;
    }
    assert_eq!(manager.has_heard("STATUS="), said, "{:#?}", manager.heard);

    // The disk with the settings does not answer.
    daemon.signal("HUP").await;
    let reloading = manager.hears("RELOADING=1").await;
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    assert!(
        reloading.contains("STATUS=reading the settings again; idle; "),
        "{reloading}"
    );
    let begun = manager.heard.len();
    daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "unchanged");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    let meanwhile = &manager.heard[begun..];
    assert!(
        meanwhile.iter().all(|one| !one.contains("READY=1")),
        "{meanwhile:#?}"
    );
    settings.write("{}\n").await;
    manager.hears("READY=1").await;
    assert_eq!(pass_by(&world, "reload", 1).await, "unchanged");

    daemon.signal("TERM").await;
    manager.hears("STOPPING=1").await;
    let ended = daemon.ended().await.exits_with(0);
    assert!(!ended.stderr.contains("was not told"), "{}", ended.stderr);
}
