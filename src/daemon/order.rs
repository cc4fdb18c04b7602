//! What a worker is told, and what it makes of it.
//!
//! Must not: hold anything that a pass does.

use std::sync::Arc;

use chrono::Utc;

use super::schedule::{Due, Schedule};
use crate::config::Settings;
use crate::db::Database;
use crate::model::report::{Mode, Trigger};
use crate::sync::Source;

/// What a worker is told.
pub(super) enum Order {
    /// A second has gone by, or others came or went: is anything due?
    Tick,
    /// A pass now.
    Pass,
    /// Somebody asks for one through the ledger.
    Asked,
    /// New settings, then a pass.
    Settings(Box<Course>),
    /// End.
    Stop,
}

/// A source and when it is due, made from settings.
pub(super) struct Course {
    pub(super) source: Source,
    pub(super) schedule: Schedule,
}

impl Course {
    pub(super) fn new(settings: Settings, database: Database) -> anyhow::Result<Self> {
        let schedule = Schedule::new(&settings.schedule, Utc::now())?;
        let source = Source::beside(Arc::new(settings), database)?;
        Ok(Self { source, schedule })
    }
}

/// A pass that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) trigger: Trigger,
    pub(super) due: Due,
}

impl Wanted {
    /// Asked for by name, now.
    pub(super) fn by(trigger: Trigger) -> Self {
        Self::like(trigger, Mode::Incremental)
    }

    /// Whether a request in the ledger is behind it.
    pub(super) fn is_requested(self) -> bool {
        use Trigger::{Api, Notification, Resync};
        matches!(self.trigger, Resync | Api | Notification)
    }

    /// The same, reading this way.
    pub(super) fn like(trigger: Trigger, mode: Mode) -> Self {
        Self {
            trigger,
            due: Due {
                since: Utc::now(),
                mode,
            },
        }
    }
}
