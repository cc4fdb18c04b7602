//! The models of a team inside its organization: a copy that is kept up to
//! date until a person edits it.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::group;
use crate::support::seed;

async fn science(models: &str) -> World {
    World::new(|tenant| {
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        format!("{{\"models\": {models}}}"),
    )
}

async fn models(world: &World) -> Value {
    world.team("science").await["models"].clone()
}

/// As somebody does in LiteLLM's interface.
async fn edit(world: &World, table: &str, models: &str) {
    world
        .sql(&format!("UPDATE \"{table}\" SET models = '{models}'"))
        .await;
}

const TEAM: &str = "LiteLLM_TeamTable";
const ORGANIZATION: &str = "LiteLLM_OrganizationTable";

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_list_of_the_organization_is_carried_over() {
    let world = science(r#"["gpt-4o"]"#).await;
    world.settle().await;
    assert_eq!(models(&world).await, json!(["gpt-4o"]));
    edit(&world, ORGANIZATION, "{gpt-4o,claude}").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 1);
    assert_eq!(models(&world).await, json!(["gpt-4o", "claude"]));
    edit(&world, ORGANIZATION, "{mistral}").await;
    world.settle().await;
    assert_eq!(models(&world).await, json!(["mistral"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_the_same_models_is_no_change() {
    let world = science(r#"["gpt-4o", "claude"]"#).await;
    world.settle().await;
    edit(&world, ORGANIZATION, "{claude,gpt-4o}").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 0);
    // Nor does it make the team's list a person's edit.
    edit(&world, TEAM, "{claude,gpt-4o}").await;
    edit(&world, ORGANIZATION, "{mistral}").await;
    world.settle().await;
    assert_eq!(models(&world).await, json!(["mistral"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_a_person_edited_is_theirs_for_good() {
    let world = science(r#"["gpt-4o"]"#).await;
    world.settle().await;
    edit(&world, TEAM, "{gpt-4o-mini}").await;
    world.settle().await;
    edit(&world, ORGANIZATION, "{claude}").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 0);
    assert_eq!(models(&world).await, json!(["gpt-4o-mini"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_is_copied_like_any_other() {
    let world = science("[]").await;
    world.settle().await;
    assert_eq!(models(&world).await, json!([]));
    edit(&world, ORGANIZATION, "{claude}").await;
    world.settle().await;
    assert_eq!(models(&world).await, json!(["claude"]));
    edit(&world, ORGANIZATION, "{}").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 1);
    assert_eq!(models(&world).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_without_any_list_counts_as_empty() {
    let mut world = science(r#"["gpt-4o"]"#).await;
    // LiteLLM's own models refuse a NULL list.
    world.database = world.database.unexported();
    world.settle().await;
    world
        .sql("UPDATE \"LiteLLM_OrganizationTable\" SET models = NULL")
        .await;

    world.settle().await;

    assert_eq!(models(&world).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_left_the_organization_is_no_longer_a_copy() {
    let world = science(r#"["gpt-4o"]"#).await;
    world.settle().await;
    world
        .sql("UPDATE \"LiteLLM_TeamTable\" SET organization_id = NULL")
        .await;
    edit(&world, ORGANIZATION, "{claude}").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 0);
    let team = world.team("science").await;
    assert_eq!(team["organization_id"], json!(null), "not moved back");
    assert_eq!(team["models"], json!(["gpt-4o"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_was_there_before_is_no_copy() {
    let world = science(r#"["gpt-4o"]"#).await;
    let science = group("science");
    seed::budget("budget").insert(&world.database).await;
    seed::organization(&science, "budget")
        .with("models", json!(["gpt-4o"]))
        .insert(&world.database)
        .await;
    seed::team(&science)
        .with("organization_id", science.as_str())
        .with("models", json!(["gpt-4o"]))
        .insert(&world.database)
        .await;
    world.settle().await;
    edit(&world, ORGANIZATION, "{claude}").await;

    world.settle().await;

    assert_eq!(models(&world).await, json!(["gpt-4o"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_literal_all_org_models_is_written_on_request() {
    let world = science(r#"["gpt-4o"]"#).await.with(
        "ENTRA_SYNC__LITELLM__ORGANIZATION_TEAM_MODELS",
        "all-org-models",
    );
    world.settle().await;
    assert_eq!(models(&world).await, json!(["all-org-models"]));
    let organization = world.organization("science").await;
    assert_eq!(organization["models"], json!(["gpt-4o"]));
    edit(&world, ORGANIZATION, "{claude}").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.updated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_between_mirror_and_literal_reaches_the_teams_that_we_wrote() {
    let mut world = science(r#"["gpt-4o"]"#).await;
    world.settle().await;
    let mode = "ENTRA_SYNC__LITELLM__ORGANIZATION_TEAM_MODELS";
    world.set(mode, "all-org-models");
    world.settle().await;
    assert_eq!(models(&world).await, json!(["all-org-models"]));
    world.set(mode, "mirror");

    world.settle().await;

    assert_eq!(models(&world).await, json!(["gpt-4o"]));
}
