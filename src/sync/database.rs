//! Connections to LiteLLM's database, by whatever login the settings say.
//!
//! Must not: send anything yet.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::Result;
use crate::aws::{self, RdsTokens};
use crate::config::{DatabaseAuth, Settings};
use crate::db::{self, ConnectError, Database, Passwords};
use crate::entra::DatabaseTokens;

/// Prepares connections to LiteLLM's database; nothing is sent yet.
///
/// # Errors
/// When this machine's TLS or proxy settings, or the credential's files, are
/// unusable.
pub fn open_database(settings: &Settings) -> Result<Database> {
    let target = &settings.litellm.database;
    Ok(match &settings.litellm.database_auth {
        DatabaseAuth::Password => Database::new(target)?,
        DatabaseAuth::Azure => {
            let tokens = DatabaseTokens::new(&settings.entra)?;
            Database::with_passwords(target, Arc::new(TokenLogin(tokens)))?
        }
        DatabaseAuth::Aws(region) => {
            let tokens = RdsTokens::new(target, region).map_err(unprepared)?;
            Database::with_passwords(target, Arc::new(SignedLogin(tokens)))?
        }
    })
}

fn unprepared(error: aws::Error) -> db::Error {
    db::Error::Connect {
        cause: ConnectError::Token {
            place: "any host".to_owned(),
            reason: error.to_string(),
            remedy: aws::Error::REMEDY,
        },
    }
}

/// Access tokens in the place of a password.
struct TokenLogin(DatabaseTokens);

#[async_trait]
impl Passwords for TokenLogin {
    async fn password(&self) -> std::result::Result<SecretString, String> {
        self.0.token().await.map_err(|error| error.to_string())
    }

    async fn forget(&self) {
        self.0.forget().await;
    }

    async fn has_changed(&self) -> bool {
        self.0.has_a_new_secret().await
    }

    fn remedy(&self) -> &'static str {
        "mend the credential of entra.credential, by which litellm.database_auth logs in"
    }
}

/// Signed requests in the place of a password.
struct SignedLogin(RdsTokens);

#[async_trait]
impl Passwords for SignedLogin {
    async fn password(&self) -> std::result::Result<SecretString, String> {
        self.0.token().await.map_err(|error| error.to_string())
    }

    async fn forget(&self) {
        self.0.forget().await;
    }

    async fn has_changed(&self) -> bool {
        self.0.has_new_files().await
    }

    fn remedy(&self) -> &'static str {
        aws::Error::REMEDY
    }
}
