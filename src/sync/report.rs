//! What a pass reports: the object of `sync --format json` (design 4).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::Error;
use super::write::Tally;
use super::{Planned, Request, Source};
use crate::model::directory::{Directory, ReadingCost};
use crate::model::ids::RunId;
use crate::model::quarantine::Alert;
use crate::model::report::{
    Counts, DirectoryCounts, Held, Kind, Mode, ObjectError, Question, Skipped, Status, Trigger,
};
use crate::plan::undo::Undo;
use crate::plan::{Item, Plan};

/// A pass's report, whether it went well or not.
#[derive(Debug, Clone)]
pub struct Report {
    /// The pass.
    pub run_id: RunId,
    /// Who asked.
    pub trigger: Trigger,
    /// How the directory was read.
    pub mode: Mode,
    /// How it ended.
    pub status: Status,
    /// UTC.
    pub started_at: DateTime<Utc>,
    /// UTC.
    pub finished_at: Option<DateTime<Utc>>,
    /// What was read.
    pub directory: DirectoryCounts,
    /// What was changed.
    pub changes: Counts,
    /// What the guard holds back.
    pub held: Option<Held>,
    /// What was left out on purpose.
    pub skipped: Vec<Skipped>,
    /// What could not be read or written.
    pub errors: Vec<ObjectError>,
    /// Over the plan's items.
    pub plan_digest: Option<String>,
    /// What it did to alerts; not part of the object that is printed.
    pub alerts: Vec<Alert>,
    /// What became of held removals with it, likewise.
    pub question: Option<Question>,
}

impl Report {
    pub(super) fn begin(run: RunId, request: &Request, now: DateTime<Utc>) -> Self {
        Self {
            run_id: run,
            trigger: request.trigger,
            mode: request.mode,
            status: Status::Failed,
            started_at: now,
            finished_at: None,
            directory: DirectoryCounts::default(),
            changes: Counts::default(),
            held: None,
            skipped: Vec::new(),
            errors: Vec::new(),
            plan_digest: None,
            alerts: Vec::new(),
            question: None,
        }
    }

    /// Reads the object of [`Self::json`] back; `None` if it is not one.
    #[must_use]
    pub fn from_json(json: &Value) -> Option<Self> {
        let word = |key| json.get(key).and_then(Value::as_str);
        let time = |key| Some(DateTime::parse_from_rfc3339(word(key)?).ok()?.to_utc());
        Some(Self {
            run_id: part(json, "run_id")?,
            trigger: part(json, "trigger")?,
            mode: match word("mode")? {
                "full" => Mode::Full,
                _ => Mode::Incremental,
            },
            status: part(json, "status")?,
            started_at: time("started_at")?,
            finished_at: time("finished_at"),
            directory: part(json, "directory")?,
            changes: part(json, "changes")?,
            held: part(json, "held")?,
            skipped: part(json, "skipped")?,
            errors: part(json, "errors")?,
            plan_digest: None,
            alerts: Vec::new(),
            question: None,
        })
    }

    /// What was read, how, and what that cost.
    pub(super) fn read(&mut self, mode: Mode, size: Size, cost: ReadingCost) {
        self.mode = mode;
        self.directory = DirectoryCounts {
            groups: size.groups,
            users: size.users,
            memberships: size.memberships,
            requests: cost.requests,
            resource_units: cost.resource_units,
            retries: cost.retries,
        };
    }

    /// There was nothing to decide.
    pub(super) fn idle(&mut self, now: DateTime<Utc>) {
        self.finished_at = Some(now);
        self.status = Status::Unchanged;
    }

    pub(super) fn planned(&mut self, plan: &Plan) {
        self.plan_digest = Some(plan.digest());
        self.skipped.clone_from(&plan.skipped);
        self.errors.clone_from(&plan.unreadable);
        self.held.clone_from(&plan.deprovision.verdict.alarm);
    }

    pub(super) fn written(&mut self, tally: Tally, now: DateTime<Utc>) {
        self.done(tally, now);
        self.status = if self.held.is_some() {
            Status::Held
        } else if !self.errors.is_empty() {
            Status::Partial
        } else if self.changes.total() == 0 {
            Status::Unchanged
        } else {
            Status::Succeeded
        };
    }

    pub(super) fn undoing(&mut self, undo: &Undo) {
        self.plan_digest = Some(undo.digest());
        self.skipped = undo.skipped();
    }

    pub(super) fn undone(&mut self, undo: &Undo, tally: Tally, now: DateTime<Utc>) {
        self.done(tally, now);
        self.status = if !self.errors.is_empty() {
            Status::Partial
        } else if self.changes.total() == 0 && undo.returns.is_empty() {
            Status::Unchanged
        } else {
            Status::Succeeded
        };
    }

    fn done(&mut self, tally: Tally, now: DateTime<Utc>) {
        self.changes = tally.counts;
        self.skipped.extend(tally.skipped);
        self.skipped.sort();
        self.skipped.dedup();
        self.errors.extend(tally.errors);
        self.errors.sort();
        self.finished_at = Some(now);
    }

    /// The pass broke off; said once, as an error of the whole source.
    pub(super) fn fail(&mut self, now: DateTime<Utc>, source: &str, error: &Error) {
        if self.status == Status::Failed && self.finished_at.is_some() {
            return;
        }
        self.status = Status::Failed;
        self.finished_at = Some(now);
        self.errors.push(ObjectError {
            kind: Kind::Source,
            id: source.to_owned(),
            message: error.to_string(),
        });
    }

    /// The object that is printed and kept.
    #[must_use]
    pub fn json(&self) -> Value {
        let finished = self.finished_at.unwrap_or(self.started_at);
        let duration = (finished - self.started_at).num_milliseconds().max(0);
        json!({
            "run_id": self.run_id,
            "trigger": self.trigger,
            "mode": self.mode,
            "status": self.status,
            "started_at": self.started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "finished_at": finished.to_rfc3339_opts(SecondsFormat::Millis, true),
            "duration_ms": duration,
            "directory": self.directory,
            "changes": self.changes,
            "held": self.held,
            "skipped": self.skipped,
            "errors": self.errors,
        })
    }
}

fn part<T: DeserializeOwned>(json: &Value, key: &str) -> Option<T> {
    serde_json::from_value(json.get(key)?.clone()).ok()
}

/// How large the directory is, as far as it could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) groups: u64,
    pub(super) users: u64,
    pub(super) memberships: u64,
}

impl Size {
    pub(super) fn of(directory: &Directory) -> Self {
        let groups = directory.groups.values();
        let read: Vec<usize> = groups
            .filter_map(|group| Some(group.members.as_ref().ok()?.get().len()))
            .collect();
        Self {
            groups: read.len() as u64,
            users: directory.people.len() as u64,
            memberships: read.iter().map(|members| *members as u64).sum(),
        }
    }
}

/// The object of `plan --format json`.
#[must_use]
pub fn plan_json(planned: &Planned) -> Value {
    let plan = &planned.plan;
    json!({
        "digest": plan.digest(),
        "changes": plan.counts(),
        "items": plan.items().collect::<Vec<Item>>(),
        "held": plan.deprovision.verdict.alarm,
        "skipped": plan.skipped,
        "errors": plan.unreadable,
    })
}

/// The same object when there is no plan: nothing in it but the error.
#[must_use]
pub fn failed_plan_json(source: &Source, error: &Error) -> Value {
    json!({
        "digest": Value::Null,
        "changes": Counts::default(),
        "items": [],
        "held": Value::Null,
        "skipped": [],
        "errors": [ObjectError {
            kind: Kind::Source,
            id: source.name(),
            message: error.to_string(),
        }],
    })
}
