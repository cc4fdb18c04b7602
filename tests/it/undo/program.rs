//! The program: what it accepts, prints and ends with.

use serde_json::Value;

use super::{Before, in_use, leaves, world};
use crate::support::World;
use crate::support::binary::{Ended, entra_sync};
use crate::support::look::{group, person};
use crate::support::tables;

async fn run(world: &World, arguments: &[&str]) -> Ended {
    entra_sync(world.environment(), arguments).await
}

fn fields(value: &Value) -> Vec<&String> {
    value.as_object().expect("an object").keys().collect()
}

/// Bob has left one team, with a key; the run that took it.
async fn one_taken(world: &World) -> String {
    world.settle().await;
    in_use(world).await;
    leaves(world, "bob", &["science"]);
    world.pass().await.run_id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_says_what_comes_back_what_does_not_and_what_happens_next() {
    let world = world().await;
    let taken = one_taken(&world).await;
    let id = format!("{}/{}", group("science"), person("bob"));

    let first = run(&world, &["undo", &taken[..8]]).await.exits_with(0);

    let lines: Vec<&str> = first.stdout.lines().collect();
    let [organization, team, ended, changed, protected] = &lines[..] else {
        panic!("{}", first.stdout);
    };
    assert_eq!(
        *organization,
        format!("+ add organization_membership {id} (given back as it was)")
    );
    assert_eq!(
        *team,
        format!("+ add team_membership {id} keys: 1 (given back as it was)")
    );
    assert!(
        ended.starts_with("succeeded: undid run ") && ended.contains(&taken),
        "{ended}"
    );
    assert_eq!(
        *changed,
        "changed  1 organization membership added, 1 team membership added"
    );
    assert!(protected.contains("entra-sync approve "), "{protected}");
    let digest = protected
        .split("approve ")
        .nth(1)
        .and_then(|rest| rest.split(['`', ' ']).next())
        .expect("a digest");
    run(&world, &["approve", digest]).await.exits_with(0);
    run(&world, &["reject", digest]).await.exits_with(0);

    let second = run(&world, &["undo", &taken]).await.exits_with(0);
    assert!(
        second.stdout.contains(&format!(
            ". team_membership {id} given_back_before: an earlier undo gave it back"
        )) && second.stdout.contains("Nothing of run ")
            && second.stdout.contains("unchanged: undid run "),
        "{}",
        second.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_the_object_of_sync_and_is_kept() {
    let world = world().await;
    let taken = one_taken(&world).await;
    let sync = run(&world, &["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();

    let undo = run(&world, &["undo", &taken, "--format", "json"])
        .await
        .exits_with(0)
        .json();

    assert_eq!(fields(&undo), fields(&sync));
    for part in ["changes", "directory"] {
        assert_eq!(fields(&undo[part]), fields(&sync[part]));
    }
    assert_eq!(undo["trigger"], "cli");
    assert_eq!(undo["status"], "succeeded");
    assert_eq!(undo["directory"]["requests"], 0);
    let shown = run(&world, &["show", "last", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(shown["run"]["report"], undo);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_same_and_writes_nothing() {
    let world = world().await;
    let taken = one_taken(&world).await;
    let litellm = tables::litellm(&world.database).await;
    let ledger = tables::all(&world.database, "entra_sync").await;

    let plan = run(&world, &["undo", "last", "--dry-run", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let text = run(&world, &["undo", "--dry-run", &taken])
        .await
        .exits_with(0)
        .stdout;

    assert_eq!(plan["changes"]["team_memberships"]["added"], 1);
    assert_eq!(plan["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert_eq!(tables::litellm(&world.database).await, litellm);
    assert_eq!(tables::all(&world.database, "entra_sync").await, ledger);
    let of_plan = run(&world, &["plan", "--format", "json"]).await.json();
    assert_eq!(fields(&plan), fields(&of_plan));
    let undone = run(&world, &["undo", &taken, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(undone["changes"], plan["changes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_took_nothing_gives_nothing_back() {
    let world = world().await;
    let first = world.settle().await.run_id.to_string();
    let ended = run(&world, &["undo", &first]).await.exits_with(0);
    assert!(ended.stdout.contains("took nothing away"), "{ended:?}");
    let dry = run(&world, &["undo", &first, "--dry-run"]).await;
    assert!(dry.exits_with(0).stdout.contains("took nothing away"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_not_known_is_an_error_that_says_where_to_look() {
    let world = world().await;
    let before = run(&world, &["undo", "last"]).await.exits_with(1);
    assert!(before.message().contains("no pass has run"), "{before:?}");
    let taken = one_taken(&world).await;
    for wanted in ["cafe0123", "\u{1b}[2J"] {
        for command in [&["undo", wanted][..], &["undo", wanted, "--dry-run"]] {
            let ended = run(&world, command).await.exits_with(1);
            assert!(ended.message().contains("entra-sync history"), "{ended:?}");
            assert!(ended.message().contains("history.keep"), "{ended:?}");
        }
    }
    run(&world, &["undo", ""]).await.exits_with(64);
    run(&world, &["undo"]).await.exits_with(64);

    // Pruned with its copies.
    world
        .ledger_sql("UPDATE entra_sync.run SET started_at = started_at - interval '91 days'")
        .await;
    world.pass().await;
    let ended = run(&world, &["undo", &taken]).await.exits_with(1);
    assert!(ended.message().contains("history.keep"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_its_copies_cannot_be_undone_and_says_so() {
    let world = world().await;
    let taken = one_taken(&world).await;
    let before = Before::of(&world).await;
    world.ledger_sql("DELETE FROM entra_sync.taken").await;
    for command in [&["undo", &taken][..], &["undo", &taken, "--dry-run"]] {
        let ended = run(&world, command).await.exits_with(1);
        assert!(ended.message().contains("entra_sync.taken"), "{ended:?}");
    }
    before.is_back(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entra_is_not_needed() {
    let mut world = world().await;
    let taken = one_taken(&world).await;
    world.set("MICROSOFT_CLIENT_SECRET", "wrong");
    run(&world, &["undo", &taken]).await.exits_with(0);
    assert_eq!(world.members("science").await.len(), 5);
}
