//! Teams, with the budget that their members share.

use serde_json::json;

use super::{MEMBERSHIP, PARAMS, Section, TEAM, USER, ada, same_columns};
use crate::support::World;
use crate::support::look::text;
use crate::support::seed;

#[tokio::test(flavor = "multi_thread")]
async fn a_team_without_default_params() {
    let section = Section::read(
        "team_without_default_params",
        &["grp-plain", "grp-noname"],
        &[],
    );
    let world = World::new(|tenant| {
        tenant
            .group("grp-plain")
            .display_name("Plain Group")
            .assigned_by_default();
        tenant
            .group("grp-noname")
            .without_display_name()
            .assigned_by_default();
    })
    .await;

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_with_default_params() {
    let section = Section::read("team_with_default_params_dict", &["grp-dict"], &[]);
    let world = World::new(|tenant| {
        tenant
            .group("grp-dict")
            .display_name("Dict Group")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());

    world.settle().await;

    section.check(&world, TEAM, &["team_id"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_with_a_budget_of_each_duration() {
    let keys = ["grp-mo", "grp-24h", "grp-7d", "grp-1h"];
    let section = Section::read("team_with_default_params_budget_only", &keys, &[]);
    for (key, row) in keys.iter().zip(section.rows(TEAM)) {
        let world = World::new(|tenant| {
            let name = text(&row, "team_alias");
            tenant.group(key).display_name(&name).assigned_by_default();
        })
        .await
        .with(
            PARAMS,
            // The settings of the fixture are those of its last step.
            json!({ "max_budget": row["max_budget"], "budget_duration": row["budget_duration"] }),
        );

        world.settle().await;

        same_columns(&world.team(key).await, &row, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_whose_members_share_a_budget() {
    let section = Section::read(
        "team_with_member_defaults",
        &["grp-memberbudget"],
        &["u-mb"],
    );
    let world = World::new(|tenant| {
        ada(tenant, "u-mb", "mb@example.com");
        tenant
            .group("grp-memberbudget")
            .display_name("Member Budget Group")
            .member("u-mb")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());

    world.settle().await;

    // The budget's id ends in random digits, wherever it is named.
    let budget = &section.rows("LiteLLM_BudgetTable")[0];
    let rows = world.database.rows("LiteLLM_BudgetTable").await;
    assert_eq!(rows.len(), 1);
    same_columns(&rows[0], budget, &["budget_id"]);
    let id = text(&rows[0], "budget_id");
    let (start, digits) = id.split_at(id.len() - 32);
    assert_eq!(start, "team-Member-Budget-Group-budget-");
    assert!(
        digits.chars().all(|digit| digit.is_ascii_hexdigit()),
        "{id}"
    );
    section
        .check(&world, TEAM, &["team_id"], &["metadata"])
        .await;
    let metadata = world.team("grp-memberbudget").await["metadata"].clone();
    assert_eq!(
        metadata,
        json!({ "origin": "sso", "team_member_budget_id": id })
    );
    section.check(&world, USER, &["user_id"], &[]).await;
    section
        .check(&world, MEMBERSHIP, &["user_id", "team_id"], &["budget_id"])
        .await;
    assert_eq!(world.database.rows(MEMBERSHIP).await[0]["budget_id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_exists_already_is_left_alone() {
    let section = Section::read("team_that_exists_already_is_left_alone", &["grp-same"], &[]);
    let world = World::new(|tenant| {
        tenant
            .group("grp-same")
            .display_name("Second Name")
            .assigned_by_default();
    })
    .await
    .with(PARAMS, section.params());
    let theirs = section.rows(TEAM).remove(0);
    seed::recorded(TEAM, theirs.clone())
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(world.team("grp-same").await, theirs, "times included");
}
