//! What can go wrong in the ledger.

use crate::db;
use crate::model::ids::RunId;

/// Result of anything done with the ledger.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] db::Error),
    /// Another instance has taken over; nothing of ours may be written.
    #[error(
        "the lease of this source was taken over by another instance (our epoch {epoch}); this \
         pass stops without writing any more, the other one goes on"
    )]
    LeaseLost {
        /// The epoch we held.
        epoch: i64,
    },
    /// It was not renewed in time; what was decided under it may be stale.
    #[error(
        "the lease of this source ran out before it was renewed (our epoch {epoch}): this process \
         stood still, or the database did not answer, for longer than schedule.lease; this pass \
         stops without writing any more, and the next one reads anew"
    )]
    LeaseRanOut {
        /// The epoch we held.
        epoch: i64,
    },
    /// Another instance holds the lease.
    #[error("{holder} holds the lease of this source for {remaining_seconds} s more")]
    LeaseHeld {
        /// Host and process that hold it.
        holder: String,
        /// Whole seconds until it expires unless it is renewed.
        remaining_seconds: i64,
    },
    /// Its lease has expired, but a transaction of the holder has not ended.
    #[error(
        "the lease of this source has expired, but a transaction of its holder, {holder}, is still \
         open; PostgreSQL ends it within seconds"
    )]
    LeaseBusy {
        /// Host and process that held it.
        holder: String,
    },
    /// Somebody holds the row of the lease; nothing can be written without it.
    #[error(
        "another session holds the row of this source's lease ({0}); if this stays, look in \
         pg_stat_activity for a transaction that never ends"
    )]
    LeaseLocked(db::Error),
    /// The ledger belongs to another tenant or Enterprise Application.
    #[error(
        "this database's ledger belongs to tenant {stored_tenant}, service principal \
         {stored_service_principal}{}, but the settings name tenant {tenant}, service principal \
         {service_principal} (entra.tenant, entra.service_principal_id); set them back, or, if \
         the same groups really moved there, or the tenant is only written another way, update \
         the row of entra_sync.source as docs/OPERATING.md describes; nothing was changed",
        called(name)
    )]
    SourceMismatch {
        /// What both call the source.
        name: String,
        /// Tenant in the ledger.
        stored_tenant: String,
        /// Service principal in the ledger.
        stored_service_principal: String,
        /// Tenant in the settings.
        tenant: String,
        /// Service principal in the settings.
        service_principal: String,
    },
    /// An earlier version began a second row for the same application, as its
    /// tenant was written another way.
    #[error(
        "the ledger has more than one row for service principal {service_principal}: {rows}; each \
         spares what the other manages, so nobody would lose what Entra takes away. Stop every \
         entra-sync, delete the newer row and give the older one the tenant of the settings, as \
         docs/OPERATING.md describes; nothing was changed"
    )]
    SourceTwice {
        /// The Enterprise Application.
        service_principal: String,
        /// Number, name and tenant of each row, oldest first.
        rows: String,
    },
    /// The schema is missing or older than this program.
    #[error(
        "the schema entra_sync is not ready: {0}; run `entra-sync migrate` with a role that may create it"
    )]
    NotMigrated(String),
    /// There is no ledger yet, or it does not know the source.
    #[error(
        "no pass has run for this source yet, so there is nobody to ask for one: start \
         `entra-sync run`, or run `entra-sync sync` once"
    )]
    NoPassYet,
    /// A run took things, and the copies of them have been deleted.
    #[error(
        "the copies of what run {run} took away are no longer in entra_sync.taken: it cannot be \
         undone; nothing was changed"
    )]
    CopiesGone {
        /// The run that took them.
        run: RunId,
    },
    /// No reading of the directory is recorded, or it was forgotten.
    #[error(
        "the ledger knows no directory for this source: no full reading has been recorded since \
         the last one was forgotten; the next pass reads in full"
    )]
    DirectoryUnknown,
    /// A value in the ledger is not one this program writes.
    #[error(
        "the ledger holds {value:?} in {place}, which this version does not know; was it written by a newer one?"
    )]
    Foreign {
        /// Table and column.
        place: &'static str,
        /// The value.
        value: String,
    },
}

/// Which of several sources it is about.
fn called(name: &str) -> String {
    match name {
        "default" => String::new(),
        name => format!(" (source {name})"),
    }
}

impl Error {
    /// Whether settings and ledger do not belong together (exit code 64): no pass
    /// mends that.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(self, Self::SourceMismatch { .. } | Self::SourceTwice { .. })
    }

    /// A closed set of words, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Database(error) => error.kind(),
            Self::LeaseLost { .. } => "lease_lost",
            Self::LeaseRanOut { .. } => "lease_ran_out",
            Self::LeaseHeld { .. } | Self::LeaseBusy { .. } => "lease_held",
            Self::LeaseLocked(_) => "lease_locked",
            Self::SourceMismatch { .. } => "source_mismatch",
            Self::SourceTwice { .. } => "source_twice",
            Self::NotMigrated(_) => "not_migrated",
            Self::NoPassYet => "no_pass_yet",
            Self::CopiesGone { .. } => "copies_gone",
            Self::DirectoryUnknown => "directory_unknown",
            Self::Foreign { .. } => "foreign_ledger",
        }
    }
}
