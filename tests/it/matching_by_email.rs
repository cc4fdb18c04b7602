//! A row is taken by its e-mail only if nothing about it is in doubt;
//! otherwise the person gets a row of their own, without the address.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{group, person, skipped};
use crate::support::seed::{self, Row};

const UPN: &str = "ada@contoso.example.com";

async fn ada() -> World {
    World::new(|tenant| {
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await
}

/// Somebody whom an administrator entered with ada's address.
fn invited() -> Row {
    seed::user("invited")
        .with("sso_user_id", json!(null))
        .with("user_email", "Ada@Contoso.example.com")
        .with("user_role", "internal_user")
        .with("metadata", json!({}))
}

async fn row(world: &World) -> Value {
    world.row("LiteLLM_UserTable", "user_id", "invited").await
}

/// Ada has a row of her own without the address, and the other row is as it
/// was.
async fn refused(world: &World) {
    let before = row(world).await;
    let report = world.settle().await;
    assert_eq!(row(world).await, before);
    assert_eq!(world.members("science").await, [person("ada")]);
    let own = world.user("ada").await;
    assert_eq!(own["sso_user_id"], person("ada"));
    assert_eq!(own["user_email"], json!(null));
    let ada = person("ada");
    assert_eq!(skipped(&report), [(ada.as_str(), "email_taken")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_and_one_person_with_the_address_are_the_same() {
    let world = ada().await;
    invited().insert(&world.database).await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 0);
    assert_eq!(report.changes.users.updated, 1);
    assert_eq!(world.members("science").await, ["invited"]);
    let row = row(&world).await;
    assert_eq!(row["sso_user_id"], person("ada"), "bound, as a login would");
    assert_eq!(row["user_role"], "internal_user");
    assert_eq!(world.count("LiteLLM_UserTable").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rows_with_the_address_are_in_doubt() {
    let world = ada().await;
    invited().insert(&world.database).await;
    seed::user("another")
        .with("user_email", UPN)
        .insert(&world.database)
        .await;

    refused(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_with_the_address_are_in_doubt() {
    let world = ada().await;
    world.entra.tenant(|tenant| {
        tenant.user("zoe").user_principal_name(UPN);
        tenant.group("arts").member("zoe").assigned_by_default();
    });
    invited().insert(&world.database).await;
    let before = row(&world).await;

    let report = world.settle().await;

    assert_eq!(row(&world).await, before);
    assert_eq!(report.changes.users.created, 2);
    assert_eq!(report.skipped.len(), 2, "{:?}", report.skipped);
    assert_eq!(world.members("science").await, [person("ada")]);
    assert_eq!(world.members("arts").await, [person("zoe")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_bound_to_another_identity_is_not_taken() {
    let world = ada().await;
    invited()
        .with("sso_user_id", "another identity")
        .insert(&world.database)
        .await;

    refused(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_admin_is_not_taken() {
    let world = ada().await;
    invited()
        .with("user_role", "proxy_admin")
        .insert(&world.database)
        .await;

    refused(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_proxy_admin_id_is_not_taken() {
    let world = ada().await.with("PROXY_ADMIN_ID", "invited");
    invited().insert(&world.database).await;

    refused(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_when_the_settings_forbid_it() {
    let world = ada()
        .await
        .with("ENTRA_SYNC__LITELLM__ADOPT_BY_EMAIL", "false");
    invited().insert(&world.database).await;

    refused(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_as_which_another_person_read_has_logged_in_is_not_taken() {
    let world = ada().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("zoe").assigned_by_default();
    });
    invited().insert(&world.database).await;
    seed::verified_subject(&person("zoe"), "invited")
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(world.members("arts").await, ["invited"]);
    assert_eq!(world.members("science").await, [person("ada")]);
    assert_eq!(row(&world).await["sso_user_id"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_as_which_a_stranger_has_logged_in_is_not_taken() {
    let world = ada().await;
    invited().insert(&world.database).await;
    seed::verified_subject(&person("stranger"), "invited")
        .insert(&world.database)
        .await;

    refused(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_somebody_elses_by_id_is_not_taken_whoever_comes_first() {
    // Two tries, so that each of the two people comes first by id in one.
    for (owner, other) in [("ada", "zoe"), ("zoe", "ada")] {
        let address = format!("{other}@contoso.example.com");
        let world = World::new(|tenant| {
            tenant.group("science").member(owner).assigned_by_default();
            tenant.group("arts").member(other).assigned_by_default();
        })
        .await;
        seed::user(&person(owner))
            .with("sso_user_id", json!(null))
            .with("user_email", address.as_str())
            .insert(&world.database)
            .await;

        world.settle().await;

        assert_eq!(world.members("science").await, [person(owner)]);
        assert_eq!(world.members("arts").await, [person(other)]);
        assert_eq!(world.user(owner).await["sso_user_id"], json!(null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_takes_no_row_by_address() {
    let world = ada().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").disabled();
    });
    invited().insert(&world.database).await;
    let before = row(&world).await;

    let report = world.settle().await;

    assert_eq!(row(&world).await, before);
    let ada = person("ada");
    assert_eq!(skipped(&report), [(ada.as_str(), "disabled")]);
    assert!(world.members("science").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_becomes_free_is_filled_in() {
    let world = ada().await;
    invited()
        .with("sso_user_id", "another identity")
        .insert(&world.database)
        .await;
    refused(&world).await;
    world
        .sql("DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = 'invited'")
        .await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 1);
    assert_eq!(report.skipped, []);
    assert_eq!(world.user("ada").await["user_email"], UPN);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_new_people_with_one_address_do_not_both_get_it() {
    let world = World::new(|tenant| {
        tenant.user("ada").user_principal_name("both@example.com");
        tenant.user("bob").user_principal_name("BOTH@example.com");
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 2);
    let rows = world.database.rows("LiteLLM_UserTable").await;
    let with_it = rows
        .iter()
        .filter(|row| row["user_email"] == "both@example.com");
    assert_eq!(with_it.count(), 1);
    assert_eq!(report.skipped.len(), 1);
    assert_eq!(report.skipped[0].reason, "email_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_the_roster_by_address_only_is_joined_by_id() {
    let world = ada().await;
    let entry = json!({ "user_id": null, "user_email": UPN, "role": "user" });
    seed::team(&group("science"))
        .with("members_with_roles", json!([entry]))
        .insert(&world.database)
        .await;

    world.settle().await;

    let roster = world.team("science").await["members_with_roles"].clone();
    assert_eq!(roster[0], entry, "a person's entry stays");
    assert_eq!(roster[1]["user_id"], person("ada"));
    assert_eq!(roster[1]["user_email"], UPN);
}

/// A principal name that is free again goes to somebody else; with it go
/// neither the row nor the keys of whoever had it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reused_principal_name_is_another_person() {
    for subject_is_bound in [true, false] {
        let world = ada().await;
        world.settle().await;
        let old = person("ada");
        seed::key("adas", &old).insert(&world.database).await;
        if !subject_is_bound {
            // As a login that LiteLLM verified leaves it.
            world
                .sql("UPDATE \"LiteLLM_UserTable\" SET sso_user_id = NULL")
                .await;
            seed::verified_subject(&old, &old)
                .insert(&world.database)
                .await;
        }
        world.entra.tenant(|tenant| {
            tenant.user("ada").purged();
            tenant.user("successor").user_principal_name(UPN);
            tenant.group("science").member("successor");
        });

        let report = world.settle().await;

        let successor = person("successor");
        assert_eq!(report.changes.users.created, 1, "{}", report.json());
        assert_eq!(report.changes.users.deactivated, 1);
        let own = world.user("successor").await;
        assert_eq!(own["sso_user_id"], successor);
        assert_eq!(own["user_email"], json!(null), "it is still the old row's");
        assert_eq!(
            skipped(&report),
            [(successor.as_str(), "email_taken")],
            "bound: {subject_is_bound}"
        );
        assert_eq!(world.members("science").await, [successor]);
        let keys = world.database.rows("LiteLLM_VerificationToken").await;
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0]["user_id"], old);
        assert_eq!(keys[0]["blocked"], true);
    }
}
