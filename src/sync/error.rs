//! Why a pass ended early.

use crate::model::ids::RunId;
use crate::{db, entra, ledger, litellm};

/// Result of anything a pass does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the whole pass. Failures of single objects are in its report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory could not be read.
    #[error(transparent)]
    Entra(#[from] entra::Error),
    /// LiteLLM's tables cannot be used.
    #[error(transparent)]
    Litellm(#[from] litellm::Error),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// Somebody asked the process to end.
    #[error(
        "the pass was ended on request; what was written is whole, the next pass does the rest"
    )]
    Stopped,
    /// The same while a run was being undone.
    #[error(
        "undoing was ended on request; what came back is whole, `entra-sync undo {of}` does the rest"
    )]
    StoppedUndoing {
        /// The run that was being undone.
        of: RunId,
    },
}

impl Error {
    /// Whether the settings, not the world, are to blame (exit code 64).
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::Ledger(error) if error.is_configuration())
    }

    /// Whether another instance works on this source.
    #[must_use]
    pub const fn is_lease_held(&self) -> bool {
        matches!(
            self,
            Self::Ledger(ledger::Error::LeaseHeld { .. } | ledger::Error::LeaseBusy { .. })
        )
    }

    /// For how many seconds more another instance may do so unless it says
    /// otherwise.
    #[must_use]
    pub const fn lease_remaining(&self) -> Option<i64> {
        match self {
            Self::Ledger(ledger::Error::LeaseHeld {
                remaining_seconds, ..
            }) => Some(*remaining_seconds),
            _ => None,
        }
    }

    /// Whether writing may be tried again in a new transaction.
    #[must_use]
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Litellm(error) => error.is_retryable(),
            Self::Ledger(ledger::Error::Database(error)) | Self::Database(error) => {
                error.is_retryable()
            }
            Self::Ledger(ledger::Error::LeaseLocked(_)) => true,
            Self::Entra(_) | Self::Ledger(_) | Self::Stopped | Self::StoppedUndoing { .. } => false,
        }
    }

    /// Whether somebody else held a lock for longer than we may wait, on
    /// something that objects need. Nobody can write without the lease.
    #[must_use]
    pub(super) fn is_about_a_lock(&self) -> bool {
        match self {
            Self::Litellm(error) => error.is_about_a_lock(),
            Self::Ledger(ledger::Error::Database(error)) | Self::Database(error) => {
                error.is_lock_timeout()
            }
            Self::Entra(_) | Self::Ledger(_) | Self::Stopped | Self::StoppedUndoing { .. } => false,
        }
    }

    /// Whether the lock was on a team, so that none of its members can be
    /// written.
    #[must_use]
    pub(super) const fn is_about_a_team(&self) -> bool {
        matches!(self, Self::Litellm(litellm::Error::TeamLocked { .. }))
    }

    /// Whether it was the one under which users are counted.
    #[must_use]
    pub(super) const fn is_about_seats(&self) -> bool {
        matches!(self, Self::Litellm(litellm::Error::SeatsLocked(_)))
    }

    /// Whether a row that was inserted is there already: somebody may have
    /// inserted it since this transaction looked.
    #[must_use]
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Litellm(litellm::Error::Database(error)) if error.is_duplicate())
    }

    /// Whether no other object can be written either.
    #[must_use]
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Entra(_) | Self::Stopped | Self::StoppedUndoing { .. } => true,
            Self::Ledger(ledger::Error::Database(error))
            | Self::Litellm(litellm::Error::Database(error))
            | Self::Database(error) => error.is_disconnect() || error.is_out_of_order(),
            Self::Ledger(_) => true,
            Self::Litellm(_) => false,
        }
    }

    /// Whether a connection broke off, and another may be had at once.
    #[must_use]
    pub(super) fn is_broken_off(&self) -> bool {
        matches!(
            self,
            Self::Ledger(ledger::Error::Database(error)) | Self::Database(error)
                if error.is_broken_off()
        )
    }

    /// Whether the whole table refuses us: each of its objects would be refused
    /// with the same words.
    #[must_use]
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::Ledger(ledger::Error::Database(error))
            | Self::Litellm(litellm::Error::Database(error))
            | Self::Database(error) if error.is_forbidden()
        )
    }

    /// A closed set of words, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Entra(error) => error.kind(),
            Self::Litellm(error) => error.kind(),
            Self::Ledger(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Stopped | Self::StoppedUndoing { .. } => "stopped",
        }
    }
}
