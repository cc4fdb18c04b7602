//! Several sources in several daemons: who looks after which, what happens when
//! one of them dies, and when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::{Client, Row};

use crate::support::binary::Running;
use crate::support::crowd::{Crowd, name};
use crate::support::database::connect;
use crate::support::wait::wait_for;

const SOURCES: usize = 10;
const LEASE: Duration = Duration::from_secs(10);

/// Ten tenants with a group each, and passes every three seconds.
async fn crowd() -> Crowd {
    let mut crowd = Crowd::of(SOURCES, |number, tenant| {
        tenant
            .group(&format!("group-{number}"))
            .member(&format!("person-{number}"))
            .assigned_by_default();
    })
    .await;
    crowd
        .set("ENTRA_SYNC__SCHEDULE__CRON", "*/2 * * * * *")
        .set("ENTRA_SYNC__SCHEDULE__LEASE", "10s");
    crowd
}

/// How many replicas are there, by the database's clock.
async fn replicas(client: &Client) -> i64 {
    let counted = client
        .query_one(
            "SELECT count(*) FROM entra_sync.replica WHERE expires_at > clock_timestamp()",
            &[],
        )
        .await;
    // Before the first pass there is no table.
    counted.map_or(0, |row| row.get(0))
}

/// How many leases a process holds, by the database's clock.
async fn leases_held_by(client: &Client, process: u32) -> i64 {
    let holder = format!("%(process {process})");
    let counted = client
        .query_one(
            "SELECT count(*) FROM entra_sync.lease \
             WHERE holder LIKE $1 AND expires_at > clock_timestamp()",
            &[&holder],
        )
        .await;
    counted.expect("the leases").get(0)
}

/// When the first pass of each source began, of those that began after this and
/// have ended well.
async fn begun_after(client: &Client, time: DateTime<Utc>) -> BTreeMap<String, DateTime<Utc>> {
    client
        .query(
            "SELECT name, (extract(epoch FROM min(started_at)) * 1000)::bigint FROM entra_sync.run JOIN entra_sync.source USING (source_id) \
             WHERE started_at > to_timestamp($1::bigint / 1000.0) AND status IN ('succeeded', 'unchanged') GROUP BY name",
            &[&time.timestamp_millis()],
        )
        .await
        .map(|rows| {
            let time = |row: &Row| DateTime::from_timestamp_millis(row.get(1));
            rows.iter().map(|row| (row.get(0), time(row).expect("a time"))).collect()
        })
        .unwrap_or_default()
}

async fn all_pass_after(client: &Client, time: DateTime<Utc>) -> BTreeMap<String, DateTime<Utc>> {
    wait_for("a pass of every source", || async {
        let begun = begun_after(client, time).await;
        (begun.len() == SOURCES).then_some(begun)
    })
    .await
}

/// The process that last held the lease of each source.
async fn holders(client: &Client) -> BTreeMap<String, u32> {
    let rows = client
        .query(
            "SELECT name, holder FROM entra_sync.lease JOIN entra_sync.source USING (source_id)",
            &[],
        )
        .await
        .expect("leases");
    let process = |holder: &str| {
        let id = holder.rsplit(' ').next()?.trim_end_matches(')');
        id.parse().ok()
    };
    rows.iter()
        .map(|row| (row.get(0), process(row.get(1)).expect("a process")))
        .collect()
}

/// Waits until a whole round of passes has been made by the same replicas as the
/// passes before; since when, and by which. A beat that a busy machine misses
/// moves a source for a while, which costs a wait and is no harm.
async fn one_replica_for_each(client: &Client) -> (DateTime<Utc>, BTreeMap<String, u32>) {
    wait_for("each source to stay with one replica", || async {
        all_pass_after(client, Utc::now()).await;
        let (watched, before) = (Utc::now(), holders(client).await);
        all_pass_after(client, watched).await;
        let after = holders(client).await;
        (before == after).then_some((watched, after))
    })
    .await
}

/// Each pass has a lease of its own, and of those that began since then none
/// began before another of its source had ended. (One that meets another
/// replica's begins before it is refused, so while sources move this need not
/// hold.)
async fn assert_none_overlap(client: &Client, settled: DateTime<Utc>) {
    let overlapping = client
        .query(
            "SELECT name, a.epoch::text, b.epoch::text, a.started_at::text, a.finished_at::text, \
                    b.started_at::text, b.trigger \
             FROM entra_sync.run a JOIN entra_sync.run b USING (source_id) \
                  JOIN entra_sync.source USING (source_id) \
             WHERE a.run_id <> b.run_id AND (a.epoch = b.epoch \
                OR a.started_at > to_timestamp($1::bigint / 1000.0) \
                   AND a.started_at <= b.started_at AND b.started_at < a.finished_at)",
            &[&settled.timestamp_millis()],
        )
        .await
        .expect("passes");
    let told: Vec<Vec<String>> = overlapping
        .iter()
        .map(|row| (0..row.len()).map(|column| row.get(column)).collect())
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sources_of_a_killed_replica_go_on_within_the_lease() {
    let crowd = crowd().await;
    let client = connect(&crowd.database.url_as("postgres")).await;
    let mut daemons: Vec<Running> = (0..3)
        .map(|_| Running::start(&crowd.environment, &["run"]))
        .collect();
    wait_for("three replicas", || async {
        (replicas(&client).await == 3).then_some(())
    })
    .await;
    let (watched, seen) = one_replica_for_each(&client).await;
    let serving: BTreeSet<u32> = seen.values().copied().collect();
    assert!(serving.len() > 1, "the work is shared: {seen:?}");

    let victim = *serving.first().expect("a process that serves");
    let orphans: Vec<&String> = seen
        .iter()
        .filter(|(_, by)| **by == victim)
        .map(|(source, _)| source)
        .collect();
    let at = daemons.iter().position(|one| one.id() == victim);
    let killed = daemons.remove(at.expect("one of ours"));
    assert_none_overlap(&client, watched).await;
    killed.signal("KILL").await;
    let death = Utc::now();
    let in_a_pass = leases_held_by(&client, victim).await;
    killed.ended().await.exits_with(-1);
    let begun = all_pass_after(&client, death).await;
    let waits = orphans.iter().map(|source| begun[*source] - death);
    let longest = waits.max().and_then(|wait| wait.to_std().ok());
    let longest = longest.expect("the killed one had a source");
    eprintln!(
        "{} orphans, the last one went on after {longest:?}",
        orphans.len()
    );
    // A replica is missed before its lease would be over, and so is a lease that it
    // held: who looked in vain does so again within five seconds.
    let patience = LEASE + Duration::from_secs(5);
    assert!(longest < patience, "{longest:?}, {in_a_pass} leases held");
    for (source, process) in holders(&client).await {
        assert_ne!(process, victim, "{source}");
    }

    for daemon in &daemons {
        daemon.signal("TERM").await;
    }
    for daemon in daemons {
        daemon.ended().await.exits_with(0);
    }
    assert_eq!(replicas(&client).await, 0, "who ends says so");
    assert_eq!(
        crowd.database.rows("LiteLLM_TeamTable").await.len(),
        SOURCES
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_ends_hands_its_sources_over_without_a_wait() {
    let mut crowd = crowd().await;
    // Nobody could wait this out.
    crowd.set("ENTRA_SYNC__SCHEDULE__LEASE", "10m");
    let client = connect(&crowd.database.url_as("postgres")).await;
    let staying = Running::start(&crowd.environment, &["run"]);
    all_pass_after(&client, DateTime::UNIX_EPOCH).await;
    wait_for("one replica", || async {
        (replicas(&client).await == 1).then_some(())
    })
    .await;
    let leaving = Running::start(&crowd.environment, &["run"]);
    wait_for("a source of the second replica", || async {
        let id = leaving.id();
        let holders = holders(&client).await;
        holders.values().any(|by| *by == id).then_some(())
    })
    .await;
    leaving.signal("TERM").await;
    leaving.ended().await.exits_with(0);
    all_pass_after(&client, Utc::now()).await;
    let left = staying.id();
    assert!(holders(&client).await.values().all(|by| *by == left));
    staying.signal("TERM").await;
    staying.ended().await.exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hup_brings_a_source_and_takes_one_away_without_a_removal() {
    let mut crowd = Crowd::of(3, |number, tenant| {
        tenant
            .group(&format!("group-{number}"))
            .member(&format!("person-{number}"))
            .assigned_by_default();
    })
    .await;
    crowd.set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    crowd.settings(&crowd.entries(&[0, 1]));
    let client = connect(&crowd.database.url_as("postgres")).await;
    let daemon = Running::start(&crowd.environment, &["run"]);
    let passed = |source: usize, trigger: &'static str, number: i64| {
        let client = &client;
        async move {
            wait_for(&format!("pass {number} of {source} by {trigger}"), || async {
                let counted = client
                    .query_one(
                        "SELECT count(*) FROM entra_sync.run JOIN entra_sync.source USING (source_id) \
                         WHERE name = $1 AND trigger = $2 AND status IS NOT NULL",
                        &[&name(source), &trigger],
                    )
                    .await;
                let count: i64 = counted.map_or(0, |row| row.get(0));
                (count >= number).then_some(())
            })
            .await;
        }
    };
    passed(0, "start", 1).await;
    passed(1, "start", 1).await;
    crowd.settings(&crowd.entries(&[1, 2]));
    daemon.signal("HUP").await;
    passed(1, "reload", 1).await;
    passed(2, "start", 1).await;
    daemon.signal("USR1").await;
    passed(1, "signal", 1).await;
    passed(2, "signal", 1).await;
    let removed = client
        .query_one(
            "SELECT count(*) FROM entra_sync.run JOIN entra_sync.source USING (source_id) \
             WHERE name = $1 AND trigger <> 'start'",
            &[&name(0)],
        )
        .await
        .expect("a count");
    assert_eq!(
        removed.get::<_, i64>(0),
        0,
        "no pass of what no settings name"
    );
    assert_eq!(crowd.database.rows("LiteLLM_TeamMembership").await.len(), 3);
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
    let status = crate::support::binary::entra_sync(&crowd.environment, &["status"]).await;
    assert!(
        status
            .stderr
            .contains("the ledger calls tenant-0: it is left alone"),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_that_cannot_go_on_keeps_no_other_from_its_passes() {
    let mut crowd = Crowd::of(2, |number, tenant| {
        tenant
            .group(&format!("group-{number}"))
            .assigned_by_default();
    })
    .await;
    crowd.set("ENTRA_SYNC__SCHEDULE__LEASE", "5s");
    let both = crate::support::binary::entra_sync(&crowd.environment, &["sync"]).await;
    both.exits_with(0);
    // The ledger knows tenant-0 as another tenant.
    let settings = crowd.entries(&[0, 1]);
    crowd.settings(&settings.replace("tenant: tenant-0.", "tenant: other."));
    let daemon = Running::start(&crowd.environment, &["run"]);
    daemon
        .says("this source is left alone until SIGHUP", 1)
        .await;
    daemon.says("pass ended", 1).await;
    crowd.settings(&settings);
    daemon.signal("HUP").await;
    // Both: one that is new to the daemon, and one that has its settings again.
    daemon.says("pass ended", 3).await;
    daemon.signal("TERM").await;
    daemon.ended().await.exits_with(0);
}
