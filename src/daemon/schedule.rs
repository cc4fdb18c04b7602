//! What is due: the schedule's times, jitter, and times of our own after
//! failures.
//!
//! Invariant: a time that was missed while a pass ran or the machine slept is
//! made up for once, not once for every miss.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::config::{ScheduleSettings, Timetable};

/// When the next pass is due.
#[derive(Debug)]
pub(super) struct Schedule {
    times: Timetable,
    jitter: Duration,
    due: Option<DateTime<Utc>>,
    retry: Option<DateTime<Utc>>,
}

impl Schedule {
    pub(super) fn new(settings: &ScheduleSettings, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let times = Timetable::of(settings)
            .map_err(anyhow::Error::msg)
            .context("reading the schedule")?;
        let mut schedule = Self {
            times,
            jitter: settings.jitter,
            due: None,
            retry: None,
        };
        schedule.due = schedule.next_after(now);
        Ok(schedule)
    }

    /// The earliest time after this, delayed by the jitter.
    fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(self.times.next_after(now)? + random_part_of(self.jitter))
    }

    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        let passed = |time: Option<DateTime<Utc>>| time.is_some_and(|time| time <= now);
        passed(self.due) || passed(self.retry)
    }

    /// A pass has just ended, or a time is let go by: the next is counted from
    /// now.
    pub(super) fn is_past(&mut self, now: DateTime<Utc>) {
        self.retry = None;
        if self.due.is_none_or(|due| due <= now) {
            self.due = self.next_after(now);
        }
    }

    /// Asks at this time too, whatever the lines say.
    pub(super) fn retry_at(&mut self, time: DateTime<Utc>) {
        self.retry = Some(time);
    }

    /// The next time, for a log line.
    pub(super) fn describe(&self) -> String {
        match self.due {
            Some(due) => moment(due),
            None => "never".to_owned(),
        }
    }
}

/// A time for a log line.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Spreads instances that share a schedule.
fn random_part_of(jitter: Duration) -> Duration {
    let millis = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    match millis {
        0 => Duration::ZERO,
        _ => Duration::from_millis(Uuid::new_v4().as_u64_pair().1 % millis),
    }
}

#[cfg(test)]
mod tests {
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
        assert!(!schedule.is_due(utc("2026-11-21T10:14:59Z")));
        assert!(schedule.is_due(utc("2026-11-21T10:15:00Z")));
        schedule.is_past(utc("2026-11-21T10:15:20Z"));
        assert!(!schedule.is_due(utc("2026-11-21T10:29:59Z")));
        assert!(schedule.is_due(utc("2026-11-21T10:30:00Z")));
    }

    #[test]
    fn times_missed_while_asleep_are_made_up_for_once() {
        let mut schedule = Schedule::new(
            &settings("*/15 * * * *", Tz::UTC),
            utc("2026-11-21T10:01:00Z"),
        )
        .unwrap();
        assert!(schedule.is_due(utc("2026-11-21T17:00:00Z")));
        schedule.is_past(utc("2026-11-21T17:01:00Z"));
        assert!(!schedule.is_due(utc("2026-11-21T17:14:00Z")));
    }

    #[test]
    fn the_zone_is_followed_over_a_clock_change() {
        // Berlin leaves summer time on 2026-10-25: 03:00 is 01:00Z before and
        // 02:00Z after.
        let berlin = settings("0 3 * * *", Tz::Europe__Berlin);
        let mut schedule = Schedule::new(&berlin, utc("2026-10-23T12:00:00Z")).unwrap();
        assert_eq!(schedule.due, Some(utc("2026-10-24T01:00:00Z")));
        schedule.is_past(utc("2026-10-24T12:00:00Z"));
        assert_eq!(schedule.due, Some(utc("2026-10-25T02:00:00Z")));
    }

    #[test]
    fn a_retry_comes_before_the_next_time() {
        let mut schedule =
            Schedule::new(&settings("0 3 * * *", Tz::UTC), utc("2026-11-21T10:00:00Z")).unwrap();
        schedule.retry_at(utc("2026-11-21T10:00:10Z"));
        assert!(!schedule.is_due(utc("2026-11-21T10:00:09Z")));
        assert!(schedule.is_due(utc("2026-11-21T10:00:10Z")));
        schedule.is_past(utc("2026-11-21T10:00:12Z"));
        assert!(!schedule.is_due(utc("2026-11-21T10:01:00Z")));
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
            let due = schedule.due.unwrap();
            assert!((first..end).contains(&due), "{due}");
            assert!(!schedule.is_due(first - Duration::from_millis(1)));
            assert!(schedule.is_due(due));
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
        let due = schedule.due.unwrap();
        schedule.is_past(due);
        let next = schedule.due.unwrap();
        let line = utc("2026-11-21T10:30:00Z");
        assert!(
            (line..line + Duration::from_secs(60)).contains(&next),
            "{next}"
        );
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
            assert_eq!(schedule.due, Some(utc(due)));
            schedule.is_past(utc(due));
        }
    }
}
