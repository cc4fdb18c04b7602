//! What people and probes see over HTTP: health, metrics and the API.
//!
//! Invariant: nothing here can hold up a pass. The port has its own bounds on
//! connections, time and size, and its own connection to the database; a port
//! that cannot be had is tried again while passes go on.
//! Must not: change anything for somebody who does not show the token, or show
//! names, addresses or secrets to somebody who is not on this machine and does
//! not show it either.

mod access;
mod api;
mod exposition;
mod health;
mod listener;
mod metrics;
mod notifications;
mod openapi;
mod processes;
mod resync;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::daemon::{Board, InUse};

pub use metrics::Metrics;

/// A port that is taken is asked for again after so long.
const AGAIN: Duration = Duration::from_secs(10);

/// Whoever is being answered when the daemon ends has this long.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much later than a pass an answer gets the processor.
const NICENESS: i32 = 10;

/// The running server.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Server {
    /// Begins to listen where the settings say, as soon as there are any. On a
    /// thread of its own, behind those of passes: however many ask, a pass has
    /// the processors that it had.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub fn start(board: Board, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let (ending, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                step_back();
                runtime.block_on(serve(board, metrics, stopped));
                // Nobody waits for what a broken connection still does.
                runtime.shutdown_background();
                let _ = ending.send(());
            })?;
        Ok(Self { stop, ended })
    }

    /// Ends within a second.
    pub async fn end(self) {
        self.stop.cancel();
        if tokio::time::timeout(FAREWELL, self.ended).await.is_err() {
            tracing::debug!("somebody was still being answered over HTTP");
        }
    }
}

/// Linux keeps priorities by thread. A sandbox that forbids it loses nothing
/// but that.
fn step_back() {
    let me = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(me), NICENESS) {
        tracing::debug!(error.message = %error, "HTTP is answered at the priority of passes");
    }
}

async fn serve(board: Board, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut in_use = board.in_use();
    let mut listening: Option<Listening> = None;
    let mut said = None;
    loop {
        let wanted = in_use.borrow_and_update().clone();
        if let Some(address) = wanted.as_ref().and_then(address)
            && listening.as_ref().is_none_or(|one| one.wanted != address)
        {
            if let Some(before) = listening.take() {
                before.end().await;
            }
            match Listening::begin(address, &board, &metrics).await {
                Ok(begun) => {
                    listening = Some(begun);
                    said = None;
                }
                Err(error) => {
                    // Once, for whoever runs two daemons on one machine.
                    if said.replace(address) != Some(address) {
                        complain(address, &error);
                    }
                }
            }
        }
        let missing = wanted.is_some() && listening.is_none();
        tokio::select! {
            () = stop.cancelled() => break,
            changed = in_use.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(AGAIN), if missing => {}
        }
    }
    if let Some(listening) = listening {
        listening.end().await;
    }
}

/// All sources of a daemon are served at one place.
fn address(in_use: &InUse) -> Option<SocketAddr> {
    in_use.settings.first().map(|first| first.server.listen)
}

fn complain(wanted: SocketAddr, error: &std::io::Error) {
    tracing::error!(
        http.address = %wanted,
        error.message = %error,
        "nobody is answered over HTTP; passes go on, and the port is tried again every {} s: free \
         it, or set server.listen to another",
        AGAIN.as_secs()
    );
}

/// A port that was had.
struct Listening {
    wanted: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    async fn begin(
        wanted: SocketAddr,
        board: &Board,
        metrics: &Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(wanted).await?;
        let address = listener.local_addr()?;
        tracing::info!(http.address = %address, "listening for probes, scrapes and the API");
        let stop = CancellationToken::new();
        let (app, behind) = routes::all(board.clone(), Arc::clone(metrics));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            listener::accept(listener, app, stopped).await;
            drop(behind);
        });
        Ok(Self { wanted, stop, task })
    }

    async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}
