//! What Graph posts when something has changed, or when a subscription needs
//! attention. Pure: whoever receives it looks the subscriptions up in between.
//!
//! Invariant: anybody can post here, so nothing counts before the secret that
//! the subscription was made with has been seen, compared in a time that says
//! nothing about it. What is told is never used but for waking: a pass reads for
//! itself. What is not known is passed over, as Graph adds words.
//! Must not: send, keep or log anything of a body.
//!
//! Source: graph-contract 9.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;
use uuid::Uuid;

/// A batch of some hundred notifications that carry ids.
const LARGEST_BODY: usize = 256 * 1024;

/// Notifications in one body.
const MOST: usize = 1_000;

/// Characters of a client state that Graph keeps.
const LONGEST_STATE: usize = 128;

/// Characters of a validation token; Graph's have some hundred.
const LONGEST_TOKEN: usize = 2_048;

/// A subscription's id, as Graph gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct SubscriptionId(Uuid);

impl SubscriptionId {
    /// Wraps an id that Graph gave.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The bare GUID, for storage.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// The secret of a subscription: Graph repeats it with every notification.
#[derive(Debug, Clone)]
pub struct ClientState(SecretString);

impl ClientState {
    /// A new one that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        let text = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self(text.into())
    }

    /// The text, for Graph only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What may be kept of it.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        StateDigest(Sha256::digest(self.expose()).into())
    }
}

/// SHA-256 of a [`ClientState`]: enough to know it again.
#[derive(Clone, Copy)]
pub struct StateDigest([u8; 32]);

impl StateDigest {
    /// One that was kept.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for storage.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A body that is no batch of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is larger than any that makes sense.
    #[error("the body has more than {LARGEST_BODY} bytes")]
    TooLarge,
    /// It holds more notifications than any that makes sense.
    #[error("the body holds more than {MOST} notifications")]
    TooMany,
    /// It is not JSON of Graph's shape.
    #[error("the body is no collection of change notifications")]
    Malformed,
}

/// What is to be done about a subscription's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Something has changed: a pass that reads what.
    Wake,
    /// Graph is about to stop: prolong the subscription.
    Renew,
    /// Graph has stopped: make another subscription, and a pass, for what came
    /// in between.
    SubscribeAgain,
    /// Graph has lost notifications: a pass that reads everything.
    ReadEverything,
}

/// What a body claims, of each subscription that it names; to be proven.
#[derive(Debug)]
pub struct Claims(BTreeMap<SubscriptionId, Vec<Claim>>);

#[derive(Debug)]
struct Claim {
    state: ClientState,
    deed: Deed,
}

impl Claims {
    /// The subscriptions that are named: whose states are to be looked up.
    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionId> {
        self.0.keys().copied()
    }

    /// What is to be done about a subscription with this state; nothing if no
    /// notification proves to be Graph's. Each once, the gravest last.
    #[must_use]
    pub fn proven(&self, subscription: SubscriptionId, state: &StateDigest) -> Vec<Deed> {
        let claims = self.0.get(&subscription).into_iter().flatten();
        let true_ones = claims.filter(|claim| {
            let claimed = claim.state.digest();
            bool::from(claimed.as_bytes().ct_eq(state.as_bytes()))
        });
        let mut deeds: Vec<Deed> = true_ones.map(|claim| claim.deed).collect();
        deeds.sort();
        deeds.dedup();
        deeds
    }
}

/// Graph's collection, as far as it is used.
#[derive(Deserialize)]
struct Body {
    value: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    subscription_id: SubscriptionId,
    client_state: Option<SecretString>,
    lifecycle_event: Option<String>,
}

/// Reads what was posted. What has no secret, or a word of Graph's that is not
/// known, claims nothing.
///
/// # Errors
/// [`Refused`] when it is no batch of notifications; nothing of it counts then.
pub fn read(body: &[u8]) -> Result<Claims, Refused> {
    if body.len() > LARGEST_BODY {
        return Err(Refused::TooLarge);
    }
    let Body { value } = serde_json::from_slice(body).map_err(|_| Refused::Malformed)?;
    if value.len() > MOST {
        return Err(Refused::TooMany);
    }
    let mut claims: BTreeMap<_, Vec<Claim>> = BTreeMap::new();
    for item in value {
        let id = item.subscription_id;
        claims.entry(id).or_default().extend(item.claim());
    }
    claims.retain(|_, claims| !claims.is_empty());
    Ok(Claims(claims))
}

impl Item {
    fn claim(self) -> Option<Claim> {
        let state = self.client_state?;
        if state.expose_secret().len() > LONGEST_STATE {
            return None;
        }
        let deed = match self.lifecycle_event.as_deref() {
            None => Deed::Wake,
            Some("reauthorizationRequired") => Deed::Renew,
            Some("subscriptionRemoved") => Deed::SubscribeAgain,
            Some("missed") => Deed::ReadEverything,
            Some(_) => return None,
        };
        let state = ClientState(state);
        Some(Claim { state, deed })
    }
}

/// The text that Graph wants to see again, as `text/plain` and nothing else,
/// before it makes a subscription; `None` when this is no such question.
#[must_use]
pub fn validation_token(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, token) = pairs.find(|(name, _)| name == "validationToken")?;
    (!token.is_empty() && token.len() <= LONGEST_TOKEN).then(|| token.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn id(number: u128) -> SubscriptionId {
        SubscriptionId::new(Uuid::from_u128(number))
    }

    /// As Graph writes one about a group.
    fn changed(subscription: SubscriptionId, state: &str) -> Value {
        json!({
            "changeType": "updated",
            "clientState": state,
            "resource": "Groups/6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            "resourceData": {
                "@odata.type": "#Microsoft.Graph.Group",
                "members@delta": [{"id": "7f9619ff-8b86-d011-b42d-00cf4fc964ff"}]
            },
            "subscriptionExpirationDateTime": "2026-11-30T10:00:00Z",
            "subscriptionId": subscription.as_uuid(),
            "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95"
        })
    }

    fn lifecycle(subscription: SubscriptionId, state: &str, event: &str) -> Value {
        json!({
            "clientState": state,
            "lifecycleEvent": event,
            "subscriptionId": subscription.as_uuid()
        })
    }

    fn body(items: &[Value]) -> Vec<u8> {
        serde_json::to_vec(&json!({ "value": items })).unwrap()
    }

    #[test]
    fn who_knows_the_state_wakes_a_pass_and_nobody_else_does() {
        let (state, other) = (ClientState::random(), ClientState::random());
        let claims = read(&body(&[
            changed(id(1), state.expose()),
            changed(id(1), state.expose()),
            changed(id(2), other.expose()),
        ]))
        .unwrap();
        assert_eq!(claims.subscriptions().collect::<Vec<_>>(), [id(1), id(2)]);
        assert_eq!(claims.proven(id(1), &state.digest()), [Deed::Wake]);
        assert_eq!(claims.proven(id(2), &state.digest()), []);
        assert_eq!(claims.proven(id(3), &state.digest()), []);
        let kept = StateDigest::new(*other.digest().as_bytes());
        assert_eq!(claims.proven(id(2), &kept), [Deed::Wake]);
    }

    #[test]
    fn one_that_lies_takes_nothing_from_one_that_does_not() {
        let state = ClientState::random();
        let claims = read(&body(&[
            lifecycle(id(1), "guessed", "missed"),
            lifecycle(id(1), "", "subscriptionRemoved"),
            changed(id(1), state.expose()),
        ]));
        assert_eq!(claims.unwrap().proven(id(1), &state.digest()), [Deed::Wake]);
    }

    #[test]
    fn what_befalls_a_subscription_says_what_to_do() {
        let state = ClientState::random();
        let told = |event: &str| {
            let claims = read(&body(&[lifecycle(id(1), state.expose(), event)]));
            claims.unwrap().proven(id(1), &state.digest())
        };
        assert_eq!(told("reauthorizationRequired"), [Deed::Renew]);
        assert_eq!(told("subscriptionRemoved"), [Deed::SubscribeAgain]);
        assert_eq!(told("missed"), [Deed::ReadEverything]);
        assert_eq!(told("somethingOfNextYear"), []);
        let several =
            ["missed", "subscriptionRemoved"].map(|event| lifecycle(id(1), state.expose(), event));
        let claims = read(&body(&several)).unwrap();
        assert_eq!(
            claims.proven(id(1), &state.digest()),
            [Deed::SubscribeAgain, Deed::ReadEverything]
        );
    }

    #[test]
    fn without_a_state_nothing_is_claimed() {
        let mut nameless = changed(id(1), "");
        nameless.as_object_mut().unwrap().remove("clientState");
        let long = changed(id(2), &"x".repeat(LONGEST_STATE + 1));
        let claims = read(&body(&[nameless, long])).unwrap();
        assert_eq!(claims.subscriptions().count(), 0);
    }

    #[test]
    fn what_is_no_batch_of_notifications_is_refused_whole() {
        let good = changed(id(1), "state");
        let broken = [
            b"".to_vec(),
            b"{}".to_vec(),
            b"[]".to_vec(),
            b"{\"value\": {}}".to_vec(),
            b"{\"value\": []} and more".to_vec(),
            b"{\"value\": [], \"value\": []}".to_vec(),
            b"{\"value\": [{\"subscriptionId\": \"no GUID\"}]}".to_vec(),
            body(&[good.clone(), json!({"clientState": "state"})]),
            body(&[good.clone(), json!({"subscriptionId": 7})]),
            [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        ];
        for body in broken {
            let text = String::from_utf8_lossy(&body)
                .chars()
                .take(80)
                .collect::<String>();
            assert_eq!(read(&body).err(), Some(Refused::Malformed), "{text}");
        }
        let many = vec![lifecycle(id(1), "", "missed"); MOST + 1];
        assert_eq!(read(&body(&many)).err(), Some(Refused::TooMany));
        let large = vec![b' '; LARGEST_BODY + 1];
        assert_eq!(read(&large).err(), Some(Refused::TooLarge));
        assert!(read(&body(&[])).is_ok());
    }

    #[test]
    fn a_state_is_not_printed_and_fits_what_graph_keeps() {
        let state = ClientState::random();
        assert!(state.expose().len() <= LONGEST_STATE);
        assert_ne!(state.expose(), ClientState::random().expose());
        assert!(!format!("{state:?}").contains(state.expose()));
        let claims = read(&body(&[changed(id(1), state.expose())])).unwrap();
        assert!(!format!("{claims:?}").contains(state.expose()));
    }

    #[test]
    fn a_validation_token_is_given_back_decoded() {
        let token = "validationToken=Validation%3a+Testing+reachability&other=1";
        assert_eq!(
            validation_token(token).as_deref(),
            Some("Validation: Testing reachability")
        );
        assert_eq!(validation_token(""), None);
        assert_eq!(validation_token("validationToken="), None);
        let long = format!("validationToken={}", "x".repeat(LONGEST_TOKEN + 1));
        assert_eq!(validation_token(&long), None);
    }
}
