//! Commands with several sources: all in order of name, one by `--source`, the
//! gravest exit code, and how one becomes several.

use serde_json::Value;

use crate::support::binary::{Ended, entra_sync};
use crate::support::crowd::Crowd;
use crate::support::database::connect;
use crate::support::look::person;
use entra_sync::simulator::Fault;

async fn three() -> Crowd {
    Crowd::of(3, |number, tenant| {
        let mut group = tenant.group(&format!("group-{number}"));
        for one in 0..30 {
            group = group.member(&format!("person-{number}-{one}"));
        }
        group.assigned_by_default();
    })
    .await
}

/// Each line is one object.
fn lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect()
}

fn sources(lines: &[Value]) -> Vec<&str> {
    let name = |line: &'_ Value| match &line["source"] {
        Value::String(_) => "/source",
        _ => "/source/name",
    };
    lines
        .iter()
        .map(|line| {
            line.pointer(name(line))
                .and_then(Value::as_str)
                .expect("a name")
        })
        .collect()
}

const ALL: [&str; 3] = ["tenant-0", "tenant-1", "tenant-2"];

#[tokio::test(flavor = "multi_thread")]
async fn commands_go_over_all_sources_in_the_order_of_their_names() {
    let crowd = three().await;
    let run = async |arguments: &[&str]| {
        let json = [arguments, &["--format", "json"]].concat();
        entra_sync(&crowd.environment, &json).await
    };
    for command in ["plan", "sync", "plan", "status", "history", "check"] {
        let ended = run(&[command]).await.exits_with(0);
        let lines = lines(&ended);
        assert_eq!(sources(&lines), ALL, "{command}: {ended:?}");
    }
    assert_eq!(
        lines(&run(&["history"]).await)[2]["runs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    // Of one source, today's object: nothing tells that there are others.
    let one = run(&["status", "--source", "tenant-1"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(one["source"]["name"], Value::Null);
    assert_eq!(one["source"]["tenant"], "tenant-1.example.com");
    let history = run(&["--source", "tenant-1", "history"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(history.as_array().map(Vec::len), Some(1));
    let text = entra_sync(&crowd.environment, &["sync"])
        .await
        .exits_with(0);
    for name in ALL {
        assert!(
            text.stdout.contains(&format!("== source {name}\n")),
            "{text:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gravest_end_is_the_exit_code_and_no_source_is_left_out() {
    let crowd = three().await;
    let run = async |arguments: &[&str]| entra_sync(&crowd.environment, arguments).await;
    run(&["plan", "--check"]).await.exits_with(2);
    run(&["sync"]).await.exits_with(0);
    run(&["plan", "--check"]).await.exits_with(0);
    // The guard holds in one, a group cannot be read in another.
    crowd.tenants[2].tenant(|tenant| {
        let mut group = tenant.group("group-2");
        for one in 0..20 {
            group = group.without_member(&format!("person-2-{one}"));
        }
    });
    run(&["sync"]).await.exits_with(3);
    crowd.tenants[0].fault(Fault::status(403).on("/groups/*/members*").always());
    run(&["sync"]).await.exits_with(3);
    run(&["sync", "--source", "tenant-0"]).await.exits_with(4);
    crowd.tenants[0].fault(Fault::status(403).on("*/appRoleAssignedTo*").always());
    let ended = run(&["sync", "--format", "json"]).await.exits_with(1);
    let lines = lines(&ended);
    let statuses: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["status"].as_str())
        .collect();
    assert_eq!(statuses, ["failed", "unchanged", "held"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_held_sets_find_their_source() {
    let crowd = three().await;
    let run = async |arguments: &[&str]| entra_sync(&crowd.environment, arguments).await;
    run(&["sync"]).await.exits_with(0);
    crowd.tenants[1].tenant(|tenant| {
        let mut group = tenant.group("group-1");
        for one in 0..20 {
            group = group.without_member(&format!("person-1-{one}"));
        }
    });
    let held = run(&["sync", "--format", "json"]).await.exits_with(3);
    let held = &lines(&held)[1];
    let digest = held["held"]["digest"].as_str().expect("a digest");
    run(&["approve", digest]).await.exits_with(0);
    let applied = run(&["sync", "--format", "json"]).await.exits_with(0);
    let applied = &lines(&applied)[1];
    assert_eq!(applied["changes"]["team_memberships"]["removed"], 20);
    let id = applied["run_id"].as_str().expect("an id");
    run(&["show", id]).await.exits_with(0);
    let undone = run(&["undo", id, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(
        undone["changes"]["team_memberships"]["added"], 20,
        "{undone}"
    );
    for unclear in [
        &["show", "last"][..],
        &["undo", "last"],
        &["explain", "person-1-0"],
        &["run", "--source", "tenant-1"],
        &["sync", "--source", "tenant-9"],
    ] {
        let ended = run(unclear).await.exits_with(64);
        assert!(ended.message().contains("--source"), "{ended:?}");
    }
    run(&["show", "last", "--source", "tenant-1"])
        .await
        .exits_with(0);
    let person = person("person-1-25");
    run(&["explain", &person, "--source", "tenant-1"])
        .await
        .exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_becomes_one_of_several_and_keeps_what_it_has() {
    let crowd = three().await;
    let run = async || entra_sync(&crowd.environment, &["sync", "--format", "json"]).await;
    let client = connect(&crowd.database.url_as("postgres")).await;
    let names = async || {
        let rows = client
            .query("SELECT name FROM entra_sync.source ORDER BY source_id", &[])
            .await
            .expect("sources");
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    crowd.settings(&format!("entra: {}\n", crowd.entra(0)));
    run().await.exits_with(0);
    assert_eq!(names().await, ["default"]);
    crowd.settings(&crowd.entries(&[0, 1]));
    let several = run().await.exits_with(0);
    assert!(
        several.stderr.contains("has the name of the settings now"),
        "{several:?}"
    );
    assert_eq!(lines(&several)[0]["status"], "unchanged");
    assert_eq!(names().await, ["tenant-0", "tenant-1"]);
    // A name that belongs to another tenant is refused, and nothing is changed.
    let swapped = crowd
        .entries(&[0, 1])
        .replace("tenant-1:", "x:")
        .replace("tenant-0:", "tenant-1:");
    crowd.settings(&swapped);
    let refused = run().await.exits_with(64);
    assert!(refused.stderr.contains("(source tenant-1)"), "{refused:?}");
    crowd.settings(&format!("entra: {}\n", crowd.entra(0)));
    assert_eq!(run().await.exits_with(0).json()["status"], "unchanged");
    assert_eq!(names().await, ["default", "x"]);
    assert_eq!(crowd.database.rows("LiteLLM_TeamTable").await.len(), 2);
}
