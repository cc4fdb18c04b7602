//! A second look that breaks off keeps what it should have told of, and what
//! the first reading adds is added.

use entra_sync::simulator::Fault;

use crate::incomplete_readings::{take, world};
use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, person};

/// A pass with this fault, which adds the newcomer, takes nothing and names
/// these objects with this remedy.
async fn only_adds(world: &World, fault: Fault, newcomer: &str, kept: &[String], remedy: &str) {
    let before = world.members("large").await;
    world.entra.tenant(|tenant| {
        tenant.group("small").member(newcomer);
    });
    world.entra.fault(fault);
    let report = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(4)
        .json();
    world.entra.clear_faults();
    assert_eq!(report["status"], "partial", "{report}");
    let changes = &report["changes"];
    assert_eq!(changes["team_memberships"]["added"], 1, "{report}");
    assert_eq!(changes["team_memberships"]["removed"], 0, "{report}");
    assert_eq!(changes["users"]["deactivated"], 0, "{report}");
    assert!(world.members("small").await.contains(&person(newcomer)));
    assert_eq!(world.members("large").await, before);
    let errors = report["errors"].as_array().expect("a list");
    let mut named: Vec<&str> = errors
        .iter()
        .filter_map(|error| error["id"].as_str())
        .collect();
    named.sort_unstable();
    assert_eq!(named, kept, "{report}");
    for error in errors {
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(remedy), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_that_breaks_off_takes_nothing_and_additions_go_on() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("large").without_member("person-3");
    });
    let forbidden = Fault::status(403).on("/groups").after(1).always();
    let kept = [group("large")];
    only_adds(&world, forbidden, "cem", &kept, "GroupMember.Read.All").await;
    take(&world);
    // Nobody is asked for at `/users` by a first reading of these groups.
    let refused = Fault::status(401).on("/users").always();
    let gone = ["person-3", "person-8", "bob"].map(person);
    let groups = ["large", "small", "other"].map(group);
    let mut kept = [&groups[..], &gone[..]].concat();
    kept.sort_unstable();
    only_adds(&world, refused, "dan", &kept, "entra.token_endpoint").await;
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 4);
    assert_eq!(report.changes.users.deactivated, 1);
}
