//! LiteLLM's database URL, in libpq's dialect and in Prisma's.
//!
//! Invariant: no message of this room holds any part of a password; a
//! parameter that cannot be honoured is refused by name, never dropped. Must
//! not: connect (`db::tls` does).

mod parameters;
mod tls_mode;
mod url;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

pub(super) use self::url::redacted;
use super::client_certificate::ClientCertificate;
use super::error::Wrong;
use super::secret::{Secret, SecretFileError};

/// Connections at most when the URL gives no `connection_limit`.
const POOL_SIZE: usize = 4;
/// For establishing a connection when the URL gives no `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For a free connection when the URL gives no `pool_timeout`, Prisma's own.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where LiteLLM's tables are, parsed from a libpq or Prisma URL.
#[derive(Debug, Clone)]
pub struct DatabaseTarget {
    /// Hosts, user, database, timeouts; the password inside is not printed by
    /// tokio-postgres's own `Debug`. Its `ssl_mode` agrees with `tls`.
    pub connection: tokio_postgres::Config,
    /// How the server's certificate is checked.
    pub tls: DatabaseTls,
    /// What we show the server; read again for each connection.
    pub client_certificate: Option<ClientCertificate>,
    /// The PostgreSQL schema of LiteLLM's tables (Prisma's `schema`).
    pub schema: String,
    /// Connections at most (Prisma's `connection_limit`).
    pub pool_size: usize,
    /// For a free connection of the pool (`pool_timeout`); `None` waits for
    /// ever.
    pub pool_timeout: Option<Duration>,
    /// For any one statement (`socket_timeout`); `None` leaves it to us.
    pub socket_timeout: Option<Duration>,
    /// What stands between us and the server.
    pub pooler: Pooler,
    /// The URL as it was given, to be read again when it lives in a file.
    pub url: Secret,
}

/// libpq's `sslmode` with its root certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseTls {
    /// `disable`.
    Disable,
    /// `prefer`: encrypted if the server offers it, unchecked.
    Prefer,
    /// `require` without a root certificate: encrypted, unchecked.
    Require,
    /// `verify-ca`, or `require` with a root certificate: chain checked.
    VerifyCa {
        /// PEM file; `None` is the system's store.
        root: Option<PathBuf>,
    },
    /// `verify-full`: chain and host name checked.
    VerifyFull {
        /// PEM file; `None` is the system's store.
        root: Option<PathBuf>,
    },
}

/// What stands between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooler {
    /// Nothing, or a pooler that keeps a session together.
    None,
    /// `pgbouncer=true`: each transaction may meet another session, so no
    /// prepared statement, session lock or `SET` outlives one.
    Transaction,
}

/// The URL cannot be read again, or is of no use now.
#[derive(Debug, thiserror::Error)]
pub enum RereadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// What it holds is no database URL.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// The URL is of no use; the text holds no part of a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database URL {what}; {remedy}")]
pub struct UrlError {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl DatabaseTarget {
    /// Parses a database URL in either dialect.
    ///
    /// # Errors
    /// When the URL is malformed, incomplete, contradicts itself or asks for
    /// what cannot be honoured.
    pub fn parse(url: Secret) -> Result<Self, UrlError> {
        match parse(url) {
            Ok((target, _)) => Ok(target),
            Err(Wrong { what, remedy }) => Err(UrlError { what, remedy }),
        }
    }

    /// The same target with the password that is in its file now; unchanged
    /// when the URL was given directly.
    ///
    /// # Errors
    /// When the file cannot be read or holds no usable URL.
    pub fn reread(&self) -> Result<Self, RereadError> {
        Ok(Self::parse(self.url.reread()?)?)
    }
}

/// Parses a database URL; the second value holds what is worth a warning.
pub(super) fn parse(secret: Secret) -> Result<(DatabaseTarget, Vec<String>), Wrong> {
    let parts = url::split(secret.value().expose_secret())?;
    let mut connection = tokio_postgres::Config::new();
    if parts
        .parameters
        .iter()
        .all(|(name, _)| name != "connect_timeout")
    {
        connection.connect_timeout(CONNECT_TIMEOUT);
    }
    connection
        .application_name("entra-sync")
        // Without them a server that vanished is noticed after two hours.
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        // Keepalives are not sent while something waits to be acknowledged.
        .tcp_user_timeout(Duration::from_secs(30));
    let mut target = DatabaseTarget {
        connection,
        tls: DatabaseTls::Prefer,
        client_certificate: None,
        schema: "public".into(),
        pool_size: POOL_SIZE,
        pool_timeout: Some(POOL_TIMEOUT),
        socket_timeout: None,
        pooler: Pooler::None,
        url: secret,
    };
    let warnings = parameters::apply(parts, &mut target)?;
    Ok((target, warnings))
}

#[cfg(test)]
mod tests;
