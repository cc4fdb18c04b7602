//! How far a pass is, for whoever wants to watch.

use tokio::sync::watch;

use crate::entra;

/// What a pass is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// No pass runs.
    #[default]
    Idle,
    /// Looking at the database.
    Opening,
    /// Reading the directory.
    Reading,
    /// Reading LiteLLM's rows and deciding.
    Comparing,
    /// Writing.
    Writing,
}

/// Objects written so far, of those planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Done, or given up.
    pub done: u64,
    /// Planned.
    pub total: u64,
}

/// The pass's end of three watches; nobody need look.
#[derive(Debug)]
pub struct Progress {
    phase: watch::Sender<Phase>,
    reading: entra::Progress,
    written: watch::Sender<Written>,
}

/// The watcher's end.
#[derive(Debug, Clone)]
pub struct Watch {
    /// What the pass is doing.
    pub phase: watch::Receiver<Phase>,
    /// How far the reading is.
    pub reading: watch::Receiver<entra::ReadingProgress>,
    /// How far the writing is.
    pub written: watch::Receiver<Written>,
}

impl Progress {
    /// A watched progress.
    #[must_use]
    pub fn new() -> (Self, Watch) {
        let (phase, phase_watch) = watch::channel(Phase::default());
        let (reading, reading_watch) = entra::Progress::new();
        let (written, written_watch) = watch::channel(Written::default());
        let progress = Self {
            phase,
            reading,
            written,
        };
        let watch = Watch {
            phase: phase_watch,
            reading: reading_watch,
            written: written_watch,
        };
        (progress, watch)
    }

    /// For passes nobody watches.
    #[must_use]
    pub fn unobserved() -> Self {
        Self::new().0
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn reading(&self) -> &entra::Progress {
        &self.reading
    }

    pub(super) fn expect(&self, total: u64) {
        self.written.send_replace(Written { done: 0, total });
    }

    pub(super) fn advance(&self, by: usize) {
        self.written
            .send_modify(|written| written.done += by as u64);
    }
}
