//! The state of one source as an operator is told it: by `status`, and over
//! HTTP.
//!
//! Must not: hold names or addresses of people.

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use serde_json::{Value, json};

use super::error::Result;
use super::held::{self, HeldPlan};
use super::ownership::{self, Extent};
use super::runs::{self, Run};
use super::{alerts, find_source, lease};
use crate::model::quarantine::{Failing, Standing};
use crate::model::source::Described;

/// What the ledger knows of a source.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// The newest pass.
    pub last: Option<Run>,
    /// When the newest one began that ended well.
    pub success_at: Option<DateTime<Utc>>,
    /// Who has the lease, and for how many seconds more.
    pub holder: Option<(String, i64)>,
    /// How much is managed.
    pub managed: Extent,
    /// Sets of held removals that are open.
    pub held_sets: Vec<HeldPlan>,
    /// What fails.
    pub standing: Standing,
}

/// Loads it; a source that no pass has run for has nothing in it.
///
/// # Errors
/// When the database fails.
pub async fn overview(
    connection: &mut AsyncPgConnection,
    source: Described<'_>,
) -> Result<Overview> {
    let Some(source) = find_source(connection, source).await? else {
        return Ok(Overview::default());
    };
    let success = runs::last_success(connection, source).await?;
    Ok(Overview {
        last: runs::list(connection, source, 1).await?.pop(),
        success_at: success.map(|run| run.started_at),
        holder: lease::holder(connection, source).await?,
        managed: ownership::extent(connection, source).await?,
        held_sets: held::open(connection, source).await?,
        standing: alerts::load(connection, source).await?,
    })
}

impl Overview {
    /// The object of `status --format json`.
    #[must_use]
    pub fn json(&self, source: Described<'_>) -> Value {
        let report = self.last.as_ref().and_then(|run| run.report.as_ref());
        json!({
            "source": {
                "tenant": source.tenant,
                "service_principal_id": source.service_principal,
            },
            "lease": self.holder.as_ref().map(|(holder, seconds)| json!({
                "holder": holder, "remaining_seconds": seconds,
            })),
            "last_run": self.last,
            "last_success_at": self.success_at,
            "managed": self.managed,
            "held": report.and_then(|report| report.get("held").cloned()),
            "held_sets": self.held_sets,
            "alerts": self.standing.alerts().map(alert).collect::<Vec<_>>(),
            "quarantine": self.standing.quarantine().map(alert),
        })
    }
}

/// What fails, for programs.
fn alert(failing: &Failing) -> Value {
    json!({
        "kind": failing.trouble,
        "failures": failing.failures,
        "since": failing.since,
        "last_at": failing.last_at,
        "next_attempt_at": failing.next_at,
        "opened_at": failing.opened_at,
        "error": failing.error,
        "message": failing.message,
        "remedy": failing.trouble.remedy(),
    })
}
