//! LiteLLM's masking of audit values: whatever stands under a name that has
//! `key` for one of its parts, even `key_alias`.

use serde_json::{Map, Value};

/// Nested deeper, LiteLLM hides a value altogether.
const DEEPEST: usize = 10;

/// A copy in which keys cannot be read.
pub(super) fn mask(value: &Value) -> Value {
    walk(value, Name::Plain, 0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Plain,
    Sensitive,
}

impl Name {
    fn of(name: &str) -> Self {
        let lower = name.to_lowercase();
        let has = |wanted| lower.split(['_', '-']).any(|part| part == wanted);
        if has("key") && !has("cost") {
            Self::Sensitive
        } else {
            Self::Plain
        }
    }
}

fn walk(value: &Value, name: Name, depth: usize) -> Value {
    match value {
        Value::Object(_) | Value::Array(_) if depth >= DEEPEST => Value::from("REDACTED"),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), walk(value, Name::of(name), depth + 1)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items
            .iter()
            .map(|item| walk(item, name, depth + 1))
            .collect(),
        Value::String(text) if name == Name::Sensitive => Value::String(stars(text)),
        other => other.clone(),
    }
}

/// The first four and the last four characters of a longer text stay.
fn stars(text: &str) -> String {
    let length = text.chars().count();
    if length <= 8 {
        return "*".repeat(length);
    }
    text.chars()
        .enumerate()
        .map(|(position, character)| match position {
            0..4 => character,
            _ if position >= length - 4 => character,
            _ => '*',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::mask;

    /// Both sides were printed by LiteLLM 1.109.1's own masker.
    #[test]
    fn values_are_masked_as_litellm_masks_them() {
        let value = json!({
            "token": "hash-1", "key_name": "sk-...abcd", "key_alias": "short",
            "key_type": "default", "budget_duration": "30d",
            "metadata": {
                "api_key": "abcdefghijkl", "n": null,
                "nested": {
                    "x": null, "some-key": ["12345678", "123456789"], "cost_key": "abc",
                },
            },
        });
        let masked = json!({
            "token": "hash-1", "key_name": "sk-.**abcd", "key_alias": "*****",
            "key_type": "*******", "budget_duration": "30d",
            "metadata": {
                "api_key": "abcd****ijkl", "n": null,
                "nested": {
                    "x": null, "some-key": ["********", "1234*6789"], "cost_key": "abc",
                },
            },
        });
        assert_eq!(mask(&value), masked);
    }

    #[test]
    fn what_is_nested_too_deep_is_hidden() {
        let mut value = json!({ "secret": 1 });
        for _ in 0..10 {
            value = json!({ "in": value });
        }
        assert!(mask(&value).to_string().contains("REDACTED"));
    }
}
