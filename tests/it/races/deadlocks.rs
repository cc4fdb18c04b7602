//! LiteLLM and a pass each have what the other wants, by construction.

use entra_sync::model::report::Status;
use serde_json::json;

use crate::support::database::connect;
use crate::support::gate::{Gate, Side};
use crate::support::look::{group, person};
use crate::support::session::Session;
use crate::support::wait::wait_for;
use crate::support::{World, seed};

/// Ada and Bob in arts, Bob with a key of the team and one of his own. LiteLLM's
/// sessions are patient, so that only ours can be the one who gives up: which of
/// two PostgreSQL ends is chance otherwise.
async fn world() -> (World, Gate) {
    let mut world = World::new(|tenant| {
        tenant
            .group("arts")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete")
    .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100);
    world
        .ledger_sql(
            "DO $$ BEGIN EXECUTE format('ALTER ROLE litellm IN DATABASE %I \
             SET deadlock_timeout = ''60s''', current_database()); END $$",
        )
        .await;
    let gate = Gate::before(&world.database.url()).await;
    world.set("DATABASE_URL", gate.url());
    world.settle().await;
    let (bob, arts) = (person("bob"), group("arts"));
    seed::key("of arts", &bob)
        .with("team_id", arts)
        .insert(&world.database)
        .await;
    seed::key("own", &bob).insert(&world.database).await;
    (world, gate)
}

/// Runs a pass that has Bob's row and is stopped before it locks keys; LiteLLM
/// then wants that row, and only after that the pass goes on.
async fn a_pass_meets(world: &World, gate: &Gate, session: Session, wants: &str) -> Status {
    gate.stop_at_text("ORDER BY token COLLATE", Side::Before);
    let (report, ()) = tokio::join!(world.pass(), async {
        gate.stopped().await;
        tokio::join!(session.run(wants), async {
            wait_for("LiteLLM to wait for the row", || async {
                let clerk = connect(&world.database.url_as("postgres")).await;
                let sql = "SELECT FROM pg_stat_activity WHERE datname = current_database() \
                           AND usename = 'litellm' AND wait_event_type = 'Lock'";
                let waiting = clerk.query(sql, &[]).await.expect("who waits");
                (!waiting.is_empty()).then_some(())
            })
            .await;
            gate.go_on();
        });
        session.commit().await;
    });
    report.status
}

/// How many deadlocks PostgreSQL has ended, once all who know have told.
async fn deadlocks(world: &World) -> i64 {
    let clerk = connect(&world.database.url_as("postgres")).await;
    wait_for("our sessions to end", || async {
        let sql = "SELECT FROM pg_stat_activity WHERE datname = current_database() \
                   AND usename = 'entra_sync'";
        let there = clerk.query(sql, &[]).await.expect("who is there");
        there.is_empty().then_some(())
    })
    .await;
    let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    clerk.query_one(sql, &[]).await.expect("a count").get(0)
}

/// LiteLLM's deletion of a team: keys, the team, then users (litellm-contract
/// 2g). Ours: the user, then keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_deactivation_gives_way_to_a_deletion_of_a_team() {
    let (world, gate) = world().await;
    let arts = group("arts");
    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    let session = Session::holding_team(&world.database, &arts).await;
    session
        .run(&format!(
            "DELETE FROM \"LiteLLM_VerificationToken\" WHERE token = 'of arts'; \
             DELETE FROM \"LiteLLM_TeamTable\" WHERE team_id = '{arts}'"
        ))
        .await;
    let users = format!(
        "SELECT FROM \"LiteLLM_UserTable\" WHERE '{arts}' = ANY(teams) \
             ORDER BY user_id COLLATE \"C\" FOR UPDATE; \
         UPDATE \"LiteLLM_UserTable\" SET teams = array_remove(teams, '{arts}') \
             WHERE '{arts}' = ANY(teams); \
         DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{arts}'"
    );

    let status = a_pass_meets(&world, &gate, session, &users).await;

    assert_eq!(status, Status::Succeeded);
    let bob = world.user("bob").await;
    assert_eq!(
        (&bob["metadata"]["scim_active"], &bob["teams"]),
        (&json!(false), &json!([]))
    );
    let keys = world.database.rows("LiteLLM_VerificationToken").await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(
        (&keys[0]["token"], &keys[0]["blocked"]),
        (&json!("own"), &json!(true))
    );
    assert_eq!(deadlocks(&world).await, 0, "we did not give up in time");
    world.settle().await;
}

/// Whoever else locks keys before users: PostgreSQL ends ours, and it is done
/// all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_postgresql_ends_for_a_deadlock_is_tried_again() {
    let (world, gate) = world().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").without_member("bob");
    });
    let session = Session::begin(&world.database).await;
    session
        .run("UPDATE \"LiteLLM_VerificationToken\" SET spend = 7 WHERE token = 'of arts'")
        .await;
    let spends = format!(
        "UPDATE \"LiteLLM_UserTable\" SET spend = 7 WHERE user_id = '{}'",
        person("bob")
    );

    let status = a_pass_meets(&world, &gate, session, &spends).await;

    assert_eq!(status, Status::Succeeded);
    assert_eq!(world.members("arts").await, [person("ada")]);
    assert_eq!(world.user("bob").await["spend"].as_f64(), Some(7.0));
    let stones = world
        .database
        .rows("LiteLLM_DeletedVerificationToken")
        .await;
    assert_eq!(stones.len(), 1, "{stones:?}");
    assert_eq!(stones[0]["spend"].as_f64(), Some(7.0));
    assert_eq!(deadlocks(&world).await, 1);
    world.settle().await;
}
