//! The JSON that programs read: exactly the fields of the contract.

use serde_json::{Map, Value};

use crate::cli_exit_codes::world;
use crate::support::binary::entra_sync;

fn fields(value: &Value) -> Vec<&str> {
    let object: &Map<String, Value> = value.as_object().expect("an object");
    let mut names: Vec<&str> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

const CHANGES: [(&str, &[&str]); 6] = [
    ("keys", &["blocked", "deleted", "unblocked"]),
    ("organization_memberships", &["added", "removed"]),
    ("organizations", &["created", "updated"]),
    ("team_memberships", &["added", "removed", "repaired"]),
    (
        "teams",
        &["blocked", "created", "deleted", "unblocked", "updated"],
    ),
    (
        "users",
        &["created", "deactivated", "reactivated", "updated"],
    ),
];

fn assert_counts(changes: &Value) {
    assert_eq!(fields(changes), CHANGES.map(|(kind, _)| kind));
    for (kind, actions) in CHANGES {
        assert_eq!(fields(&changes[kind]), actions);
        for action in actions {
            assert!(changes[kind][*action].is_u64(), "{kind}.{action}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_prints_exactly_the_fields_of_the_contract() {
    let world = world().await;
    for _ in 0..2 {
        let ended = entra_sync(world.environment(), &["sync", "--format", "json"])
            .await
            .exits_with(0);
        let report = ended.json();
        assert_eq!(ended.stdout.lines().count(), 1, "one object on one line");
        assert_eq!(
            fields(&report),
            [
                "changes",
                "directory",
                "duration_ms",
                "errors",
                "finished_at",
                "held",
                "mode",
                "run_id",
                "skipped",
                "started_at",
                "status",
                "trigger"
            ]
        );
        assert_counts(&report["changes"]);
        let read = [
            "groups",
            "memberships",
            "requests",
            "resource_units",
            "retries",
            "users",
        ];
        assert_eq!(fields(&report["directory"]), read);
        for name in read {
            assert!(report["directory"][name].is_u64(), "{name}");
        }
        assert!(report["duration_ms"].is_u64());
        assert_eq!(report["trigger"], "cli");
        assert_eq!(report["mode"], "full");
        assert_eq!(report["held"], Value::Null);
        for at in ["started_at", "finished_at"] {
            let text = report[at].as_str().expect("text");
            chrono::DateTime::parse_from_rfc3339(text).expect("RFC 3339");
            assert!(text.ends_with('Z'), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_skipped_and_what_failed_is_named_by_kind_and_id() {
    let world = world().await;
    world.entra.tenant(|tenant| {
        tenant.user("gone").disabled();
        tenant.group("arts").member("gone");
    });
    let arts = entra_sync::simulator::group_id("science").to_string();
    let fault = entra_sync::simulator::Fault::status(403);
    world
        .entra
        .fault(fault.on(format!("/groups/{arts}/members*")).always());
    let report = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(4)
        .json();
    assert_eq!(fields(&report["skipped"][0]), ["id", "kind", "reason"]);
    assert_eq!(report["skipped"][0]["reason"], "disabled");
    assert_eq!(fields(&report["errors"][0]), ["id", "kind", "message"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_prints_digest_counts_items_and_what_is_held() {
    let world = world().await;
    let plan = entra_sync(world.environment(), &["plan", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(
        fields(&plan),
        ["changes", "digest", "errors", "held", "items", "skipped"]
    );
    assert_counts(&plan["changes"]);
    assert!(
        plan["digest"]
            .as_str()
            .is_some_and(|digest| digest.len() >= 8)
    );
    let items = plan["items"].as_array().expect("a list");
    assert!(!items.is_empty());
    for item in items {
        assert_eq!(
            fields(item),
            ["action", "after", "before", "id", "kind", "reason"]
        );
    }
    let again = entra_sync(world.environment(), &["plan", "--format", "json"])
        .await
        .json();
    assert_eq!(plan, again, "the same plan twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_goes_to_standard_output_and_logs_to_standard_error() {
    let world = world().await;
    let ended = entra_sync(world.environment(), &["sync", "-v"])
        .await
        .exits_with(0);
    assert!(
        ended.stdout.starts_with("succeeded: full pass in "),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("2 groups, 3 users, 3 memberships"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("2 teams created"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("is on this machine"),
        "{}",
        ended.stderr
    );
    let ended = entra_sync(world.environment(), &["plan", "--log-format", "json"])
        .await
        .exits_with(0);
    for line in ended.stderr.lines() {
        let line: Value = serde_json::from_str(line).expect("a JSON log line");
        assert!(line["level"].is_string(), "{line}");
    }
}
