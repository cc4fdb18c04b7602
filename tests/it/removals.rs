//! Taking access away: from managed memberships only, after a second look, and
//! past the guard.

use entra_sync::model::policy::Scope;
use entra_sync::model::report::Status;
use entra_sync::simulator::{Tenant, group_id, person_id};
use serde_json::json;

use crate::support::{World, seed};

fn two_groups(tenant: &mut Tenant) {
    for user in ["ada", "bob", "cem"] {
        tenant.user(user);
    }
    tenant
        .group("science")
        .members(["ada", "bob"])
        .assigned_by_default();
    tenant
        .group("sales")
        .members(["bob", "cem"])
        .assigned_by_default();
}

async fn roster(world: &World, group: &str) -> Vec<String> {
    let id = group_id(group).to_string();
    let teams = world.database.rows("LiteLLM_TeamTable").await;
    let team = teams.iter().find(|team| team["team_id"] == id.as_str());
    let mut users: Vec<String> = team.expect("the team")["members_with_roles"]
        .as_array()
        .expect("a roster")
        .iter()
        .map(|entry| entry["user_id"].as_str().expect("a user").to_owned())
        .collect();
    users.sort();
    users
}

fn ids(keys: &[&str]) -> Vec<String> {
    let mut ids: Vec<String> = keys.iter().map(|key| person_id(key).to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_group_leaves_the_team_and_its_keys_go() {
    let world = World::new(two_groups).await;
    world.settle().await;
    let bob = person_id("bob").to_string();
    let (science, sales) = (
        group_id("science").to_string(),
        group_id("sales").to_string(),
    );
    seed::key("k1", &bob)
        .with("team_id", science.as_str())
        .insert(&world.database)
        .await;
    seed::key("k2", &bob)
        .with("team_id", sales.as_str())
        .insert(&world.database)
        .await;
    seed::key("k3", &bob).insert(&world.database).await;

    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(report.changes.keys.deleted, 1);
    assert_eq!(roster(&world, "science").await, ids(&["ada"]));
    assert_eq!(roster(&world, "sales").await, ids(&["bob", "cem"]));
    let keys = world.database.rows("LiteLLM_VerificationToken").await;
    assert_eq!(
        keys.iter().map(|key| &key["token"]).collect::<Vec<_>>(),
        [&json!("k2"), &json!("k3")]
    );
    let tombstones = world
        .database
        .rows("LiteLLM_DeletedVerificationToken")
        .await;
    assert_eq!(tombstones[0]["token"], "k1");
    assert_eq!(world.database.rows("entra_sync.taken").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whom_somebody_put_there_by_hand_stays_for_ever() {
    let world = World::new(two_groups).await;
    world.settle().await;
    seed::user("guest").insert(&world.database).await;
    seed::join(&world.database, "guest", &group_id("science").to_string()).await;

    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    world.settle().await;

    let mut left = ids(&["ada"]);
    left.push("guest".to_owned());
    left.sort();
    assert_eq!(roster(&world, "science").await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_a_member_again() {
    let world = World::new(two_groups).await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").member("bob");
    });
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.added, 1);
    assert_eq!(roster(&world, "science").await, ids(&["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_people_are_deactivated_and_come_back_with_their_keys() {
    let world = World::new(two_groups).await;
    world.settle().await;
    let bob = person_id("bob").to_string();
    seed::key("k1", &bob).insert(&world.database).await;

    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(report.changes.keys.blocked, 1);
    assert_eq!(roster(&world, "science").await, ids(&["ada", "bob"]));

    world.entra.tenant(|tenant| {
        tenant
            .user("bob")
            .account(entra_sync::simulator::AccountEnabled::Enabled);
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.reactivated, 1);
    assert_eq!(report.changes.keys.unblocked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_people_keep_their_memberships_until_they_are_purged() {
    let world = World::new(two_groups).await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").soft_deleted();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(report.changes.team_memberships.removed, 0);
    assert_eq!(roster(&world, "science").await, ids(&["ada", "bob"]));

    world.entra.tenant(|tenant| {
        tenant.user("bob").purged();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 2);
    assert_eq!(roster(&world, "science").await, ids(&["ada"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_no_longer_assigned_is_detached() {
    let world = World::new(two_groups).await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("sales").unassigned_entirely();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 2);
    assert!(roster(&world, "sales").await.is_empty());
    assert_eq!(roster(&world, "science").await, ids(&["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_is_held_whatever_the_numbers() {
    let world = World::new(two_groups).await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("sales").unassigned_entirely();
        tenant.group("science").unassigned_entirely();
    });
    for _ in 0..2 {
        let report = world.pass().await;
        assert_eq!(report.status, Status::Held);
        assert_eq!(report.held.as_ref().map(|held| held.removals), Some(4));
        assert_eq!(report.changes.total(), 0);
    }
    assert_eq!(roster(&world, "sales").await, ids(&["bob", "cem"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_pass_takes_away_only_what_it_looked_at() {
    let world = World::new(two_groups).await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
        tenant.group("sales").unassigned_entirely();
    });
    let scope = Scope::asked([group_id("science")].into(), [].into());
    let (report, error) = world.pass_of(&world.source(), scope).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(roster(&world, "sales").await, ids(&["bob", "cem"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pass_over_an_existing_litellm_removes_nothing() {
    let world = World::new(two_groups).await;
    let science = group_id("science").to_string();
    seed::team(&science).insert(&world.database).await;
    for user in ["old-1", "old-2"] {
        seed::user(user).insert(&world.database).await;
        seed::join(&world.database, user, &science).await;
    }
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 0);
    assert_eq!(roster(&world, "science").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_pass_over_an_existing_litellm_may_take_from_whom_entra_disabled() {
    let world = World::new(two_groups).await;
    let bob = person_id("bob").to_string();
    let science = group_id("science").to_string();
    seed::team(&science).insert(&world.database).await;
    for user in [bob.as_str(), "old-1"] {
        seed::user(user).insert(&world.database).await;
        seed::join(&world.database, user, &science).await;
    }
    seed::key("k1", &bob).insert(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    let report = world.pass().await;
    assert_eq!(report.changes.users.deactivated, 0, "{}", report.json());
    assert_eq!(report.changes.keys.blocked, 0);

    let report = world.settle().await;

    assert_eq!(report.changes.users.deactivated, 1, "adopted by the first");
    assert_eq!(report.changes.keys.blocked, 1);
    assert_eq!(report.changes.team_memberships.removed, 0);
    let row = world.user("bob").await;
    assert_eq!(row["metadata"]["scim_active"], false, "{row}");
    let mut members = ids(&["ada", "bob"]);
    members.push("old-1".to_owned());
    members.sort();
    assert_eq!(roster(&world, "science").await, members);
}
