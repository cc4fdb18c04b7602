//! The bearer token: cached, asked for by one at a time, renewed early.
//!
//! Invariant: however many requests wait, one token request is under way; a
//! token that is still valid stays in use while its renewal fails; a refused
//! credential is not tried again before its pause is over, unless it changed.
//! Must not: tell a token's value to anyone but the HTTP client.
//!
//! Life is counted on the monotonic clock from before the request was sent
//! (graph-contract 1.2), so a wrong wall clock does no harm.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::credential::{Credential, Renewal};
use super::error::Error;
use super::issuer::{Issued, Issuer, Next, Refusal};
use super::pace::Pace;
use crate::config::EntraSettings;

/// A token in use.
pub(super) struct Token {
    value: SecretString,
    renew_at: Instant,
    expires_at: Instant,
    /// Whether Graph ever took it.
    accepted: AtomicBool,
}

impl Token {
    fn new(Issued { token, life }: Issued, asked_at: Instant, pace: &Pace) -> Self {
        let life = life.clamp(pace.shortest_token_life, pace.longest_token_life);
        Self {
            value: token,
            renew_at: asked_at + renewal_age(life),
            expires_at: asked_at + life,
            accepted: AtomicBool::new(false),
        }
    }

    pub(super) fn value(&self) -> &SecretString {
        &self.value
    }

    /// Graph answered a request that carried it.
    pub(super) fn was_accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// At 80 % of its life, or five minutes before its end where that is earlier.
fn renewal_age(life: Duration) -> Duration {
    const MARGIN: Duration = Duration::from_secs(300);
    let share = life.mul_f64(0.8);
    // Short lives have no room for the margin.
    if life >= 2 * MARGIN {
        share.min(life - MARGIN)
    } else {
        share
    }
}

/// The tokens of one application; clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Tokens(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    issuer: Issuer,
    pace: Pace,
    current: RwLock<Option<Arc<Token>>>,
    desk: Mutex<Desk>,
}

/// What only the one who asks may touch.
#[derive(Debug)]
struct Desk {
    credential: Credential,
    rest: Option<Rest>,
    last_unaccepted: Option<Instant>,
}

/// A pause after a failure.
#[derive(Debug)]
struct Rest {
    error: Error,
    until: Instant,
    length: Duration,
    next: Next,
}

impl Tokens {
    pub(super) fn new(settings: &EntraSettings, pace: Pace) -> Result<Self, Error> {
        Ok(Self(Arc::new(Shared {
            issuer: Issuer::new(settings)?,
            pace,
            current: RwLock::new(None),
            desk: Mutex::new(Desk {
                credential: Credential::new(settings)?,
                rest: None,
                last_unaccepted: None,
            }),
        })))
    }

    /// A token that is valid now.
    ///
    /// # Errors
    /// Those of the token endpoint; the remembered one during its pause.
    pub(super) async fn get(&self) -> Result<Arc<Token>, Error> {
        let now = Instant::now();
        match self.current() {
            Some(token) if now < token.renew_at => Ok(token),
            Some(token) if now < token.expires_at => {
                // Only one renews; the others need not wait for it.
                let Ok(desk) = self.0.desk.try_lock() else {
                    return Ok(token);
                };
                match self.renew(desk).await {
                    Ok(fresh) => Ok(fresh),
                    Err(error) => {
                        tracing::warn!(
                            error.kind = error.kind(),
                            %error,
                            "the token could not be renewed; the present one is still valid"
                        );
                        Ok(token)
                    }
                }
            }
            _ => self.renew(self.0.desk.lock().await).await,
        }
    }

    /// Graph refused this token: the next request gets another one.
    pub(super) async fn reject(&self, refused: &Arc<Token>) {
        let mut desk = self.0.desk.lock().await;
        let is_current = self
            .current()
            .is_some_and(|token| Arc::ptr_eq(&token, refused));
        if !is_current {
            return;
        }
        // A token that never worked is most likely not the trouble. It is
        // replaced all the same, but not by every request that fails.
        if !refused.accepted.load(Ordering::Relaxed) {
            let now = Instant::now();
            if let Some(last) = desk.last_unaccepted
                && now < last + self.0.pace.refusal_pause
            {
                return;
            }
            desk.last_unaccepted = Some(now);
        }
        self.set(None);
    }

    /// Whether there is a newer credential than the one that was last used;
    /// takes it, and says so once.
    pub(super) async fn has_a_new_secret(&self) -> bool {
        let mut desk = self.0.desk.lock().await;
        let newer = matches!(desk.credential.renew().await, Ok(Renewal::Newer));
        if newer {
            desk.rest = None;
        }
        newer
    }

    /// The credential in words, for people.
    pub(super) async fn credential(&self) -> String {
        self.0.desk.lock().await.credential.described()
    }

    /// Ends the pause after a failure: the next request asks.
    pub(super) async fn forget_refusal(&self) {
        self.0.desk.lock().await.rest = None;
    }

    /// The next request gets another token.
    pub(super) async fn forget_token(&self) {
        let _desk = self.0.desk.lock().await;
        self.set(None);
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, token: Option<Arc<Token>>) {
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Asks for a token, unless somebody just got one.
    async fn renew(&self, mut desk: MutexGuard<'_, Desk>) -> Result<Arc<Token>, Error> {
        if let Some(token) = self.current()
            && Instant::now() < token.renew_at
        {
            return Ok(token);
        }
        if let Some(error) = desk.resting().await {
            return Err(error);
        }
        match self.ask(&mut desk.credential).await {
            Ok(token) => {
                desk.rest = None;
                let token = Arc::new(token);
                self.set(Some(Arc::clone(&token)));
                Ok(token)
            }
            Err(refusal) => Err(desk.rest_after(refusal, &self.0.pace)),
        }
    }

    /// Tries as often as the settings allow, once more with a changed secret.
    async fn ask(&self, credential: &mut Credential) -> Result<Token, Refusal> {
        let pace = &self.0.pace;
        let started = Instant::now();
        let mut round = 0;
        loop {
            let asked_at = Instant::now();
            let refusal = match self.0.issuer.ask(credential).await {
                Ok(issued) => {
                    return Ok(Token::new(issued, asked_at, pace));
                }
                Err(refusal) => refusal,
            };
            match refusal.next {
                Next::Person => return Err(refusal),
                Next::Credential => match credential.renew().await {
                    Ok(Renewal::Newer) => {
                        tracing::info!("the credential changed in its file and is tried again");
                    }
                    Ok(Renewal::Same) => return Err(refusal),
                    Err(error) => {
                        return Err(Refusal {
                            error,
                            next: Next::Credential,
                        });
                    }
                },
                Next::Wait(asked) => {
                    round += 1;
                    let wait = pace
                        .delay(round)
                        .max(asked.unwrap_or_default().min(pace.longest_pause));
                    if round >= pace.attempts || started.elapsed() + wait > pace.request_deadline {
                        return Err(refusal);
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

impl Desk {
    /// The remembered failure, if its pause is not over and nothing changed.
    async fn resting(&mut self) -> Option<Error> {
        let rest = self.rest.as_ref()?;
        if Instant::now() >= rest.until {
            return None;
        }
        if rest.next == Next::Credential
            && matches!(self.credential.renew().await, Ok(Renewal::Newer))
        {
            return None;
        }
        Some(rest.error.clone())
    }

    fn rest_after(&mut self, refusal: Refusal, pace: &Pace) -> Error {
        let Refusal { error, next } = refusal;
        let first = match next {
            // The requests of one reading must not queue up behind it each.
            Next::Wait(_) => pace.first_delay,
            Next::Credential | Next::Person => pace.refusal_pause,
        };
        let length = self
            .rest
            .as_ref()
            .filter(|rest| rest.error.kind() == error.kind())
            .map_or(first, |rest| rest.length * 2)
            .min(pace.longest_refusal_pause);
        self.rest = Some(Rest {
            error: error.clone(),
            until: Instant::now() + length,
            length,
            next,
        });
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_claims_to_live_for_ever_is_renewed() {
        let pace = Pace::steady(1);
        let claimed = Issued {
            token: "t".to_owned().into(),
            life: Duration::from_secs(u64::MAX),
        };
        let now = Instant::now();
        let token = Token::new(claimed, now, &pace);
        assert_eq!(token.expires_at, now + pace.longest_token_life);
    }

    #[test]
    fn a_token_is_renewed_well_before_it_ends() {
        let seconds = |life| renewal_age(Duration::from_secs(life)).as_secs();
        assert_eq!(seconds(3600), 2880);
        assert_eq!(seconds(86_400), 69_120);
        assert_eq!(seconds(900), 600);
        assert_eq!(seconds(300), 240);
    }
}
