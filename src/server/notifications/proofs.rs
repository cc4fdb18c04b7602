//! Which states prove which subscriptions, as the ledger had them a moment ago.
//!
//! Invariant: the ledger is asked every few seconds at most, whatever is posted;
//! what was read stays until something else has been read.
//! Must not: wish for anything.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::db::Limits;
use crate::entra::notifications::{Claims, Deed, StateDigest, SubscriptionId};
use crate::ledger::subscriptions;
use crate::server::routes::App;

/// How long what proves a notification is taken to hold, and how soon it may be
/// asked for again.
const FRESH: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(5);

type States = BTreeMap<SubscriptionId, (String, StateDigest)>;

/// The subscriptions that are known, each with its source and what proves it.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<RwLock<States>>);

impl Known {
    pub(super) fn has_all_of(&self, claims: &Claims) -> bool {
        self.look(|known| claims.subscriptions().all(|one| known.contains_key(&one)))
    }

    fn look<T>(&self, at: impl FnOnce(&States) -> T) -> T {
        at(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known, and when it was read.
pub(super) struct Proofs {
    known: Known,
    read_at: Option<Instant>,
}

impl Proofs {
    pub(super) fn new(known: Known) -> Self {
        let read_at = None;
        Self { known, read_at }
    }

    /// Waits until the ledger may be asked again.
    pub(super) async fn may_be_read(&self) {
        if let Some(read_at) = self.read_at {
            tokio::time::sleep_until(read_at + AGAIN).await;
        }
    }

    /// Reads it if it is old.
    pub(super) async fn freshen(&mut self, app: &App) {
        if self.read_at.is_none_or(|at| at.elapsed() >= FRESH) {
            self.read(app).await;
        }
    }

    /// The subscriptions that are named: those that are known, and the others.
    pub(super) fn part(&self, claims: &Claims) -> (Vec<SubscriptionId>, Vec<SubscriptionId>) {
        let is_known = |one: &SubscriptionId| self.known.look(|known| known.contains_key(one));
        claims.subscriptions().partition(is_known)
    }

    /// What is proven of what is claimed of this one, for its source.
    pub(super) fn proven(
        &self,
        subscription: SubscriptionId,
        claims: &Claims,
    ) -> Vec<(String, Deed)> {
        self.known.look(|known| {
            let Some((source, state)) = known.get(&subscription) else {
                return Vec::new();
            };
            let deeds = claims.proven(subscription, state).into_iter();
            deeds.map(|deed| (source.clone(), deed)).collect()
        })
    }

    /// `None` when it could not be read.
    pub(super) async fn read(&mut self, app: &App) -> Option<()> {
        self.read_at = Some(Instant::now());
        let in_use = app.in_use().ok()?;
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
        let proofs = read.await.ok()?;
        let known = proofs.into_iter().filter_map(|proof| {
            let digest: [u8; 32] = proof.state_digest.try_into().ok()?;
            let id = SubscriptionId::new(proof.subscription_id);
            Some((id, (proof.source, StateDigest::new(digest))))
        });
        let known = known.collect();
        *self.known.0.write().unwrap_or_else(PoisonError::into_inner) = known;
        Some(())
    }
}
