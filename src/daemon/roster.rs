//! Who else is there: this replica's heartbeat, and what it sees of the others.
//!
//! Invariant: a database that is away changes nothing: what was last seen
//! counts, and before anything was seen every source is everybody's. A wrong
//! view costs no more than a wait, because the lease decides who writes.
//! Must not: end the daemon, or make its schema.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::assignment;
use super::board::{Board, Heard};
use crate::config::Settings;
use crate::db::{Database, Limits};
use crate::ledger;
use crate::ledger::replicas::{self, Replica, SignOfLife};
use crate::sync;

/// A database that does not answer within this is asked again later.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ending is not held up for longer by a database that does not answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Others that end say so by deleting their rows: nobody looks more seldom.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long after a row has expired it is looked for again.
const AFTER_EXPIRY: Duration = Duration::from_millis(50);

/// What this replica has last seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum View {
    /// Nothing yet.
    Unknown,
    /// Who is there, this one included.
    Known(Arc<[Replica]>),
}

/// What a worker knows of the others.
#[derive(Debug, Clone)]
pub(super) struct Eyes {
    me: Uuid,
    view: watch::Receiver<View>,
}

/// Whether a source is this replica's to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Nobody else knows it.
    Alone,
    /// Others know it too, and it is ours.
    Ours,
    /// Another replica's.
    Theirs,
}

impl Eyes {
    /// Whose a source is, by what was last seen.
    pub(super) fn share(&self, source: &str) -> Share {
        let view = self.view.borrow();
        let View::Known(replicas) = &*view else {
            return Share::Alone;
        };
        let mut others = replicas.iter().filter(|one| one.id != self.me);
        if !others.any(|one| assignment::knows(one, source)) {
            return Share::Alone;
        }
        match assignment::owner(source, replicas) {
            Some(owner) if owner != self.me => Share::Theirs,
            _ => Share::Ours,
        }
    }

    /// Waits until something else is seen.
    pub(super) async fn changed(&mut self) {
        if self.view.changed().await.is_err() {
            // The roster has ended, and so does the daemon.
            std::future::pending::<()>().await;
        }
    }
}

/// What the heartbeat says, and through which database.
#[derive(Clone)]
struct Saying {
    database: Database,
    sources: Arc<[String]>,
    /// Every source's name and key, to tell of those that no settings name.
    settings: Arc<[Settings]>,
    /// The shortest lease: within it, others have taken over.
    lease: Duration,
}

impl Saying {
    fn of(settings: &[Settings], database: Database) -> Self {
        let leases = settings.iter().map(|one| one.schedule.lease);
        Self {
            database,
            sources: settings.iter().map(|one| one.described().key()).collect(),
            settings: settings.into(),
            lease: leases.min().unwrap_or(Duration::from_secs(15)),
        }
    }
}

/// The running heartbeat.
pub(super) struct Roster {
    me: Uuid,
    saying: watch::Sender<Saying>,
    view: watch::Receiver<View>,
    task: JoinHandle<()>,
}

impl Roster {
    /// Begins to say that this replica is there, and has looked once before it
    /// returns, if the database lets it.
    pub(super) async fn join(settings: &[Settings], database: Database, board: Board) -> Self {
        let me = Uuid::new_v4();
        let (saying, said) = watch::channel(Saying::of(settings, database));
        let (sender, view) = watch::channel(View::Unknown);
        let mut heart = Heart {
            me,
            host: sync::holder(),
            said,
            view: sender,
            board,
            told: Told::Nothing,
        };
        let pause = heart.beat().await;
        let task = tokio::spawn(heart.go_on(pause));
        Self {
            me,
            saying,
            view,
            task,
        }
    }

    /// What a worker looks at.
    pub(super) fn eyes(&self) -> Eyes {
        Eyes {
            me: self.me,
            view: self.view.clone(),
        }
    }

    /// Says something else from now on.
    pub(super) fn say(&self, settings: &[Settings], database: Database) {
        self.saying.send_replace(Saying::of(settings, database));
    }

    /// Ends, so that the others take over at once.
    pub(super) async fn leave(self) {
        self.task.abort();
        // A beat in flight would bring the row back.
        let _ = self.task.await;
        let database = self.saying.borrow().database.clone();
        let known = matches!(&*self.view.borrow(), View::Known(_));
        let leaving = async {
            let mut transaction = database.begin(Limits::WRITE).await?;
            replicas::leave(&mut transaction, self.me).await?;
            transaction.commit().await?;
            Ok::<_, ledger::Error>(())
        };
        if !known {
            return;
        }
        match tokio::time::timeout(FAREWELL, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the others wait until this replica's row expires");
            }
            Err(_) => tracing::debug!("the others wait until this replica's row expires"),
        }
    }
}

/// Whether it has been said which sources of the ledger no settings name.
#[derive(PartialEq)]
enum Told {
    Nothing,
    Once,
}

struct Heart {
    me: Uuid,
    host: String,
    said: watch::Receiver<Saying>,
    view: watch::Sender<View>,
    board: Board,
    told: Told,
}

impl Heart {
    async fn go_on(mut self, first: Duration) {
        let mut pause = first;
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.said.changed() => if changed.is_err() { return },
            }
            pause = self.beat().await;
        }
    }

    /// Says and looks; gives how long to wait until the next time.
    async fn beat(&mut self) -> Duration {
        let saying = self.said.borrow_and_update().clone();
        let third = saying.lease / 3;
        // A failed beat is made up for before the row expires.
        let soon = third / 4;
        let looked = tokio::time::timeout(PATIENCE, self.look(&saying)).await;
        self.board.heard_from_the_database(match &looked {
            // The next one comes sooner, unless something hangs.
            Ok(Ok(_)) => Heard::Something(saying.lease),
            Ok(Err(_)) | Err(_) => Heard::Nothing,
        });
        let replicas = match looked {
            Ok(Ok(Some(replicas))) => replicas,
            // The first pass makes the table.
            Ok(Ok(None)) => return third.min(LOOK_EVERY),
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the other replicas are not seen");
                return soon;
            }
            Err(_) => {
                tracing::debug!("the database is too slow about replicas");
                return soon;
            }
        };
        let others = replicas.iter().filter(|one| one.id != self.me);
        let expiry = others.map(|one| one.remaining + AFTER_EXPIRY).min();
        self.board.sees_replicas(replicas.len());
        let seen = View::Known(
            replicas
                .into_iter()
                .map(|one| Replica {
                    // It says nothing of who is there.
                    remaining: Duration::ZERO,
                    ..one
                })
                .collect(),
        );
        self.view.send_if_modified(|view| {
            let is_new = *view != seen;
            if is_new {
                tell(&seen);
                *view = seen;
            }
            is_new
        });
        let pause = third.min(LOOK_EVERY);
        expiry.map_or(pause, |expiry| expiry.min(pause))
    }

    async fn look(&mut self, saying: &Saying) -> ledger::Result<Option<Vec<Replica>>> {
        let mut transaction = saying.database.begin(Limits::WRITE_OF_MANY).await?;
        let sign = SignOfLife {
            id: self.me,
            host: &self.host,
            sources: &saying.sources,
            life: saying.lease * 2 / 3,
        };
        let replicas = replicas::beat(&mut transaction, sign).await?;
        if replicas.is_some() && self.told == Told::Nothing {
            let settings: Vec<_> = saying.settings.iter().map(Settings::described).collect();
            let unnamed = ledger::unnamed_sources(&mut transaction, &settings).await?;
            if !unnamed.is_empty() {
                tracing::warn!(
                    sources = unnamed.join(", "),
                    "no settings name these sources of the ledger: they are left alone, with all \
                     that they manage"
                );
            }
            self.told = Told::Once;
        }
        transaction.commit().await?;
        Ok(replicas)
    }
}

/// One line when others come or go; a replica that is alone need not say so.
fn tell(view: &View) {
    if let View::Known(replicas) = view {
        match replicas.len() {
            1 => tracing::debug!("no other replica is there"),
            many => tracing::info!(
                replicas = many,
                "the sources are shared with other replicas"
            ),
        }
    }
}
