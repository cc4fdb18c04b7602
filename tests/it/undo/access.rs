//! Deactivations and lowered roles.

use entra_sync::model::report::Status;
use serde_json::json;

use super::{Before, assert_nothing_left, in_use, undo, world};
use crate::support::look::{person, skipped};
use crate::support::{World, seed};

fn disable(world: &World, user: &str) {
    world.entra.tenant(|tenant| {
        tenant.user(user).disabled();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn deactivated_people_come_back_byte_for_byte_with_their_keys() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    // One whom SCIM has known before, and one of whom it has not.
    let cem = person("cem");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET metadata = metadata || \
                 '{{\"scim_active\": true, \"scim_metadata\": {{\"givenName\": \"Cem\"}}}}' \
             WHERE user_id = '{cem}'; \
             UPDATE \"LiteLLM_VerificationToken\" SET metadata = '{{\"scim_blocked\": true}}', \
                 blocked = false WHERE token = 'sales-cem'"
        ))
        .await;
    let before = Before::of(&world).await;
    disable(&world, "bob");
    disable(&world, "cem");
    let taken = world.settle().await;
    assert_eq!(taken.changes.users.deactivated, 2);
    assert_eq!(taken.changes.keys.blocked, 6);

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.users.reactivated, 2);
    assert_eq!(report.changes.keys.unblocked, 6);
    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_did_to_a_deactivated_row_since_stays() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    disable(&world, "bob");
    disable(&world, "cem");
    let taken = world.settle().await;
    let (bob, cem) = (person("bob"), person("cem"));
    seed::key("bob-late", &bob)
        .with("blocked", true)
        .with("metadata", json!({ "scim_blocked": true }))
        .insert(&world.database)
        .await;
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET metadata = metadata || \
                 '{{\"scim_active\": true}}' WHERE user_id = '{cem}'; \
             UPDATE \"LiteLLM_UserTable\" SET metadata = metadata || \
                 '{{\"note\": 1, \"scim_metadata\": {{\"givenName\": \"Bob\"}}}}' \
                 WHERE user_id = '{bob}'; \
             UPDATE \"LiteLLM_VerificationToken\" SET metadata = '{{\"why\": \"abuse\"}}' \
                 WHERE token = 'bob-null'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.changes.users.reactivated, 1);
    assert_eq!(skipped(&report), [(cem.as_str(), "active_again")]);
    let row = world.user("bob").await;
    assert_eq!(
        row["metadata"],
        json!({ "auth_provider": "microsoft", "note": 1, "scim_metadata": { "givenName": "Bob" } })
    );
    let blocked = |token: &'static str| {
        let world = &world;
        async move {
            let row = world.row("LiteLLM_VerificationToken", "token", token);
            row.await["blocked"].clone()
        }
    };
    assert_eq!(blocked("bob-late").await, json!(false));
    assert_eq!(blocked("bob-null").await, json!(true), "an administrator's");
    assert_eq!(blocked("bob-abuse").await, json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_person_comes_back_with_everything() {
    let world = world().await;
    world.settle().await;
    in_use(&world).await;
    let before = Before::of(&world).await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").purged();
    });
    let taken = world.settle().await;
    assert_eq!(taken.changes.users.deactivated, 1);
    assert_eq!(taken.changes.team_memberships.removed, 3);
    assert_eq!(taken.changes.keys.deleted, 2);

    undo(&world, taken.run_id).await;

    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lowered_roles_are_raised_again_unless_somebody_changed_them() {
    let world = world().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin_viewer");
        tenant.user("bob").assigned("internal_user");
    });
    world.settle().await;
    let before = Before::of(&world).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").unassigned_entirely();
        tenant.user("bob").unassigned_entirely();
    });
    let taken = world.settle().await;
    assert_eq!(taken.changes.users.updated, 2);
    let report = undo(&world, taken.run_id).await;
    assert_eq!(report.changes.users.updated, 2);
    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;

    // Entra still does not give the roles: they are left as they are.
    assert_eq!(world.pass().await.changes.total(), 0);
    assert_eq!(world.user("ada").await["user_role"], "proxy_admin_viewer");
}

/// A lowering that was undone is not made to another role either.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_came_back_is_not_lowered_to_another_one() {
    let world = world().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin_viewer");
    });
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").unassigned_entirely();
    });
    let taken = world.settle().await;
    undo(&world, taken.run_id).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("internal_user");
    });
    let report = world.pass().await;
    assert_eq!(report.status, Status::Held, "{}", report.json());
    assert_eq!(world.user("ada").await["user_role"], "proxy_admin_viewer");
    // Entra gives it again: what was undone is over.
    for role in ["proxy_admin_viewer", "internal_user"] {
        world.entra.tenant(|tenant| {
            tenant.user("ada").unassigned_entirely();
            tenant.user("ada").assigned(role);
        });
        assert_eq!(world.pass().await.held, None);
    }
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_somebody_gave_since_stays() {
    let world = world().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin_viewer");
    });
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").unassigned_entirely();
    });
    let taken = world.settle().await;
    let ada = person("ada");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET user_role = 'internal_user' WHERE user_id = '{ada}'"
        ))
        .await;

    let report = undo(&world, taken.run_id).await;

    assert_eq!(report.status, Status::Unchanged);
    assert_eq!(skipped(&report), [(ada.as_str(), "role_changed")]);
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
}
