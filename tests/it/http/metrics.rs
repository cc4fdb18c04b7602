//! Whether what is counted is what happened.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::simulator::{Effect, Fault};

use super::Served;
use crate::cli_exit_codes::world;
use crate::daemon_schedule::{pass_by, passes};
use crate::support::wait::wait_for;

fn of(name: &str) -> String {
    format!("entra_sync_{name}{{source=\"default\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_counted_with_what_it_changed_and_what_it_cost() {
    let mut world = world().await;
    let served = Served::after_a_pass(&mut world).await;
    let report = &served.json("/api/v1/runs").await["runs"][0]["report"];
    let samples = served.metrics().await;
    let passes = |trigger: &str, mode: &str, status: &str| {
        format!(
            "entra_sync_passes_total{{source=\"default\",trigger=\"{trigger}\",mode=\"{mode}\",\
             status=\"{status}\"}}"
        )
    };
    assert_eq!(samples.value(&passes("start", "full", "succeeded")), 1.0);
    let took = "entra_sync_pass_duration_seconds_count{source=\"default\",mode=\"full\"}";
    assert_eq!(samples.value(took), 1.0);
    for (kind, actions) in report["changes"].as_object().expect("changes") {
        for (action, many) in actions.as_object().expect("actions") {
            let sample = format!(
                "entra_sync_changes_total{{source=\"default\",kind=\"{kind}\",action=\"{action}\"}}"
            );
            assert_eq!(
                samples.value(&sample),
                many.as_f64().expect("a number"),
                "{sample}"
            );
        }
    }
    assert!(report["changes"]["teams"]["created"].as_u64() > Some(0));
    let read = &report["directory"];
    for (kind, field) in [
        ("group", "groups"),
        ("user", "users"),
        ("membership", "memberships"),
    ] {
        let sample = format!("entra_sync_directory_objects{{source=\"default\",kind=\"{kind}\"}}");
        assert_eq!(
            Some(samples.value(&sample)),
            read[field].as_f64(),
            "{sample}"
        );
    }
    // By the report, and by Graph's own count.
    let graph = world.entra.requests().graph();
    let units = samples.value(&of("graph_resource_units_total"));
    assert_eq!(Some(units), read["resource_units"].as_f64());
    assert_eq!(units, graph.resource_units as f64);
    let requests = samples.value(&of("graph_requests_total"));
    assert_eq!(Some(requests), read["requests"].as_f64());
    assert_eq!(requests, graph.requests as f64);
    assert_eq!(samples.value(&of("held_removals")), 0.0);
    assert_eq!(samples.value(&of("pass_running")), 0.0);
    assert_eq!(samples.value(&of("quarantined")), 0.0);
    assert!(samples.value(&of("last_success_age_seconds")) < 90.0);
    assert!(samples.value(&of("next_run_timestamp_seconds")) > 1.7e9);
    let commits = "entra_sync_database_transaction_seconds_count{outcome=\"committed\"}";
    assert!(samples.value(commits) > 3.0);
    assert!(samples.value("entra_sync_lock_held_seconds_count") > 0.0);
    assert!(samples.value("entra_sync_lock_wait_seconds_count") > 0.0);
    assert!(samples.value("process_resident_memory_bytes") > 1e6);
    assert!(samples.value("process_cpu_seconds_total") > 0.0);
    assert!(samples.value("process_open_fds") > 3.0);
    let version = concat!(
        "entra_sync_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"}"
    );
    assert_eq!(samples.value(version), 1.0);
    served.end().await;
}

/// What a failing pass asked of Graph counts too: that is when one looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_fails_or_is_throttled_is_counted_while_it_runs_and_after() {
    let mut world = world().await;
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "2");
    let served = Served::after_a_pass(&mut world).await;
    let before = served.metrics().await;
    world.entra.reset_requests();
    // The second attempt waits until somebody has looked, whatever it asks.
    let late = Fault::new(Effect::Latency {
        milliseconds: 600_000,
    });
    let refused = "/servicePrincipals/*";
    world.entra.fault(late.on(refused).after(1).always());
    world.entra.fault(Fault::status(503).on(refused).always());
    served.daemon.signal("USR1").await;
    wait_for("a pass that is seen to run", || async {
        let now = served.metrics().await;
        let runs = now.value(&of("pass_running")) == 1.0 && now.value(&of("lease_held")) == 1.0;
        let counts =
            now.value(&of("graph_requests_total")) > before.value(&of("graph_requests_total"));
        (runs && counts).then_some(())
    })
    .await;
    wait_for("the pass to fail", || async {
        world.entra.answer_now();
        let passes = passes(&world).await;
        let failed = |(by, status): &(String, String)| by == "signal" && status == "failed";
        passes.iter().any(failed).then_some(())
    })
    .await;
    let after = wait_for("the source to be in quarantine", || async {
        let now = served.metrics().await;
        (now.value(&of("quarantined")) == 1.0).then_some(now)
    })
    .await;
    let more = |name: &str| after.value(&of(name)) - before.value(&of(name));
    let graph = world.entra.requests().graph();
    // What was in flight when the pass failed was never served.
    let unserved = more("graph_requests_total") - graph.requests as f64;
    assert!((0.0..=1.0).contains(&unserved), "{unserved}");
    assert!(more("graph_retries_total") >= 1.0);
    assert_eq!(after.value(&of("lease_held")), 0.0);
    let failed = "entra_sync_passes_total{source=\"default\",trigger=\"signal\",\
                  mode=\"incremental\",status=\"failed\"}";
    assert_eq!(after.value(failed), 1.0);
    assert_eq!(
        after.value(&of("last_success_timestamp_seconds")),
        before.value(&of("last_success_timestamp_seconds"))
    );
    assert!(
        after
            .0
            .keys()
            .any(|name| name.starts_with("entra_sync_object_errors"))
    );
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_removals_and_what_is_skipped_are_shown() {
    let mut world = world().await;
    world.set("ENTRA_SYNC__GUARD__MAX_REMOVALS", "0");
    let served = Served::after_a_pass(&mut world).await;
    assert!(!served.metrics().await.has("entra_sync_alert_open"));
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("bob");
    });
    served.daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "held");
    served.daemon.says("pass ended", 2).await;
    let samples = served.metrics().await;
    assert!(samples.value(&of("held_removals")) >= 1.0);
    served.end().await;
}

/// Rules and dashboards may use what is documented, and it is what there is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_what_is_documented() {
    let mut world = world().await;
    world.entra.tenant(|tenant| {
        tenant.user("dora").disabled();
        tenant.group("arts").member("dora");
    });
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    let served = Served::after_a_pass(&mut world).await;
    let well = served.get("/metrics").await.1;
    world
        .entra
        .tenant(|tenant| tenant.set_client_secret("another"));
    world.entra.expire_tokens();
    served.daemon.signal("USR1").await;
    assert_eq!(pass_by(&world, "signal", 1).await, "failed");
    let failing = wait_for("what fails to be shown", || async {
        let text = served.get("/metrics").await.1;
        text.contains("entra_sync_alert_open{").then_some(text)
    })
    .await;
    served.end().await;

    let documented = documented();
    let mut types = BTreeMap::new();
    for line in well.lines().chain(failing.lines()) {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            // By the names of samples, as rules write them.
            let (name, kind) = match kind {
                "counter" => (format!("{name}_total"), kind),
                "info" => (format!("{name}_info"), "gauge"),
                _ => (name.to_owned(), kind),
            };
            types.insert(name, kind.to_owned());
        }
    }
    let expected: BTreeMap<String, String> = documented
        .iter()
        .map(|(name, (kind, _))| (name.clone(), kind.clone()))
        .collect();
    assert_eq!(types, expected);

    let mut seen = BTreeMap::new();
    for line in well.lines().chain(failing.lines()) {
        if line.starts_with('#') {
            continue;
        }
        let (sample, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let labels: BTreeSet<String> = labels
            .trim_end_matches('}')
            .split("\",")
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()))
            .filter(|label| label != "le")
            .collect();
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|name| documented.contains_key(*name))
            .unwrap_or(name);
        seen.insert(family.to_owned(), labels);
    }
    for (name, (_, labels)) in &documented {
        assert_eq!(seen.get(name), Some(labels), "{name}");
    }
    let page = include_str!("../../../docs/METRICS.md");
    for name in documented.keys() {
        assert!(
            page.contains(&format!("`{name}`")),
            "{name} is not in METRICS.md"
        );
    }
}

/// Type and labels by name.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    include_str!("../../fixtures/metrics.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().expect("a name").to_owned();
            let kind = words.next().expect("a type").to_owned();
            let labels = words.next().unwrap_or_default();
            let labels = labels.split(',').filter(|label| !label.is_empty());
            (name, (kind, labels.map(str::to_owned).collect()))
        })
        .collect()
}
