//! The embedded PostgreSQL, for machines that have none.
//!
//! It runs as a child of this process, the same program again: it unpacks
//! itself into the cache folder of whoever calls, some 100 MB, and only an
//! environment variable can send it elsewhere. The child's environment says our
//! own folder and nothing more.
//!
//! Invariant: one connection at a time; a second one waits until the first is
//! closed. `statement_timeout` has no effect there. The child ends when its
//! standard input does, so it does not outlive us even if we are killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use clap::Args;
use pglite_oxide::PgliteServer;

use super::children;
use super::postgres::Folder;
use super::story::Beginning;

/// The hidden subcommand that the child is.
const COMMAND: &str = "embedded-postgres";

/// `entra-sync embedded-postgres`.
#[derive(Debug, Clone, Args)]
pub struct EmbeddedArguments {
    /// Where its data is, or will be.
    pub data: PathBuf,
}

impl EmbeddedArguments {
    /// Serves until standard input ends; says its address in one line on
    /// standard output as soon as it can be reached. Blocks.
    ///
    /// # Errors
    /// When the server does not start, or nobody reads the address.
    pub fn serve(&self) -> anyhow::Result<()> {
        let server = PgliteServer::builder()
            .path(&self.data)
            .tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .start()
            .context("the embedded PostgreSQL does not start")?;
        let address = server
            .tcp_addr()
            .context("the embedded PostgreSQL has no address")?;
        let mut out = std::io::stdout();
        writeln!(out, "{address}").and_then(|()| out.flush())?;
        // Nothing is ever written there.
        std::io::stdin().read_to_end(&mut Vec::new())?;
        server
            .shutdown()
            .context("the embedded PostgreSQL does not stop")
    }
}

/// The embedded server. It stops when it is dropped.
#[derive(Debug)]
pub(super) struct Embedded {
    child: Child,
    url: String,
    beginning: Beginning,
}

impl Embedded {
    /// Starts it on the folder. Blocks.
    pub(super) fn start(folder: &Folder) -> anyhow::Result<Self> {
        let data = folder.path().join("embedded");
        let beginning = if data.exists() {
            Beginning::AsItWasLeft
        } else {
            Beginning::Empty
        };
        let child = spawn(folder.path(), &data).context("cannot start the embedded PostgreSQL")?;
        // From here on it is stopped by being dropped.
        let mut server = Self {
            child,
            url: String::new(),
            beginning,
        };
        let mut address = String::new();
        if let Some(said) = server.child.stdout.take() {
            BufReader::new(said).read_line(&mut address)?;
        }
        let address: SocketAddr = address
            .trim()
            .parse()
            .context("the embedded PostgreSQL ended before it could be reached")?;
        server.url = format!("postgresql://postgres@{address}/template1?sslmode=disable");
        Ok(server)
    }

    pub(super) fn beginning(&self) -> Beginning {
        self.beginning
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }
}

fn spawn(folder: &Path, data: &Path) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg(COMMAND)
        .arg(data)
        .env_clear()
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("TMPDIR", folder)
        // A group of its own: Ctrl-C is for us, and we stop it in order.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // Its standard input ends.
        drop(self.child.stdin.take());
        children::wait_or_kill(&mut self.child);
    }
}
