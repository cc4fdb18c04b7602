//! How many users and teams LiteLLM's licence admits, and who comes first.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use entra_sync::model::report::Status;
use serde_json::json;

use crate::support::World;
use crate::support::look::{group, person, skipped};
use crate::support::seed;

const SEATS: &str = "ENTRA_SYNC__LITELLM__SEATS";

/// Seven viewers, and one with the highest role.
async fn eight_people() -> World {
    World::new(|tenant| {
        let keys: Vec<String> = (0..7).map(|number| format!("viewer-{number}")).collect();
        tenant
            .group("science")
            .members(keys.iter().map(String::as_str))
            .assigned("internal_user_viewer");
        tenant.group("heads").member("head").assigned("proxy_admin");
    })
    .await
}

/// Viewers in the order in which they get seats.
fn viewers() -> Vec<String> {
    let mut ids: Vec<String> = (0..7)
        .map(|number| person(&format!("viewer-{number}")))
        .collect();
    ids.sort();
    ids
}

pub fn licence(terms: &serde_json::Value) -> String {
    BASE64_STANDARD.encode(format!("{terms}.signature"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_licence_five_users_are_made_the_higher_role_first_then_by_id() {
    let world = eight_people().await.with(SEATS, "auto");

    let report = world.settle().await;

    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(report.changes.users.created, 5);
    assert!(world.has_user("head").await);
    let viewers = viewers();
    let (seated, left_out) = viewers.split_at(4);
    assert_eq!(world.members("science").await, seated);
    let named: Vec<(&str, &str)> = left_out.iter().map(|id| (id.as_str(), "no_seat")).collect();
    assert_eq!(skipped(&report), named);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_got_no_seat_gets_one_when_there_is_one() {
    let mut world = eight_people().await.with(SEATS, "auto");
    world.settle().await;
    let first = viewers()[0].clone();
    // SCIM deactivated one of them: LiteLLM does not count that row.
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET metadata = metadata || '{{\"scim_active\": false}}'
             WHERE user_id = '{first}'"
        ))
        .await;
    let report = world.settle().await;
    assert_eq!(report.changes.users.created, 1);
    assert_eq!(report.skipped.len(), 2);
    world.set(SEATS, "6");
    let report = world.settle().await;
    assert_eq!(report.changes.users.created, 1, "the sixth billable row");
    assert_eq!(report.skipped.len(), 1);
    world.set(SEATS, "unlimited");

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 1);
    assert_eq!(report.skipped, []);
    assert_eq!(world.members("science").await, viewers());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_already_is_synced_without_a_free_seat() {
    let world = eight_people().await.with(SEATS, "5");
    for number in 0..6 {
        seed::user(&format!("somebody-{number}"))
            .insert(&world.database)
            .await;
    }
    seed::user(&person("viewer-3"))
        .insert(&world.database)
        .await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 0);
    assert_eq!(world.members("science").await, [person("viewer-3")]);
    assert_eq!(report.skipped.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_a_login_takes_meanwhile_is_not_given_twice() {
    let world = eight_people().await.with(SEATS, "5");
    // A login comes in between the plan and the users.
    world
        .on_write(
            "LiteLLM_TeamTable",
            &format!("NEW.team_id = '{}'", group("science")),
            "INSERT INTO \"LiteLLM_UserTable\" (user_id, teams, models)
             VALUES ('just logged in', '{}', '{}') ON CONFLICT DO NOTHING;",
        )
        .await;

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.users.created, 4);
    assert_eq!(world.count("LiteLLM_UserTable").await, 5);
    let named: Vec<_> = skipped(&report);
    assert_eq!(named.len(), 4, "{named:?}");
    assert!(named.iter().all(|(_, reason)| *reason == "no_seat"));
    world.settle().await;
    assert_eq!(world.members("science").await, viewers()[..3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_says_how_many_users_and_teams_there_may_be() {
    let world = World::new(|tenant| {
        for key in ["a", "b", "c"] {
            tenant
                .group(key)
                .members(["ada", key])
                .assigned_by_default();
        }
    })
    .await
    .with(SEATS, "auto")
    .with(
        "LITELLM_LICENSE",
        licence(&json!({ "expiration_date": "2099-01-01", "max_users": 6, "max_teams": 3 })),
    );
    seed::team("by hand").insert(&world.database).await;
    seed::user("by hand").insert(&world.database).await;

    let report = world.settle().await;

    assert_eq!(report.changes.users.created, 4, "there is room for five");
    assert_eq!(report.changes.teams.created, 2);
    let mut ids = ["a", "b", "c"].map(group);
    ids.sort();
    assert_eq!(skipped(&report), [(ids[2].as_str(), "no_team_licence")]);
    assert_eq!(world.count("LiteLLM_TeamTable").await, 3);
}
