//! What can go wrong between us and the database, in words for an operator.
//!
//! diesel carries no SQLSTATE (dependency-notes 5.2), so what is not one of
//! its kinds is told apart by PostgreSQL's message. A message in another
//! language is then only retried once or twice more than it deserves.

use std::borrow::Cow;
use std::time::Duration;

use deadpool::managed::{PoolError, TimeoutType};
use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::pooled_connection::PoolError as SetupError;

use super::connect_error::ConnectError;

/// Result of anything done with the database.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A database failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("{cause}; {}", cause.remedy())]
    Connect {
        /// Why.
        cause: ConnectError,
    },
    /// No connection of the pool was free.
    #[error(
        "all connections to LiteLLM's database were busy for {}; raise connection_limit in the \
         database URL, or look for a stuck transaction", humantime::format_duration(*after)
    )]
    Exhausted {
        /// How long we waited.
        after: Duration,
    },
    /// The pool gave no connection for a reason of its own.
    #[error("there is no connection to LiteLLM's database: {0}")]
    Unconnected(String),
    /// The pool could not be built.
    #[error("the connection pool cannot be built: {0}")]
    Pool(String),
    /// A statement failed.
    #[error("{doing}: {}", describe(source))]
    Query {
        /// What was being done, as "adding members of team …".
        doing: String,
        /// diesel's error.
        source: DieselError,
    },
}

fn describe(error: &DieselError) -> String {
    match error {
        DieselError::DatabaseError(_, information) => {
            let mut text = information.message().to_owned();
            if let Some(detail) = information.details().and_then(impersonal) {
                text.push_str(" (");
                text.push_str(&detail);
                text.push(')');
            }
            text
        }
        other => other.to_string(),
    }
}

/// PostgreSQL's detail without the values of the row: they may be a person's
/// name or address, and what is said here reaches logs and the ledger.
fn impersonal(detail: &str) -> Option<Cow<'_, str>> {
    if detail.starts_with("Failing row contains") {
        return None;
    }
    match (detail.find(")=("), detail.rfind(") ")) {
        (Some(columns), Some(values)) if columns < values => {
            let (columns, rest) = (&detail[..=columns], &detail[values + 1..]);
            Some(Cow::Owned(format!("{columns}{rest}")))
        }
        _ => Some(Cow::Borrowed(detail)),
    }
}

impl Error {
    pub(super) fn from_pool(error: PoolError<SetupError>, patience: Option<Duration>) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Exhausted {
                after: patience.unwrap_or_default(),
            },
            PoolError::Backend(SetupError::ConnectionError(cause)) => carried(cause),
            PoolError::Backend(SetupError::QueryError(cause)) => {
                Self::Unconnected(describe(&cause))
            }
            other => Self::Unconnected(other.to_string()),
        }
    }

    /// Whether the same transaction may succeed when tried again: a lock that
    /// was not granted in time, a deadlock, a lost connection, a table that a
    /// LiteLLM upgrade is just changing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let source = match self {
            Self::Connect { cause } => return cause.is_retryable(),
            Self::Exhausted { .. } | Self::Unconnected(_) => return true,
            Self::Pool(_) => return false,
            Self::Query { source, .. } => source,
        };
        match source {
            DieselError::DatabaseError(kind, information) => match kind {
                DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ClosedConnection => true,
                DatabaseErrorKind::Unknown => {
                    let message = information.message();
                    [
                        "lock timeout",
                        "deadlock detected",
                        "statement timeout",
                        "cached plan must not change result type",
                        "terminating connection",
                        "the database system is",
                        "connection closed",
                        "server closed the connection",
                    ]
                    .iter()
                    .any(|phrase| message.contains(phrase))
                }
                _ => false,
            },
            DieselError::BrokenTransactionManager => true,
            _ => false,
        }
    }

    /// Whether a row with the same key is there already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(
            self,
            Self::Query {
                source: DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _),
                ..
            }
        )
    }

    /// Whether somebody else held a lock for longer than we may wait.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        matches!(
            self,
            Self::Query {
                source: DieselError::DatabaseError(_, information),
                ..
            } if information.message().contains("lock timeout")
        )
    }

    /// Whether the connection, not the statement, is to blame.
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Exhausted { .. }
            | Self::Unconnected(_)
            | Self::Pool(_) => true,
            Self::Query { source, .. } => match source {
                DieselError::DatabaseError(
                    DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection,
                    _,
                )
                | DieselError::BrokenTransactionManager => true,
                DieselError::DatabaseError(_, information) => {
                    let message = information.message();
                    message.contains("terminating connection")
                        || message.contains("connection closed")
                        || message.contains("the database system is")
                }
                _ => false,
            },
        }
    }

    /// Whether a connection that was there broke off: another may be had at once.
    #[must_use]
    pub fn is_broken_off(&self) -> bool {
        matches!(self, Self::Query { .. }) && self.is_disconnect()
    }

    fn says(&self, phrases: &[&str]) -> bool {
        matches!(
            self,
            Self::Query { source: DieselError::DatabaseError(_, information), .. }
                if phrases.iter().any(|phrase| information.message().contains(phrase))
        )
    }

    /// Whether the role lacks a right on a whole table.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.says(&["permission denied"])
    }

    /// Whether the server takes no writes at all: its disk is full, it has no
    /// memory left, or it is a replica.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        self.says(&[
            "No space left on device",
            "could not extend file",
            "out of memory",
            "out of shared memory",
            "in a read-only transaction",
        ])
    }

    /// A closed set of words, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect { cause } => cause.kind(),
            Self::Exhausted { .. } => "database_busy",
            Self::Unconnected(_) => "database_unreachable",
            Self::Pool(_) => "database_pool",
            Self::Query { .. } => "database_query",
        }
    }
}

/// diesel's connection errors have no room for a type of ours but this one.
pub(super) fn carry(error: ConnectError) -> ConnectionError {
    ConnectionError::CouldntSetupConfiguration(DieselError::QueryBuilderError(Box::new(error)))
}

fn carried(error: ConnectionError) -> Error {
    let text = error.to_string();
    if let ConnectionError::CouldntSetupConfiguration(DieselError::QueryBuilderError(cause)) = error
        && let Ok(cause) = cause.downcast::<ConnectError>()
    {
        return Error::Connect { cause: *cause };
    }
    Error::Unconnected(text)
}

/// Says what was being done when a statement failed.
pub trait QueryContext<T> {
    /// Adds the activity, in words that can follow "failed while".
    ///
    /// # Errors
    /// The same error, told with its activity.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> QueryContext<T> for std::result::Result<T, DieselError> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Query {
            doing: what.into(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::impersonal;

    #[test]
    fn a_detail_names_columns_but_no_values() {
        let taken = "Key (user_email, team)=(ada@example.com, x) already exists.";
        assert_eq!(
            impersonal(taken).as_deref(),
            Some("Key (user_email, team) already exists.")
        );
        let absent = "Key (budget_id)=(ada) y) is not present in table \"LiteLLM_BudgetTable\".";
        assert_eq!(
            impersonal(absent).as_deref(),
            Some("Key (budget_id) is not present in table \"LiteLLM_BudgetTable\".")
        );
        let row = "Failing row contains (ada, Ada Lovelace, ada@example.com).";
        assert_eq!(impersonal(row), None);
        let other = "Process 1 waits for ShareLock on transaction 2.";
        assert_eq!(impersonal(other).as_deref(), Some(other));
    }
}
