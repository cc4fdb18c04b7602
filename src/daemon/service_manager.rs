//! What systemd is told: ready, what is being done, that the loop turns, end.
//!
//! The watchdog is fed where the daemon's loop turns ([`Event::Beat`]) and
//! nowhere else, so that a loop that hangs starves it and the service is
//! started again. Reading settings again does not stop the loop: a disk that
//! does not answer would not answer after a restart either, and the daemon goes
//! on with the settings it has.
//!
//! Invariant: without `NOTIFY_SOCKET` nothing is said. What cannot be said is
//! no reason to do anything else.
//! Must not: feed the watchdog from a task or thread of its own.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use sd_notify::NotifyState;

use super::board::{Board, Event, Observer};
use super::status_line::status_line;

/// Tells the service manager that started this process, if one did.
pub struct ServiceManager {
    listens: bool,
    /// How often it wants to hear that the loop turns: half of the time after
    /// which it ends the service.
    feed_every: Option<Duration>,
    /// The board has this observer, and this observer the board: both are there
    /// for as long as the process is.
    board: OnceLock<Board>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    status: String,
    fed_at: Option<Instant>,
    is_reading_settings: bool,
}

impl fmt::Debug for ServiceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceManager")
            .field("listens", &self.listens)
            .field("feed_every", &self.feed_every)
            .finish_non_exhaustive()
    }
}

impl ServiceManager {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say. They stay in the environment:
    /// the daemon starts no other program.
    #[must_use]
    pub fn of_this_process() -> Arc<Self> {
        Arc::new(Self {
            listens: std::env::var_os("NOTIFY_SOCKET").is_some(),
            feed_every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            board: OnceLock::new(),
            told: Mutex::default(),
        })
    }

    /// Where it looks for what to tell.
    pub fn looks_at(&self, board: &Board) {
        // A second board would be another daemon's.
        let _ = self.board.set(board.clone());
    }

    fn status(&self, told: &Told) -> String {
        let sources = self.board.get().map(Board::sources).unwrap_or_default();
        let line = status_line(&sources, Utc::now());
        if told.is_reading_settings {
            format!("reading the settings again; {line}")
        } else {
            line
        }
    }

    /// Whether it is time to say that the loop turns.
    fn feeds(&self, told: &mut Told) -> bool {
        let now = Instant::now();
        let due = self.feed_every.is_some_and(|pause| {
            told.fed_at
                .is_none_or(|fed_at| now.duration_since(fed_at) >= pause)
        });
        if due {
            told.fed_at = Some(now);
        }
        due
    }
}

impl Observer for ServiceManager {
    fn sees(&self, event: &Event<'_>) {
        if !self.listens {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states = Vec::new();
        match event {
            Event::Up => states.push(NotifyState::Ready),
            Event::Beat if self.feeds(&mut told) => states.push(NotifyState::Watchdog),
            // The end of a pass is told with the next beat, when its worker has
            // settled what comes next.
            Event::Beat | Event::PassBegan { .. } => {}
            Event::PassEnded { .. } => return,
            Event::Reloading => {
                told.is_reading_settings = true;
                states.push(NotifyState::Reloading);
                states.extend(NotifyState::monotonic_usec_now());
            }
            Event::Reloaded => {
                told.is_reading_settings = false;
                states.push(NotifyState::Ready);
            }
            Event::Ending => states.push(NotifyState::Stopping),
        }
        let status = match event {
            Event::Ending => "ending".to_owned(),
            _ => self.status(&told),
        };
        if status != told.status {
            states.push(NotifyState::Status(&status));
        }
        if states.is_empty() {
            return;
        }
        // Into a queue of the kernel's: it waits only while the service manager
        // itself hangs and has let hundreds of messages pile up.
        match sd_notify::notify(&states) {
            Ok(()) => told.status = status,
            Err(error) => {
                tracing::debug!(error.message = %error, "the service manager was not told");
            }
        }
    }
}
