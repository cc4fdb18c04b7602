//! A certificate with its private key in PEM files, for Entra and for
//! PostgreSQL; read anew whenever it is used, so that it can be rotated.
//!
//! Invariant: what is read belongs together; a key leaves this file only
//! inside what signs with it. Must not: print a key, or quote a file.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use x509_cert::der::Decode as _;

use super::files;

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate, its issuers after it.
    pub certificate: PathBuf,
    /// PEM file with the private key; may be the same.
    pub key: PathBuf,
}

/// A certificate and the key that belongs to it.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The chain, the certificate itself first, and what signs for it.
    pub key: CertifiedKey,
    /// SHA-256 of the certificate in DER.
    pub thumbprint: [u8; 32],
    /// The end of its validity.
    pub not_after: DateTime<Utc>,
}

/// Files that hold no certificate with its key.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateError {
    /// A file is missing, unreadable, not text, too large or no regular file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// No certificate in PEM form.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The certificate is damaged.
    #[error("the certificate in {} cannot be read: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No private key in PEM form.
    #[error("{} holds no private key in PEM form", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// The key is protected by a password.
    #[error(
        "the private key in {} is encrypted, and nobody is asked for its password: decrypt it with `openssl pkey -in FILE -out NEW_FILE`",
        path.display()
    )]
    Encrypted {
        /// Which.
        path: PathBuf,
    },
    /// The key is of a kind that cannot sign here.
    #[error("the private key in {} cannot be used: {reason}", path.display())]
    UnusableKey {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The two are not of one pair.
    #[error(
        "the private key in {} is not that of the certificate in {}",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// Where the certificate is.
        certificate: PathBuf,
        /// Where the key is.
        key: PathBuf,
    },
}

impl ClientCertificate {
    /// Reads both. May block for the ten seconds that a disk has to answer.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn read(&self) -> Result<Certified, ClientCertificateError> {
        let path = || self.certificate.clone();
        let damaged = |reason: String| ClientCertificateError::Damaged {
            path: path(),
            reason,
        };
        let text = text(&self.certificate)?;
        let chain = CertificateDer::pem_slice_iter(text.expose_secret().as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| damaged(error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(ClientCertificateError::NoCertificate { path: path() });
        };
        let thumbprint = Sha256::digest(first).into();
        let not_after = not_after(first).map_err(damaged)?;
        let key = self.private_key()?;
        let key =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
                match error {
                    rustls::Error::InconsistentKeys(_) => ClientCertificateError::Mismatch {
                        certificate: path(),
                        key: self.key.clone(),
                    },
                    other => ClientCertificateError::UnusableKey {
                        path: self.key.clone(),
                        reason: other.to_string(),
                    },
                }
            })?;
        Ok(Certified {
            key,
            thumbprint,
            not_after,
        })
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, ClientCertificateError> {
        let text = text(&self.key)?;
        let text = text.expose_secret();
        PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            let path = self.key.clone();
            if text.contains("BEGIN ENCRYPTED PRIVATE KEY")
                || text.contains("Proc-Type: 4,ENCRYPTED")
            {
                ClientCertificateError::Encrypted { path }
            } else {
                ClientCertificateError::NoKey { path }
            }
        })
    }
}

fn text(path: &Path) -> Result<SecretString, ClientCertificateError> {
    files::secret(path).map_err(|source| ClientCertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<DateTime<Utc>, String> {
    let certificate =
        x509_cert::Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let end = certificate.tbs_certificate.validity.not_after;
    Ok(DateTime::from(end.to_system_time()))
}

#[cfg(test)]
pub(crate) mod tests;
