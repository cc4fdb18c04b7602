//! What is logged and traced of passes: whose each line is, each change, and
//! nothing about people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli_exit_codes::world;
use crate::daemon_schedule::quiet;
use crate::support::World;
use crate::support::binary::{Running, entra_sync};
use crate::support::crowd::{Crowd, name};
use crate::support::database::connect;
use crate::support::receiver::Receiver;

const FORMAT: &str = "ENTRA_SYNC__TELEMETRY__LOG_FORMAT";
const LEVEL: &str = "ENTRA_SYNC__TELEMETRY__LOG_LEVEL";
const ENDPOINT: &str = "ENTRA_SYNC__TELEMETRY__OTLP_ENDPOINT";

fn lines(log: &str) -> Vec<Value> {
    let line =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(line).collect()
}

async fn column(world: &World, sql: &str) -> BTreeSet<String> {
    let client = connect(&world.database.url_as("postgres")).await;
    let rows = client.query(sql, &[]).await.expect("rows");
    rows.iter().filter_map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_pass_carries_the_run_of_its_own_source() {
    const SOURCES: usize = 3;
    let mut crowd = Crowd::of(SOURCES, |number, tenant| {
        tenant
            .group(&format!("group-{number}"))
            .member(&format!("person-{number}"))
            .assigned_by_default();
    })
    .await;
    crowd.set(FORMAT, "json").set(LEVEL, "debug,change=info");
    let daemon = Running::start(&crowd.environment, &["run"]);
    daemon.says("\"message\":\"pass ended\"", SOURCES).await;
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    let mut runs: BTreeMap<String, String> = BTreeMap::new();
    let mut within = 0;
    for line in lines(&log) {
        let (run, message) = (line["run.id"].as_str(), line["message"].as_str());
        let Some(source) = line["source.name"].as_str() else {
            assert_eq!(run, None, "of no source: {line}");
            continue;
        };
        match (message, runs.get(source)) {
            (Some("pass begins"), None) => {
                runs.insert(source.to_owned(), run.expect("a run").to_owned());
            }
            (Some("pass ended"), Some(its)) => {
                assert_eq!(run, Some(its.as_str()), "{line}");
                // What the daemon says between two passes is nobody's.
                runs.insert(source.to_owned(), String::new());
            }
            (_, Some(its)) if !its.is_empty() => {
                assert_eq!(run, Some(its.as_str()), "{line}");
                within += 1;
            }
            _ => {}
        }
    }
    assert_eq!(runs.len(), SOURCES, "{log}");
    // Three changes each: a team, a user, a membership.
    assert!(within >= SOURCES * 3, "{log}");
    for number in 0..SOURCES {
        assert!(runs.contains_key(&name(number)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_a_line_for_whoever_asks_and_no_line_is_about_people() {
    let world = world()
        .await
        .with(FORMAT, "json")
        .with(LEVEL, "debug,change=info");
    let sync = || entra_sync(world.environment(), &["sync", "--format", "json"]);
    let ended = sync().await.exits_with(0);
    let report = ended.json();
    let told: Vec<Value> = lines(&ended.stderr)
        .into_iter()
        .filter(|line| line["target"] == "change")
        .collect();
    let of_kind = |kind: &str| {
        told.iter()
            .filter(|line| line["object.kind"] == kind)
            .count()
    };
    assert_eq!(
        (of_kind("team"), of_kind("user"), of_kind("team_membership")),
        (2, 3, 3)
    );
    for line in &told {
        assert_eq!(line["run.id"], report["run_id"], "{line}");
        assert!(
            line["action"].is_string() && line["reason"].is_string(),
            "{line}"
        );
    }
    let people = column(&world, "SELECT user_id FROM \"LiteLLM_UserTable\"").await;
    let users = told.iter().filter_map(|line| line["user.id"].as_str());
    let users: BTreeSet<String> = users.map(str::to_owned).collect();
    assert_eq!(users, people);

    let mut private = column(&world, "SELECT user_email FROM \"LiteLLM_UserTable\"").await;
    private.extend(column(&world, "SELECT user_alias FROM \"LiteLLM_UserTable\"").await);
    private.extend(column(&world, "SELECT team_alias FROM \"LiteLLM_TeamTable\"").await);
    assert_eq!(private.len(), 8, "{private:?}");
    for text in private {
        assert!(
            !ended.stderr.contains(&format!("\"{text}")),
            "{text}: {}",
            ended.stderr
        );
        assert!(
            !ended.stderr.contains(&format!(" {text}")),
            "{text}: {}",
            ended.stderr
        );
    }

    let world = crate::cli_exit_codes::world()
        .await
        .with(FORMAT, "json")
        .with(LEVEL, "info,entra_sync=debug");
    let log = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0)
        .stderr;
    assert!(!log.contains("\"change\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_a_trace_that_a_collector_gets_before_the_program_ends() {
    let collector = Receiver::start().await;
    let mut world = world().await.with(ENDPOINT, collector.url());
    quiet(&mut world);
    let daemon = Running::start(world.environment(), &["run"]);
    daemon.says("pass ended", 1).await;
    daemon.signal("TERM").await;
    let log = daemon.ended().await.exits_with(0).stderr;
    let posts = collector.posts();
    assert!(!posts.is_empty(), "{log}");
    assert_eq!(posts[0].header("content-type"), "application/x-protobuf");
    let body: Vec<u8> = posts.iter().flat_map(|post| post.body.clone()).collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    let runs = column(&world, "SELECT run_id::text FROM entra_sync.run").await;
    let run = runs.first().expect("a run");
    for expected in [
        "entra-sync",
        run,
        "pass",
        "opening",
        "reading",
        "comparing",
        "writing",
        "transaction",
        "GET /groups/{id}/members",
        "POST the token endpoint",
        "succeeded",
    ] {
        assert!(body.contains(expected), "{expected} is in no span");
    }
    // Neither lines of the log nor whom they are about.
    for person in column(&world, "SELECT user_id FROM \"LiteLLM_UserTable\"").await {
        assert!(!body.contains(&person), "{person}");
    }
    assert!(
        !body.contains("pass ended") && !log.contains("traces are lost"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_delays_neither_pass_nor_end() {
    let collector = Receiver::ill(0, usize::MAX).await;
    let world = world().await.with(ENDPOINT, collector.url());
    let begun = Instant::now();
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(!collector.posts().is_empty());
}
