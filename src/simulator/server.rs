//! HTTP: from a connection to an endpoint and back, with faults in between.
//!
//! Invariant: every request is counted once, whatever became of it.

mod batch;
mod subscriptions;
mod tokens;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::clock::Clock;
use super::control;
use super::delta::{DeltaExpiry, Validity};
use super::endpoints::{self, Ask};
use super::fault::{Effect, Faults};
use super::journal::{LoggedRequest, RequestIds, Requests};
use super::outbound::Outbound;
use super::page::Mark;
use super::patience::Calls;
use super::permission::Rights;
use super::quota::{Bucket, Charge, Quota};
use super::refusal::Refusal;
use super::reply::{GRAPH_JSON, Reply, replaced, respond};
use super::route::Route;
use super::subscriptions::{Heads, LifecycleEvent, Post, Subscriptions};
use super::tenant::Tenant;
use super::token::Tokens;
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
    /// The generation of delta links that are good, and how others are refused.
    delta_links: Mutex<(u32, DeltaExpiry)>,
    quota: Mutex<Option<Bucket>>,
    /// Whether answers keep to themselves how much of it is used.
    no_shares: AtomicBool,
    /// Milliseconds.
    latency: AtomicU64,
    pub(super) calls: Calls,
    pub(super) clock: Clock,
    /// What that clock's zero is.
    started: DateTime<Utc>,
    subscriptions: Mutex<Subscriptions>,
    outbound: Outbound,
    /// Where notifications are posted from.
    runtime: Handle,
    /// Scheme, host and port.
    pub(super) root: String,
}

impl Shared {
    /// Within a runtime, on which it will post notifications.
    pub(super) fn new(mut tenant: Tenant, root: String, outbound: Outbound) -> Self {
        tenant.history.begin();
        Self {
            tenant: RwLock::new(tenant),
            faults: Mutex::default(),
            requests: Mutex::default(),
            tokens: Tokens::default(),
            page_epoch: AtomicU32::new(0),
            delta_links: Mutex::default(),
            quota: Mutex::default(),
            no_shares: AtomicBool::new(false),
            latency: AtomicU64::new(0),
            calls: Calls::default(),
            clock: Clock::default(),
            started: Utc::now(),
            subscriptions: Mutex::default(),
            outbound,
            runtime: Handle::current(),
            root,
        }
    }

    pub(super) fn tenant(&self) -> RwLockReadGuard<'_, Tenant> {
        self.tenant.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tenant, and tells those who want to be told.
    pub(super) fn change<R>(&self, act: impl FnOnce(&mut Tenant) -> R) -> R {
        let mut tenant = self.tenant_mut();
        let heads = Heads::of(&tenant);
        let result = act(&mut tenant);
        // A large change costs nothing extra where nobody listens.
        if self.subscriptions().is_empty() {
            return result;
        }
        let changes = heads.changes(&tenant);
        let id = tenant.tenant_id();
        drop(tenant);
        let news = self.subscriptions().news(&changes, id, self.today());
        self.post(news);
        result
    }

    /// Tells those who subscribed this of their subscriptions.
    pub(super) fn notify(&self, event: LifecycleEvent) {
        let id = self.tenant().tenant_id();
        let posts = self.subscriptions().lifecycle(event, id, self.today());
        self.post(posts);
    }

    fn post(&self, posts: Vec<Post>) {
        for post in posts {
            let outbound = self.outbound.clone();
            self.runtime
                .spawn(async move { outbound.deliver(post).await });
        }
    }

    pub(super) fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The date by the simulator's own clock.
    pub(super) fn today(&self) -> DateTime<Utc> {
        self.started + self.clock.now()
    }

    fn tenant_mut(&self) -> RwLockWriteGuard<'_, Tenant> {
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

    /// Every delta link given out so far is refused in this way from now on.
    pub(super) fn expire_delta_links(&self, expiry: DeltaExpiry) {
        let mut links = self.delta_links();
        *links = (links.0 + 1, expiry);
    }

    fn delta_links(&self) -> MutexGuard<'_, (u32, DeltaExpiry)> {
        self.delta_links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn validity(&self) -> Validity {
        let (generation, expiry) = *self.delta_links();
        let now = u64::try_from(self.clock.now().as_millis()).unwrap_or(u64::MAX);
        Validity {
            generation,
            expiry,
            now,
        }
    }

    pub(super) fn set_quota(&self, quota: Option<Quota>) {
        *self.bucket() = quota.map(Bucket::new);
    }

    fn bucket(&self) -> MutexGuard<'_, Option<Bucket>> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn charge(&self, units: u32) -> Charge {
        let now = self.clock.now();
        let mut bucket = self.bucket();
        let mut charge = bucket
            .as_mut()
            .map_or(Charge::FREE, |bucket| bucket.charge(units, now));
        if self.no_shares.load(Ordering::Relaxed) {
            charge.share = None;
        }
        charge
    }

    pub(super) fn say_no_shares(&self) {
        self.no_shares.store(true, Ordering::Relaxed);
    }

    fn refund(&self, units: u32) {
        if let Some(bucket) = self.bucket().as_mut() {
            bucket.refund(units);
        }
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.latency.store(milliseconds, Ordering::Relaxed);
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
    // Whoever sees it in flight can call for its answer.
    let mut patience = shared.calls.begin();
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
    let latency = shared.latency.load(Ordering::Relaxed);
    patience.wait(latency + late(&effects)).await;
    let (endpoint, mut reply) = reply(&shared, &incoming, &effects).await;
    patience.wait(reply.late).await;
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

/// Milliseconds that faults ask for.
fn late(effects: &[Effect]) -> u64 {
    let late = effects.iter().map(|effect| match effect {
        Effect::Latency { milliseconds } => *milliseconds,
        _ => 0,
    });
    late.sum()
}

/// The endpoint's name and the answer.
async fn reply(shared: &Shared, incoming: &Incoming, effects: &[Effect]) -> (&'static str, Reply) {
    if let Some(tenant) = tokens::path(&incoming.path) {
        return ("token", tokens::reply(shared, incoming, tenant, effects));
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
        .and_then(|rights| route.map(|route| (rights, route)));
    let answered = match answered {
        Ok((rights, Route::Batch)) => batch::answer(shared, incoming, &rights),
        Ok((rights, Route::Subscriptions)) => subscriptions::make(shared, incoming, &rights).await,
        Ok((rights, Route::Subscription(id))) => subscriptions::one(shared, incoming, &rights, id),
        Ok((rights, route)) => graph(shared, incoming, &rights, &route, effects),
        Err(refusal) => Err(refusal),
    };
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
    let units = endpoints::cost(route, &incoming.query);
    let charge = shared.charge(units);
    let tenant = shared.tenant();
    if let Some(seconds) = charge.refused_for {
        let credentials = &tenant.credentials;
        let who = (credentials.client_id, credentials.tenant_id);
        let mut reply = Reply::throttled(&incoming.ids, who, &seconds.to_string());
        reply.say_share(charge.share);
        return Ok(reply);
    }
    let ask = Ask {
        tenant: &tenant,
        rights,
        method: &incoming.method,
        path: &incoming.path,
        raw_query: &incoming.query,
        consistency_level: incoming.header("consistencylevel"),
        prefer: incoming.header("prefer"),
        body: &incoming.body,
        root: &shared.root,
        epoch: shared.page_epoch.load(Ordering::Relaxed),
        validity: shared.validity(),
        effects,
    };
    let body = endpoints::answer(&ask, route).inspect_err(|_| shared.refund(units))?;
    let mut reply = Reply::new(endpoints::OK, GRAPH_JSON, body);
    reply.resource_units = units;
    reply.say_share(charge.share);
    Ok(reply)
}
