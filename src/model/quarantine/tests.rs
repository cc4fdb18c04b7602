//! The laws of the quarantine, and its figures.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn failed(trouble: Trouble, stage: Stage, at: DateTime<Utc>) -> Ended {
    Ended {
        stage,
        failure: Some(Failure {
            trouble,
            error: "word".to_owned(),
            message: format!("failed at {at}"),
            asked: Duration::ZERO,
        }),
        at,
        scheduled: None,
    }
}

fn well(stage: Stage, at: DateTime<Utc>) -> Ended {
    Ended {
        stage,
        failure: None,
        at,
        scheduled: None,
    }
}

#[test]
fn the_figures_are_those_of_the_manual() {
    let pauses = |trouble: Trouble, failures: u32| -> Vec<u64> {
        (1..=failures)
            .map(|failures| trouble.pause(failures).as_secs())
            .collect()
    };
    assert_eq!(
        pauses(Trouble::Outage, 11),
        [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]
    );
    assert_eq!(
        pauses(Trouble::Database, 8),
        [10, 20, 40, 80, 160, 320, 600, 600]
    );
    for person in [
        Trouble::Authentication,
        Trouble::Permission,
        Trouble::DatabaseLogin,
    ] {
        assert_eq!(
            pauses(person, 8),
            [60, 120, 240, 480, 960, 1_920, 3_600, 3_600],
            "{person:?}"
        );
    }
    assert_eq!(
        Trouble::ALL.map(Trouble::alerts_after),
        [1, 3, 3, 1, 3],
        "{:?}",
        Trouble::ALL
    );
}

#[test]
fn what_wants_a_person_is_never_tried_before_the_schedule() {
    let now = utc("2026-11-21T10:00:00Z");
    let next = |trouble: Trouble, scheduled: &str| {
        trouble.next_attempt(1, Duration::ZERO, Some(utc(scheduled)), now)
    };
    let (soon, late) = ("2026-11-21T10:00:01Z", "2026-11-22T03:00:00Z");
    assert_eq!(next(Trouble::Authentication, late), utc(late));
    assert_eq!(
        next(Trouble::Authentication, soon),
        utc("2026-11-21T10:01:00Z")
    );
    // An outage may be over by then.
    for scheduled in [soon, late] {
        assert_eq!(
            next(Trouble::Outage, scheduled),
            utc("2026-11-21T10:00:10Z")
        );
    }
}

#[test]
fn a_pause_that_graph_asks_for_is_kept_up_to_the_cap() {
    let now = utc("2026-11-21T10:00:00Z");
    let next = |asked| Trouble::Outage.next_attempt(1, seconds(asked), None, now);
    assert_eq!(next(5), utc("2026-11-21T10:00:10Z"));
    assert_eq!(next(300), utc("2026-11-21T10:05:00Z"));
    assert_eq!(next(86_400), utc("2026-11-21T11:00:00Z"));
}

#[test]
fn that_the_schedule_is_left_out_is_told_once_and_after_the_alert() {
    let at = utc("2026-11-21T10:00:00Z");
    let mut standing = Standing::default();
    let mut told = Vec::new();
    for failures in 1..=5 {
        let ended = Ended {
            // A pass a minute: pauses of 10, 20, 40, 80, 160 s.
            scheduled: Some(at + TimeDelta::seconds(30)),
            ..failed(Trouble::Outage, Stage::Reading, at)
        };
        let alerts = standing.after(&ended);
        told.extend(alerts.iter().map(|alert| (failures, alert.change)));
    }
    let expected = [(3, AlertChange::Opened), (3, AlertChange::Stretched)];
    assert_eq!(told, expected);
    standing.after(&well(Stage::Done, at));
    // The next time it is another one.
    let again = Ended {
        scheduled: Some(at),
        ..failed(Trouble::Authentication, Stage::Token, at)
    };
    assert_eq!(standing.after(&again)[1].change, AlertChange::Stretched);
}

#[test]
fn a_refused_credential_alerts_at_once_and_only_once() {
    let at = utc("2026-11-21T10:00:00Z");
    let mut standing = Standing::default();
    let refused = failed(Trouble::Authentication, Stage::Token, at);
    let alerts = standing.after(&refused);
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].change, AlertChange::Opened);
    assert_eq!(alerts[0].failing.next_at, utc("2026-11-21T10:01:00Z"));
    assert_eq!(standing.after(&refused), []);
    assert_eq!(standing.quarantine().unwrap().failures, 2);
}

#[test]
fn an_outage_alerts_after_three_in_a_row() {
    let at = utc("2026-11-21T10:00:00Z");
    let out = failed(Trouble::Outage, Stage::Reading, at);
    let mut standing = Standing::default();
    for _ in 0..2 {
        assert_eq!(standing.after(&out), []);
    }
    // One that goes well in between begins the count anew, and tells nobody.
    assert_eq!(standing.after(&well(Stage::Done, at)), []);
    assert_eq!(standing.quarantine(), None);
    for _ in 0..2 {
        assert_eq!(standing.after(&out), []);
    }
    let alerts = standing.after(&out);
    assert_eq!(alerts[0].failing.failures, 3);
    let alerts = standing.after(&well(Stage::Done, at));
    assert_eq!(alerts[0].change, AlertChange::Closed);
    assert_eq!(alerts[0].failing.failures, 3);
    assert_eq!(standing.alerts().count(), 0);
}

#[test]
fn a_pass_that_gets_past_a_stage_closes_what_failed_there() {
    let at = utc("2026-11-21T10:00:00Z");
    let mut standing = Standing::default();
    standing.after(&failed(Trouble::Authentication, Stage::Token, at));
    // The token endpoint is away: that says nothing about the secret.
    let alerts = standing.after(&failed(Trouble::Outage, Stage::Token, at));
    assert_eq!(alerts, []);
    // A token was had, though Graph then let nobody in.
    let alerts = standing.after(&failed(Trouble::Permission, Stage::Reading, at));
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].change, AlertChange::Closed);
    assert_eq!(alerts[0].failing.trouble, Trouble::Authentication);
    let still: Vec<_> = standing
        .iter()
        .filter(|one| one.goes_on())
        .map(|one| one.trouble)
        .collect();
    assert_eq!(still, [Trouble::Permission]);
}

#[test]
fn the_schedule_waits_until_the_next_attempt_and_not_for_a_wrong_clock() {
    let at = utc("2026-11-21T10:00:00Z");
    let mut standing = Standing::default();
    standing.after(&failed(Trouble::Outage, Stage::Reading, at));
    let failing = standing.quarantine().unwrap();
    assert!(failing.rests(at));
    assert!(failing.rests(utc("2026-11-21T10:00:09Z")));
    assert!(!failing.rests(utc("2026-11-21T10:00:10Z")));
    assert!(!failing.rests(utc("2026-11-21T09:59:59Z")));
    standing.after(&well(Stage::Done, at));
    let over = standing.get(Trouble::Outage).unwrap();
    assert!(!over.rests(at));
}

#[test]
fn words_are_read_back() {
    for trouble in Trouble::ALL {
        assert_eq!(Trouble::from_word(trouble.as_str()), Some(trouble));
    }
    for stage in Stage::ALL {
        assert_eq!(Stage::from_word(stage.as_str()), Some(stage));
    }
    assert_eq!(Trouble::from_word("held"), None);
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    proptest::sample::select(Trouble::ALL.to_vec())
}

/// A pass, and how long after the one before it ended: no two end at once.
fn any_pass() -> impl Strategy<Value = (u32, Ended)> {
    let stage = proptest::sample::select(Stage::ALL.to_vec());
    let failure = proptest::option::of((any_trouble(), 0_u64..10_000));
    (1_u32..10_000, stage, failure, 0_u32..100_000).prop_map(|(after, stage, failure, until)| {
        let at = DateTime::UNIX_EPOCH;
        let ended = Ended {
            // What failed did not get to the end.
            stage: failure.map_or(stage, |_| stage.min(Stage::Writing)),
            failure: failure.map(|(trouble, asked)| Failure {
                trouble,
                error: String::new(),
                message: String::new(),
                asked: seconds(asked),
            }),
            at,
            scheduled: Some(at + TimeDelta::seconds(i64::from(until) + 1)),
        };
        (after, ended)
    })
}

proptest! {
    #[test]
    fn pauses_grow_with_failures_and_stay_below_an_hour(
        trouble in any_trouble(), failures in any::<u32>(), asked in any::<u32>(),
    ) {
        let pause = trouble.pause(failures);
        prop_assert!(pause >= seconds(10) && pause <= seconds(3_600));
        prop_assert!(trouble.pause(failures.saturating_add(1)) >= pause);
        let now = utc("2026-11-21T10:00:00Z");
        let next = trouble.next_attempt(failures, seconds(asked.into()), None, now);
        prop_assert!(next >= now + pause && next <= now + TimeDelta::hours(1));
        let late = now + TimeDelta::days(1);
        let scheduled = trouble.next_attempt(failures, Duration::ZERO, Some(late), now);
        let may_pass_by_itself = matches!(trouble, Trouble::Outage | Trouble::Database);
        prop_assert_eq!(scheduled == late, !may_pass_by_itself);
    }

    /// Whatever happens in whatever order: an alert opens at its number of
    /// failures and not again until it closed, closes only when it was open,
    /// and a pass that gets to its end leaves nothing open.
    #[test]
    fn alerts_open_once_and_close_once(passes in prop::collection::vec(any_pass(), 1..40)) {
        let mut standing = Standing::default();
        let mut open: BTreeMap<Trouble, bool> = BTreeMap::new();
        let mut row: BTreeMap<Trouble, u32> = BTreeMap::new();
        let mut now = utc("2026-11-21T10:00:00Z");
        for (after, mut ended) in passes {
            now += TimeDelta::seconds(i64::from(after));
            ended.scheduled = ended.scheduled.map(|at| now + (at - ended.at));
            ended.at = now;
            let alerts = standing.after(&ended);
            for alert in &alerts {
                if alert.change == AlertChange::Stretched {
                    prop_assert_eq!(open.get(&alert.failing.trouble), Some(&true));
                    continue;
                }
                let was = open.insert(alert.failing.trouble, alert.change == AlertChange::Opened);
                prop_assert_eq!(was.unwrap_or(false), alert.change == AlertChange::Closed);
            }
            for trouble in Trouble::ALL {
                let goes_on = standing.get(trouble).is_some_and(Failing::goes_on);
                let failed = ended.failure.as_ref().is_some_and(|one| one.trouble == trouble);
                let count = row.entry(trouble).or_default();
                *count = match (goes_on, failed) {
                    (true, true) => *count + 1,
                    (true, false) => *count,
                    (false, _) => 0,
                };
                // Nobody's failure is forgotten by another's.
                prop_assert_eq!(
                    standing.get(trouble).filter(|one| one.goes_on()).map_or(0, |one| one.failures),
                    *count
                );
                let is_open = open.get(&trouble).copied().unwrap_or(false);
                prop_assert_eq!(is_open, *count >= trouble.alerts_after());
                prop_assert_eq!(is_open, standing.alerts().any(|one| one.trouble == trouble));
            }
            match &ended.failure {
                Some(failure) => {
                    let waits = standing.quarantine().unwrap();
                    prop_assert_eq!(waits.trouble, failure.trouble);
                    prop_assert!(waits.next_at > now && waits.rests(now));
                }
                None if ended.stage == Stage::Done => {
                    prop_assert_eq!(standing.quarantine(), None);
                    prop_assert_eq!(standing.alerts().count(), 0);
                }
                None => {}
            }
            // What is kept and read back is the same.
            prop_assert_eq!(&Standing::of(standing.iter().cloned()), &standing);
        }
    }
}
