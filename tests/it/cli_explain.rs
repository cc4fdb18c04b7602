//! Why somebody is, or is not, in a team.

use entra_sync::simulator::{group_id, person_id};

use crate::cli_exit_codes::world;
use crate::support::binary::entra_sync;
use crate::support::tables;

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_pass_it_says_what_is_planned_and_changes_nothing() {
    let world = world().await;
    let ada = person_id("ada").to_string();
    let told = entra_sync(world.environment(), &["explain", &ada, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(told["person"], ada.as_str(), "{told}");
    assert_eq!(told["account"], "enabled", "{told}");
    assert_eq!(told["user"]["found_by"], "not_there_yet", "{told}");
    let team = &told["teams"][0];
    assert_eq!(team["group"], group_id("science").to_string(), "{told}");
    assert_eq!(team["wanted"], "yes", "{told}");
    assert_eq!(team["membership"], "none", "{told}");
    assert_eq!(team["planned"][0]["action"], "add", "{told}");
    assert!(told["teams"][1].is_null(), "{told}");
    let ledger = tables::all(&world.database, "entra_sync").await;
    assert!(ledger.is_empty(), "looking made tables");
}

#[tokio::test(flavor = "multi_thread")]
async fn afterwards_it_says_how_the_row_is_found_and_which_run_made_the_membership() {
    let world = world().await;
    let run = |arguments| entra_sync(world.environment(), arguments);
    let report = run(&["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let ada = person_id("ada").to_string();
    let science = group_id("science").to_string();
    let arguments = ["explain", &ada, &science, "--format", "json"];
    let told = entra_sync(world.environment(), &arguments)
        .await
        .exits_with(0)
        .json();
    assert_eq!(told["user"]["found_by"], "user_id", "{told}");
    assert_eq!(told["user"]["ledger"], "managed", "{told}");
    assert_eq!(told["teams"][0]["membership"], "managed", "{told}");
    assert_eq!(told["teams"][0]["planned"][0].as_str(), None, "{told}");
    let last = told["last_changes"].as_array().expect("a list");
    assert_eq!(last.len(), 2, "{told}");
    assert!(
        last.iter()
            .all(|change| change["run_id"] == report["run_id"]),
        "{told}"
    );

    let arts = group_id("arts").to_string();
    let text = entra_sync(world.environment(), &["explain", &ada, &arts])
        .await
        .exits_with(0)
        .stdout;
    assert!(
        text.contains("wanted no (not a member of the group in Entra)"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_the_guard_holds_is_shown_as_held() {
    let mut world = world().await;
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    world.set("ENTRA_SYNC__GUARD__MAX_REMOVALS", "0");
    let bob = person_id("bob").to_string();
    let told = entra_sync(world.environment(), &["explain", &bob, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let team = &told["teams"][0];
    assert_eq!(team["wanted"], "no", "{told}");
    assert_eq!(team["membership"], "managed", "{told}");
    assert_eq!(team["planned"][0]["action"], "hold", "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_found_exits_with_1() {
    let world = world().await;
    let nobody = entra_sync(world.environment(), &["explain", "nobody@example.com"])
        .await
        .exits_with(1);
    assert!(
        nobody.message().contains("nobody@example.com"),
        "{nobody:#?}"
    );
    let ada = person_id("ada").to_string();
    entra_sync(world.environment(), &["explain", &ada, "no such team"])
        .await
        .exits_with(1);
}
