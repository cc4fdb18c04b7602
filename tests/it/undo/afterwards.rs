//! What later passes and later undos do.

use entra_sync::model::report::Status;
use serde_json::{Value, json};

use super::{Before, assert_nothing_left, in_use, leaves, returns, undo, world};
use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, people, person};

async fn rejected(world: &World) -> Vec<Value> {
    let rows = world.database.rows("entra_sync.held_plan").await;
    rows.into_iter()
        .filter(|row| row["status"] == "rejected")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_stays_until_an_operator_approves_its_removal() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    leaves(&world, "bob", &["science", "sales"]);
    let taken = world.settle().await;
    let report = undo(&world, taken.run_id).await;
    let back = Before::of(&world).await;

    let [set] = &rejected(&world).await[..] else {
        panic!("one set is rejected");
    };
    assert_eq!(set["decided_by"], "carla");
    assert_eq!(set["run_id"], json!(report.run_id));
    assert_eq!(set["items"].as_array().map(Vec::len), Some(4));
    // Silently: this is what was asked for.
    for _ in 0..2 {
        let pass = world.pass().await;
        assert_eq!(pass.status, Status::Unchanged, "{}", pass.json());
    }
    let planned = world.plan().await;
    let actions: Vec<&str> = planned.plan.items().map(|item| item.action).collect();
    assert_eq!(actions, ["hold"; 4]);
    back.is_back(&world).await;

    let digest = set["digest"].as_str().expect("a digest");
    entra_sync(world.environment(), &["approve", digest])
        .await
        .exits_with(0);
    let again = world.settle().await;
    assert_eq!(again.changes.team_memberships.removed, 2);
    assert_eq!(again.changes.keys.deleted, 2);
    assert_eq!(rejected(&world).await, [Value::Null; 0]);

    // Each run has its own copies; the first's have been given back.
    assert_nothing_left(&world, taken.run_id).await;
    undo(&world, again.run_id).await;
    back.is_back(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_entra_wants_them_they_are_members_like_all_others() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science", "sales"]);
    let taken = world.settle().await;
    undo(&world, taken.run_id).await;
    returns(&world, "bob", &["science", "sales"]);
    world.settle().await;
    assert_eq!(rejected(&world).await, [Value::Null; 0]);

    leaves(&world, "bob", &["science"]);
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_entra_wants_some_of_them_an_operator_is_asked_about_the_rest() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science", "sales"]);
    let taken = world.settle().await;
    undo(&world, taken.run_id).await;
    returns(&world, "bob", &["science"]);

    let report = world.pass().await;

    assert_eq!(report.status, Status::Held);
    let held = report.held.expect("what is held");
    assert_eq!(held.removals, 2);
    assert_eq!(report.changes.total(), 0);
    assert_eq!(world.members("sales").await.len(), 4);
}

/// Who is back leaves like all others, whatever is undecided about the rest.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_undo_protects_ends_for_each_by_itself() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science", "sales"]);
    let taken = world.settle().await;
    undo(&world, taken.run_id).await;
    returns(&world, "bob", &["science"]);
    assert_eq!(world.pass().await.status, Status::Held);
    leaves(&world, "bob", &["science"]);
    let report = world.pass().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.members("science").await.len(), 3);
    assert_eq!(world.members("sales").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_took_nothing_and_so_has_nothing_to_give_back() {
    let world = world().await;
    world.settle().await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    let undone = undo(&world, taken.run_id).await;

    let report = undo(&world, undone.run_id).await;

    assert_eq!(report.status, Status::Unchanged);
    assert_eq!(report.skipped, []);
    assert_eq!(
        world.members("science").await,
        people(["ada", "bob", "cem", "dan"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_an_administrator_deletes_after_an_undo_stays_deleted() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    undo(&world, taken.run_id).await;
    world
        .sql("DELETE FROM \"LiteLLM_VerificationToken\" WHERE token = 'science-bob'")
        .await;
    assert_nothing_left(&world, taken.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_and_membership_that_came_back_is_shown() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    leaves(&world, "bob", &["science"]);
    let taken = world.settle().await;
    let report = undo(&world, taken.run_id).await;
    let run = report.run_id.to_string();
    let shown = entra_sync(world.environment(), &["show", &run, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let changes = shown["changes"].as_array().expect("changes");
    let lines: Vec<(&str, &str, &str)> = changes
        .iter()
        .map(|change| {
            let text = |column: &str| change[column].as_str().expect("text");
            (text("action"), text("kind"), text("id"))
        })
        .collect();
    let id = format!("{}/{}", group("science"), person("bob"));
    assert_eq!(
        lines,
        [
            ("create", "key", "science-bob"),
            ("add", "organization_membership", &id),
            ("add", "team_membership", &id),
        ]
    );
    let reason = changes[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains(&taken.run_id.to_string()), "{reason}");
}
