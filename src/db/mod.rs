//! The way to LiteLLM's database: a small pool, and transactions that cannot
//! be half left behind.
//!
//! Invariant: every statement runs inside a [`Transaction`], with its own
//! search path and timeouts, and no statement outlives one on a connection.
//! That is what a transaction-mode pooler needs (no prepared statement, no
//! `SET`, no advisory lock survives a transaction), and it makes a dropped
//! future harmless: an unfinished transaction takes its connection with it.
//! Must not: know any table.

mod connect_error;
mod error;
mod figures;
mod listener;
mod login;
mod tls;
mod transaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool::Runtime;
use diesel::sql_types::Timestamptz;
use diesel::{QueryableByName, sql_query};
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures::FutureExt;

use crate::config::{DatabaseTarget, Pooler};
use connect_error::Place;

pub use connect_error::ConnectError;
pub use error::{Error, QueryContext, Result};
pub use figures::Figures;
pub use listener::{Broken, Listener};
pub use login::Passwords;
use login::{Login, Seen};
pub use transaction::{Durability, Limits, Transaction};

/// How long a connection that was idle may take to say that it is alive, when
/// the URL gives no `socket_timeout`.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// A pool of connections to LiteLLM's database.
#[derive(Clone)]
pub struct Database {
    pool: Pool<AsyncPgConnection>,
    search_path: Arc<str>,
    pool_timeout: Option<Duration>,
    socket_timeout: Option<Duration>,
    place: Arc<str>,
    login: Arc<Login>,
    /// What was in the files when they were last looked at.
    seen: Arc<Mutex<Seen>>,
    figures: Figures,
}

impl Database {
    /// Prepares the pool; connects only when the first transaction begins.
    ///
    /// # Errors
    /// Only if the pool cannot be built at all.
    pub fn new(target: &DatabaseTarget) -> Result<Self> {
        Self::logging_in(target, None)
    }

    /// The same with the password of the moment from elsewhere, asked for with
    /// each new connection.
    ///
    /// # Errors
    /// As [`Database::new`].
    pub fn with_passwords(target: &DatabaseTarget, from: Arc<dyn Passwords>) -> Result<Self> {
        Self::logging_in(target, Some(from))
    }

    fn logging_in(target: &DatabaseTarget, passwords: Option<Arc<dyn Passwords>>) -> Result<Self> {
        let login = Arc::new(Login::new(target, passwords));
        let connecting = Arc::clone(&login);
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |_| {
            let login = Arc::clone(&connecting);
            async move {
                let open =
                    |target: Arc<DatabaseTarget>| async move { tls::establish(&target).await };
                login.connect(open).await.map_err(error::carry)
            }
            .boxed()
        });
        // A simple query: an extended one would be prepared outside a
        // transaction, which a transaction-mode pooler may route apart.
        config.recycling_method = RecyclingMethod::CustomFunction(Box::new(|connection| {
            connection.batch_execute("SELECT 1").boxed()
        }));
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let pool = Pool::builder(manager)
            .max_size(target.pool_size.max(1))
            .wait_timeout(target.pool_timeout)
            // Connecting keeps to connect_timeout by itself.
            .create_timeout(None)
            .recycle_timeout(Some(target.socket_timeout.unwrap_or(SIGN_OF_LIFE)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|source| Error::Pool(source.to_string()))?;
        // Quoted, because it goes into SET as text. pg_catalog is not named, so
        // that it comes first: nobody who may create functions in LiteLLM's
        // schema can put theirs in the place of PostgreSQL's.
        let schema = target.schema.replace('"', "\"\"");
        Ok(Self {
            pool,
            search_path: format!("\"{schema}\"").into(),
            pool_timeout: target.pool_timeout,
            socket_timeout: target.socket_timeout,
            place: Place::of(&target.connection).to_string().into(),
            login,
            seen: Arc::new(Mutex::new(Seen::of(target.clone()))),
            figures: Figures::default(),
        })
    }

    /// Sees that the certificates for the connection can be used; nothing is
    /// sent.
    ///
    /// # Errors
    /// [`Error::Connect`] when they cannot.
    pub fn prepare(target: &DatabaseTarget) -> Result<()> {
        tls::prepare(target).map_err(|cause| Error::Connect { cause })
    }

    /// Whether the URL, the client certificate or the token changed since this
    /// was last asked; a refused login then finds the newer one by itself.
    pub async fn has_a_new_secret(&self) -> bool {
        let looked = tokio::task::spawn_blocking({
            let mut seen = self.seen().clone();
            move || seen.changed().then_some(seen)
        });
        let newer = looked.await.ok().flatten();
        let changed = newer.is_some();
        if let Some(newer) = newer {
            *self.seen() = newer;
        }
        changed || self.login.has_a_new_password().await
    }

    /// The same connections for somebody else, who is told of a new secret
    /// apart.
    #[must_use]
    pub fn for_another(&self) -> Self {
        Self {
            seen: Arc::new(Mutex::new(self.seen().clone())),
            ..self.clone()
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens on a channel, on a connection outside the pool; `None` where there
    /// can be none: a transaction-mode pooler would not keep it, and whoever allows
    /// one connection in all has the pool's.
    ///
    /// # Errors
    /// [`Error::Connect`] when it cannot be made.
    pub async fn listen(&self, channel: &'static str) -> Result<Option<Listener>> {
        let target = self.login.target();
        if target.pooler == Pooler::Transaction || target.pool_size == 1 {
            return Ok(None);
        }
        let open = |target: Arc<DatabaseTarget>| async move { tls::listen(&target, channel).await };
        match self.login.connect(open).await {
            Ok(listener) => Ok(Some(listener)),
            Err(cause) => Err(Error::Connect { cause }),
        }
    }

    /// What has been measured since it was made.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// User, hosts and database, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Begins a READ COMMITTED transaction with these limits.
    ///
    /// # Errors
    /// [`Error::Connect`] when no connection can be had.
    pub async fn begin(&self, limits: Limits) -> Result<Transaction> {
        let connection = self.checkout().await?;
        let limits = limits.within(self.socket_timeout);
        Transaction::begin(connection, &self.search_path, limits, self.figures.clone()).await
    }

    /// A bare connection, for the one caller that needs diesel's own
    /// transaction manager (migrations).
    ///
    /// # Errors
    /// [`Error::Connect`] when no connection can be had.
    pub async fn checkout(&self) -> Result<Object<AsyncPgConnection>> {
        let checked_out = self.pool.get().await;
        checked_out.map_err(|error| Error::from_pool(error, self.pool_timeout))
    }
}

/// The server's own clock.
///
/// # Errors
/// When the database fails.
pub async fn now(connection: &mut AsyncPgConnection) -> Result<DateTime<Utc>> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    let row: Now = sql_query("SELECT clock_timestamp() AS now")
        .get_result(connection)
        .await
        .doing("reading the database's clock")?;
    Ok(row.now)
}
