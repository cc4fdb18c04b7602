//! What a failed pass means for the next ones, kept across passes, processes
//! and restarts; and who is told.
//!
//! Invariant: the ledger's word counts; what could not be written there,
//! because the database is what fails, is remembered until it can. Every alert
//! leaves through [`announce`] and nowhere else.
//! Must not: wait. Whoever runs passes does, or does not.

mod failure;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Error, Phase, Result, Source};
use crate::config::Timetable;
use crate::db::Limits;
use crate::ledger::{self, alerts};
use crate::model::quarantine::{Alert, AlertChange, Ended, Failing, Stage, Standing, Trouble};

/// A database that does not say within this is not asked for the quarantine.
const PATIENCE: Duration = Duration::from_secs(2);

/// What this process knows.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Known>);

#[derive(Debug, Clone, Default)]
struct Known {
    standing: Standing,
    /// What the ledger has not been told yet.
    untold: BTreeSet<Trouble>,
    /// What the last pass of this process met, whatever others have done since.
    met: Option<Trouble>,
}

impl Known {
    /// What the ledger says, but for what it has not been told.
    fn beside(&self, mut kept: Standing) -> Standing {
        for one in self.standing.iter() {
            if self.untold.contains(&one.trouble) {
                kept.put(one.clone());
            }
        }
        kept
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Goes on where this one stopped: new settings for the same tenant and
    /// application do not end a quarantine that the ledger may not know of.
    #[must_use]
    pub fn following(self, earlier: &Self) -> Self {
        let name = |source: &Self| {
            let entra = &source.settings.entra;
            (entra.tenant.to_lowercase(), entra.service_principal_id)
        };
        if name(&self) == name(earlier) {
            let known = earlier.memory.lock().clone();
            *self.memory.lock() = known;
        }
        self
    }

    /// What the schedule waits for, as far as this process knows.
    #[must_use]
    pub fn quarantine(&self) -> Option<Failing> {
        self.memory.lock().standing.quarantine().cloned()
    }

    /// The alerts that are open, as far as this process knows.
    #[must_use]
    pub fn open_alerts(&self) -> Vec<Failing> {
        self.memory.lock().standing.alerts().cloned().collect()
    }

    /// What the schedule waits for after a look into the ledger: a pass by hand or by another
    /// instance may have got through, or failed. When the database is what
    /// fails, or does not answer soon, it is what this process knows.
    pub async fn quarantine_of_all(&self) -> Option<Failing> {
        let known = self.quarantine();
        if known.is_some_and(|one| one.trouble.is_about_the_database()) {
            return self.quarantine();
        }
        match tokio::time::timeout(PATIENCE, self.kept()).await {
            Ok(Ok(kept)) => {
                let mut known = self.memory.lock();
                known.standing = known.beside(kept);
            }
            Ok(Err(error)) => {
                tracing::debug!(error.message = %error, "the ledger was not asked about alerts");
            }
            Err(_) => tracing::debug!("the ledger was too slow about alerts"),
        }
        self.quarantine()
    }

    /// Whether a secret that is refused has changed in its file. Says so once
    /// for each change.
    pub async fn has_a_new_secret(&self) -> bool {
        match self.quarantine().map(|one| one.trouble) {
            Some(Trouble::Authentication) => self.reader.has_a_new_secret().await,
            Some(Trouble::DatabaseLogin) => self.database.has_a_new_secret().await,
            _ => false,
        }
    }

    /// Makes sure that a pass asks anew and is not told what the last one was:
    /// passes are paced here, so the reader's own rests have had their time, and
    /// a token from before a grant does not carry it.
    pub(super) async fn begin_anew(&self) {
        let met = self.memory.lock().met;
        if met.is_some() {
            self.reader.forget_refusal().await;
        }
        if matches!(met, Some(Trouble::Authentication | Trouble::Permission)) {
            self.reader.forget_token().await;
        }
    }

    /// Notes how a pass ended; announces and gives what that opens or closes.
    pub(super) async fn note(&self, phase: Phase, error: Option<&Error>) -> Vec<Alert> {
        let now = Utc::now();
        let Some(ended) = failure::ended(phase, error, now, self.scheduled_after(now)) else {
            return Vec::new();
        };
        self.memory.lock().met = ended.failure.as_ref().map(|failure| failure.trouble);
        let alerts = match self.tell_the_ledger(&ended).await {
            Ok(Some(alerts)) => alerts,
            Ok(None) => self.remember(&ended),
            Err(error) => {
                tracing::debug!(error.message = %error, "alerts are only remembered for now");
                self.remember(&ended)
            }
        };
        for alert in &alerts {
            announce(&self.name(), alert);
        }
        alerts
    }

    fn scheduled_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Timetable::of(&self.settings.schedule).ok()?.next_after(now)
    }

    /// `None` when the ledger is not to be asked: the pass has just seen that it
    /// does not answer or is not ours, or ended before it was allowed to write.
    async fn tell_the_ledger(&self, ended: &Ended) -> Result<Option<Vec<Alert>>> {
        let may = match ended.failure.as_ref().map(|failure| failure.trouble) {
            Some(trouble) => ended.stage > Stage::Opening || !trouble.is_about_the_database(),
            None => ended.stage == Stage::Done,
        };
        if !may {
            return Ok(None);
        }
        let mut transaction = self.database.begin(Limits::WRITE).await?;
        let source = ledger::find_source(&mut transaction, self.settings.described()).await?;
        let Some(source) = source else {
            return Ok(None);
        };
        let kept = alerts::load(&mut transaction, source).await?;
        let mut standing = self.memory.lock().beside(kept.clone());
        let alerts = standing.after(ended);
        for one in standing.iter() {
            if kept.get(one.trouble) != Some(one) {
                alerts::record(&mut transaction, source, one).await?;
            }
        }
        transaction.commit().await?;
        let mut known = self.memory.lock();
        known.standing = standing;
        known.untold.clear();
        Ok(Some(alerts))
    }

    fn remember(&self, ended: &Ended) -> Vec<Alert> {
        let mut known = self.memory.lock();
        let before = known.standing.clone();
        let alerts = known.standing.after(ended);
        let changed: Vec<Trouble> = known
            .standing
            .iter()
            .filter(|one| before.get(one.trouble) != Some(one))
            .map(|one| one.trouble)
            .collect();
        known.untold.extend(changed);
        alerts
    }

    /// What the ledger says; nothing before the first pass.
    async fn kept(&self) -> Result<Standing> {
        if !ledger::exists(&self.database).await? {
            return Ok(Standing::default());
        }
        let mut transaction = self.database.begin(Limits::READ).await?;
        let source = ledger::find_source(&mut transaction, self.settings.described()).await?;
        let kept = match source {
            Some(source) => alerts::load(&mut transaction, source).await?,
            None => Standing::default(),
        };
        transaction.commit().await?;
        Ok(kept)
    }
}

/// Tells of an alert. The error's own message is not repeated: whoever runs the
/// pass says it.
fn announce(source: &str, alert: &Alert) {
    let failing = &alert.failing;
    let kind = failing.trouble.as_str();
    let failures = failing.failures;
    let deed = failing.trouble.deed();
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    match alert.change {
        AlertChange::Opened => tracing::error!(
            target: "alert",
            {
                source.id = source,
                alert.kind = kind,
                error.kind = failing.error,
                failures,
                next_attempt = time(failing.next_at),
                remedy = failing.trouble.remedy(),
            },
            "alert opened: {deed} fails"
        ),
        AlertChange::Stretched => tracing::warn!(
            target: "alert",
            {
                source.id = source,
                alert.kind = kind,
                failures,
                next_attempt = time(failing.next_at),
            },
            "in quarantine: the schedule's times before the next attempt are left out"
        ),
        AlertChange::Closed => tracing::info!(
            target: "alert",
            {
                source.id = source,
                alert.kind = kind,
                failures,
                since = time(failing.since),
            },
            "alert closed: {deed} works again"
        ),
    }
}
