//! The embedded PostgreSQL, for machines that have none.
//!
//! Invariant: one connection at a time; a second one waits until the first is
//! closed. `statement_timeout` has no effect there.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use pglite_oxide::PgliteServer;

use super::postgres::Folder;
use super::story::Beginning;

/// The embedded server. It stops when it is dropped.
pub(super) struct Embedded {
    server: Option<PgliteServer>,
    url: String,
    beginning: Beginning,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
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
        let server = PgliteServer::builder()
            .path(data)
            .tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .start()
            .context("the embedded PostgreSQL does not start")?;
        let address = server
            .tcp_addr()
            .context("the embedded PostgreSQL has no address")?;
        let url = format!("postgresql://postgres@{address}/template1?sslmode=disable");
        Ok(Self {
            server: Some(server),
            url,
            beginning,
        })
    }

    pub(super) fn beginning(&self) -> Beginning {
        self.beginning
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // Clients are closed by now; what is left goes with the process.
            let _ = server.shutdown();
        }
    }
}
