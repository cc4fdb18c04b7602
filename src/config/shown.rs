//! What may be shown of each value.
//!
//! Invariant: a secret is replaced as a whole; of a URL with a password only
//! the rest is shown, and only when it is certain where the password is; text
//! deep inside a map is hidden, because LiteLLM's parameters carry keys there.

use serde_json::Value;

use super::layers::Merged;
use super::origin::{Effective, Shown};
use super::schema;
use super::{database, entries};

/// Every key as it took effect, safe to print.
pub(super) fn effective(merged: &Merged) -> Vec<Effective> {
    merged
        .iter()
        .map(|(key, entry)| Effective {
            key: key.clone(),
            shown: shown(entries::bare(key), &entry.value),
            origin: entry.origin.clone(),
        })
        .collect()
}

fn shown(key: &str, value: &Value) -> Shown {
    match (key, value) {
        (_, Value::Null) => Shown::NotSet,
        ("litellm.database_url", Value::String(url)) => {
            database::redacted(url).map_or(Shown::Hidden, |url| Shown::Value(url.into()))
        }
        (key, _) if schema::is_secret(key) => Shown::Hidden,
        ("litellm.default_team_params" | "litellm.default_internal_user_params", value) => {
            let map = match value {
                Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                other => other.clone(),
            };
            Shown::Value(without_deep_text(map, 0))
        }
        (_, value) => Shown::Value(value.clone()),
    }
}

/// `{models: [a]}` keeps its text, `{metadata: {key: a}}` does not.
fn without_deep_text(value: Value, maps: usize) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| (name, without_deep_text(value, maps + 1)))
            .collect(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| without_deep_text(item, maps))
            .collect(),
        Value::String(_) if maps > 1 => "<hidden>".into(),
        other => other,
    }
}
