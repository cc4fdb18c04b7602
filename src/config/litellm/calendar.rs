//! `litellm_settings.timezone` and `budget_reset_time`.
//!
//! Source: LiteLLM 1.109.1, `proxy/common_utils/timezone_utils.py`: an unknown
//! zone counts as UTC, a malformed time keeps the proxy from starting. Must
//! not: compute a reset.

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde_json::Value;

use super::ParamError;
use crate::config::BudgetCalendar;

/// The calendar, and what the operator should be told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// What `budget_reset_at` is aligned to.
    pub calendar: BudgetCalendar,
    /// A zone that is none, and what LiteLLM makes of it.
    pub warning: Option<String>,
}

/// Reads both settings; null is the same as not set.
///
/// # Errors
/// [`ParamError`] for a `budget_reset_time` that LiteLLM refuses.
pub fn parse(timezone: &Value, reset_time: &Value) -> Result<Calendar, ParamError> {
    let reset_time = reset_time_of_day(reset_time).map_err(|reason| {
        ParamError::new(
            "budget_reset_time",
            reason,
            "write the 24-hour time in quotes, for example \"12:00\"",
        )
    })?;
    let (zone, warning) = match timezone {
        Value::Null => (Tz::UTC, None),
        Value::String(name) if name.is_empty() => (Tz::UTC, None),
        Value::String(name) => match name.parse() {
            Ok(zone) => (zone, None),
            Err(_) => (Tz::UTC, Some(unknown_zone(&format!("`{name}`")))),
        },
        _ => (Tz::UTC, Some(unknown_zone("not text"))),
    };
    Ok(Calendar {
        calendar: BudgetCalendar { zone, reset_time },
        warning,
    })
}

fn unknown_zone(what: &str) -> String {
    format!(
        "timezone is {what}, which is no IANA zone: budgets are reset in UTC, as LiteLLM does it"
    )
}

/// `HH:MM` or `HH:MM:SS`, single digits allowed, as Python's `strptime` reads
/// them.
fn reset_time_of_day(value: &Value) -> Result<NaiveTime, String> {
    let text = match value {
        Value::Null => return Ok(NaiveTime::MIN),
        Value::String(text) if text.is_empty() => return Ok(NaiveTime::MIN),
        Value::String(text) => text,
        // YAML 1.1 reads 12:00 without quotes as the number 720.
        _ => return Err("must be text in quotes; YAML reads 12:00 as a number".to_owned()),
    };
    time_of_day(text).ok_or_else(|| format!("is `{text}`, which is no time of day"))
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let parts: Vec<u32> = text
        .split(':')
        .map(|part| {
            let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        })
        .collect::<Option<_>>()?;
    match parts[..] {
        [hour, minute] => NaiveTime::from_hms_opt(hour, minute, 0),
        [hour, minute, second] => NaiveTime::from_hms_opt(hour, minute, second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Oracle {
        reset_times: Vec<ResetTime>,
    }

    #[derive(serde::Deserialize)]
    struct ResetTime {
        raw: Value,
        time: Option<String>,
    }

    #[test]
    fn reset_times_are_read_as_litellm_reads_them() {
        let oracle: Oracle =
            serde_json::from_str(include_str!("../../../tests/fixtures/budget_reset.json"))
                .unwrap();
        assert!(!oracle.reset_times.is_empty());
        for case in oracle.reset_times {
            let ours = parse(&Value::Null, &case.raw);
            assert_eq!(
                ours.ok().map(|it| it.calendar.reset_time.to_string()),
                case.time,
                "{}",
                case.raw
            );
        }
    }

    #[test]
    fn an_unknown_zone_is_utc_and_is_said() {
        let berlin = parse(&json!("Europe/Berlin"), &Value::Null).unwrap();
        assert_eq!(berlin.calendar.zone, Tz::Europe__Berlin);
        assert_eq!(berlin.warning, None);
        for zone in [json!("Mars/Olympus"), json!(3), json!(["UTC"])] {
            let ours = parse(&zone, &Value::Null).unwrap();
            assert_eq!(ours.calendar.zone, Tz::UTC, "{zone}");
            assert!(ours.warning.unwrap().contains("UTC"), "{zone}");
        }
        assert_eq!(parse(&json!(""), &json!("")).unwrap().warning, None);
    }
}
