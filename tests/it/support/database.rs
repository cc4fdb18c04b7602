//! One LiteLLM database per test, cloned from the template that `scripts/test`
//! made with LiteLLM's genuine migrations.
//!
//! Invariant: a clone is named after the process that made it, so that the next
//! run can tell what a killed one left behind and drop it.

use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::export;
use super::wait::wait_for;

const VARIABLE: &str = "ENTRA_SYNC_TEST_DATABASE_URL";
const TEMPLATE: &str = "litellm_template";
const PREFIX: &str = "entra_sync_test_";

static COUNTER: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// A LiteLLM database that is dropped with this value.
pub struct TestDatabase {
    cluster: String,
    name: String,
    admin: Client,
    exported: bool,
    end: End,
}

/// What becomes of a database after its test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Dropped,
    /// Its server goes, and it with it.
    Left,
}

impl TestDatabase {
    /// A fresh clone of the template.
    pub async fn create() -> Self {
        let cluster = connect(&cluster_url()).await;
        if !SWEEP.is_completed() {
            drop_leftovers(&cluster).await;
            SWEEP.call_once(|| {});
        }
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}_{number}", std::process::id());
        let statement = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER litellm");
        // Autovacuum may be looking at the template just now.
        wait_for("the template to be free", || async {
            match cluster.batch_execute(&statement).await {
                Ok(()) => Some(()),
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) => None,
                Err(error) => panic!("{statement}: {error:?}"),
            }
        })
        .await;
        let admin = connect(&url_of(&cluster_url(), "litellm", &name)).await;
        Self {
            cluster: cluster_url(),
            name,
            admin,
            exported: true,
            end: End::Dropped,
        }
    }

    /// A database that is there already, in a server that belongs to the test.
    /// What is connected does not outlive a restart of that server.
    pub async fn of_another_server(cluster: &str, name: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            admin: connect(&url_of(cluster, "litellm", name)).await,
            exported: false,
            end: End::Left,
        }
    }

    /// Connects anew as the owner of LiteLLM's tables.
    pub async fn reconnect(&mut self) {
        self.admin = connect(&self.url_as("litellm")).await;
    }

    /// Keeps the rows of this test from LiteLLM's models: for a test that leaves
    /// rows which LiteLLM would not have written, or not in their place.
    pub fn unexported(self) -> Self {
        let mut database = self;
        database.exported = false;
        database
    }

    /// A connection as the role that owns LiteLLM's tables: to seed and inspect.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// The URL that the daemon is given: its own role, with `role.sql`'s rights.
    pub fn url(&self) -> String {
        self.url_as("entra_sync")
    }

    /// The URL of this database for another role.
    pub fn url_as(&self, role: &str) -> String {
        url_of(&self.cluster, role, &self.name)
    }

    /// A connection as the daemon's role.
    pub async fn daemon(&self) -> Client {
        connect(&self.url()).await
    }

    /// Waits until the daemon's role has no session here. A process that was
    /// killed leaves one behind until the server has done what it was sent.
    pub async fn is_left(&self) {
        let client = connect(&self.url_as("postgres")).await;
        let sessions = "SELECT count(*) FROM pg_stat_activity \
             WHERE usename = 'entra_sync' AND datname = current_database()";
        wait_for("the program's sessions to end", || async {
            let row = client.query_one(sessions, &[]).await.expect("a look");
            (row.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }

    /// Every column of every row, sorted by primary key. The table is named
    /// without a schema for LiteLLM's, or as `entra_sync.name`.
    pub async fn rows(&self, table: &str) -> Vec<Value> {
        let client = connect(&self.url_as("postgres")).await;
        rows(&client, table).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.end == End::Left {
            return;
        }
        let name = self.name.clone();
        let failed = std::thread::panicking();
        let exported = self.exported && !failed;
        // A test's own runtime cannot be waited for from inside it.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for cleaning up");
            runtime.block_on(async {
                if exported {
                    let client = connect(&url_of(&cluster_url(), "postgres", &name)).await;
                    export::written_rows(&client).await;
                }
                drop_database(&connect(&cluster_url()).await, &name).await;
            });
        });
        if cleaning.join().is_err() && !failed {
            panic!("the database of this test could not be cleaned up");
        }
    }
}

/// Every row of a table as JSON, sorted by primary key.
pub async fn rows(client: &Client, table: &str) -> Vec<Value> {
    let (schema, name) = table.split_once('.').unwrap_or(("public", table));
    let relation = format!("\"{schema}\".\"{name}\"");
    let key = client
        .query_one(
            "SELECT coalesce(string_agg(format('t.%I', attname), ', ' \
                 ORDER BY array_position(indkey::int2[], attnum)), '1') \
             FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) \
             WHERE indisprimary AND indrelid = $1::text::regclass",
            &[&relation],
        )
        .await
        .unwrap_or_else(|error| panic!("primary key of {relation}: {error:?}"));
    let statement = format!(
        "SELECT to_json(t)::text FROM {relation} t ORDER BY {}",
        key.get::<_, String>(0)
    );
    client
        .query(&statement, &[])
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error:?}"))
        .iter()
        .map(|row| serde_json::from_str(row.get(0)).expect("PostgreSQL prints valid JSON"))
        .collect()
}

/// A connection whose driver runs until the client is dropped.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .unwrap_or_else(|error| panic!("{url}: {error:?}"));
    tokio::spawn(connection);
    client
}

fn cluster_url() -> String {
    std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{VARIABLE} is not set: run scripts/test, or scripts/database start \
             and eval \"$(scripts/database url)\""
        )
    })
}

fn url_of(cluster: &str, role: &str, database: &str) -> String {
    let mut url = url::Url::parse(cluster).expect("a URL");
    url.set_username(role).expect("a URL with a host");
    url.set_path(database);
    url.into()
}

async fn drop_leftovers(cluster: &Client) {
    let pattern = format!("{PREFIX}%");
    let names = cluster
        .query(
            "SELECT datname FROM pg_database WHERE datname LIKE $1",
            &[&pattern],
        )
        .await
        .expect("the list of databases");
    for name in names.iter().map(|row| row.get::<_, String>(0)) {
        let owner = name
            .trim_start_matches(PREFIX)
            .split('_')
            .next()
            .unwrap_or_default();
        if !Path::new("/proc").join(owner).exists() {
            drop_database(cluster, &name).await;
        }
    }
}

async fn drop_database(cluster: &Client, name: &str) {
    let statement = &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    // It tells the sessions to end, and gives up after five seconds: on a busy
    // machine one of them may not have got to it.
    wait_for("nobody to use the database any more", || async {
        match cluster.batch_execute(statement).await {
            Ok(()) => Some(()),
            Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) => None,
            Err(error) => panic!("{statement}: {error:?}"),
        }
    })
    .await;
}
