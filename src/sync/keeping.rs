//! A pass's work, bounded from outside: by the lease that it needs and by the
//! patience of whoever asked the process to end.
//!
//! Invariant: a lost lease and a request to stop reach the work in the same way,
//! so its report always tells what had been written by then.
//! Must not: know what the work is.

use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Error, Result, Source};
use crate::ledger;
use crate::ledger::lease::{self, Lease};

/// Work that does not end even then is dropped, and the lease is given back.
const WORK_GRACE: Duration = Duration::from_secs(6);

/// A database that does not even take the lease back is left alone; systemd
/// and Kubernetes wait longer than this.
const GRACE: Duration = Duration::from_secs(8);

impl Source {
    /// Does the work while the lease is kept. A lost lease ends it where a request
    /// to stop would, so that the report tells what had been written by then.
    pub(super) async fn while_held(
        &self,
        lease: Lease,
        halt: &CancellationToken,
        work: Heap<'_>,
    ) -> Result<()> {
        let mut work = std::pin::pin!(async {
            tokio::select! {
                ended = work => ended,
                () = overdue(halt, WORK_GRACE) => Err(Error::Stopped),
            }
        });
        tokio::select! {
            ended = &mut work => ended,
            lost = self.keep(lease) => {
                halt.cancel();
                match work.await {
                    Err(Error::Stopped) => Err(lost),
                    ended => ended,
                }
            }
        }
    }

    /// Keeps the lease until it is lost, or has run out: whoever could not renew it
    /// in time may have stood still, and what it knows may be as old as that.
    async fn keep(&self, lease: Lease) -> Error {
        let life = self.settings.schedule.lease;
        loop {
            tokio::time::sleep(life / 3).await;
            match lease::renew(&self.database, lease, life).await {
                Ok(()) => {}
                Err(
                    lost @ (ledger::Error::LeaseLost { .. } | ledger::Error::LeaseRanOut { .. }),
                ) => return lost.into(),
                Err(error) => {
                    tracing::warn!(error.message = %error, "the lease was not renewed; trying again");
                }
            }
        }
    }
}

/// On the heap: a pass's future is too large for the stack of a thread.
pub(super) type Heap<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Ends with the process's patience, whatever the database does.
pub(super) async fn in_time(stop: &CancellationToken, work: Heap<'_>) -> Result<()> {
    tokio::select! {
        ended = work => ended,
        () = overdue(stop, GRACE) => {
            tracing::warn!("the database does not answer: the lease runs out by itself");
            Err(Error::Stopped)
        }
    }
}

/// Comes so long after somebody asked the process to end, and never if nobody
/// does.
pub(super) async fn overdue(stop: &CancellationToken, grace: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(grace).await;
}
