//! Everything works through a pooler that gives each transaction another
//! session: no prepared statement, setting or lock is left behind on one.

use crate::cli_exit_codes::world;
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::pooler::Pooler;

async fn pooled(connections: usize) -> (World, Pooler) {
    let mut world = world().await.with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    let pooler = Pooler::before(&world.database.url()).await;
    let url = pooler.url(&world.database.url());
    world.set(
        "DATABASE_URL",
        format!("{url}?pgbouncer=true&connection_limit={connections}"),
    );
    (world, pooler)
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_go_through_a_transaction_pooler_with_one_connection_or_four() {
    for connections in [1, 4] {
        let (world, _pooler) = pooled(connections).await;
        let run = |arguments: &'static [&'static str]| entra_sync(world.environment(), arguments);
        let first = run(&["sync", "--format", "json"])
            .await
            .exits_with(0)
            .json();
        assert_eq!(first["status"], "succeeded", "{first}");
        let second = run(&["sync", "--format", "json"])
            .await
            .exits_with(0)
            .json();
        assert_eq!(second["status"], "unchanged", "{second}");
        run(&["plan", "--check"]).await.exits_with(0);
        run(&["check"]).await.exits_with(0);
        run(&["show", "last"]).await.exits_with(0);
        crate::daemon_signals::assert_whole(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_through_a_pooler_take_turns() {
    let (world, _pooler) = pooled(4).await;
    let both: Vec<Running> = (0..2)
        .map(|_| Running::start(world.environment(), &["sync", "--format", "json"]))
        .collect();
    let mut added = 0;
    for one in both {
        let report = one.ended().await.exits_with(0).json();
        added += report["changes"]["team_memberships"]["added"]
            .as_u64()
            .expect("a count");
    }
    assert_eq!(added, 3);
    crate::daemon_signals::assert_whole(&world).await;
}
