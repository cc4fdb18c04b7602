//! What a YAML scalar means to PyYAML, with which LiteLLM reads its file.
//!
//! PyYAML follows YAML 1.1: `yes`, `no`, `on` and `off` are booleans, `017` is
//! octal, `12:00` is the number 720, `1e3` is text, `2026-01-31` is a date.
//! Source: the implicit resolvers and constructors of PyYAML 6's `SafeLoader`.
//! Invariant: a scalar becomes the JSON value of what PyYAML makes of it, or
//! an error where JSON has none. Must not: look at anything but one scalar.

use serde_json::{Number, Value};

use super::lax::Fault;

/// The meaning of a scalar without quotes and without tag.
pub(super) fn plain(text: &str) -> Result<Value, Fault> {
    if is_null(text) {
        return Ok(Value::Null);
    }
    if let Some(flag) = boolean(text) {
        return Ok(Value::Bool(flag));
    }
    if let Some(number) = integer(text) {
        return number;
    }
    if let Some(number) = float(text) {
        return number;
    }
    if matches!(text, "=" | "<<") {
        return Err(format!(
            "is `{text}`, which YAML keeps for itself; put it in quotes"
        ));
    }
    if is_timestamp(text) {
        return Err(format!(
            "is `{text}`, which YAML reads as a date; put it in quotes"
        ));
    }
    Ok(Value::String(text.to_owned()))
}

/// The meaning of a scalar with one of YAML's own tags, for example `int`.
pub(super) fn tagged(tag: &str, text: &str) -> Result<Value, Fault> {
    let value = match tag {
        "str" => Some(Ok(Value::String(text.to_owned()))),
        "null" => Some(Ok(Value::Null)),
        "bool" => boolean(&text.to_lowercase()).map(|flag| Ok(Value::Bool(flag))),
        "int" => integer(text),
        "float" => float(text)
            .or_else(|| text.parse().ok().map(finite))
            .or_else(|| integer(text)),
        _ => return Err(format!("has the tag `!!{tag}`, which has no meaning here")),
    };
    value.unwrap_or_else(|| Err(format!("is `{text}`, which is no `!!{tag}`")))
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// `[-+]?` binary, octal, decimal, hexadecimal or base 60, with underscores.
fn integer(text: &str) -> Option<Result<Value, Fault>> {
    let (negative, digits) = sign(text);
    let first = digits.chars().next().filter(char::is_ascii_digit)?;
    let parsed = if let Some(binary) = digits.strip_prefix("0b") {
        radix(binary, 2)?
    } else if let Some(hex) = digits.strip_prefix("0x") {
        radix(hex, 16)?
    } else if digits == "0" {
        Some(0)
    } else if first == '0' {
        radix(digits.get(1..)?, 8)?
    } else if digits.contains(':') {
        sixty(digits)?
    } else {
        radix(digits, 10)?
    };
    let Some(magnitude) = parsed else {
        return Some(Err(too_large(text)));
    };
    let number = if negative {
        i64::try_from(-magnitude).ok().map(Number::from)
    } else {
        u64::try_from(magnitude).ok().map(Number::from)
    };
    Some(number.map(Value::Number).ok_or_else(|| too_large(text)))
}

/// `Some(None)` for a number that is too large to count.
#[expect(
    clippy::option_option,
    reason = "no number at all, and a number that is too large, are different answers"
)]
fn radix(digits: &str, radix: u32) -> Option<Option<i128>> {
    let mut any = false;
    let mut sum = Some(0i128);
    for digit in digits.chars() {
        if digit == '_' {
            any |= radix != 10;
            continue;
        }
        let digit = digit.to_digit(radix)?;
        any = true;
        sum = sum
            .and_then(|sum| sum.checked_mul(radix.into()))
            .and_then(|sum| sum.checked_add(digit.into()));
    }
    // `0x` alone is text; `0_` is an octal zero.
    any.then_some(sum)
}

/// `[1-9][0-9_]*(:[0-5]?[0-9])+`.
#[expect(
    clippy::option_option,
    reason = "no number at all, and a number that is too large, are different answers"
)]
fn sixty(digits: &str) -> Option<Option<i128>> {
    let mut parts = digits.split(':');
    let mut sum = radix(parts.next()?, 10)?;
    for part in parts {
        let part = sixtieth(part)?;
        sum = sum
            .and_then(|sum| sum.checked_mul(60))
            .and_then(|sum| sum.checked_add(part.into()));
    }
    Some(sum)
}

fn sixtieth(part: &str) -> Option<u8> {
    let digits = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| part.parse().ok())
        .flatten()
        .filter(|part| *part < 60)
}

/// A float needs its point, and a signed exponent if any.
fn float(text: &str) -> Option<Result<Value, Fault>> {
    let (negative, digits) = sign(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Err(format!("is `{text}`, which is no finite number")));
    }
    let (whole, fraction) = digits.split_once('.')?;
    if whole.contains(':') {
        return sixty_float(negative, whole, fraction);
    }
    let (fraction, exponent) = match fraction.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (fraction, None),
    };
    let signed = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['+', '-'])
            .is_some_and(|digits| !digits.is_empty() && all_digits(digits, "digits only"))
    });
    // `.5` carries no sign, and `.` alone is text.
    let whole_fits = if whole.is_empty() {
        digits == text && fraction.starts_with(|first: char| first.is_ascii_digit())
    } else {
        whole.starts_with(|first: char| first.is_ascii_digit()) && all_digits(whole, "_")
    };
    if !(whole_fits && signed && all_digits(fraction, "_")) {
        return None;
    }
    let plain = text.replace('_', "");
    Some(plain.parse().map_or_else(|_| Err(too_large(text)), finite))
}

fn sixty_float(negative: bool, whole: &str, fraction: &str) -> Option<Result<Value, Fault>> {
    if !(whole.starts_with(|first: char| first.is_ascii_digit()) && all_digits(fraction, "_")) {
        return None;
    }
    let sum = sixty(whole)?;
    let fraction: f64 = format!("0.{}", fraction.replace('_', "")).parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a Python float rounds as well")]
    let value = sum.map_or(f64::INFINITY, |sum| sum as f64) + fraction;
    Some(finite(if negative { -value } else { value }))
}

fn finite(number: f64) -> Result<Value, Fault> {
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or_else(|| "is no finite number".to_owned())
}

fn all_digits(text: &str, besides: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_ascii_digit() || (letter == '_' && besides == "_"))
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn too_large(text: &str) -> Fault {
    format!("is `{text}`, which is too large a number")
}

/// `YYYY-MM-DD`, alone or with a time behind it.
fn is_timestamp(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(year, 4..=4) || !digits(month, 1..=2) {
        return false;
    }
    if digits(rest, 2..=2) {
        return month.len() == 2;
    }
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    let Some(time) = (1..=2)
        .contains(&day)
        .then(|| rest.get(day..))
        .flatten()
        .and_then(|rest| rest.strip_prefix(['T', 't', ' ', '\t']))
    else {
        return false;
    };
    // Hour, minute and second; what follows is a fraction or a zone.
    let mut clock = time.trim_start().splitn(3, ':');
    let (Some(hour), Some(minute), Some(second)) = (clock.next(), clock.next(), clock.next())
    else {
        return false;
    };
    digits(hour, 1..=2)
        && digits(minute, 2..=2)
        && second.bytes().take_while(u8::is_ascii_digit).count() == 2
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_mean_what_pyyaml_says() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!("y")),
            ("tRUE", json!("tRUE")),
            ("100", json!(100)),
            ("+100", json!(100)),
            ("-1_000", json!(-1000)),
            ("0", json!(0)),
            ("017", json!(15)),
            ("08", json!("08")),
            ("0o17", json!("0o17")),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("12:00", json!(720)),
            ("1:30:00", json!(5400)),
            ("12:60", json!("12:60")),
            ("00:30", json!("00:30")),
            ("1.5", json!(1.5)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("-.5", json!("-.5")),
            ("1.0e+3", json!(1000.0)),
            ("1e3", json!("1e3")),
            ("1.0e3", json!("1.0e3")),
            ("1:30.5", json!(90.5)),
            ("30d", json!("30d")),
            ("1.2.3", json!("1.2.3")),
            (".", json!(".")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("2026-01", json!("2026-01")),
            ("nan", json!("nan")),
        ] {
            assert_eq!(plain(text), Ok(expected), "{text:?}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Oracle {
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        text: String,
        #[serde(default)]
        error: bool,
        #[serde(default)]
        value: Value,
    }

    #[test]
    fn pyyaml_itself_says_the_same() {
        let text = include_str!("../../../tests/fixtures/yaml_scalars.json");
        let oracle: Oracle = serde_json::from_str(text).unwrap();
        for case in oracle.cases {
            let ours = plain(&case.text);
            if case.error {
                assert!(ours.is_err(), "{}: {ours:?}", case.text);
            } else {
                assert_eq!(ours, Ok(case.value), "{}", case.text);
            }
        }
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        for text in [
            ".inf",
            "-.INF",
            ".nan",
            "18446744073709551616",
            "-9223372036854775809",
            "2026-01-31",
            "2026-1-3 10:00:00",
            "2026-01-31T10:00:00Z",
        ] {
            assert!(plain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_decide_what_a_scalar_is() {
        assert_eq!(tagged("str", "123"), Ok(json!("123")));
        assert_eq!(tagged("int", "123"), Ok(json!(123)));
        assert_eq!(tagged("float", "1"), Ok(json!(1.0)));
        assert!(tagged("int", "many").is_err());
        assert!(tagged("binary", "aGk=").is_err());
    }
}
