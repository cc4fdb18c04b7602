//! Settings: where they come from, what they may hold, and what they mean.
//!
//! Invariant: whoever holds a [`Settings`] holds validated values; every error
//! names source, key and remedy; no secret is ever printed. Loading is a
//! function of files, environment, flags and the day, so that SIGHUP just loads
//! again.

mod aws_environment;
mod azure_environment;
mod client_certificate;
mod credential;
mod database;
mod endpoint;
mod entries;
mod error;
pub mod files;
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
mod yaml_bounds;

pub use aws_environment::AwsRegion;
pub use client_certificate::{Certified, ClientCertificate, ClientCertificateError};
pub use credential::{Credential, IdentityIssuer, ManagedIdentity};
pub use database::{RereadError, UrlError};
pub use endpoint::Cloud;
pub use error::{Error, Problem};
pub use layers::{Environment, Overrides, Sources, process_environment};
pub use origin::{Effective, Origin, Shown};
pub use schema::DEFAULTS;
pub use secret::{Secret, SecretFileError};
pub use sections::{cron, signing_key};
pub use settings::*;
pub use timetable::{Line, Timetable};

/// Settings and where each of them came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The one source; of several the first, which stands for what they share,
    /// with everybody's warnings.
    pub settings: Settings,
    /// Every source, in the order of their names; never empty.
    pub sources: Vec<Settings>,
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
    let mut read = AllRead::default();
    if gathered.entries.is_empty() {
        read.add(reader::Reader::new(&gathered), &gathered, sources);
    }
    for name in &gathered.entries {
        let values = entries::overlay(&gathered.merged, name);
        let mut reader = reader::Reader::of_entry(&gathered, name, &values);
        if let Some(doubt) = entries::doubt(&gathered.merged, name) {
            reader.warn(doubt);
        }
        read.add(reader, &gathered, sources);
    }
    let together = read.sources.iter();
    let together: Vec<_> = together.flat_map(|one| one.together.clone()).collect();
    for source in &mut read.sources {
        source.together.clone_from(&together);
    }
    let twice = entries::twice(&read.sources, &gathered.merged);
    read.problems.extend(twice);
    let logins = entries::logins(&read.sources, &gathered.merged);
    read.problems.extend(logins);
    let (Some(first), true) = (read.sources.first(), read.problems.is_empty()) else {
        return Err(Error::new(read.problems));
    };
    Ok(Loaded {
        settings: Settings {
            warnings: read.warnings,
            ..first.clone()
        },
        sources: read.sources,
        origins: shown::effective(&gathered.merged),
    })
}

/// What reading every source came to. What is wrong with a value that several
/// share is said once.
#[derive(Default)]
struct AllRead {
    sources: Vec<Settings>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl AllRead {
    fn add(
        &mut self,
        mut reader: reader::Reader<'_>,
        gathered: &layers::Gathered,
        sources: &Sources,
    ) {
        let read = sections::settings(&mut reader, &gathered.fallbacks, sources.today);
        for problem in reader.problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        let Ok(settings) = read else { return };
        for warning in &settings.warnings {
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
        self.sources.push(settings);
    }
}

#[cfg(test)]
mod tests;
