//! The times of the schedule: two cron lines in one zone.
//!
//! Invariant: times are found in the configured zone at every step, so a clock
//! change moves them rightly. Must not: read a clock, or delay anything.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;

use super::sections::cron;
use super::settings::ScheduleSettings;

/// Both lines, parsed.
#[derive(Debug)]
pub struct Timetable {
    lines: [Cron; 2],
    zone: Tz,
}

impl Timetable {
    /// Parses both lines.
    ///
    /// # Errors
    /// What is wrong with one of them; never after the settings were loaded.
    pub fn of(settings: &ScheduleSettings) -> Result<Self, String> {
        Ok(Self {
            lines: [cron(&settings.cron)?, cron(&settings.full_cron)?],
            zone: settings.timezone,
        })
    }

    /// The earliest time of any line after this.
    #[must_use]
    pub fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = now.with_timezone(&self.zone);
        self.lines
            .iter()
            .filter_map(|line| line.find_next_occurrence(&local, false).ok())
            .map(|time| time.with_timezone(&Utc))
            .filter(|time| *time > now)
            .min()
    }
}
