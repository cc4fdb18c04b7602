//! Accepting connections, with bounds on how many, how large and how long.
//!
//! Invariant: a peer that sends slowly, sends nonsense, or never reads costs
//! one connection for a bounded time; whoever keeps connections keeps no probe
//! out (`places`).
//! Must not: know what is served.

mod places;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use places::{Place, Places};

/// A request's head must have come within this; so must the next one's on a
/// connection that is kept.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_SIZE: usize = 16 * 1024;

/// Header fields of a request.
const HEAD_FIELDS: usize = 64;

/// However busy, a connection is closed after this; clients open another.
const LIFE: Duration = Duration::from_secs(300);

/// What is being answered then may still be, for so long.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// Out of file descriptors, nothing is gained by asking again at once.
const BREATH: Duration = Duration::from_millis(100);

/// Serves until it is asked to stop, and until nobody is being answered.
pub(super) async fn accept(listener: TcpListener, app: Router, stop: CancellationToken) {
    let places = Places::default();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(error.message = %error, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // Closed at once: waiting for a place would keep probes waiting too.
        let Some(place) = places.take(peer.ip()) else {
            tracing::debug!("a connection was refused: all are busy");
            continue;
        };
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            serve(stream, peer, app, place, stop).await;
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    place: Place,
    stop: CancellationToken,
) {
    let ends = place.ends();
    let place = Arc::new(place);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let app = app.clone();
        let asking = place.asks();
        async move {
            let _asking = asking;
            let answer: Result<_, Infallible> = app.oneshot(request.map(Body::new)).await;
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ends.cancelled() => return,
        () = over(&stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = ends.cancelled() => return,
                () = tokio::time::sleep(LAST_ANSWER) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(error.message = %error, "a connection broke off");
    }
}

async fn over(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(LIFE) => {}
    }
}
