//! Groups that become organizations too: made, failed, switched on and off.

use entra_sync::model::report::{Kind, Status};
use serde_json::json;

use crate::support::World;
use crate::support::look::{group, people, person};
use crate::support::seed;

const FLAG: &str = "ENTRA_GROUPS_ALSO_CREATE_ORGS";
const PARAMS: &str = "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS";

async fn two_groups() -> World {
    World::new(|tenant| {
        tenant
            .group("arts")
            .display_name("Arts")
            .member("ada")
            .assigned_by_default();
        tenant
            .group("science")
            .display_name("Science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
}

fn only(key: &str) -> String {
    format!("NEW.organization_id = '{}'", group(key))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_carries_the_limits_of_the_default_team_params() {
    let world = two_groups().await.with(FLAG, "true").with(
        PARAMS,
        r#"{"models": ["gpt-4o"], "max_budget": 100, "soft_budget": 50, "tpm_limit": 10,
            "rpm_limit": 2, "tpd_limit": 1000, "budget_duration": "30d"}"#,
    );

    world.settle().await;

    let organization = world.organization("science").await;
    assert_eq!(organization["models"], json!(["gpt-4o"]));
    let budget = organization["budget_id"].as_str().expect("a budget");
    let budget = world.row("LiteLLM_BudgetTable", "budget_id", budget).await;
    assert_eq!(budget["max_budget"], 100);
    assert_eq!(budget["soft_budget"], 50);
    assert_eq!(budget["tpm_limit"], 10);
    assert_eq!(budget["rpm_limit"], 2);
    assert_eq!(budget["tpd_limit"], 1000);
    assert_eq!(budget["budget_duration"], "30d");
    let reset_at = budget["budget_reset_at"].as_str().expect("a time");
    assert!(reset_at.ends_with("-01T00:00:00"), "{reset_at}");
    assert_eq!(world.count("LiteLLM_BudgetTable").await, 2, "one each");
    let arts = world.organization("arts").await;
    assert_ne!(arts["budget_id"], organization["budget_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_default_team_params_there_are_no_limits() {
    let world = two_groups().await.with(FLAG, "true");

    world.settle().await;

    let budgets = world.database.rows("LiteLLM_BudgetTable").await;
    assert_eq!(budgets.len(), 2);
    for row in &budgets {
        for (column, value) in row.as_object().expect("a row") {
            let known = [
                "budget_id",
                "created_at",
                "created_by",
                "updated_at",
                "updated_by",
            ];
            let empty = if column == "allowed_models" {
                json!([])
            } else {
                json!(null)
            };
            assert!(
                known.contains(&column.as_str()) || *value == empty,
                "{column}: {value}"
            );
        }
    }
    let team = world.team("science").await;
    for column in [
        "max_budget",
        "soft_budget",
        "tpm_limit",
        "rpm_limit",
        "budget_duration",
    ] {
        assert_eq!(team[column], json!(null), "{column}");
    }
    assert_eq!(team["models"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_group_gets_its_organization_and_its_team() {
    let world = World::new(|tenant| {
        tenant.group("empty").assigned_by_default();
    })
    .await
    .with(FLAG, "true");

    let report = world.settle().await;

    assert_eq!(report.changes.organizations.created, 1);
    assert_eq!(report.changes.teams.created, 1);
    let team = world.team("empty").await;
    assert_eq!(team["organization_id"], group("empty").as_str());
    assert!(world.members("empty").await.is_empty());
    assert!(world.organization_members("empty").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_cannot_be_made_leaves_its_team_alone_until_it_can() {
    let world = two_groups()
        .await
        .with(FLAG, "true")
        .with(PARAMS, r#"{"models": ["gpt-4o"]}"#);
    world
        .refuse("LiteLLM_OrganizationTable", &only("science"))
        .await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].kind, Kind::Organization);
    assert_eq!(report.errors[0].id, group("science"));
    let message = &report.errors[0].message;
    assert!(message.contains("refused by the test"), "{message}");
    assert!(message.contains("stands alone"), "{message}");
    assert_eq!(report.changes.organizations.created, 1, "arts");
    assert_eq!(report.changes.teams.created, 2);
    let team = world.team("science").await;
    assert_eq!(team["organization_id"], json!(null));
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let mark = world
        .row("entra_sync.owned_team", "group_id", &group("science"))
        .await;
    assert_eq!(mark["awaits_organization"], true);

    // It fails again: the team stays as it is, and the mark with it.
    let report = world.pass().await;
    assert_eq!(report.errors.len(), 1);
    assert_eq!(world.team("science").await, team);

    world.relent().await;
    let report = world.settle().await;
    assert_eq!(report.changes.organizations.created, 1);
    assert_eq!(report.changes.teams.updated, 1);
    let team = world.team("science").await;
    assert_eq!(team["organization_id"], group("science").as_str());
    assert_eq!(team["models"], json!(["gpt-4o"]));
    let both = people(["ada", "bob"]);
    assert_eq!(world.organization_members("science").await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_waited_takes_the_models_of_an_organization_that_a_person_made() {
    let world = two_groups()
        .await
        .with(FLAG, "true")
        .with(PARAMS, r#"{"models": ["gpt-4o"]}"#);
    world
        .refuse("LiteLLM_OrganizationTable", &only("science"))
        .await;
    world.pass().await;
    world.relent().await;
    seed::budget("by-hand").insert(&world.database).await;
    seed::organization(&group("science"), "by-hand")
        .with("models", json!(["claude", "gpt-4o"]))
        .insert(&world.database)
        .await;

    world.settle().await;

    let team = world.team("science").await;
    assert_eq!(team["organization_id"], group("science").as_str());
    assert_eq!(team["models"], json!(["claude", "gpt-4o"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_waits_still_follows_the_name_of_its_group() {
    let world = two_groups().await.with(FLAG, "true");
    world
        .refuse("LiteLLM_OrganizationTable", &only("science"))
        .await;
    world.pass().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").display_name("Natural Science");
    });

    let report = world.pass().await;

    assert_eq!(report.changes.teams.updated, 1, "{}", report.json());
    let team = world.team("science").await;
    assert_eq!(team["team_alias"], "Natural Science");
    assert_eq!(team["organization_id"], json!(null));
    world.relent().await;
    world.settle().await;
    let team = world.team("science").await;
    assert_eq!(team["organization_id"], group("science").as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_team_that_a_person_placed_stays_where_it_was_put() {
    let world = two_groups().await.with(FLAG, "true");
    world
        .refuse("LiteLLM_OrganizationTable", &only("science"))
        .await;
    world.pass().await;
    world.relent().await;
    let (arts, science) = (group("arts"), group("science"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET organization_id = '{arts}' WHERE team_id = '{science}'"
        ))
        .await;

    world.settle().await;

    let team = world.team("science").await;
    assert_eq!(team["organization_id"], arts.as_str());
    world.organization("science").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_every_group_gets_its_organization_and_the_teams_stay_standalone() {
    let mut world = two_groups().await;
    world.settle().await;
    assert_eq!(world.count("LiteLLM_OrganizationTable").await, 0);
    world.set(FLAG, "true");

    let report = world.settle().await;

    assert_eq!(report.changes.organizations.created, 2);
    assert_eq!(report.changes.organization_memberships.added, 3);
    assert_eq!(report.changes.teams.updated, 0);
    for key in ["arts", "science"] {
        world.organization(key).await;
        assert_eq!(world.team(key).await["organization_id"], json!(null));
    }
    let both = people(["ada", "bob"]);
    assert_eq!(world.organization_members("science").await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_organizations_stay_and_nobody_joins_them_any_more() {
    let mut world = two_groups().await.with(FLAG, "true");
    world.settle().await;
    world.set(FLAG, "false");
    let before = world.database.rows("LiteLLM_OrganizationTable").await;
    world.entra.tenant(|tenant| {
        tenant
            .group("science")
            .display_name("Renamed")
            .member("cyd");
        tenant.group("later").member("ada").assigned_by_default();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.organizations.created, 0);
    assert_eq!(report.changes.organization_memberships.added, 0);
    let after = world.database.rows("LiteLLM_OrganizationTable").await;
    assert_eq!(after, before);
    let both = people(["ada", "bob"]);
    assert_eq!(world.organization_members("science").await, both, "kept");
    let team = world.team("science").await;
    assert_eq!(team["organization_id"], group("science").as_str(), "kept");
    assert_eq!(
        world.members("science").await,
        people(["ada", "bob", "cyd"])
    );
    assert_eq!(world.team("later").await["organization_id"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_membership_that_exists_keeps_its_role_and_becomes_managed() {
    let world = two_groups().await.with(FLAG, "true");
    let (science, ada) = (group("science"), crate::support::look::person("ada"));
    seed::user(&ada).insert(&world.database).await;
    seed::budget("by-hand").insert(&world.database).await;
    seed::organization(&science, "by-hand")
        .insert(&world.database)
        .await;
    seed::organization_membership(&ada, &science)
        .with("user_role", "org_admin")
        .insert(&world.database)
        .await;

    world.settle().await;

    let rows = world.database.rows("LiteLLM_OrganizationMembership").await;
    let kept = rows
        .iter()
        .find(|row| row["user_id"] == ada.as_str() && row["organization_id"] == science.as_str());
    assert_eq!(kept.expect("kept")["user_role"], "org_admin");
    let both = people(["ada", "bob"]);
    assert_eq!(world.organization_members("science").await, both);
    let organization = world.organization("science").await;
    assert_eq!(
        organization["organization_alias"],
        science.as_str(),
        "a person's"
    );
    assert_eq!(world.count("entra_sync.owned_organization_member").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_organization_membership_goes_when_entra_wants_it_no_more() {
    let world = two_groups().await.with(FLAG, "true");
    let science = group("science");
    seed::budget("by-hand").insert(&world.database).await;
    seed::organization(&science, "by-hand")
        .insert(&world.database)
        .await;
    let [ada, bob] = ["ada", "bob"].map(person);
    for (user, role) in [
        (ada.as_str(), "internal_user"),
        (bob.as_str(), "org_admin"),
        ("guest", "internal_user"),
    ] {
        seed::user(user).insert(&world.database).await;
        seed::organization_membership(user, &science)
            .with("user_role", role)
            .insert(&world.database)
            .await;
    }
    world.settle().await;
    let rows = world
        .database
        .rows("entra_sync.owned_organization_member")
        .await;
    let adopted = rows
        .iter()
        .filter(|row| row["group_id"] == science.as_str());
    assert!(
        adopted.clone().all(|row| row["adopted"] == true),
        "{rows:?}"
    );
    assert_eq!(adopted.count(), 2);
    world.entra.tenant(|tenant| {
        let science = tenant.group("science");
        science.without_member("ada").without_member("bob");
    });

    let report = world.settle().await;

    assert_eq!(report.changes.organization_memberships.removed, 1);
    // A role that somebody gave there, and whoever was not ours, stay.
    let mut left = vec![bob, "guest".to_owned()];
    left.sort();
    assert_eq!(world.organization_members("science").await, left);
}
