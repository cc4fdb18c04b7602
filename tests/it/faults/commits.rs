//! A connection that breaks when PostgreSQL has committed and before it could
//! say so: whoever tries again finds it done, and nothing is there twice.

use std::collections::BTreeSet;

use entra_sync::model::report::Status;
use serde_json::Value;
use tokio_postgres::Client;

use super::oracle::Standing;
use super::seasons::Seasons;
use crate::support::World;
use crate::support::database::connect;
use crate::support::gate::{Gate, Side};
use crate::support::wait::wait_for;

/// What each kind of transaction of a season's pass writes, in the order in
/// which a pass writes them.
const WRITES: [&str; 8] = [
    "jsonb_build_object('scim_active'",
    "INSERT INTO \"LiteLLM_OrganizationTable\"",
    "INSERT INTO \"LiteLLM_TeamTable\"",
    "INSERT INTO \"LiteLLM_UserTable\"",
    "SET members_with_roles = rosters.list",
    "SET members_with_roles = kept.roster",
    "DELETE FROM \"LiteLLM_OrganizationMembership\"",
    "DELETE FROM \"LiteLLM_TeamTable\"",
];

async fn time(clerk: &Client) -> f64 {
    let sql = "SELECT date_part('epoch', clock_timestamp())";
    clerk.query_one(sql, &[]).await.expect("the time").get(0)
}

/// Cuts each of these transactions off between its commit and the answer.
async fn cut_all(gate: &Gate, clerk: &Client) {
    gate.stop_at_text(WRITES[0], Side::Before);
    for (number, write) in WRITES.iter().enumerate() {
        tokio::time::timeout(std::time::Duration::from_secs(60), gate.stopped())
            .await
            .unwrap_or_else(|_| panic!("no {write}"));
        let before = time(clerk).await;
        gate.stop_at_text("COMMIT", Side::After);
        gate.let_through();
        gate.stopped().await;
        wait_for("PostgreSQL to have committed", || async {
            let row = clerk
                .query_one(
                    "SELECT count(*) FROM pg_stat_activity \
                     WHERE usename = 'entra_sync' AND datname = current_database() \
                       AND query = 'COMMIT' AND state = 'idle' \
                       AND date_part('epoch', state_change) > $1",
                    &[&before],
                )
                .await
                .expect("who is idle");
            (row.get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        match WRITES.get(number + 1) {
            Some(next) => gate.cut_until_text(next, Side::Before),
            None => gate.cut(),
        }
    }
}

/// Of this table no two rows say the same in these columns.
async fn once(world: &World, table: &str, columns: &[&str]) -> usize {
    let rows = world.database.rows(table).await;
    let mut seen = BTreeSet::new();
    for row in &rows {
        let key: Vec<&Value> = columns.iter().map(|column| &row[*column]).collect();
        assert!(seen.insert(format!("{key:?}")), "{table}, twice: {row}");
    }
    rows.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_between_a_commit_and_its_answer_do_nothing_twice() {
    let mut seasons = Seasons::begin().await;
    let gate = Gate::before(&seasons.world.database.url()).await;
    seasons.world.set("DATABASE_URL", gate.url());
    let clerk = connect(&seasons.world.database.url_as("postgres")).await;
    seasons.turn().await;
    let before = Standing::of(&seasons.world).await;
    let world = &seasons.world;

    let ((report, error), ()) = tokio::join!(world.try_pass(), cut_all(&gate, &clerk));

    assert_eq!(
        report.status,
        Status::Succeeded,
        "{error:?} {}",
        report.json()
    );
    let what = "cut at commits";
    let wanted = seasons.wanted();
    let after = Standing::of(world).await;
    after.follows(&before, &wanted, what);
    after.is_settled(&wanted, what);
    once(
        world,
        "entra_sync.taken",
        &["run_id", "kind", "parent_id", "user_id"],
    )
    .await;
    let change = ["run_id", "action", "kind", "object_id"];
    once(world, "entra_sync.change", &change).await;
    once(
        world,
        "entra_sync.membership_change",
        &["run_id", "action", "kind", "parent_id"],
    )
    .await;
    once(world, "LiteLLM_DeletedVerificationToken", &["token"]).await;
    seasons.heals(what).await;
}
