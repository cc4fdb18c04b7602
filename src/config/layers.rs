//! Gathers the sources and lays the stronger ones over the weaker ones.
//!
//! Invariant: pure but for reading the files it is given; the process
//! environment is an input. A key's value is replaced as a whole, so that
//! LiteLLM's maps are never mixed from two sources (LiteLLM does the same).

mod database_names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use serde_json::Value;

use super::aws_environment::AwsEnvironment;
use super::azure_environment::{self, AzureEnvironment};
use super::entries;
use super::error::{Problem, Wrong};
use super::origin::Origin;
use super::schema::{self, PREFIX, Place, Schema};
use super::settings::LogFormat;
use super::{litellm, litellm_environment};
use crate::model::ids::SourceName;

/// The process environment, or what a test puts in its place.
pub type Environment = BTreeMap<String, String>;

/// Everything that settings are made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// `--config` files, the stronger ones later.
    pub files: Vec<PathBuf>,
    /// The environment; empty variables count as absent.
    pub environment: Environment,
    /// Flags.
    pub overrides: Overrides,
    /// The day in UTC, on which LiteLLM's licence may have expired.
    pub today: NaiveDate,
}

/// Flags that override every other source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
    /// How often `-v` was given: 1 is `debug`, more is `trace`.
    pub verbosity: u8,
}

/// The environment of this process; variables that are not UTF-8 are left out.
#[must_use]
pub fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// One value and who gave it.
#[derive(Clone)]
pub(super) struct Entry {
    pub value: Value,
    pub origin: Origin,
}

/// The strongest value of every key.
pub(super) type Merged = BTreeMap<String, Entry>;

/// What LiteLLM falls back on and what is no setting of ours; null when its
/// file does not give it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fallbacks {
    /// `default_max_internal_user_budget`.
    pub max_internal_user_budget: Value,
    /// `default_team_settings[0].max_budget`.
    pub team_max_budget: Value,
}

/// All sources laid over each other.
pub(super) struct Gathered {
    /// By path; what stands in an entry of `sources` has its whole path.
    pub merged: Merged,
    /// The entries of `sources`, also those that hold nothing.
    pub entries: BTreeSet<SourceName>,
    pub fallbacks: Fallbacks,
    /// What Azure says that is no setting.
    pub azure: AzureEnvironment,
    /// What AWS says.
    pub aws: AwsEnvironment,
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
}

/// Lays all sources over each other; problems do not stop it.
pub(super) fn merge(schema: &Schema, sources: &Sources) -> Gathered {
    let mut gathering = Gathering {
        schema,
        problems: Vec::new(),
        warnings: Vec::new(),
        merged: Merged::new(),
        entries: BTreeSet::new(),
        fallbacks: Fallbacks::default(),
    };
    for path in files(sources) {
        gathering.file(&path);
    }
    for (key, name, text) in litellm_environment::values(&sources.environment) {
        gathering.give(key, Value::String(text), Origin::Environment(name));
    }
    gathering.environment(&sources.environment);
    gathering.flags(sources.overrides);
    gathering.database(&sources.environment);
    gathering.litellm_file(&sources.environment);
    for (key, name, text) in azure_environment::values(&sources.environment) {
        let origin = Origin::Environment(name.to_owned());
        gathering.give_weakly(key, Value::String(text), origin);
    }
    for (key, default) in schema.keys() {
        gathering.give_weakly(key, default.clone(), Origin::Default);
    }
    Gathered {
        merged: gathering.merged,
        entries: gathering.entries,
        fallbacks: gathering.fallbacks,
        azure: AzureEnvironment::of(&sources.environment),
        aws: AwsEnvironment::of(&sources.environment),
        problems: gathering.problems,
        warnings: gathering.warnings,
    }
}

/// `ENTRA_SYNC_CONFIG` counts only when there is no `--config`, as a flag is
/// the stronger wish; several paths are separated as in `PATH`.
fn files(sources: &Sources) -> Vec<PathBuf> {
    if !sources.files.is_empty() {
        return sources.files.clone();
    }
    sources
        .environment
        .get("ENTRA_SYNC_CONFIG")
        .filter(|list| !list.is_empty())
        .map(|list| {
            std::env::split_paths(list)
                .filter(|path| !path.as_os_str().is_empty())
                .collect()
        })
        .unwrap_or_default()
}

struct Gathering<'a> {
    schema: &'a Schema,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    merged: Merged,
    entries: BTreeSet<SourceName>,
    fallbacks: Fallbacks,
}

impl Gathering<'_> {
    fn give(&mut self, key: &str, value: Value, origin: Origin) {
        self.merged.insert(key.to_owned(), Entry { value, origin });
    }

    fn give_weakly(&mut self, key: &str, value: Value, origin: Origin) {
        self.merged
            .entry(key.to_owned())
            .or_insert(Entry { value, origin });
    }

    fn file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        match schema::read_yaml(path) {
            Ok(tree) => self.tree("", tree.into_iter(), &origin),
            Err(wrong) => self.problem(origin, None, wrong),
        }
    }

    fn tree(&mut self, path: &str, tree: impl Iterator<Item = (String, Value)>, origin: &Origin) {
        for (name, value) in tree {
            // Before it is joined: a name with a dot would be taken for two.
            if path == entries::SECTION && !self.is_entry(&name, origin) {
                continue;
            }
            let path = schema::join(path, &name);
            match (self.schema.place(&path), value) {
                (Place::Key, value) => self.give(&path, value, origin.clone()),
                (Place::Section, Value::Object(inner)) => {
                    self.tree(&path, Box::new(inner.into_iter()) as Branches, origin);
                }
                // A section whose keys are all commented out.
                (Place::Section, Value::Null) => {}
                (Place::Section, _) => self.problem(
                    origin.clone(),
                    Some(path),
                    Wrong::new("is a section", "put its keys below it, indented"),
                ),
                (Place::Shared, _) => self.problem(origin.clone(), Some(path), shared()),
                (Place::Unknown, _) => {
                    let remedy = match self.schema.nearest(&path) {
                        Some(nearest) => format!("did you mean `{nearest}`?"),
                        None => "remove it; `entra-sync config --defaults` lists every key".into(),
                    };
                    self.problem(
                        origin.clone(),
                        Some(path),
                        Wrong::new("is not a known key", remedy),
                    );
                }
            }
        }
    }

    fn environment(&mut self, environment: &Environment) {
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if text.is_empty() {
                continue;
            }
            let key = entries::path_of_variable(rest.to_lowercase().replace("__", "."));
            let origin = Origin::Environment(name.clone());
            if let Some((entry, _)) = entries::split(&key)
                && !self.is_entry(entry, &origin)
            {
                continue;
            }
            match self.schema.place(&key) {
                Place::Key => {
                    self.give(&key, Value::String(text.clone()), origin);
                    continue;
                }
                Place::Shared => {
                    self.problem(origin, Some(key), shared());
                    continue;
                }
                Place::Section | Place::Unknown => {}
            }
            let map = [
                "litellm.default_team_params",
                "litellm.default_internal_user_params",
            ]
            .into_iter()
            .find(|map| entries::bare(&key).starts_with(&format!("{map}.")));
            let place = self.schema.place(&key);
            if matches!(place, Place::Section) && map.is_none() {
                let remedy = format!(
                    "name a key of it, {name}__KEY; `entra-sync config --defaults` lists every key"
                );
                self.problem(origin, None, Wrong::new("names a section", remedy));
                continue;
            }
            let remedy = match (map, self.schema.nearest(&key)) {
                (Some(map), _) => format!(
                    "give the whole map as a JSON object in {}",
                    schema::environment_name(&key.replace(entries::bare(&key), map))
                ),
                (None, Some(nearest)) => {
                    format!("did you mean {}?", schema::environment_name(&nearest))
                }
                (None, None) => "unset it; `entra-sync config --defaults` lists every key".into(),
            };
            self.problem(origin, None, Wrong::new("names no known key", remedy));
        }
    }

    fn flags(&mut self, overrides: Overrides) {
        if let Some(format) = overrides.log_format {
            let name = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            self.give(
                "telemetry.log_format",
                name.into(),
                Origin::Flag("--log-format"),
            );
        }
        let level = match overrides.verbosity {
            0 => return,
            1 => "debug",
            _ => "trace",
        };
        self.give("telemetry.log_level", level.into(), Origin::Flag("-v"));
    }

    /// LiteLLM's own file is weaker than all but the defaults, but any source
    /// may name it, so it comes after the others and fills gaps only.
    fn litellm_file(&mut self, environment: &Environment) {
        const KEY: &str = "litellm.config_file";
        let Some(Entry { value, origin }) = self.merged.get(KEY).cloned() else {
            return;
        };
        let Some(path) = value.as_str() else {
            return;
        };
        let mut file = match litellm::read_config_file(Path::new(path), environment) {
            Ok(file) => file,
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(String::new, |cause| format!(": {cause}"));
                let wrong = Wrong::new(
                    format!("cannot be used: {error}{cause}"),
                    "correct that file, or remove the key",
                );
                return self.problem(origin, Some(KEY.to_owned()), wrong);
            }
        };
        self.fallbacks = Fallbacks {
            max_internal_user_budget: file.value("default_max_internal_user_budget").clone(),
            team_max_budget: file.legacy_max_budget().clone(),
        };
        self.warnings.append(&mut file.warnings);
        for (name, param) in file.params {
            let key = match name {
                "entra_groups_also_create_orgs" => "litellm.create_organizations".to_owned(),
                name => format!("litellm.{name}"),
            };
            if matches!(self.schema.place(&key), Place::Key) && !param.value.is_null() {
                let origin = Origin::LitellmFile {
                    path: param.origin.file,
                    line: param.origin.line,
                };
                self.give_weakly(&key, param.value, origin);
            }
        }
    }

    /// Notes an entry of `sources`; its name may be none.
    fn is_entry(&mut self, name: &str, origin: &Origin) -> bool {
        match entries::name(name) {
            Ok(name) => {
                self.entries.insert(name);
                true
            }
            Err(wrong) => {
                let path = schema::join(entries::SECTION, name);
                self.problem(origin.clone(), Some(path), wrong);
                false
            }
        }
    }

    fn problem(&mut self, origin: Origin, key: Option<String>, wrong: Wrong) {
        self.problems.push(Problem {
            origin: Some(origin),
            key,
            what: wrong.what,
            remedy: wrong.remedy,
        });
    }
}

fn shared() -> Wrong {
    Wrong::new(
        "is the same for all sources",
        "give it at the top level, outside of `sources`",
    )
}

/// Lets [`Gathering::tree`] call itself without a type that grows with depth.
type Branches = Box<dyn Iterator<Item = (String, Value)>>;
