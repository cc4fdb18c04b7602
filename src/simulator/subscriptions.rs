//! Subscriptions to changes: which are kept, and what is written to whom.
//!
//! Invariant: what has expired is not kept, and nobody is told of a change that
//! was made before. Must not: send.
//!
//! Source: graph-contract 9.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::tenant::{Presence, Tenant};

/// Of one application in a tenant.
const QUOTA: usize = 100;

/// Minutes that a subscription to groups or users may live.
const LONGEST: i64 = 41_760;

/// Minutes to which a shorter life is raised.
const SHORTEST: i64 = 45;

/// Notifications in one post.
const BATCH: usize = 100;

/// What can be watched here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Groups,
    Users,
}

impl Resource {
    pub(super) fn read(text: &str) -> Option<Self> {
        match text.trim_matches('/') {
            "groups" => Some(Self::Groups),
            "users" => Some(Self::Users),
            _ => None,
        }
    }
}

/// A subscription that is kept, for tests to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSubscription {
    /// Its id.
    pub id: Uuid,
    /// As it was asked for, for example `groups`.
    pub resource: String,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

/// What Graph says of a subscription itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LifecycleEvent {
    /// It ends soon unless it is prolonged.
    ReauthorizationRequired,
    /// It has ended; from then on it is not kept.
    SubscriptionRemoved,
    /// Notifications were lost.
    Missed,
}

#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) id: Uuid,
    pub(super) resource: Resource,
    pub(super) resource_text: String,
    pub(super) change_types: Vec<String>,
    pub(super) change_type_text: String,
    pub(super) url: Url,
    pub(super) lifecycle_url: Option<Url>,
    pub(super) client_state: Option<String>,
    pub(super) expires_at: DateTime<Utc>,
}

impl Kept {
    /// As Graph shows it; the client state only to who has just sent it.
    pub(super) fn shown(&self, root: &str, application: Uuid, client_state: Option<&str>) -> Value {
        json!({
            "@odata.context": format!("{root}/v1.0/$metadata#subscriptions/$entity"),
            "id": self.id,
            "resource": self.resource_text,
            "applicationId": application,
            "changeType": self.change_type_text,
            "clientState": client_state,
            "notificationUrl": self.url.as_str(),
            "lifecycleNotificationUrl": self.lifecycle_url.as_ref().map(Url::as_str),
            "expirationDateTime": written(self.expires_at),
            "latestSupportedTlsVersion": "v1_2",
        })
    }
}

/// Something to be posted.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) url: Url,
    pub(super) body: Value,
}

/// An object that was changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    resource: Resource,
    id: Uuid,
    change: &'static str,
}

/// Where the histories of a tenant end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads(u64, u64);

impl Heads {
    pub(super) fn of(tenant: &Tenant) -> Self {
        Self(tenant.history.groups.head(), tenant.history.users.head())
    }

    /// What was changed since.
    pub(super) fn changes(self, tenant: &Tenant) -> Vec<Changed> {
        let now = Self::of(tenant);
        let groups = tenant.history.groups.changed(self.0, now.0, 0);
        let groups = groups.into_iter().filter_map(|place| {
            let group = tenant.groups.get(place as usize)?;
            Some(Changed {
                resource: Resource::Groups,
                id: group.id,
                change: change(&group.presence),
            })
        });
        let users = tenant.history.users.changed(self.1, now.1, 0);
        let users = users.into_iter().filter_map(|place| {
            let user = tenant.users.get(place)?;
            Some(Changed {
                resource: Resource::Users,
                id: user.id,
                change: change(&user.presence),
            })
        });
        groups.chain(users).collect()
    }
}

/// Creation and soft deletion are told as updates.
fn change(presence: &Presence) -> &'static str {
    match presence {
        Presence::Purged => "deleted",
        Presence::Live | Presence::SoftDeleted(_) => "updated",
    }
}

/// When a subscription ends that is to end then; `None` if that is too late.
pub(super) fn end(wanted: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let fits = wanted <= now + TimeDelta::minutes(LONGEST);
    fits.then(|| wanted.max(now + TimeDelta::minutes(SHORTEST)))
}

/// Those of this application.
#[derive(Debug)]
pub(super) struct Subscriptions {
    kept: BTreeMap<Uuid, Kept>,
    quota: usize,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            quota: QUOTA,
        }
    }
}

impl Subscriptions {
    pub(super) fn limit(&mut self, quota: usize) {
        self.quota = quota;
    }

    pub(super) fn has_room(&mut self, now: DateTime<Utc>) -> bool {
        self.expire(now);
        self.kept.len() < self.quota
    }

    pub(super) fn keep(&mut self, subscription: Kept) {
        self.kept.insert(subscription.id, subscription);
    }

    pub(super) fn get(&mut self, id: Uuid, now: DateTime<Utc>) -> Option<&mut Kept> {
        self.expire(now);
        self.kept.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: Uuid) {
        self.kept.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    pub(super) fn list(&mut self, now: DateTime<Utc>) -> Vec<KeptSubscription> {
        self.expire(now);
        let kept = self.kept.values().map(|kept| KeptSubscription {
            id: kept.id,
            resource: kept.resource_text.clone(),
            expires_at: kept.expires_at,
        });
        kept.collect()
    }

    fn expire(&mut self, now: DateTime<Utc>) {
        self.kept.retain(|_, kept| kept.expires_at > now);
    }

    /// What is posted about these changes.
    pub(super) fn news(
        &mut self,
        changes: &[Changed],
        tenant: Uuid,
        now: DateTime<Utc>,
    ) -> Vec<Post> {
        self.expire(now);
        let mut posts = Vec::new();
        for kept in self.kept.values() {
            let items: Vec<Value> = changes
                .iter()
                .filter(|changed| changed.resource == kept.resource)
                .filter(|changed| kept.change_types.iter().any(|of| of == changed.change))
                .map(|changed| notification(kept, changed, tenant))
                .collect();
            posts.extend(items.chunks(BATCH).map(|items| Post {
                url: kept.url.clone(),
                body: json!({ "value": items }),
            }));
        }
        posts
    }

    /// What is posted about the subscriptions themselves.
    pub(super) fn lifecycle(
        &mut self,
        event: LifecycleEvent,
        tenant: Uuid,
        now: DateTime<Utc>,
    ) -> Vec<Post> {
        self.expire(now);
        let posts = self.kept.values().filter_map(|kept| {
            let url = kept.lifecycle_url.clone()?;
            let item = json!({
                "subscriptionId": kept.id,
                "subscriptionExpirationDateTime": written(kept.expires_at),
                "tenantId": tenant,
                "clientState": kept.client_state,
                "lifecycleEvent": event,
            });
            let body = json!({ "value": [item] });
            Some(Post { url, body })
        });
        let posts = posts.collect();
        if event == LifecycleEvent::SubscriptionRemoved {
            self.forget();
        }
        posts
    }
}

fn notification(kept: &Kept, changed: &Changed, tenant: Uuid) -> Value {
    let (set, name) = match changed.resource {
        Resource::Groups => ("Groups", "#Microsoft.Graph.Group"),
        Resource::Users => ("Users", "#Microsoft.Graph.User"),
    };
    let address = format!("{set}/{}", changed.id);
    json!({
        "changeType": changed.change,
        "clientState": kept.client_state,
        "resource": address,
        "resourceData": {
            "@odata.type": name,
            "@odata.id": address,
            "id": changed.id,
        },
        "subscriptionExpirationDateTime": written(kept.expires_at),
        "subscriptionId": kept.id,
        "tenantId": tenant,
    })
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_raised_to_the_shortest_and_refused_beyond_the_longest() {
        let now = DateTime::UNIX_EPOCH;
        let minutes = |minutes| now + TimeDelta::minutes(minutes);
        assert_eq!(end(minutes(-5), now), Some(minutes(45)));
        assert_eq!(end(minutes(44), now), Some(minutes(45)));
        assert_eq!(end(minutes(46), now), Some(minutes(46)));
        assert_eq!(end(minutes(41_760), now), Some(minutes(41_760)));
        assert_eq!(end(minutes(41_761), now), None);
    }
}
