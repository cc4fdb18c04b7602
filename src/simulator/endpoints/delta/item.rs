//! Items of a delta page, written as JSON.

use serde_json::Value;
use uuid::Uuid;

/// An object being written: `{"id":…` and what follows.
pub(super) struct Item(Vec<u8>);

impl Item {
    pub(super) fn of(id: Uuid) -> Self {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"id\":\"");
        push_id(&mut out, id);
        out.push(b'"');
        Self(out)
    }

    /// An object that is gone.
    pub(super) fn removed(id: Uuid, reason: &str) -> Vec<u8> {
        let mut item = Self::of(id);
        item.text(format!("\"@removed\":{{\"reason\":\"{reason}\"}}").as_bytes());
        item.end()
    }

    pub(super) fn property(&mut self, name: &str, value: &Value) {
        self.text(format!("\"{name}\":{value}").as_bytes());
    }

    /// Any further members, already JSON.
    pub(super) fn text(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.0.push(b',');
            self.0.extend_from_slice(text);
        }
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

/// What became of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Joined,
    Left,
}

/// `members@delta` being written.
pub(super) struct Entries(Vec<u8>);

impl Entries {
    pub(super) fn expecting(count: usize) -> Self {
        Self(Vec::with_capacity(24 + 88 * count))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, id: Uuid, odata_type: &str, word: Word) {
        let out = &mut self.0;
        out.extend_from_slice(match out.is_empty() {
            true => b"\"members@delta\":[",
            false => b",",
        });
        out.extend_from_slice(b"{\"@odata.type\":\"");
        out.extend_from_slice(odata_type.as_bytes());
        out.extend_from_slice(b"\",\"id\":\"");
        push_id(out, id);
        out.push(b'"');
        if word == Word::Left {
            // Graph's reason, whether the member lives on or not.
            out.extend_from_slice(b",\"@removed\":{\"reason\":\"deleted\"}");
        }
        out.push(b'}');
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        if !self.0.is_empty() {
            self.0.push(b']');
        }
        self.0
    }
}

fn push_id(out: &mut Vec<u8>, id: Uuid) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
}
