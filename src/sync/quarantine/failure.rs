//! Which errors are whose trouble, and how far a pass got before them.
//!
//! Must not: decide what follows from it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::{Error, Phase};
use crate::entra::{self, Call};
use crate::model::quarantine::{Ended, Failure, Stage, Trouble};
use crate::{db, ledger, litellm};

/// How a pass ended; `None` if that says nothing at all (somebody stopped it).
pub(super) fn ended(
    phase: Phase,
    error: Option<&Error>,
    at: DateTime<Utc>,
    scheduled: Option<DateTime<Utc>>,
) -> Option<Ended> {
    let (stage, failure) = match error {
        None => (Stage::Done, None),
        Some(Error::Stopped | Error::StoppedUndoing { .. }) => return None,
        Some(error) => {
            let failure = error.trouble().map(|trouble| Failure {
                trouble,
                error: error.kind().to_owned(),
                message: error.to_string(),
                asked: asked_pause(error),
            });
            (stage(phase, error), failure)
        }
    };
    Some(Ended {
        stage,
        failure,
        at,
        scheduled,
    })
}

impl Error {
    /// What is to be mended before a pass can go well; `None` for what says
    /// nothing about the source: another instance works, the pass was stopped,
    /// or its scope names what is not there.
    #[must_use]
    pub const fn trouble(&self) -> Option<Trouble> {
        Some(match self {
            Self::Entra(error) => return entra_trouble(error),
            Self::Ledger(
                ledger::Error::LeaseHeld { .. }
                | ledger::Error::LeaseBusy { .. }
                | ledger::Error::LeaseLost { .. },
            )
            | Self::Stopped
            | Self::StoppedUndoing { .. } => return None,
            Self::Database(error)
            | Self::Ledger(ledger::Error::Database(error))
            | Self::Litellm(litellm::Error::Database(error)) => database_trouble(error),
            Self::Ledger(_) | Self::Litellm(_) => Trouble::Database,
        })
    }
}

const fn entra_trouble(error: &entra::Error) -> Option<Trouble> {
    use entra::Error as E;
    Some(match error {
        E::SecretRejected { .. }
        | E::SecretExpired { .. }
        | E::SecretFile { .. }
        | E::Credential(_)
        | E::ApplicationUnknown { .. }
        | E::TenantUnknown { .. }
        | E::WrongCloud { .. }
        | E::ScopeRefused { .. }
        | E::BlockedByPolicy { .. }
        | E::TokenRefused { .. }
        | E::Unauthorized { .. } => Trouble::Authentication,
        E::PermissionMissing { .. } | E::ServicePrincipalNotFound { .. } | E::Refused { .. } => {
            Trouble::Permission
        }
        E::TokenUnavailable { .. }
        | E::NotFound { .. }
        | E::Unreachable { .. }
        | E::ThrottledOut { .. }
        | E::Unavailable { .. }
        | E::Malformed { .. }
        | E::ForeignLink { .. }
        | E::Loop { .. }
        | E::PageTokenLost { .. }
        | E::Setup { .. } => Trouble::Outage,
        // Whatever wants a whole reading is followed by one; subscriptions are no
        // part of a pass.
        E::NotAssigned { .. }
        | E::SubscriptionForbidden { .. }
        | E::SubscriptionThrottled { .. }
        | E::NotificationUrl { .. }
        | E::PlaceLost { .. }
        | E::NoDeltaQueries(_)
        | E::ForeignKeptLink { .. } => return None,
    })
}

const fn database_trouble(error: &db::Error) -> Trouble {
    match error {
        db::Error::Connect {
            cause: db::ConnectError::Login { .. } | db::ConnectError::Token { .. },
        } => Trouble::DatabaseLogin,
        _ => Trouble::Database,
    }
}

/// Where the pass ended. A phase covers several stages; the error tells them
/// apart.
fn stage(phase: Phase, error: &Error) -> Stage {
    match (phase, error) {
        (_, Error::Entra(error)) if is_about_the_token(error) => Stage::Token,
        (_, Error::Entra(_)) => Stage::Reading,
        // Whose lease it is tells that the database answers, and no more.
        (_, error) if error.trouble().is_none() => Stage::Token,
        (Phase::Idle | Phase::Opening, _) => Stage::Opening,
        (Phase::Reading, _) => Stage::Reading,
        (Phase::Comparing, _) => Stage::Comparing,
        (Phase::Writing, _) => Stage::Writing,
    }
}

/// Whether there is no token, as far as an error tells.
const fn is_about_the_token(error: &entra::Error) -> bool {
    use entra::Error as E;
    match error {
        E::Unreachable { call, .. } | E::Malformed { call, .. } | E::ForeignLink { call, .. } => {
            matches!(call, Call::Token | Call::ManagedIdentity)
        }
        E::Unauthorized { .. } => false,
        E::TokenUnavailable { .. } | E::Setup { .. } => true,
        error => matches!(entra_trouble(error), Some(Trouble::Authentication)),
    }
}

/// The pause that Graph asked for when it last throttled; it has been waited
/// for in vain already, so it is the least that makes sense.
const fn asked_pause(error: &Error) -> Duration {
    match error {
        Error::Entra(entra::Error::ThrottledOut { asked, .. }) => *asked,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
