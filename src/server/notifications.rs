//! `POST /graph/notifications`: Graph says that something has changed.
//!
//! Invariant: anybody may post here. What does not show the secret of a
//! subscription of ours changes nothing; what does asks for a pass through the
//! ledger, as `resync` does, so that whichever replica has the source makes it.
//! A burst is one request every few seconds. Graph is answered at once: with 202
//! for what is proven sooner or later and asked for until it is recorded, else
//! with 503, after which Graph comes again.
//! Must not: believe anything that is told, or wait for the database while Graph
//! waits.

mod proofs;
mod wishes;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::routes::{App, Problem};
use crate::entra::notifications::{self, Claims, SubscriptionId};
use proofs::{Known, Proofs};
use wishes::Wishes;

/// Bytes of a body. Graph's batches carry ids.
pub(super) const BODY: usize = 256 * 1024;

/// Bodies that wait to be proven. Who finds no room is told to come again, as
/// Graph does by itself.
const WAITING: usize = 64;

/// Bodies that name a subscription that is not known here: one that was made a
/// moment ago, or none of ours. They have room of their own wherever they wait.
const UNKNOWN: usize = 64;

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Something in it was proven.
    Accepted,
    /// Nothing was, or it is no notification.
    Refused,
}

impl Outcome {
    pub(super) const ALL: [Self; 2] = [Self::Accepted, Self::Refused];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// Takes what comes in to whoever proves it.
#[derive(Clone)]
pub(super) struct Inbox {
    posted: mpsc::Sender<Posted>,
    known: Known,
    room: Arc<Semaphore>,
}

/// A body, to be proven.
pub(super) struct Posted {
    claims: Claims,
    /// It names a subscription that was not known when it came.
    waits: Option<OwnedSemaphorePermit>,
}

/// Where bodies come out.
pub(super) struct Outlet {
    posted: mpsc::Receiver<Posted>,
    known: Known,
}

impl Inbox {
    pub(super) fn new() -> (Self, Outlet) {
        let (sender, posted) = mpsc::channel(WAITING + UNKNOWN);
        let known = Known::default();
        let inbox = Self {
            posted: sender,
            known: known.clone(),
            room: Arc::new(Semaphore::new(UNKNOWN)),
        };
        (inbox, Outlet { posted, known })
    }

    /// Whoever posts what nobody knows fills the room of what is not known, and
    /// no other.
    fn take(&self, claims: Claims) -> Result<(), Problem> {
        let waits = match self.known.has_all_of(&claims) {
            true => None,
            false => {
                let place = Arc::clone(&self.room).try_acquire_owned();
                Some(place.map_err(|_| Problem::busy())?)
            }
        };
        let posted = Posted { claims, waits };
        self.posted.try_send(posted).map_err(|_| Problem::busy())
    }
}

/// Answers Graph: its question when it makes a subscription, or its notification.
pub(super) async fn receive(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let wanted = app.in_use().is_ok_and(|in_use| {
        let mut all = in_use.settings.iter();
        all.any(|one| one.server.notifications_url.is_some())
    });
    if !wanted {
        let why = "nothing is received here while server.notifications_url is not set";
        return Problem::new(StatusCode::NOT_FOUND, why).into_response();
    }
    if let Some(token) = query.as_deref().and_then(notifications::validation_token) {
        return ([(header::CONTENT_TYPE, "text/plain")], token).into_response();
    }
    let Ok(claims) = notifications::read(&body) else {
        app.metrics.notified(Outcome::Refused);
        let why = "this is no batch of change notifications";
        return Problem::new(StatusCode::BAD_REQUEST, why).into_response();
    };
    match app.inbox.take(claims) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Proves what comes in, and asks for passes. Ends with the server.
pub(super) async fn work(app: App, mut outlet: Outlet) {
    let wishes = Arc::new(Wishes::default());
    let asking = tokio::spawn(wishes::fulfil(app.clone(), Arc::clone(&wishes)));
    let mut proofs = Proofs::new(outlet.known);
    let mut held: Vec<Held> = Vec::new();
    loop {
        let posted = tokio::select! {
            biased;
            () = proofs.may_be_read(), if !held.is_empty() => None,
            posted = outlet.posted.recv() => match posted {
                Some(posted) => Some(posted),
                None => break,
            },
        };
        let Some(Posted { claims, waits }) = posted else {
            // What cannot be read now is held until it can.
            if proofs.read(&app).await.is_some() {
                for one in held.drain(..) {
                    one.settle(&app, &proofs, &wishes);
                }
            }
            continue;
        };
        proofs.freshen(&app).await;
        let (known, unknown) = proofs.part(&claims);
        let accepted = prove(&known, &claims, &proofs, &wishes);
        match waits {
            Some(place) if !unknown.is_empty() => held.push(Held {
                claims,
                unknown,
                accepted,
                _place: place,
            }),
            _ => app.metrics.notified(accepted),
        }
    }
    asking.abort();
}

/// A body of which a part is still to be proven.
struct Held {
    claims: Claims,
    unknown: Vec<SubscriptionId>,
    /// What became of the rest.
    accepted: Outcome,
    _place: OwnedSemaphorePermit,
}

impl Held {
    fn settle(self, app: &App, proofs: &Proofs, wishes: &Wishes) {
        let late = prove(&self.unknown, &self.claims, proofs, wishes);
        app.metrics.notified(match (self.accepted, late) {
            (Outcome::Refused, Outcome::Refused) => Outcome::Refused,
            _ => Outcome::Accepted,
        });
    }
}

/// Wishes for whatever is proven of what is claimed of these.
fn prove(of: &[SubscriptionId], claims: &Claims, proofs: &Proofs, wishes: &Wishes) -> Outcome {
    let mut outcome = Outcome::Refused;
    for subscription in of {
        for (source, deed) in proofs.proven(*subscription, claims) {
            wishes.add(*subscription, source, deed);
            outcome = Outcome::Accepted;
        }
    }
    outcome
}
