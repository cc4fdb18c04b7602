//! Single values, coerced as Pydantic coerces them in its lax mode.
//!
//! Source: Pydantic 2 as LiteLLM 1.109.1 uses it for `NewTeamRequest`: numbers
//! may be quoted, integers may carry a zero fraction, booleans have spellings;
//! text is never made out of a number. Invariant: what is coerced here
//! Pydantic coerces to the same value. Must not: judge a value's meaning.

use serde_json::{Map, Value};

/// Why a value is not what was asked for; reads after "it".
pub(super) type Fault = String;

/// US dollars: finite and not negative, as `new_team` insists.
pub(super) fn dollars(value: &Value) -> Result<f64, Fault> {
    let amount = float(value)?;
    if amount.is_finite() && amount >= 0.0 {
        // Python keeps -0.0; the database would show it as `-0`.
        Ok(amount.abs())
    } else {
        Err("must be a finite amount that is not negative".to_owned())
    }
}

/// A rate limit: a whole number that the column `bigint` holds.
pub(super) fn limit(value: &Value) -> Result<i64, Fault> {
    let limit = integer(value)?;
    if limit < 0 {
        return Err("must not be negative".to_owned());
    }
    Ok(limit)
}

/// `float`.
pub(super) fn float(value: &Value) -> Result<f64, Fault> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => plain_digits(text).and_then(|text| text.parse().ok()),
        _ => None,
    }
    .ok_or_else(|| expected("a number", value))
}

/// `int`, as far as 64 bits go.
pub(super) fn integer(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(whole_number)),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::String(text) => integer_text(text),
        _ => None,
    }
    .ok_or_else(|| expected("a whole number of at most 64 bits", value))
}

/// `bool`.
pub(super) fn flag(value: &Value) -> Result<bool, Fault> {
    let flag = match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            _ => None,
        },
        _ => None,
    };
    flag.ok_or_else(|| expected("true or false", value))
}

/// `str`.
pub(super) fn text(value: &Value) -> Result<String, Fault> {
    match value {
        // PostgreSQL's text holds no NUL, so LiteLLM's insert would fail.
        Value::String(text) if text.contains('\0') => Err("must not hold a NUL".to_owned()),
        Value::String(text) => Ok(text.clone()),
        _ => Err(expected("text (quote it if it is meant as one)", value)),
    }
}

/// Text that names something, so not blank.
pub(super) fn name(value: &Value) -> Result<String, Fault> {
    let name = text(value)?;
    if name.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    Ok(name)
}

/// `list[str]`.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, Fault> {
    list(value)?
        .iter()
        .enumerate()
        .map(|(index, item)| text(item).map_err(|fault| format!("entry {index} {fault}")))
        .collect()
}

/// `list` of anything.
pub(super) fn list(value: &Value) -> Result<&Vec<Value>, Fault> {
    value.as_array().ok_or_else(|| expected("a list", value))
}

/// `dict` of anything.
pub(super) fn mapping(value: &Value) -> Result<Map<String, Value>, Fault> {
    let mapping = value
        .as_object()
        .ok_or_else(|| expected("a mapping", value))?;
    if holds_nul(value) {
        return Err("must not hold a NUL".to_owned());
    }
    Ok(mapping.clone())
}

/// `dict[str, int]`, in the form it is stored in. LiteLLM takes negative
/// limits too, where nothing would ever pass.
pub(super) fn limits_by_name(value: &Value) -> Result<Value, Fault> {
    mapping(value)?
        .into_iter()
        .map(|(name, value)| match limit(&value) {
            Ok(limit) => Ok((name, limit.into())),
            Err(fault) => Err(format!("entry `{name}` {fault}")),
        })
        .collect::<Result<Map<_, _>, _>>()
        .map(Value::Object)
}

/// Python's truth: null, false, zero, and empty things are false.
pub(super) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Whether a NUL stands anywhere, which PostgreSQL's `jsonb` refuses.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(holds_nul),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

pub(super) fn expected(what: &str, got: &Value) -> Fault {
    let kind = match got {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    if what.starts_with(kind) {
        format!("must be {what}")
    } else {
        format!("must be {what}, not {kind}")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "only whole numbers within 64 bits are cast"
)]
fn whole_number(number: f64) -> Option<i64> {
    let fits = number >= i64::MIN as f64 && number < i64::MAX as f64;
    (fits && number.fract() == 0.0).then_some(number as i64)
}

/// `5`, ` +5 `, `1_000` and `5.00`, but neither `5.` nor `5.0_0` nor `1e3`.
fn integer_text(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => {
            whole
        }
        Some(_) => return None,
        None => text,
    };
    plain_digits(whole)?.parse().ok()
}

/// Without surrounding blanks and without single underscores between digits.
fn plain_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('_') {
        let digit_before = at > 0 && bytes.get(at - 1).is_some_and(u8::is_ascii_digit);
        let digit_after = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(digit_before && digit_after) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quoted_numbers_are_numbers_as_pydantic_reads_them() {
        for (value, expected) in [
            (json!("100"), Some(100.0)),
            (json!(" 100 "), Some(100.0)),
            (json!("1_000"), Some(1000.0)),
            (json!("1e3"), Some(1000.0)),
            (json!(".5"), Some(0.5)),
            (json!("1."), Some(1.0)),
            (json!(true), Some(1.0)),
            (json!("1__0"), None),
            (json!("_1"), None),
            (json!("0x10"), None),
            (json!(""), None),
            (json!("１００"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            assert_eq!(float(&value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn whole_numbers_may_carry_a_zero_fraction() {
        for (value, expected) in [
            (json!(5), Some(5)),
            (json!(5.0), Some(5)),
            (json!("5.00"), Some(5)),
            (json!("+5"), Some(5)),
            (json!("00012"), Some(12)),
            (json!("9223372036854775807.0"), Some(i64::MAX)),
            (json!("5."), None),
            (json!("5.5"), None),
            (json!("5.0_0"), None),
            (json!("1e3"), None),
            (json!(1e30), None),
            (json!(u64::MAX), None),
        ] {
            assert_eq!(integer(&value).ok(), expected, "{value}");
        }
    }

    #[test]
    fn an_amount_that_litellm_would_refuse_is_refused() {
        for value in [json!(-1), json!("inf"), json!("nan"), json!("1e400")] {
            assert!(dollars(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn text_is_never_made_out_of_a_number() {
        assert_eq!(
            texts(&json!(["gpt-4o", 4])).unwrap_err(),
            "entry 1 must be text (quote it if it is meant as one), not a number"
        );
    }
}
