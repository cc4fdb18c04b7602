//! `entra-sync demo` on the machine's own PostgreSQL: what it tells, and that
//! nothing of it stays behind. `tests/embedded` has the other PostgreSQL.

use std::time::Instant;

use crate::support::binary::{Ended, PROMISED, Running, entra_sync};
use crate::support::nook::Nook;
use crate::support::wait::wait_for;

const INT: u32 = 2;
const TERM: u32 = 15;

/// The lines of each numbered part of the story, in order.
fn parts(story: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![Vec::new()];
    for line in story.lines() {
        let heading = line.split_once(". ").map(|(number, _)| number);
        if heading == Some(parts.len().to_string().as_str()) {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("one").push(line);
    }
    parts
}

/// What a report says was changed.
fn changed<'a>(part: &[&'a str]) -> &'a str {
    let line = part
        .iter()
        .find_map(|line| line.strip_prefix("  changed  "));
    line.unwrap_or_else(|| panic!("no report: {part:#?}"))
}

fn assert_nothing_is_left(nook: &Nook) {
    assert_eq!(nook.files(), Vec::<String>::new());
    assert_eq!(nook.programs(), Vec::<String>::new());
}

async fn once(nook: &Nook, arguments: &[&str]) -> Ended {
    let arguments = [&["demo", "--once"], arguments].concat();
    let ended = entra_sync(&nook.environment(), &arguments).await;
    ended.exits_with(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_shows_a_plan_a_pass_and_then_just_the_difference() {
    let nook = Nook::new();
    let ended = once(&nook, &[]).await;
    let story = parts(&ended.stdout);
    assert_eq!(story.len(), 7, "{story:#?}");
    let beginning = story[0].join("\n");
    assert!(
        beginning.contains("its tables, empty, in postgres"),
        "{beginning}"
    );

    // What was planned is what is done, and then nothing is left to do.
    assert_eq!(changed(&story[2]), story[1][2].trim());
    assert!(changed(&story[2]).contains("39 teams created, 404 users created"));
    assert!(story[1].iter().any(|line| line.starts_with("  + create ")));
    assert_eq!(changed(&story[3]), "nothing");

    assert!(story[4].iter().any(|line| line.contains("is renamed")));
    assert_eq!(changed(&story[6]), story[5][2].trim());
    assert_eq!(
        changed(&story[6]),
        "5 organization memberships added, 1 organization created, 1 organization updated, \
         5 team memberships added, 1 team created, 1 team updated, 2 users created, 2 users updated"
    );
    assert_eq!(
        story[6].last(),
        Some(&"The demo ends. Nothing stays behind.")
    );
    assert_nothing_is_left(&nook);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_with_a_folder_goes_on_with_what_is_there_and_says_so() {
    let (nook, kept) = (Nook::new(), Nook::new());
    let folder = kept.path().join("demo");
    let folder = folder.to_str().expect("UTF-8");
    let first = once(&nook, &["--data", folder]).await;
    let stays = format!("The demo ends. The database stays in {folder}.\n");
    assert!(first.stdout.ends_with(&stays), "{}", first.stdout);
    assert!(first.stdout.contains("its tables, empty, in"));

    let second = once(&nook, &["--data", folder]).await;
    assert!(second.stdout.ends_with(&stays), "{}", second.stdout);
    let story = parts(&second.stdout);
    assert!(
        story[0]
            .join("\n")
            .contains("its tables, as the last demo left them, in"),
        "{}",
        second.stdout
    );
    assert!(story[1][0].contains("with what was kept"), "{:?}", story[1]);
    // Everybody is there already; only the tenant's names are as they were.
    for part in [2, 6] {
        assert!(
            !changed(&story[part]).contains("created"),
            "{:?}",
            story[part]
        );
    }
    assert_eq!(kept.files(), ["demo"]);
    assert_eq!(kept.programs(), Vec::<String>::new());
    assert_nothing_is_left(&nook);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_goes_on_until_it_is_interrupted() {
    let nook = Nook::new();
    let demo = Running::start(&nook.environment(), &["demo"]);
    demo.tells("Ctrl-C ends the demo. Nothing stays behind.")
        .await;
    // The next pass of its short schedule.
    demo.says("pass ended", 1).await;
    nook.has_one_program().await;
    let ended = ends(demo, "INT").await;
    assert!(
        ended.stdout.contains("7. Where to look"),
        "{}",
        ended.stdout
    );
    assert_nothing_is_left(&nook);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_ends_in_the_middle_of_anything_and_leaves_nothing() {
    // While the server starts, in the middle of the story, and after it.
    for (signal, moment) in [
        ("INT", "Starting a private PostgreSQL"),
        ("TERM", "1. What a first pass would do"),
        ("HUP", "Ctrl-C ends the demo"),
    ] {
        let nook = Nook::new();
        let demo = Running::start(&nook.environment(), &["demo"]);
        wait_for("a demo that catches signals", || async {
            demo.catches(&[INT, TERM]).then_some(())
        })
        .await;
        demo.tells(moment).await;
        ends(demo, signal).await;
        assert_nothing_is_left(&nook);
    }
}

async fn ends(demo: Running, signal: &str) -> Ended {
    let begun = Instant::now();
    demo.signal(signal).await;
    let ended = demo.ended().await.exits_with(0);
    let taken = begun.elapsed();
    assert!(taken < PROMISED, "{signal}: {taken:?}");
    ended
}
