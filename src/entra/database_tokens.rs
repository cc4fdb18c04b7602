//! Tokens by which the application logs in to Azure Database for PostgreSQL.
//!
//! Invariant: such a token is for the database and nothing else; Graph's are
//! never given out. Must not: know the database.

use secrecy::SecretString;

use super::error::Error;
use super::pace::Pace;
use super::token::Tokens;
use crate::config::EntraSettings;

/// The database tokens of one application: kept, and renewed before they end.
#[derive(Debug)]
pub struct DatabaseTokens(Tokens);

impl DatabaseTokens {
    /// Prepares the connection to whoever issues them; nothing is sent.
    ///
    /// # Errors
    /// When the credential's files or this machine's TLS or proxy settings are
    /// unusable.
    pub fn new(settings: &EntraSettings) -> Result<Self, Error> {
        Self::with_pace(settings, Pace::steady(settings.attempts.max(1)))
    }

    pub(super) fn with_pace(settings: &EntraSettings, pace: Pace) -> Result<Self, Error> {
        let settings = EntraSettings {
            scope: settings.cloud.database_scope().to_owned(),
            ..settings.clone()
        };
        Tokens::new(&settings, pace).map(Self)
    }

    /// A token that is valid now; a server checks it when a connection is made,
    /// and not again.
    ///
    /// # Errors
    /// Those of the token endpoint.
    pub async fn token(&self) -> Result<SecretString, Error> {
        Ok(self.0.get().await?.value().clone())
    }

    /// The next one is another one: this one was refused.
    pub async fn forget(&self) {
        self.0.forget_token().await;
    }

    /// Whether the credential changed in its file since it was last used or
    /// last asked about.
    pub async fn has_a_new_secret(&self) -> bool {
        self.0.has_a_new_secret().await
    }
}
