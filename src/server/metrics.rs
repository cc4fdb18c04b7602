//! What is counted from the moment that the process starts.
//!
//! Invariant: labels come from closed sets and from the names of sources in the
//! settings, so that nothing here grows with time, requests or the directory.
//! Must not: hold ids, names or addresses.

use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::exposition::{Alerts, Process, Sources};
use super::notifications::Outcome;
use crate::daemon::{Board, Event, Observer};
use crate::model::report::Counts;
use crate::notify::Sent;
use crate::sync::Report;

/// Seconds of a pass: an incremental one takes a tenth, a first full one
/// minutes.
const PASS_BOUNDS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
];

type Labels<const N: usize> = [(&'static str, String); N];

/// Counters of this process; an observer of the daemon.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    passes: Family<Labels<4>, Counter>,
    durations: Family<Labels<2>, Histogram>,
    changes: Family<Labels<3>, Counter>,
    answers: Family<Labels<2>, Counter>,
    notified: Family<Labels<1>, Counter>,
    alerts: Arc<Sent>,
    /// Unix seconds.
    started: f64,
}

impl Metrics {
    /// Counts passes and answers from now on; what is posted to the webhook is
    /// counted there.
    #[must_use]
    pub fn beside(alerts: Arc<Sent>) -> Self {
        let mut registry = Registry::with_prefix("entra_sync");
        let passes = Family::default();
        registry.register("passes", "Passes that have ended", passes.clone());
        let durations: Family<Labels<2>, Histogram> =
            Family::new_with_constructor(|| Histogram::new(PASS_BOUNDS));
        registry.register(
            "pass_duration_seconds",
            "How long passes took",
            durations.clone(),
        );
        let changes = Family::default();
        registry.register(
            "changes",
            "Changes written to LiteLLM's tables",
            changes.clone(),
        );
        let answers = Family::default();
        registry.register("http_requests", "Requests answered", answers.clone());
        let notified: Family<Labels<1>, Counter> = Family::default();
        for outcome in Outcome::ALL {
            let _ = notified.get_or_create(&result(outcome));
        }
        registry.register(
            "change_notifications",
            "What was posted as change notifications of Microsoft Graph",
            notified.clone(),
        );
        registry.register(
            "build",
            "The running program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let started = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        Self {
            registry,
            passes,
            durations,
            changes,
            answers,
            notified,
            alerts,
            started,
        }
    }
}

impl Observer for Metrics {
    fn sees(&self, event: &Event<'_>) {
        match event {
            Event::PassBegan { source, .. } => self.introduce(source.as_str()),
            Event::PassEnded {
                settings, report, ..
            } => self.count(settings.source.as_str(), report),
            _ => {}
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub(super) fn answered(&self, route: &'static str, code: u16) {
        let labels = [("route", route.to_owned()), ("code", code.to_string())];
        self.answers.get_or_create(&labels).inc();
    }

    /// Counts what was posted as change notifications.
    pub(super) fn notified(&self, outcome: Outcome) {
        self.notified.get_or_create(&result(outcome)).inc();
    }

    /// A rate needs a zero to grow from: what may be alarming is there before
    /// it happens.
    fn introduce(&self, source: &str) {
        for (kind, action, _) in changes(&Counts::default()) {
            let _ = self.changes.get_or_create(&change(source, kind, action));
        }
    }

    fn count(&self, source: &str, report: &Report) {
        let (trigger, mode) = (report.trigger.as_str(), report.mode.as_str());
        let labels = [
            ("source", source.to_owned()),
            ("trigger", trigger.to_owned()),
            ("mode", mode.to_owned()),
            ("status", report.status.as_str().to_owned()),
        ];
        self.passes.get_or_create(&labels).inc();
        let finished = report.finished_at.unwrap_or(report.started_at);
        let took = (finished - report.started_at).to_std().unwrap_or_default();
        let labels = [("source", source.to_owned()), ("mode", mode.to_owned())];
        let durations = self.durations.get_or_create(&labels);
        durations.observe(took.as_secs_f64());
        drop(durations);
        for (kind, action, many) in changes(&report.changes) {
            if many > 0 {
                let labels = change(source, kind, action);
                self.changes.get_or_create(&labels).inc_by(many);
            }
        }
    }

    /// Everything, in the text form of OpenMetrics 1.0.
    ///
    /// # Errors
    /// None that can happen: a string takes whatever is written.
    pub(super) fn render(&self, board: &Board) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        let mut now = Registry::with_prefix("entra_sync");
        now.register_collector(Box::new(Sources::of(board)));
        now.register_collector(Box::new(Alerts(Arc::clone(&self.alerts))));
        let replicas = Gauge::<i64>::default();
        replicas.set(i64::try_from(board.replicas()).unwrap_or(i64::MAX));
        now.register(
            "replicas",
            "Daemons on this database that this one sees, itself included; 0: not seen yet",
            replicas,
        );
        if let Some(in_use) = board.in_use().borrow().as_ref() {
            let figures = in_use.database.figures();
            now.register(
                "database_transaction_seconds",
                "Transactions, from BEGIN to the end",
                figures.transactions().clone(),
            );
            now.register(
                "lock_wait_seconds",
                "How long writing transactions waited for LiteLLM's locks",
                figures.waited().clone(),
            );
            now.register(
                "lock_held_seconds",
                "How long writing transactions held LiteLLM's locks",
                figures.held().clone(),
            );
        }
        text::encode_registry(&mut text, &now)?;
        let mut process = Registry::default();
        process.register_collector(Box::new(Process {
            started: self.started,
        }));
        text::encode(&mut text, &process)?;
        Ok(text)
    }
}

fn result(outcome: Outcome) -> Labels<1> {
    [("result", outcome.as_str().to_owned())]
}

fn change(source: &str, kind: &str, action: &str) -> Labels<3> {
    [
        ("source", source.to_owned()),
        ("kind", kind.to_owned()),
        ("action", action.to_owned()),
    ]
}

/// Kind, action and number: the fields of a report's `changes`.
fn changes(counts: &Counts) -> Vec<(&'static str, &'static str, u64)> {
    let Counts {
        organizations,
        teams,
        users,
        team_memberships,
        organization_memberships,
        keys,
    } = counts;
    vec![
        ("organizations", "created", organizations.created),
        ("organizations", "updated", organizations.updated),
        ("teams", "created", teams.created),
        ("teams", "updated", teams.updated),
        ("teams", "blocked", teams.blocked),
        ("teams", "unblocked", teams.unblocked),
        ("teams", "deleted", teams.deleted),
        ("users", "created", users.created),
        ("users", "updated", users.updated),
        ("users", "deactivated", users.deactivated),
        ("users", "reactivated", users.reactivated),
        ("team_memberships", "added", team_memberships.added),
        ("team_memberships", "removed", team_memberships.removed),
        ("team_memberships", "repaired", team_memberships.repaired),
        (
            "organization_memberships",
            "added",
            organization_memberships.added,
        ),
        (
            "organization_memberships",
            "removed",
            organization_memberships.removed,
        ),
        ("keys", "blocked", keys.blocked),
        ("keys", "unblocked", keys.unblocked),
        ("keys", "deleted", keys.deleted),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change that nobody counts would be missing here.
    #[test]
    fn every_field_of_a_reports_changes_is_counted() {
        let counts = Counts::default();
        let json = serde_json::to_value(&counts).unwrap();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (kind, actions) in json.as_object().unwrap() {
            for action in actions.as_object().unwrap().keys() {
                fields.push((kind.clone(), action.clone()));
            }
        }
        fields.sort();
        let mut counted: Vec<(String, String)> = changes(&counts)
            .into_iter()
            .map(|(kind, action, _)| (kind.to_owned(), action.to_owned()))
            .collect();
        counted.sort();
        assert_eq!(fields, counted);
    }
}
