//! How long LiteLLM's sessions wait for ours: what PostgreSQL says, looked at
//! again and again, so that a busy machine is not taken for a held lock.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::support::TestDatabase;
use crate::support::database::connect;

/// What was seen.
#[derive(Debug, Default)]
pub struct Waits {
    pub looks: u64,
    pub seen: u64,
    pub longest: Duration,
}

/// Looks until it is told to stop.
pub async fn watch(database: &TestDatabase, stop: CancellationToken) -> Waits {
    let client = connect(&database.url_as("postgres")).await;
    let mut waits = Waits::default();
    while !stop.is_cancelled() {
        // The wait itself began when PostgreSQL says, not when we looked.
        let rows = client
            .query(
                "SELECT extract(epoch FROM clock_timestamp() - l.waitstart)::float8 \
                 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
                 WHERE NOT l.granted AND l.waitstart IS NOT NULL \
                   AND a.usename = 'litellm' AND a.datname = current_database() \
                   AND EXISTS (SELECT FROM unnest(pg_blocking_pids(a.pid)) AS b (pid) \
                               JOIN pg_stat_activity o ON o.pid = b.pid \
                               WHERE o.usename = 'entra_sync')",
                &[],
            )
            .await
            .expect("who waits");
        waits.looks += 1;
        waits.seen += rows.len() as u64;
        for row in rows {
            let waited = Duration::from_secs_f64(row.get::<_, f64>(0).max(0.0));
            waits.longest = waits.longest.max(waited);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    waits
}
