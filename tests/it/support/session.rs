//! A second session in LiteLLM's database, as LiteLLM's own are: it takes
//! locks, keeps them, and can see who waits for them.
//!
//! Invariant: its transaction ends with this value at the latest.

use tokio_postgres::Client;

use super::TestDatabase;
use super::database::connect;
use super::wait::wait_for;

/// An open transaction.
pub struct Session {
    client: Client,
    watcher: Client,
    pid: i32,
}

impl Session {
    /// Begins as LiteLLM.
    pub async fn begin(database: &TestDatabase) -> Self {
        Self::begin_as(database, "litellm").await
    }

    /// Begins as this role.
    pub async fn begin_as(database: &TestDatabase, role: &str) -> Self {
        let client = connect(&database.url_as(role)).await;
        let watcher = connect(&database.url_as("postgres")).await;
        client.batch_execute("BEGIN").await.expect("a transaction");
        let pid = client
            .query_one("SELECT pg_backend_pid()", &[])
            .await
            .expect("its process")
            .get(0);
        Self {
            client,
            watcher,
            pid,
        }
    }

    /// Begins, and takes LiteLLM's own lock on this team.
    pub async fn holding_team(database: &TestDatabase, team: &str) -> Self {
        let session = Self::begin(database).await;
        session
            .run(&format!("SELECT pg_advisory_xact_lock(hashtext('{team}'))"))
            .await;
        session
    }

    /// Runs SQL in the transaction.
    pub async fn run(&self, statements: &str) -> &Self {
        self.client
            .batch_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
        self
    }

    /// What another session waits for that this one has, in PostgreSQL's words.
    async fn waiting(&self) -> Option<String> {
        self.watcher
            .query_opt(
                "SELECT wait_event::text FROM pg_stat_activity \
                 WHERE $1 = ANY (pg_blocking_pids(pid)) AND wait_event_type = 'Lock' LIMIT 1",
                &[&self.pid],
            )
            .await
            .expect("who waits")
            .map(|row| row.get(0))
    }

    /// Waits until somebody waits for this session; says for what: `advisory`,
    /// `transactionid` for a row, `relation`.
    pub async fn is_waited_for(&self) -> String {
        wait_for("somebody who waits for the session's locks", || {
            self.waiting()
        })
        .await
    }

    /// Waits until this session waits for somebody else's lock.
    pub async fn waits(&self) {
        wait_for("the session to wait for a lock", || async {
            let waits = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'";
            let row = self.watcher.query_opt(waits, &[&self.pid]).await;
            row.expect("who waits").map(|_| ())
        })
        .await;
    }

    /// Waits until nobody does: whoever waited has given up, for now.
    pub async fn is_left_alone(&self) {
        wait_for("everybody to give up the session's locks", || async {
            self.waiting().await.is_none().then_some(())
        })
        .await;
    }

    /// Ends, and what was written stays.
    pub async fn commit(self) {
        self.run("COMMIT").await;
    }

    /// Ends, and nothing was written.
    pub async fn rollback(self) {
        self.run("ROLLBACK").await;
    }
}
