//! Subscriptions: Graph is asked to say when something changes.
//!
//! Invariant: a subscription is made once. An answer that was lost is not asked
//! for again, as a second subscription would stand beside the first; what was
//! made unseen expires by itself, and nothing that it sends proves to be
//! Graph's. The client state goes to Graph and nowhere else.
//! Must not: keep a subscription, or decide when one is made or prolonged.
//!
//! Source: graph-contract 9.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

use super::call::Call;
use super::client::Payload;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::meter::Meter;
use super::notifications::{ClientState, SubscriptionId};
use super::progress::Progress;
use super::queue::Priority;
use super::reader::Reader;
use super::wire::is_object;

/// Creation and soft deletion are told as updates, only purges as deletions.
const CHANGES: &str = "updated,deleted";

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// All groups of the tenant, with who joins and leaves them.
    Groups,
    /// All people of the tenant.
    Users,
}

impl Watched {
    /// Graph's word for it, which is also what is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Users => "users",
        }
    }

    /// What a kept word means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Groups, Self::Users]
            .into_iter()
            .find(|watched| watched.as_str() == word)
    }

    const fn call(self) -> Call {
        match self {
            Self::Groups => Call::SubscribeToGroups,
            Self::Users => Call::SubscribeToPeople,
        }
    }
}

/// A subscription as Graph keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Its id, which every notification repeats.
    pub id: SubscriptionId,
    /// When Graph forgets it; not always when it was asked to.
    pub expires_at: DateTime<Utc>,
}

/// What became of a wish to prolong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prolonged {
    /// Graph keeps it until then.
    Until(DateTime<Utc>),
    /// Graph has no such subscription any more.
    Gone,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    id: SubscriptionId,
    expiration_date_time: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moved {
    expiration_date_time: DateTime<Utc>,
}

impl Reader {
    /// Makes a subscription: Graph posts to `url` what happens to `watched`, with
    /// `state`. It asks at `url` first, within this call.
    ///
    /// # Errors
    /// [`Error::NotificationUrl`] when Graph takes the URL for none of ours,
    /// [`Error::PermissionMissing`] and [`Error::SubscriptionForbidden`] when it
    /// makes none. After any other error there may be one that nobody knows.
    pub async fn subscribe(
        &self,
        watched: Watched,
        url: &Url,
        state: &ClientState,
        until: DateTime<Utc>,
    ) -> Result<Subscription, Error> {
        let wish = json!({
            "changeType": CHANGES,
            "notificationUrl": url.as_str(),
            "lifecycleNotificationUrl": url.as_str(),
            "resource": watched.as_str(),
            "expirationDateTime": written(until),
            "clientState": state.expose(),
        });
        let payload = Payload::Make(wish.to_string().into());
        let at = self.line.client().subscriptions();
        let made = self.order(watched.call(), &at, payload, body::<Made>).await;
        match made {
            Ok(made) => Ok(Subscription {
                id: made.id,
                expires_at: made.expiration_date_time,
            }),
            // Of what is sent, only the URL is not ours to choose.
            Err(Error::Refused {
                status: 400,
                code,
                trace,
                ..
            }) => Err(Error::NotificationUrl {
                url: shown(url),
                code,
                trace,
            }),
            Err(error) => Err(error),
        }
    }

    /// Moves the end of a subscription.
    ///
    /// # Errors
    /// When it is not known whether Graph did.
    pub async fn prolong(
        &self,
        id: SubscriptionId,
        until: DateTime<Utc>,
    ) -> Result<Prolonged, Error> {
        let wish = json!({ "expirationDateTime": written(until) });
        let payload = Payload::Change(wish.to_string());
        let at = self.line.client().subscription(id);
        match self
            .order(Call::Subscription, &at, payload, body::<Moved>)
            .await
        {
            Ok(moved) => Ok(Prolonged::Until(moved.expiration_date_time)),
            Err(Error::NotFound { .. }) => Ok(Prolonged::Gone),
            Err(error) => Err(error),
        }
    }

    /// Ends a subscription. One that is gone already is fine.
    ///
    /// # Errors
    /// When it may still be there.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<(), Error> {
        let at = self.line.client().subscription(id);
        match self
            .order(Call::Subscription, &at, Payload::Remove, |_| Ok(()))
            .await
        {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn order<T: Send>(
        &self,
        call: Call,
        at: &Url,
        payload: Payload,
        accept: impl FnMut(&[u8]) -> Result<T, Defect> + Send,
    ) -> Result<T, Error> {
        let progress = Progress::unobserved();
        let meter = Meter::new(&progress);
        let questions = Questions::new(&self.line, &meter, Priority::Prompt);
        questions.order(call, at, payload, accept).await
    }
}

fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Defect> {
    is_object(body)?;
    Ok(serde_json::from_slice(body)?)
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The URL without what may be a secret in it.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
