use chrono_tz::Tz;
use std::collections::BTreeSet;

use super::*;
use crate::config::OnStart;

fn settings(cron: &str, timezone: Tz) -> ScheduleSettings {
    ScheduleSettings {
        cron: cron.to_owned(),
        full_cron: cron.to_owned(),
        drift_every: Duration::from_secs(3600),
        timezone,
        jitter: Duration::ZERO,
        on_start: OnStart::Wait,
        lease: Duration::from_secs(15),
    }
}

/// Neither line asks for anything; drift is another matter.
fn is_quiet(schedule: &Schedule, now: DateTime<Utc>) -> bool {
    schedule.due(now).is_none_or(|due| due.mode == Mode::Drift)
}

fn changes(since: &str) -> Due {
    Due {
        since: utc(since),
        mode: Mode::Incremental,
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn a_pass_is_due_at_its_time_and_once() {
    let mut schedule = Schedule::new(
        &settings("*/15 * * * *", Tz::UTC),
        utc("2026-11-21T10:01:00Z"),
    )
    .unwrap();
    assert!(is_quiet(&schedule, utc("2026-11-21T10:14:59Z")));
    assert!(!is_quiet(&schedule, utc("2026-11-21T10:15:00Z")));
    schedule.is_past(utc("2026-11-21T10:15:20Z"), Mode::Full);
    assert!(is_quiet(&schedule, utc("2026-11-21T10:29:59Z")));
    assert!(!is_quiet(&schedule, utc("2026-11-21T10:30:00Z")));
}

#[test]
fn times_missed_while_asleep_are_made_up_for_once() {
    let mut schedule = Schedule::new(
        &settings("*/15 * * * *", Tz::UTC),
        utc("2026-11-21T10:01:00Z"),
    )
    .unwrap();
    assert!(!is_quiet(&schedule, utc("2026-11-21T17:00:00Z")));
    schedule.is_past(utc("2026-11-21T17:01:00Z"), Mode::Full);
    assert!(is_quiet(&schedule, utc("2026-11-21T17:14:00Z")));
}

#[test]
fn the_zone_is_followed_over_a_clock_change() {
    // Berlin leaves summer time on 2026-10-25: 03:00 is 01:00Z before and
    // 02:00Z after.
    let berlin = settings("0 3 * * *", Tz::Europe__Berlin);
    let mut schedule = Schedule::new(&berlin, utc("2026-10-23T12:00:00Z")).unwrap();
    assert_eq!(schedule.next(), Some(utc("2026-10-24T01:00:00Z")));
    schedule.is_past(utc("2026-10-24T12:00:00Z"), Mode::Full);
    assert_eq!(schedule.next(), Some(utc("2026-10-25T02:00:00Z")));
}

#[test]
fn a_retry_comes_before_the_next_time() {
    let mut schedule =
        Schedule::new(&settings("0 3 * * *", Tz::UTC), utc("2026-11-21T10:00:00Z")).unwrap();
    schedule.retry_at(utc("2026-11-21T10:00:10Z"), changes("2026-11-21T10:00:00Z"));
    assert!(is_quiet(&schedule, utc("2026-11-21T10:00:09Z")));
    assert!(!is_quiet(&schedule, utc("2026-11-21T10:00:10Z")));
    schedule.is_past(utc("2026-11-21T10:00:12Z"), Mode::Full);
    assert!(is_quiet(&schedule, utc("2026-11-21T10:01:00Z")));
}

#[test]
fn jitter_delays_by_less_than_itself_and_not_always_the_same() {
    let now = utc("2026-11-21T10:01:00Z");
    let (first, end) = (utc("2026-11-21T10:15:00Z"), utc("2026-11-21T10:16:00Z"));
    let mut times = BTreeSet::new();
    for _ in 0..200 {
        let mut settings = settings("*/15 * * * *", Tz::UTC);
        settings.jitter = Duration::from_secs(60);
        let schedule = Schedule::new(&settings, now).unwrap();
        let due = schedule.next().unwrap();
        assert!((first..end).contains(&due), "{due}");
        assert!(is_quiet(&schedule, first - Duration::from_millis(1)));
        assert!(!is_quiet(&schedule, due));
        times.insert(due);
    }
    let (least, most) = (times.first().unwrap(), times.last().unwrap());
    assert!(*most - *least > chrono::Duration::seconds(30), "{times:?}");
}

#[test]
fn jitter_never_brings_a_time_back_that_has_been_had() {
    let mut settings = settings("*/15 * * * *", Tz::UTC);
    settings.jitter = Duration::from_secs(60);
    let mut schedule = Schedule::new(&settings, utc("2026-11-21T10:01:00Z")).unwrap();
    let due = schedule.next().unwrap();
    schedule.is_past(due, Mode::Full);
    let next = schedule.next().unwrap();
    let line = utc("2026-11-21T10:30:00Z");
    assert!(
        (line..line + Duration::from_secs(60)).contains(&next),
        "{next}"
    );
}

/// Changes every quarter of an hour, everything at three.
fn two_lines() -> Schedule {
    let mut settings = settings("*/15 * * * *", Tz::UTC);
    settings.full_cron = "0 3 * * *".to_owned();
    settings.drift_every = Duration::from_secs(6 * 3600);
    Schedule::new(&settings, utc("2026-11-21T02:40:00Z")).unwrap()
}

fn mode(schedule: &Schedule, now: &str) -> Option<Mode> {
    schedule.due(utc(now)).map(|due| due.mode)
}

#[test]
fn where_both_lines_meet_one_full_pass_serves_both() {
    let mut schedule = two_lines();
    assert_eq!(
        mode(&schedule, "2026-11-21T02:45:00Z"),
        Some(Mode::Incremental)
    );
    schedule.is_past(utc("2026-11-21T02:45:01Z"), Mode::Incremental);
    assert_eq!(mode(&schedule, "2026-11-21T03:00:00Z"), Some(Mode::Full));
    schedule.is_past(utc("2026-11-21T03:00:30Z"), Mode::Full);
    assert_eq!(mode(&schedule, "2026-11-21T03:14:59Z"), None);
    assert_eq!(
        mode(&schedule, "2026-11-21T03:15:00Z"),
        Some(Mode::Incremental)
    );
}

#[test]
fn a_full_pass_that_came_due_meanwhile_is_not_had_by_a_smaller_one() {
    let mut schedule = two_lines();
    schedule.is_past(utc("2026-11-21T03:01:00Z"), Mode::Incremental);
    assert_eq!(mode(&schedule, "2026-11-21T03:01:01Z"), Some(Mode::Full));
}

#[test]
fn rows_are_compared_so_long_after_the_last_time_that_all_were() {
    let mut schedule = two_lines();
    schedule.is_past(utc("2026-11-21T08:30:01Z"), Mode::Incremental);
    schedule.is_past(utc("2026-11-21T08:30:02Z"), Mode::Full);
    assert_eq!(
        mode(&schedule, "2026-11-21T14:29:00Z"),
        Some(Mode::Incremental)
    );
    schedule.is_past(utc("2026-11-21T14:30:01Z"), Mode::Incremental);
    // An incremental pass does not compare all, nor does drift read.
    assert_eq!(mode(&schedule, "2026-11-21T14:30:01Z"), None);
    assert_eq!(mode(&schedule, "2026-11-21T14:30:02Z"), Some(Mode::Drift));
    assert_eq!(
        mode(&schedule, "2026-11-21T14:45:00Z"),
        Some(Mode::Incremental)
    );
    schedule.is_past(utc("2026-11-21T14:45:01Z"), Mode::Drift);
    assert_eq!(
        mode(&schedule, "2026-11-21T14:45:01Z"),
        Some(Mode::Incremental)
    );
    schedule.is_past(utc("2026-11-21T14:45:02Z"), Mode::Incremental);
    assert_eq!(mode(&schedule, "2026-11-21T14:45:02Z"), None);
}

#[test]
fn a_full_pass_that_failed_is_tried_again_as_one() {
    let mut schedule = two_lines();
    let failed = utc("2026-11-21T03:00:10Z");
    schedule.is_past(failed, Mode::Full);
    let due = Due {
        since: failed,
        mode: Mode::Full,
    };
    schedule.retry_at(utc("2026-11-21T03:00:20Z"), due);
    assert_eq!(mode(&schedule, "2026-11-21T03:00:19Z"), None);
    assert_eq!(schedule.due(utc("2026-11-21T03:00:20Z")), Some(due));
    // Let go by once more, it is still owed.
    schedule.put_off(utc("2026-11-21T03:00:20Z"), utc("2026-11-21T03:20:00Z"));
    assert_eq!(mode(&schedule, "2026-11-21T03:20:00Z"), Some(Mode::Full));
}

#[test]
fn of_what_another_replica_let_lie_the_last_time_is_made_up_for() {
    let mut schedule = two_lines();
    schedule.let_by(utc("2026-11-21T05:07:00Z"));
    let now = utc("2026-11-21T05:07:01Z");
    let everything = Due {
        since: utc("2026-11-21T03:00:00Z"),
        mode: Mode::Full,
    };
    assert_eq!(schedule.due(now), Some(everything));
    // The other one made it: that leaves the changes since the last line.
    schedule.is_made(now, everything);
    let changes = changes("2026-11-21T05:00:00Z");
    assert_eq!(schedule.due(now), Some(changes));
    schedule.is_made(now, changes);
    assert_eq!(schedule.due(now), None);
    assert_eq!(schedule.next(), Some(utc("2026-11-21T05:15:00Z")));
}

#[test]
fn both_lines_ask_for_passes() {
    let mut settings = settings("0 3 * * *", Tz::UTC);
    settings.full_cron = "30 12 * * SAT".to_owned();
    let mut schedule = Schedule::new(&settings, utc("2026-11-20T10:00:00Z")).unwrap();
    // 2026-11-21 is a Saturday.
    for due in [
        "2026-11-21T03:00:00Z",
        "2026-11-21T12:30:00Z",
        "2026-11-22T03:00:00Z",
        "2026-11-23T03:00:00Z",
    ] {
        assert_eq!(schedule.next(), Some(utc(due)));
        schedule.is_past(utc(due), Mode::Full);
    }
}

#[test]
fn a_clock_that_is_set_back_takes_its_times_along() {
    let mut schedule = two_lines();
    let ahead = utc("2026-12-24T05:07:00Z");
    schedule.look_at(ahead);
    schedule.is_past(ahead, Mode::Full);
    let due = Due {
        since: ahead,
        mode: Mode::Full,
    };
    schedule.retry_at(utc("2026-12-24T05:09:00Z"), due);
    let right = utc("2026-11-21T05:07:00Z");
    schedule.look_at(right);
    assert_eq!(mode(&schedule, "2026-11-21T05:08:59Z"), None);
    assert_eq!(mode(&schedule, "2026-11-21T05:09:00Z"), Some(Mode::Full));
    schedule.is_past(utc("2026-11-21T05:09:01Z"), Mode::Full);
    assert_eq!(
        mode(&schedule, "2026-11-21T05:15:00Z"),
        Some(Mode::Incremental)
    );
    assert_eq!(mode(&schedule, "2026-11-22T03:00:00Z"), Some(Mode::Full));
    // One that goes on, or is adjusted a little, changes nothing.
    let before = schedule.due(utc("2026-11-21T05:15:00Z"));
    schedule.look_at(utc("2026-11-21T05:15:01Z"));
    schedule.look_at(utc("2026-11-21T05:15:00Z"));
    assert_eq!(schedule.due(utc("2026-11-21T05:15:00Z")), before);
}
