//! What every writer of LiteLLM's rows needs to know.

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};

use super::audit::Audit;
use super::budget_reset::{BadDuration, next_reset};
use super::capabilities::Capabilities;
use crate::config::{BudgetCalendar, LitellmSettings};

/// `created_by` and `updated_by` of rows made outside a person's session
/// (litellm-contract 2.0, `LITELLM_PROXY_ADMIN_NAME`).
pub(super) const ACTOR: &str = "default_user_id";

/// The moment of a write, the shape of the tables, and what is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// What columns there are.
    pub capabilities: &'a Capabilities,
    /// What budgets are aligned to.
    pub calendar: &'a BudgetCalendar,
    /// Whether LiteLLM's audit log is written as well.
    pub audit: Audit,
    /// UTC.
    pub now: DateTime<Utc>,
}

impl<'a> Writing<'a> {
    /// As the settings and this LiteLLM will have it, now.
    #[must_use]
    pub fn new(settings: &'a LitellmSettings, capabilities: &'a Capabilities) -> Self {
        Self {
            capabilities,
            calendar: &settings.calendar,
            audit: Audit::of(settings.store_audit_logs, capabilities),
            now: Utc::now(),
        }
    }

    /// The moment as LiteLLM's zone-less columns hold it: UTC, milliseconds,
    /// rounded as PostgreSQL would.
    #[must_use]
    pub fn stamp(&self) -> NaiveDateTime {
        self.now.naive_utc().round_subsecs(3)
    }

    /// `budget_reset_at` of a budget with this duration.
    pub(super) fn reset_at(
        &self,
        duration: Option<&str>,
    ) -> Result<Option<NaiveDateTime>, BadDuration> {
        duration
            .map(|duration| next_reset(duration, self.now, self.calendar))
            .transpose()
    }
}

/// An `INSERT … SELECT` whose columns are written only where they exist.
pub(super) struct Insert<'a> {
    capabilities: &'a Capabilities,
    table: &'static str,
    columns: Vec<(&'static str, &'static str)>,
}

impl<'a> Insert<'a> {
    pub(super) fn into(table: &'static str, capabilities: &'a Capabilities) -> Self {
        Self {
            capabilities,
            table,
            columns: Vec::new(),
        }
    }

    /// Adds columns with the SQL expression of each.
    pub(super) fn columns(mut self, columns: &[(&'static str, &'static str)]) -> Self {
        let there = columns
            .iter()
            .filter(|(column, _)| self.capabilities.has(self.table, column));
        self.columns.extend(there);
        self
    }

    /// The statement; `tail` begins with FROM.
    pub(super) fn select(&self, tail: &str) -> String {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let values: Vec<&str> = self.columns.iter().map(|(_, value)| *value).collect();
        format!(
            "INSERT INTO \"{}\" ({}) SELECT {} {tail}",
            self.table,
            names.join(", "),
            values.join(", ")
        )
    }
}
