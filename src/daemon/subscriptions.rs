//! Subscriptions to Graph's change notifications: made, prolonged, made again,
//! and ended when the settings want none any more.
//!
//! Invariant: whoever looks after a source looks after its subscriptions. They
//! only wake passes, so whatever fails here costs time and no change: the
//! schedule goes on. A subscription that nobody looks after ends by itself.
//! Must not: keep the daemon waiting for Graph.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::board::{Board, InUse, Place};
use crate::config::Settings;
use crate::db::{Database, Limits};
use crate::entra::notifications::{ClientState, SubscriptionId};
use crate::entra::{self, Prolonged, Reader, Watched};
use crate::ledger::requests::{self, Asker, Wish};
use crate::ledger::subscriptions::{self, Kept, New, Registered};
use crate::ledger::{self};
use crate::model::ids::SourceName;
use crate::model::report::Mode;

/// How long Graph is asked to tell of changes. It would for 29 days
/// (graph-contract 9); what is left behind shall end sooner.
const LIFE: Duration = Duration::from_secs(3 * 86_400);

/// After half of what Graph gave it is prolonged, and no later than this: that
/// also shows whether it is there.
const PROLONGED_AFTER: Duration = Duration::from_secs(86_400);

/// Graph gives 45 minutes at least. What it gives less than this is as good as
/// over, and would be made again and again.
const SHORTEST_LIFE: Duration = Duration::from_secs(120);

/// How often the ledger is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often the board is looked at for a first pass.
const LOOK_FOR_A_PASS_EVERY: Duration = Duration::from_secs(1);

/// After a failure of Graph's it is asked again so much later, and each time
/// after twice as long; or when it says, if that is later still, but not later
/// than the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// The running upkeep; it ends when this is dropped.
#[derive(Debug)]
pub struct Subscriptions {
    stop: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl Subscriptions {
    /// Begins to look after the subscriptions of whatever sources the board
    /// shows as this replica's.
    #[must_use]
    pub fn kept_for(board: Board) -> Self {
        let stop = CancellationToken::new();
        let upkeep = Upkeep {
            in_use: board.in_use(),
            board,
            readers: BTreeMap::new(),
            resting: BTreeMap::new(),
        };
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = upkeep.go_on() => {}
                () = stopped.cancelled() => {}
            }
        });
        Self {
            stop,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Ends at once.
    pub fn end(self) {
        self.stop.cancel();
    }
}

struct Upkeep {
    board: Board,
    in_use: watch::Receiver<Option<InUse>>,
    /// Made from the settings in use.
    readers: BTreeMap<SourceName, Arc<Reader>>,
    /// Until when Graph is not asked again, and how long that pause was.
    resting: BTreeMap<SourceName, (tokio::time::Instant, Duration)>,
}

impl Upkeep {
    async fn go_on(mut self) {
        loop {
            let in_use = self.in_use.borrow_and_update().clone();
            if let Some(in_use) = in_use {
                for settings in in_use.settings.iter() {
                    self.tend_to(settings, &in_use.database).await;
                }
            }
            let board = self.board.clone();
            tokio::select! {
                changed = self.in_use.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.readers.clear();
                    self.resting.clear();
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = one_has_passed(&board) => {}
            }
        }
    }

    async fn tend_to(&mut self, settings: &Settings, database: &Database) {
        let name = &settings.source;
        let here = self.board.sources().get(name).map(|state| state.place);
        let now = tokio::time::Instant::now();
        let rests = self
            .resting
            .get(name)
            .is_some_and(|(until, _)| *until > now);
        if here != Some(Place::Here) || rests {
            return;
        }
        match self.tend(settings, database).await {
            Ok(()) => {
                self.resting.remove(name);
            }
            Err(error) => {
                let last = self.resting.get(name).map(|(_, pause)| *pause);
                let pause = last.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
                let rest = pause.max(error.asked().min(LONGEST_PAUSE));
                let until = tokio::time::Instant::now() + rest;
                self.resting.insert(name.clone(), (until, pause));
                let source = settings.entra.service_principal_id;
                let retry_seconds = rest.as_secs();
                if settings.server.notifications_url.is_none() {
                    // Nobody waits for any; old ones may have to be ended later.
                    tracing::debug!(
                        source.id = %source, error.message = %error, retry_seconds,
                        "it is not known whether there are subscriptions to end"
                    );
                    return;
                }
                tracing::warn!(
                    source.id = %source, error.message = %error, retry_seconds,
                    "Graph's change notifications are not to be had, or only those of people; the \
                     schedule finds what changes"
                );
            }
        }
    }

    async fn tend(&mut self, settings: &Settings, database: &Database) -> Result<(), Error> {
        let Some(kept) = kept(settings, database).await? else {
            return Ok(());
        };
        let wanted = settings.server.notifications_url.as_ref();
        if wanted.is_none() && kept.is_empty() {
            return Ok(());
        }
        let reader = self.reader(settings)?;
        let stale = |one: &Kept| wanted.is_none_or(|url| one.url != url.as_str());
        for one in kept.iter().filter(|one| stale(one)) {
            reader.unsubscribe(id(one)).await?;
            forget(database, one).await?;
            tracing::info!(subscription.id = %one.subscription_id, "a subscription is ended");
        }
        let Some(url) = wanted else { return Ok(()) };
        // Who may not be told of groups may still be told of people.
        let mut ended = Ok(());
        for watched in [Watched::Groups, Watched::Users] {
            let there = kept
                .iter()
                .find(|one| !stale(one) && one.watched == watched.as_str());
            let tended = match there {
                None => subscribe(&reader, settings, database, watched, url).await,
                Some(one) if one.due => prolong(&reader, settings, database, one).await,
                Some(_) => Ok(()),
            };
            ended = ended.and(tended);
        }
        ended
    }

    fn reader(&mut self, settings: &Settings) -> Result<Arc<Reader>, Error> {
        if let Some(reader) = self.readers.get(&settings.source) {
            return Ok(Arc::clone(reader));
        }
        let reader = Arc::new(Reader::new(&settings.entra)?);
        self.readers
            .insert(settings.source.clone(), Arc::clone(&reader));
        Ok(reader)
    }
}

/// A source whose first pass has made its row can be subscribed for.
async fn one_has_passed(board: &Board) {
    let passed = || {
        let sources = board.sources();
        sources.values().filter(|one| one.last.is_some()).count()
    };
    let before = passed();
    while passed() <= before {
        tokio::time::sleep(LOOK_FOR_A_PASS_EVERY).await;
    }
}

/// Why subscriptions could not be looked after.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Entra(#[from] entra::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Database(#[from] crate::db::Error),
    #[error(
        "Graph keeps subscription {id} until {expires_at}, which is over or about to be: compare this machine's clock, and look at what stands between it and Graph"
    )]
    Over {
        id: uuid::Uuid,
        expires_at: DateTime<Utc>,
    },
    #[error(
        "Graph gave a new subscription the id {0}, which another one has already: whatever answers in Graph's place gives ids twice"
    )]
    SameId(uuid::Uuid),
}

impl Error {
    /// The pause that Graph asked for; none for most.
    fn asked(&self) -> Duration {
        match self {
            Self::Entra(entra::Error::SubscriptionThrottled { asked, .. }) => *asked,
            _ => Duration::ZERO,
        }
    }
}

/// When to prolong what ends then.
fn tend_in(
    id: SubscriptionId,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Duration, Error> {
    let life = (expires_at - now).to_std().unwrap_or_default();
    if life < SHORTEST_LIFE {
        let id = id.as_uuid();
        return Err(Error::Over { id, expires_at });
    }
    Ok((life / 2).min(PROLONGED_AFTER))
}

/// `None` before the first pass has made the source's row.
async fn kept(settings: &Settings, database: &Database) -> Result<Option<Vec<Kept>>, Error> {
    if !ledger::exists(database).await? {
        return Ok(None);
    }
    let mut transaction = database.begin(Limits::READ).await?;
    let source = ledger::find_source(&mut transaction, settings.described()).await?;
    let kept = match source {
        Some(source) if subscriptions::are_kept(&mut transaction).await? => {
            Some(subscriptions::of(&mut transaction, source).await?)
        }
        _ => None,
    };
    transaction.commit().await?;
    Ok(kept)
}

async fn subscribe(
    reader: &Reader,
    settings: &Settings,
    database: &Database,
    watched: Watched,
    url: &Url,
) -> Result<(), Error> {
    let state = ClientState::random();
    let made = reader
        .subscribe(watched, url, &state, Utc::now() + LIFE)
        .await?;
    let tend_in = match tend_in(made.id, made.expires_at, Utc::now()) {
        Ok(tend_in) => tend_in,
        Err(error) => {
            // In case it is there all the same.
            let _ = reader.unsubscribe(made.id).await;
            return Err(error);
        }
    };
    let mut transaction = database.begin(Limits::WRITE).await?;
    let source = ledger::find_source(&mut transaction, settings.described()).await?;
    let digest = state.digest();
    let recorded = match source {
        Some(source) => {
            let new = New {
                subscription_id: made.id.as_uuid(),
                watched: watched.as_str(),
                url: url.as_str(),
                state_digest: digest.as_bytes(),
                tend_in,
            };
            subscriptions::record(&mut transaction, source, new).await?
        }
        None => Registered::OneTooMany,
    };
    transaction.commit().await?;
    match recorded {
        Registered::Only => {
            // What changed before it did is a pass's to find.
            let asked = ask(settings, database).await;
            tracing::info!(
                subscription.id = %made.id.as_uuid(),
                watched = watched.as_str(),
                "Graph tells of changes from now on"
            );
            asked
        }
        Registered::OneTooMany => Ok(reader.unsubscribe(made.id).await?),
        // It is not ended: the other one would be.
        Registered::SameId => Err(Error::SameId(made.id.as_uuid())),
    }
}

async fn prolong(
    reader: &Reader,
    settings: &Settings,
    database: &Database,
    one: &Kept,
) -> Result<(), Error> {
    match reader.prolong(id(one), Utc::now() + LIFE).await? {
        Prolonged::Until(expires_at) => {
            let after = tend_in(id(one), expires_at, Utc::now())?;
            let mut transaction = database.begin(Limits::WRITE).await?;
            subscriptions::tend(&mut transaction, one.subscription_id, after).await?;
            transaction.commit().await?;
        }
        Prolonged::Gone => {
            tracing::warn!(
                subscription.id = %one.subscription_id,
                "Graph has dropped a subscription; another one is made"
            );
            forget(database, one).await?;
            let url = settings.server.notifications_url.as_ref();
            let watched = Watched::from_word(&one.watched);
            if let (Some(url), Some(watched)) = (url, watched) {
                subscribe(reader, settings, database, watched, url).await?;
            }
        }
    }
    Ok(())
}

async fn forget(database: &Database, one: &Kept) -> Result<(), Error> {
    let mut transaction = database.begin(Limits::WRITE).await?;
    subscriptions::forget(&mut transaction, one.subscription_id).await?;
    transaction.commit().await?;
    Ok(())
}

async fn ask(settings: &Settings, database: &Database) -> Result<(), Error> {
    let wish = Wish {
        mode: Mode::Incremental,
        asker: Asker::Notification,
        asked_by: "notification",
    };
    requests::ask(database, settings.described(), wish).await?;
    Ok(())
}

fn id(one: &Kept) -> SubscriptionId {
    SubscriptionId::new(one.subscription_id)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn what_graph_gave_decides_when_it_is_prolonged() {
        let (id, now) = (SubscriptionId::new(uuid::Uuid::from_u128(7)), Utc::now());
        let given = |minutes| tend_in(id, now + TimeDelta::minutes(minutes), now);
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert_eq!(given(45).unwrap(), minutes(45) / 2);
        assert_eq!(given(3 * 1_440).unwrap(), PROLONGED_AFTER);
        assert_eq!(given(500_000_000).unwrap(), PROLONGED_AFTER);
        assert_eq!(given(2).unwrap(), minutes(1));
        for over in [1, 0, -1, -15_000_000] {
            let error = given(over).unwrap_err().to_string();
            assert!(error.contains(&id.as_uuid().to_string()), "{error}");
        }
    }

    #[test]
    fn only_a_throttle_asks_for_a_pause() {
        let asked = Duration::from_secs(300);
        let throttled = entra::Error::SubscriptionThrottled {
            call: entra::Call::Subscription,
            asked,
            trace: String::new(),
        };
        assert_eq!(Error::from(throttled).asked(), asked);
        let same = Error::SameId(uuid::Uuid::nil());
        assert_eq!(same.asked(), Duration::ZERO);
    }
}
