//! Graph fails or changes under a pass that is to take away: at each of its
//! requests in turn, those of the second look as well.
//!
//! `incomplete_readings` has the answers that are wrong; here is what happens
//! between two answers.

use entra_sync::model::report::Status;
use entra_sync::simulator::{Effect, Fault, RetryAfter, Tenant};

use crate::support::World;
use crate::support::look::{group, people, person};
use crate::support::wait::wait_for;

/// Two pages, as short ones are given.
const LARGE: usize = 9;
const PAGE: Effect = Effect::ShortPages { rows: 5 };
const HELD: Effect = Effect::Latency { milliseconds: 120 };

fn furnish(tenant: &mut Tenant) {
    for number in 0..LARGE {
        tenant.group("large").member(&format!("person-{number}"));
    }
    tenant.group("large").assigned_by_default();
    for key in ["other", "small"] {
        tenant
            .group(key)
            .members(["ada", "bob", "cem"])
            .assigned_by_default();
    }
}

async fn world() -> World {
    let world = World::new(furnish)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000)
        .with("ENTRA_SYNC__ENTRA__CONCURRENCY", 1);
    short_pages(&world);
    world.settle().await;
    world
}

fn short_pages(world: &World) {
    world.entra.fault(Fault::new(PAGE).on("/groups/*").always());
}

/// One leaves each group, one is deleted for good.
fn leave(world: &World) {
    world.entra.tenant(|tenant| {
        tenant.group("large").without_member("person-3");
        tenant.group("small").without_member("bob");
        tenant.group("other").without_member("cem");
        tenant.user("person-7").purged();
    });
}

/// Everybody is back, also in LiteLLM.
async fn come_back(world: &World) {
    world.entra.tenant(|tenant| {
        for key in ["large", "other", "small"] {
            tenant.group(key).restored();
        }
        tenant.user("person-7").restored();
        furnish(tenant);
    });
    world.pass().await;
    assert_eq!(world.members("large").await.len(), LARGE);
}

/// How many requests a pass makes that takes away what [`leave`] leaves.
async fn requests(world: &World) -> u64 {
    leave(world);
    world.entra.reset_requests();
    let report = world.pass().await;
    assert_eq!(report.changes.team_memberships.removed, 4);
    assert_eq!(report.changes.users.deactivated, 1);
    let requests = world.entra.requests().graph().requests;
    come_back(world).await;
    requests
}

/// A pass during whose request `number` this happens to Entra.
async fn pass_with(world: &World, number: u64, happens: impl FnOnce(&World)) -> Status {
    world
        .entra
        .fault(Fault::new(HELD).on("/v1.0/*").after(number));
    let waiting = world.entra.waiting_faults();
    let (ended, ()) = tokio::join!(world.try_pass(), async {
        wait_for("the request", || async {
            (world.entra.waiting_faults() < waiting).then_some(())
        })
        .await;
        happens(world);
    });
    let (report, error) = ended;
    println!("request {number}: {:?} {error:?}", report.status);
    report.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_at_any_request_costs_a_new_one_and_nothing_else() {
    let world = world().await;
    let requests = requests(&world).await;
    assert!(requests >= 10, "{requests}");
    for number in 0..requests {
        leave(&world);
        let status = pass_with(&world, number, |world| {
            world.entra.expire_tokens();
        })
        .await;
        assert_eq!(status, Status::Succeeded, "request {number}");
        assert_eq!(world.members("small").await, people(["ada", "cem"]));
        assert_eq!(world.members("other").await, people(["ada", "bob"]));
        assert_eq!(world.members("large").await.len(), LARGE - 2);
        come_back(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_requests_of_either_look_are_waited_out() {
    let world = world().await;
    let requests = requests(&world).await;
    leave(&world);
    // A pause stops all requests, and each costs seconds: every fourth request
    // of both looks is refused once.
    let refused = (0..requests).step_by(4);
    for number in refused {
        let again = Fault::throttled(RetryAfter::Seconds(0)).on("/v1.0/*");
        world.entra.fault(again.after(number));
    }
    let report = world.pass().await;
    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(world.entra.waiting_faults(), 1, "that of the short pages");
    assert_eq!(report.changes.team_memberships.removed, 4);
    assert_eq!(world.members("large").await.len(), LARGE - 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_vanishes_at_any_request_takes_nobody_elses_access() {
    let world = world().await;
    let requests = requests(&world).await;
    for number in 0..requests {
        leave(&world);
        pass_with(&world, number, |world| {
            world.entra.tenant(|tenant| {
                tenant.group("large").soft_deleted();
            });
        })
        .await;
        // Who left may have gone or not; nobody else has. Copies agree.
        for (key, leaver) in [("small", "bob"), ("other", "cem")] {
            let mut stays = people(["ada", "bob", "cem"]).to_vec();
            let members = world.members(key).await;
            stays.retain(|id| members.contains(id) || *id != person(leaver));
            assert_eq!(members, stays, "request {number}: {key}");
        }
        let left = world.members("large").await.len();
        // All of them, as long as their group's end is not proven.
        assert!(left == 0 || left >= LARGE - 2, "request {number}: {left}");
        // The next pass knows, and does what the policy says.
        world.pass().await;
        assert!(world.members("large").await.is_empty(), "request {number}");
        for key in ["small", "other"] {
            assert_eq!(world.members(key).await.len(), 2, "request {number}");
        }
        come_back(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_who_come_back_between_the_two_looks_stay() {
    let world = world().await;
    let requests = requests(&world).await;
    let mut stayed = 0;
    for number in 0..requests {
        leave(&world);
        let before = world.managed("large").await;
        pass_with(&world, number, |world| {
            world.entra.tenant(|tenant| {
                tenant.group("large").member("person-3");
                tenant.group("small").member("bob");
            });
        })
        .await;
        let members = world.members("small").await;
        stayed += u64::from(members.contains(&person("bob")));
        assert!(before.len() - world.members("large").await.len() <= 2);
        let others = people(["ada", "cem"]);
        assert!(others.iter().all(|id| members.contains(id)), "{number}");
        world.pass().await;
        assert_eq!(world.members("small").await.len(), 3);
        come_back(&world).await;
    }
    // They had been missing from the first look in some of these passes.
    assert!(stayed >= 2, "{stayed} of {requests}");
    assert_eq!(world.managed("small").await.len(), 3);
    assert_eq!(group("small"), world.team("small").await["team_id"]);
}
