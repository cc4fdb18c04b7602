//! Which keys there are: exactly those of `default.yaml`.
//!
//! Invariant: the embedded file is the only list of keys, so reference,
//! defaults and the check for unknown keys cannot drift apart.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use config::{FileFormat, Source};
use serde_json::Value;

use super::entries;
use super::error::Wrong;
use super::files;
use super::yaml_bounds;

/// The commented defaults, as `entra-sync config --defaults` prints them.
pub const DEFAULTS: &str = include_str!("default.yaml");

/// The prefix of every environment name of ours.
pub(super) const PREFIX: &str = "ENTRA_SYNC__";

/// Keys whose value is never shown.
const SECRETS: [&str; 7] = [
    "entra.client_secret",
    "litellm.database_url",
    "litellm.license",
    "litellm.redis_url",
    "notify.secret",
    "notify.webhook_url",
    "server.token",
];

/// Whether the value of a key is never shown.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&entries::bare(key))
}

/// The environment name of a key: `entra.tenant` is `ENTRA_SYNC__ENTRA__TENANT`.
pub(super) fn environment_name(key: &str) -> String {
    let key = entries::in_variables(key);
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Every key with its default, and the sections that hold keys.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    keys: BTreeMap<String, Value>,
    sections: BTreeSet<String>,
}

/// What a path of a file stands for.
pub(super) enum Place {
    /// Holds a value.
    Key,
    /// Holds keys.
    Section,
    /// A key or section in an entry of `sources` that all sources share.
    Shared,
    /// Not ours.
    Unknown,
}

impl Schema {
    /// Reads the embedded defaults. Only a broken build can fail here.
    pub(super) fn embedded() -> Result<Self, Wrong> {
        let mut schema = Self {
            keys: BTreeMap::new(),
            sections: BTreeSet::new(),
        };
        let tree = parse_yaml(DEFAULTS)?;
        schema.add("", &tree);
        Ok(schema)
    }

    fn add(&mut self, path: &str, tree: &BTreeMap<String, Value>) {
        for (name, value) in tree {
            let path = join(path, name);
            if let Value::Object(inner) = value {
                let inner = inner.clone().into_iter().collect();
                self.sections.insert(path.clone());
                self.add(&path, &inner);
            } else {
                self.keys.insert(path, value.clone());
            }
        }
    }

    /// Every key with its default; `null` is "not set".
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// What a path stands for.
    pub(super) fn place(&self, path: &str) -> Place {
        match entries::split(path) {
            None => self.common(path),
            Some((_, "")) => Place::Section,
            Some((_, key)) => match self.common(key) {
                // There are no sources within sources.
                _ if key == entries::SECTION || entries::split(key).is_some() => Place::Unknown,
                Place::Key | Place::Section if !entries::is_own(key) => Place::Shared,
                place => place,
            },
        }
    }

    fn common(&self, path: &str) -> Place {
        if self.keys.contains_key(path) {
            Place::Key
        } else if self.sections.contains(path) {
            Place::Section
        } else {
            Place::Unknown
        }
    }

    /// The key that somebody most likely meant: the same name in another
    /// section, else the nearest spelling, if it is near at all.
    pub(super) fn nearest(&self, path: &str) -> Option<String> {
        let key = entries::bare(path);
        let nearest = self.nearest_key(key)?;
        match path.strip_suffix(key) {
            Some(entry) if entries::is_own(nearest) => Some(format!("{entry}{nearest}")),
            _ => Some(nearest.to_owned()),
        }
    }

    fn nearest_key(&self, path: &str) -> Option<&str> {
        let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
        let candidates = || self.keys.keys().chain(&self.sections);
        candidates()
            .find(|key| last(key) == last(path))
            .or_else(|| {
                candidates()
                    .map(|key| (distance(key, path), key))
                    .min()
                    .filter(|(distance, _)| *distance * 3 <= path.len())
                    .map(|(_, key)| key)
            })
            .map(String::as_str)
    }
}

/// A path one level deeper.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Reads one YAML document whose root is a map.
pub(super) fn parse_yaml(text: &str) -> Result<BTreeMap<String, Value>, Wrong> {
    if text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    }) {
        return Ok(BTreeMap::new());
    }
    yaml_bounds::check(text)?;
    let tree = config::File::from_str(text, FileFormat::Yaml)
        .collect()
        .map_err(|error| {
            let said = error.to_string();
            if said.contains("invalid type") {
                // It quotes the whole file, which may be that of a secret.
                return Wrong::new(
                    "is no map of settings",
                    "write `section: {key: value}`; a secret's file is named by a setting that \
                     ends in _file",
                );
            }
            Wrong::new(format!("is not valid YAML: {said}"), "correct the file")
        })?;
    tree.into_iter()
        .map(|(name, value)| {
            let value = value.try_deserialize::<Value>().map_err(|_| {
                Wrong::new(
                    format!("holds something unusable under `{name}`"),
                    "use texts, numbers, true, false, lists and maps",
                )
            })?;
            Ok((name, value))
        })
        .collect()
}

/// Reads a YAML file whose root is a map.
pub(super) fn read_yaml(path: &Path) -> Result<BTreeMap<String, Value>, Wrong> {
    let text = files::settings(path).map_err(|error| {
        Wrong::new(
            format!("cannot be read: {error}"),
            "check the path and who may read it",
        )
    })?;
    parse_yaml(&text)
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above_left), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let replaced = above_left + usize::from(x != *y);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_section_of_the_defaults_is_commented() {
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let inner = line.starts_with("  ") && !line.trim_start().starts_with('#');
            if inner {
                assert!(lines[at - 1].trim_start().starts_with('#'), "{line}");
            }
        }
    }

    #[test]
    fn every_secret_is_a_key_and_has_a_file_twin() {
        let schema = Schema::embedded().unwrap();
        for key in SECRETS {
            assert!(schema.keys.contains_key(key), "{key}");
            assert!(schema.keys.contains_key(&format!("{key}_file")), "{key}");
        }
    }

    #[test]
    fn a_misspelt_key_finds_the_one_that_was_meant() {
        let schema = Schema::embedded().unwrap();
        let nearest = |path| schema.nearest(path);
        let is = |key: &str| Some(key.to_owned());
        assert_eq!(nearest("entra.tenent"), is("entra.tenant"));
        assert_eq!(nearest("litellm.tenant"), is("entra.tenant"));
        assert_eq!(nearest("shedule"), is("schedule"));
        assert_eq!(nearest("entra.something_else_entirely"), None);
        assert_eq!(
            nearest("sources.a.entra.tenent"),
            is("sources.a.entra.tenant")
        );
        assert_eq!(nearest("sources.a.server.lisen"), is("server.listen"));
    }

    #[test]
    fn the_distance_is_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn yaml_errors_give_the_line_and_maps_keep_their_case_and_dots() {
        let broken = parse_yaml("entra:\n  tenant: [\n").unwrap_err();
        assert!(broken.what.contains("line"), "{}", broken.what);
        let twice = parse_yaml("entra: {tenant: a, tenant: b}").unwrap_err();
        assert!(twice.what.contains("duplicated key"), "{}", twice.what);
        let tree = parse_yaml("A.b: {Gpt-4.1: 0.5, n: null, l: [1, x]}").unwrap();
        assert_eq!(
            serde_json::to_value(tree).unwrap(),
            serde_json::json!({"A.b": {"Gpt-4.1": 0.5, "n": null, "l": [1, "x"]}})
        );
        assert!(parse_yaml("# nothing\n").unwrap().is_empty());
    }
}
