//! What the daemon does now, in one line for a service manager.
//!
//! Invariant: a function of what is shown and of the clock that is handed in;
//! it changes when something happens, not with time. It names no source, no
//! object and no person: whoever may run `systemctl status` may read it.
//! Must not: quote an error; the log has it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::board::{Place, SourceState};
use super::schedule::moment;
use crate::model::ids::SourceName;
use crate::model::quarantine::Failing;
use crate::model::report::Status;

/// What one source is at, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    Running,
    Waiting,
    Failed,
    Held,
    Idle,
    Elsewhere,
}

impl Doing {
    fn of(state: &SourceState, now: DateTime<Utc>) -> Self {
        if state.running.is_some() {
            return Self::Running;
        }
        if state.place == Place::Elsewhere {
            return Self::Elsewhere;
        }
        if resting(state, now).is_some() {
            return Self::Waiting;
        }
        match state.last.as_ref().map(|report| report.status) {
            Some(Status::Failed) => Self::Failed,
            Some(Status::Held) => Self::Held,
            _ => Self::Idle,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting after failures",
            Self::Failed => "failed",
            Self::Held => "with removals held",
            Self::Idle => "idle",
            Self::Elsewhere => "with another replica",
        }
    }
}

fn resting(state: &SourceState, now: DateTime<Utc>) -> Option<&Failing> {
    state
        .quarantine
        .as_ref()
        .filter(|failing| failing.rests(now))
}

/// The line about all sources.
pub(super) fn status_line(
    sources: &BTreeMap<SourceName, SourceState>,
    now: DateTime<Utc>,
) -> String {
    let mut states = sources.values();
    match (states.next(), states.next()) {
        (None, _) => "starting".to_owned(),
        (Some(one), None) => of_one(one, now),
        (Some(_), Some(_)) => of_several(sources, now),
    }
}

fn of_one(state: &SourceState, now: DateTime<Utc>) -> String {
    if let Some(running) = &state.running {
        let since = moment(running.since);
        return format!("pass running since {since} ({})", running.trigger.as_str());
    }
    if state.place == Place::Elsewhere {
        return "standby: another replica looks after the source".to_owned();
    }
    if let Some(failing) = resting(state, now) {
        return format!(
            "waiting until {}: {} has failed {}",
            moment(failing.next_at),
            failing.trouble.deed(),
            failing.times()
        );
    }
    format!("idle; {}; {}", last(state), next(state.next_at))
}

fn last(state: &SourceState) -> String {
    let Some(report) = &state.last else {
        let before = state.last_success_at.map(moment);
        return before.map_or_else(
            || "no pass yet".to_owned(),
            |at| format!("no pass yet since the start, last success {at}"),
        );
    };
    let at = moment(report.finished_at.unwrap_or(report.started_at));
    let status = report.status.as_str();
    match report.changes.total() {
        0 => format!("last pass {status} at {at}"),
        1 => format!("last pass {status} at {at}, 1 change"),
        many => format!("last pass {status} at {at}, {many} changes"),
    }
}

fn next(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "none is scheduled".to_owned(),
        |at| format!("next {}", moment(at)),
    )
}

fn of_several(sources: &BTreeMap<SourceName, SourceState>, now: DateTime<Utc>) -> String {
    let mut counts: BTreeMap<Doing, usize> = BTreeMap::new();
    for state in sources.values() {
        *counts.entry(Doing::of(state, now)).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(doing, count)| format!("{count} {}", doing.as_str()))
        .collect();
    // The times of what another replica has are not ours to keep.
    let ours = sources
        .values()
        .filter(|state| state.place == Place::Here)
        .filter_map(|state| state.next_at);
    format!(
        "{} sources: {}; {}",
        sources.len(),
        counts.join(", "),
        next(ours.min())
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::super::board::Running;
    use super::*;
    use crate::model::ids::RunId;
    use crate::model::quarantine::{Stage, Trouble};
    use crate::model::report::{Counts, DirectoryCounts, Mode, Trigger};
    use crate::sync::{Progress, Report};

    fn noon() -> DateTime<Utc> {
        "2026-08-21T12:00:00Z".parse().unwrap()
    }

    fn line(states: Vec<SourceState>) -> String {
        let named = states.into_iter().enumerate().map(|(number, state)| {
            let name = SourceName::of(&format!("source-{number}")).unwrap();
            (name, state)
        });
        status_line(&named.collect(), noon())
    }

    /// Here, with a pass scheduled in a quarter of an hour, and this.
    fn idle_but(change: impl FnOnce(&mut SourceState)) -> SourceState {
        let mut state = SourceState::default();
        state.next_at = Some(noon() + TimeDelta::minutes(15));
        change(&mut state);
        state
    }

    fn idle() -> SourceState {
        idle_but(|_| {})
    }

    fn running() -> SourceState {
        idle_but(|state| {
            state.running = Some(Running {
                trigger: Trigger::Signal,
                mode: Mode::Full,
                since: noon(),
                watch: Progress::new().1,
            });
        })
    }

    fn elsewhere() -> SourceState {
        idle_but(|state| {
            state.place = Place::Elsewhere;
            state.next_at = Some(noon() + TimeDelta::minutes(5));
        })
    }

    fn waiting() -> SourceState {
        let failing = Failing {
            trouble: Trouble::Outage,
            stage: Stage::Reading,
            failures: 3,
            since: noon() - TimeDelta::minutes(1),
            last_at: noon(),
            next_at: noon() + TimeDelta::minutes(2),
            opened_at: None,
            left_out_at: None,
            closed_at: None,
            error: "graph".to_owned(),
            message: "alice@example.com was not found".to_owned(),
        };
        idle_but(|state| state.quarantine = Some(failing))
    }

    fn after(status: Status, created: u64) -> SourceState {
        let mut changes = Counts::default();
        changes.teams.created = created;
        let report = Report {
            run_id: RunId::new(uuid::Uuid::nil()),
            trigger: Trigger::Schedule,
            mode: Mode::Full,
            status,
            started_at: noon(),
            finished_at: Some(noon() + TimeDelta::seconds(3)),
            directory: DirectoryCounts::default(),
            changes,
            held: None,
            skipped: Vec::new(),
            errors: Vec::new(),
            plan_digest: None,
            alerts: Vec::new(),
            question: None,
        };
        idle_but(|state| state.last = Some(Arc::new(report)))
    }

    #[test]
    fn one_source_says_what_it_is_at() {
        let next = "next 2026-08-21T12:15:00Z";
        assert_eq!(line(vec![]), "starting");
        assert_eq!(line(vec![idle()]), format!("idle; no pass yet; {next}"));
        let known = idle_but(|state| state.last_success_at = Some(noon()));
        assert_eq!(
            line(vec![known]),
            format!("idle; no pass yet since the start, last success 2026-08-21T12:00:00Z; {next}")
        );
        assert_eq!(
            line(vec![running()]),
            "pass running since 2026-08-21T12:00:00Z (signal)"
        );
        assert_eq!(
            line(vec![after(Status::Succeeded, 3)]),
            format!("idle; last pass succeeded at 2026-08-21T12:00:03Z, 3 changes; {next}")
        );
        assert_eq!(
            line(vec![after(Status::Held, 1)]),
            format!("idle; last pass held at 2026-08-21T12:00:03Z, 1 change; {next}")
        );
        let mut unscheduled = after(Status::Unchanged, 0);
        unscheduled.next_at = None;
        assert_eq!(
            line(vec![unscheduled]),
            "idle; last pass unchanged at 2026-08-21T12:00:03Z; none is scheduled"
        );
        assert_eq!(
            line(vec![elsewhere()]),
            "standby: another replica looks after the source"
        );
    }

    #[test]
    fn a_quarantine_says_until_when_and_why_but_not_whom_it_is_about() {
        assert_eq!(
            line(vec![waiting()]),
            "waiting until 2026-08-21T12:02:00Z: reading from Graph has failed 3 times"
        );
        let mut over = waiting();
        over.quarantine.as_mut().unwrap().closed_at = Some(noon());
        assert!(line(vec![over]).starts_with("idle; "));
    }

    #[test]
    fn several_sources_are_counted() {
        let states = vec![
            idle(),
            running(),
            waiting(),
            elsewhere(),
            after(Status::Failed, 0),
            after(Status::Held, 0),
            after(Status::Partial, 2),
        ];
        assert_eq!(
            line(states),
            "7 sources: 1 running, 1 waiting after failures, 1 failed, 1 with removals held, \
             2 idle, 1 with another replica; next 2026-08-21T12:15:00Z"
        );
    }
}
