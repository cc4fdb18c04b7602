//! The real program, run as its users run it: arguments and environment in,
//! exit code, standard output and standard error out.
//!
//! Invariant: a program sees only the environment that a test gives it, never
//! outlives the test, and is ended by its own process id.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use entra_sync::config::Environment;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::wait::wait_for;

/// Longer than anything that is waited for here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

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

/// A program that runs.
pub struct Running {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    pub fn start(environment: &Environment, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_entra-sync"))
            .args(arguments)
            .env_clear()
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
        self.stderr.lock().expect("no poison").clone()
    }

    /// Waits until standard error holds this so many times.
    pub async fn says(&self, text: &str, times: usize) {
        wait_for(&format!("{times} × {text:?} on standard error"), || async {
            (self.stderr().matches(text).count() >= times).then_some(())
        })
        .await;
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
        let id = self.child.id().expect("it runs").to_string();
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
        let text = |collected: &Mutex<String>| collected.lock().expect("no poison").clone();
        Ended {
            // A signal that nobody handled gives no code.
            code: status.expect("a status").code().unwrap_or(-1),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        }
    }
}

fn collect(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    into: Arc<Mutex<String>>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut collected = into.lock().expect("no poison");
            collected.push_str(&line);
            collected.push('\n');
        }
    })
}
