//! When a budget starts over: LiteLLM's `budget_reset_at`.
//!
//! Invariant: the same duration at the same moment gives the same instant as
//! `get_next_standardized_reset_time` of LiteLLM 1.109.1
//! (`litellm_core_utils/duration_parser.py`), odd results included, because
//! LiteLLM's reset job reads the column that we write. Must not: read a clock.
//!
//! The oddities that are kept on purpose:
//! - `7d` is next Monday, `30d` the first of next month, `48h` tomorrow's
//!   midnight: hours past the end of the day count modulo 24 from tomorrow.
//! - An unknown unit (`1hr`) means the next midnight.
//! - Arithmetic is on wall clocks. A time that a clock change skips or repeats
//!   is resolved as Python's `zoneinfo` does with `fold`.

use chrono::{DateTime, Datelike, Days, NaiveDateTime, NaiveTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::{GapInfo, Tz};

use crate::config::BudgetCalendar;

/// A duration that LiteLLM refuses, or whose reset it cannot compute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "LiteLLM refuses the duration `{duration}`: {reason}; \
     use a form like `1h`, `24h`, `7d`, `30d` or `1mo`"
)]
pub struct BadDuration {
    /// As it was given.
    pub duration: String,
    /// Why it is refused.
    pub reason: DurationFault,
}

/// Why a duration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationFault {
    /// No number at the front.
    #[error("it does not begin with a number")]
    NoNumber,
    /// No unit that LiteLLM can measure.
    #[error("its unit is none of s, m, h, d, w, mo")]
    NoUnit,
    /// Nothing to wait for.
    #[error("it is not longer than zero")]
    Zero,
    /// LiteLLM knows one-month resets only.
    #[error("a reset every so many months is supported for one month only")]
    SeveralMonths,
    /// The reset would be after the year 9999.
    #[error("it is too long")]
    TooLong,
}

/// The next reset of a budget with this duration, in UTC with milliseconds, as
/// `budget_reset_at` holds it.
///
/// `duration` is LiteLLM's `budget_duration` (`30d`, `weekly`, …); days, weeks
/// and months follow `calendar`, shorter units only its zone. Like LiteLLM's
/// function this also answers for durations that [`validate`] refuses, where
/// LiteLLM's does.
///
/// # Errors
/// [`BadDuration`] where LiteLLM's function raises: several months, or a reset
/// after the year 9999. A number above 64 bits counts as too long here.
pub fn next_reset(
    duration: &str,
    now: DateTime<Utc>,
    calendar: &BudgetCalendar,
) -> Result<NaiveDateTime, BadDuration> {
    reset_on_the_wall(
        normalized(duration),
        Wall::read(now, calendar.zone),
        calendar.reset_time,
    )
    .map(|wall| milliseconds(wall.to_utc(calendar.zone)))
    .map_err(|reason| BadDuration {
        duration: duration.to_owned(),
        reason,
    })
}

/// Whether LiteLLM lets a budget have this duration
/// (`budget_duration_error` in `proxy/common_utils/timezone_utils.py`): a
/// positive length, and a reset that can be computed.
///
/// # Errors
/// [`BadDuration`] with the reason. Digits other than 0 to 9, which Python
/// also reads, are refused.
pub fn validate(duration: &str) -> Result<(), BadDuration> {
    let fault = |reason| BadDuration {
        duration: duration.to_owned(),
        reason,
    };
    let (value, rest) = number(normalized(duration)).map_err(fault)?;
    // LiteLLM measures with the prefix only: `1hr` is an hour long here, and
    // resets at midnight below.
    if !rest.starts_with(['s', 'm', 'h', 'd', 'w']) {
        return Err(fault(DurationFault::NoUnit));
    }
    if value == 0 {
        return Err(fault(DurationFault::Zero));
    }
    if rest.starts_with("mo") && value > MONTHS_TO_YEAR_9999 {
        return Err(fault(DurationFault::TooLong));
    }
    reset_on_the_wall(normalized(duration), Wall::SOME_DAY, NaiveTime::MIN)
        .map(drop)
        .map_err(fault)
}

/// From [`Wall::SOME_DAY`] to December 9999.
const MONTHS_TO_YEAR_9999: u64 = (9999 - 2026) * 12 + 11;

/// A clock on the wall: what it shows, and which time it shows that when a
/// clock change repeats it.
#[derive(Debug, Clone, Copy)]
struct Wall {
    shows: NaiveDateTime,
    turn: Turn,
}

/// Python's `fold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Second,
}

impl Wall {
    /// 2026-01-01 00:00: from where [`validate`] tries a reset out.
    const SOME_DAY: Self = Self {
        shows: match DateTime::from_timestamp(1_767_225_600, 0) {
            Some(moment) => moment.naive_utc(),
            None => NaiveDateTime::MIN,
        },
        turn: Turn::First,
    };

    fn read(now: DateTime<Utc>, zone: Tz) -> Self {
        let local = now.with_timezone(&zone);
        let shows = local.naive_local();
        let turn = match zone.offset_from_local_datetime(&shows) {
            chrono::LocalResult::Ambiguous(_, second) if second.fix() == local.offset().fix() => {
                Turn::Second
            }
            _ => Turn::First,
        };
        Self { shows, turn }
    }

    /// The same day at another time; the turn stays, as Python's `replace`
    /// keeps `fold`.
    fn at(self, time: NaiveTime) -> Self {
        Self {
            shows: self.shows.date().and_time(time),
            ..self
        }
    }

    /// Midnight at the beginning of the day, then so many hours, minutes and
    /// seconds on the wall, all in range.
    fn at_clock(self, hour: u64, minute: u64, second: u64) -> Self {
        let seconds = hour * 3600 + minute * 60 + second;
        let time = u32::try_from(seconds)
            .ok()
            .and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0))
            .unwrap_or(NaiveTime::MIN);
        self.at(time)
    }

    /// So many days later at the same time, in the first turn: Python's
    /// addition drops `fold`.
    fn plus_days(self, days: u64) -> Result<Self, DurationFault> {
        self.shows
            .checked_add_days(Days::new(days))
            .filter(|later| later.year() <= 9999)
            .map(|shows| Self {
                shows,
                turn: Turn::First,
            })
            .ok_or(DurationFault::TooLong)
    }

    fn first_of_month(self) -> Self {
        Self {
            shows: self.shows.with_day(1).unwrap_or(self.shows),
            ..self
        }
    }

    /// From the first of a month to the first of the next.
    fn first_of_next_month(self) -> Result<Self, DurationFault> {
        self.shows
            .checked_add_months(chrono::Months::new(1))
            .filter(|later| later.year() <= 9999)
            .map(|shows| Self { shows, ..self })
            .ok_or(DurationFault::TooLong)
    }

    fn to_utc(self, zone: Tz) -> NaiveDateTime {
        use chrono::LocalResult::{Ambiguous, None as Skipped, Single};
        let offset = match zone.offset_from_local_datetime(&self.shows) {
            Single(offset) => offset.fix(),
            Ambiguous(first, second) => match self.turn {
                Turn::First => first.fix(),
                Turn::Second => second.fix(),
            },
            // In a gap `zoneinfo` goes on with the offset before the change
            // for the first turn, and takes the one after it for the second.
            Skipped => {
                let gap = GapInfo::new(&self.shows, &zone);
                let before = gap.as_ref().and_then(|gap| gap.begin).map(|at| at.1.fix());
                let after = gap.and_then(|gap| gap.end).map(|at| at.offset().fix());
                match self.turn {
                    Turn::First => before.or(after),
                    Turn::Second => after.or(before),
                }
                .unwrap_or_else(|| zone.offset_from_utc_datetime(&self.shows).fix())
            }
        };
        self.shows - offset
    }
}

/// `get_next_standardized_reset_time` after its time zone was set up.
fn reset_on_the_wall(
    duration: &str,
    now: Wall,
    reset_time: NaiveTime,
) -> Result<Wall, DurationFault> {
    let midnight = now.at(NaiveTime::MIN);
    let (value, rest) = match number(duration) {
        Ok(parsed) => parsed,
        Err(DurationFault::NoNumber) => return midnight.plus_days(1),
        Err(fault) => return Err(fault),
    };
    let unit_length = rest.bytes().take_while(u8::is_ascii_lowercase).count();
    let unit = rest.get(..unit_length).unwrap_or_default();
    match unit {
        "d" => day_reset(now, midnight, value, reset_time),
        "w" => {
            let days = value.checked_mul(7).ok_or(DurationFault::TooLong)?;
            day_reset(now, midnight, days, reset_time)
        }
        "mo" if value == 1 => month_reset(now, midnight, reset_time),
        "mo" => Err(DurationFault::SeveralMonths),
        "h" | "m" | "s" if value == 0 => Ok(now),
        "h" => {
            let hour = next_multiple(now.shows.hour(), value)?;
            clock_reset(now, midnight, hour, 0, 0)
        }
        "m" => {
            let minute = next_multiple(now.shows.minute(), value)?;
            let hour = u64::from(now.shows.hour()) + minute / 60;
            clock_reset(now, midnight, hour, minute % 60, 0)
        }
        "s" => {
            let second = next_multiple(now.shows.second(), value)?;
            let minute = u64::from(now.shows.minute()) + second / 60;
            let hour = u64::from(now.shows.hour()) + minute / 60;
            clock_reset(now, midnight, hour, minute % 60, second % 60)
        }
        _ => midnight.plus_days(1),
    }
}

fn day_reset(
    now: Wall,
    midnight: Wall,
    days: u64,
    reset_time: NaiveTime,
) -> Result<Wall, DurationFault> {
    match days {
        0 => Ok(now),
        1 => next_occurrence(midnight.at(reset_time), now, 1),
        7 => {
            let since_monday = u64::from(now.shows.weekday().num_days_from_monday());
            let monday = midnight.plus_days((7 - since_monday) % 7)?;
            next_occurrence(monday.at(reset_time), now, 7)
        }
        30 => month_reset(now, midnight, reset_time),
        _ => Ok(midnight.plus_days(days)?.at(reset_time)),
    }
}

/// The candidate, or one period later when it is not ahead. Compared by what
/// the wall shows alone, as Python compares within one zone.
fn next_occurrence(candidate: Wall, now: Wall, period: u64) -> Result<Wall, DurationFault> {
    if candidate.shows <= now.shows {
        candidate.plus_days(period)
    } else {
        Ok(candidate)
    }
}

fn month_reset(now: Wall, midnight: Wall, reset_time: NaiveTime) -> Result<Wall, DurationFault> {
    let first = midnight.first_of_month();
    let candidate = first.at(reset_time);
    if candidate.shows <= now.shows {
        Ok(first.first_of_next_month()?.at(reset_time))
    } else {
        Ok(candidate)
    }
}

/// Today at that time, or tomorrow at the hour modulo 24 however many days the
/// hour is away.
fn clock_reset(
    now: Wall,
    midnight: Wall,
    hour: u64,
    minute: u64,
    second: u64,
) -> Result<Wall, DurationFault> {
    if hour < 24 {
        Ok(now.at_clock(hour, minute, second))
    } else {
        Ok(midnight.plus_days(1)?.at_clock(hour % 24, minute, second))
    }
}

/// The next multiple of `step` after `current`; `step` is not zero.
fn next_multiple(current: u32, step: u64) -> Result<u64, DurationFault> {
    let current = u64::from(current);
    (current - current % step)
        .checked_add(step)
        .ok_or(DurationFault::TooLong)
}

/// LiteLLM's word aliases; anything else as it is, not even trimmed.
fn normalized(duration: &str) -> &str {
    match duration.trim().to_lowercase().as_str() {
        "hourly" => "1h",
        "daily" => "24h",
        "weekly" => "7d",
        "monthly" => "30d",
        _ => duration,
    }
}

/// The number at the front, and what follows it.
fn number(duration: &str) -> Result<(u64, &str), DurationFault> {
    let digits = duration.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = duration
        .split_at_checked(digits)
        .filter(|(number, _)| !number.is_empty())
        .ok_or(DurationFault::NoNumber)?;
    let number = number.parse().map_err(|_| DurationFault::TooLong)?;
    Ok((number, rest))
}

fn milliseconds(moment: NaiveDateTime) -> NaiveDateTime {
    moment
        .with_nanosecond(moment.nanosecond() / 1_000_000 * 1_000_000)
        .unwrap_or(moment)
}

#[cfg(test)]
mod tests;
