//! What wakes the daemon: signals, and the ticker.
//!
//! Invariant: from the moment that a [`Wakes`] is made until the process ends,
//! none of its four signals ends the process by itself. Whoever makes it first
//! and then reads settings cannot be hit in between. A request to end is never
//! behind anything in the queue, and is never forgotten.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A wake carries no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// A second has gone by: is anything due?
    Tick,
    /// SIGUSR1: a pass now.
    Pass,
    /// SIGHUP: settings and secrets again, then a pass.
    Reload,
    /// SIGTERM or SIGINT: end.
    Stop,
}

/// What SIGHUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// Read the settings again, as daemons do.
    Reloads,
    /// The terminal is gone, and so is whoever watched.
    Ends,
}

/// The process's signals, and whatever else wakes the daemon.
pub struct Wakes {
    sender: mpsc::Sender<Wake>,
    queue: mpsc::Receiver<Wake>,
    stop: CancellationToken,
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}

impl Wakes {
    /// Catches SIGTERM, SIGINT, SIGHUP and SIGUSR1 from now on. What comes
    /// before anybody asks is kept.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn listen(hangup: Hangup) -> io::Result<Self> {
        let (sender, queue) = mpsc::channel(16);
        let stop = CancellationToken::new();
        tokio::spawn(end(signal(SignalKind::terminate())?, stop.clone()));
        tokio::spawn(end(signal(SignalKind::interrupt())?, stop.clone()));
        let user = signal(SignalKind::user_defined1())?;
        tokio::spawn(forward(user, Wake::Pass, sender.clone()));
        let hung_up = signal(SignalKind::hangup())?;
        match hangup {
            Hangup::Reloads => tokio::spawn(forward(hung_up, Wake::Reload, sender.clone())),
            Hangup::Ends => tokio::spawn(end(hung_up, stop.clone())),
        };
        Ok(Self {
            sender,
            queue,
            stop,
        })
    }

    /// Waits until somebody asks the process to end; at once when somebody has.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Where the ticker puts its ticks.
    pub(super) fn sender(&self) -> mpsc::Sender<Wake> {
        self.sender.clone()
    }

    /// The next wake; once asked to end, nothing else.
    pub(super) async fn next(&mut self) -> Wake {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Stop,
            // Never closed: this end holds a sender.
            wake = self.queue.recv() => wake.unwrap_or(Wake::Stop),
        }
    }
}

async fn end(mut signal: Signal, stop: CancellationToken) {
    signal.recv().await;
    stop.cancel();
}

/// A full queue makes this wait; signals that come meanwhile count as one.
async fn forward(mut signal: Signal, wake: Wake, wakes: mpsc::Sender<Wake>) {
    while signal.recv().await.is_some() && wakes.send(wake).await.is_ok() {}
}
