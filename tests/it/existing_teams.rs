//! A team that LiteLLM has already: found, joined, and otherwise left alone.

use serde_json::json;

use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, people, person};
use crate::support::seed::{self, join};

const LIMITS: &str = r#"{"max_budget": 100, "models": ["gpt-4o"], "tpm_limit": 1000}"#;

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .display_name("Science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS", LIMITS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_exists_is_not_changed_but_its_members_are_synced() {
    let world = science().await;
    seed::team(&group("science"))
        .with("team_alias", "A name that a person chose")
        .with("models", json!(["claude"]))
        .with("max_budget", 7.0)
        .with("metadata", json!({ "origin": "by hand" }))
        .insert(&world.database)
        .await;
    let before = world.team("science").await;

    let report = world.settle().await;

    let mut after = world.team("science").await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    for column in ["members_with_roles", "updated_at"] {
        after[column] = before[column].clone();
    }
    assert_eq!(after, before);
    assert_eq!(report.changes.teams.created, 0);
    assert_eq!(report.changes.teams.updated, 0);
    assert_eq!(report.changes.team_memberships.added, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_exists_without_a_name_keeps_having_none() {
    let world = science().await;
    seed::team(&group("science"))
        .with("team_alias", json!(null))
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(world.team("science").await["team_alias"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_exists_is_not_moved_into_its_organization_which_is_made() {
    let world = science()
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    seed::team(&group("science")).insert(&world.database).await;

    let report = world.settle().await;

    assert_eq!(report.changes.organizations.created, 1);
    let team = world.team("science").await;
    assert_eq!(team["organization_id"], json!(null));
    assert_eq!(team["models"], json!([]));
    let organization = world.organization("science").await;
    assert_eq!(organization["organization_alias"], "Science");
    assert_eq!(organization["models"], json!(["gpt-4o"]));
    let both = people(["ada", "bob"]);
    assert_eq!(world.members("science").await, both);
    assert_eq!(world.organization_members("science").await, both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_exists_is_not_duplicated_and_becomes_managed() {
    let world = science().await;
    let (team, ada) = (group("science"), person("ada"));
    seed::team(&team).insert(&world.database).await;
    seed::user(&ada).insert(&world.database).await;
    join(&world.database, &ada, &team).await;

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.added, 1, "only bob");
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
    let rows = world.database.rows("entra_sync.owned_team_member").await;
    for row in rows {
        assert_eq!(row["adopted"], row["person_id"] == ada.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_of_the_roster_stays_admin_and_unmanaged() {
    let world = science().await;
    let (team, ada) = (group("science"), person("ada"));
    seed::user(&ada)
        .with("teams", json!([team]))
        .insert(&world.database)
        .await;
    let admin = json!({ "user_id": ada, "user_email": null, "role": "admin" });
    seed::team(&team)
        .with("members_with_roles", json!([admin]))
        .insert(&world.database)
        .await;
    seed::team_membership(&ada, &team)
        .insert(&world.database)
        .await;

    world.settle().await;

    let roster = world.team("science").await["members_with_roles"].clone();
    assert_eq!(roster[0], admin);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.managed("science").await, people(["bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_a_person_added_by_hand_stay_and_are_not_managed() {
    let world = science().await;
    let team = group("science");
    seed::team(&team).insert(&world.database).await;
    seed::user("by-hand").insert(&world.database).await;
    join(&world.database, "by-hand", &team).await;
    let nameless = json!({ "user_id": null, "user_email": "invited@example.com", "role": "user" });
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = members_with_roles || '{nameless}'"
        ))
        .await;

    world.settle().await;

    let roster = world.team("science").await["members_with_roles"].clone();
    assert_eq!(roster[0]["user_id"], "by-hand");
    assert_eq!(roster[1], nameless);
    assert_eq!(roster.as_array().map(Vec::len), Some(4));
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_holds_the_columns_default_becomes_a_list() {
    let world = science().await;
    seed::team(&group("science"))
        .with("members_with_roles", json!({}))
        .insert(&world.database)
        .await;
    seed::user(&person("ada"))
        .with("teams", json!(null))
        .insert(&world.database)
        .await;

    world.settle().await;

    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_is_stored_as_text_loses_nobody() {
    let world = science().await;
    let by_hand = json!({ "user_id": "by-hand", "user_email": null, "role": "admin" });
    seed::team(&group("science"))
        .with("members_with_roles", json!([by_hand]).to_string())
        .insert(&world.database)
        .await;

    world.settle().await;

    let roster = world.team("science").await["members_with_roles"].clone();
    assert_eq!(roster.as_array().map(Vec::len), Some(3));
    assert_eq!(roster[0], by_hand);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_member_whom_somebody_took_out_is_added_back() {
    let world = science().await;
    world.settle().await;
    let (team, ada) = (group("science"), person("ada"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = '[]';
             UPDATE \"LiteLLM_UserTable\" SET teams = '{{}}';
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{team}'"
        ))
        .await;
    let item = world
        .plan()
        .await
        .plan
        .items()
        .find(|item| item.id.ends_with(&ada));
    let reason = item.expect("ada is to be added").reason;
    assert!(reason.contains("taken out in LiteLLM"), "{reason}");

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.added, 2);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_membership_that_disagree_are_repaired() {
    let world = World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob", "cyd", "dan", "eve"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.settle().await;
    let (ada, bob, cyd, dan) = (person("ada"), person("bob"), person("cyd"), person("dan"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET teams = '{{other}}' WHERE user_id = '{ada}';
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = '{bob}';
             DELETE FROM \"LiteLLM_OrganizationMembership\" WHERE user_id = '{dan}';
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = (
                 SELECT jsonb_agg(e) FROM jsonb_array_elements(members_with_roles) e
                 WHERE e ->> 'user_id' <> '{cyd}')"
        ))
        .await;

    let planned = world.plan().await;
    let mut planned: Vec<_> = planned.plan.items().collect();
    planned.sort_by(|a, b| a.id.cmp(&b.id));

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.repaired, 2, "ada and bob");
    assert_eq!(report.changes.team_memberships.added, 1, "cyd");
    assert_eq!(report.changes.organization_memberships.added, 1, "dan");
    let all = people(["ada", "bob", "cyd", "dan", "eve"]);
    assert_eq!(world.members("science").await, all);
    assert_eq!(world.organization_members("science").await, all);
    let out = "taken out in LiteLLM, still a member of the group";
    let (in_plan, in_history) = (
        "copies of the membership disagree",
        "copies of the membership disagreed",
    );
    let mut wanted = [
        (&ada, "repair", "team_membership", in_plan, in_history),
        (&bob, "repair", "team_membership", in_plan, in_history),
        (&cyd, "add", "team_membership", out, out),
        (&dan, "add", "organization_membership", out, out),
    ];
    wanted.sort();
    let shown = planned.iter().map(|item| {
        (
            item.id.as_str(),
            item.action,
            item.kind.as_str(),
            item.reason,
        )
    });
    let science = group("science");
    let ids = wanted.map(|(user, ..)| format!("{science}/{user}"));
    let lines = ids.iter().zip(&wanted);
    let in_plan = lines.map(|(id, (_, action, kind, why, _))| (id.as_str(), *action, *kind, *why));
    assert_eq!(shown.collect::<Vec<_>>(), in_plan.collect::<Vec<_>>());
    // And the history tells the same.
    let run = report.run_id.to_string();
    let told = entra_sync(world.environment(), &["show", &run])
        .await
        .exits_with(0);
    let mut lines: Vec<&str> = told.stdout.lines().skip(1).collect();
    lines.sort_unstable();
    let mut in_history: Vec<String> = ids
        .iter()
        .zip(&wanted)
        .map(|(id, (_, action, kind, _, why))| format!("{action} {kind} {id} ({why})"))
        .collect();
    in_history.sort_unstable();
    assert_eq!(lines, in_history);
    let teams = world.user("ada").await["teams"].clone();
    assert_eq!(teams, json!(["other", group("science")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_deleted_by_hand_while_its_group_is_assigned_is_made_again() {
    let world = science().await;
    world.settle().await;
    world.sql("DELETE FROM \"LiteLLM_TeamTable\"").await;

    let report = world.settle().await;

    assert_eq!(report.changes.teams.created, 1);
    let team = world.team("science").await;
    assert_eq!(team["team_alias"], "Science");
    assert_eq!(team["max_budget"], 100);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_deleted_by_hand_is_made_again_with_all_memberships() {
    let world = science().await;
    world.settle().await;
    let ada = person("ada");
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = '{ada}';
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = '{ada}'"
        ))
        .await;

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.users.created, 1);
    world.settle().await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_that_is_none_stops_its_own_team_only() {
    let mut world = World::new(|tenant| {
        tenant.group("broken").member("ada").assigned_by_default();
        tenant.group("whole").member("bob").assigned_by_default();
    })
    .await;
    world.database = world.database.unexported();
    seed::team(&group("broken"))
        .with("members_with_roles", json!({ "not": "a roster" }))
        .insert(&world.database)
        .await;
    let before = world.team("broken").await;

    let report = world.pass().await;

    assert_eq!(report.status, entra_sync::model::report::Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].id, group("broken"));
    assert!(report.errors[0].message.contains("members_with_roles"));
    assert_eq!(world.team("broken").await, before);
    assert_eq!(world.members("whole").await, people(["bob"]));
}
