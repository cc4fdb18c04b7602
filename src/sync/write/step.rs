//! How a list of objects is written: in batches, fenced, tried again, and
//! halved around a bad one.
//!
//! Invariant: the pass ends with a durable commit (its run row), so whatever a
//! report says was done is on disk when it is said.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{Instrument, trace_span};

use super::Tally;
use super::pace::Pace;
use crate::db::{Database, Limits, Transaction};
use crate::ledger::lease::{self, Lease};
use crate::litellm::Writing;
use crate::model::ids::RunId;
use crate::model::policy::Policy;
use crate::sync::TRANSACTION_GRACE;
use crate::sync::error::{Error, Result};
use crate::sync::keeping::overdue;
use crate::sync::progress::Progress;

/// How often one transaction is tried when a lock or the connection fails it.
const ATTEMPTS: u32 = 5;

/// What every writer works with.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) database: &'a Database,
    pub(super) policy: &'a Policy,
    pub(super) writing: Writing<'a>,
    pub(super) lease: Lease,
    pub(super) run: RunId,
    pub(super) progress: &'a Progress,
    pub(super) stop: &'a CancellationToken,
}

/// One object that is written, together with others of its kind.
pub(super) trait Writable: Sized {
    /// Writes these, in the given transaction; the tally is kept only if it
    /// commits.
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally>;

    /// Notes that this one cannot be written, and why.
    fn refuse(&self, error: &Error, tally: &mut Tally);

    /// Whether a failure has befallen all of a batch at once; else it may be
    /// about one of them, and halving the batch finds out which.
    fn befalls_all(error: &Error) -> bool {
        error.is_forbidden()
    }

    /// Notes such a failure: none of them is written, and it is said once.
    fn refuse_all(items: &[Self], error: &Error, tally: &mut Tally) {
        refuse_once(items, error, tally);
    }
}

impl Desk<'_> {
    /// Writes all items, so many in a transaction at most.
    pub(super) async fn run<W: Writable>(
        self,
        items: &[W],
        most: usize,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut pace = Pace::of(most);
        let mut rest = items;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(pace.size().min(rest.len()));
            self.run_batch(now, now.len(), &mut pace, tally).await?;
            rest = later;
        }
        Ok(())
    }

    /// Writes these in one transaction, which is so much work. Halves a batch
    /// that fails until the culprit stands alone.
    pub(super) async fn run_batch<W: Writable>(
        self,
        items: &[W],
        weight: usize,
        pace: &mut Pace,
        tally: &mut Tally,
    ) -> Result<()> {
        let whole = items.len();
        let mut open = vec![items];
        while let Some(items) = open.pop() {
            match self.attempt(items, tally).await {
                Ok(done) => {
                    if items.len() == whole {
                        pace.took(weight, done.longest_lock);
                    }
                    tally.absorb(done);
                    self.progress.advance(items.len());
                }
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) if W::befalls_all(&error) => {
                    W::refuse_all(items, &error, tally);
                    self.progress.advance(items.len());
                }
                Err(error) => match items {
                    [] => {}
                    [one] => {
                        one.refuse(&error, tally);
                        self.progress.advance(1);
                    }
                    many => {
                        let (front, back) = many.split_at(many.len() / 2);
                        // The front is popped first: order is kept.
                        open.push(back);
                        open.push(front);
                    }
                },
            }
        }
        Ok(())
    }

    async fn attempt<W: Writable>(self, items: &[W], tally: &mut Tally) -> Result<Tally> {
        let mut attempt = 1;
        loop {
            // Between transactions is where a pass may end.
            if self.stop.is_cancelled() {
                return Err(Error::Stopped);
            }
            let ended = tokio::select! {
                ended = self.once(items, tally) => ended,
                () = overdue(self.stop, TRANSACTION_GRACE) => {
                    tracing::warn!("the transaction in flight takes too long and is rolled back");
                    Err(Error::Stopped)
                }
            };
            match ended {
                // A writer that does not take LiteLLM's locks may have been
                // faster: a second look sees its row, if that is all.
                Err(error)
                    if (error.is_retryable() && attempt < tries(items, &error))
                        || (error.is_duplicate() && attempt == 1) =>
                {
                    tracing::debug!(error.message = %error, attempt, "a transaction is tried again");
                    let pause = Duration::from_millis(50) * 3_u32.pow(attempt);
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                ended => return ended,
            }
        }
    }

    /// What failed is no part of the tally, but it may have kept others waiting.
    async fn once<W: Writable>(self, items: &[W], tally: &mut Tally) -> Result<Tally> {
        let name = std::any::type_name::<W>();
        let name = name.split('<').next().unwrap_or(name);
        let span = trace_span!(
            "transaction",
            objects.kind = name.rsplit("::").next().unwrap_or(name),
            objects.count = items.len(),
        );
        self.once_inside(items, tally).instrument(span).await
    }

    async fn once_inside<W: Writable>(self, items: &[W], tally: &mut Tally) -> Result<Tally> {
        let mut transaction = self.database.begin(Limits::WRITE_OF_MANY).await?;
        let begun = Instant::now();
        match self.fenced(&mut transaction, items).await {
            Ok(mut done) => {
                transaction.commit().await?;
                let locked_at = done.locked_at.unwrap_or(begun);
                done.longest_lock = locked_at.elapsed();
                let waited = locked_at.duration_since(begun);
                self.database.figures().locks(waited, done.longest_lock);
                done.transactions = 1;
                Ok(done)
            }
            Err(error) => {
                // Its locks must be free before anything is tried again: a
                // closed connection may keep them for a moment, and a team
                // would look as if somebody else worked on it.
                if let Err(broken) = transaction.rollback().await {
                    tracing::debug!(error.message = %broken, "a failed transaction was left to the server");
                }
                // One that waited for a lock of somebody else's has rather been
                // kept waiting.
                if !error.is_about_a_lock() {
                    tally.longest_lock = tally.longest_lock.max(begun.elapsed());
                }
                Err(error)
            }
        }
    }

    async fn fenced<W: Writable>(
        self,
        transaction: &mut Transaction,
        items: &[W],
    ) -> Result<Tally> {
        lease::fence(transaction, self.lease).await?;
        W::write(self, transaction, items).await
    }
}

/// How often a transaction is tried that failed so. A lock that one of many
/// needs keeps all of them: they part at once, and only that one waits for it.
fn tries<W: Writable>(items: &[W], error: &Error) -> u32 {
    if items.len() > 1 && error.is_about_a_lock() && !W::befalls_all(error) {
        1
    } else {
        ATTEMPTS
    }
}

/// Everything of a batch is missing afterwards, but it is said once.
pub(super) fn refuse_once<W: Writable>(items: &[W], error: &Error, tally: &mut Tally) {
    let mut refused = Tally::default();
    for item in items {
        item.refuse(error, &mut refused);
    }
    let mut errors = std::mem::take(&mut refused.errors).into_iter();
    if let Some(mut first) = errors.next() {
        let others = errors.count();
        if others > 0 {
            first.message = format!("{}; the same for {others} more", first.message);
        }
        tally.errors.push(first);
    }
    tally.absorb(refused);
}
