//! Why somebody is, or is not, in a team.

mod rows;
mod teams;

use entra_sync::simulator::{group_id, person_id};
use serde_json::Value;

use crate::cli_exit_codes::world;
use crate::support::World;
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

/// The object that programs get.
async fn told(world: &World, arguments: &[&str]) -> Value {
    let arguments = [&["explain", "--format", "json"], arguments].concat();
    entra_sync(world.environment(), &arguments)
        .await
        .exits_with(0)
        .json()
}

/// What people get.
async fn text(world: &World, arguments: &[&str]) -> String {
    let arguments = [&["explain"], arguments].concat();
    entra_sync(world.environment(), &arguments)
        .await
        .exits_with(0)
        .stdout
}

/// The one person that a word means.
async fn whom(world: &World, word: &str) -> Value {
    let told = told(world, &[word]).await;
    assert_eq!(told["matches"][0]["person"], told["person"], "{told}");
    assert_eq!(told["matches"].as_array().map(Vec::len), Some(1), "{told}");
    told["person"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_several_people_gives_all_of_them_with_their_ids() {
    let world = world().await;
    let [ada, bob] = ["ada", "bob"].map(|key| person_id(key).to_string());
    world.entra.tenant(|tenant| {
        tenant.user("ada").display_name("Sam Doe");
        tenant.user("bob").display_name("sam doe");
        // Whoever calls themselves like another's id is not meant by it.
        tenant.user("cleo").display_name(&ada);
    });
    let arguments = ["explain", "Sam DOE"];
    let text = entra_sync(world.environment(), &arguments)
        .await
        .exits_with(1);
    assert!(text.message().contains("2 people"), "{text:#?}");
    let lines: Vec<&str> = text.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{text:#?}");
    for id in [&ada, &bob] {
        assert!(lines.iter().any(|line| line.starts_with(id)), "{text:#?}");
    }
    let told = entra_sync(
        world.environment(),
        &[&arguments[..], &["--format", "json"]].concat(),
    )
    .await
    .exits_with(1)
    .json();
    let mut found: Vec<&str> = told["matches"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["person"].as_str())
        .collect();
    found.sort_unstable();
    let mut both = [ada.as_str(), bob.as_str()];
    both.sort_unstable();
    assert_eq!(found, both, "{told}");
    assert_eq!(told["errors"][0]["kind"], "user", "{told}");
    assert!(told["person"].is_null(), "{told}");
    assert_eq!(whom(&world, &ada).await, ada.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_found_by_every_address_also_after_leaving() {
    let mut world = world().await;
    world.entra.tenant(|tenant| {
        tenant
            .user("ada")
            .user_principal_name("Ada.L@contoso.example.com")
            .mail("countess@example.org");
    });
    let ada = person_id("ada").to_string();
    for attribute in ["userPrincipalName", "mail"] {
        world.set("MICROSOFT_USER_EMAIL_ATTRIBUTE", attribute);
        for word in ["ada.l@CONTOSO.example.com", "Countess@example.org"] {
            assert_eq!(whom(&world, word).await, ada.as_str(), "{attribute} {word}");
        }
    }
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
    });
    // Only LiteLLM's row still says so.
    assert_eq!(whom(&world, "countess@example.org").await, ada.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_the_whole_object_however_it_ends() {
    let mut world = world().await;
    let ada = person_id("ada").to_string();
    let whole = entra_sync(world.environment(), &["explain", &ada, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let keys = |told: &Value| -> Vec<String> {
        let told = told.as_object().expect("an object");
        told.keys().cloned().collect()
    };
    let failing = async |world: &World, arguments: &[&str], kind: &str| {
        let told = entra_sync(
            world.environment(),
            &[&["explain", "--format", "json"], arguments].concat(),
        )
        .await
        .exits_with(1);
        let message = told.message().to_owned();
        let told = told.json();
        assert_eq!(keys(&told), keys(&whole), "{told}");
        assert_eq!(told["errors"][0]["kind"], kind, "{told}");
        assert_eq!(told["errors"][0]["message"], message, "{told}");
        told
    };
    failing(&world, &["nobody@example.com"], "user").await;
    let told = failing(&world, &[&ada, "no such team"], "group").await;
    assert_eq!(told["matches"][0]["person"], ada.as_str(), "{told}");
    world.set("MICROSOFT_CLIENT_SECRET", "another");
    failing(&world, &[&ada], "source").await;
}
