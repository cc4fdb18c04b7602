//! What the daemon shows of itself: the state of each source for whoever asks,
//! and each event for whoever observes.
//!
//! Invariant: the daemon writes here and reads nothing back, so whoever looks
//! cannot change what it does. An observer is called in the middle of things:
//! it returns at once and must not wait.
//! Must not: know who looks, or keep anything that grows with passes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::config::Settings;
use crate::db::Database;
use crate::entra::Usage;
use crate::model::ids::SourceName;
use crate::model::quarantine::Failing;
use crate::model::report::{Mode, Status, Trigger};
use crate::sync::{Error, Report, Watch};

/// What happens, as it happens.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The first settings are in use; passes may begin.
    Up,
    /// The daemon's loop has turned.
    Beat,
    /// The settings are being read again.
    Reloading,
    /// They have been, and are in use unless they were refused.
    Reloaded,
    /// A pass has begun.
    PassBegan {
        /// Of which source.
        source: &'a SourceName,
        /// Who asked for it.
        trigger: Trigger,
    },
    /// A pass has ended; one that was asked to end before its end says nothing.
    PassEnded {
        /// The settings of its source, name included.
        settings: &'a Settings,
        /// What it did. `alerts` in it are what it opened or closed.
        report: &'a Report,
        /// Why it failed, if it did.
        error: Option<&'a Error>,
    },
    /// Somebody asked the daemon to end.
    Ending,
}

/// Is told of every event.
pub trait Observer: Send + Sync {
    /// Returns at once.
    fn sees(&self, event: &Event<'_>);
}

/// Settings that are in use, and the connections made from them.
#[derive(Clone)]
pub struct InUse {
    /// One for each source.
    pub settings: Arc<[Settings]>,
    /// LiteLLM's database.
    pub database: Database,
}

/// A pass that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// Who asked for it.
    pub trigger: Trigger,
    /// What was asked for; it may do more.
    pub mode: Mode,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How far it is.
    pub watch: Watch,
}

/// Whose a source is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// This replica's.
    #[default]
    Here,
    /// Another replica's: this one stands by.
    Elsewhere,
}

/// One source, as this process knows it.
#[derive(Debug, Clone, Default)]
pub struct SourceState {
    /// Who looks after it.
    pub place: Place,
    /// The pass that runs.
    pub running: Option<Running>,
    /// How the last pass of this process ended.
    pub last: Option<Arc<Report>>,
    /// When a pass last began that got through: succeeded, unchanged or held. A
    /// process's first answer is the ledger's.
    pub last_success_at: Option<DateTime<Utc>>,
    /// When the schedule has the next pass.
    pub next_at: Option<DateTime<Utc>>,
    /// What the schedule waits for.
    pub quarantine: Option<Failing>,
    /// Alerts that are open.
    pub alerts: Vec<Failing>,
    /// What passes that have ended asked of Graph.
    spent: Usage,
}

impl SourceState {
    /// What has been asked of Graph until now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = self.spent;
        if let Some(running) = &self.running {
            usage += *running.watch.usage.borrow();
        }
        usage
    }

    /// No pass runs any more; what it used stays used.
    fn settle(&mut self) {
        self.spent = self.usage();
        self.running = None;
    }
}

/// What came of asking the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It answered, which says something for this long.
    Something(Duration),
    Nothing,
}

/// Shared: the daemon's end and the looker's are the same.
#[derive(Clone)]
pub struct Board(Arc<Inner>);

struct Inner {
    sources: Mutex<BTreeMap<SourceName, SourceState>>,
    in_use: watch::Sender<Option<InUse>>,
    replicas: watch::Sender<usize>,
    /// Until when the database's last answer says something.
    answered: Mutex<Option<Instant>>,
    /// When the loop last turned.
    turned: Mutex<Instant>,
    observers: Vec<Arc<dyn Observer>>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("sources", &self.sources())
            .finish_non_exhaustive()
    }
}

impl Board {
    /// An empty one, with everybody who is to be told.
    #[must_use]
    pub fn observed_by(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self(Arc::new(Inner {
            sources: Mutex::default(),
            in_use: watch::Sender::new(None),
            replicas: watch::Sender::new(0),
            answered: Mutex::new(None),
            turned: Mutex::new(Instant::now()),
            observers,
        }))
    }

    /// The state of every source.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<SourceName, SourceState> {
        self.lock().clone()
    }

    /// The settings that are in use; `None` before the first are.
    #[must_use]
    pub fn in_use(&self) -> watch::Receiver<Option<InUse>> {
        self.0.in_use.subscribe()
    }

    /// How many replicas this one sees, itself included; 0 while it has not
    /// been able to look.
    #[must_use]
    pub fn replicas(&self) -> usize {
        *self.0.replicas.borrow()
    }

    /// Whether the database answered the last heartbeat, and that was not too
    /// long ago: a heartbeat may itself be what hangs.
    #[must_use]
    pub fn reaches_the_database(&self) -> bool {
        self.answered().is_some_and(|until| Instant::now() < until)
    }

    fn answered(&self) -> MutexGuard<'_, Option<Instant>> {
        let answered = self.0.answered.lock();
        answered.unwrap_or_else(PoisonError::into_inner)
    }

    /// How long ago the daemon's loop last turned. It does every second.
    #[must_use]
    pub fn since_it_turned(&self) -> Duration {
        let turned = *self.0.turned.lock().unwrap_or_else(PoisonError::into_inner);
        turned.elapsed()
    }

    /// Tells everybody.
    pub(super) fn tell(&self, event: &Event<'_>) {
        if let Event::Beat = event {
            *self.0.turned.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        for observer in &self.0.observers {
            observer.sees(event);
        }
    }

    /// These settings are in use from now on.
    pub(super) fn uses(&self, settings: &[Settings], database: &Database) {
        self.lock()
            .retain(|name, _| settings.iter().any(|one| one.source == *name));
        self.0.in_use.send_replace(Some(InUse {
            settings: settings.into(),
            database: database.clone(),
        }));
    }

    /// The database answered, or did not.
    pub(super) fn heard_from_the_database(&self, heard: Heard) {
        *self.answered() = match heard {
            Heard::Something(life) => Some(Instant::now() + life),
            Heard::Nothing => None,
        };
    }

    /// So many replicas are seen.
    pub(super) fn sees_replicas(&self, many: usize) {
        self.0.replicas.send_replace(many);
    }

    /// The place where one source writes.
    pub(super) fn desk(&self, source: &SourceName) -> Desk {
        self.lock().entry(source.clone()).or_default();
        Desk {
            board: self.clone(),
            source: source.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SourceName, SourceState>> {
        self.0
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the worker of one source says what it does.
pub(super) struct Desk {
    board: Board,
    source: SourceName,
}

impl Desk {
    /// Changes what is shown; a source that no settings name any more shows
    /// nothing.
    pub(super) fn show(&self, change: impl FnOnce(&mut SourceState)) {
        if let Some(state) = self.board.lock().get_mut(&self.source) {
            change(state);
        }
    }

    pub(super) fn pass_begins(&self, trigger: Trigger, mode: Mode, watch: Watch) {
        let running = Running {
            trigger,
            mode,
            since: Utc::now(),
            watch,
        };
        self.show(|state| state.running = Some(running));
        self.board.tell(&Event::PassBegan {
            source: &self.source,
            trigger,
        });
    }

    /// The pass was asked to end.
    pub(super) fn no_pass(&self) {
        self.show(SourceState::settle);
    }

    pub(super) fn pass_ended(&self, settings: &Settings, report: &Report, error: Option<&Error>) {
        let through = matches!(
            report.status,
            Status::Succeeded | Status::Unchanged | Status::Held
        );
        self.show(|state| {
            state.settle();
            if through {
                state.last_success_at = Some(report.started_at);
            }
            state.last = Some(Arc::new(report.clone()));
        });
        self.board.tell(&Event::PassEnded {
            settings,
            report,
            error,
        });
    }
}
