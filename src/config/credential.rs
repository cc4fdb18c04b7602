//! What proves to Entra who asks for a token, as the settings give it.
//!
//! Must not: read a proof that is made to change (`entra::credential` does), or
//! hold a secret in a type that prints it.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use super::client_certificate::ClientCertificate;
use super::secret::Secret;

/// What proves who asks for a token.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret of the application.
    ClientSecret(Secret),
    /// A certificate of the application, which signs each request.
    ClientCertificate(ClientCertificate),
    /// A token of another issuer, which a federated credential of the
    /// application trusts.
    WorkloadIdentity {
        /// Where that issuer's newest token is.
        token_file: PathBuf,
    },
    /// What Azure vouches for on its own machines.
    ManagedIdentity(ManagedIdentity),
}

impl Credential {
    /// The value of `entra.credential` that asks for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClientSecret(_) => "client_secret",
            Self::ClientCertificate(_) => "client_certificate",
            Self::WorkloadIdentity { .. } => "workload_identity",
            Self::ManagedIdentity(_) => "managed_identity",
        }
    }
}

/// A managed identity, and who issues its tokens.
#[derive(Debug, Clone)]
pub struct ManagedIdentity {
    /// Who issues tokens.
    pub issuer: IdentityIssuer,
    /// Which of several identities; `None` is the system-assigned one, or the
    /// only one.
    pub client_id: Option<String>,
}

/// The two ways in which Azure gives tokens to its own machines. Both are
/// plain http on this machine or its link, and never asked through a proxy.
#[derive(Debug, Clone)]
pub enum IdentityIssuer {
    /// The instance metadata service of virtual machines, scale sets and AKS nodes.
    Metadata(Url),
    /// The endpoint of App Service, Functions and Container Apps.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        endpoint: Url,
        /// `IDENTITY_HEADER`, which proves that the request is this process's.
        header: SecretString,
    },
}
