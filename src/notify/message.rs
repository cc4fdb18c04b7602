//! What a pass has to tell, before anybody asks in which form.
//!
//! Invariant: ids, counts, times and words of ours. An error's own sentence may
//! hold what Graph or PostgreSQL said; it stays in the log.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::config::{NotifyWhen, Settings};
use crate::model::quarantine::{Alert, AlertChange};
use crate::model::report::{Held, Question};
use crate::sync::Report;

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An alert opened.
    Failure,
    /// Removals are held until an operator decides.
    Held,
    /// A failure lasts: times of the schedule are left out for it.
    Quarantine,
    /// An alert closed, or nothing is held any more.
    Recovery,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Failure, Self::Held, Self::Quarantine, Self::Recovery];

    /// The word in messages, metrics and `notify.when`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Held => "held",
            Self::Quarantine => "quarantine",
            Self::Recovery => "recovery",
        }
    }

    pub(super) const fn when(self) -> NotifyWhen {
        match self {
            Self::Failure => NotifyWhen::Failure,
            Self::Held => NotifyWhen::Held,
            Self::Quarantine => NotifyWhen::Quarantine,
            Self::Recovery => NotifyWhen::Recovery,
        }
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// Something that a pass found.
    Found(Kind),
    /// Nothing: somebody wants to see one arrive.
    Test,
}

impl Subject {
    /// The word in messages and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Found(kind) => kind.as_str(),
            Self::Test => "test",
        }
    }
}

/// One notification.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The same with every attempt, so that a receiver can tell a repetition.
    pub(super) id: String,
    pub(super) subject: Subject,
    /// The source's name in the settings.
    pub(super) source: String,
    pub(super) tenant: String,
    /// `None` when it is about none.
    pub(super) run: Option<String>,
    pub(super) at: DateTime<Utc>,
    /// One sentence.
    pub(super) summary: String,
    pub(super) details: Map<String, Value>,
    /// What to do; `None` when there is nothing to do.
    pub(super) remedy: Option<String>,
}

/// Everything that this pass is the first to know.
pub(super) fn of_pass(settings: &Settings, report: &Report) -> Vec<Message> {
    let message = |told: Told| Message {
        id: new_id(),
        subject: Subject::Found(told.kind),
        source: settings.source.to_string(),
        tenant: settings.entra.tenant.clone(),
        run: Some(report.run_id.to_string()),
        at: report.finished_at.unwrap_or(report.started_at),
        summary: told.summary,
        details: told.details,
        remedy: told.remedy,
    };
    let alerts = report.alerts.iter().map(alert);
    let held = match (report.question, &report.held) {
        (Some(Question::New), Some(set)) => Some(held(set)),
        (Some(Question::Over), _) => Some(Told {
            kind: Kind::Recovery,
            summary: "no removals are held any more".to_owned(),
            details: details(json!({"of": "held"})),
            remedy: None,
        }),
        _ => None,
    };
    alerts.chain(held).map(message).collect()
}

/// One that says that it arrived.
pub(super) fn of_nothing(settings: &Settings, now: DateTime<Utc>) -> Message {
    Message {
        id: new_id(),
        subject: Subject::Test,
        source: settings.source.to_string(),
        tenant: settings.entra.tenant.clone(),
        run: None,
        at: now,
        summary: "notifications arrive here".to_owned(),
        details: Map::new(),
        remedy: None,
    }
}

fn new_id() -> String {
    format!("msg_{}", uuid::Uuid::new_v4().simple())
}

/// What differs from message to message.
struct Told {
    kind: Kind,
    summary: String,
    details: Map<String, Value>,
    remedy: Option<String>,
}

fn alert(alert: &Alert) -> Told {
    let failing = &alert.failing;
    let trouble = failing.trouble;
    let deed = trouble.deed();
    let fails = |kind, summary| Told {
        kind,
        summary,
        details: details(json!({
            "alert": trouble.as_str(),
            "error": failing.error,
            "failures": failing.failures,
            "since": moment(failing.since),
            "next_attempt": moment(failing.next_at),
        })),
        remedy: Some(trouble.remedy().to_owned()),
    };
    match alert.change {
        AlertChange::Opened => fails(Kind::Failure, format!("{deed} fails")),
        AlertChange::Stretched => fails(
            Kind::Quarantine,
            format!(
                "{deed} still fails: the schedule's times before {} are left out",
                moment(failing.next_at)
            ),
        ),
        AlertChange::Closed => Told {
            kind: Kind::Recovery,
            summary: format!("{deed} works again"),
            details: details(json!({
                "of": "failure",
                "alert": trouble.as_str(),
                "failures": failing.failures,
                "since": moment(failing.since),
            })),
            remedy: None,
        },
    }
}

fn held(set: &Held) -> Told {
    let short = set.digest.get(..12).unwrap_or(&set.digest);
    Told {
        kind: Kind::Held,
        summary: format!("{} removals are held", set.removals),
        details: details(json!({
            "digest": set.digest,
            "removals": set.removals,
            "reason": set.reason,
        })),
        remedy: Some(format!(
            "`entra-sync plan` lists them, `entra-sync approve {short}` releases them, \
             `entra-sync reject {short}` keeps them unapplied"
        )),
    }
}

fn details(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// As in reports, to the second.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
