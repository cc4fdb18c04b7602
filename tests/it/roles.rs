//! App roles become `user_role`: the highest wins, and only what we gave is
//! lowered.

use entra_sync::model::report::Kind;
use entra_sync::simulator::{RoleState, Tenant, app_role_id};
use serde_json::json;

use crate::support::World;
use crate::support::look::{person, skipped};
use crate::support::seed;

async fn world(furnish: impl FnOnce(&mut Tenant)) -> World {
    World::new(furnish).await
}

async fn role(world: &World, key: &str) -> String {
    crate::support::look::text(&world.user(key).await, "user_role")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_of_all_assignments_wins() {
    let world = world(|tenant| {
        tenant
            .group("readers")
            .members(["ada", "bob", "cyd", "dan"])
            .assigned("internal_user_viewer");
        tenant
            .group("makers")
            .members(["ada", "bob", "cyd"])
            .assigned("internal_user");
        tenant
            .group("auditors")
            .members(["ada", "bob"])
            .assigned("internal_user_viewer")
            .assigned("proxy_admin_viewer");
        tenant.user("ada").assigned("proxy_admin");
        tenant.user("ada").assigned("internal_user_viewer");
    })
    .await;

    world.settle().await;

    assert_eq!(role(&world, "ada").await, "proxy_admin");
    assert_eq!(role(&world, "bob").await, "proxy_admin_viewer");
    assert_eq!(role(&world, "cyd").await, "internal_user");
    assert_eq!(role(&world, "dan").await, "internal_user_viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_in_capitals_is_the_same_role() {
    let world = world(|tenant| {
        tenant
            .group("makers")
            .member("ada")
            .assigned("Internal_USER");
    })
    .await;

    world.settle().await;

    assert_eq!(role(&world, "ada").await, "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_role_the_default_counts_and_without_one_the_viewer() {
    let mut world = world(|tenant| {
        tenant.group("plain").member("ada").assigned_by_default();
        tenant.group("foreign").member("bob").assigned("billing");
        tenant.group("nameless").member("cyd").assigned("nameless");
    })
    .await;
    world.entra.tenant(|tenant| {
        tenant.application().role_without_value("nameless");
    });
    let report = world.settle().await;
    for key in ["ada", "bob", "cyd"] {
        assert_eq!(role(&world, key).await, "internal_user_viewer");
    }
    assert_eq!(report.skipped, [], "roles for other purposes are no news");
    world.set(
        "ENTRA_SYNC__LITELLM__DEFAULT_INTERNAL_USER_PARAMS",
        r#"{"user_role": "internal_user"}"#,
    );
    world.entra.tenant(|tenant| {
        tenant.group("plain").member("dan");
    });

    world.settle().await;

    assert_eq!(role(&world, "dan").await, "internal_user");
    assert_eq!(
        role(&world, "ada").await,
        "internal_user_viewer",
        "new ones only"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_litellm_refuses_count_as_none_and_are_named() {
    let world = world(|tenant| {
        tenant.group("a").member("ada").assigned("customer");
        tenant.group("b").member("bob").assigned("team");
        tenant
            .group("c")
            .member("cyd")
            .assigned("Org_Admin")
            .assigned("internal_user");
    })
    .await;

    let report = world.settle().await;

    assert_eq!(role(&world, "ada").await, "internal_user_viewer");
    assert_eq!(role(&world, "bob").await, "internal_user_viewer");
    assert_eq!(role(&world, "cyd").await, "internal_user");
    let mut wanted: Vec<String> = ["customer", "team", "Org_Admin"]
        .map(|value| app_role_id(value).to_string())
        .to_vec();
    wanted.sort();
    let wanted: Vec<(&str, &str)> = wanted
        .iter()
        .map(|id| (id.as_str(), "role_refused"))
        .collect();
    assert_eq!(skipped(&report), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_role_counts_as_none_and_is_named() {
    let world = world(|tenant| {
        tenant
            .group("makers")
            .member("ada")
            .assigned("internal_user");
        tenant
            .application()
            .role("internal_user", RoleState::Disabled);
    })
    .await;

    let report = world.settle().await;

    assert_eq!(role(&world, "ada").await, "internal_user_viewer");
    let id = app_role_id("internal_user").to_string();
    assert_eq!(skipped(&report), [(id.as_str(), "role_disabled")]);
    assert_eq!(
        world.members("makers").await,
        [person("ada")],
        "still a member"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_direct_members_receive_a_groups_role() {
    for membership in ["direct", "transitive"] {
        let world = world(|tenant| {
            tenant.group("inner").member("bob");
            tenant
                .group("makers")
                .member("ada")
                .nested("inner")
                .assigned("internal_user");
            tenant.user("bob").assigned_by_default();
        })
        .await
        .with("ENTRA_SYNC__ENTRA__MEMBERSHIP", membership);

        world.settle().await;

        let mut wanted = vec![person("ada")];
        if membership == "transitive" {
            wanted.push(person("bob"));
        }
        wanted.sort();
        assert_eq!(world.members("makers").await, wanted, "{membership}");
        assert_eq!(role(&world, "ada").await, "internal_user");
        assert_eq!(
            role(&world, "bob").await,
            "internal_user_viewer",
            "{membership}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_raised_for_whoever_is_there_already() {
    let world = world(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .assigned("internal_user");
    })
    .await;
    seed::user(&person("ada")).insert(&world.database).await;
    seed::user(&person("bob"))
        .with("user_role", json!(null))
        .insert(&world.database)
        .await;
    world.settle().await;
    assert_eq!(role(&world, "ada").await, "internal_user");
    assert_eq!(role(&world, "bob").await, "internal_user");
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin");
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 1);
    assert_eq!(role(&world, "ada").await, "proxy_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_somebody_else_gave_is_never_lowered() {
    let world = world(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .assigned("internal_user");
    })
    .await
    .with("PROXY_ADMIN_ID", person("bob"));
    seed::user(&person("ada"))
        .with("user_role", "proxy_admin")
        .insert(&world.database)
        .await;
    seed::user(&person("bob"))
        .with("user_role", "proxy_admin")
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(role(&world, "ada").await, "proxy_admin");
    assert_eq!(role(&world, "bob").await, "proxy_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_outside_the_ranking_is_a_persons_and_stays() {
    let world = world(|tenant| {
        tenant.group("makers").member("ada").assigned("proxy_admin");
    })
    .await;
    seed::user(&person("ada"))
        .with("user_role", "customer")
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(role(&world, "ada").await, "customer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_assigned_directly_is_a_user_with_that_role_and_no_team() {
    let world = world(|tenant| {
        tenant.user("ada").assigned("internal_user");
        tenant.user("bob").assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 2);
    assert_eq!(role(&world, "ada").await, "internal_user");
    assert_eq!(role(&world, "bob").await, "internal_user_viewer");
    assert_eq!(world.user("ada").await["teams"], json!([]));
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_OrganizationTable",
        "LiteLLM_TeamMembership",
    ] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lesser_role_that_is_left_is_what_remains() {
    let world = world(|tenant| {
        tenant
            .group("admins")
            .members(["ada", "bob", "cyd"])
            .assigned("proxy_admin");
        tenant
            .group("makers")
            .members(["ada", "bob", "cyd"])
            .assigned("internal_user");
    })
    .await;
    world.settle().await;
    let bob = person("bob");
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET user_role = 'proxy_admin_viewer' WHERE user_id = '{bob}'"
        ))
        .await;
    world.entra.tenant(|tenant| {
        let admins = tenant.group("admins");
        admins.without_member("ada").without_member("bob");
    });
    let planned = world.plan().await;
    let of_users: Vec<_> = planned
        .plan
        .items()
        .filter(|item| item.kind == Kind::User)
        .map(|item| (item.action, item.id, item.before, item.after))
        .collect();
    let (before, after) = (
        json!({ "user_role": "proxy_admin" }),
        json!({ "user_role": "internal_user" }),
    );
    assert_eq!(of_users, [("update", person("ada"), before, after)]);

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 1);
    assert_eq!(role(&world, "ada").await, "internal_user");
    assert_eq!(role(&world, "bob").await, "proxy_admin_viewer", "chosen");
    assert_eq!(role(&world, "cyd").await, "proxy_admin");
    world.entra.tenant(|tenant| {
        tenant.group("admins").member("ada");
    });
    world.settle().await;
    assert_eq!(role(&world, "ada").await, "proxy_admin", "raised again");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_role_of_the_same_group_is_everybodys_who_had_the_first() {
    let world = world(|tenant| {
        tenant
            .group("staff")
            .members(["ada", "bob"])
            .assigned("proxy_admin");
        tenant.user("ada").assigned("proxy_admin_viewer");
    })
    .await;
    world.settle().await;
    assert_eq!(role(&world, "bob").await, "proxy_admin");
    world.entra.tenant(|tenant| {
        let staff = tenant.group("staff");
        staff.assigned("internal_user").unassigned("proxy_admin");
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 2);
    assert_eq!(report.changes.team_memberships.removed, 0);
    assert_eq!(role(&world, "ada").await, "proxy_admin_viewer", "her own");
    assert_eq!(role(&world, "bob").await, "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_disabled_or_deleted_while_people_have_it_counts_no_more() {
    let world = world(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .assigned("internal_user");
        tenant
            .group("auditors")
            .members(["bob", "cyd"])
            .assigned("proxy_admin_viewer");
    })
    .await;
    world.settle().await;
    assert_eq!(role(&world, "bob").await, "proxy_admin_viewer");
    world.entra.tenant(|tenant| {
        let application = tenant.application();
        application
            .role("internal_user", RoleState::Disabled)
            .without_role("proxy_admin_viewer");
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 3);
    for key in ["ada", "bob", "cyd"] {
        assert_eq!(role(&world, key).await, "internal_user_viewer", "{key}");
    }
    assert_eq!(
        world.members("makers").await.len(),
        2,
        "members all the same"
    );
    let id = app_role_id("internal_user").to_string();
    assert_eq!(skipped(&report), [(id.as_str(), "role_disabled")]);
    world.entra.tenant(|tenant| {
        let application = tenant.application();
        application.role("internal_user", RoleState::Enabled);
    });
    world.settle().await;
    assert_eq!(role(&world, "ada").await, "internal_user");
    assert_eq!(role(&world, "bob").await, "internal_user");
    assert_eq!(role(&world, "cyd").await, "internal_user_viewer");
}
