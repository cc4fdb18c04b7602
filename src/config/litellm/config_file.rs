//! LiteLLM's own configuration file, and what of it concerns us.
//!
//! Source: LiteLLM 1.109.1, `ProxyConfig.get_config` and
//! `_check_for_os_environ_vars` (`proxy/proxy_server.py`), `get_secret`
//! (`secret_managers/main.py`). Invariant: a value is what LiteLLM itself
//! would hold after reading the file with the same environment; each knows its
//! file and line. Must not: interpret the values, or read the process's
//! environment past what it is given.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::includes::{self, Merged, Section};
use super::yaml::{Entry, Node, YamlFault};

/// What is read of `litellm_settings`.
const KEYS: [&str; 9] = [
    "default_team_params",
    "default_internal_user_params",
    "max_internal_user_budget",
    "default_max_internal_user_budget",
    "internal_user_budget_duration",
    "timezone",
    "budget_reset_time",
    "entra_groups_also_create_orgs",
    "store_audit_logs",
];

/// The one thing read of `default_team_settings`.
const LEGACY_MAX_BUDGET: &str = "default_team_settings[0].max_budget";

/// What the file says that concerns us.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LitellmFile {
    /// By name within `litellm_settings`; `default_team_settings[0].max_budget`
    /// is one of them. What the file does not set is not there; null is.
    pub params: BTreeMap<&'static str, Param>,
    /// Every file that was read, the first one first.
    pub files: Vec<PathBuf>,
    /// What the operator should be told.
    pub warnings: Vec<String>,
}

/// A value of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// With `os.environ/…` resolved.
    pub value: Value,
    /// Where it stands.
    pub origin: Origin,
}

/// A place in a file; prints as `path:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl LitellmFile {
    /// The value of a parameter; null when the file does not set it.
    #[must_use]
    pub fn value(&self, key: &str) -> &Value {
        self.params
            .get(key)
            .map_or(&Value::Null, |param| &param.value)
    }

    /// `default_team_settings[0].max_budget`; null when the file does not set
    /// it.
    #[must_use]
    pub fn legacy_max_budget(&self) -> &Value {
        self.value(LEGACY_MAX_BUDGET)
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file itself.
    #[error("LiteLLM's configuration file {} cannot be read", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that another one includes.
    #[error("{}:{line}: the included file {} cannot be read", by.display(), file.display())]
    Include {
        /// Which.
        file: PathBuf,
        /// The file that includes it.
        by: PathBuf,
        /// Where it does, counted from 1.
        line: usize,
        /// Why.
        source: std::io::Error,
    },
    /// `include` is something else.
    #[error("{}:{line}: `include` must be a list of file paths", file.display())]
    IncludeList {
        /// Which.
        file: PathBuf,
        /// Where, counted from 1.
        line: usize,
    },
    /// No YAML.
    #[error("{}:{line}: {reason}", file.display())]
    Syntax {
        /// Which.
        file: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A list, or a single value.
    #[error("{}: must hold a mapping", file.display())]
    NotAMapping {
        /// Which.
        file: PathBuf,
    },
    /// Nothing in it; LiteLLM does not start either.
    #[error("{}: is empty", file.display())]
    Empty {
        /// Which.
        file: PathBuf,
    },
    /// A key that we read.
    #[error("{origin}: {key} {reason}")]
    Value {
        /// Where.
        origin: Origin,
        /// The key with its section.
        key: String,
        /// What is wrong; reads after the key.
        reason: String,
    },
}

impl ConfigFileError {
    pub(super) fn syntax(file: &Path, fault: YamlFault) -> Self {
        Self::Syntax {
            file: file.to_owned(),
            line: fault.line,
            reason: fault.reason,
        }
    }

    fn value(file: &Path, key: &str, fault: YamlFault) -> Self {
        let mut key = key.to_owned();
        for part in &fault.path {
            if !part.starts_with('[') {
                key.push('.');
            }
            key.push_str(part);
        }
        Self::Value {
            origin: Origin {
                file: file.to_owned(),
                line: fault.line,
            },
            key,
            reason: fault.reason,
        }
    }
}

/// Reads the file at `path` with everything that it includes. `env` is what
/// `os.environ/NAME` refers to: the environment that the proxy has too.
///
/// # Errors
/// [`ConfigFileError`] with the file and, where it is known, line and key.
pub fn read(path: &Path, env: &BTreeMap<String, String>) -> Result<LitellmFile, ConfigFileError> {
    let merged = includes::read(path)?;
    let mut reader = Reader {
        env,
        managed: has_secret_manager(&merged),
        warnings: Vec::new(),
    };
    let mut params = BTreeMap::new();
    if let Some(section) = settings(&merged)? {
        for entry in entries(&section)? {
            if let Some(key) = KEYS.into_iter().find(|key| *key == entry.key) {
                params.insert(key, reader.param(&section, &entry, key)?);
            }
            if entry.key == "default_team_settings"
                && let Some(entry) = legacy_max_budget(&section, &entry.node)?
            {
                let param = reader.param(&section, &entry, LEGACY_MAX_BUDGET)?;
                params.insert(LEGACY_MAX_BUDGET, param);
            }
        }
    }
    let mut warnings = merged.warnings;
    warnings.extend(reader.warnings);
    Ok(LitellmFile {
        params,
        files: merged.files,
        warnings,
    })
}

/// `litellm_settings`; `None` when it is not there or null.
fn settings(merged: &Merged) -> Result<Option<Section>, ConfigFileError> {
    let Some(section) = merged
        .sections
        .get("litellm_settings")
        .and_then(|parts| parts.last())
    else {
        return Ok(None);
    };
    if section
        .node
        .entries()
        .is_ok_and(|entries| entries.is_none())
        && matches!(section.node.to_json(), Ok(Value::Null))
    {
        return Ok(None);
    }
    Ok(Some(section.clone()))
}

fn entries(section: &Section) -> Result<Vec<Entry>, ConfigFileError> {
    let key = "litellm_settings";
    section
        .node
        .entries()
        .map_err(|fault| ConfigFileError::value(&section.file, key, fault))?
        .ok_or_else(|| ConfigFileError::Value {
            origin: Origin {
                file: section.file.clone(),
                line: section.node.line,
            },
            key: key.to_owned(),
            reason: "must be a mapping".to_owned(),
        })
}

/// LiteLLM looks at the first entry only, and only if it is a mapping.
fn legacy_max_budget(section: &Section, node: &Node) -> Result<Option<Entry>, ConfigFileError> {
    let Some(first) = node.items().and_then(<[_]>::first) else {
        return Ok(None);
    };
    let entries = first
        .entries()
        .map_err(|fault| ConfigFileError::value(&section.file, "default_team_settings", fault))?;
    Ok(entries
        .into_iter()
        .flatten()
        .find(|entry| entry.key == "max_budget"))
}

/// Whether LiteLLM asks a secret manager before its environment.
fn has_secret_manager(merged: &Merged) -> bool {
    merged
        .sections
        .get("general_settings")
        .and_then(|parts| parts.last())
        .and_then(|section| section.node.entries().ok().flatten())
        .is_some_and(|entries| {
            entries
                .iter()
                .any(|entry| entry.key == "key_management_system")
        })
}

struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    managed: bool,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn param(
        &mut self,
        section: &Section,
        entry: &Entry,
        key: &str,
    ) -> Result<Param, ConfigFileError> {
        let key = format!("litellm_settings.{key}");
        let origin = Origin {
            file: section.file.clone(),
            line: entry.line,
        };
        let mut value = entry
            .node
            .to_json()
            .map_err(|fault| ConfigFileError::value(&section.file, &key, fault))?;
        self.resolve(&mut value, &key, &origin)?;
        Ok(Param { value, origin })
    }

    /// `os.environ/NAME`, in mappings and in mappings inside lists. Text that
    /// stands in a list itself stays as it is, as LiteLLM leaves it.
    fn resolve(
        &mut self,
        value: &mut Value,
        key: &str,
        origin: &Origin,
    ) -> Result<(), ConfigFileError> {
        match value {
            Value::String(text) if text.starts_with("os.environ/") => {
                *value = self.look_up(text, key, origin)?;
            }
            Value::Object(map) => {
                for (name, value) in map {
                    self.resolve(value, &format!("{key}.{name}"), origin)?;
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if item.is_object() {
                        self.resolve(item, &format!("{key}[{index}]"), origin)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        reference: &str,
        key: &str,
        origin: &Origin,
    ) -> Result<Value, ConfigFileError> {
        let name = reference.replace("os.environ/", "");
        let refuse = |reason: String| ConfigFileError::Value {
            origin: origin.clone(),
            key: key.to_owned(),
            reason,
        };
        if name.starts_with("oidc/") {
            return Err(refuse(
                "is fetched from an identity provider by LiteLLM; write the value itself"
                    .to_owned(),
            ));
        }
        match self.env.get(&name) {
            Some(text) => Ok(match text.trim().to_lowercase().as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::String(text.clone()),
            }),
            None if self.managed => Err(refuse(format!(
                "refers to `{name}`, which LiteLLM asks its secret manager for; set it in the \
                 environment as well"
            ))),
            None => {
                self.warnings.push(format!(
                    "{origin}: {key} refers to `{name}`, which is not set in this environment, so \
                     it counts as null; set it here if the proxy has it"
                ));
                Ok(Value::Null)
            }
        }
    }
}

#[cfg(test)]
mod tests;
