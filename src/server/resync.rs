//! `POST /api/v1/resync`: asks for a pass now, of whichever replica has the
//! source; and `GET /api/v1/requests/{id}`: what has become of that.
//!
//! Invariant: a request carries no data but which source and how to read; who
//! asks again while it waits asks for the same pass.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::routes::{App, Problem};
use crate::config::Settings;
use crate::db::Limits;
use crate::ledger;
use crate::ledger::requests::{self, Asker, Outcome, Wish};
use crate::model::ids::RequestId;
use crate::model::report::Mode;

/// What may be said; nothing at all is an incremental pass of every source.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    source: Option<String>,
    #[serde(default)]
    mode: How,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    #[default]
    Incremental,
    Full,
}

const NOT_UNDERSTOOD: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "the body is empty, or a JSON object with `source` (a name) and `mode` (incremental or full)",
);

/// Answers 202 with a request for each source that is meant.
pub(super) async fn ask(
    State(app): State<App>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let asked = if body.trim_ascii().is_empty() {
        Asked::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| NOT_UNDERSTOOD)?
    };
    let in_use = app.in_use()?;
    let meant: Vec<&Settings> = in_use
        .settings
        .iter()
        .filter(|one| {
            let name = asked.source.as_deref();
            name.is_none_or(|name| name == one.source.as_str())
        })
        .collect();
    if meant.is_empty() {
        return Err(Problem::no_such_source());
    }
    let wish = Wish {
        mode: match asked.mode {
            How::Full => Mode::Full,
            How::Incremental => Mode::Incremental,
        },
        asker: Asker::Api,
        asked_by: "api",
    };
    let requests = app
        .database(async |database| {
            let mut requests = Vec::new();
            for settings in meant {
                let waiting = requests::ask(database, settings.described(), wish).await?;
                requests.push(json!({
                    "source": settings.source,
                    "request_id": waiting.id,
                    "mode": waiting.mode,
                    "asked_at": waiting.asked_at,
                }));
            }
            Ok(requests)
        })
        .await?;
    tracing::info!(
        mode = wish.mode.as_str(),
        sources = requests.len(),
        "somebody asked for a pass over HTTP"
    );
    let body = json!({ "requests": requests });
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// Tells what has become of a request.
pub(super) async fn outcome(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let Ok(id) = id.parse::<Uuid>() else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "a request's id is the GUID that POST /api/v1/resync answered",
        ));
    };
    let outcome = app
        .database(async |database| {
            if !ledger::readable(database).await? {
                return Ok(Outcome::Unknown);
            }
            let mut transaction = database.begin(Limits::READ).await?;
            let outcome = requests::outcome(&mut transaction, RequestId::new(id)).await?;
            transaction.commit().await?;
            Ok(outcome)
        })
        .await?;
    let (state, run) = match outcome {
        Outcome::Waiting { .. } => ("waiting", None),
        Outcome::Running(run) => ("running", Some(run)),
        Outcome::BrokenOff(run) => ("broken_off", Some(run)),
        Outcome::Ended(ended) => ("ended", Some(ended.run)),
        Outcome::Unknown => {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "there is no such request; what is older than history.keep is gone",
            ));
        }
    };
    Ok(Json(json!({ "state": state, "run_id": run })))
}
