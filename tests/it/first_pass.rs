//! The main job on an empty LiteLLM.

use entra_sync::model::report::Status;
use entra_sync::simulator::{group_id, person_id};
use serde_json::{Value, json};

use crate::support::World;

fn of<'a>(rows: &'a [Value], column: &str, id: &str) -> &'a Value {
    rows.iter()
        .find(|row| row[column] == id)
        .unwrap_or_else(|| panic!("no row with {column} = {id} in {rows:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_members_become_teams_users_and_memberships() {
    let world = World::new(|tenant| {
        tenant.user("ada").display_name("Ada Example");
        tenant.user("bob").display_name("Bob Example");
        tenant
            .group("science")
            .display_name("Science")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant
            .group("empty")
            .display_name("Nobody here")
            .assigned_by_default();
    })
    .await;

    let report = world.settle().await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.teams.created, 2);
    assert_eq!(report.changes.users.created, 2);
    assert_eq!(report.changes.team_memberships.added, 2);
    let (science, ada) = (
        group_id("science").to_string(),
        person_id("ada").to_string(),
    );
    let teams = world.database.rows("LiteLLM_TeamTable").await;
    let team = of(&teams, "team_id", &science);
    assert_eq!(team["team_alias"], "Science");
    assert_eq!(team["members_with_roles"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        of(&teams, "team_id", &group_id("empty").to_string())["members_with_roles"],
        json!([])
    );
    let users = world.database.rows("LiteLLM_UserTable").await;
    let user = of(&users, "user_id", &ada);
    assert_eq!(user["sso_user_id"], ada.as_str());
    assert_eq!(user["teams"], json!([science]));
    assert_eq!(user["user_alias"], "Ada Example");
    assert_eq!(world.database.rows("LiteLLM_TeamMembership").await.len(), 2);
    assert_eq!(
        world
            .database
            .rows("entra_sync.owned_team_member")
            .await
            .len(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_organizations_every_group_gets_one_with_its_members() {
    let world = World::new(|tenant| {
        tenant.user("ada");
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    let report = world.settle().await;

    assert_eq!(report.changes.organizations.created, 1);
    assert_eq!(report.changes.organization_memberships.added, 1);
    let science = group_id("science").to_string();
    let teams = world.database.rows("LiteLLM_TeamTable").await;
    assert_eq!(teams[0]["organization_id"], science.as_str());
    let members = world.database.rows("LiteLLM_OrganizationMembership").await;
    assert_eq!(members[0]["user_role"], "internal_user");
    assert_eq!(members[0]["organization_id"], science.as_str());
}
