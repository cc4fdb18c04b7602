//! What is served where, and the bounds that hold for every answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use secrecy::SecretString;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::api::Desk;
use super::notifications::{self, Inbox};
use super::{Metrics, access, api, health, openapi, resync};
use crate::daemon::{Board, InUse};
use crate::{db, ledger};

/// Bytes of a request's body.
const BODY: usize = 64 * 1024;

/// For one whole answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every answer can be made from.
#[derive(Clone)]
pub(super) struct App {
    pub(super) board: Board,
    pub(super) desk: Arc<Desk>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) inbox: Inbox,
}

impl App {
    pub(super) fn in_use(&self) -> Result<InUse, Problem> {
        let in_use = self.board.in_use().borrow().clone();
        in_use.ok_or_else(Problem::not_ready)
    }

    /// The token of the settings in use.
    pub(super) fn token(&self) -> Option<SecretString> {
        let in_use = self.in_use().ok()?;
        let first = in_use.settings.first()?;
        Some(first.server.token.as_ref()?.value().clone())
    }
}

/// Everything that is served, and what works behind it until it is dropped.
pub(super) fn all(board: Board, metrics: Arc<Metrics>) -> (Router, AbortOnDropHandle<()>) {
    let (inbox, posted) = Inbox::new();
    let app = App {
        board,
        desk: Arc::default(),
        metrics,
        inbox,
    };
    let behind = AbortOnDropHandle::new(tokio::spawn(notifications::work(app.clone(), posted)));
    let looked_at = Router::new()
        .route("/api/v1/sources", get(api::sources))
        .route("/api/v1/sources/{name}", get(api::source))
        .route("/api/v1/runs", get(api::runs))
        .route("/api/v1/runs/{id}", get(api::run))
        .route("/api/v1/requests/{id}", get(resync::outcome))
        .route_layer(middleware::from_fn_with_state(app.clone(), access::to_look));
    let acted_on = Router::new()
        .route("/api/v1/resync", post(resync::ask))
        .route_layer(middleware::from_fn_with_state(app.clone(), access::to_act));
    let router = Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(scrape))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route(
            "/graph/notifications",
            post(notifications::receive).layer(DefaultBodyLimit::max(notifications::BODY)),
        )
        .merge(looked_at)
        .merge(acted_on)
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            ANSWER_TIME,
        ))
        .layer(CatchPanicLayer::new())
        .with_state(app);
    (router, behind)
}

async fn scrape(State(app): State<App>) -> Response {
    match app.metrics.render(&app.board) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        )
        .into_response(),
    }
}

/// Counts by route, not by path: whoever asks for what is not there must not
/// make labels.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = ROUTES
        .iter()
        .copied()
        .find(|route| matched.is_some_and(|matched| matched.as_str() == *route));
    let response = next.run(request).await;
    app.metrics
        .answered(route.unwrap_or("other"), response.status().as_u16());
    response
}

/// Every path that is served.
pub(super) const ROUTES: [&str; 11] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/openapi.json",
    "/api/v1/sources",
    "/api/v1/sources/{name}",
    "/api/v1/runs",
    "/api/v1/runs/{id}",
    "/api/v1/resync",
    "/api/v1/requests/{id}",
    "/graph/notifications",
];

async fn nothing() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "nothing is served here; GET /api/v1/openapi.json lists what is",
    )
}

async fn not_so() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path is served, but not by this method",
    )
}

/// Why there is no answer: `{"error": {"status", "message"}}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Problem {
    status: StatusCode,
    message: &'static str,
}

impl Problem {
    pub(super) const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message }
    }

    pub(super) const fn not_ready() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the settings are not in use yet",
        )
    }

    pub(super) const fn no_such_source() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "the settings have no source of this name; GET /api/v1/sources lists them",
        )
    }

    pub(super) const fn unreachable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer; the daemon's log says why",
        )
    }

    pub(super) const fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database is slow or many are asking; ask again",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "error": { "status": self.status.as_u16(), "message": self.message },
        });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("2");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

/// What the database says is for the log: it may name hosts.
impl From<ledger::Error> for Problem {
    fn from(error: ledger::Error) -> Self {
        if let ledger::Error::NoPassYet | ledger::Error::NotMigrated(_) = error {
            return Self::new(
                StatusCode::CONFLICT,
                "the ledger does not know this source yet, or is older than this program: the \
                 first pass of the daemon changes that; its log says what keeps it",
            );
        }
        tracing::debug!(error.message = %error, "an HTTP request found the database wanting");
        Self::unreachable()
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        ledger::Error::from(error).into()
    }
}
