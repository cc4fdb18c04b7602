//! `deprovision.grace`: what is to go waits, and may come back.

use entra_sync::model::report::Status;
use entra_sync::sync::Planned;

use crate::guard::{EACH, come_back, crowd, held, leave};
use crate::support::World;

async fn world() -> World {
    World::new(crowd)
        .await
        .with("ENTRA_SYNC__DEPROVISION__GRACE", "2h")
}

async fn hours_pass(world: &World, hours: u32) {
    world
        .ledger_sql(&format!(
            "UPDATE entra_sync.waiting_removal SET since = since - interval '{hours} hours'"
        ))
        .await;
}

fn actions(planned: &Planned) -> Vec<&'static str> {
    planned.plan.items().map(|item| item.action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_waits_visibly_and_is_then_applied() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    for _ in 0..2 {
        let report = world.pass().await;
        assert_eq!(report.status, Status::Unchanged, "{}", report.json());
        assert_eq!(actions(&world.plan().await), ["wait"]);
        assert_eq!(world.members("science").await.len(), EACH);
        hours_pass(&world, 1).await;
    }
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.count("entra_sync.waiting_removal").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_ends_the_wait_and_a_new_departure_waits_anew() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    world.pass().await;
    hours_pass(&world, 3).await;
    come_back(&world, "science", 1);
    world.settle().await;
    leave(&world, "science", 1);
    let report = world.pass().await;
    assert_eq!(report.status, Status::Unchanged);
    assert_eq!(world.members("science").await.len(), EACH);
    come_back(&world, "science", 1);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_disabled_is_not_waited_for() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("science-1").disabled();
    });
    assert_eq!(world.settle().await.changes.users.deactivated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_after_its_wait_can_be_approved_and_goes_at_once() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 7);
    world.pass().await;
    hours_pass(&world, 3).await;
    let (digest, removals) = held(&world.pass().await);
    assert_eq!(removals, 7);
    let again = held(&world.pass().await);
    assert_eq!(again, (digest.clone(), 7), "the wait does not begin anew");
    world
        .ledger_sql(&format!(
            "UPDATE entra_sync.held_plan SET status = 'approved' WHERE digest = '{digest}'"
        ))
        .await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 7);
}
