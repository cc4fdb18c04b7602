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
mod tls;
mod transaction;

use std::sync::{Arc, Mutex, PoisonError};
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
    /// The target as it was last connected to.
    current: Arc<Mutex<Arc<DatabaseTarget>>>,
    /// The target when its file was last looked at.
    seen: Arc<Mutex<DatabaseTarget>>,
    figures: Figures,
}

impl Database {
    /// Prepares the pool; connects only when the first transaction begins.
    ///
    /// # Errors
    /// Only if the pool cannot be built at all.
    pub fn new(target: &DatabaseTarget) -> Result<Self> {
        let current = Arc::new(Mutex::new(Arc::new(target.clone())));
        let mut config = ManagerConfig::default();
        let shared = Arc::clone(&current);
        config.custom_setup = Box::new(move |_| {
            let current = Arc::clone(&shared);
            async move {
                let connected = connect(
                    &current,
                    |target| async move { tls::establish(&target).await },
                );
                connected.await.map_err(error::carry)
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
            current,
            seen: Arc::new(Mutex::new(target.clone())),
            figures: Figures::default(),
        })
    }

    /// The same, after seeing that the certificates to check the server by can
    /// be used; nothing is sent.
    ///
    /// # Errors
    /// [`Error::Connect`] when they cannot.
    pub fn prepare(target: &DatabaseTarget) -> Result<Self> {
        tls::prepare(target).map_err(|cause| Error::Connect { cause })?;
        Self::new(target)
    }

    /// Whether the URL changed in its file since this was last asked; a refused
    /// login then finds the newer one by itself.
    #[must_use]
    pub fn has_a_new_secret(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.reread() {
            Ok(fresh) if fresh.connection != seen.connection => {
                *seen = fresh;
                true
            }
            _ => false,
        }
    }

    /// The same connections for somebody else, who is told of a new secret
    /// apart.
    #[must_use]
    pub fn for_another(&self) -> Self {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            seen: Arc::new(Mutex::new(seen.clone())),
            ..self.clone()
        }
    }

    /// Listens on a channel, on a connection outside the pool; `None` where there
    /// can be none: a transaction-mode pooler would not keep it, and whoever allows
    /// one connection in all has the pool's.
    ///
    /// # Errors
    /// [`Error::Connect`] when it cannot be made.
    pub async fn listen(&self, channel: &'static str) -> Result<Option<Listener>> {
        let target = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        if target.pooler == Pooler::Transaction || target.pool_size == 1 {
            return Ok(None);
        }
        let listening = connect(&self.current, |target| async move {
            tls::listen(&target, channel).await
        });
        match listening.await {
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

/// Opens a connection; after a refused login with the password that is in the
/// URL's file by now, because passwords are rotated under a running daemon.
async fn connect<T, F>(
    current: &Mutex<Arc<DatabaseTarget>>,
    open: impl Fn(Arc<DatabaseTarget>) -> F,
) -> std::result::Result<T, ConnectError>
where
    F: Future<Output = std::result::Result<T, ConnectError>>,
{
    let target = Arc::clone(&current.lock().unwrap_or_else(PoisonError::into_inner));
    let refused = match open(Arc::clone(&target)).await {
        Err(error) if error.is_authentication() => error,
        ended => return ended,
    };
    let Ok(fresh) = target.reread() else {
        return Err(refused);
    };
    if fresh.connection == target.connection {
        return Err(refused);
    }
    let fresh = Arc::new(fresh);
    let connection = open(Arc::clone(&fresh)).await?;
    *current.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    Ok(connection)
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
