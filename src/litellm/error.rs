//! Why LiteLLM's tables cannot be used.

use crate::db;
use crate::litellm::budget_reset::BadDuration;

/// Result of anything done with LiteLLM's tables.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure around LiteLLM's tables. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// This is not LiteLLM's database, or LiteLLM has not started yet.
    #[error(
        "LiteLLM's tables are not in schema \"{schema}\" of database \"{database}\" (missing: \
         {missing}); check litellm.database_url and its schema parameter, or let LiteLLM start \
         once to make its tables; nothing was written"
    )]
    NoTables {
        /// Where we looked.
        schema: String,
        /// Where we looked.
        database: String,
        /// Table names.
        missing: String,
    },
    /// A table lacks a column that every supported LiteLLM has.
    #[error(
        "LiteLLM's tables lack {missing}: this LiteLLM is older than entra-sync supports, or its \
         schema is damaged; upgrade LiteLLM and let it migrate; nothing was written"
    )]
    MissingColumns {
        /// As `table.column`.
        missing: String,
    },
    /// A newer LiteLLM demands a column we do not know.
    #[error(
        "LiteLLM's tables demand a value for {columns}, which this entra-sync does not know; \
         upgrade entra-sync; nothing was written"
    )]
    UnknownRequiredColumns {
        /// As `table.column`.
        columns: String,
    },
    /// A LiteLLM migration is in flight.
    #[error(
        "a LiteLLM migration is running ({migration}, begun {minutes} min ago); this pass leaves \
         the tables alone and the next one looks again"
    )]
    MigrationRunning {
        /// Prisma's name of it.
        migration: String,
        /// Since when.
        minutes: i64,
    },
    /// A LiteLLM migration broke off.
    #[error(
        "the LiteLLM migration {migration} is marked unfinished since {minutes} min: it probably \
         broke off; look at LiteLLM's log, then run `prisma migrate resolve --rolled-back \
         {migration}` (or `--applied`, if its changes are there) and restart LiteLLM; nothing was \
         written"
    )]
    MigrationUnfinished {
        /// Prisma's name of it.
        migration: String,
        /// Since when.
        minutes: i64,
    },
    /// A default needs something this LiteLLM does not have.
    #[error(
        "{setting} needs {table}.{column}, which this LiteLLM does not have; upgrade LiteLLM or \
         remove the setting (nothing was written)"
    )]
    NotCapable {
        /// The setting.
        setting: &'static str,
        /// The table.
        table: &'static str,
        /// Its column.
        column: String,
    },
    /// A roster cannot be read.
    #[error(
        "members_with_roles of team {team} is not a list of members ({cause}); LiteLLM itself \
         cannot load this team: mend the row; nothing was changed for it"
    )]
    BadRoster {
        /// The team.
        team: String,
        /// What is wrong.
        cause: String,
    },
    /// Somebody holds LiteLLM's lock on a team.
    #[error(
        "another session holds LiteLLM's lock on team {team}, or its row ({source}); the next pass tries \
         again; if this stays, look in pg_stat_activity for a transaction that never ends"
    )]
    TeamLocked {
        /// The team.
        team: String,
        /// What the database said.
        source: db::Error,
    },
    /// Somebody holds LiteLLM's lock on seats.
    #[error(
        "another session holds the lock under which LiteLLM counts its users ({0}); the next pass \
         tries again; if this stays, look in pg_stat_activity for a transaction that never ends"
    )]
    SeatsLocked(db::Error),
    /// A budget duration got past the settings.
    #[error(transparent)]
    Duration(#[from] BadDuration),
}

impl Error {
    /// Whether trying the same transaction again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::TeamLocked { .. } | Self::SeatsLocked(_) => true,
            _ => false,
        }
    }

    /// Whether somebody else held a lock for longer than we may wait.
    #[must_use]
    pub fn is_about_a_lock(&self) -> bool {
        match self {
            Self::Database(error) => error.is_lock_timeout(),
            Self::TeamLocked { .. } | Self::SeatsLocked(_) => true,
            _ => false,
        }
    }

    /// A lock timeout, told as one of this team.
    pub(super) fn of_team(self, team: &str) -> Self {
        match self {
            Self::Database(source) if source.is_lock_timeout() => {
                let team = team.to_owned();
                Self::TeamLocked { team, source }
            }
            other => other,
        }
    }

    /// A closed set of words, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Database(error) => error.kind(),
            Self::NoTables { .. } | Self::MissingColumns { .. } => "litellm_schema",
            Self::UnknownRequiredColumns { .. } | Self::NotCapable { .. } => "litellm_schema",
            Self::MigrationRunning { .. } | Self::MigrationUnfinished { .. } => "litellm_migration",
            Self::BadRoster { .. } => "litellm_roster",
            Self::TeamLocked { .. } => "litellm_team_locked",
            Self::SeatsLocked(_) => "litellm_seats_locked",
            Self::Duration(_) => "budget_duration",
        }
    }
}
