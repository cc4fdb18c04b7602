//! Somebody logs in, or edits, between the moment a plan is made and the
//! moment it is written.

use serde_json::json;

use crate::support::World;
use crate::support::look::{group, people, person, skipped};

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned("internal_user");
    })
    .await
}

/// Runs this once the teams are being made: the plan is then long fixed, and
/// no user is written yet.
async fn meanwhile(world: &World, statements: &str) {
    let science = format!("NEW.team_id = '{}' AND TG_OP = 'INSERT'", group("science"));
    let action = format!("IF {science} THEN {statements} END IF;");
    world.on_write("LiteLLM_TeamTable", "true", &action).await;
}

/// A row as LiteLLM's login inserts one.
fn login(user: &str, subject: &str, email: &str) -> String {
    format!(
        "INSERT INTO \"LiteLLM_UserTable\" (user_id, sso_user_id, user_email, user_role, teams, models, metadata)
         VALUES ('{user}', '{subject}', '{email}', 'internal_user_viewer', '{{}}', '{{}}',
                 '{{\"auth_provider\": \"microsoft\"}}')
         ON CONFLICT DO NOTHING;"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_login_made_meanwhile_is_not_made_twice() {
    let world = science().await;
    let ada = person("ada");
    meanwhile(&world, &login(&ada, &ada, "ada@contoso.example.com")).await;

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.users.created, 1, "bob");
    assert_eq!(world.count("LiteLLM_UserTable").await, 2);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    world.relent().await;
    let next = world.settle().await;
    assert_eq!(next.changes.users.updated, 1, "ada's alias and role");
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_another_row_took_meanwhile_waits_for_the_next_pass() {
    let world = science().await;
    let ada = person("ada");
    meanwhile(
        &world,
        &login("local-name", &ada, "ada@contoso.example.com"),
    )
    .await;

    let report = world.pass().await;

    assert_eq!(report.changes.users.created, 1, "bob");
    assert_eq!(world.members("science").await, people(["bob"]));
    world.relent().await;
    world.settle().await;
    let mut both = vec!["local-name".to_owned(), person("bob")];
    both.sort();
    assert_eq!(world.members("science").await, both);
    assert!(!world.has_user("ada").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_somebody_took_meanwhile_is_left_out() {
    let world = science().await;
    meanwhile(
        &world,
        &login("stranger", "a strange identity", "Ada@contoso.example.com"),
    )
    .await;

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(world.user("ada").await["user_email"], json!(null));
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    world.relent().await;
    let report = world.settle().await;
    let ada = person("ada");
    assert_eq!(skipped(&report), [(ada.as_str(), "email_taken")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_joined_by_a_login_meanwhile_is_not_on_the_roster_twice() {
    let world = science().await;
    let (science, ada) = (group("science"), person("ada"));
    // The login's join comes before ours, after both rows are there.
    world
        .on_write(
            "LiteLLM_UserTable",
            &format!("NEW.user_id = '{ada}' AND NEW.teams = '{{}}'"),
            &format!(
                "NEW.teams := '{{{science}}}';
                 UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = jsonb_build_array(
                     jsonb_build_object('user_id', NEW.user_id, 'user_email', NEW.user_email, 'role', 'user'));
                 INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES (NEW.user_id, '{science}');"
            ),
        )
        .await;

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.team_memberships.added, 1, "bob");
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
    world.relent().await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_person_edits_meanwhile_is_not_overwritten() {
    let world = science().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").display_name("Ada King");
        tenant.user("bob").display_name("Bob King");
        tenant.group("later").assigned_by_default();
    });
    let ada = person("ada");
    world
        .on_write(
            "LiteLLM_TeamTable",
            "true",
            &format!("UPDATE \"LiteLLM_UserTable\" SET user_alias = 'The Countess' WHERE user_id = '{ada}';"),
        )
        .await;

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.users.updated, 1, "bob");
    assert_eq!(world.user("ada").await["user_alias"], "The Countess");
    world.relent().await;
    world.settle().await;
    assert_eq!(world.user("ada").await["user_alias"], "The Countess");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_deleted_meanwhile_is_made_by_the_next_pass() {
    let world = science().await;
    world
        .on_write(
            "LiteLLM_UserTable",
            "true",
            "DELETE FROM \"LiteLLM_TeamTable\";",
        )
        .await;

    let report = world.pass().await;

    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].id, group("science"));
    assert_eq!(world.count("LiteLLM_TeamMembership").await, 0);
    world.relent().await;
    world.settle().await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}
