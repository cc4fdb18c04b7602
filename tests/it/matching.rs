//! Which row of LiteLLM's stands for which person: by id, by single sign-on
//! id, by a login that LiteLLM verified.

use serde_json::json;

use crate::support::World;
use crate::support::look::{person, skipped};
use crate::support::seed;

const UPN: &str = "ada@contoso.example.com";

async fn ada() -> World {
    World::new(|tenant| {
        tenant.user("ada").display_name("Ada Example");
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await
}

/// The one user there is, who is a member.
async fn only_member(world: &World, user: &str) -> serde_json::Value {
    assert_eq!(world.count("LiteLLM_UserTable").await, 1);
    assert_eq!(world.members("science").await, [user]);
    assert_eq!(world.managed("science").await, [person("ada")]);
    world.row("LiteLLM_UserTable", "user_id", user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn by_user_id() {
    let world = ada().await;
    seed::user(&person("ada"))
        .with("user_alias", "Ada by hand")
        .with("user_role", "internal_user")
        .with("max_budget", 3.0)
        .insert(&world.database)
        .await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 0);
    let row = only_member(&world, &person("ada")).await;
    assert_eq!(row["user_alias"], "Ada by hand");
    assert_eq!(row["user_role"], "internal_user");
    assert_eq!(row["max_budget"], 3);
    assert_eq!(row["user_email"], UPN, "an empty address is filled");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_user_id_even_if_another_row_has_the_address() {
    let world = ada().await;
    seed::user(&person("ada")).insert(&world.database).await;
    seed::user("somebody")
        .with("sso_user_id", json!(null))
        .with("user_email", UPN)
        .insert(&world.database)
        .await;
    let stranger = world.row("LiteLLM_UserTable", "user_id", "somebody").await;

    let report = world.settle().await;

    assert_eq!(world.members("science").await, [person("ada")]);
    assert_eq!(world.user("ada").await["user_email"], json!(null));
    let ada = person("ada");
    assert_eq!(skipped(&report), [(ada.as_str(), "email_taken")]);
    let after = world.row("LiteLLM_UserTable", "user_id", "somebody").await;
    assert_eq!(after, stranger);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_sso_user_id() {
    let world = ada().await;
    seed::user("local-name")
        .with("sso_user_id", person("ada"))
        .insert(&world.database)
        .await;

    world.settle().await;

    let row = only_member(&world, "local-name").await;
    assert_eq!(row["sso_user_id"], person("ada"));
    assert_eq!(row["user_alias"], "Ada Example");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_login_that_litellm_verified() {
    let world = ada().await;
    seed::user("local-name")
        .with("sso_user_id", json!(null))
        .insert(&world.database)
        .await;
    seed::verified_subject(&person("ada"), "local-name")
        .insert(&world.database)
        .await;

    world.settle().await;

    let row = only_member(&world, "local-name").await;
    assert_eq!(row["sso_user_id"], json!(null), "not bound either");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_a_verified_login_that_is_bound_to_another_identity_is_nobodys() {
    let world = ada().await;
    seed::user("local-name")
        .with("sso_user_id", "an older identity")
        .insert(&world.database)
        .await;
    seed::verified_subject(&person("ada"), "local-name")
        .insert(&world.database)
        .await;

    let report = world.settle().await;

    assert_eq!(report.skipped.len(), 1);
    assert_eq!(report.skipped[0].reason, "row_of_another");
    assert!(world.members("science").await.is_empty());
    let row = world
        .row("LiteLLM_UserTable", "user_id", "local-name")
        .await;
    assert_eq!(row["sso_user_id"], "an older identity", "never rebound");
    assert_eq!(world.count("LiteLLM_UserTable").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_object_id_in_capitals_is_the_same() {
    let world = ada().await;
    seed::user("local-name")
        .with("sso_user_id", json!(null))
        .insert(&world.database)
        .await;
    seed::verified_subject(&person("ada").to_uppercase(), "local-name")
        .insert(&world.database)
        .await;

    world.settle().await;

    only_member(&world, "local-name").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_attribute_that_litellm_takes_for_the_id() {
    let world = World::new(|tenant| {
        tenant.user("ada").attribute("employeeId", "E-7");
        tenant.user("bob").attribute("employeeId", "E-8");
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("MICROSOFT_USER_ID_ATTRIBUTE", "employeeId");
    seed::user("E-7").insert(&world.database).await;

    world.settle().await;

    assert_eq!(world.members("science").await, ["E-7", "E-8"]);
    let bob = world.row("LiteLLM_UserTable", "user_id", "E-8").await;
    assert_eq!(bob["sso_user_id"], "E-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_with_one_id_attribute_get_no_row() {
    let world = World::new(|tenant| {
        tenant.user("ada").attribute("employeeId", "E-7");
        tenant.user("bob").attribute("employeeId", "E-7");
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("MICROSOFT_USER_ID_ATTRIBUTE", "employeeId");

    let report = world.settle().await;

    assert!(world.members("science").await.is_empty());
    assert_eq!(world.count("LiteLLM_UserTable").await, 0);
    assert_eq!(report.skipped.len(), 2);
    assert!(
        report
            .skipped
            .iter()
            .all(|one| one.reason == "subject_shared")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_found_once_stays_the_same_row_when_the_address_changes() {
    let world = ada().await;
    seed::user("local-name")
        .with("sso_user_id", json!(null))
        .with("user_email", UPN)
        .insert(&world.database)
        .await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        {
            tenant
                .user("ada")
                .user_principal_name("countess@contoso.example.com");
        };
    });

    world.settle().await;

    let row = only_member(&world, "local-name").await;
    assert_eq!(row["user_email"], "countess@contoso.example.com");
}
