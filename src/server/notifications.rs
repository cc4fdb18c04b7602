//! `POST /graph/notifications`: Graph says that something has changed.
//!
//! Invariant: anybody may post here. What does not show the secret of a
//! subscription of ours changes nothing; what does asks for a pass through the
//! ledger, as `resync` does, so that whichever replica has the source makes it.
//! A burst is one request every few seconds. Graph is answered at once.
//! Must not: believe anything that is told, keep it, or wait for the database
//! while Graph waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Notify, mpsc};

use super::routes::{App, Problem};
use crate::config::Settings;
use crate::db::Limits;
use crate::entra::notifications::{self, Claims, Deed, StateDigest, SubscriptionId};
use crate::ledger::requests::{self, Asker, Wish};
use crate::ledger::subscriptions;
use crate::model::report::Mode;

/// Bytes of a body. Graph's batches carry ids.
pub(super) const BODY: usize = 256 * 1024;

/// Bodies that wait to be proven. Who finds no room is told to come again, as
/// Graph does by itself.
const WAITING: usize = 64;

/// So long after a request for a pass comes the next.
const BETWEEN: Duration = Duration::from_secs(5);

/// How long what proves a notification is taken to hold, and how soon it may be
/// asked for again.
const FRESH: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(5);

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
pub(super) struct Inbox(mpsc::Sender<Claims>);

impl Inbox {
    pub(super) fn new() -> (Self, mpsc::Receiver<Claims>) {
        let (sender, claims) = mpsc::channel(WAITING);
        (Self(sender), claims)
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
    match app.inbox.0.try_send(claims) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => Problem::busy().into_response(),
    }
}

/// Proves what comes in, and asks for passes. Ends with the server.
pub(super) async fn work(app: App, mut inbox: mpsc::Receiver<Claims>) {
    let wishes = Arc::new(Wishes::default());
    let asking = tokio::spawn(ask_for_passes(app.clone(), Arc::clone(&wishes)));
    let mut proofs = Proofs::default();
    while let Some(claims) = inbox.recv().await {
        let proven = proofs.check(&app, &claims).await;
        app.metrics.notified(match proven.is_empty() {
            true => Outcome::Refused,
            false => Outcome::Accepted,
        });
        for (subscription, source, deed) in proven {
            if let Some(after) = tended(deed) {
                tend(&app, subscription, after).await;
            }
            wishes.add(source, mode(deed));
        }
    }
    asking.abort();
}

/// What the deed asks a pass to read.
const fn mode(deed: Deed) -> Mode {
    match deed {
        Deed::Wake | Deed::Renew | Deed::SubscribeAgain => Mode::Incremental,
        Deed::ReadEverything => Mode::Full,
    }
}

/// What is to happen to the subscription itself.
enum After {
    Prolong,
    Forget,
}

const fn tended(deed: Deed) -> Option<After> {
    match deed {
        Deed::Renew => Some(After::Prolong),
        Deed::SubscribeAgain => Some(After::Forget),
        Deed::Wake | Deed::ReadEverything => None,
    }
}

/// Whichever replica has the source sees it within its next look.
async fn tend(app: &App, subscription: SubscriptionId, after: After) {
    let id = subscription.as_uuid();
    let tended = app.database(async |database| {
        let mut transaction = database.begin(Limits::WRITE).await?;
        match after {
            After::Prolong => {
                subscriptions::tend(&mut transaction, id, Duration::ZERO).await?;
            }
            After::Forget => subscriptions::forget(&mut transaction, id).await?,
        }
        transaction.commit().await?;
        Ok(())
    });
    if tended.await.is_err() {
        tracing::warn!(
            subscription.id = %id,
            "what Graph says of its subscription was not written down; it is looked after when \
             its time comes"
        );
    }
}

/// Which states prove which subscriptions, as last read.
#[derive(Default)]
struct Proofs {
    known: BTreeMap<SubscriptionId, (String, StateDigest)>,
    read_at: Option<Instant>,
}

impl Proofs {
    async fn check(&mut self, app: &App, claims: &Claims) -> Vec<(SubscriptionId, String, Deed)> {
        let age = self.read_at.map(|at| at.elapsed());
        let unknown = claims
            .subscriptions()
            .any(|one| !self.known.contains_key(&one));
        if age.is_none_or(|age| age >= FRESH || (unknown && age >= AGAIN)) {
            self.read(app).await;
        }
        let mut proven = Vec::new();
        for subscription in claims.subscriptions() {
            if let Some((source, state)) = self.known.get(&subscription) {
                let deeds = claims.proven(subscription, state).into_iter();
                proven.extend(deeds.map(|deed| (subscription, source.clone(), deed)));
            }
        }
        proven
    }

    async fn read(&mut self, app: &App) {
        self.read_at = Some(Instant::now());
        let Ok(in_use) = app.in_use() else { return };
        let keys: Vec<String> = in_use
            .settings
            .iter()
            .map(|one| one.described().key())
            .collect();
        let read = app.database(async |database| {
            let mut transaction = database.begin(Limits::READ).await?;
            let proofs = match subscriptions::are_kept(&mut transaction).await? {
                true => subscriptions::proofs(&mut transaction, &keys).await?,
                false => Vec::new(),
            };
            transaction.commit().await?;
            Ok(proofs)
        });
        let Ok(proofs) = read.await else { return };
        let known = proofs.into_iter().filter_map(|proof| {
            let digest: [u8; 32] = proof.state_digest.try_into().ok()?;
            let id = SubscriptionId::new(proof.subscription_id);
            Some((id, (proof.source, StateDigest::new(digest))))
        });
        self.known = known.collect();
    }
}

/// Passes that are wished for, by source, until they are asked for.
#[derive(Default)]
struct Wishes {
    open: Mutex<BTreeSet<(String, Full)>>,
    come: Notify,
}

/// Whether everything is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Full {
    No,
    Yes,
}

impl Wishes {
    fn add(&self, source: String, mode: Mode) {
        let full = match mode {
            Mode::Full => Full::Yes,
            Mode::Incremental | Mode::Drift => Full::No,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert((source, full));
        self.come.notify_one();
    }

    fn take(&self) -> BTreeSet<(String, Full)> {
        std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn ask_for_passes(app: App, wishes: Arc<Wishes>) {
    loop {
        wishes.come.notified().await;
        for (source, full) in wishes.take() {
            let Ok(in_use) = app.in_use() else { continue };
            let mut all = in_use.settings.iter();
            if let Some(settings) = all.find(|one| one.described().key() == source) {
                ask(&app, settings, full).await;
            }
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

async fn ask(app: &App, settings: &Settings, full: Full) {
    let wish = Wish {
        mode: match full {
            Full::Yes => Mode::Full,
            Full::No => Mode::Incremental,
        },
        asker: Asker::Notification,
        asked_by: "notification",
    };
    let asked = app.database(async |database| {
        Ok::<_, Problem>(requests::ask(database, settings.described(), wish).await?)
    });
    match asked.await {
        Ok(_) => tracing::debug!("a change notification asks for a pass"),
        Err(_) => tracing::warn!(
            source.id = %settings.entra.service_principal_id,
            "a change notification could not ask for a pass; the schedule finds what has changed"
        ),
    }
}
