//! Memberships of teams and organizations.

use entra_sync::model::report::Status;

use super::{Before, assert_nothing_left, in_use, leaves, undo, world};
use crate::daemon_signals::assert_whole;
use crate::support::look::people;

#[tokio::test(flavor = "multi_thread")]
async fn memberships_come_back_byte_for_byte_with_keys_and_spend() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    let before = Before::of(&world).await;
    leaves(&world, "bob", &["science", "sales", "arts"]);
    leaves(&world, "cem", &["science", "arts"]);
    leaves(&world, "ada", &["arts"]);
    let taken = world.settle().await;
    assert_eq!(taken.changes.team_memberships.removed, 6);
    assert_eq!(taken.changes.organization_memberships.removed, 6);
    assert_eq!(taken.changes.keys.deleted, 3);

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.team_memberships.added, 6);
    assert_eq!(report.changes.organization_memberships.added, 6);
    assert_eq!(report.changes.total(), 12);
    assert_eq!(report.skipped, []);
    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;
}

/// More than one transaction takes out of one team.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_come_back_into_their_old_places() {
    let world = world().await;
    world.entra.tenant(|tenant| {
        for number in 0..1_300 {
            tenant.group("arts").member(&format!("many-{number}"));
        }
    });
    world.settle().await;
    let before = Before::of(&world).await;
    for number in (0..1_300).filter(|number| number % 8 != 0) {
        leaves(&world, &format!("many-{number}"), &["arts"]);
    }
    let taken = world.settle().await;
    assert_eq!(taken.changes.team_memberships.removed, 1_137);

    undo(&world, taken.run_id).await;

    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joined_since_stands_behind_nobody_lost() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    returns(&world, "eve");
    leaves(&world, "ada", &["science"]);
    world.settle().await;

    undo(&world, taken.run_id).await;

    assert_whole(&world).await;
    assert_eq!(
        world.members("science").await,
        people(["bob", "cem", "dan", "eve"])
    );
}

fn returns(world: &crate::support::World, user: &str) {
    super::returns(world, user, &["science"]);
}
