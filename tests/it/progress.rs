//! What people see of a long pass: a bar on a terminal, lines elsewhere.

use std::collections::BTreeSet;

use entra_sync::simulator::{Effect, Fault};
use tempfile::TempDir;

use crate::cli_exit_codes;
use crate::support::World;
use crate::support::binary::Running;

const GROUPS: u64 = 24;

/// A pass that takes its time in every phase: groups come slowly, and so does
/// every membership go into the database.
async fn leisurely() -> World {
    let world = World::new(|tenant| {
        for group in 0..GROUPS {
            let key = format!("group-{group}");
            for person in 0..5 {
                tenant.group(&key).member(&format!("person-{person}"));
            }
            tenant.group(&key).assigned_by_default();
        }
    })
    .await
    .with("ENTRA_SYNC__ENTRA__CONCURRENCY", "2")
    // The bar alone, without what is logged before it.
    .with("ENTRA_SYNC__TELEMETRY__LOG_LEVEL", "error");
    let slow = Fault::new(Effect::Latency { milliseconds: 200 });
    world.entra.fault(slow.on("/groups/*/members*").always());
    world
        .on_write("LiteLLM_TeamMembership", "true", "PERFORM pg_sleep(0.01);")
        .await;
    world
}

/// What a terminal shows one after the other: the text between two moves of the
/// cursor, without colours and erasures.
fn frames(shown: &str) -> Vec<String> {
    let mut frames = vec![String::new()];
    let mut characters = shown.chars();
    while let Some(character) = characters.next() {
        match character {
            '\r' | '\n' => frames.push(String::new()),
            // ESC [ parameters letter
            '\u{1b}' => {
                let letter = characters.find(char::is_ascii_alphabetic);
                if letter != Some('m') {
                    frames.push(String::new());
                }
            }
            other => frames.last_mut().expect("one").push(other),
        }
    }
    frames.retain(|frame| !frame.trim().is_empty());
    frames
}

/// Phase, done and total of one frame; panics at a frame that is of no phase or
/// of two.
fn understood(frame: &str, groups: u64, changes: u64) -> (usize, u64) {
    let (_spinner, said) = frame.trim().split_once(' ').expect("a spinner and words");
    let said = said.trim();
    let (phase, total) = match said {
        "looking at the database" => return (0, 0),
        "reading the assignments" => return (1, 0),
        "comparing with LiteLLM" => return (3, 0),
        said if said.starts_with("reading groups, ") => (2, groups),
        said if said.starts_with("writing [") => (4, changes),
        _ => panic!("of no phase: {frame:?}"),
    };
    let (_, counts) = said.split_once("] ").expect("a bar");
    let counts = counts.split(' ').next().expect("counts");
    let (done, of) = counts.split_once('/').expect("two counts");
    let (done, of): (u64, u64) = (done.parse().expect(frame), of.parse().expect(frame));
    assert_eq!(of, total, "the total of another phase: {frame:?}");
    assert!(done <= of, "{frame:?}");
    let full = said.matches('█').count() as u64;
    assert_eq!(full, done * 16 / of, "a bar of another count: {frame:?}");
    (phase, done)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_never_shows_one_phase_with_the_counts_of_another() {
    let world = leisurely().await;
    let changes = world.plan().await.plan.counts().total();
    assert!(changes > GROUPS, "the totals differ");
    let folder = TempDir::new().expect("a folder");
    let stdout = folder.path().join("stdout");
    let ended = Running::on_a_terminal(world.environment(), "sync", &stdout)
        .ended()
        .await
        .exits_with(0);

    let shown = frames(&ended.stdout);
    let frames: Vec<(usize, u64)> = shown
        .iter()
        .map(|frame| understood(frame, GROUPS, changes))
        .collect();
    assert!(frames.is_sorted(), "nothing goes backwards: {shown:#?}");
    let counts = |phase| -> BTreeSet<u64> {
        let of_it = frames.iter().filter(|(this, _)| *this == phase);
        of_it.map(|(_, done)| *done).collect()
    };
    assert!(counts(2).len() > 3, "groups are counted: {shown:#?}");
    let half_done = |done: &u64| (1..changes).contains(done);
    assert!(
        counts(4).iter().any(half_done),
        "so are changes: {shown:#?}"
    );
    let (_, end) = ended.stdout.rsplit_once('\r').expect("a bar");
    assert_eq!(end, "\u{1b}[2K", "the bar is taken away: {shown:#?}");

    let report = std::fs::read_to_string(&stdout).expect("written");
    assert!(report.starts_with("succeeded: "), "{report}");
    assert!(!report.contains(['\r', '\u{1b}']), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_a_long_pass_writes_whole_lines_to_standard_error() {
    let world = cli_exit_codes::world().await;
    let never = Fault::new(Effect::Latency {
        milliseconds: 600_000,
    });
    let arts = entra_sync::simulator::group_id("arts");
    let members = format!("/groups/{arts}/members*");
    world.entra.fault(never.on(members).always());
    let sync = Running::start(world.environment(), &["sync", "--format", "json"]);
    // The first line is due after a quarter of a minute.
    sync.says("reading groups, 2 memberships done=1 total=2", 1)
        .await;
    sync.signal("TERM").await;
    let ended = sync.ended().await.exits_with(1);
    assert_eq!(ended.json()["status"], "failed");
    assert!(ended.stderr.ends_with('\n'), "{:?}", ended.stderr);
    assert!(
        !ended.stderr.contains(['\r', '\u{1b}', '█']),
        "{:?}",
        ended.stderr
    );
    let lines = ended.stderr.lines().filter(|line| line.contains("done="));
    for line in lines {
        assert!(line.contains(" INFO reading groups, "), "{line}");
    }
}
