//! `/livez` and `/readyz`.
//!
//! Alive: the daemon's loop turns; an orchestrator restarts what is not. Ready:
//! the settings are in use and the database answered the last heartbeat, no
//! longer than a lease ago. A replica that stands by is ready, and says so.
//! Neither asks anything of anybody: a database that is away must not make all
//! replicas restart.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use serde_json::{Map, Value, json};

use super::routes::App;
use crate::daemon::{Place, SourceState};

/// The loop turns each second, but for reading settings again.
const STUCK: Duration = Duration::from_secs(60);

pub(super) async fn live(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let turned = app.board.since_it_turned();
    let seconds = turned.as_secs();
    if turned < STUCK {
        (StatusCode::OK, Json(json!({ "status": "alive" })))
    } else {
        let body = json!({
            "status": "stuck",
            "reason": format!("the daemon's loop has not turned for {seconds} s"),
        });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body))
    }
}

pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let missing = if app.board.in_use().borrow().is_none() {
        Some("the settings are not in use yet")
    } else if !app.board.reaches_the_database() {
        Some("the database does not answer")
    } else {
        None
    };
    let sources: Map<String, Value> = app
        .board
        .sources()
        .into_iter()
        .map(|(name, state)| (name.to_string(), json!(word(&state))))
        .collect();
    match missing {
        None => (
            StatusCode::OK,
            Json(json!({
                "status": "ready",
                "replicas": app.board.replicas(),
                "sources": sources,
            })),
        ),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not ready", "reason": reason, "sources": sources })),
        ),
    }
}

/// What this replica does about a source.
pub(super) fn word(state: &SourceState) -> &'static str {
    match state {
        SourceState {
            running: Some(_), ..
        } => "running",
        SourceState {
            place: Place::Elsewhere,
            ..
        } => "standby",
        SourceState {
            quarantine: Some(failing),
            ..
        } if failing.rests(Utc::now()) => "quarantined",
        _ => "idle",
    }
}
