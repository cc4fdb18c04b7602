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
mod tls;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt;

use crate::config::DatabaseTarget;

pub use error::{Error, QueryContext, Result};
pub use transaction::{Durability, Limits, Transaction};

/// How long a caller waits for a connection before the database counts as
/// out of reach.
const CHECKOUT: Duration = Duration::from_secs(30);

/// A pool of connections to LiteLLM's database.
#[derive(Clone)]
pub struct Database {
    pool: Pool<AsyncPgConnection>,
    search_path: Arc<str>,
}

impl Database {
    /// Prepares the pool; connects only when the first transaction begins.
    ///
    /// # Errors
    /// Only if the pool cannot be built at all.
    pub fn new(target: &DatabaseTarget) -> Result<Self> {
        let shared = Arc::new(target.clone());
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |_| {
            let target = Arc::clone(&shared);
            async move {
                tls::establish(&target)
                    .await
                    .map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))
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
            .wait_timeout(Some(CHECKOUT))
            .create_timeout(Some(CHECKOUT))
            .recycle_timeout(Some(CHECKOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|source| Error::Pool(source.to_string()))?;
        // Quoted, because it goes into SET as text; pg_catalog comes last on
        // purpose only for names LiteLLM's schema does not have.
        let schema = target.schema.replace('"', "\"\"");
        Ok(Self {
            pool,
            search_path: format!("\"{schema}\", pg_catalog").into(),
        })
    }

    /// Begins a READ COMMITTED transaction with these limits.
    ///
    /// # Errors
    /// [`Error::Connect`] when no connection can be had.
    pub async fn begin(&self, limits: Limits) -> Result<Transaction> {
        let connection = self.checkout().await?;
        Transaction::begin(connection, &self.search_path, limits).await
    }

    /// A bare connection, for the one caller that needs diesel's own
    /// transaction manager (migrations).
    ///
    /// # Errors
    /// [`Error::Connect`] when no connection can be had.
    pub async fn checkout(&self) -> Result<Object<AsyncPgConnection>> {
        self.pool.get().await.map_err(Error::from_pool)
    }
}
