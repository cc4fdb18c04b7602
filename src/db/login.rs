//! By what the login is made: the password of the URL, which may be rotated in
//! its file, or one that somebody gives for each connection; and the client
//! certificate.
//!
//! Invariant: after a refused login there is one more try, with what is newer,
//! and none with what has just been refused. Must not: keep a password that was
//! given for one connection.

use std::error::Error as _;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::connect_error::{ConnectError, Place};
use crate::config::DatabaseTarget;

/// Knows the password of the moment.
#[async_trait]
pub trait Passwords: Send + Sync {
    /// The password for a connection that is made now.
    ///
    /// # Errors
    /// Why there is none.
    async fn password(&self) -> Result<SecretString, String>;

    /// The last one was refused by the server: the next is another one.
    async fn forget(&self);

    /// Whether what makes them has changed since this was last asked.
    async fn has_changed(&self) -> bool;

    /// What to do where there is none.
    fn remedy(&self) -> &'static str;
}

/// How connections log in.
pub(super) struct Login {
    target: Mutex<Arc<DatabaseTarget>>,
    passwords: Option<Arc<dyn Passwords>>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl Login {
    pub(super) fn new(target: &DatabaseTarget, passwords: Option<Arc<dyn Passwords>>) -> Self {
        Self {
            target: Mutex::new(Arc::new(target.clone())),
            passwords,
        }
    }

    pub(super) async fn has_a_new_password(&self) -> bool {
        match &self.passwords {
            Some(passwords) => passwords.has_changed().await,
            None => false,
        }
    }

    /// Opens a connection; after a refused login once more, because passwords
    /// and tokens are rotated under a running daemon.
    pub(super) async fn connect<T, F>(
        &self,
        open: impl Fn(Arc<DatabaseTarget>) -> F,
    ) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let Some(passwords) = &self.passwords else {
            return self.with_password_of_the_url(open).await;
        };
        let target = self.target();
        let login = with_password(&target, passwords.as_ref()).await?;
        match open(login).await {
            Err(error) if error.is_authentication() => {
                passwords.forget().await;
                open(with_password(&target, passwords.as_ref()).await?).await
            }
            ended => ended,
        }
    }

    /// What was last connected to.
    pub(super) fn target(&self) -> Arc<DatabaseTarget> {
        Arc::clone(&self.target.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn with_password_of_the_url<T, F>(
        &self,
        open: impl Fn(Arc<DatabaseTarget>) -> F,
    ) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let target = self.target();
        let refused = match open(Arc::clone(&target)).await {
            Err(error) if error.is_authentication() => error,
            ended => return ended,
        };
        let fresh = match read_again(&target).await {
            Ok(fresh) => fresh,
            Err(reason) => return Err(refused.with(&reason)),
        };
        if fresh.connection == target.connection {
            return Err(refused);
        }
        let fresh = Arc::new(fresh);
        let connection = open(Arc::clone(&fresh)).await?;
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(connection)
    }
}

/// The URL as it is in its file now. That may be on a disk that does not
/// answer: nothing else on this thread waits for it.
async fn read_again(target: &Arc<DatabaseTarget>) -> Result<DatabaseTarget, String> {
    let target = Arc::clone(target);
    match tokio::task::spawn_blocking(move || target.reread()).await {
        Ok(Ok(fresh)) => Ok(fresh),
        Ok(Err(error)) => {
            let cause = error.source().map(|cause| format!(": {cause}"));
            Err(format!("{error}{}", cause.unwrap_or_default()))
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn with_password(
    target: &DatabaseTarget,
    passwords: &dyn Passwords,
) -> Result<Arc<DatabaseTarget>, ConnectError> {
    let password = passwords
        .password()
        .await
        .map_err(|reason| ConnectError::Token {
            place: Place::of(&target.connection).to_string(),
            reason,
            remedy: passwords.remedy(),
        })?;
    let mut target = target.clone();
    target.connection.password(password.expose_secret());
    Ok(Arc::new(target))
}

/// What was in the files when they were last looked at.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    target: DatabaseTarget,
    certificate: Option<[u8; 32]>,
}

impl Seen {
    pub(super) fn of(target: DatabaseTarget) -> Self {
        Self {
            certificate: thumbprint(&target),
            target,
        }
    }

    /// Whether there is something else by now, which is then what was seen. May
    /// block for the ten seconds that a disk has to answer.
    pub(super) fn changed(&mut self) -> bool {
        let target = match self.target.reread() {
            Ok(fresh) => fresh,
            Err(_) => self.target.clone(),
        };
        let fresh = Self::of(target);
        let changed = fresh.target.connection != self.target.connection
            // Files that do not belong together yet are no news.
            || fresh.certificate.is_some() && fresh.certificate != self.certificate;
        if changed {
            *self = fresh;
        }
        changed
    }
}

fn thumbprint(target: &DatabaseTarget) -> Option<[u8; 32]> {
    let files = target.client_certificate.as_ref()?;
    files.read().ok().map(|certified| certified.thumbprint)
}
