//! What other processes have done for this source meanwhile, and what they ask
//! for.
//!
//! Must not: keep anybody from a pass. Whatever cannot be asked counts as not
//! done; the lease keeps two from writing at once.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Result, Source};
use crate::db::Limits;
use crate::ledger::requests::{self, Waiting};
use crate::ledger::{self, runs};
use crate::model::report::Mode;

/// A database that does not say within this is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the pass that was due at some time has been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A daemon made it, to its end.
    Already,
    /// Nobody has, as far as is known.
    NotYet,
}

impl Source {
    /// Whether a daemon has made a pass like this since it was due.
    pub async fn made_since(&self, due: DateTime<Utc>, mode: Mode) -> Made {
        match tokio::time::timeout(PATIENCE, self.ask_for_passes(due, mode)).await {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the ledger was not asked about passes");
                Made::NotYet
            }
            Err(_) => Made::NotYet,
        }
    }

    /// When a pass of any process last began that got through, as far as the
    /// ledger says so soon.
    pub async fn last_success_at(&self) -> Option<DateTime<Utc>> {
        let asked = tokio::time::timeout(PATIENCE, self.ask_for_success()).await;
        match asked {
            Ok(Ok(at)) => at,
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the ledger was not asked about passes");
                None
            }
            Err(_) => None,
        }
    }

    /// The passes that somebody asks for and no run has taken, oldest first;
    /// `None` if the ledger does not say so soon.
    pub async fn requests(&self) -> Option<Vec<Waiting>> {
        match tokio::time::timeout(PATIENCE, self.ask_for_requests()).await {
            Ok(Ok(waiting)) => Some(waiting),
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the ledger was not asked about requests");
                None
            }
            Err(_) => None,
        }
    }

    /// Somebody has seen a request in the ledger, so it is there.
    async fn ask_for_requests(&self) -> Result<Vec<Waiting>> {
        let mut transaction = self.database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, self.settings.described()).await?;
        let waiting = match source {
            Some(source) => requests::waiting(&mut transaction, source).await?,
            None => Vec::new(),
        };
        transaction.commit().await?;
        Ok(waiting)
    }

    async fn ask_for_success(&self) -> Result<Option<DateTime<Utc>>> {
        if !ledger::exists(&self.database).await? {
            return Ok(None);
        }
        let mut transaction = self.database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, self.settings.described()).await?;
        let run = match source {
            Some(source) => runs::last_success(&mut transaction, source).await?,
            None => None,
        };
        transaction.commit().await?;
        Ok(run.map(|run| run.started_at))
    }

    async fn ask_for_passes(&self, due: DateTime<Utc>, mode: Mode) -> Result<Made> {
        if !ledger::exists(&self.database).await? {
            return Ok(Made::NotYet);
        }
        let mut transaction = self.database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, self.settings.described()).await?;
        let made = match source {
            Some(source) => runs::is_made(&mut transaction, source, due, mode).await?,
            None => false,
        };
        transaction.commit().await?;
        Ok(if made { Made::Already } else { Made::NotYet })
    }
}
