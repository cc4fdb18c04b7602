//! Brings the schema `entra_sync` to this program's version.
//!
//! Invariant: everything of ours, diesel's version table included, is inside
//! `entra_sync` (LiteLLM's own schema tools drop what they do not know in
//! theirs), and all pending steps commit together or not at all.

use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{
    AnsiTransactionManager, AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl,
    SimpleAsyncConnection, TransactionManager,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::task::JoinError;

use super::error::{Error, Result};
use crate::db::{Database, Limits, QueryContext};

pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// First key of our two-key advisory locks: "entr" in ASCII. The one-key space
/// belongs to LiteLLM (litellm-contract 5).
const LOCK_SPACE: i32 = 0x656e_7472;
const LOCK_MIGRATION: i32 = 1;

/// What a migration run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Versions that were applied just now, oldest first.
    pub applied: Vec<String>,
}

/// Applies every pending migration. Several instances may start at once: one
/// migrates, the others wait and find nothing to do.
///
/// # Errors
/// [`Error::NotMigrated`] when the role may not create the schema or a step
/// fails; nothing is applied then.
pub async fn migrate(database: &Database) -> Result<Migrated> {
    let mut connection = database.checkout().await?;
    AnsiTransactionManager::begin_transaction(&mut *connection)
        .await
        .doing("beginning the migration of schema entra_sync")?;
    // An open transaction must not return to the pool on failure, so from here
    // on the connection is our own.
    let connection = Object::take(connection);
    let connection = prepare(connection).await?;
    // diesel's migrations block. On a thread of their own they do not keep
    // whoever waits for us from giving up.
    let span = tracing::Span::current();
    let steps = tokio::task::spawn_blocking(move || {
        let _inside = span.enter();
        let mut harness = AsyncMigrationHarness::new(connection);
        let applied = harness
            .run_pending_migrations(MIGRATIONS)
            .map(|versions| versions.iter().map(ToString::to_string).collect())
            .map_err(|error| Error::NotMigrated(error.to_string()))?;
        Ok((harness.into_inner(), applied))
    });
    let broken_off = |error: JoinError| Error::NotMigrated(error.to_string());
    let (mut connection, applied) = steps.await.map_err(broken_off).flatten()?;
    AnsiTransactionManager::commit_transaction(&mut connection)
        .await
        .doing("committing the migration of schema entra_sync")?;
    Ok(Migrated { applied })
}

async fn prepare(mut connection: AsyncPgConnection) -> Result<AsyncPgConnection> {
    connection
        .batch_execute(&format!(
            "SET LOCAL lock_timeout TO '60s'; \
             SELECT pg_advisory_xact_lock({LOCK_SPACE}, {LOCK_MIGRATION})"
        ))
        .await
        .doing("waiting for another instance's migration of schema entra_sync")?;
    // CREATE SCHEMA IF NOT EXISTS asks for the right to create schemas even
    // when there is nothing to create; a least-privileged role has none.
    let present = schema_exists(&mut connection).await?;
    if !present {
        connection
            .batch_execute("CREATE SCHEMA entra_sync")
            .await
            .map_err(|error| Error::NotMigrated(error.to_string()))?;
    }
    connection
        .batch_execute("SET LOCAL search_path TO entra_sync")
        .await
        .doing("entering schema entra_sync")?;
    Ok(connection)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn schema_exists(connection: &mut AsyncPgConnection) -> Result<bool> {
    let found: Count =
        sql_query("SELECT count(*) AS count FROM pg_namespace WHERE nspname = 'entra_sync'")
            .get_result(connection)
            .await
            .doing("looking for schema entra_sync")?;
    Ok(found.count > 0)
}

/// Whether the ledger's tables are there at all. Reads only: `plan` runs no DDL.
///
/// # Errors
/// When the database fails.
pub async fn exists(database: &Database) -> Result<bool> {
    let mut transaction = database.begin(Limits::READ).await?;
    let found: Count = sql_query(
        "SELECT count(*) AS count FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = 'entra_sync' AND c.relname = 'taken'",
    )
    .get_result(&mut *transaction)
    .await
    .doing("looking for the ledger's tables")?;
    transaction.commit().await?;
    Ok(found.count > 0)
}

/// Whether the schema has this table yet: an older one gets it with the first
/// pass.
///
/// # Errors
/// When the database fails.
pub(super) async fn has_table(
    connection: &mut AsyncPgConnection,
    table: &'static str,
) -> Result<bool> {
    #[derive(QueryableByName)]
    struct There {
        #[diesel(sql_type = Bool)]
        there: bool,
    }
    let found: There = sql_query(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = 'entra_sync' AND c.relname = $1) AS there",
    )
    .bind::<Text, _>(table)
    .get_result(connection)
    .await
    .doing("looking for a table of schema entra_sync")?;
    Ok(found.there)
}
