//! How the application proves itself to the token endpoint.
//!
//! Invariant: a secret leaves this file only inside a form that is on its way
//! to the token endpoint. Files are read again whenever a token is asked for;
//! that of a secret, which may be half written, only when it was refused. A
//! file that does not answer is an error after ten seconds.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::assertion::Statement;
use super::credential_error::CredentialError;
use super::error::Error;
use crate::config;
use crate::config::{Certified, ClientCertificate, EntraSettings, Secret};

/// What kind of assertion there is (RFC 7523).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What proves the application.
pub(super) enum Credential {
    /// A client secret.
    Secret {
        value: SecretString,
        /// Where to look for a newer one.
        file: Option<PathBuf>,
    },
    /// A certificate whose key signs each request.
    Certificate {
        files: ClientCertificate,
        /// As it was last read.
        held: Box<Certified>,
        statement: Statement,
    },
    /// Another issuer's token.
    Federated {
        file: PathBuf,
        /// What was last sent.
        sent: Option<SecretString>,
    },
    /// Nothing of ours: Azure knows its machines.
    ManagedIdentity { client_id: Option<String> },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described())
    }
}

impl Credential {
    pub(super) fn new(settings: &EntraSettings) -> Result<Self, Error> {
        Ok(match &settings.credential {
            config::Credential::ClientSecret(secret) => Self::Secret {
                value: secret.value().clone(),
                file: match secret {
                    Secret::Value(_) => None,
                    Secret::File { path, .. } => Some(path.clone()),
                },
            },
            config::Credential::ClientCertificate(files) => Self::Certificate {
                held: Box::new(files.read().map_err(of_no_use)?),
                files: files.clone(),
                statement: Statement {
                    client_id: settings.client_id.clone(),
                    audience: settings.assertion_audience(),
                },
            },
            config::Credential::WorkloadIdentity { token_file } => Self::Federated {
                file: token_file.clone(),
                sent: None,
            },
            config::Credential::ManagedIdentity(identity) => Self::ManagedIdentity {
                client_id: identity.client_id.clone(),
            },
        })
    }

    /// The proof in words, for people.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Secret { file: None, .. } => "the client secret".to_owned(),
            Self::Secret {
                file: Some(file), ..
            } => format!("the client secret in {}", file.display()),
            Self::Certificate { files, held, .. } => {
                let thumbprint: String = held
                    .thumbprint
                    .iter()
                    .map(|byte| format!("{byte:02X}"))
                    .collect();
                format!(
                    "the client certificate in {}, SHA-256 {thumbprint}, valid until {}",
                    files.certificate.display(),
                    held.not_after.date_naive()
                )
            }
            Self::Federated { file, .. } => format!("the federated token in {}", file.display()),
            Self::ManagedIdentity { client_id: None } => {
                "the system-assigned managed identity".to_owned()
            }
            Self::ManagedIdentity {
                client_id: Some(id),
            } => format!("the managed identity {id}"),
        }
    }

    /// The form fields that carry the proof.
    ///
    /// # Errors
    /// When a file that is read for each token cannot be used.
    pub(super) async fn form(&mut self) -> Result<Vec<(&'static str, SecretString)>, Error> {
        match self {
            Self::Secret { value, .. } => Ok(vec![("client_secret", value.clone())]),
            Self::Certificate {
                files,
                held,
                statement,
            } => {
                match read(files).await {
                    Ok(newest) => **held = newest,
                    // Certificate and key may be replaced one after the other.
                    Err(error) => tracing::warn!(
                        error.message = %error,
                        "the client certificate as it was read before is used"
                    ),
                }
                let signed = statement
                    .signed(held)
                    .map_err(|cause| CredentialError::CertificateFile { cause }.of_entra())?;
                Ok(assertion(signed))
            }
            Self::Federated { file, sent } => {
                let token = federated(file).await?;
                *sent = Some(token.clone());
                Ok(assertion(token))
            }
            Self::ManagedIdentity { .. } => Ok(Vec::new()),
        }
    }

    /// Looks for a newer proof and takes it.
    ///
    /// # Errors
    /// When its file is there no more, unreadable or of no use.
    pub(super) async fn renew(&mut self) -> Result<Renewal, Error> {
        match self {
            Self::Secret {
                value,
                file: Some(path),
            } => {
                let fresh = secret(path).await?;
                Ok(replace(value, fresh))
            }
            Self::Certificate { files, held, .. } => {
                let newest = read(files).await?;
                if newest.thumbprint == held.thumbprint {
                    return Ok(Renewal::Same);
                }
                **held = newest;
                Ok(Renewal::Newer)
            }
            Self::Federated { file, sent } => {
                let fresh = federated(file).await?;
                match sent {
                    Some(sent) => Ok(replace(sent, fresh)),
                    None => {
                        *sent = Some(fresh);
                        Ok(Renewal::Newer)
                    }
                }
            }
            Self::Secret { file: None, .. } | Self::ManagedIdentity { .. } => Ok(Renewal::Same),
        }
    }

    /// What it means that the proof itself was refused; `codes` are Entra's.
    pub(super) fn refused(&self, client_id: String, hint: String, codes: &[u64]) -> Error {
        match self {
            Self::Secret { file, .. } => {
                let file = file.clone();
                if codes.contains(&7_000_222) {
                    Error::SecretExpired {
                        client_id,
                        hint,
                        file,
                    }
                } else {
                    Error::SecretRejected {
                        client_id,
                        hint,
                        file,
                    }
                }
            }
            Self::Certificate { .. } => {
                CredentialError::CertificateRejected { client_id, hint }.of_entra()
            }
            Self::Federated { .. } => {
                CredentialError::FederatedTokenRejected { client_id, hint }.of_entra()
            }
            Self::ManagedIdentity { .. } => {
                CredentialError::ManagedIdentityRefused { hint }.of_entra()
            }
        }
    }
}

/// Whether there was something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Same,
    Newer,
}

fn replace(held: &mut SecretString, fresh: SecretString) -> Renewal {
    if held.expose_secret() == fresh.expose_secret() {
        return Renewal::Same;
    }
    *held = fresh;
    Renewal::Newer
}

fn assertion(jwt: SecretString) -> Vec<(&'static str, SecretString)> {
    vec![
        ("client_assertion_type", ASSERTION_TYPE.to_owned().into()),
        ("client_assertion", jwt),
    ]
}

fn of_no_use(error: config::ClientCertificateError) -> Error {
    CredentialError::CertificateFile {
        cause: error.to_string(),
    }
    .of_entra()
}

async fn read(files: &ClientCertificate) -> Result<Certified, Error> {
    let files = files.clone();
    let read = tokio::task::spawn_blocking(move || files.read()).await;
    match read {
        Ok(read) => read.map_err(of_no_use),
        Err(error) => Err(Error::Setup {
            cause: error.to_string(),
        }),
    }
}

/// The whole of a file, or why there is none, within the time that a disk has.
async fn text(path: &Path) -> Result<SecretString, String> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || config::files::secret(&path)).await;
    match read {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn federated(path: &Path) -> Result<SecretString, Error> {
    let failed = |cause: String| {
        let path = path.to_owned();
        CredentialError::FederatedTokenFile { path, cause }.of_entra()
    };
    let text = text(path).await.map_err(failed)?;
    let token = text.expose_secret().trim();
    if token.is_empty() {
        return Err(failed("the file is empty".to_owned()));
    }
    Ok(token.into())
}

async fn secret(path: &Path) -> Result<SecretString, Error> {
    let failed = |cause: String| Error::SecretFile {
        path: path.to_owned(),
        cause,
    };
    let text = text(path).await.map_err(failed)?;
    let fresh = without_final_break(text.expose_secret());
    if fresh.is_empty() {
        return Err(failed("the file is empty".to_owned()));
    }
    Ok(fresh.into())
}

fn without_final_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
