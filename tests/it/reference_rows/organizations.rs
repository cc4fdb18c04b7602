//! Organizations, with their budgets and members, and teams inside them.

use serde_json::json;

use super::{MEMBERSHIP, PARAMS, Section, TEAM, USER, ada, same_columns};
use crate::support::World;
use crate::support::look::{group, person, text};
use crate::support::seed;

#[tokio::test(flavor = "multi_thread")]
async fn a_team_in_the_organization_of_the_default_params() {
    let section = Section::read("team_in_an_organization", &["grp-org"], &["u-org"]);
    let world = World::new(|tenant| {
        ada(tenant, "u-org", "org@example.com");
        tenant
            .group("grp-org")
            .display_name("Org Group")
            .member("u-org")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());
    for table in ["LiteLLM_BudgetTable", "LiteLLM_OrganizationTable"] {
        let row = section.rows(table).remove(0);
        seed::recorded(table, row).insert(&world.database).await;
    }

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
    section.check(&world, USER, &["user_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &[])
        .await;
    for table in ["LiteLLM_BudgetTable", "LiteLLM_OrganizationTable"] {
        assert_eq!(
            world.database.rows(table).await,
            section.rows(table),
            "untouched"
        );
    }
    assert_eq!(world.count("LiteLLM_OrganizationMembership").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_in_an_organization_that_does_not_exist() {
    let section = Section::read("team_in_an_organization_that_does_not_exist", &[], &[]);
    let world = World::new(|tenant| {
        tenant
            .group("grp-lost")
            .display_name("Lost Group")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());

    let report = world.pass().await;

    assert_eq!(world.count(TEAM).await, 0);
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].id, group("grp-lost"));
    assert!(
        report.errors[0].message.contains("no-such-org"),
        "{:?}",
        report.errors
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_with_its_budget_and_its_member() {
    let section = Section::read("organization_rows_of_1.100.0", &[], &[]);
    let row = |table: &str| section.content[table][0].clone();
    let (organization, budget) = (row("LiteLLM_OrganizationTable"), row("LiteLLM_BudgetTable"));
    let world = World::new(|tenant| {
        let name = text(&organization, "organization_alias");
        tenant
            .group("org")
            .display_name(&name)
            .member("ada")
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with(
        PARAMS,
        json!({
            "models": organization["models"], "max_budget": budget["max_budget"],
            "tpm_limit": budget["tpm_limit"], "rpm_limit": budget["rpm_limit"],
            "budget_duration": budget["budget_duration"],
        }),
    );

    world.settle().await;

    // Metadata was given in the call of the fixture; nothing gives us any.
    let ours = world.organization("org").await;
    same_columns(
        &ours,
        &organization,
        &["organization_id", "budget_id", "metadata"],
    );
    assert_eq!(ours["metadata"], json!({}));
    // 1.100.0 left the first reset to a job; 1.109.1 reckons it at once
    // (litellm-contract 2b).
    let ours = world
        .row(
            "LiteLLM_BudgetTable",
            "budget_id",
            &text(&ours, "budget_id"),
        )
        .await;
    same_columns(&ours, &budget, &["budget_id", "budget_reset_at"]);
    let ours = world.database.rows("LiteLLM_OrganizationMembership").await;
    assert_eq!(ours.len(), 1);
    let theirs = row("LiteLLM_OrganizationMembership");
    same_columns(&ours[0], &theirs, &["user_id", "organization_id"]);
    assert_eq!(ours[0]["user_id"], person("ada"));
    assert_eq!(ours[0]["organization_id"], group("org"));
}
