//! HTTP: from a connection to an endpoint and back, with faults in between.
//!
//! Invariant: every request is counted once, whatever became of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use uuid::Uuid;

use super::control;
use super::endpoints::{self, Ask, BatchItem};
use super::fault::{Effect, Faults};
use super::journal::{LoggedRequest, RequestIds, Requests};
use super::page::Mark;
use super::permission::Rights;
use super::refusal::Refusal;
use super::reply::{GRAPH_JSON, Reply, replaced, respond};
use super::route::Route;
use super::tenant::Tenant;
use super::token::{self, TokenAsk, Tokens};
use super::wire::Line;

/// Larger than any request that makes sense here.
const BODY_LIMIT: usize = 4 << 20;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    tenant: RwLock<Tenant>,
    faults: Mutex<Faults>,
    requests: Mutex<Requests>,
    pub(super) tokens: Tokens,
    page_epoch: AtomicU32,
    /// Scheme, host and port.
    pub(super) root: String,
}

impl Shared {
    pub(super) fn new(tenant: Tenant, root: String) -> Self {
        Self {
            tenant: RwLock::new(tenant),
            faults: Mutex::default(),
            requests: Mutex::default(),
            tokens: Tokens::default(),
            page_epoch: AtomicU32::new(0),
            root,
        }
    }

    pub(super) fn tenant(&self) -> RwLockReadGuard<'_, Tenant> {
        self.tenant.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tenant_mut(&self) -> RwLockWriteGuard<'_, Tenant> {
        self.tenant.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn expire_page_tokens(&self) {
        self.page_epoch.fetch_add(1, Ordering::Relaxed);
    }
}

/// Everything that is served.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    control::router().fallback(serve).with_state(shared)
}

/// A request with its body, as it came.
struct Incoming {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
    page: u32,
    ids: RequestIds,
}

impl Incoming {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn log(&self, endpoint: &str, status: u16, units: u32, effects: Vec<Effect>) -> LoggedRequest {
        let own = |name| self.header(name).map(str::to_owned);
        LoggedRequest {
            method: self.method.to_string(),
            path: self.path.clone(),
            query: self.query.clone(),
            endpoint: endpoint.to_owned(),
            page: self.page,
            status,
            resource_units: units,
            authorized: self.headers.contains_key(header::AUTHORIZATION),
            consistency_level: own("consistencylevel"),
            client_request_id: own("client-request-id"),
            user_agent: own("user-agent"),
            effects,
        }
    }
}

/// Counts a request as in work until it is dropped: clients give up, too.
struct InFlight(Arc<Shared>);

impl InFlight {
    fn enter(shared: &Arc<Shared>) -> Self {
        shared.requests().enter();
        Self(Arc::clone(shared))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.requests().leave();
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let _in_flight = InFlight::enter(&shared);
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let request_id = Uuid::new_v4();
    let client = parts
        .headers
        .get("client-request-id")
        .and_then(|id| id.to_str().ok());
    let ids = RequestIds {
        request: request_id,
        client: client.map_or_else(|| request_id.to_string(), str::to_owned),
    };
    let incoming = Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        page: Mark::number_of(&query),
        query,
        headers: parts.headers,
        body: body.to_vec(),
        ids,
    };
    let effects = shared.faults().take(&incoming.path, incoming.page);
    let latency = effects.iter().map(|effect| match effect {
        Effect::Latency { milliseconds } => *milliseconds,
        _ => 0,
    });
    let latency = Duration::from_millis(latency.sum());
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (endpoint, mut reply) = reply(&shared, &incoming, &effects);
    if effects.contains(&Effect::CutBeforeAnswer) {
        line.cut();
        let logged = incoming.log(endpoint, 0, 0, effects);
        shared.requests().add(logged);
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if effects.contains(&Effect::CutMidBody) {
        line.cut_in_body(reply.body.len() / 2);
    }
    if effects.contains(&Effect::TruncatedJson) {
        reply.body.truncate(reply.body.len() / 2);
    }
    let (status, units) = (reply.status.as_u16(), reply.resource_units);
    let logged = incoming.log(endpoint, status, units, effects);
    shared.requests().add(logged);
    respond(reply, &incoming.ids)
}

/// The endpoint's name and the answer.
fn reply(shared: &Shared, incoming: &Incoming, effects: &[Effect]) -> (&'static str, Reply) {
    if let Some(tenant) = token_path(&incoming.path) {
        return ("token", token_reply(shared, incoming, tenant, effects));
    }
    let route = match incoming.path.strip_prefix("/v1.0/") {
        Some(path) => Route::parse(path),
        None => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            format!(
                "Invalid version: {}",
                incoming.path.split('/').nth(1).unwrap_or_default()
            ),
        )),
    };
    let endpoint = route.as_ref().map_or("unknown", Route::label);
    if let Some(reply) = replaced(effects, &incoming.ids) {
        return (endpoint, reply);
    }
    let answered = shared
        .tokens
        .rights(incoming.header("authorization"))
        .and_then(|rights| route.map(|route| (rights, route)))
        .and_then(|(rights, route)| match route {
            Route::Batch => batch(shared, incoming, &rights),
            route => graph(shared, incoming, &rights, &route, effects),
        });
    (
        endpoint,
        answered.unwrap_or_else(|refusal| Reply::refusal(&refusal, &incoming.ids)),
    )
}

fn graph(
    shared: &Shared,
    incoming: &Incoming,
    rights: &Rights,
    route: &Route,
    effects: &[Effect],
) -> Result<Reply, Refusal> {
    let ask = Ask {
        tenant: &shared.tenant(),
        rights,
        method: &incoming.method,
        path: &incoming.path,
        raw_query: &incoming.query,
        consistency_level: incoming.header("consistencylevel"),
        body: &incoming.body,
        root: &shared.root,
        epoch: shared.page_epoch.load(Ordering::Relaxed),
        effects,
    };
    let answer = endpoints::answer(&ask, route)?;
    let mut reply = Reply::new(endpoints::OK, GRAPH_JSON, answer.body);
    reply.resource_units = answer.resource_units;
    Ok(reply)
}

fn batch(shared: &Shared, incoming: &Incoming, rights: &Rights) -> Result<Reply, Refusal> {
    if incoming.method != Method::POST {
        return Err(Refusal::wrong_method(&incoming.method));
    }
    let items = endpoints::read_batch(&incoming.body)?;
    let mut failed: Vec<String> = Vec::new();
    let mut answers = Vec::with_capacity(items.len());
    for item in &items {
        let (effects, reply) = batch_item(shared, incoming, rights, item, &failed);
        if !reply.status.is_success() {
            failed.push(item.id.to_ascii_lowercase());
        }
        if !effects.contains(&Effect::MissingBatchItem) {
            let headers = reply.headers;
            answers.push(endpoints::batch_answer(
                &item.id,
                reply.status,
                headers,
                &reply.body,
            ));
        }
    }
    // The order of the answers means nothing; a reader must go by id.
    answers.reverse();
    let body = serde_json::json!({ "responses": answers })
        .to_string()
        .into_bytes();
    Ok(Reply::new(StatusCode::OK, "application/json", body))
}

fn batch_item(
    shared: &Shared,
    envelope: &Incoming,
    rights: &Rights,
    item: &BatchItem,
    failed: &[String],
) -> (Vec<Effect>, Reply) {
    let (path, query) = item.url.split_once('?').unwrap_or((&item.url, ""));
    let mut headers = HeaderMap::new();
    if let Some(level) = item
        .header("consistencylevel")
        .and_then(|text| text.parse().ok())
    {
        headers.insert("consistencylevel", level);
    }
    let incoming = Incoming {
        method: item
            .method
            .to_ascii_uppercase()
            .parse()
            .unwrap_or(Method::OPTIONS),
        path: format!("/v1.0{path}"),
        query: query.to_owned(),
        page: Mark::number_of(query),
        headers,
        body: item
            .body
            .as_ref()
            .map(|body| body.to_string().into_bytes())
            .unwrap_or_default(),
        ids: RequestIds {
            request: Uuid::new_v4(),
            client: envelope.ids.client.clone(),
        },
    };
    let effects = shared.faults().take(&incoming.path, incoming.page);
    let route = Route::parse(path);
    let endpoint = route.as_ref().map_or("unknown", Route::label);
    let blocked = item
        .depends_on
        .iter()
        .any(|id| failed.contains(&id.to_ascii_lowercase()));
    let answered = if blocked {
        let status = StatusCode::FAILED_DEPENDENCY;
        Err(Refusal::new(
            status,
            "FailedDependency",
            "A request it depends on has failed.",
        ))
    } else if let Some(reply) = replaced(&effects, &incoming.ids) {
        Ok(reply)
    } else {
        route.and_then(|route| graph(shared, &incoming, rights, &route, &effects))
    };
    let reply = answered.unwrap_or_else(|refusal| Reply::refusal(&refusal, &incoming.ids));
    let status = reply.status.as_u16();
    let mut logged = incoming.log(endpoint, status, reply.resource_units, effects.clone());
    logged.authorized = true;
    shared.requests().add(logged);
    (effects, reply)
}

/// The tenant in `/{tenant}/oauth2/v2.0/token`.
fn token_path(path: &str) -> Option<&str> {
    let tenant = path.strip_prefix('/')?.strip_suffix("/oauth2/v2.0/token")?;
    (!tenant.contains('/')).then_some(tenant)
}

fn token_reply(shared: &Shared, incoming: &Incoming, tenant: &str, effects: &[Effect]) -> Reply {
    if let Some(reply) = replaced(effects, &incoming.ids) {
        return reply;
    }
    if incoming.method != Method::POST {
        return Reply::refusal(&Refusal::wrong_method(&incoming.method), &incoming.ids);
    }
    let ask = TokenAsk {
        tenant,
        content_type: incoming.header("content-type"),
        authorization: incoming.header("authorization"),
        body: &incoming.body,
        root: &shared.root,
    };
    let (status, body) = token::answer(&ask, &shared.tenant().credentials, &shared.tokens);
    Reply::new(
        status,
        "application/json; charset=utf-8",
        body.to_string().into_bytes(),
    )
}
