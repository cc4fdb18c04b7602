//! Everything that LiteLLM's settings for internal users give a new user.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{people, person, skipped, text};
use crate::support::seed;

const PARAMS: &str = "ENTRA_SYNC__LITELLM__DEFAULT_INTERNAL_USER_PARAMS";
const BUDGET: &str = "ENTRA_SYNC__LITELLM__MAX_INTERNAL_USER_BUDGET";
const DURATION: &str = "ENTRA_SYNC__LITELLM__INTERNAL_USER_BUDGET_DURATION";

/// A plain one, a maker and an administrator.
async fn three_people() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["plain", "maker", "admin"])
            .assigned_by_default();
        tenant.user("maker").assigned("internal_user");
        tenant.user("admin").assigned("proxy_admin");
    })
    .await
}

async fn column(world: &World, column: &str) -> [Value; 3] {
    let mut values = Vec::new();
    for key in ["plain", "maker", "admin"] {
        values.push(world.user(key).await[column].clone());
    }
    values.try_into().expect("three")
}

#[tokio::test(flavor = "multi_thread")]
async fn role_budget_models_and_limits_are_given_but_an_administrator_has_no_limits() {
    let params = json!({
        "user_role": "internal_user_viewer", "max_budget": 10, "budget_duration": "30d",
        "models": ["gpt-4o"], "tpm_limit": 100, "rpm_limit": 5, "max_parallel_requests": 2,
    });
    let world = three_people().await.with(PARAMS, params);

    world.settle().await;

    let [null, none] = [json!(null), json!([])];
    let models = json!(["gpt-4o"]);
    assert_eq!(
        column(&world, "models").await,
        [models.clone(), models, none]
    );
    for (name, value) in [
        ("tpm_limit", 100),
        ("rpm_limit", 5),
        ("max_parallel_requests", 2),
    ] {
        let wanted = [json!(value), json!(value), null.clone()];
        assert_eq!(column(&world, name).await, wanted, "{name}");
    }
    // The budget, on the other hand, is for every role (litellm-contract 2c).
    assert_eq!(
        column(&world, "max_budget").await,
        [10, 10, 10].map(|b| json!(b))
    );
    for reset_at in column(&world, "budget_reset_at").await {
        assert!(
            reset_at
                .as_str()
                .is_some_and(|at| at.ends_with("-01T00:00:00")),
            "{reset_at}"
        );
    }
    let roles = ["internal_user_viewer", "internal_user", "proxy_admin"];
    assert_eq!(
        column(&world, "user_role").await,
        roles.map(|role| json!(role))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_global_budget_counts_where_the_params_name_none() {
    let world = three_people()
        .await
        .with(BUDGET, "7.5")
        .with(DURATION, "7d");

    world.settle().await;

    assert_eq!(
        column(&world, "max_budget").await,
        [7.5, 7.5, 7.5].map(|b| json!(b))
    );
    assert_eq!(
        column(&world, "budget_duration").await,
        ["7d"; 3].map(|d| json!(d))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_given_as_null_falls_back_for_internal_users_only() {
    let world = three_people()
        .await
        .with(BUDGET, "7.5")
        .with(PARAMS, json!({ "max_budget": null }));

    world.settle().await;

    let wanted = [json!(null), json!(7.5), json!(null)];
    assert_eq!(column(&world, "max_budget").await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_for_new_users_only() {
    let world = three_people()
        .await
        .with(PARAMS, json!({ "max_budget": 10, "models": ["gpt-4o"] }));
    seed::user(&person("plain")).insert(&world.database).await;

    world.settle().await;

    let plain = world.user("plain").await;
    assert_eq!(plain["max_budget"], json!(null));
    assert_eq!(plain["models"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_users_join_the_default_teams_with_a_budget_of_their_own() {
    let world = three_people().await.with(
        PARAMS,
        json!({ "teams": [
            { "team_id": "welcome", "max_budget_in_team": 1.5, "user_role": "user" },
            { "team_id": "nowhere" },
        ] }),
    );
    seed::team("welcome").insert(&world.database).await;
    seed::user(&person("plain")).insert(&world.database).await;

    let report = world.settle().await;

    let joined = people(["maker", "admin"]);
    assert_eq!(world.members_of("welcome").await, joined, "new ones only");
    assert_eq!(skipped(&report), [("nowhere", "default_team_missing")]);
    assert_eq!(report.changes.team_memberships.added, 3 + 2);
    let rows = world.database.rows("LiteLLM_TeamMembership").await;
    let mut budgets = Vec::new();
    for row in rows.iter().filter(|row| row["team_id"] == "welcome") {
        let id = text(row, "budget_id");
        let budget = world.row("LiteLLM_BudgetTable", "budget_id", &id).await;
        assert_eq!(budget["max_budget"], 1.5);
        budgets.push(id);
    }
    budgets.dedup();
    assert_eq!(budgets.len(), 2);
    let managed = world.count("entra_sync.owned_team_member").await;
    assert_eq!(
        managed, 3,
        "a default team's members are nobody's to manage"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn default_teams_may_be_a_plain_list_of_ids() {
    let world = three_people()
        .await
        .with(PARAMS, json!({ "teams": ["welcome"] }));
    seed::team("welcome").insert(&world.database).await;

    world.settle().await;

    let all = people(["plain", "maker", "admin"]);
    assert_eq!(world.members_of("welcome").await, all);
    assert_eq!(world.count("LiteLLM_BudgetTable").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_team_that_is_made_by_the_same_pass_is_joined_too() {
    let world = three_people().await;
    let welcome = crate::support::look::group("welcome");
    let world = world.with(PARAMS, json!({ "teams": [welcome] }));
    world.entra.tenant(|tenant| {
        tenant.group("welcome").assigned_by_default();
    });

    world.settle().await;

    let all = people(["plain", "maker", "admin"]);
    assert_eq!(world.members("welcome").await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_team_that_cannot_be_joined_is_said_and_the_user_is_made() {
    let world = three_people()
        .await
        .with(PARAMS, json!({ "teams": ["welcome"] }));
    seed::team("welcome").insert(&world.database).await;
    world
        .refuse("LiteLLM_TeamMembership", "NEW.team_id = 'welcome'")
        .await;

    let report = world.pass().await;

    assert_eq!(report.errors.len(), 3, "{:?}", report.errors);
    for error in &report.errors {
        assert!(error.id.starts_with("welcome/"), "{error:?}");
        assert!(
            error.message.contains("the next pass tries again"),
            "{error:?}"
        );
    }
    let all = people(["plain", "maker", "admin"]);
    assert_eq!(world.members("science").await, all);
    world.relent().await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.added, 3);
    assert_eq!(world.members_of("welcome").await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_dies_before_the_default_teams_leaves_them_to_the_next() {
    let world = three_people()
        .await
        .with(PARAMS, json!({ "teams": ["welcome", "news"] }));
    seed::team("welcome").insert(&world.database).await;
    seed::team("news").insert(&world.database).await;
    let lost = "PERFORM pg_terminate_backend(pg_backend_pid());";
    world
        .on_write("LiteLLM_TeamMembership", "NEW.team_id = 'welcome'", lost)
        .await;

    let (_, error) = world.try_pass().await;

    error.expect("a pass that lost its connection for good");
    assert_eq!(world.members_of("welcome").await, Vec::<String>::new());
    world.relent().await;
    // An operator who helps out meanwhile is not in the way.
    seed::join(&world.database, &person("maker"), "welcome").await;
    world.settle().await;
    let all = people(["plain", "maker", "admin"]);
    assert_eq!(world.members_of("welcome").await, all);
    assert_eq!(world.members_of("news").await, all);
    assert_eq!(world.count("entra_sync.due_default_team").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_taken_out_of_a_default_team_stays_out() {
    let world = three_people()
        .await
        .with(PARAMS, json!({ "teams": ["welcome"] }));
    seed::team("welcome").insert(&world.database).await;
    world.settle().await;
    world
        .sql(
            r#"UPDATE "LiteLLM_TeamTable" SET members_with_roles = '[]', members = '{}'
               WHERE team_id = 'welcome';
               DELETE FROM "LiteLLM_TeamMembership" WHERE team_id = 'welcome';
               UPDATE "LiteLLM_UserTable" SET teams = array_remove(teams, 'welcome')"#,
        )
        .await;

    let report = world.pass().await;

    assert_eq!(report.changes.total(), 0, "{}", report.json());
    assert_eq!(world.members_of("welcome").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_member_of_a_groups_team_that_is_a_default_team_is_there_once() {
    let world = three_people().await;
    let science = crate::support::look::group("science");
    let world = world.with(PARAMS, json!({ "teams": [science] }));

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.added, 3);
    let all = people(["plain", "maker", "admin"]);
    assert_eq!(world.members("science").await, all);
    assert_eq!(world.managed("science").await, all);
}
