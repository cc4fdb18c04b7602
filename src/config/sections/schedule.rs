//! `schedule.*`: when passes run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

use crate::config::error::Wrong;
use crate::config::reader::{Read, Reader};
use crate::config::settings::{OnStart, ScheduleSettings};
use crate::config::values;

/// Reads a cron line with 5 fields, or 6 with seconds first. Day of month and
/// day of week must both match when both are restricted.
///
/// Whoever runs the schedule uses this parser, so that what was checked is
/// what happens.
///
/// # Errors
/// What is wrong with the line, for people.
pub fn cron(line: &str) -> Result<Cron, String> {
    let fields = line.split_whitespace().count();
    if !matches!(fields, 5 | 6) {
        return Err(format!("it has {fields} fields instead of 5 or 6"));
    }
    parse(line).map_err(|error| match misread(line) {
        Some(field) => format!("its {field} cannot be read"),
        None => error.to_string(),
    })
}

fn parse(line: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .dom_and_dow(true)
        .build()
        .parse(line)
}

/// The first field that is wrong by itself: the parser does not say which.
fn misread(line: &str) -> Option<String> {
    const NAMES: [&str; 6] = [
        "second (0 to 59)",
        "minute (0 to 59)",
        "hour (0 to 23)",
        "day of month (1 to 31)",
        "month (1 to 12)",
        "day of week (0 to 7)",
    ];
    let fields: Vec<&str> = line.split_whitespace().collect();
    let names = NAMES.get(NAMES.len().checked_sub(fields.len())?..)?;
    let wrong = fields.iter().enumerate().find(|(place, field)| {
        let mut alone = vec!["*"; fields.len()];
        alone[*place] = field;
        parse(&alone.join(" ")).is_err()
    });
    wrong.map(|(place, field)| format!("{} `{field}`", names[place]))
}

pub(super) fn read(reader: &mut Reader<'_>) -> Read<ScheduleSettings> {
    let hour = Duration::from_secs(3_600);
    let year = hour * 24 * 366;
    let cron = line(reader, "schedule.cron");
    let full_cron = line(reader, "schedule.full_cron");
    let drift_every = reader.required("schedule.drift_every", |value| {
        values::duration(value, Duration::from_secs(60), year)
    });
    let timezone = reader.required("schedule.timezone", |value| {
        let name = values::text(value)?;
        name.parse().map_err(|_| {
            Wrong::new(
                format!("is `{name}`, which is no IANA time zone"),
                "give a zone such as UTC or Europe/Zurich",
            )
        })
    });
    let jitter = reader.required("schedule.jitter", |value| {
        values::duration(value, Duration::ZERO, hour)
    });
    let on_start = reader.required("schedule.on_start", |value| {
        values::boolean(value).map(|on| on.choose(OnStart::Pass, OnStart::Wait))
    });
    let lease = reader.required("schedule.lease", |value| {
        values::duration(value, Duration::from_secs(5), Duration::from_secs(600))
    });
    Ok(ScheduleSettings {
        cron: cron?,
        full_cron: full_cron?,
        drift_every: drift_every?,
        timezone: timezone?,
        jitter: jitter?,
        on_start: on_start?,
        lease: lease?,
    })
}

fn line(reader: &mut Reader<'_>, key: &'static str) -> Read<String> {
    let line = reader.required(key, |value| {
        let line = values::text(value)?;
        let example = "give 5 fields such as \"*/15 * * * *\", or 6 with seconds first";
        let cron = cron(&line)
            .map_err(|reason| Wrong::new(format!("is no schedule: `{line}`: {reason}"), example))?;
        // Any fixed moment does: whether a line ever fires does not depend on
        // now, and loading stays a function of its sources. croner gives up at
        // a horizon of its own.
        if cron
            .find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false)
            .is_err()
        {
            let remedy = "give a day that the month has";
            return Err(Wrong::new(format!("never fires: `{line}`"), remedy));
        }
        Ok(line)
    })?;
    let fields: Vec<&str> = line.split_whitespace().rev().collect();
    if let [day_of_week, _, day_of_month, ..] = fields.as_slice()
        && ![day_of_week, day_of_month]
            .iter()
            .any(|field| matches!(**field, "*" | "?"))
    {
        reader.warn(format!(
            "`{}` restricts day of month and day of week: it fires only on days that match both \
             (crontab: either)",
            reader.named(key)
        ));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn a_line_has_five_fields_or_six() {
        assert!(cron("*/15 * * * *").is_ok());
        assert!(cron("30 */15 * * * *").is_ok());
        assert_eq!(
            cron("0 0 0 1 1 * 2030").err().unwrap(),
            "it has 7 fields instead of 5 or 6"
        );
        assert_eq!(
            cron("@daily").err().unwrap(),
            "it has 1 fields instead of 5 or 6"
        );
        assert!(cron("61 * * * *").is_err());
    }

    #[test]
    fn day_of_month_and_day_of_week_must_both_match() {
        let cron = cron("0 0 1 * MON").unwrap();
        let start = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        let next = cron.find_next_occurrence(&start, false).unwrap();
        // 1 June 2026 is the first Monday that is a first of a month.
        assert_eq!(next, Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap());
    }
}
