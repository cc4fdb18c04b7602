//! Teams that were blocked or deleted.

use entra_sync::model::report::Status;
use serde_json::json;

use super::{Before, assert_nothing_left, in_use, undo};
use crate::support::look::{group, people, person, skipped};
use crate::support::{World, seed};

async fn world(policy: &str) -> World {
    super::world()
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", policy)
}

fn unassign(world: &World, group: &str) {
    world.entra.tenant(|tenant| {
        tenant.group(group).unassigned_entirely();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_team_comes_back_byte_for_byte_with_members_and_keys() {
    let world = world("delete").await;
    world.settle().await;
    in_use(&world).await;
    let (science, sales) = (group("science"), group("sales"));
    seed::access_group("g").insert(&world.database).await;
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_AccessGroupTable\" SET assigned_team_ids = \
                 ARRAY['first', '{science}', 'last']; \
             UPDATE \"LiteLLM_TeamTable\" SET access_group_ids = '{{g}}', spend = 0.1, \
                 budget_limits = '[{{\"budget_duration\": \"1d\", \"max_budget\": 1}}]' \
                 WHERE team_id = '{science}'; \
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = \
                 jsonb_set(members_with_roles, '{{1,role}}', '\"admin\"') \
                 WHERE team_id = '{science}'"
        ))
        .await;
    let before = Before::of(&world).await;
    unassign(&world, "science");
    unassign(&world, "sales");
    let taken = world.settle().await;
    assert_eq!(taken.changes.teams.deleted, 2);

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.teams.created, 2);
    assert_eq!(report.changes.team_memberships.added, 9);
    assert_eq!(report.skipped, []);
    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;

    // Still unassigned: left alone.
    assert_eq!(world.pass().await.changes.total(), 0);
    assert_eq!(world.members_of(&sales).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_team_is_opened_again() {
    let world = world("block").await;
    world.settle().await;
    let before = Before::of(&world).await;
    unassign(&world, "science");
    unassign(&world, "sales");
    let taken = world.settle().await;
    assert_eq!(taken.changes.teams.blocked, 2);
    let report = undo(&world, taken.run_id).await;
    assert_eq!(report.changes.teams.unblocked, 2);
    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;
    assert_eq!(world.pass().await.changes.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn into_a_team_that_is_there_again_come_members_and_keys() {
    let world = world("delete").await;
    world.settle().await;
    in_use(&world).await;
    unassign(&world, "science");
    let taken = world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").assigned_by_default();
    });
    world.settle().await;
    let science = group("science");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET team_alias = 'of now' WHERE team_id = '{science}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Succeeded);
    let mut others: Vec<_> = skipped(&report);
    others.retain(|(_, reason)| *reason != "member_again");
    assert_eq!(others, [(science.as_str(), "team_there")]);
    // Whom the pass put into the organization again.
    assert_eq!(skipped(&report).len(), 1 + 4);
    assert_eq!(report.changes.teams.created, 0);
    assert_eq!(
        report.changes.team_memberships.added, 1,
        "the guest, who had been put in by hand"
    );
    assert_eq!(report.changes.team_memberships.repaired, 2);
    assert_eq!(world.team("science").await["team_alias"], "of now");
    let mut members = people(["ada", "bob", "cem", "dan"]);
    members.push("guest".to_owned());
    assert_eq!(world.members("science").await, members);
    assert!(!world.managed("science").await.contains(&"guest".to_owned()));
    let key = world
        .row("LiteLLM_VerificationToken", "token", "science-bob")
        .await;
    assert_eq!(key["team_id"], science.as_str());
    assert_nothing_left(&world, taken.run_id).await;
    assert_eq!(world.pass().await.changes.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_without_a_row_comes_back_on_a_roster() {
    let world = world("delete").await;
    world.settle().await;
    in_use(&world).await;
    unassign(&world, "science");
    let taken = world.settle().await;
    let (science, bob) = (group("science"), person("bob"));
    for table in [
        "LiteLLM_TeamMembership",
        "LiteLLM_OrganizationMembership",
        "LiteLLM_VerificationToken",
        "LiteLLM_UserTable",
    ] {
        world
            .sql(&format!("DELETE FROM \"{table}\" WHERE user_id = '{bob}'"))
            .await;
    }

    let report = undo(&world, taken.run_id).await;

    let lost = format!("{science}/{bob}");
    // Of the team and of the organization.
    let gone = [lost.as_str(), lost.as_str(), "science-bob"];
    assert_eq!(skipped(&report), gone.map(|id| (id, "user_gone")));
    let mut left = people(["ada", "cem", "dan"]);
    left.push("guest".to_owned());
    assert_eq!(world.members("science").await, left);
    assert!(!world.managed("science").await.contains(&bob));
    let keys = world.database.rows("LiteLLM_VerificationToken").await;
    assert!(keys.iter().all(|key| key["user_id"] != json!(bob)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_into_a_team_in_anothers_stead() {
    let world = world("delete").await;
    world.settle().await;
    in_use(&world).await;
    unassign(&world, "science");
    let taken = world.settle().await;
    // Bob's row is bound to Cem by now.
    let (science, bob, cem) = (group("science"), person("bob"), person("cem"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET sso_user_id = NULL WHERE user_id = '{cem}'; \
             UPDATE \"LiteLLM_UserTable\" SET sso_user_id = '{cem}' WHERE user_id = '{bob}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    let barred = format!("{science}/{bob}");
    // Of the team and of the organization.
    let taken = [barred.as_str(), barred.as_str(), "science-bob"];
    assert_eq!(skipped(&report), taken.map(|id| (id, "row_taken")));
    let mut left = people(["ada", "cem", "dan"]);
    left.push("guest".to_owned());
    assert_eq!(world.members("science").await, left);
    assert!(!world.managed("science").await.contains(&bob));
}

/// Whatever the settings would make of a group that is not assigned.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_stays_when_the_policy_changes() {
    let policies = ["delete", "block", "detach"];
    for (first, then) in [("delete", 1), ("block", 2), ("detach", 0)] {
        let mut world = world(first).await;
        world.settle().await;
        in_use(&world).await;
        unassign(&world, "science");
        let taken = world.settle().await;
        undo(&world, taken.run_id).await;
        let back = Before::of(&world).await;
        assert_eq!(world.pass().await.status, Status::Unchanged, "{first}");
        for offset in 0..2 {
            let policy = policies[(then + offset) % 3];
            if policy != first {
                world.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", policy);
                let report = world.pass().await;
                assert_eq!(report.status, Status::Held, "{first}, then {policy}");
                assert_eq!(report.changes.total(), 0, "{first}, then {policy}");
            }
        }
        world.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "keep");
        assert_eq!(world.pass().await.changes.total(), 0);
        world.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", first);
        assert_eq!(world.pass().await.status, Status::Unchanged, "{first}");
        back.is_back(&world).await;
    }
}
