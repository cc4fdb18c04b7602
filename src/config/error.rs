//! Everything that is wrong with the settings, said at once.
//!
//! Invariant: a problem names the source, the key and the remedy, and never
//! holds the value of a secret.

use std::fmt;

use super::origin::Origin;

/// The settings cannot be used. Never retryable: somebody has to change them
/// (exit code 64).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    problems: Vec<Problem>,
}

impl Error {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Each thing that is wrong, in the order of the settings; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The label of this error in metrics and JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        "configuration"
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the configuration has a problem: {only}"),
            many => {
                write!(f, "the configuration has {} problems:", many.len())?;
                many.iter()
                    .try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

/// One thing that is wrong, free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value came from; `None` when nobody gave one.
    pub origin: Option<Origin>,
    /// The key, for example `entra.tenant`; `None` for a whole file.
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// What a parser of one value has to say; the reader adds origin and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Reads on after the key: "is not a number".
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}
