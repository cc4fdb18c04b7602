//! A private PostgreSQL, gone when it is dropped.
//!
//! The machine's own binaries are taken when they are there and run; else, in
//! a build with the feature `demo`, the embedded one.
//!
//! Invariant: it listens on loopback only, lets nobody in without a password
//! (machine) and stops however this process ends, killed by force excepted.
//!
//! Must not: read the environment, or touch a server it did not start.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio_postgres::{Client, NoTls};

#[cfg(feature = "demo")]
use super::embedded::Embedded;
use super::machine::{Binaries, Machine};
use super::story::Beginning;

/// The database that is made for LiteLLM's tables.
pub(super) const DATABASE: &str = "litellm";

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often it is asked whether it answers yet.
const START_STEP: Duration = Duration::from_millis(25);

/// Where the data goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder that is removed at the end.
    Temporary,
    /// A folder that stays, and is used again the next time.
    Folder(PathBuf),
}

/// Which server is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The machine's own, else the embedded one.
    OfTheMachine,
    /// The embedded one, whatever the machine has.
    #[cfg(feature = "demo")]
    Embedded,
}

/// The folder in use; a temporary one goes when this does.
#[derive(Debug)]
pub(super) enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn at(place: Place) -> anyhow::Result<Self> {
        match place {
            Place::Temporary => {
                let folder = tempfile::Builder::new()
                    .prefix("entra-sync-demo-")
                    .tempdir();
                folder
                    .map(Self::Temporary)
                    .context("cannot make a temporary folder")
            }
            Place::Folder(path) => {
                std::fs::create_dir_all(&path)
                    .with_context(|| format!("cannot make the folder {}", path.display()))?;
                let path = path
                    .canonicalize()
                    .with_context(|| format!("cannot use the folder {}", path.display()))?;
                Ok(Self::Kept(path))
            }
        }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// What runs. The server is named before its folder so that it stops first.
#[derive(Debug)]
enum Running {
    Machine {
        server: Machine,
        _folder: Folder,
    },
    #[cfg(feature = "demo")]
    Embedded {
        server: Embedded,
        _folder: Folder,
    },
}

/// A PostgreSQL of our own.
#[derive(Debug)]
pub struct PrivatePostgres {
    running: Running,
}

impl PrivatePostgres {
    /// Starts a server and makes the database. Let it end: broken off, it would
    /// go on by itself for a while.
    ///
    /// # Errors
    /// When there are neither usable binaries nor an embedded server, or the
    /// one that there is does not start; the message says why and what helps.
    pub async fn start(place: Place, server: Server) -> anyhow::Result<Self> {
        let binaries = match server {
            Server::OfTheMachine => Binaries::find().context(
                "no PostgreSQL binaries (initdb, postgres) under /usr/lib/postgresql or on the \
                 usual paths; installing the package `postgresql` helps",
            ),
            #[cfg(feature = "demo")]
            Server::Embedded => Err(anyhow::anyhow!("it was asked for")),
        };
        let why = match binaries {
            Err(why) => why,
            Ok(binaries) => match Self::start_machine(binaries, place.clone()).await {
                Ok(running) => return Ok(running),
                Err(why) => why.context("the machine's PostgreSQL does not start"),
            },
        };
        Self::start_embedded(place, why).await
    }

    async fn start_machine(binaries: Binaries, place: Place) -> anyhow::Result<Self> {
        let started = spawn_blocking(move || {
            let folder = Folder::at(place)?;
            Machine::start(&binaries, &folder).map(|server| (server, folder))
        });
        let (server, folder) = started
            .await
            .context("starting PostgreSQL was interrupted")??;
        // In this order: what is declared last is dropped first.
        let folder = folder;
        let mut server = server;
        let client = wait_until_it_answers(&mut server).await?;
        let known = client
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE])
            .await
            .context("cannot list databases")?;
        if known.is_none() {
            client
                .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
                .await
                .context("cannot make the database")?;
        }
        Ok(Self {
            running: Running::Machine {
                server,
                _folder: folder,
            },
        })
    }

    #[cfg(feature = "demo")]
    async fn start_embedded(place: Place, why: anyhow::Error) -> anyhow::Result<Self> {
        tracing::info!(reason = format!("{why:#}"), "using the embedded PostgreSQL");
        let (server, folder) = spawn_blocking(move || {
            let folder = Folder::at(place)?;
            Embedded::start(&folder).map(|server| (server, folder))
        })
        .await
        .context("starting the embedded PostgreSQL was interrupted")??;
        Ok(Self {
            running: Running::Embedded {
                server,
                _folder: folder,
            },
        })
    }

    #[cfg(not(feature = "demo"))]
    async fn start_embedded(_place: Place, why: anyhow::Error) -> anyhow::Result<Self> {
        Err(why)
    }

    /// A libpq URL with user, password and database, without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.running {
            Running::Machine { server, .. } => server.url(DATABASE),
            #[cfg(feature = "demo")]
            Running::Embedded { server, .. } => server.url(),
        }
    }

    /// How many connections may be open at one time. The embedded server has
    /// one; a second one would wait until the first is closed.
    #[must_use]
    pub fn pool_size(&self) -> usize {
        match &self.running {
            Running::Machine { .. } => 8,
            #[cfg(feature = "demo")]
            Running::Embedded { .. } => 1,
        }
    }

    /// What was found in the folder.
    #[must_use]
    pub fn beginning(&self) -> Beginning {
        match &self.running {
            Running::Machine { server, .. } => server.beginning(),
            #[cfg(feature = "demo")]
            Running::Embedded { server, .. } => server.beginning(),
        }
    }

    /// What runs, for the story.
    #[must_use]
    pub fn description(&self) -> String {
        match &self.running {
            Running::Machine { server, .. } => server.description(),
            #[cfg(feature = "demo")]
            Running::Embedded { .. } => "the embedded PostgreSQL (one connection only)".to_owned(),
        }
    }

    /// Runs a script over a connection of its own, closed before it returns.
    ///
    /// # Errors
    /// When the database refuses the connection or the script.
    pub async fn execute(&self, script: &str) -> anyhow::Result<()> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls)
            .await
            .context("cannot connect to the private PostgreSQL")?;
        let connection = tokio::spawn(connection);
        let done = client
            .batch_execute(script)
            .await
            .context("the script failed");
        drop(client);
        // The next connection must find this one closed (pool of one).
        connection
            .await
            .context("the connection broke off")?
            .context("the connection failed")?;
        done
    }

    /// Stops the server and removes a temporary folder, away from the threads
    /// that serve the runtime.
    pub async fn stop(self) {
        // A panic while dropping was reported where it happened.
        let _ = spawn_blocking(move || drop(self)).await;
    }
}

async fn wait_until_it_answers(server: &mut Machine) -> anyhow::Result<Client> {
    let url = server.url("postgres");
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    loop {
        match tokio_postgres::connect(&url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return Ok(client);
            }
            Err(error) => {
                server.still_runs()?;
                if tokio::time::Instant::now() > deadline {
                    return Err(error).context("PostgreSQL did not answer in time");
                }
            }
        }
        tokio::time::sleep(START_STEP).await;
    }
}
