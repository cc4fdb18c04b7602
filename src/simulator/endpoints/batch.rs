//! `$batch`: the envelope; items are answered like requests of their own.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Refusal;

/// Items in one envelope.
const MAX_ITEMS: usize = 20;

#[derive(Deserialize)]
struct Envelope {
    requests: Vec<BatchItem>,
}

/// One request of an envelope.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::simulator) struct BatchItem {
    pub(in crate::simulator) id: String,
    pub(in crate::simulator) method: String,
    pub(in crate::simulator) url: String,
    #[serde(default)]
    pub(in crate::simulator) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(in crate::simulator) body: Option<Value>,
    #[serde(default)]
    pub(in crate::simulator) depends_on: Vec<String>,
}

impl BatchItem {
    /// A header, whatever its letters' case.
    pub(in crate::simulator) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads an envelope.
pub(in crate::simulator) fn read_batch(body: &[u8]) -> Result<Vec<BatchItem>, Refusal> {
    let malformed = |why: String| {
        Refusal::new(
            http::StatusCode::BAD_REQUEST,
            "BadRequest",
            format!("Invalid batch payload: {why}"),
        )
    };
    let envelope: Envelope =
        serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let items = envelope.requests;
    if items.len() > MAX_ITEMS {
        return Err(malformed(format!(
            "the number of requests exceeds the limit of {MAX_ITEMS}"
        )));
    }
    let mut ids = HashSet::new();
    for item in &items {
        if !ids.insert(item.id.to_ascii_lowercase()) {
            return Err(malformed(format!("the id '{}' is not unique", item.id)));
        }
        if !item.url.starts_with('/') || item.url.starts_with("/v1.0/") {
            return Err(malformed(format!(
                "the url '{}' is not relative to the version",
                item.url
            )));
        }
    }
    in_order(items).map_err(|id| malformed(format!("the dependencies of '{id}' cannot be met")))
}

/// Items after those that they depend on; the id of one for which there is no
/// such order, because an item is missing or they wait for each other.
fn in_order(mut items: Vec<BatchItem>) -> Result<Vec<BatchItem>, String> {
    let mut done = HashSet::new();
    let mut ordered = Vec::with_capacity(items.len());
    while !items.is_empty() {
        let met = |item: &BatchItem| {
            let mut needed = item.depends_on.iter();
            needed.all(|id| done.contains(&id.to_ascii_lowercase()))
        };
        let Some(at) = items.iter().position(met) else {
            return Err(items.swap_remove(0).id);
        };
        let item = items.remove(at);
        done.insert(item.id.to_ascii_lowercase());
        ordered.push(item);
    }
    Ok(ordered)
}

/// One item's answer.
pub(in crate::simulator) fn batch_answer(
    id: &str,
    status: http::StatusCode,
    headers: BTreeMap<&'static str, String>,
    body: &[u8],
) -> Value {
    // What is not JSON travels as base64, as Graph does with images.
    let body = serde_json::from_slice(body).unwrap_or_else(|_| {
        use base64::Engine;
        Value::String(base64::engine::general_purpose::STANDARD.encode(body))
    });
    json!({"id": id, "status": status.as_u16(), "headers": headers, "body": body})
}
