//! The JSON of `$batch`: several questions in one request.
//!
//! Invariant: an answer belongs to a question only if it is the one answer with
//! its id; what is missing, twice or unreadable is no answer. Ids are numbers,
//! so no two differ in case only. Source: graph-contract 7.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::client::{Answer, THROTTLE_PRIORITY};
use super::fault::Defect;
use super::queue::Priority;

/// Items that one envelope takes.
pub(super) const ITEMS: usize = 20;

/// Twenty objects are some 40 kB. Of this every value becomes a part of a tree,
/// so less is let in than elsewhere.
const LARGEST: usize = 4 * 1024 * 1024;

/// The envelope for these addresses, which are relative to the endpoint; the
/// place of an address is its id.
pub(super) fn envelope(addresses: &[String], priority: Priority) -> String {
    let requests: Vec<Value> = addresses
        .iter()
        .enumerate()
        .map(|(place, url)| {
            json!({
                "id": place.to_string(),
                "method": "GET",
                "url": url,
                "headers": { THROTTLE_PRIORITY: priority.word() },
            })
        })
        .collect();
    json!({ "requests": requests }).to_string()
}

#[derive(Deserialize)]
struct Envelope {
    responses: Option<Vec<Value>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Item {
    id: Value,
    // Of any form: an answer that is none makes a second one doubtful too.
    #[serde(default)]
    status: Value,
    #[serde(default)]
    headers: Value,
    #[serde(default)]
    body: Value,
}

/// The answers by the places of their questions.
///
/// # Errors
/// The envelope is none.
pub(super) fn answers(whole: &Answer) -> Result<BTreeMap<usize, Answer>, Defect> {
    if whole.body.len() > LARGEST {
        return Err(Defect::Oversized);
    }
    let envelope: Envelope = serde_json::from_slice(&whole.body)?;
    if envelope.error.is_some() {
        return Err(Defect::ErrorInside {
            code: "none".to_owned(),
        });
    }
    let responses = envelope.responses.ok_or(Defect::Missing("responses"))?;
    let mut answers: BTreeMap<usize, Option<Answer>> = BTreeMap::new();
    for item in responses {
        let Ok(item) = Item::deserialize(item) else {
            continue;
        };
        let Some(place) = text(&item.id).and_then(|id| id.parse().ok()) else {
            continue;
        };
        let answer = item.answer(whole);
        answers
            .entry(place)
            // Of two answers nobody knows which one is meant.
            .and_modify(|answer| *answer = None)
            .or_insert(answer);
    }
    Ok(answers
        .into_iter()
        .filter_map(|(place, answer)| Some((place, answer?)))
        .collect())
}

impl Item {
    fn answer(self, whole: &Answer) -> Option<Answer> {
        let status = text(&self.status)?.parse().ok()?;
        let mut headers = HeaderMap::new();
        if let Some(date) = whole.headers.get(DATE) {
            headers.insert(DATE, date.clone());
        }
        let given = match self.headers {
            Value::Object(given) => given,
            Value::Null => serde_json::Map::new(),
            _ => return None,
        };
        for (name, value) in given {
            let name = HeaderName::try_from(name).ok();
            let value = text(&value).and_then(|value| HeaderValue::try_from(value).ok());
            if let (Some(name), Some(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
        Some(Answer {
            status: StatusCode::from_u16(status).ok()?,
            headers,
            trace: whole.trace.clone(),
            body: body(self.body),
        })
    }
}

/// What is not JSON comes as base64.
fn body(value: Value) -> Bytes {
    match value {
        Value::Null => Bytes::new(),
        Value::String(text) => STANDARD
            .decode(&text)
            .unwrap_or_else(|_| text.into_bytes())
            .into(),
        other => other.to_string().into(),
    }
}

/// A text, or a number as one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<BTreeMap<usize, Answer>, Defect> {
        answers(&Answer {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(DATE, HeaderValue::from_static("today"))]),
            trace: "the trace".to_owned(),
            body: body.to_string().into(),
        })
    }

    #[test]
    fn answers_go_to_their_questions_in_any_order_with_headers_and_bodies() {
        let found = read(&json!({ "responses": [
            { "id": "2", "status": 404, "body": { "error": {} } },
            { "id": 0, "status": "200", "headers": { "X-Ms-Resource-Unit": 3 } },
            { "id": "1", "status": 502, "body": "PGh0bWw+", "headers": { "Date": "now" } },
        ]}))
        .unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|(place, answer)| (*place, answer.status.as_u16(), &answer.body[..]))
            .collect();
        assert_eq!(
            shown,
            [
                (0, 200, &b""[..]),
                (1, 502, b"<html>"),
                (2, 404, b"{\"error\":{}}")
            ]
        );
        assert_eq!(found[&0].headers["x-ms-resource-unit"], "3");
        assert_eq!(found[&0].headers[DATE], "today");
        assert_eq!(found[&1].headers[DATE], "now");
        assert_eq!(found[&2].trace, "the trace");
    }

    #[test]
    fn an_answer_that_is_not_surely_one_is_none() {
        let found = read(&json!({ "responses": [
            { "id": "0", "status": 200 },
            { "id": "0", "status": 404 },
            { "id": "1", "status": 99_999 },
            { "id": "2" },
            { "id": "x", "status": 200 },
            { "id": "-3", "status": 200 },
            { "id": null, "status": 200 },
            { "id": "4", "status": null },
            "5",
            { "id": "6", "status": 200, "headers": "none" },
            { "id": "7", "status": 200, "headers": null },
            { "id": "8", "status": 200 },
            { "id": "8" },
            { "id": "9", "headers": [], "status": 200 },
            { "id": "9", "status": 200 },
        ]}))
        .unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn what_is_no_envelope_is_a_defect() {
        assert_eq!(
            read(&json!({ "value": [] })).err(),
            Some(Defect::Missing("responses"))
        );
        let error = json!({ "responses": [], "error": { "code": "x" } });
        assert!(matches!(read(&error), Err(Defect::ErrorInside { .. })));
        assert!(matches!(read(&json!([])), Err(Defect::Shape { .. })));
        let large = json!({ "responses": [], "padding": " ".repeat(LARGEST) });
        assert_eq!(read(&large).err(), Some(Defect::Oversized));
    }
}
