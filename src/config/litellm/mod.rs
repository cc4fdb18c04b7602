//! LiteLLM's own parameters, read as LiteLLM reads them.
//!
//! Invariant: what leaves this room LiteLLM would have accepted too, and every
//! key of it has an effect. What LiteLLM would refuse at every creation, or
//! silently ignore, stops the program by name here. Must not: open a
//! connection, read the environment or a clock, or know of settings that are
//! not LiteLLM's.

#[cfg(test)]
mod anything;
mod budgets;
mod calendar;
mod config_file;
mod fields;
mod includes;
mod lax;
mod licence;
mod object_permission;
mod team_defaults;
mod team_metadata;
mod user_defaults;
mod yaml;
mod yaml_scalars;

pub use calendar::{Calendar, parse as calendar};
pub use config_file::{ConfigFileError, LitellmFile, Origin, Param, read as read_config_file};
pub use licence::{Ceilings, Licence, Seats, Terms, ceilings};
pub use team_defaults::{legacy_max_budget, parse as team_defaults};
pub use user_defaults::{InternalUserSettings, parse as user_defaults};

/// One parameter that cannot be taken as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{param}: {reason}; {remedy}")]
pub struct ParamError {
    /// Where it stands, for example `default_team_params.max_budget`.
    pub param: String,
    /// What is wrong. Holds no value that could be a secret.
    pub reason: String,
    /// What the operator can do.
    pub remedy: String,
}

impl ParamError {
    fn new(param: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            param: param.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    mod fuzz;
}
