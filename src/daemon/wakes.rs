//! What wakes the daemon from outside: signals.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

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

/// Begins to listen; ends when nobody receives any more.
pub(super) fn listen(wakes: mpsc::Sender<Wake>) -> std::io::Result<()> {
    let mut signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
        user: signal(SignalKind::user_defined1())?,
    };
    tokio::spawn(async move { while wakes.send(signals.next().await).await.is_ok() {} });
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user: Signal,
}

impl Signals {
    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.hangup.recv() => Wake::Reload,
            _ = self.user.recv() => Wake::Pass,
        }
    }
}
