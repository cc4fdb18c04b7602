//! Reading the settings again, while everything else goes on.
//!
//! Invariant: one reading is waited for at a time, and who asked while it was
//! under way gets one more. A file may be on a disk that does not answer: that
//! is said after [`SLOW`], and a reading that has not ended after [`LONG`] is
//! given up as soon as somebody asks. Must not: know what is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// As long as a file with a secret may take.
const SLOW: Duration = Duration::from_secs(10);

/// Longer than a disk takes that will still answer.
const LONG: Duration = Duration::from_secs(30);

/// Readings that never end hold a thread each.
const GIVEN_UP_AT_MOST: usize = 8;

/// What came of a reading.
pub(super) type Read<T> = Result<anyhow::Result<T>, JoinError>;

/// The reading that is under way, if one is.
pub(super) struct Reading<T> {
    read: Arc<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    under_way: JoinSet<anyhow::Result<T>>,
    begun: Instant,
    slow: Duration,
    long: Duration,
    said: Said,
    /// Whether somebody has asked since it began.
    once_more: Asked,
    /// Shared with every reading that has not ended, given up or not.
    alive: Arc<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    ItIsSlow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
}

impl<T: Send + 'static> Reading<T> {
    /// Reads this way, which may block.
    pub(super) fn of(read: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static) -> Self {
        Self {
            read: Arc::new(read),
            under_way: JoinSet::new(),
            begun: Instant::now(),
            slow: SLOW,
            long: LONG,
            said: Said::Nothing,
            once_more: Asked::No,
            alive: Arc::new(()),
        }
    }

    /// Somebody wants them read.
    pub(super) fn ask(&mut self) {
        if !self.is_under_way() {
            self.begin();
        } else {
            self.once_more = Asked::Yes;
        }
    }

    /// Whether it has been asked and has not ended.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Waits until a reading has ended, and for ever if none is under way. May
    /// be dropped at any time.
    pub(super) async fn ended(&mut self) -> Read<T> {
        loop {
            let acts_at = self.acts_at();
            tokio::select! {
                Some(read) = self.under_way.join_next() => {
                    if std::mem::replace(&mut self.once_more, Asked::No) == Asked::Yes {
                        self.begin();
                    }
                    return read;
                }
                () = until(acts_at) => self.act(),
            }
        }
    }

    fn begin(&mut self) {
        let read = Arc::clone(&self.read);
        let alive = Arc::clone(&self.alive);
        self.begun = Instant::now();
        self.said = Said::Nothing;
        self.under_way.spawn_blocking(move || {
            let _alive = alive;
            read()
        });
    }

    /// When there is something to be done about the reading that is under way.
    fn acts_at(&self) -> Option<Instant> {
        // This one of ours and the one that is under way are no others.
        let may_go = Arc::strong_count(&self.alive) <= GIVEN_UP_AT_MOST + 1;
        match (self.said, self.once_more) {
            _ if !self.is_under_way() => None,
            (Said::Nothing, _) => Some(self.begun + self.slow),
            (Said::ItIsSlow, Asked::Yes) if may_go => Some(self.begun + self.long),
            (Said::ItIsSlow, _) => None,
        }
    }

    fn act(&mut self) {
        let seconds = self.begun.elapsed().as_secs();
        match self.said {
            Said::Nothing => {
                self.said = Said::ItIsSlow;
                tracing::warn!(
                    seconds,
                    "reading the settings takes long: a file does not answer, or is a pipe that \
                     nobody writes to; the daemon goes on with the settings it has"
                );
            }
            Said::ItIsSlow => {
                tracing::warn!(
                    seconds,
                    "reading the settings has not ended and is given up; they are read anew"
                );
                self.under_way.detach_all();
                self.once_more = Asked::No;
                self.begin();
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
