//! What proven notifications wish for, until it is written down.
//!
//! Invariant: a wish is open until the ledger has it, or until the settings have
//! its source no more. The same wish twice is one.
//! Must not: know who wished.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::config::Settings;
use crate::db::Limits;
use crate::entra::notifications::{Deed, SubscriptionId};
use crate::ledger::requests::{self, Asker};
use crate::ledger::subscriptions;
use crate::model::report::Mode;
use crate::server::routes::{App, Problem};

/// So long after a request for a pass comes the next.
const BETWEEN: Duration = Duration::from_secs(5);

/// The longest pause before what could not be written down is tried again; it
/// begins with [`BETWEEN`] and is doubled.
const LONGEST: Duration = Duration::from_secs(60);

/// What is to be written down. In this order: a pass may come at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    /// The subscription is to be prolonged.
    Prolong(SubscriptionId),
    /// The subscription is no more.
    Forget(SubscriptionId),
    /// A pass of this source, by its key.
    Pass(String, Reading),
}

/// How much a pass is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    Changes,
    Everything,
}

/// What is open.
#[derive(Default)]
pub(super) struct Wishes {
    open: Mutex<BTreeSet<Wish>>,
    come: Notify,
}

impl Wishes {
    pub(super) fn add(&self, subscription: SubscriptionId, source: String, deed: Deed) {
        let tended = match deed {
            Deed::Renew => Some(Wish::Prolong(subscription)),
            Deed::SubscribeAgain => Some(Wish::Forget(subscription)),
            Deed::Wake | Deed::ReadEverything => None,
        };
        let reading = match deed {
            Deed::Wake | Deed::Renew | Deed::SubscribeAgain => Reading::Changes,
            Deed::ReadEverything => Reading::Everything,
        };
        self.open(tended.into_iter().chain([Wish::Pass(source, reading)]));
    }

    fn open(&self, wishes: impl IntoIterator<Item = Wish>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend(wishes);
        if !open.is_empty() {
            self.come.notify_one();
        }
    }

    fn take(&self) -> BTreeSet<Wish> {
        std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes down what is wished for, for as long as it takes.
pub(super) async fn fulfil(app: App, wishes: Arc<Wishes>) {
    let mut pause = BETWEEN;
    loop {
        wishes.come.notified().await;
        let mut failed = Vec::new();
        for wish in wishes.take() {
            if write_down(&app, &wish).await.is_err() {
                failed.push(wish);
            }
        }
        if failed.is_empty() {
            pause = BETWEEN;
            tokio::time::sleep(BETWEEN).await;
            continue;
        }
        if pause == BETWEEN {
            tracing::warn!(
                open = failed.len(),
                "what change notifications ask for could not be written down; it is tried again \
                 until it is"
            );
        }
        wishes.open(failed);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

async fn write_down(app: &App, wish: &Wish) -> Result<(), Problem> {
    match wish {
        Wish::Prolong(subscription) => {
            let id = subscription.as_uuid();
            app.database(async |database| {
                let mut transaction = database.begin(Limits::WRITE).await?;
                // Whichever replica has the source sees it within its next look.
                subscriptions::tend(&mut transaction, id, Duration::ZERO).await?;
                Ok(transaction.commit().await?)
            })
            .await
        }
        Wish::Forget(subscription) => {
            let id = subscription.as_uuid();
            app.database(async |database| {
                let mut transaction = database.begin(Limits::WRITE).await?;
                subscriptions::forget(&mut transaction, id).await?;
                Ok(transaction.commit().await?)
            })
            .await
        }
        Wish::Pass(source, reading) => {
            let in_use = app.in_use()?;
            let mut all = in_use.settings.iter();
            match all.find(|one| one.described().key() == *source) {
                Some(settings) => ask(app, settings, *reading).await,
                None => Ok(()),
            }
        }
    }
}

async fn ask(app: &App, settings: &Settings, reading: Reading) -> Result<(), Problem> {
    let wish = requests::Wish {
        mode: match reading {
            Reading::Everything => Mode::Full,
            Reading::Changes => Mode::Incremental,
        },
        asker: Asker::Notification,
        asked_by: "notification",
    };
    app.database(async |database| {
        Ok::<_, Problem>(requests::ask(database, settings.described(), wish).await?)
    })
    .await?;
    tracing::debug!("a change notification asks for a pass");
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_wish_that_failed_stands_beside_new_ones_and_is_one_with_its_like() {
        let wishes = Wishes::default();
        let id = SubscriptionId::new(Uuid::from_u128(7));
        for deed in [Deed::Wake, Deed::Wake, Deed::ReadEverything, Deed::Renew] {
            wishes.add(id, "a".to_owned(), deed);
        }
        let failed = wishes.take();
        let expected = [
            Wish::Prolong(id),
            Wish::Pass("a".to_owned(), Reading::Changes),
            Wish::Pass("a".to_owned(), Reading::Everything),
        ];
        assert!(failed.iter().eq(&expected), "{failed:?}");
        wishes.add(id, "a".to_owned(), Deed::Wake);
        wishes.add(id, "b".to_owned(), Deed::SubscribeAgain);
        wishes.open(failed);
        assert_eq!(wishes.take().len(), 5);
        assert!(wishes.take().is_empty());
    }

    #[tokio::test]
    async fn what_is_put_back_is_seen_again() {
        let wishes = Wishes::default();
        wishes.open([]);
        let id = SubscriptionId::new(Uuid::from_u128(7));
        wishes.add(id, "a".to_owned(), Deed::Wake);
        wishes.come.notified().await;
        wishes.open(wishes.take());
        wishes.come.notified().await;
        assert_eq!(wishes.take().len(), 1);
    }
}
