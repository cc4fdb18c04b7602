//! `deprovision.grace`: what is to go waits, and may come back.

use chrono::{DateTime, TimeDelta, Utc};
use entra_sync::model::policy::Scope;
use entra_sync::model::report::Status;
use entra_sync::simulator::{Fault, group_id, person_id};
use entra_sync::sync::Planned;
use serde_json::Value;

use crate::guard::{EACH, approve, come_back, crowd, held, leave};
use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, person};

async fn world() -> World {
    World::new(crowd)
        .await
        .with("ENTRA_SYNC__DEPROVISION__GRACE", "2h")
}

async fn hours_pass(world: &World, hours: u32) {
    world
        .ledger_sql(&format!(
            "UPDATE entra_sync.waiting_removal SET since = since - interval '{hours} hours'"
        ))
        .await;
}

fn actions(planned: &Planned) -> Vec<&'static str> {
    planned.plan.items().map(|item| item.action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_waits_visibly_and_is_then_applied() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    for _ in 0..2 {
        let report = world.pass().await;
        assert_eq!(report.status, Status::Unchanged, "{}", report.json());
        assert_eq!(actions(&world.plan().await), ["wait"]);
        assert_eq!(world.members("science").await.len(), EACH);
        hours_pass(&world, 1).await;
    }
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.count("entra_sync.waiting_removal").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_ends_the_wait_and_a_new_departure_waits_anew() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    world.pass().await;
    hours_pass(&world, 3).await;
    come_back(&world, "science", 1);
    world.settle().await;
    leave(&world, "science", 1);
    let report = world.pass().await;
    assert_eq!(report.status, Status::Unchanged);
    assert_eq!(world.members("science").await.len(), EACH);
    come_back(&world, "science", 1);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_disabled_is_not_waited_for() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.user("science-1").disabled();
    });
    assert_eq!(world.settle().await.changes.users.deactivated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_after_its_wait_can_be_approved_and_goes_at_once() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 7);
    world.pass().await;
    hours_pass(&world, 3).await;
    let (digest, removals) = held(&world.pass().await);
    assert_eq!(removals, 7);
    let again = held(&world.pass().await);
    assert_eq!(again, (digest.clone(), 7), "the wait does not begin anew");
    approve(&world, &digest).await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 7);
}

/// Since when the one removal that waits does.
async fn since(world: &World) -> Value {
    let rows = world.database.rows("entra_sync.waiting_removal").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0]["since"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_waits_and_until_when_and_that_is_no_drift() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    let shown = async |arguments: &[&str]| {
        entra_sync(world.environment(), arguments)
            .await
            .exits_with(0)
    };
    let id = format!("{}/{}", group("science"), person("science-0"));
    let line = format!("? wait team_membership {id} (left the group; ");

    let text = shown(&["plan", "--check"]).await.stdout;
    let begins = format!("{line}its wait begins with the next complete pass)\n");
    assert!(text.contains(&begins), "{text}");
    world.pass().await;

    let plan = shown(&["plan", "--format", "json"]).await.json();
    let item = &plan["items"][0];
    assert_eq!(item["action"], "wait", "{plan}");
    assert_eq!(item["id"], id.as_str(), "{plan}");
    let time = |name: &str| -> DateTime<Utc> {
        let text = item["waits"][name].as_str().expect("a time");
        text.parse().expect("a time")
    };
    let (since, until) = (time("since"), time("until"));
    assert_eq!(until - since, TimeDelta::hours(2));
    let at = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ");
    let text = shown(&["plan", "--check"]).await.stdout;
    let waits = format!("{line}waits since {} until {})\n", at(since), at(until));
    assert!(text.contains(&waits), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_cannot_be_read_begins_the_wait_anew() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    world.pass().await;
    hours_pass(&world, 3).await;
    let members = format!("/groups/{}/members*", group("science"));
    world.entra.fault(Fault::status(403).on(members).always());
    let report = world.pass().await;
    assert_eq!(report.status, Status::Partial, "{}", report.json());
    assert_eq!(world.count("entra_sync.waiting_removal").await, 0);
    world.entra.clear_faults();
    // Three hours were enough, but nobody knows what was in between.
    assert_eq!(world.pass().await.status, Status::Unchanged);
    hours_pass(&world, 1).await;
    assert_eq!(world.pass().await.status, Status::Unchanged);
    hours_pass(&world, 1).await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_pass_neither_begins_nor_ends_a_wait_and_applies_what_is_due() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    let source = world.source();
    let filtered = async |scope: Scope| {
        let (report, error) = world.pass_of(&source, scope).await;
        assert!(error.is_none(), "{error:?}");
        report.changes.team_memberships.removed
    };
    let of_group = |key| Scope::asked([group_id(key)].into(), [].into());
    let of_person = |key| Scope::asked([].into(), [person_id(key)].into());
    assert_eq!(filtered(of_group("science")).await, 0);
    assert_eq!(filtered(of_person("science-0")).await, 0);
    assert_eq!(world.count("entra_sync.waiting_removal").await, 0);

    world.pass().await;
    let begun = since(&world).await;
    for scope in [of_group("science"), of_group("sales"), of_person("sales-0")] {
        assert_eq!(filtered(scope).await, 0);
        assert_eq!(since(&world).await, begun);
    }
    hours_pass(&world, 3).await;
    assert_eq!(filtered(of_group("sales")).await, 0);
    assert_eq!(filtered(of_group("science")).await, 1);
    world.settle().await;
    assert_eq!(world.count("entra_sync.waiting_removal").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_taken_away_does_not_wait_anew() {
    let world = world().await;
    world.settle().await;
    leave(&world, "science", 1);
    leave(&world, "sales", 1);
    world.pass().await;
    hours_pass(&world, 3).await;
    let science = format!("NEW.team_id = '{}'", group("science"));
    world.refuse("LiteLLM_TeamTable", &science).await;
    let report = world.pass().await;
    assert_eq!(report.status, Status::Partial, "{}", report.json());
    assert_eq!(
        report.changes.team_memberships.removed, 1,
        "of the other team"
    );
    // Only the one that failed goes on.
    since(&world).await;
    world.relent().await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.count("entra_sync.waiting_removal").await, 0);
}
