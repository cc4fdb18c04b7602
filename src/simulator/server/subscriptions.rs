//! `/subscriptions`: made, shown, prolonged and ended.
//!
//! Invariant: none is kept before its URLs have answered. The tenant is not
//! locked while they are asked.

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::{Incoming, Shared};
use crate::simulator::outbound::is_allowed;
use crate::simulator::permission::Rights;
use crate::simulator::refusal::Refusal;
use crate::simulator::reply::{GRAPH_JSON, Reply};
use crate::simulator::subscriptions::{Kept, Resource, end};

/// Characters of a client state.
const LONGEST_STATE: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    change_type: String,
    notification_url: String,
    lifecycle_notification_url: Option<String>,
    resource: String,
    expiration_date_time: DateTime<Utc>,
    client_state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Move {
    expiration_date_time: DateTime<Utc>,
}

/// Makes one. What it costs is in no table, so it is not charged.
pub(super) async fn make(
    shared: &Shared,
    incoming: &Incoming,
    rights: &Rights,
) -> Result<Reply, Refusal> {
    if incoming.method != Method::POST {
        return Err(Refusal::wrong_method(&incoming.method));
    }
    let wish: Wish = read(incoming)?;
    let mut kept = checked(&wish, rights, shared.today())?;
    if !shared.subscriptions().has_room(shared.today()) {
        return Err(over_quota());
    }
    for url in [Some(&kept.url), kept.lifecycle_url.as_ref()]
        .into_iter()
        .flatten()
    {
        let answered = shared.outbound.validate(url).await;
        answered.map_err(|why| bad("ValidationError", why))?;
    }
    kept.id = Uuid::new_v4();
    let state = kept.client_state.clone();
    let body = shown(shared, &kept, state.as_deref());
    shared.subscriptions().keep(kept);
    Ok(json(StatusCode::CREATED, &body))
}

/// Shows, prolongs or ends one.
pub(super) fn one(
    shared: &Shared,
    incoming: &Incoming,
    rights: &Rights,
    id: Uuid,
) -> Result<Reply, Refusal> {
    let now = shared.today();
    let mut subscriptions = shared.subscriptions();
    let kept = subscriptions.get(id, now).ok_or_else(gone)?;
    permitted(kept.resource, rights)?;
    match incoming.method {
        Method::GET => {}
        Method::PATCH => {
            let wish: Move = read(incoming)?;
            kept.expires_at = end(wish.expiration_date_time, now).ok_or_else(too_long)?;
        }
        Method::DELETE => {
            subscriptions.remove(id);
            return Ok(Reply::new(StatusCode::NO_CONTENT, GRAPH_JSON, Vec::new()));
        }
        _ => return Err(Refusal::wrong_method(&incoming.method)),
    }
    let kept = kept.clone();
    drop(subscriptions);
    Ok(json(StatusCode::OK, &shown(shared, &kept, None)))
}

fn shown(shared: &Shared, kept: &Kept, state: Option<&str>) -> Value {
    let application = shared.tenant().client_id();
    kept.shown(&shared.root, application, state)
}

fn json(status: StatusCode, body: &Value) -> Reply {
    Reply::new(status, GRAPH_JSON, body.to_string().into_bytes())
}

fn read<T: DeserializeOwned>(incoming: &Incoming) -> Result<T, Refusal> {
    let kind = incoming.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let message = "Cannot process a request of this content type.";
        return Err(Refusal::new(status, "BadRequest", message));
    }
    serde_json::from_slice(&incoming.body).map_err(|error| bad("BadRequest", error.to_string()))
}

/// The wish, as it would be kept.
fn checked(wish: &Wish, rights: &Rights, now: DateTime<Utc>) -> Result<Kept, Refusal> {
    let invalid = |message: &str| bad("InvalidRequest", message);
    let resource = Resource::read(&wish.resource)
        .ok_or_else(|| invalid("The resource cannot be subscribed to."))?;
    permitted(resource, rights)?;
    let change_types: Vec<String> = wish.change_type.split(',').map(str::to_owned).collect();
    let known = |word: &String| word == "updated" || word == "deleted";
    if !change_types.iter().all(known) {
        return Err(invalid("The changeType is not one of updated, deleted."));
    }
    let state = wish.client_state.as_deref().unwrap_or_default();
    if state.chars().count() > LONGEST_STATE {
        return Err(invalid("The clientState is longer than 128 characters."));
    }
    let url = |text: &str| {
        Url::parse(text)
            .ok()
            .filter(is_allowed)
            .ok_or_else(|| invalid("A notification URL must begin with https."))
    };
    let lifecycle_url = wish.lifecycle_notification_url.as_deref();
    Ok(Kept {
        id: Uuid::nil(),
        resource,
        resource_text: wish.resource.clone(),
        change_types,
        change_type_text: wish.change_type.clone(),
        url: url(&wish.notification_url)?,
        lifecycle_url: lifecycle_url.map(url).transpose()?,
        client_state: wish.client_state.clone(),
        expires_at: end(wish.expiration_date_time, now).ok_or_else(too_long)?,
    })
}

fn permitted(resource: Resource, rights: &Rights) -> Result<(), Refusal> {
    let permitted = match resource {
        Resource::Groups => rights.watch_groups(),
        Resource::Users => rights.read_users(),
    };
    permitted.then_some(()).ok_or_else(Refusal::denied)
}

fn bad(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}

fn too_long() -> Refusal {
    bad(
        "InvalidRequest",
        "Subscription expiration can only be 41760 minutes in the future.",
    )
}

fn over_quota() -> Refusal {
    let message = "Operation: Create; Exception: [Status Code: Forbidden; Reason: Maximum number \
                   of subscriptions has been reached]";
    Refusal::new(StatusCode::FORBIDDEN, "ExtensionError", message)
}

fn gone() -> Refusal {
    let message = "The object was not found.";
    Refusal::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
}
