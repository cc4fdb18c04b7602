//! Everything that `default_team_params` gives a new team, and the rows that
//! belong to it.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{group, people, text};
use crate::support::seed;

async fn arts_and_science(params: Value) -> World {
    World::new(|tenant| {
        tenant
            .group("arts")
            .display_name("Fine Arts")
            .member("ada")
            .assigned_by_default();
        tenant
            .group("science")
            .without_display_name()
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS", params)
}

async fn memberships(world: &World, key: &str) -> Vec<Value> {
    let team = group(key);
    let mut rows = world.database.rows("LiteLLM_TeamMembership").await;
    rows.retain(|row| row["team_id"] == team.as_str());
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plain_column_is_filled() {
    let world = arts_and_science(json!({
        "models": ["gpt-4o", "claude"], "max_budget": 12.5, "soft_budget": 10,
        "budget_duration": "30d", "tpm_limit": 1000, "rpm_limit": 60, "tpd_limit": 50000,
        "team_member_permissions": ["/key/generate"], "blocked": true,
        "metadata": { "cost_centre": "42" }, "router_settings": { "num_retries": 3 },
    }))
    .await;

    world.settle().await;

    let team = world.team("arts").await;
    let wanted = json!({
        "models": ["gpt-4o", "claude"], "max_budget": 12.5, "soft_budget": 10,
        "budget_duration": "30d", "tpm_limit": 1000, "rpm_limit": 60, "tpd_limit": 50000,
        "team_member_permissions": ["/key/generate"], "blocked": true,
        "metadata": { "cost_centre": "42" }, "router_settings": { "num_retries": 3 },
        "members_with_roles": team["members_with_roles"], "admins": [], "members": [],
        "spend": 0, "team_alias": "Fine Arts",
    });
    for (column, value) in wanted.as_object().expect("columns") {
        assert_eq!(&team[column], value, "{column}");
    }
    assert!(text(&team, "budget_reset_at").ends_with("-01T00:00:00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_reset_in_the_zone_and_at_the_time_of_litellms_settings() {
    let world = arts_and_science(json!({ "max_budget": 1, "budget_duration": "1d" }))
        .await
        // No summer time: seven hours behind UTC all the year.
        .with("ENTRA_SYNC__LITELLM__TIMEZONE", "America/Phoenix")
        .with("ENTRA_SYNC__LITELLM__BUDGET_RESET_TIME", "06:30");

    world.settle().await;

    let reset_at = text(&world.team("arts").await, "budget_reset_at");
    assert!(reset_at.ends_with("T13:30:00"), "{reset_at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_one_team_share_one_budget_row() {
    let world = arts_and_science(json!({
        "max_budget": 100, "budget_duration": "30d",
        "team_member_budget": 2.5, "team_member_tpm_limit": 100, "team_member_rpm_limit": 5,
    }))
    .await;

    world.settle().await;

    let budgets = world.database.rows("LiteLLM_BudgetTable").await;
    assert_eq!(budgets.len(), 2, "one a team");
    for row in &budgets {
        assert_eq!(row["max_budget"], 2.5);
        assert_eq!(row["tpm_limit"], 100);
        assert_eq!(row["rpm_limit"], 5);
        assert_eq!(
            row["budget_duration"], "30d",
            "the team's own, when none is given"
        );
        assert!(!row["budget_reset_at"].is_null());
    }
    for (key, start) in [
        ("arts", "team-Fine-Arts-budget-"),
        ("science", "team-budget-"),
    ] {
        let budget = world.team(key).await["metadata"]["team_member_budget_id"].clone();
        assert!(
            budget.as_str().is_some_and(|id| id.starts_with(start)),
            "{budget}"
        );
        for row in memberships(&world, key).await {
            assert_eq!(row["budget_id"], budget);
        }
    }
    // Who joins later shares it, too.
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("cyd");
    });
    world.settle().await;
    assert_eq!(world.count("LiteLLM_BudgetTable").await, 2);
    let budget = world.team("arts").await["metadata"]["team_member_budget_id"].clone();
    let shared = memberships(&world, "arts").await;
    assert!(
        shared.iter().all(|row| row["budget_id"] == budget),
        "{shared:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_budget_that_somebody_deleted_is_no_obstacle() {
    let world = arts_and_science(json!({ "team_member_budget": 2.5 })).await;
    world.settle().await;
    world.sql("DELETE FROM \"LiteLLM_BudgetTable\"").await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").member("cyd");
    });

    world.settle().await;

    assert_eq!(world.members("arts").await, people(["ada", "cyd"]));
    for row in memberships(&world, "arts").await {
        assert_eq!(row["budget_id"], json!(null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn default_member_models_give_each_member_a_budget_row_of_their_own() {
    let world = arts_and_science(json!({
        "models": ["gpt-4o", "claude"], "default_team_member_models": ["claude"],
        "team_member_budget": 2.5,
    }))
    .await;

    world.settle().await;

    let team = world.team("science").await;
    assert_eq!(team["default_team_member_models"], json!(["claude"]));
    let mut private = Vec::new();
    for row in world.database.rows("LiteLLM_TeamMembership").await {
        private.push(text(&row, "budget_id"));
    }
    private.sort();
    private.dedup();
    assert_eq!(private.len(), 3, "one a membership");
    for id in &private {
        let budget = world.row("LiteLLM_BudgetTable", "budget_id", id).await;
        assert_eq!(budget["allowed_models"], json!(["claude"]));
        assert_eq!(budget["max_budget"], json!(null));
        assert_eq!(budget["created_by"], "default_user_id");
    }
    assert_eq!(
        world.count("LiteLLM_BudgetTable").await,
        5,
        "and a shared one a team"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_is_repaired_gets_the_budget_that_a_new_one_would() {
    let world = arts_and_science(json!({ "default_team_member_models": ["claude"] })).await;
    world.settle().await;
    world.sql("DELETE FROM \"LiteLLM_TeamMembership\"").await;

    world.settle().await;

    let rows = world.database.rows("LiteLLM_TeamMembership").await;
    assert_eq!(rows.len(), 3);
    for row in rows {
        let id = text(&row, "budget_id");
        let budget = world.row("LiteLLM_BudgetTable", "budget_id", &id).await;
        assert_eq!(budget["allowed_models"], json!(["claude"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn model_aliases_are_a_row_of_each_team() {
    let world = arts_and_science(json!({ "model_aliases": { "fast": "gpt-4o-mini" } })).await;

    world.settle().await;

    let rows = world.database.rows("LiteLLM_ModelTable").await;
    assert_eq!(rows.len(), 2);
    let (arts, science) = (world.team("arts").await, world.team("science").await);
    assert_ne!(arts["model_id"], science["model_id"]);
    for row in rows {
        assert_eq!(row["aliases"], json!({ "fast": "gpt-4o-mini" }));
        assert_eq!(row["created_by"], "default_user_id");
        assert!([&arts["model_id"], &science["model_id"]].contains(&&row["id"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_permission_is_a_row_of_each_team() {
    let world = arts_and_science(json!({
        "object_permission": { "vector_stores": ["docs"], "mcp_servers": ["wiki"] },
    }))
    .await;

    world.settle().await;

    assert_eq!(world.count("LiteLLM_ObjectPermissionTable").await, 2);
    for key in ["arts", "science"] {
        let id = text(&world.team(key).await, "object_permission_id");
        let row = world
            .row("LiteLLM_ObjectPermissionTable", "object_permission_id", &id)
            .await;
        assert_eq!(row["vector_stores"], json!(["docs"]));
        assert_eq!(row["mcp_servers"], json!(["wiki"]));
        assert_eq!(row["agents"], json!([]));
        assert_eq!(row["mcp_tool_permissions"], json!(null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_groups_and_teams_name_each_other() {
    let world = arts_and_science(json!({ "access_group_ids": ["open", "missing"] })).await;
    seed::access_group("open")
        .with("assigned_team_ids", json!(["by hand"]))
        .with("updated_at", "2020-01-01T00:00:00")
        .insert(&world.database)
        .await;
    seed::access_group("other").insert(&world.database).await;

    world.settle().await;

    for key in ["arts", "science"] {
        let team = world.team(key).await;
        assert_eq!(team["access_group_ids"], json!(["open", "missing"]));
    }
    let open = world
        .row("LiteLLM_AccessGroupTable", "access_group_id", "open")
        .await;
    let listed = open["assigned_team_ids"].as_array().expect("a list");
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0], "by hand");
    for key in ["arts", "science"] {
        assert!(listed.contains(&json!(group(key))), "{key}");
    }
    assert_ne!(open["updated_at"], "2020-01-01T00:00:00");
    let other = world
        .row("LiteLLM_AccessGroupTable", "access_group_id", "other")
        .await;
    assert_eq!(other["assigned_team_ids"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_budgets_at_once_carry_their_reset_times() {
    let world = arts_and_science(json!({
        "budget_limits": [
            { "budget_duration": "1d", "max_budget": 5 },
            { "budget_duration": "30d", "max_budget": 50 },
        ],
    }))
    .await;

    world.settle().await;

    let limits = world.team("arts").await["budget_limits"].clone();
    let limits = limits.as_array().expect("a list");
    assert_eq!(limits.len(), 2);
    assert_eq!(limits[0]["budget_duration"], "1d");
    assert_eq!(limits[0]["max_budget"], 5.0);
    let reset_at = text(&limits[1], "reset_at");
    assert!(reset_at.ends_with("-01T00:00:00+00:00"), "{reset_at}");
}

/// As LiteLLM refuses them, or the organization's limits could be walked around.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_organization_does_not_admit_is_not_made_in_it() {
    let fits = json!({
        "organization_id": "acme", "max_budget": 50, "tpm_limit": 100, "rpm_limit": 10,
        "models": ["gpt-4o"],
    });
    let mut world = arts_and_science(fits.clone()).await;
    seed::budget("limits")
        .with("max_budget", 50)
        .with("tpm_limit", 100)
        .with("rpm_limit", 10)
        .insert(&world.database)
        .await;
    seed::organization("acme", "limits")
        .with("models", json!(["gpt-4o", "claude"]))
        .insert(&world.database)
        .await;
    for (name, value) in [
        ("max_budget", json!(50.5)),
        ("tpm_limit", json!(101)),
        ("rpm_limit", json!(11)),
        ("models", json!(["gpt-4o", "o3"])),
    ] {
        let mut exceeds = fits.clone();
        exceeds[name] = value;
        world.set("ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS", exceeds);

        let report = world.pass().await;

        assert_eq!(report.errors.len(), 2, "{:?}", report.errors);
        let message = &report.errors[0].message;
        for words in [&format!("default_team_params.{name}"), "acme"] {
            assert!(message.contains(words), "{words} is not in: {message}");
        }
        assert_eq!(world.count("LiteLLM_TeamTable").await, 0);
    }
    world.set("ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS", fits);
    world.settle().await;
    assert_eq!(world.count("LiteLLM_TeamTable").await, 2);
}
