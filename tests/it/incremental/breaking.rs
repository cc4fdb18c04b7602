//! Links that are lost, passes that die, answers that contradict each other.

use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::{DeltaExpiry, DeltaOffer, Fault, RoleState, group_id, person_id};

use super::{Followed, two_groups};
use crate::support::look::people;
use crate::support::world::NARROW;

#[tokio::test(flavor = "multi_thread")]
async fn lost_links_are_made_up_for() {
    for expiry in [
        DeltaExpiry::Gone,
        DeltaExpiry::NotFound,
        DeltaExpiry::NotFoundInOtherCase,
        DeltaExpiry::NotFoundInside,
    ] {
        let followed = Followed::new(two_groups).await;
        followed.world.entra.expire_delta_links(expiry);
        followed.world.entra.tenant(|tenant| {
            tenant.group("science").without_member("ada").member("cem");
        });
        let report = followed.pass(Mode::Incremental).await;
        assert_eq!(
            report.mode,
            Mode::Full,
            "all links are gone: {}",
            report.json()
        );
        assert_eq!(report.changes.team_memberships.added, 1);
        assert_eq!(report.changes.team_memberships.removed, 1);
        let report = followed.pass(Mode::Incremental).await;
        assert_eq!(report.mode, Mode::Incremental);
        followed.settled().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_changes_cannot_be_followed_everything_is_read() {
    for offer in [DeltaOffer::Unsupported, DeltaOffer::NotImplemented] {
        let followed = Followed::new(|tenant| {
            two_groups(tenant);
            tenant.delta().offer = offer;
        })
        .await;
        followed.world.entra.tenant(|tenant| {
            tenant.group("science").without_member("ada");
        });
        let report = followed.pass(Mode::Incremental).await;
        assert_eq!(report.mode, Mode::Full);
        assert_eq!(report.changes.team_memberships.removed, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pass_could_not_write_the_next_one_does() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    world.refuse("LiteLLM_TeamMembership", "true").await;
    let report = followed
        .after(|tenant| {
            tenant.group("science").member("cem");
            tenant.group("sales").without_member("bob");
        })
        .await;
    assert_eq!(report.status, Status::Partial, "{}", report.json());
    assert_eq!(report.changes.team_memberships.added, 0);
    world.relent().await;

    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.mode, Mode::Incremental);
    assert_eq!(
        report.changes.team_memberships.added,
        1,
        "{}",
        report.json()
    );
    assert_eq!(world.members("sales").await, people(["cem"]));
    followed.settled().await;
}

/// LiteLLM's rows cannot be read: the pass fails after it has saved its links.
async fn dies_after_hearing(followed: &Followed) {
    let world = &followed.world;
    let table = "ON \"LiteLLM_TeamMembership\"";
    world.entra.reset_requests();
    world
        .sql(&format!("REVOKE SELECT {table} FROM entra_sync"))
        .await;
    let pass = world.pass_by(&followed.source, Mode::Incremental, Default::default());
    let (_, error) = pass.await;
    let error = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("LiteLLM"), "{error}");
    assert!(world.entra.requests().graph().requests > 0, "{error}");
    world
        .sql(&format!("GRANT SELECT {table} TO entra_sync"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_a_pass_heard_of_before_it_died_are_given_by_the_next() {
    let followed = Followed::new(two_groups).await;
    followed.world.entra.tenant(|tenant| {
        tenant
            .application()
            .role("internal_user", RoleState::Disabled);
    });
    dies_after_hearing(&followed).await;

    let report = followed.pass(Mode::Incremental).await;

    // Two people had it by their group.
    assert_eq!(report.changes.users.updated, 2, "{}", report.json());
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

/// Somebody came to a group that could not be believed in that very pass.
#[tokio::test(flavor = "multi_thread")]
async fn who_came_while_a_group_was_in_doubt_is_added_when_it_is_not_any_more() {
    let followed = Followed::new(|tenant| {
        two_groups(tenant);
        tenant.user("eve");
    })
    .await;
    let world = &followed.world;
    let eve = format!("/users/{}", person_id("eve"));
    for path in ["/users", &eve] {
        world.entra.fault(Fault::status(500).on(path).always());
    }
    let report = followed
        .after(|tenant| {
            tenant.group("sales").members(["ada", "eve"]);
        })
        .await;
    let sales = group_id("sales").to_string();
    assert!(report.errors.iter().any(|error| error.id == sales));
    assert_eq!(report.changes.total(), 0, "{}", report.json());
    world.entra.clear_faults();

    followed.pass(Mode::Incremental).await;

    assert_eq!(
        world.members("sales").await,
        people(["ada", "bob", "cem", "eve"])
    );
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_come_back_are_compared_again() {
    let mut followed = Followed::new(two_groups).await;
    let keep = "ENTRA_SYNC__DEPROVISION__DISABLED_USER";
    followed.world.set(keep, "keep");
    followed.source = followed.world.source().narrowing(NARROW);
    followed.pass(Mode::Incremental).await;
    let report = followed
        .after(|tenant| {
            tenant.user("cem").disabled();
        })
        .await;
    assert_eq!(report.changes.total(), 0, "{}", report.json());
    followed.pass(Mode::Incremental).await;

    followed.world.set(keep, "deactivate");
    followed.source = followed.world.source().narrowing(NARROW);
    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_dies_after_hearing_leaves_it_to_the_next() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    world.entra.tenant(|tenant| {
        tenant.group("science").member("cem").without_member("ada");
    });
    dies_after_hearing(&followed).await;

    let report = followed.pass(Mode::Incremental).await;
    assert_eq!(
        report.changes.team_memberships.added,
        1,
        "{}",
        report.json()
    );
    assert_eq!(
        report.changes.team_memberships.removed,
        1,
        "{}",
        report.json()
    );
    assert_eq!(world.members("science").await, people(["bob", "cem"]));
    followed.settled().await;
}

/// Graph forgets links after a week, however often everything is read besides.
#[tokio::test(flavor = "multi_thread")]
async fn links_that_a_whole_reading_keeps_grow_no_younger_by_it() {
    let followed = Followed::new(two_groups).await;
    let heard_at = async || {
        let rows = followed.world.database.rows("entra_sync.directory").await;
        rows.first().expect("what is known")["heard_at"].clone()
    };
    let before = heard_at().await;
    followed.pass(Mode::Full).await;
    assert_eq!(heard_at().await, before);
    followed.pass(Mode::Incremental).await;
    assert_ne!(heard_at().await, before);
}
