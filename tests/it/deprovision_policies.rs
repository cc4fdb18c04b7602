//! `deprovision.*`: what each setting does, and what it never does.

use entra_sync::simulator::{AccountEnabled, Tenant};
use serde_json::json;

use crate::support::database::connect;
use crate::support::look::{group, people, person};
use crate::support::{World, seed};

fn two_groups(tenant: &mut Tenant) {
    tenant
        .group("science")
        .members(["ada", "bob"])
        .assigned_by_default();
    tenant
        .group("sales")
        .members(["bob", "cem"])
        .assigned_by_default();
}

async fn world(setting: &str, value: &str) -> World {
    World::new(two_groups)
        .await
        .with(&format!("ENTRA_SYNC__DEPROVISION__{setting}"), value)
}

fn unassign(world: &World, key: &str) {
    world.entra.tenant(|tenant| {
        tenant.group(key).unassigned_entirely();
    });
}

fn assign(world: &World, key: &str) {
    world.entra.tenant(|tenant| {
        tenant.group(key).assigned_by_default();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_keeps_everything_it_is_said_of() {
    let world = world("MEMBERSHIP", "keep")
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "keep")
        .with("ENTRA_SYNC__DEPROVISION__DISABLED_USER", "keep")
        .with("ENTRA_SYNC__DEPROVISION__DELETED_USER", "keep");
    world.settle().await;
    seed::key("k1", &person("bob"))
        .insert(&world.database)
        .await;
    let before = crate::support::tables::litellm(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
        tenant.group("sales").unassigned_entirely();
        tenant.user("bob").disabled();
        tenant.user("cem").purged();
        tenant.user("ada").soft_deleted();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.total(), 0);
    let after = crate::support::tables::litellm(&world.database).await;
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_team_is_unblocked_when_its_group_is_assigned_again() {
    let world = world("UNASSIGNED_GROUP", "block").await;
    world.settle().await;
    unassign(&world, "sales");
    assert_eq!(world.settle().await.changes.teams.blocked, 1);
    assert_eq!(world.team("sales").await["blocked"], true);
    assert_eq!(world.members("sales").await, people(["bob", "cem"]));
    assign(&world, "sales");
    assert_eq!(world.settle().await.changes.teams.unblocked, 1);
    assert_eq!(world.team("sales").await["blocked"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_somebody_else_blocked_stays_theirs() {
    let world = world("UNASSIGNED_GROUP", "block").await;
    world.settle().await;
    let sales = group("sales");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET blocked = true WHERE team_id = '{sales}'"
        ))
        .await;
    unassign(&world, "sales");
    assert_eq!(world.settle().await.changes.total(), 0);
    assign(&world, "sales");
    assert_eq!(world.settle().await.changes.total(), 0);
    assert_eq!(world.team("sales").await["blocked"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_somebody_ended_and_another_began_is_not_ours_any_more() {
    let world = world("UNASSIGNED_GROUP", "block").await;
    world.settle().await;
    unassign(&world, "sales");
    world.settle().await;
    let set = async |blocked: bool| {
        let sales = group("sales");
        world
            .sql(&format!(
                "UPDATE \"LiteLLM_TeamTable\" SET blocked = {blocked} WHERE team_id = '{sales}'"
            ))
            .await;
    };
    set(false).await;
    assert_eq!(world.settle().await.changes.total(), 0, "a person's word");
    assert_eq!(world.team("sales").await["blocked"], false);
    set(true).await;
    assert_eq!(world.settle().await.changes.total(), 0);
    assign(&world, "sales");
    assert_eq!(world.settle().await.changes.total(), 0, "their block");
    assert_eq!(world.team("sales").await["blocked"], true);

    // That was about this time; the next is ours again.
    set(false).await;
    unassign(&world, "sales");
    assert_eq!(world.settle().await.changes.teams.blocked, 1);
    assign(&world, "sales");
    assert_eq!(world.settle().await.changes.teams.unblocked, 1);
}

/// What else changes in the same pass does not confuse whose doing it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_under_a_new_name_is_not_given_back_again() {
    let world = world("UNASSIGNED_GROUP", "block").await;
    world.settle().await;
    unassign(&world, "sales");
    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled().display_name("Robert");
    });
    let report = world.settle().await;
    assert_eq!(report.changes.teams.blocked, 1);
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(report.changes.users.updated, 1, "{}", report.json());
    assign(&world, "sales");
    world.entra.tenant(|tenant| {
        tenant.group("sales").display_name("Sellers");
        let enabled = AccountEnabled::Enabled;
        tenant.user("bob").account(enabled).display_name("Bob");
    });
    let report = world.settle().await;
    assert_eq!(report.changes.teams.unblocked, 1);
    assert_eq!(report.changes.teams.updated, 1);
    assert_eq!(report.changes.users.reactivated, 1, "it was ours");
    let (sales, bob) = (group("sales"), person("bob"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET blocked = true WHERE team_id = '{sales}'; \
             UPDATE \"LiteLLM_UserTable\" SET metadata = metadata || '{{\"scim_active\": false}}' \
             WHERE user_id = '{bob}'"
        ))
        .await;
    assert_eq!(world.settle().await.changes.total(), 0, "a person's word");
    assert_eq!(world.team("sales").await["blocked"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_team_leaves_tombstones_and_comes_back_empty_handed() {
    let world = world("UNASSIGNED_GROUP", "delete").await;
    world.settle().await;
    let (sales, bob) = (group("sales"), person("bob"));
    seed::key("k1", &bob)
        .with("team_id", sales.as_str())
        .insert(&world.database)
        .await;
    seed::key("k2", &bob).insert(&world.database).await;
    unassign(&world, "sales");
    let report = world.settle().await;
    assert_eq!(report.changes.teams.deleted, 1);
    assert_eq!(
        world.find_row("LiteLLM_TeamTable", "team_id", &sales).await,
        None
    );
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let tombstones = world
        .database
        .rows("LiteLLM_DeletedVerificationToken")
        .await;
    assert_eq!(tombstones.len(), 1);
    assert_eq!(tombstones[0]["token"], "k1");
    assert_eq!(world.count("LiteLLM_DeletedTeamTable").await, 1);
    assert_eq!(world.count("LiteLLM_VerificationToken").await, 1);
    for key in ["bob", "cem"] {
        assert!(world.has_user(key).await);
    }
    assign(&world, "sales");
    world.settle().await;
    assert_eq!(world.members("sales").await, people(["bob", "cem"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organization_of_a_deleted_team_stays_without_its_managed_members() {
    let world = world("UNASSIGNED_GROUP", "delete")
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.settle().await;
    seed::user("guest").insert(&world.database).await;
    seed::organization_membership("guest", &group("sales"))
        .insert(&world.database)
        .await;
    unassign(&world, "sales");
    // The memberships cannot go, but the team can: they must not be forgotten.
    let superuser = connect(&world.database.url_as("postgres")).await;
    superuser
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON \"LiteLLM_OrganizationMembership\"
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .expect("a trigger");
    let report = world.pass().await;
    assert_eq!(report.changes.teams.deleted, 1);
    assert_eq!(report.changes.organization_memberships.removed, 0);
    superuser
        .batch_execute("DROP FUNCTION refuse() CASCADE")
        .await
        .expect("the trigger goes with its function");
    let report = world.settle().await;
    assert_eq!(report.changes.organization_memberships.removed, 2);
    assert_eq!(world.organization_members("sales").await, ["guest"]);
    assert_eq!(world.count("LiteLLM_OrganizationTable").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_team_is_detached_at_most() {
    for policy in ["block", "delete"] {
        let world = world("UNASSIGNED_GROUP", policy).await;
        let sales = group("sales");
        seed::team(&sales).insert(&world.database).await;
        seed::user("guest").insert(&world.database).await;
        seed::join(&world.database, "guest", &sales).await;
        world.settle().await;
        unassign(&world, "sales");
        let report = world.settle().await;
        assert_eq!(report.changes.team_memberships.removed, 2, "{policy}");
        let teams = report.changes.teams;
        assert_eq!(teams.deleted + teams.blocked, 0, "{policy}");
        assert_eq!(world.members("sales").await, ["guest"]);
        assert_ne!(world.team("sales").await["blocked"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_that_are_not_ours_lose_nothing() {
    let world = World::new(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob", "cem"])
            .assigned("internal_user");
    })
    .await
    .with("PROXY_ADMIN_ID", person("ada"));
    world.settle().await;
    let bob = person("bob");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET user_role = 'proxy_admin' WHERE user_id = '{bob}'"
        ))
        .await;
    seed::key("k1", &bob).insert(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").disabled();
        tenant.user("bob").disabled();
        tenant
            .group("makers")
            .unassigned("internal_user")
            .assigned_by_default();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 0, "{}", report.json());
    assert_eq!(world.user("bob").await["user_role"], "proxy_admin");
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
    assert_eq!(world.user("cem").await["user_role"], "internal_user_viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_person_chose_is_not_lowered() {
    let world = World::new(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .assigned("internal_user");
    })
    .await;
    world.settle().await;
    let ada = person("ada");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET user_role = 'proxy_admin_viewer' WHERE user_id = '{ada}'"
        ))
        .await;
    world.entra.tenant(|tenant| {
        tenant
            .group("makers")
            .unassigned("internal_user")
            .assigned_by_default();
    });
    world.settle().await;
    assert_eq!(world.user("ada").await["user_role"], "proxy_admin_viewer");
    assert_eq!(world.user("bob").await["user_role"], "internal_user_viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_bound_to_another_person_is_not_deactivated_for_the_first() {
    let world = World::new(two_groups).await;
    seed::user("legacy")
        .with("sso_user_id", json!(null))
        .with("user_email", "bob@contoso.example.com")
        .insert(&world.database)
        .await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").mail("bob@contoso.example.com");
    });
    world.settle().await;
    assert!(
        !world.has_user("bob").await,
        "Bob is the row that was there"
    );
    let cem = person("cem");
    // An administrator gives the row to Cem, whose own row goes.
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET sso_user_id = NULL WHERE user_id = '{cem}'; \
             UPDATE \"LiteLLM_UserTable\" SET sso_user_id = '{cem}' WHERE user_id = 'legacy'"
        ))
        .await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").purged();
    });
    let (report, _) = world.try_pass().await;
    assert_eq!(report.changes.users.deactivated, 0, "{}", report.json());
    let row = world.row("LiteLLM_UserTable", "user_id", "legacy").await;
    assert_ne!(row["metadata"]["scim_active"], false, "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_somebody_else_blocked_stay_blocked_on_return() {
    let world = World::new(two_groups).await;
    world.settle().await;
    let bob = person("bob");
    seed::key("k1", &bob).insert(&world.database).await;
    seed::key("k2", &bob)
        .with("blocked", true)
        .insert(&world.database)
        .await;
    world.entra.tenant(|tenant| {
        tenant.user("bob").soft_deleted();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.keys.blocked, 1);
    world.entra.tenant(|tenant| {
        tenant.user("bob").restored();
    });
    assert_eq!(world.settle().await.changes.keys.unblocked, 1);
    let key = |token: &'static str| world.row("LiteLLM_VerificationToken", "token", token);
    assert_ne!(key("k1").await["blocked"], true);
    assert_eq!(key("k2").await["blocked"], true);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let enabled = AccountEnabled::Enabled;
    world.entra.tenant(|tenant| {
        tenant.user("bob").account(enabled);
    });
    world.settle().await;
}

/// What somebody deleted has ended: under its id a person may make their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_team_made_by_hand_in_place_of_ours_is_theirs() {
    let mut world = world("UNASSIGNED_GROUP", "keep").await;
    world.settle().await;
    let (sales, bob) = (group("sales"), person("bob"));
    unassign(&world, "sales");
    world.settle().await;
    let deleted = format!(
        "DELETE FROM \"LiteLLM_TeamTable\" WHERE team_id = '{sales}';
         DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{sales}';
         UPDATE \"LiteLLM_UserTable\" SET teams = array_remove(teams, '{sales}');"
    );
    world
        .database
        .admin()
        .batch_execute(&deleted)
        .await
        .expect("a deletion");
    world.settle().await;
    assert_eq!(world.managed("sales").await, people([]));
    seed::team(&sales).insert(&world.database).await;
    seed::join(&world.database, &bob, &sales).await;
    seed::key("k1", &bob)
        .with("team_id", sales.as_str())
        .insert(&world.database)
        .await;
    let before = crate::support::tables::litellm(&world.database).await;
    for policy in ["block", "detach", "delete"] {
        world.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", policy);
        world.settle().await;
        let after = crate::support::tables::litellm(&world.database).await;
        assert_eq!(before, after, "{policy}");
    }
}
