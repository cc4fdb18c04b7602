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

/// A phase with its own counts, and no other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// No pass runs, or it looks at the database.
    Opening,
    /// Reading the directory.
    Reading(entra::ReadingProgress),
    /// Reading LiteLLM's rows and deciding.
    Comparing,
    /// Writing.
    Writing(Written),
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
    /// What the pass has asked of Graph, in all its readings.
    pub usage: watch::Receiver<entra::Usage>,
    /// How far the writing is.
    pub written: watch::Receiver<Written>,
}

impl Watch {
    /// What the pass is doing now, and how far that is.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match *self.phase.borrow() {
            Phase::Idle | Phase::Opening => Moment::Opening,
            Phase::Reading => Moment::Reading(*self.reading.borrow()),
            Phase::Comparing => Moment::Comparing,
            Phase::Writing => Moment::Writing(*self.written.borrow()),
        }
    }
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
            usage: progress.reading.usage(),
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

    /// Begins to write so many objects. The counts are there before the phase
    /// is, so that nobody sees the phase without them.
    pub(super) fn enter_writing(&self, total: u64) {
        self.written.send_replace(Written { done: 0, total });
        self.enter(Phase::Writing);
    }

    pub(super) fn advance(&self, by: usize) {
        self.written
            .send_modify(|written| written.done += by as u64);
    }
}
