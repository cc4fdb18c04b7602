//! What is asked for through the ledger: `entra-sync resync`, HTTP and Graph's
//! notifications wake a worker from here, in whichever process they came in.
//!
//! Invariant: the database notifies whoever listens, and is asked every few
//! seconds all the same: a notification that is lost, a connection that breaks
//! and a pooler that keeps none cost seconds, never a request. Every replica
//! hears; only the one that has the source acts.
//! Must not: say what is asked for. Whoever acts looks into the ledger.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::db::{Broken, Database, Limits};
use crate::ledger;
use crate::ledger::requests::{self, Asker, Waiting};
use crate::model::report::Mode;

/// What nobody was told of is found within this.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A database that does not answer within this is asked again later.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection that broke is made again after this, and each time that fails
/// after twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where to look, and for what.
#[derive(Clone)]
struct Place {
    database: Database,
    keys: Arc<[String]>,
}

impl Place {
    fn of(settings: &[Settings], database: Database) -> Self {
        Self {
            database,
            keys: settings.iter().map(|one| one.described().key()).collect(),
        }
    }
}

/// The running ears.
pub(super) struct Ears {
    place: watch::Sender<Place>,
    wanted: watch::Receiver<Vec<String>>,
    tasks: [JoinHandle<()>; 2],
}

impl Ears {
    /// Begins to listen, and to look.
    pub(super) fn open(settings: &[Settings], database: Database) -> Self {
        let (place, told) = watch::channel(Place::of(settings, database));
        let (say, wanted) = watch::channel(Vec::new());
        let heard = Arc::new(Notify::new());
        let listening = listen(told.clone(), Arc::clone(&heard));
        Self {
            place,
            wanted,
            tasks: [
                tokio::spawn(listening),
                tokio::spawn(look(told, heard, say)),
            ],
        }
    }

    /// Other settings, or another database, from now on.
    pub(super) fn turn_to(&self, settings: &[Settings], database: Database) {
        self.place.send_replace(Place::of(settings, database));
    }

    /// What a worker waits at.
    pub(super) fn requests(&self) -> Requests {
        Requests(self.wanted.clone())
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Where a worker hears that somebody asks for a pass of its source.
pub(super) struct Requests(watch::Receiver<Vec<String>>);

impl Requests {
    /// Waits until somebody asks for this source. What was asked while nobody
    /// waited here counts.
    pub(super) async fn come(&mut self, key: &str) {
        loop {
            if self.0.changed().await.is_err() {
                // The ears have ended, and so does the daemon.
                std::future::pending::<()>().await;
            }
            if self.0.borrow_and_update().iter().any(|one| one == key) {
                return;
            }
        }
    }
}

/// What somebody who asks wants, be it of several who do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) asker: Asker,
    pub(super) mode: Mode,
}

/// Requests for whose sake a worker has begun a pass. One of them that still
/// waits is the schedule's from then on, so that a pass that fails before its run
/// is written down is not tried again every few seconds.
#[derive(Debug, Default)]
pub(super) struct Answered(Vec<Waiting>);

impl Answered {
    /// What is asked for that was not before, as one pass; now it is answered. Who
    /// asks again asks anew.
    pub(super) fn wish(&mut self, waiting: Vec<Waiting>) -> Option<Wish> {
        let new = waiting.iter().filter(|one| !self.0.contains(one));
        let asker = new.clone().map(|one| one.asker).min();
        let mode = match new.map(|one| one.mode).any(|mode| mode == Mode::Full) {
            true => Mode::Full,
            false => Mode::Incremental,
        };
        self.0 = waiting;
        asker.map(|asker| Wish { asker, mode })
    }
}

/// Keeps a connection that listens.
async fn listen(mut place: watch::Receiver<Place>, heard: Arc<Notify>) {
    loop {
        let database = place.borrow_and_update().database.clone();
        tokio::select! {
            never = hear(&database, &heard) => match never {},
            changed = place.changed() => if changed.is_err() { return },
        }
    }
}

async fn hear(database: &Database, heard: &Notify) -> Infallible {
    let mut pause = FIRST_PAUSE;
    loop {
        match database.listen(requests::CHANNEL).await {
            Ok(Some(mut listener)) => {
                pause = FIRST_PAUSE;
                loop {
                    // Also of what came before it listened.
                    heard.notify_one();
                    if let Err(Broken) = listener.hears().await {
                        break;
                    }
                }
                tracing::debug!("the connection that hears of requests has ended; making another");
            }
            Ok(None) => {
                tracing::debug!("no connection listens here: requests are looked for");
                return std::future::pending().await;
            }
            Err(error) => {
                tracing::debug!(error.message = %error, "no connection listens: requests are looked for");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Looks when something was heard, and every few seconds.
async fn look(
    mut place: watch::Receiver<Place>,
    heard: Arc<Notify>,
    say: watch::Sender<Vec<String>>,
) {
    loop {
        let here = place.borrow_and_update().clone();
        match tokio::time::timeout(PATIENCE, wanted(&here)).await {
            // Said anew each time: who could not act before hears it again.
            Ok(Ok(keys)) if !keys.is_empty() => {
                say.send_replace(keys);
            }
            Ok(Ok(_)) => {
                say.send_if_modified(|said| {
                    said.clear();
                    false
                });
            }
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the ledger was not asked about requests");
            }
            Err(_) => tracing::debug!("the ledger was too slow about requests"),
        }
        tokio::select! {
            () = heard.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            changed = place.changed() => if changed.is_err() { return },
        }
    }
}

async fn wanted(place: &Place) -> ledger::Result<Vec<String>> {
    let mut transaction = place.database.begin(Limits::READ).await?;
    let keys = requests::asked_for(&mut transaction, &place.keys).await?;
    transaction.commit().await?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::model::ids::RequestId;

    fn waiting(id: u128, asker: Asker, mode: Mode, asked_at: i64) -> Waiting {
        Waiting {
            id: RequestId::new(Uuid::from_u128(id)),
            mode,
            asker,
            asked_at: DateTime::from_timestamp(asked_at, 0).unwrap(),
        }
    }

    #[test]
    fn several_requests_are_one_pass_that_serves_all_and_bears_a_persons_name() {
        let mut answered = Answered::default();
        let notified = waiting(1, Asker::Notification, Mode::Full, 1);
        let asked = waiting(2, Asker::CommandLine, Mode::Incremental, 2);
        let wish = answered.wish(vec![notified, asked]);
        assert_eq!(
            wish,
            Some(Wish {
                asker: Asker::CommandLine,
                mode: Mode::Full
            })
        );
    }

    #[test]
    fn a_request_is_answered_once_and_asked_again_once_more() {
        let mut answered = Answered::default();
        let asked = waiting(1, Asker::Api, Mode::Full, 1);
        assert!(answered.wish(vec![asked]).is_some());
        assert_eq!(answered.wish(vec![asked]), None);
        let other = waiting(2, Asker::Notification, Mode::Incremental, 2);
        let wish = Wish {
            asker: Asker::Notification,
            mode: Mode::Incremental,
        };
        assert_eq!(answered.wish(vec![asked, other]), Some(wish));
        let again = waiting(1, Asker::Api, Mode::Full, 3);
        assert!(answered.wish(vec![again, other]).is_some());
        assert_eq!(answered.wish(Vec::new()), None);
    }
}
