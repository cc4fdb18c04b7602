//! Where each effective value came from, for `entra-sync config`.
//!
//! Invariant: what is kept here may be shown to anybody; secrets have been
//! replaced before they get in.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

/// One source of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The defaults inside the program.
    Default,
    /// LiteLLM's own YAML file (`litellm.config_file`), or one it includes.
    LitellmFile {
        /// Which.
        path: PathBuf,
        /// Where in it, counted from 1.
        line: usize,
    },
    /// A `--config` file.
    File(PathBuf),
    /// An environment variable, or several that make one value together.
    Environment(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::LitellmFile { path, line } => write!(f, "LiteLLM's {}:{line}", path.display()),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What is shown of one key.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// Nobody gave a value, and there is no default.
    NotSet,
    /// A secret is there; nothing of it is shown.
    Hidden,
    /// The value, or what may be shown of it.
    Value(Value),
}

/// One key as it took effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// For example `entra.tenant`.
    pub key: String,
    /// Its value, safe to print.
    pub shown: Shown,
    /// Who gave it.
    pub origin: Origin,
}
