//! Ending one pass on request: SIGINT and SIGTERM of `entra-sync sync`.
//!
//! Invariant: from the moment that a [`Stop`] is made, the first of them ends
//! the pass in order, and the second one the process at once.
//! Must not: catch SIGHUP, which `nohup` has set to be ignored.

use std::convert::Infallible;
use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Whether somebody has asked the process to end.
pub(super) struct Stop(CancellationToken);

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub(super) fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let asked = CancellationToken::new();
        let stop = Self(asked.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if asked.is_cancelled() {
                    eprintln!("entra-sync: ended at once; the open transaction is rolled back");
                    std::process::exit(1);
                }
                asked.cancel();
            }
        });
        Ok(stop)
    }

    /// What a pass looks at between two transactions.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.0
    }

    /// Waits until somebody asks; at once when somebody has.
    pub(super) async fn asked(&self) {
        self.0.cancelled().await;
    }

    /// Waits until somebody asks, and tells people what that does.
    pub(super) async fn announced(&self) -> Infallible {
        self.asked().await;
        eprintln!("entra-sync: ending after the transaction in flight (again to end at once)");
        std::future::pending().await
    }
}
