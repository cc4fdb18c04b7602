//! Takes a mapping apart key by key, and knows what was left over.
//!
//! Invariant: a key is either taken, or refused with a reason; nothing that an
//! operator wrote is dropped in silence. Must not: know what a key means.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::ParamError;
use super::lax::{Fault, expected};

/// A mapping being taken apart.
pub(super) struct Fields<'a> {
    /// How errors name the mapping, for example `default_team_params`.
    section: String,
    map: &'a Map<String, Value>,
    taken: BTreeSet<&'a str>,
    errors: Vec<ParamError>,
}

impl<'a> Fields<'a> {
    /// Begins with a mapping.
    pub(super) fn open(section: &str, value: &'a Value) -> Result<Self, Vec<ParamError>> {
        match value {
            Value::Object(map) => Ok(Self {
                section: section.to_owned(),
                map,
                taken: BTreeSet::new(),
                errors: Vec::new(),
            }),
            other => Err(vec![ParamError::new(
                section,
                expected("a mapping", other),
                "write one key per line below it",
            )]),
        }
    }

    /// The key's value, which may be null; the key counts as taken.
    pub(super) fn raw(&mut self, key: &str) -> Option<&'a Value> {
        let (key, value) = self.map.get_key_value(key)?;
        self.taken.insert(key);
        Some(value)
    }

    /// The key's value; null is the same as absent.
    pub(super) fn given(&mut self, key: &str) -> Option<&'a Value> {
        self.raw(key).filter(|value| !value.is_null())
    }

    /// Reads an optional key; null is the same as absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.given(key)?;
        self.read(key, value, read)
    }

    /// Reads a key that may be absent but, if it is there, not null.
    pub(super) fn not_null<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.raw(key)?;
        self.read(key, value, read)
    }

    fn read<T>(
        &mut self,
        key: &str,
        value: &'a Value,
        read: impl FnOnce(&'a Value) -> Result<T, Fault>,
    ) -> Option<T> {
        match read(value) {
            Ok(read) => Some(read),
            Err(fault) => {
                self.fault(key, fault);
                None
            }
        }
    }

    /// Notes a value that LiteLLM refuses, or that nobody can have meant.
    pub(super) fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.refuse(key, reason, "correct it or take it out");
    }

    /// Notes a key that cannot be taken.
    pub(super) fn refuse(
        &mut self,
        key: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let param = format!("{}.{key}", self.section);
        self.errors.push(ParamError::new(param, reason, remedy));
    }

    /// Adds what another reader found.
    pub(super) fn extend(&mut self, errors: Vec<ParamError>) {
        self.errors.extend(errors);
    }

    /// How errors name a key of this mapping.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.section)
    }

    /// The keys that nobody took, with their values.
    pub(super) fn left_over(&self) -> Vec<(&'a str, &'a Value)> {
        self.map
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| !self.taken.contains(key))
            .collect()
    }

    /// Ends: every error there was, or the result.
    pub(super) fn finish<T>(self, result: T) -> Result<T, Vec<ParamError>> {
        if self.errors.is_empty() {
            Ok(result)
        } else {
            Err(self.errors)
        }
    }
}
