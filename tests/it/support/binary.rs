//! The real program, run as its users run it: arguments and environment in,
//! exit code, standard output and standard error out.
//!
//! Invariant: a program sees only the environment that a test gives it, never
//! outlives the test, and is ended by its own process id.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entra_sync::config::Environment;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::wait::wait_for;

/// Longer than anything that is waited for here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A little less than what [`wait_for`] waits, which cannot show what was said.
const SOONER: Duration = Duration::from_secs(80);

/// Within this a program that is asked to end has ended: the ten seconds that are
/// promised, and as many for a machine that is busy with other tests. What keeps
/// one from ending keeps it for ten minutes.
pub const PROMISED: Duration = Duration::from_secs(20);

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Standard output as one JSON value and nothing else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON value: {error}\n{self:#?}"))
    }

    /// The one message that it ended with: one line, said once, no dump of
    /// anything.
    pub fn message(&self) -> &str {
        let mut messages = self
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("entra-sync: "));
        let (Some(message), None) = (messages.next(), messages.next()) else {
            panic!("not exactly one message: {self:#?}");
        };
        for dump in [
            " { ",
            "Error(",
            "Some(",
            "\\n",
            "panicked",
            "stack backtrace",
        ] {
            assert!(!message.contains(dump), "a dump ({dump}): {message}");
        }
        let said =
            self.stderr.matches(message).count() + self.stdout_text().matches(message).count();
        assert_eq!(said, 1, "said {said} times: {self:#?}");
        message
    }

    /// What is for people on standard output; JSON repeats messages by design.
    fn stdout_text(&self) -> &str {
        if self.stdout.starts_with('{') {
            ""
        } else {
            &self.stdout
        }
    }

    /// Asserts the exit code, showing everything when it is another.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// Runs the program to its end.
pub async fn entra_sync(environment: &Environment, arguments: &[&str]) -> Ended {
    Running::start(environment, arguments).ended().await
}

/// Whether this is a `sync` that would go on from what is known. Most tests are
/// about what a whole reading shows; `incremental` is about the others.
fn reads_what_changed(arguments: &[&str]) -> bool {
    let is_sync = arguments.contains(&"sync");
    let narrower = ["--full", "--group", "--user", "--help"];
    is_sync && !arguments.iter().any(|argument| narrower.contains(argument))
}

/// A program that runs.
pub struct Running {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    pub fn start(environment: &Environment, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entra-sync"));
        command.args(arguments);
        if reads_what_changed(arguments) {
            command.arg("--full");
        }
        Self::command(environment, command)
    }

    /// The same, word by word: `sync` then asks what has changed.
    pub fn verbatim(environment: &Environment, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_entra-sync"));
        command.args(arguments);
        Self::command(environment, command)
    }

    /// The same with standard error, and only that, on a terminal of its own, a
    /// hundred columns wide. What it shows arrives as standard output here; its
    /// own standard output goes into the file.
    pub fn on_a_terminal(environment: &Environment, argument: &str, stdout: &Path) -> Self {
        let program = env!("CARGO_BIN_EXE_entra-sync");
        let stdout = stdout.display();
        let line = format!("stty cols 100 rows 24; exec '{program}' {argument} >'{stdout}'");
        // util-linux's, on every Debian. It gives a command a terminal.
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let mut environment = environment.clone();
        environment.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        environment.insert("TERM".to_owned(), "xterm".to_owned());
        Self::command(&environment, command)
    }

    fn command(environment: &Environment, mut command: Command) -> Self {
        // Tests run side by side: each daemon listens where nobody else does.
        let is_daemon = command.as_std().get_args().any(|word| word == "run");
        command.env_clear();
        if is_daemon {
            command.env("ENTRA_SYNC__SERVER__LISTEN", "127.0.0.1:0");
        }
        let mut child = command
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().expect("a pipe"), Arc::clone(&stdout)),
            collect(child.stderr.take().expect("a pipe"), Arc::clone(&stderr)),
        ];
        Self {
            child,
            stdout,
            stderr,
            readers,
        }
    }

    /// What it has said on standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Waits until standard output holds this.
    pub async fn tells(&self, words: &str) {
        wait_for(&format!("{words:?} on standard output"), || async {
            text(&self.stdout).contains(words).then_some(())
        })
        .await;
    }

    /// Waits until standard error holds this so many times; shows all of it when
    /// it does not.
    pub async fn says(&self, text: &str, times: usize) {
        let what = format!("{times} × {text:?} on standard error");
        let saying = wait_for(&what, || async {
            (self.stderr().matches(text).count() >= times).then_some(())
        });
        if tokio::time::timeout(SOONER, saying).await.is_err() {
            panic!("{times} × {text:?} was not said:\n{}", self.stderr());
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Whether it has taken charge of all these signals, by their numbers; the
    /// kernel's own mask says so.
    pub fn catches(&self, signals: &[u32]) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let caught = status.expect("it runs");
        let caught = caught
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .expect("a mask");
        signals
            .iter()
            .all(|number| caught & (1 << (number - 1)) != 0)
    }

    /// Waits until it has ended by itself, and leaves the rest to [`Self::ended`].
    pub async fn over(&self) {
        let id = self.child.id().expect("nobody has waited for it");
        let status = format!("/proc/{id}/stat");
        wait_for("the program to end", || async {
            let line = std::fs::read_to_string(&status).unwrap_or_default();
            // Ended, and not yet waited for.
            line.rsplit(')')
                .next()?
                .trim()
                .starts_with('Z')
                .then_some(())
        })
        .await;
    }

    /// Sends a signal, by the program's own process id.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .await
            .expect("kill is there");
        assert!(sent.success(), "{name} was not sent");
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("it did not end within {PATIENCE:?}: {}", self.stderr());
        };
        for reader in self.readers {
            reader.await.expect("the pipe is read to its end");
        }
        Ended {
            // A signal that nobody handled gives no code.
            code: status.expect("a status").code().unwrap_or(-1),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

fn text(collected: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&collected.lock().expect("no poison")).into_owned()
}

/// Every byte as it was written.
fn collect(
    mut pipe: impl AsyncRead + Unpin + Send + 'static,
    into: Arc<Mutex<Vec<u8>>>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut part).await {
            let mut collected = into.lock().expect("no poison");
            collected.extend_from_slice(&part[..read]);
        }
    })
}
