//! The same steering over HTTP, for tests that run the real binary as another
//! process: `/_control/…`, JSON in and out.
//!
//! | request | does |
//! |---|---|
//! | `GET /_control/tenant` | URLs, ids, the secret, how much there is |
//! | `POST /_control/tenant` | one change, or a list, made as one |
//! | `GET`, `POST`, `DELETE /_control/faults` | shows, adds (one or a list), clears |
//! | `GET`, `DELETE /_control/requests` | shows, resets what was asked |
//! | `POST /_control/tokens/expire` | expires all access tokens |
//! | `POST /_control/pages/expire` | expires all page tokens |
//! | `POST /_control/delta/expire` | expires all delta links: `"gone"`, `"not_found"` … |
//! | `POST /_control/quota` | `"S"`, `"M"`, `"L"`, a number of resource units, or `null` |
//! | `GET`, `DELETE /_control/subscriptions` | shows, loses all subscriptions |
//! | `POST /_control/subscriptions` | posts of them: `"missed"`, `"subscriptionRemoved"` … |
//! | `POST /_control/latency` | milliseconds by which every answer is late |
//! | `POST /_control/clock` | `{"hold":true,"advance_seconds":90}`: for quotas and old links |
//!
//! Invariant: whatever this does, the Rust handle can do, by the same code.

mod change;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use self::change::Change;
use super::delta::DeltaExpiry;
use super::fault::Fault;
use super::journal::Requests;
use super::quota::Quota;
use super::server::Shared;
use super::subscriptions::KeptSubscription;

type Steered = State<Arc<Shared>>;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_control/tenant", get(show_tenant).post(change_tenant))
        .route(
            "/_control/faults",
            get(show_faults).post(add_faults).delete(clear_faults),
        )
        .route(
            "/_control/requests",
            get(show_requests).delete(reset_requests),
        )
        .route("/_control/tokens/expire", post(expire_tokens))
        .route("/_control/pages/expire", post(expire_pages))
        .route("/_control/delta/expire", post(expire_delta))
        .route("/_control/quota", post(set_quota))
        .route(
            "/_control/subscriptions",
            get(show_subscriptions)
                .post(notify)
                .delete(forget_subscriptions),
        )
        .route("/_control/latency", post(set_latency))
        .route("/_control/clock", post(set_clock))
}

async fn show_tenant(State(shared): Steered) -> Json<Value> {
    Json(describe(&shared))
}

/// What another process needs to be pointed here.
pub(super) fn describe(shared: &Shared) -> Value {
    let tenant = shared.tenant();
    let (groups, users, memberships) = tenant.size();
    let root = &shared.root;
    json!({
        "url": root,
        "graph_url": format!("{root}/v1.0"),
        "token_url": format!("{root}/{}/oauth2/v2.0/token", tenant.tenant_id()),
        "tenant_id": tenant.tenant_id(),
        "client_id": tenant.client_id(),
        "client_secret": tenant.client_secret(),
        "service_principal_id": tenant.service_principal_id(),
        "app_id": tenant.application.app_id,
        "groups": groups,
        "users": users,
        "memberships": memberships,
        "assignments": tenant.application.assignments.len(),
    })
}

/// Parsed by hand, so that a misspelt change is answered with what is wrong.
fn parse<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, (StatusCode, String)> {
    serde_json::from_value(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// One, or a list, parsed item by item for the same reason.
fn parse_each<T: serde::de::DeserializeOwned>(body: Value) -> Result<Vec<T>, (StatusCode, String)> {
    match body {
        Value::Array(items) => items.into_iter().map(parse).collect(),
        one => Ok(vec![parse(one)?]),
    }
}

async fn change_tenant(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let changes: Vec<Change> = parse_each(body)?;
    shared.change(|tenant| {
        for change in changes {
            change.apply(tenant);
        }
    });
    Ok(Json(describe(&shared)))
}

async fn show_faults(State(shared): Steered) -> Json<Vec<Fault>> {
    Json(shared.faults().waiting().to_vec())
}

async fn add_faults(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<StatusCode, (StatusCode, String)> {
    let faults: Vec<Fault> = parse_each(body)?;
    let mut waiting = shared.faults();
    faults.into_iter().for_each(|fault| waiting.add(fault));
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(shared): Steered) -> StatusCode {
    shared.faults().clear();
    StatusCode::NO_CONTENT
}

async fn show_requests(State(shared): Steered) -> Json<Requests> {
    Json(shared.requests().clone())
}

async fn reset_requests(State(shared): Steered) -> StatusCode {
    shared.requests().reset();
    StatusCode::NO_CONTENT
}

async fn expire_tokens(State(shared): Steered) -> StatusCode {
    shared.tokens.expire();
    StatusCode::NO_CONTENT
}

async fn expire_pages(State(shared): Steered) -> StatusCode {
    shared.expire_page_tokens();
    StatusCode::NO_CONTENT
}

async fn expire_delta(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<StatusCode, (StatusCode, String)> {
    let expiry: DeltaExpiry = parse(body)?;
    shared.expire_delta_links(expiry);
    Ok(StatusCode::NO_CONTENT)
}

async fn set_quota(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<StatusCode, (StatusCode, String)> {
    let text = match body {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    let quota: Option<Quota> = text
        .map(|text| text.parse())
        .transpose()
        .map_err(|why| (StatusCode::BAD_REQUEST, why))?;
    shared.set_quota(quota);
    Ok(StatusCode::NO_CONTENT)
}

async fn show_subscriptions(State(shared): Steered) -> Json<Vec<KeptSubscription>> {
    let now = shared.today();
    Json(shared.subscriptions().list(now))
}

async fn notify(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<StatusCode, (StatusCode, String)> {
    shared.notify(parse(body)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn forget_subscriptions(State(shared): Steered) -> StatusCode {
    shared.subscriptions().forget();
    StatusCode::NO_CONTENT
}

async fn set_latency(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<StatusCode, (StatusCode, String)> {
    let milliseconds: u64 = parse(body)?;
    shared.set_latency(Duration::from_millis(milliseconds));
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClockChange {
    hold: bool,
    advance_seconds: u64,
}

async fn set_clock(
    State(shared): Steered,
    Json(body): Json<Value>,
) -> Result<StatusCode, (StatusCode, String)> {
    let change: ClockChange = parse(body)?;
    if change.hold {
        shared.clock.hold();
    }
    shared
        .clock
        .advance(Duration::from_secs(change.advance_seconds));
    Ok(StatusCode::NO_CONTENT)
}
