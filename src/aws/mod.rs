//! Logins to Amazon RDS and Aurora: a signed request as the password.
//!
//! The one room that names AWS's libraries. They look for credentials where
//! every program on AWS does (environment, profile, web identity, container,
//! instance), and so in the environment of this process.
//!
//! Invariant: credentials are asked for with each new token and never kept, so
//! that they rotate without a restart; nothing that AWS's libraries log is
//! heard, because they log what they cannot use. Must not: know the database,
//! or print a token or a credential.

mod credentials;
mod error;
mod http;
mod rds;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

pub use self::error::Error;
use self::http::Http;
use self::rds::{Endpoint, LIFE};
use crate::config::{AwsRegion, DatabaseTarget};

/// For all places where there may be credentials, together.
const PATIENCE: Duration = Duration::from_secs(30);

/// After a failure, so that connections do not ask all at once.
const PAUSE: Duration = Duration::from_secs(5);

/// The tokens for one database.
pub struct RdsTokens {
    endpoint: Endpoint,
    region: AwsRegion,
    http: Http,
    desk: Mutex<Desk>,
}

impl fmt::Debug for RdsTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsTokens")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// What only the one who asks may touch.
#[derive(Default)]
struct Desk {
    token: Option<(SecretString, Instant)>,
    failure: Option<(Error, Instant)>,
    files: Vec<Option<Stamp>>,
}

impl RdsTokens {
    /// Prepares to sign; nothing is sent.
    ///
    /// # Errors
    /// When the target names no one host and user, or this machine's TLS or
    /// proxy settings are unusable.
    pub fn new(target: &DatabaseTarget, region: &AwsRegion) -> Result<Self, Error> {
        Ok(Self {
            endpoint: Endpoint::of(target)?,
            region: region.clone(),
            http: Http::new()?,
            desk: Mutex::new(Desk {
                files: stamps(),
                ..Desk::default()
            }),
        })
    }

    /// A token that is valid now, kept until shortly before its end.
    ///
    /// # Errors
    /// Why there are no credentials to sign it with; the remembered reason for a
    /// few seconds.
    pub async fn token(&self) -> Result<SecretString, Error> {
        let mut desk = self.desk.lock().await;
        let now = Instant::now();
        if let Some((token, renew_at)) = &desk.token
            && now < *renew_at
        {
            return Ok(token.clone());
        }
        if let Some((error, until)) = &desk.failure
            && now < *until
        {
            return Err(error.clone());
        }
        desk.token = None;
        match self.sign().await {
            Ok((token, life)) => {
                desk.failure = None;
                desk.token = Some((token.clone(), now + renewal_age(life)));
                Ok(token)
            }
            Err(error) => {
                desk.failure = Some((error.clone(), Instant::now() + PAUSE));
                Err(error)
            }
        }
    }

    /// The next one is another one: this one was refused.
    pub async fn forget(&self) {
        self.desk.lock().await.token = None;
    }

    /// Whether a file that credentials come from is another one since this was
    /// last asked.
    pub async fn has_new_files(&self) -> bool {
        let files = stamps();
        let mut desk = self.desk.lock().await;
        let changed = desk.files != files;
        if changed {
            desk.files = files;
            desk.failure = None;
        }
        changed
    }

    /// A token and how long it is good for: as long as what it was signed with.
    async fn sign(&self) -> Result<(SecretString, Duration), Error> {
        let found = credentials::find(&self.http, &self.region)
            // What cannot be sent as a header is logged by AWS's library in full.
            .with_subscriber(NoSubscriber::new());
        let (credentials, place) = tokio::time::timeout(PATIENCE, found)
            .await
            .map_err(|_| Error::Slow { after: PATIENCE })??;
        let now = SystemTime::now();
        let life = match credentials.expiry() {
            Some(end) => match end.duration_since(now) {
                Ok(left) if !left.is_zero() => left.min(LIFE),
                _ => return Err(Error::Expired { place }),
            },
            None => LIFE,
        };
        let token = tracing::subscriber::with_default(NoSubscriber::new(), || {
            rds::token(&self.endpoint, &self.region, credentials, now)
        })?;
        Ok((token, life))
    }
}

/// Two minutes before the end, or at four fifths of a short life: a server looks
/// at a token when a connection is made, and not again.
fn renewal_age(life: Duration) -> Duration {
    const MARGIN: Duration = Duration::from_secs(120);
    life.mul_f64(0.8).max(life.saturating_sub(MARGIN))
}

/// Which file it is, without reading it.
type Stamp = (SystemTime, u64);

/// The files that AWS's library reads credentials from, as they are now.
fn stamps() -> Vec<Option<Stamp>> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let named = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", None),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None),
        ("AWS_SHARED_CREDENTIALS_FILE", Some(".aws/credentials")),
        ("AWS_CONFIG_FILE", Some(".aws/config")),
    ];
    let paths = named.into_iter().map(|(name, below_home)| {
        let given = std::env::var_os(name).map(PathBuf::from);
        given.or_else(|| Some(home.as_ref()?.join(below_home?)))
    });
    let stamp = |path: PathBuf| {
        let seen = std::fs::metadata(path).ok()?;
        Some((seen.modified().ok()?, seen.len()))
    };
    paths.map(|path| path.and_then(stamp)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_shortly_before_its_end() {
        let seconds = |life| renewal_age(Duration::from_secs(life)).as_secs();
        assert_eq!(seconds(900), 780);
        assert_eq!(seconds(100), 80);
        assert_eq!(seconds(0), 0);
    }
}
