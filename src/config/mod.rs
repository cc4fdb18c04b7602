//! Settings: where they come from, what they may hold, and what they mean.
//!
//! Invariant: whoever holds a [`Settings`] holds validated values; every error
//! names source, key and remedy; no secret is ever printed. Loading is a
//! function of files, environment, flags and the day, so that SIGHUP just loads
//! again.

mod database;
mod endpoint;
mod error;
mod layers;
pub mod litellm;
mod litellm_environment;
mod origin;
mod reader;
mod schema;
mod secret;
mod sections;
mod settings;
mod shown;
mod timetable;
mod values;

pub use database::{RereadError, UrlError};
pub use endpoint::Cloud;
pub use error::{Error, Problem};
pub use layers::{Environment, Overrides, Sources, process_environment};
pub use origin::{Effective, Origin, Shown};
pub use schema::DEFAULTS;
pub use secret::{Secret, SecretFileError};
pub use sections::cron;
pub use settings::*;
pub use timetable::Timetable;

/// Settings and where each of them came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Everything, validated.
    pub settings: Settings,
    /// Every key as it took effect, in alphabetical order, without secrets.
    pub origins: Vec<Effective>,
}

/// Reads all sources, weakest first: embedded defaults, LiteLLM's own file,
/// `--config` files, LiteLLM's environment names, `ENTRA_SYNC__…`, flags.
///
/// # Errors
/// Everything that is wrong, in one error.
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    let schema = schema::Schema::embedded().map_err(|wrong| {
        Error::new(vec![Problem {
            origin: Some(Origin::Default),
            key: None,
            what: wrong.what,
            remedy: wrong.remedy,
        }])
    })?;
    let gathered = layers::merge(&schema, sources);
    let mut reader = reader::Reader::new(&gathered);
    let settings = sections::settings(&mut reader, &gathered.fallbacks, sources.today);
    match settings {
        Ok(settings) if reader.problems.is_empty() => Ok(Loaded {
            settings,
            origins: shown::effective(&gathered.merged),
        }),
        _ => Err(Error::new(reader.problems)),
    }
}

#[cfg(test)]
mod tests;
