//! How the application proves itself to the token endpoint.
//!
//! Invariant: a secret leaves this file only inside a form that is on its way
//! to the token endpoint. Certificates, federated tokens and managed
//! identities become further variants here (graph-contract 1.1): each yields
//! form fields and knows whether it may have changed since.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::error::Error;
use crate::config::Secret;

/// What proves the application.
pub(super) enum Credential {
    /// A client secret.
    Secret {
        value: SecretString,
        /// Where to look for a newer one.
        file: Option<PathBuf>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { file, .. } => f
                .debug_struct("Secret")
                .field("file", file)
                .finish_non_exhaustive(),
        }
    }
}

impl Credential {
    pub(super) fn new(secret: &Secret) -> Self {
        match secret {
            Secret::Value(value) => Self::Secret {
                value: value.clone(),
                file: None,
            },
            Secret::File { path, value } => Self::Secret {
                value: value.clone(),
                file: Some(path.clone()),
            },
        }
    }

    /// The form fields that carry the proof.
    pub(super) fn form(&self) -> Vec<(&'static str, SecretString)> {
        match self {
            Self::Secret { value, .. } => vec![("client_secret", value.clone())],
        }
    }

    /// Looks for a newer proof and takes it.
    ///
    /// # Errors
    /// [`Error::SecretFile`] if the file is there no more, unreadable or empty.
    pub(super) async fn renew(&mut self) -> Result<Renewal, Error> {
        let Self::Secret {
            value,
            file: Some(path),
        } = self
        else {
            return Ok(Renewal::Same);
        };
        let failed = |cause: String| Error::SecretFile {
            path: path.clone(),
            cause,
        };
        let text = tokio::fs::read_to_string(&path)
            .await
            .map(SecretString::from)
            .map_err(|error| failed(error.to_string()))?;
        let fresh = without_final_break(text.expose_secret());
        if fresh.is_empty() {
            return Err(failed("the file is empty".to_owned()));
        }
        if fresh == value.expose_secret() {
            return Ok(Renewal::Same);
        }
        *value = SecretString::from(fresh.to_owned());
        Ok(Renewal::Newer)
    }
}

/// Whether there was something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Same,
    Newer,
}

fn without_final_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
