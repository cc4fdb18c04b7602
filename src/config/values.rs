//! One value of a setting, from YAML or from the text of a variable.
//!
//! Invariant: a text from the environment and the same value in a file mean
//! the same. Must not: know keys or sources, or be used for secrets (messages
//! quote the value).

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::error::Wrong;

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Result<String, Wrong> {
    match value {
        Value::String(text) if text.trim().is_empty() => {
            Err(Wrong::new("is empty", "give a value or remove the key"))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Err(Wrong::new(
            format!("is the number {number}, but a text is expected"),
            "put it in quotes",
        )),
        other => Err(mistyped(other, "a text")),
    }
}

/// A text parsed by its own rules.
pub(super) fn parsed<T: FromStr>(value: &Value, remedy: &str) -> Result<T, Wrong>
where
    T::Err: std::fmt::Display,
{
    text(value)?
        .parse()
        .map_err(|error| Wrong::new(format!("is wrong: {error}"), remedy))
}

/// `true` or `false`, or what LiteLLM takes for them in a variable.
pub(super) fn boolean(value: &Value) -> Result<Switch, Wrong> {
    let wrong = |found: &str| {
        Wrong::new(
            format!("is {found}, neither true nor false"),
            "give true or false",
        )
    };
    match value {
        Value::Bool(true) => Ok(Switch::On),
        Value::Bool(false) => Ok(Switch::Off),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(Switch::On),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(Switch::Off),
            _ => Err(wrong(&format!("`{text}`"))),
        },
        other => Err(wrong(named(other))),
    }
}

/// What [`boolean`] read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    /// `true`.
    On,
    /// `false`.
    Off,
}

impl Switch {
    /// One of two values.
    pub(super) fn choose<T>(self, on: T, off: T) -> T {
        match self {
            Self::On => on,
            Self::Off => off,
        }
    }
}

/// A whole number within bounds, both included.
pub(super) fn whole(value: &Value, least: u64, most: u64) -> Result<u64, Wrong> {
    let remedy = if most == u64::MAX {
        format!("give a whole number from {least}")
    } else {
        format!("give a whole number from {least} to {most}")
    };
    let (number, found) = match value {
        Value::Number(number) => (number.as_u64(), number.to_string()),
        Value::String(text) => (text.trim().parse().ok(), format!("`{text}`")),
        other => (None, named(other).to_owned()),
    };
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        Some(_) => Err(Wrong::new(format!("is out of range: {found}"), remedy)),
        None => Err(Wrong::new(
            format!("is {found}, not a whole number"),
            remedy,
        )),
    }
}

/// A duration with its unit, within bounds, both included.
pub(super) fn duration(value: &Value, least: Duration, most: Duration) -> Result<Duration, Wrong> {
    let form = "give a duration such as 15s, 5m, 1h or 90d";
    let text = match value {
        Value::String(text) => text.trim(),
        Value::Number(number) => {
            return Err(Wrong::new(format!("is {number} without a unit"), form));
        }
        other => return Err(mistyped(other, "a duration")),
    };
    let duration = humantime::parse_duration(text)
        .map_err(|error| Wrong::new(format!("is no duration: `{text}` ({error})"), form))?;
    if duration < least {
        return Err(Wrong::new(
            format!("is too short: `{text}`"),
            format!("give at least {}", in_one_unit(least)),
        ));
    }
    if duration > most {
        return Err(Wrong::new(
            format!("is too long: `{text}`"),
            format!("give at most {}", in_one_unit(most)),
        ));
    }
    Ok(duration)
}

/// A bound as people write it: 90d, not two months and some days.
fn in_one_unit(duration: Duration) -> String {
    let seconds = duration.as_secs();
    [(86_400, "d"), (3_600, "h"), (60, "m")]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .map_or_else(
            || format!("{seconds}s"),
            |(unit, name)| format!("{}{name}", seconds / unit),
        )
}

/// Texts as a list, or separated by commas; blanks around them do not count.
pub(super) fn list(value: &Value) -> Result<Vec<String>, Wrong> {
    match value {
        Value::String(line) => Ok(line
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()),
        Value::Array(items) => items.iter().map(text).collect(),
        other => Err(mistyped(other, "a list")),
    }
}

/// A list whose items are parsed by their own rules.
pub(super) fn set<T: FromStr + Ord>(value: &Value, remedy: &str) -> Result<BTreeSet<T>, Wrong>
where
    T::Err: std::fmt::Display,
{
    list(value)?
        .iter()
        .map(|item| item.parse())
        .collect::<Result<_, T::Err>>()
        .map_err(|error| Wrong::new(format!("is wrong: {error}"), remedy))
}

/// One of several names.
pub(super) fn one_of<T: Clone>(value: &Value, names: &[(&str, T)]) -> Result<T, Wrong> {
    choose(&text(value)?, names)
}

/// One of several names, given as a text.
pub(super) fn choose<T: Clone>(name: &str, names: &[(&str, T)]) -> Result<T, Wrong> {
    names
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.clone())
        .ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(known, _)| *known).collect();
            Wrong::new(
                format!("is `{name}`, which is not known"),
                format!("give one of {}", known.join(", ")),
            )
        })
}

/// A map, or the text of a JSON object. Never quoted: metadata may hold keys.
pub(super) fn map(value: &Value) -> Result<Value, Wrong> {
    match value {
        Value::Object(_) => Ok(value.clone()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(map @ Value::Object(_)) => Ok(map),
            Ok(_) => Err(Wrong::new(
                "is JSON, but no object",
                "give {\"key\": value, …}",
            )),
            Err(error) => Err(Wrong::new(
                format!(
                    "is no JSON object (line {}, column {})",
                    error.line(),
                    error.column()
                ),
                "give {\"key\": value, …}",
            )),
        },
        other => Err(mistyped(other, "a map")),
    }
}

fn mistyped(value: &Value, expected: &str) -> Wrong {
    Wrong::new(
        format!("is {}, but {expected} is expected", named(value)),
        format!("give {expected}"),
    )
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said<T>(result: Result<T, Wrong>) -> String {
        let wrong = result.err().unwrap();
        format!("{}; {}", wrong.what, wrong.remedy)
    }

    #[test]
    fn numbers_mean_the_same_from_a_file_and_from_a_variable() {
        assert_eq!(whole(&json!(64), 1, 64), Ok(64));
        assert_eq!(whole(&json!("64"), 1, 64), Ok(64));
        assert_eq!(
            said(whole(&json!(65), 1, 64)),
            "is out of range: 65; give a whole number from 1 to 64"
        );
        assert_eq!(
            said(whole(&json!("many"), 1, u64::MAX)),
            "is `many`, not a whole number; give a whole number from 1"
        );
        assert_eq!(
            said(whole(&json!(-1), 0, 100)),
            "is -1, not a whole number; give a whole number from 0 to 100"
        );
    }

    #[test]
    fn a_duration_needs_its_unit() {
        let read = |value| {
            duration(
                &value,
                Duration::from_secs(1),
                Duration::from_secs(86_400 * 90),
            )
        };
        assert_eq!(read(json!("90d")), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(read(json!("1h 30m")), Ok(Duration::from_secs(5_400)));
        assert_eq!(
            said(read(json!(15))),
            "is 15 without a unit; give a duration such as 15s, 5m, 1h or 90d"
        );
        assert!(said(read(json!("soon"))).starts_with("is no duration: `soon` ("));
        assert_eq!(
            said(read(json!("10ms"))),
            "is too short: `10ms`; give at least 1s"
        );
        assert_eq!(
            said(read(json!("1y"))),
            "is too long: `1y`; give at most 90d"
        );
    }

    #[test]
    fn a_list_may_be_comma_separated() {
        let both = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(list(&json!("a, b,")), Ok(both.clone()));
        assert_eq!(list(&json!(["a", "b"])), Ok(both));
        assert_eq!(
            said(list(&json!([1]))),
            "is the number 1, but a text is expected; put it in quotes"
        );
    }

    #[test]
    fn an_unquoted_id_that_yaml_took_for_a_number_is_refused() {
        assert_eq!(
            said(text(&json!(12))),
            "is the number 12, but a text is expected; put it in quotes"
        );
    }

    #[test]
    fn a_map_may_be_the_text_of_a_json_object_and_is_never_quoted() {
        assert_eq!(map(&json!("{\"a\": 1}")), Ok(json!({"a": 1})));
        assert_eq!(
            said(map(&json!("{\"key\": sk-hidden"))),
            "is no JSON object (line 1, column 9); give {\"key\": value, …}"
        );
        assert_eq!(
            said(map(&json!("[]"))),
            "is JSON, but no object; give {\"key\": value, …}"
        );
    }
}
