use serde::Deserialize;

use super::*;

/// Answers of LiteLLM's own functions; see `tests/fixtures/README.md`.
#[derive(Deserialize)]
struct Oracle {
    durations: Vec<Verdict>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Verdict {
    duration: String,
    accepted: serde_json::Value,
}

#[derive(Deserialize)]
struct Case {
    duration: String,
    timezone: String,
    reset_time: Option<String>,
    now: DateTime<Utc>,
    reset_at: Option<DateTime<Utc>>,
}

fn oracle() -> Oracle {
    serde_json::from_str(include_str!("../../../tests/fixtures/budget_reset.json")).unwrap()
}

fn calendar(zone: &str, reset_time: Option<&str>) -> BudgetCalendar {
    BudgetCalendar {
        zone: zone.parse().unwrap_or(Tz::UTC),
        reset_time: reset_time.map_or(NaiveTime::MIN, |text| {
            NaiveTime::parse_from_str(text, "%H:%M:%S")
                .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"))
                .unwrap()
        }),
    }
}

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn every_reset_is_at_the_moment_that_litellm_computes() {
    let oracle = oracle();
    assert!(oracle.cases.len() > 300, "{} cases", oracle.cases.len());
    for case in &oracle.cases {
        let calendar = calendar(&case.timezone, case.reset_time.as_deref());
        let ours = next_reset(&case.duration, case.now, &calendar);
        assert_eq!(
            ours.as_ref().ok().copied(),
            case.reset_at.map(|at| at.naive_utc()),
            "{} in {} at {:?} from {}: {ours:?}",
            case.duration,
            case.timezone,
            case.reset_time,
            case.now,
        );
    }
}

#[test]
fn exactly_the_durations_that_litellm_accepts_are_accepted() {
    for verdict in oracle().durations {
        let ours = validate(&verdict.duration);
        assert_eq!(
            serde_json::Value::Bool(ours.is_ok()),
            verdict.accepted,
            "{:?}: {ours:?}",
            verdict.duration
        );
    }
}

#[test]
fn the_table_of_the_contract_holds() {
    let calendar = calendar("UTC", None);
    let now = moment("2026-11-21T19:30:15.123Z");
    for (duration, expected) in [
        ("1d", "2026-11-22T00:00:00Z"),
        ("7d", "2026-11-23T00:00:00Z"),
        ("1w", "2026-11-23T00:00:00Z"),
        ("weekly", "2026-11-23T00:00:00Z"),
        ("30d", "2026-12-01T00:00:00Z"),
        ("1mo", "2026-12-01T00:00:00Z"),
        ("monthly", "2026-12-01T00:00:00Z"),
        ("2d", "2026-11-23T00:00:00Z"),
        ("2w", "2026-12-05T00:00:00Z"),
        ("1h", "2026-11-21T20:00:00Z"),
        ("5h", "2026-11-21T20:00:00Z"),
        ("24h", "2026-11-22T00:00:00Z"),
        ("daily", "2026-11-22T00:00:00Z"),
        ("48h", "2026-11-22T00:00:00Z"),
        ("25h", "2026-11-22T01:00:00Z"),
        ("5m", "2026-11-21T19:35:00Z"),
        ("90m", "2026-11-21T20:30:00Z"),
        ("1hr", "2026-11-22T00:00:00Z"),
    ] {
        assert_eq!(
            next_reset(duration, now, &calendar),
            Ok(moment(expected).naive_utc()),
            "{duration}"
        );
        assert_eq!(validate(duration), Ok(()), "{duration}");
    }
}

#[test]
fn a_refused_duration_says_why_and_what_to_write_instead() {
    for (duration, reason) in [
        ("2mo", DurationFault::SeveralMonths),
        ("0d", DurationFault::Zero),
        ("30", DurationFault::NoUnit),
        ("1y", DurationFault::NoUnit),
        ("abc", DurationFault::NoNumber),
        (" 1d", DurationFault::NoNumber),
        ("9999999999d", DurationFault::TooLong),
        ("99999999999999999999999h", DurationFault::TooLong),
    ] {
        assert_eq!(validate(duration).unwrap_err().reason, reason, "{duration}");
    }
    assert_eq!(
        validate("2mo").unwrap_err().to_string(),
        "LiteLLM refuses the duration `2mo`: a reset every so many months is supported for one \
         month only; use a form like `1h`, `24h`, `7d`, `30d` or `1mo`"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_at_any_moment_is_answered(
        duration in "[ 0-9]{0,12}[a-zA-Zäü ]{0,4}|.{0,8}",
        seconds in 0i64..4_102_444_800,
        zone in proptest::sample::select(&chrono_tz::TZ_VARIANTS[..]),
        time in 0u32..86_400,
    ) {
        let calendar = BudgetCalendar {
            zone,
            reset_time: NaiveTime::from_num_seconds_from_midnight_opt(time, 0).unwrap(),
        };
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let reset = next_reset(&duration, now, &calendar);
        if validate(&duration).is_ok() {
            proptest::prop_assert!(reset.is_ok());
        }
    }
}
