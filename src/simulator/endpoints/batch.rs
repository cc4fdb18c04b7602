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
    Ok(items)
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
