//! Whose a row is, and whose doing what it holds: rows that a login or a person
//! gave to somebody else, rows of before, and states that somebody else ended,
//! wrote first, or brought about again.

use entra_sync::simulator::AccountEnabled;
use serde_json::{Value, json};

use crate::support::look::{group, people, person, skipped, text};
use crate::support::{World, seed};

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
}

/// Somebody, or LiteLLM's login, writes a column of a row.
async fn write(world: &World, user: &str, column: &str, value: &str) {
    let statement =
        format!("UPDATE \"LiteLLM_UserTable\" SET {column} = {value} WHERE user_id = '{user}'");
    world.sql(&statement).await;
}

async fn switch(world: &World, user: &str, active: bool) {
    let value = format!("metadata || '{{\"scim_active\": {active}}}'");
    write(world, user, "metadata", &value).await;
}

async fn active(world: &World, user: &str) -> Value {
    let row = world.row("LiteLLM_UserTable", "user_id", user).await;
    row["metadata"]["scim_active"].clone()
}

async fn role(world: &World, key: &str) -> String {
    text(&world.user(key).await, "user_role")
}

/// LiteLLM's login finds who has taken over an address by it, and binds the row.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_login_gave_to_somebody_else_is_ended_with_them() {
    let world = World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant.group("rest").member("cyd").assigned_by_default();
    })
    .await;
    world.settle().await;
    let (ada, zoe) = (person("ada"), person("zoe"));
    seed::key("k", &ada).insert(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").purged();
        let zoe = tenant.user("zoe");
        zoe.user_principal_name("ada@contoso.example.com");
        tenant.group("rest").member("zoe");
    });
    write(&world, &ada, "sso_user_id", &format!("'{zoe}'")).await;
    let report = world.settle().await;
    assert_eq!(report.changes.users.deactivated, 0, "it is Zoe's now");
    world.entra.tenant(|tenant| {
        tenant.group("rest").without_member("zoe");
        tenant.user("zoe").disabled();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    assert_eq!(active(&world, &ada).await, false);
    world.entra.tenant(|tenant| {
        tenant.user("zoe").purged();
    });
    world.settle().await;
    assert_eq!(active(&world, &ada).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_somebody_outside_the_source_is_neither_ended_nor_lowered_nor_given_back() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").member("cyd");
        tenant.user("ada").assigned("internal_user");
        tenant.user("cyd").assigned("internal_user");
    });
    world.settle().await;
    let [ada, bob, cyd] = ["ada", "bob", "cyd"].map(person);
    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    world.settle().await;
    for (user, outsider) in [(&ada, "x"), (&bob, "y"), (&cyd, "z")] {
        write(&world, user, "sso_user_id", &format!("'{outsider}'")).await;
    }
    world.entra.tenant(|tenant| {
        tenant.user("ada").disabled();
        tenant.user("bob").account(AccountEnabled::Enabled);
        tenant.user("cyd").unassigned_entirely();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.deactivated, 0, "{}", report.json());
    assert_eq!(report.changes.users.reactivated, 0, "{}", report.json());
    assert_eq!(report.changes.users.updated, 0, "{}", report.json());
    assert_ne!(active(&world, &ada).await, false);
    assert_eq!(active(&world, &bob).await, false);
    assert_eq!(role(&world, "cyd").await, "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deactivation_that_comes_after_ours_had_ended_is_not_taken_back() {
    for anew in [false, true] {
        let world = science().await;
        world.settle().await;
        let ada = person("ada");
        world.entra.tenant(|tenant| {
            tenant.user("ada").disabled();
        });
        assert_eq!(world.settle().await.changes.users.deactivated, 1);
        if anew {
            let gone = format!("DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = '{ada}'");
            world.sql(&gone).await;
        } else {
            switch(&world, &ada, true).await;
        }
        world.entra.tenant(|tenant| {
            tenant.user("ada").account(AccountEnabled::Enabled);
        });
        world.settle().await;
        assert_ne!(active(&world, &ada).await, false, "made anew: {anew}");

        switch(&world, &ada, false).await;
        let report = world.settle().await;

        assert_eq!(report.changes.users.reactivated, 0, "made anew: {anew}");
        assert_eq!(active(&world, &ada).await, false, "made anew: {anew}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_login_wrote_before_the_pass_is_lowered_as_ours() {
    let world = science().await;
    world.settle().await;
    let [ada, bob] = ["ada", "bob"].map(person);
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin");
        tenant.user("bob").assigned("internal_user");
    });
    write(&world, &ada, "user_role", "'proxy_admin'").await;
    write(&world, &bob, "user_role", "'internal_user'").await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").unassigned_entirely().disabled();
        tenant.user("bob").unassigned_entirely();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 2, "{}", report.json());
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    assert_eq!(role(&world, "ada").await, "internal_user_viewer");
    assert_eq!(role(&world, "bob").await, "internal_user_viewer");
    assert_eq!(active(&world, &ada).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_had_left_the_row_is_theirs_who_give_it_again() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin");
        tenant.user("bob").assigned("proxy_admin");
    });
    world.settle().await;
    let [ada, bob] = ["ada", "bob"].map(person);
    // One in Entra as well, one while nobody reads her.
    write(&world, &ada, "user_role", "'internal_user'").await;
    write(&world, &bob, "user_role", "'internal_user_viewer'").await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").unassigned_entirely();
        tenant.group("science").without_member("ada");
        tenant.user("bob").unassigned_entirely();
    });
    world.settle().await;
    for user in [&ada, &bob] {
        write(&world, user, "user_role", "'proxy_admin'").await;
    }
    let report = world.settle().await;
    assert_eq!(report.changes.users.updated, 0, "{}", report.json());
    world.entra.tenant(|tenant| {
        tenant.user("ada").disabled();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.deactivated, 0, "{}", report.json());
    assert_eq!(skipped(&report), [(&*ada, "administrator_not_ours")]);
    for (key, user) in [("ada", &ada), ("bob", &bob)] {
        assert_eq!(role(&world, key).await, "proxy_admin");
        assert_ne!(active(&world, user).await, false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_default_role_lowers_nobody_who_had_no_app_role() {
    let default = "ENTRA_SYNC__LITELLM__DEFAULT_INTERNAL_USER_PARAMS";
    let mut world = science()
        .await
        .with(default, r#"{"user_role": "internal_user"}"#);
    world.entra.tenant(|tenant| {
        tenant.user("bob").assigned("proxy_admin_viewer");
    });
    world.settle().await;
    world.set(default, "{}");

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 0, "{}", report.json());
    assert_eq!(role(&world, "ada").await, "internal_user");
    world.entra.tenant(|tenant| {
        tenant.user("bob").unassigned_entirely();
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.updated, 1, "{}", report.json());
    assert_eq!(role(&world, "bob").await, "internal_user_viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_that_is_bound_to_a_person_goes_and_comes_back_with_them() {
    let world = science().await;
    let ada = person("ada");
    seed::user("by hand")
        .with("sso_user_id", ada.clone())
        .insert(&world.database)
        .await;
    world.settle().await;
    assert!(!world.has_user("ada").await, "Ada is the row made by hand");
    seed::user(&ada)
        .with("sso_user_id", json!(null))
        .insert(&world.database)
        .await;
    world.settle().await;
    seed::key("k", "by hand").insert(&world.database).await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
        tenant.user("ada").disabled();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.deactivated, 2, "{}", report.json());
    assert_eq!(world.members("science").await, people(["bob"]));
    assert_eq!(active(&world, &ada).await, false);
    assert_eq!(active(&world, "by hand").await, false);
    world.entra.tenant(|tenant| {
        tenant.group("science").member("ada");
        tenant.user("ada").account(AccountEnabled::Enabled);
    });
    let report = world.settle().await;
    assert_eq!(report.changes.users.reactivated, 2, "{}", report.json());
    assert_ne!(active(&world, "by hand").await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_no_group_that_is_read_is_given_back_when_enabled() {
    let mut world = World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant.group("sales").member("cyd").assigned_by_default();
    })
    .await;
    world.settle().await;
    world.set("ENTRA_SYNC__ENTRA__EXCLUDE_GROUPS", group("sales"));
    world.entra.tenant(|tenant| {
        tenant.user("cyd").disabled();
    });
    assert_eq!(world.settle().await.changes.users.deactivated, 1);
    world.entra.tenant(|tenant| {
        tenant.user("cyd").account(AccountEnabled::Enabled);
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.reactivated, 1, "{}", report.json());
    assert_ne!(active(&world, &person("cyd")).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_the_team_by_hand_stays_in_its_organization() {
    let world = science()
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.settle().await;
    let (science, ada) = (group("science"), person("ada"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = \
                 (SELECT jsonb_agg(CASE WHEN entry ->> 'user_id' = '{ada}' \
                     THEN entry || '{{\"role\": \"admin\"}}' ELSE entry END) \
                  FROM jsonb_array_elements(members_with_roles) AS entry) \
             WHERE team_id = '{science}'"
        ))
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
    });

    world.settle().await;

    let both = people(["ada", "bob"]);
    assert_eq!(world.members("science").await, both);
    assert_eq!(world.organization_members("science").await, both);
    assert_eq!(world.managed("science").await, people(["bob"]));
}
