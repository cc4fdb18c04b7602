//! A running simulator, for Rust.
//!
//! Invariant: it listens on loopback only, and stops when it is dropped.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::delta::DeltaExpiry;
use super::fault::Fault;
use super::journal::Requests;
use super::outbound::Outbound;
use super::quota::Quota;
use super::server::{Shared, router};
use super::subscriptions::{KeptSubscription, LifecycleEvent};
use super::tenant::Tenant;
use super::wire::{CuttableListener, Line};

/// A tenant being served over HTTP.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Serves a tenant on a free loopback port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(tenant: Tenant) -> io::Result<Self> {
        Self::start_at(tenant, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Serves a tenant on this address, which must be a loopback address.
    ///
    /// # Errors
    /// When the address is no loopback address or cannot be had.
    pub async fn start_at(tenant: Tenant, address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            let why = "the simulator listens on loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(address).await?;
        let root = format!("http://{}", listener.local_addr()?);
        let outbound = Outbound::new().map_err(io::Error::other)?;
        let shared = Arc::new(Shared::new(tenant, root, outbound));
        let stop = CancellationToken::new();
        let service = router(Arc::clone(&shared)).into_make_service_with_connect_info::<Line>();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            let server = axum::serve(CuttableListener(listener), service);
            // axum's own accept loop never gives up, so there is no error.
            let _ = server.with_graceful_shutdown(stopped).await;
        });
        Ok(Self {
            shared,
            stop,
            serving: Some(serving),
        })
    }

    /// Scheme, host and port, without a final slash.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.root
    }

    /// The root of Graph with its version, for `entra.graph_endpoint`.
    #[must_use]
    pub fn graph_url(&self) -> String {
        format!("{}/v1.0", self.shared.root)
    }

    /// The token endpoint of the tenant, for `entra.token_endpoint`.
    #[must_use]
    pub fn token_url(&self) -> String {
        let tenant = self.shared.tenant().tenant_id();
        format!("{}/{tenant}/oauth2/v2.0/token", self.shared.root)
    }

    /// URLs, ids, the secret and how much there is, as one JSON object: what
    /// another process needs to be pointed here.
    #[must_use]
    pub fn describe(&self) -> serde_json::Value {
        super::control::describe(&self.shared)
    }

    /// Looks at the tenant, or changes it, while it is served. Who subscribed to
    /// what is changed is posted so, some time after.
    pub fn tenant<R>(&self, act: impl FnOnce(&mut Tenant) -> R) -> R {
        self.shared.change(act)
    }

    /// The subscriptions that are kept.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<KeptSubscription> {
        let now = self.shared.today();
        self.shared.subscriptions().list(now)
    }

    /// Posts this event of every subscription that has a URL for it, some time
    /// after. Those that it says are removed are kept no longer.
    pub fn notify(&self, event: LifecycleEvent) -> &Self {
        self.shared.notify(event);
        self
    }

    /// Loses all subscriptions, and says nothing.
    pub fn forget_subscriptions(&self) -> &Self {
        self.shared.subscriptions().forget();
        self
    }

    /// Sets how many subscriptions there may be.
    pub fn subscription_quota(&self, quota: usize) -> &Self {
        self.shared.subscriptions().limit(quota);
        self
    }

    /// Adds a fault to the queue.
    pub fn fault(&self, fault: Fault) -> &Self {
        self.shared.faults().add(fault);
        self
    }

    /// Takes all waiting faults away.
    pub fn clear_faults(&self) -> &Self {
        self.shared.faults().clear();
        self
    }

    /// How many faults still wait for a request that fits.
    #[must_use]
    pub fn waiting_faults(&self) -> usize {
        self.shared.faults().waiting().len()
    }

    /// What was asked since the start or the last reset.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.shared.requests().clone()
    }

    /// Forgets what was asked.
    pub fn reset_requests(&self) -> &Self {
        self.shared.requests().reset();
        self
    }

    /// Expires every access token issued so far.
    pub fn expire_tokens(&self) -> &Self {
        self.shared.tokens.expire();
        self
    }

    /// Expires every page token given out so far.
    pub fn expire_page_tokens(&self) -> &Self {
        self.shared.expire_page_tokens();
        self
    }

    /// From now on, every delta link given out so far is refused in this way,
    /// and so are the pages of rounds that have begun.
    pub fn expire_delta_links(&self, expiry: DeltaExpiry) -> &Self {
        self.shared.expire_delta_links(expiry);
        self
    }

    /// Sets the quota of resource units, or takes it away. The bucket is empty
    /// at first.
    pub fn quota(&self, quota: impl Into<Option<Quota>>) -> &Self {
        self.shared.set_quota(quota.into());
        self
    }

    /// From now on no answer says how much of the quota is used, as real ones
    /// have been seen to.
    pub fn say_no_shares(&self) -> &Self {
        self.shared.say_no_shares();
        self
    }

    /// Every answer comes so much later.
    pub fn latency(&self, latency: Duration) -> &Self {
        self.shared.set_latency(latency);
        self
    }

    /// Gives the answers that are late now, whatever made them so.
    pub fn answer_now(&self) -> &Self {
        self.shared.calls.call();
        self
    }

    /// Stops the clock by which quotas refill and delta links grow old.
    pub fn hold_clock(&self) -> &Self {
        self.shared.clock.hold();
        self
    }

    /// Moves that clock forward.
    pub fn advance_clock(&self, by: Duration) -> &Self {
        self.shared.clock.advance(by);
        self
    }

    /// Stops listening, and waits until requests in work are answered.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            // It ends by itself; a panic in it was already reported.
            let _ = serving.await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
