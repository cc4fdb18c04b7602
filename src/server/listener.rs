//! Accepting connections, with bounds on how many, how large and how long.
//!
//! Invariant: a peer that sends slowly, sends nonsense, or never reads costs
//! one connection for a bounded time; one address cannot have them all.
//! Must not: know what is served.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Connections at once.
const MOST: usize = 256;

/// Of which from one address.
const MOST_OF_ONE: usize = 128;

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
            tracing::debug!("a connection was refused: there are too many");
            continue;
        };
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            serve(stream, peer, app, stop).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, peer: SocketAddr, app: Router, stop: CancellationToken) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let app = app.clone();
        async move {
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
        () = over(&stop) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_ANSWER, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
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

/// How many connections there are, in all and from each address.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Places {
    fn take(&self, peer: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let of_one = taken.get(&peer).copied().unwrap_or_default();
        if all >= MOST || of_one >= MOST_OF_ONE {
            return None;
        }
        taken.insert(peer, of_one + 1);
        Some(Place {
            places: self.clone(),
            peer,
        })
    }
}

/// One connection's; free again when it is dropped.
struct Place {
    places: Places,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(many) = taken.get_mut(&self.peer) {
            *many -= 1;
            if *many == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_have_all_places() {
        let places = Places::default();
        let greedy: Vec<Place> = std::iter::from_fn(|| places.take(address(1))).collect();
        assert_eq!(greedy.len(), MOST_OF_ONE);
        assert!(places.take(address(2)).is_some());
        drop(greedy);
        assert!(places.take(address(1)).is_some());
        assert!(places.0.lock().unwrap().is_empty());
    }

    #[test]
    fn there_are_so_many_in_all() {
        let places = Places::default();
        let mut held = Vec::new();
        for number in 0..=255 {
            held.extend(places.take(address(number)));
            held.extend(places.take(address(number)));
        }
        assert_eq!(held.len(), MOST);
        held.pop();
        assert!(places.take(address(9)).is_some());
    }
}
