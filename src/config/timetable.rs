//! The times of the schedule: two cron lines in one zone.
//!
//! Invariant: times are found in the configured zone at every step, so a clock
//! change moves them rightly. Must not: read a clock, or delay anything.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;

use super::sections::cron;
use super::settings::ScheduleSettings;

/// One of the two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// `schedule.cron`.
    Changes,
    /// `schedule.full_cron`.
    Everything,
}

/// Both lines, parsed.
#[derive(Debug)]
pub struct Timetable {
    changes: Cron,
    everything: Cron,
    zone: Tz,
}

impl Timetable {
    /// Parses both lines.
    ///
    /// # Errors
    /// What is wrong with one of them; never after the settings were loaded.
    pub fn of(settings: &ScheduleSettings) -> Result<Self, String> {
        Ok(Self {
            changes: cron(&settings.cron)?,
            everything: cron(&settings.full_cron)?,
            zone: settings.timezone,
        })
    }

    /// The earliest time of one line after this.
    #[must_use]
    pub fn next_of(&self, line: Line, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let cron = match line {
            Line::Changes => &self.changes,
            Line::Everything => &self.everything,
        };
        let local = now.with_timezone(&self.zone);
        let next = cron.find_next_occurrence(&local, false).ok()?;
        Some(next.with_timezone(&Utc)).filter(|time| *time > now)
    }

    /// The earliest time of any line after this.
    #[must_use]
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        [Line::Changes, Line::Everything]
            .into_iter()
            .filter_map(|line| self.next_of(line, now))
            .min()
    }
}
