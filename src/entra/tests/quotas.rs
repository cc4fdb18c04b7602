//! Readings that need more than Graph allows at once, against the simulator's
//! quotas. How long they take is printed, not asserted.

use std::time::{Duration, Instant};

use super::scene::settings;
use super::stub::{quick, read};
use crate::config::{EntraSettings, Membership, ResourceUnits};
use crate::entra::Reader;
use crate::model::directory::ReadingCost;
use crate::simulator::{Fault, Quota, Simulator, Tenant};

async fn tenant(groups: usize) -> Simulator {
    let tenant = Tenant::build(|t| {
        for number in 0..groups {
            t.group(&format!("g{number}"))
                .member("ada")
                .assigned_by_default();
        }
    });
    Simulator::start(tenant).await.unwrap()
}

/// Reads everything, and says how many requests were refused.
async fn refused(simulator: &Simulator, units: ResourceUnits) -> (u64, ReadingCost) {
    let settings = EntraSettings {
        resource_units: units,
        ..settings(simulator, Membership::Direct)
    };
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    simulator.reset_requests();
    let begun = Instant::now();
    let directory = read(&reader).await.unwrap();
    assert!(directory.groups.values().all(|group| group.members.is_ok()));
    let refused = simulator.requests().graph().refused;
    println!(
        "{units:?}: {} groups, {:?}, {:?}, {refused} refused",
        directory.groups.len(),
        begun.elapsed(),
        directory.cost
    );
    (refused, directory.cost)
}

#[tokio::test]
async fn a_reading_keeps_to_a_quota_that_is_known() {
    let simulator = tenant(100).await;
    simulator.quota(Quota::units(200));
    let (refused, cost) = refused(&simulator, ResourceUnits::Fixed(200)).await;
    assert!(cost.resource_units > 160, "more than fits at once");
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn a_reading_learns_from_429s_alone_as_well() {
    let simulator = tenant(1_900).await;
    simulator.quota(Quota::SMALL).say_no_shares().hold_clock();
    // Nothing flows off before the quota has run out, however slow this machine
    // is; from then on time goes as it does.
    let time = async {
        while simulator.requests().graph().refused == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut then = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            simulator.advance_clock(then.elapsed());
            then = Instant::now();
        }
    };
    let (refused, cost) = tokio::select! {
        read = refused(&simulator, ResourceUnits::Auto) => read,
        () = time => unreachable!("it has no end"),
    };
    assert!(cost.resource_units > 3_500, "more than fits at once");
    // Those in flight when the quota ran out, and few more.
    assert!((1..=2 * 8).contains(&refused), "{refused}");
}

#[tokio::test]
async fn under_strain_fewer_requests_are_in_flight() {
    let simulator = tenant(6).await;
    simulator.latency(Duration::from_millis(10));
    let settings = settings(&simulator, Membership::Direct);
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    read(&reader).await.unwrap();
    assert_eq!(simulator.requests().most_in_flight, 6, "at ease");
    simulator.fault(Fault::status(503).on("/groups/*/members").always());
    let directory = read(&reader).await.unwrap();
    assert!(
        directory
            .groups
            .values()
            .all(|group| group.members.is_err())
    );
    simulator.clear_faults().reset_requests();
    read(&reader).await.unwrap();
    // One, and after eight good answers one more.
    assert!(simulator.requests().most_in_flight <= 2);
}

#[tokio::test]
async fn a_reading_that_knows_nothing_of_a_small_tenants_quota_is_hardly_refused() {
    let simulator = tenant(1_900).await;
    simulator.quota(Quota::SMALL);
    let (refused, cost) = refused(&simulator, ResourceUnits::Auto).await;
    assert!(cost.resource_units > 3_500, "more than fits at once");
    assert!(refused <= 16, "{refused}");
}
