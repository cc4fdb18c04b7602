//! Reads the merged values key by key and collects everything that is wrong.
//!
//! Invariant: a value that cannot be used is reported with its key and source
//! and reading goes on, so that one run names every problem. A secret's value
//! never gets into a problem.

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::SecretString;
use serde_json::Value;

use super::aws_environment::AwsEnvironment;
use super::azure_environment::{self, AzureEnvironment};
use super::entries;
use super::error::{Problem, Wrong};
use super::layers::{Entry, Gathered, Merged};
use super::litellm::ParamError;
use super::litellm_environment;
use super::origin::Origin;
use super::schema;
use super::secret::Secret;
use super::values;
use crate::model::ids::SourceName;

/// The problem has been recorded; there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported;

/// A value, or nothing because a problem was recorded.
pub(super) type Read<T> = Result<T, Reported>;

pub(super) struct Reader<'a> {
    merged: &'a Merged,
    azure: &'a AzureEnvironment,
    aws: &'a AwsEnvironment,
    /// The entry of `sources` that is read, and what it holds among all.
    entry: Option<(&'a SourceName, &'a Merged)>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) seen: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(gathered: &'a Gathered) -> Self {
        Self {
            merged: &gathered.merged,
            azure: &gathered.azure,
            aws: &gathered.aws,
            entry: None,
            problems: gathered.problems.clone(),
            warnings: gathered.warnings.clone(),
            seen: BTreeSet::new(),
        }
    }

    /// The same for one entry of `sources`, from its values over the common ones.
    pub(super) fn of_entry(
        gathered: &'a Gathered,
        name: &'a SourceName,
        values: &'a Merged,
    ) -> Self {
        Self {
            merged: values,
            entry: Some((name, &gathered.merged)),
            ..Self::new(gathered)
        }
    }

    /// What Azure put into the environment and is no setting.
    pub(super) fn azure(&self) -> &'a AzureEnvironment {
        self.azure
    }

    /// What AWS put into the environment and is no setting.
    pub(super) fn aws(&self) -> &'a AwsEnvironment {
        self.aws
    }

    /// Whose settings are read.
    pub(super) fn source(&self) -> SourceName {
        self.entry
            .map_or_else(SourceName::sole, |(name, _)| name.clone())
    }

    /// A key as it stands where its value was given.
    pub(super) fn named(&self, key: &str) -> String {
        let own = self.entry.and_then(|(name, all)| {
            let path = entries::path(name, key);
            all.contains_key(&path).then_some(path)
        });
        own.unwrap_or_else(|| key.to_owned())
    }

    fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.seen.insert(key);
        self.merged.get(key).filter(|entry| !entry.value.is_null())
    }

    /// Which of these keys, or keys in these sections, somebody gave a value,
    /// and who.
    pub(super) fn given(&self, places: &[&str]) -> Vec<(&'a str, &'a Origin)> {
        let is_in = |key: &str, place: &str| {
            key.strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.merged
            .iter()
            .filter(|(_, entry)| entry.origin != Origin::Default && !entry.value.is_null())
            .filter(|(key, _)| places.iter().any(|place| is_in(key, place)))
            .map(|(key, entry)| (key.as_str(), &entry.origin))
            .collect()
    }

    /// Who gave the strongest value of a key.
    pub(super) fn origin(&self, key: &str) -> Option<&'a Origin> {
        self.merged.get(key).map(|entry| &entry.origin)
    }

    /// The value as it was given, null when it was not; for parsers that know
    /// null themselves.
    pub(super) fn raw(&mut self, key: &'static str) -> Value {
        self.entry(key)
            .map_or(Value::Null, |entry| entry.value.clone())
    }

    /// A value that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Read<Option<T>> {
        let Some(entry) = self.entry(key) else {
            return Ok(None);
        };
        match parse(&entry.value) {
            Ok(value) => Ok(Some(value)),
            Err(wrong) => Err(self.wrong(key, wrong)),
        }
    }

    /// A value that must be there, from the defaults at least.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Read<T> {
        match self.optional(key, parse)? {
            Some(value) => Ok(value),
            None => Err(self.missing(key)),
        }
    }

    /// A secret, from its key or from the file that its twin names.
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Read<Option<Secret>> {
        match (self.entry(key), self.entry(file_key)) {
            (Some(value), Some(file)) => {
                let wrong = Wrong::new(
                    format!(
                        "contradicts `{}` ({}): both are given",
                        self.named(file_key),
                        file.origin
                    ),
                    "keep one of them",
                );
                let origin = value.origin.clone();
                Err(self.report(Some(origin), Some(&self.named(key)), wrong))
            }
            (Some(entry), None) => match &entry.value {
                Value::String(text) if !text.trim().is_empty() => {
                    Ok(Some(Secret::Value(SecretString::from(text.as_str()))))
                }
                Value::String(_) => Err(self.wrong(
                    key,
                    Wrong::new("is empty", "give a value or remove the key"),
                )),
                // YAML has already changed it (0012 is 12 by now).
                _ => Err(self.wrong(key, Wrong::new("is not a text", "put the secret in quotes"))),
            },
            (None, Some(_)) => {
                let path = self.required(file_key, values::text)?;
                match Secret::from_file(Path::new(&path)) {
                    Ok(secret) => Ok(Some(secret)),
                    Err(error) => {
                        let reason = std::error::Error::source(&error)
                            .map_or_else(String::new, |source| format!(": {source}"));
                        Err(self.wrong(
                            file_key,
                            Wrong::new(
                                format!("is of no use: {error}{reason}"),
                                "check the path, who may read it and what it holds",
                            ),
                        ))
                    }
                }
            }
            (None, None) => Ok(None),
        }
    }

    /// A required key is not there.
    pub(super) fn missing(&mut self, key: &'static str) -> Reported {
        let is_default = self.origin(key) == Some(&Origin::Default);
        let place = match self.entry {
            // What all sources share is missing in none of them.
            Some((name, _)) if is_default && entries::is_own(key) => entries::path(name, key),
            _ => self.named(key),
        };
        let ours = schema::environment_name(&place);
        let theirs =
            litellm_environment::name_of(&place).or_else(|| azure_environment::name_of(&place));
        let name = match theirs {
            Some(theirs) => format!("{theirs} or {ours}"),
            None => ours,
        };
        let file = if schema::is_secret(key) {
            format!(", or name a file in `{place}_file`")
        } else {
            String::new()
        };
        // Whoever wrote null is named; the defaults are not to blame.
        let origin = self
            .origin(key)
            .filter(|origin| **origin != Origin::Default);
        let what = origin.map_or("is not set", |_| "is set to null");
        let wrong = Wrong::new(
            what,
            format!("set {name}, or `{place}` in a --config file{file}"),
        );
        self.report(origin.cloned(), Some(&place), wrong)
    }

    /// The value of a key cannot be used.
    pub(super) fn wrong(&mut self, key: &'static str, wrong: Wrong) -> Reported {
        let origin = self.origin(key).cloned();
        self.report(origin, Some(&self.named(key)), wrong)
    }

    /// A secret cannot be used; blames the key that gave it.
    pub(super) fn wrong_secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        wrong: Wrong,
    ) -> Reported {
        let blamed = if self.entry(key).is_some() {
            key
        } else {
            file_key
        };
        self.wrong(blamed, wrong)
    }

    /// LiteLLM's parameter below a key cannot be used.
    pub(super) fn refused(&mut self, key: &str, error: ParamError) -> Reported {
        let origin = self.origin(key).cloned();
        // Their names begin within `litellm_settings`, ours with the section.
        let path = if error.param.starts_with("litellm.") {
            error.param
        } else {
            format!("litellm.{}", error.param)
        };
        let path = match self.named(key).strip_suffix(key) {
            Some(entry) => format!("{entry}{path}"),
            None => path,
        };
        self.report(origin, Some(&path), Wrong::new(error.reason, error.remedy))
    }

    fn report(&mut self, origin: Option<Origin>, key: Option<&str>, wrong: Wrong) -> Reported {
        self.problems.push(Problem {
            origin,
            key: key.map(str::to_owned),
            what: wrong.what,
            remedy: wrong.remedy,
        });
        Reported
    }

    /// Something that is allowed but worth a line at start; no secrets.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}
