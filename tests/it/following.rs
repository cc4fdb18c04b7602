//! Names and addresses follow Entra until a person changes them in LiteLLM.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{group, person};
use crate::support::seed;

async fn science() -> World {
    World::new(|tenant| {
        tenant.user("ada").display_name("Ada Example");
        tenant
            .group("science")
            .display_name("Science")
            .member("ada")
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
}

fn rename(world: &World, name: &str) {
    world.entra.tenant(|tenant| {
        tenant.group("science").display_name(name);
    });
}

fn rename_ada(world: &World, name: &str, upn: &str) {
    world.entra.tenant(|tenant| {
        {
            tenant
                .user("ada")
                .display_name(name)
                .user_principal_name(upn);
        };
    });
}

async fn names(world: &World) -> (Value, Value) {
    (
        world.team("science").await["team_alias"].clone(),
        world.organization("science").await["organization_alias"].clone(),
    )
}

async fn ada(world: &World) -> (Value, Value) {
    let row = world.user("ada").await;
    (row["user_alias"].clone(), row["user_email"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_group_renames_its_team_and_its_organization() {
    let world = science().await;
    world.settle().await;
    rename(&world, "Natural Science");

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 1);
    assert_eq!(report.changes.organizations.updated, 1);
    let wanted = (json!("Natural Science"), json!("Natural Science"));
    assert_eq!(names(&world).await, wanted);
    rename(&world, "Science");
    world.settle().await;
    assert_eq!(names(&world).await, (json!("Science"), json!("Science")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_the_group_objects_not_the_stale_copy_in_the_assignment() {
    let world = science().await;
    // The assignment was made under the first name.
    rename(&world, "Natural Science");

    world.settle().await;

    let wanted = (json!("Natural Science"), json!("Natural Science"));
    assert_eq!(names(&world).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_person_gave_a_team_or_an_organization_stays_for_good() {
    let world = science().await;
    world.settle().await;
    world
        .sql(
            "UPDATE \"LiteLLM_TeamTable\" SET team_alias = 'Labs';
             UPDATE \"LiteLLM_OrganizationTable\" SET organization_alias = 'Labs Inc.'",
        )
        .await;
    world.settle().await;
    rename(&world, "Natural Science");

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 0);
    assert_eq!(report.changes.organizations.updated, 0);
    assert_eq!(names(&world).await, (json!("Labs"), json!("Labs Inc.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_found_under_the_groups_own_name_follows_it_from_then_on() {
    let world = science().await;
    seed::team(&group("science"))
        .with("team_alias", "Science")
        .insert(&world.database)
        .await;
    world.settle().await;
    rename(&world, "Natural Science");

    world.settle().await;

    assert_eq!(world.team("science").await["team_alias"], "Natural Science");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_loses_its_name_takes_nobodys_name_away() {
    let world = science().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_display_name();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.total(), 0);
    assert_eq!(names(&world).await, (json!("Science"), json!("Science")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_a_name_gets_one_later() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_display_name();
    });
    world.settle().await;
    let id = group("science");
    assert_eq!(names(&world).await, (json!(null), json!(id)));
    rename(&world, "Science");

    world.settle().await;

    assert_eq!(names(&world).await, (json!("Science"), json!("Science")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_display_name_and_address_of_a_person_are_followed() {
    let world = science().await;
    world.settle().await;
    rename_ada(&world, "Ada King", "Ada.King@contoso.example.com");

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 1);
    let wanted = (json!("Ada King"), json!("ada.king@contoso.example.com"));
    assert_eq!(ada(&world).await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_address_that_a_person_edited_stay_for_good() {
    let world = science().await;
    world.settle().await;
    world
        .sql(
            "UPDATE \"LiteLLM_UserTable\"
             SET user_alias = 'The Countess', user_email = 'countess@example.com'",
        )
        .await;
    world.settle().await;
    rename_ada(&world, "Ada King", "ada.king@contoso.example.com");

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 0);
    let theirs = (json!("The Countess"), json!("countess@example.com"));
    assert_eq!(ada(&world).await, theirs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_person_cleared_stays_cleared() {
    let world = science().await;
    world.settle().await;
    world
        .sql("UPDATE \"LiteLLM_UserTable\" SET user_alias = NULL")
        .await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 0);
    assert_eq!(world.user("ada").await["user_alias"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_refreshed_to_entras_value_counts_as_ours() {
    let world = science().await;
    seed::user(&person("ada"))
        .with("user_email", "before@contoso.example.com")
        .insert(&world.database)
        .await;
    world.settle().await;
    let found = ada(&world).await;
    assert_eq!(found.1, "before@contoso.example.com", "a person's");
    // As LiteLLM's login does.
    world
        .sql("UPDATE \"LiteLLM_UserTable\" SET user_email = 'ada@contoso.example.com'")
        .await;
    world.settle().await;
    rename_ada(&world, "Ada Example", "ada.king@contoso.example.com");

    world.settle().await;

    assert_eq!(ada(&world).await.1, "ada.king@contoso.example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_another_case_is_the_same() {
    let world = science().await;
    seed::user(&person("ada"))
        .with("user_email", "Ada@Contoso.example.com")
        .insert(&world.database)
        .await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.updated, 1, "the empty alias only");
    let row = world.user("ada").await;
    assert_eq!(row["user_email"], "Ada@Contoso.example.com");
    rename_ada(&world, "Ada Example", "ada.king@contoso.example.com");
    world.settle().await;
    assert_eq!(ada(&world).await.1, "ada.king@contoso.example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_vanishes_in_entra_stays_in_litellm() {
    let world = science()
        .await
        .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").without_mail();
    });

    world.settle().await;

    assert_eq!(ada(&world).await.1, "ada@contoso.example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_a_person_changed_are_never_written_again() {
    let world = science().await.with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"max_budget": 10, "tpm_limit": 5}"#,
    );
    world.settle().await;
    world
        .sql(
            "UPDATE \"LiteLLM_TeamTable\" SET max_budget = 99, tpm_limit = NULL, spend = 3.5;
             UPDATE \"LiteLLM_BudgetTable\" SET max_budget = 99",
        )
        .await;
    rename(&world, "Natural Science");

    world.settle().await;

    let team = world.team("science").await;
    assert_eq!(team["team_alias"], "Natural Science");
    assert_eq!(team["max_budget"], 99);
    assert_eq!(team["tpm_limit"], json!(null));
    assert_eq!(team["spend"], 3.5);
    let budgets = world.database.rows("LiteLLM_BudgetTable").await;
    assert_eq!(budgets[0]["max_budget"], 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_a_renamed_person_leaves_goes_to_whoever_has_it_now() {
    let world = science().await;
    world.settle().await;
    rename_ada(&world, "Ada King", "ada.king@contoso.example.com");
    world.entra.tenant(|tenant| {
        tenant
            .user("namesake")
            .user_principal_name("ada@contoso.example.com");
        tenant.group("science").member("namesake");
    });

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    world.pass().await;
    world.settle().await;
    assert_eq!(ada(&world).await.1, "ada.king@contoso.example.com");
    let namesake = world.user("namesake").await;
    assert_eq!(namesake["user_email"], "ada@contoso.example.com");
    assert_eq!(world.count("LiteLLM_UserTable").await, 2);
}
