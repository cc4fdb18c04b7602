//! The seam to LiteLLM's own parameters: what this room asks of those who know
//! how LiteLLM reads its YAML, its default parameters and its licence.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;
use serde_json::Value;

use super::layers::Environment;
use crate::model::defaults::{TeamDefaults, UserDefaults};
use crate::model::policy::Limit;

/// How LiteLLM's own settings are read.
pub trait LitellmDialect: Send + Sync {
    /// The keys of `litellm_settings` that count here, by LiteLLM's names;
    /// what the file does not give is absent.
    ///
    /// # Errors
    /// Reasons that read on after the file's path, free of secrets.
    fn config_file(
        &self,
        path: &Path,
        environment: &Environment,
    ) -> Result<BTreeMap<String, Value>, Vec<String>>;

    /// Parses `default_team_params`, a map.
    ///
    /// # Errors
    /// Reasons that read on after the key's name, free of secrets.
    fn team_defaults(&self, params: &Value) -> Result<TeamDefaults, Vec<String>>;

    /// Parses `default_internal_user_params`, a map; the two settings beside
    /// it are filled in by the caller.
    ///
    /// # Errors
    /// Reasons that read on after the key's name, free of secrets.
    fn user_defaults(&self, params: &Value) -> Result<UserDefaults, Vec<String>>;

    /// What a licence admits; `None` when it cannot be read.
    fn licence(&self, licence: &SecretString) -> Option<LicenceLimits>;
}

/// What a licence admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LicenceLimits {
    /// `max_users`.
    pub users: Limit,
    /// `max_teams`.
    pub teams: Limit,
}
