//! `entra-sync demo` on the embedded PostgreSQL, for machines that have none.
//!
//! A test binary of its own, because the embedded PostgreSQL takes minutes to
//! compile: `cargo test --features demo --test embedded`.

mod support;

use std::time::Instant;

use support::binary::{PROMISED, Running, entra_sync};
use support::nook::Nook;
use support::wait::wait_for;

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story_over_the_one_connection_of_the_embedded_server() {
    let (nook, kept) = (Nook::new(), Nook::new());
    let folder = kept.path().join("demo");
    let folder = folder.to_str().expect("UTF-8");
    let arguments = ["demo", "--embedded", "--once", "--data", folder];
    for (found, counted) in [
        ("empty", "39 teams created, 404 users created"),
        ("as the last demo left them", "changed  nothing"),
    ] {
        let ended = entra_sync(&nook.environment(), &arguments)
            .await
            .exits_with(0);
        let place = format!("its tables, {found}, in the embedded PostgreSQL");
        assert!(ended.stdout.contains(&place), "{}", ended.stdout);
        assert!(ended.stdout.contains(counted), "{}", ended.stdout);
    }
    assert_eq!(kept.files(), ["demo"]);
    assert_eq!(kept.programs(), Vec::<String>::new());
    assert_nothing_is_left(&nook);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_in_order() {
    let nook = Nook::new();
    let demo = Running::start(&nook.environment(), &["demo", "--embedded"]);
    demo.tells("The embedded database has one connection").await;
    let begun = Instant::now();
    demo.signal("INT").await;
    demo.ended().await.exits_with(0);
    assert!(begun.elapsed() < PROMISED, "{begun:?}");
    assert_nothing_is_left(&nook);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_while_it_unpacks_itself_waits_for_that_and_leaves_nothing() {
    let nook = Nook::new();
    let demo = Running::start(&nook.environment(), &["demo", "--embedded"]);
    demo.tells("Starting a private PostgreSQL").await;
    demo.signal("INT").await;
    let ended = demo.ended().await.exits_with(0);
    assert!(!ended.stdout.contains("1. "), "{}", ended.stdout);
    assert_nothing_is_left(&nook);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_outlive_a_demo_that_is_killed() {
    let nook = Nook::new();
    let demo = Running::start(&nook.environment(), &["demo", "--embedded"]);
    demo.tells("3. The same again").await;
    nook.has_one_program().await;
    demo.signal("KILL").await;
    demo.ended().await.exits_with(-1);
    wait_for("its end", || async {
        nook.programs().is_empty().then_some(())
    })
    .await;
}

/// Also not where such programs keep their caches.
fn assert_nothing_is_left(nook: &Nook) {
    assert_eq!(nook.files(), Vec::<String>::new());
    assert_eq!(nook.programs(), Vec::<String>::new());
}
