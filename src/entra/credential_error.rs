//! Why a credential other than the client secret brings no token.
//!
//! Invariant: as of all errors here: one line with cause and remedy, and no
//! part of a key, an assertion or a token.

use std::path::PathBuf;

use super::error::Error;

/// What is wrong with the credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The assertion that the certificate signed is not accepted.
    #[error(
        "Entra refused the client certificate ({hint}): upload the one in entra.client_certificate_file to application {client_id} under Certificates & secrets, see that it has not expired, and that this machine's clock is right"
    )]
    CertificateRejected {
        /// The application.
        client_id: String,
        /// Codes for a search.
        hint: String,
    },
    /// `entra.client_certificate_file` or its key cannot be used.
    #[error("the client certificate cannot be used: {cause}")]
    CertificateFile {
        /// Which file, and why.
        cause: String,
    },
    /// The other issuer's token is not accepted.
    #[error(
        "Entra refused the federated token ({hint}): a federated credential of application {client_id} must have the token's own issuer, subject and audience, and the token in entra.federated_token_file must not be an old one"
    )]
    FederatedTokenRejected {
        /// The application.
        client_id: String,
        /// Codes for a search.
        hint: String,
    },
    /// `entra.federated_token_file` cannot be used.
    #[error("the federated token cannot be read from {}: {cause}", path.display())]
    FederatedTokenFile {
        /// Where it should be.
        path: PathBuf,
        /// The operating system's reason.
        cause: String,
    },
    /// Azure gives this machine no token.
    #[error(
        "Azure gave no token for the managed identity ({hint}): assign an identity to this machine or app; of several, name one in entra.managed_identity_client_id"
    )]
    ManagedIdentityRefused {
        /// Codes for a search.
        hint: String,
    },
}

impl CredentialError {
    /// As an error of this room; a `From` would leave other `?` ambiguous.
    pub(super) const fn of_entra(self) -> Error {
        Error::Credential(self)
    }

    /// A closed set of names, for labels.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CertificateRejected { .. } => "certificate_rejected",
            Self::CertificateFile { .. } => "certificate_file",
            Self::FederatedTokenRejected { .. } => "federated_token_rejected",
            Self::FederatedTokenFile { .. } => "federated_token_file",
            Self::ManagedIdentityRefused { .. } => "managed_identity_refused",
        }
    }
}
