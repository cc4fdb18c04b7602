//! One transaction, owned by whoever works in it.
//!
//! Invariant: a transaction that was neither committed nor rolled back takes
//! its connection out of the pool and closes it, so the server rolls it back
//! and nobody ever continues inside it (dependency-notes 5.4: a dropped
//! transaction future otherwise loses later writes silently).

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

use super::error::{QueryContext, Result};
use super::figures::{Figures, Outcome};

/// How long a transaction may wait and work.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For any one lock.
    pub lock: Duration,
    /// For any one statement.
    pub statement: Duration,
    /// Between two statements: a stopped process must not keep its locks.
    pub idle: Duration,
    /// When its commit must be on disk.
    pub durability: Durability,
}

/// When a commit must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before the commit returns.
    AtOnce,
    /// With the next commit that is [`Self::AtOnce`]. PostgreSQL keeps the
    /// order of commits, so a server crash can only lose the newest ones, whole,
    /// and the next pass does them again.
    WithTheNext,
}

impl Limits {
    /// For writing LiteLLM's rows. LiteLLM's own transactions give up a lock
    /// after 2 s (litellm-contract 5), so nothing here may hold one for long.
    pub const WRITE: Self = Self {
        lock: Duration::from_secs(2),
        statement: Duration::from_secs(20),
        idle: Duration::from_secs(5),
        durability: Durability::AtOnce,
    };

    /// One of many writes that a later, durable one concludes.
    pub const WRITE_OF_MANY: Self = Self {
        durability: Durability::WithTheNext,
        ..Self::WRITE
    };

    /// For reading a whole snapshot.
    pub const READ: Self = Self {
        lock: Duration::from_secs(5),
        statement: Duration::from_secs(300),
        idle: Duration::from_secs(60),
        durability: Durability::AtOnce,
    };

    /// The same, with no statement longer than the URL's `socket_timeout`.
    pub(super) fn within(self, socket_timeout: Option<Duration>) -> Self {
        let statement = socket_timeout.map_or(self.statement, |most| most.min(self.statement));
        Self { statement, ..self }
    }
}

/// An open transaction.
pub struct Transaction {
    connection: Option<Object<AsyncPgConnection>>,
    begun: Instant,
    figures: Figures,
}

impl Transaction {
    pub(super) async fn begin(
        connection: Object<AsyncPgConnection>,
        search_path: &str,
        limits: Limits,
        figures: Figures,
    ) -> Result<Self> {
        // From here on the connection is ours: if even BEGIN breaks off, it
        // must not go back into the pool.
        let mut transaction = Self {
            connection: Some(connection),
            begun: Instant::now(),
            figures,
        };
        let sql = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             SET LOCAL search_path TO {search_path}; \
             SET LOCAL TIME ZONE 'UTC'; \
             SET LOCAL lock_timeout TO {}; \
             SET LOCAL statement_timeout TO {}; \
             SET LOCAL idle_in_transaction_session_timeout TO {}{}",
            limits.lock.as_millis(),
            limits.statement.as_millis(),
            limits.idle.as_millis(),
            match limits.durability {
                Durability::AtOnce => "",
                Durability::WithTheNext => "; SET LOCAL synchronous_commit TO off",
            },
        );
        transaction
            .batch_execute(&sql)
            .await
            .doing("beginning a transaction")?;
        Ok(transaction)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When the server refuses or the connection breaks; the outcome is then
    /// unknown, and the next pass finds out.
    pub async fn commit(self) -> Result<()> {
        self.finish("COMMIT", "committing", Outcome::Committed)
            .await
    }

    /// Takes everything back and keeps the connection.
    ///
    /// # Errors
    /// When the connection breaks; the server then rolls back by itself.
    pub async fn rollback(self) -> Result<()> {
        self.finish("ROLLBACK", "rolling back", Outcome::RolledBack)
            .await
    }

    async fn finish(mut self, sql: &str, what: &str, outcome: Outcome) -> Result<()> {
        self.batch_execute(sql).await.doing(what)?;
        self.figures.ended(outcome, self.begun.elapsed());
        // Back into the pool: the transaction is over.
        drop(self.connection.take());
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.figures.ended(Outcome::Abandoned, self.begun.elapsed());
            drop(Object::take(connection));
        }
    }
}

impl Deref for Transaction {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("a finished transaction has been consumed"),
        }
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        match &mut self.connection {
            Some(connection) => connection,
            None => unreachable!("a finished transaction has been consumed"),
        }
    }
}
