//! Links that are lost, passes that die, answers that contradict each other.

use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::{DeltaExpiry, DeltaOffer};

use super::{Followed, two_groups};
use crate::support::look::people;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_dies_after_hearing_leaves_it_to_the_next() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    world.entra.tenant(|tenant| {
        tenant.group("science").member("cem").without_member("ada");
    });
    // LiteLLM's rows cannot be read: the pass fails after it has saved its links.
    let rename = |from: &str, to: &str| format!("ALTER TABLE \"{from}\" RENAME TO \"{to}\"");
    let (table, aside) = ("LiteLLM_TeamMembership", "aside");
    world.entra.reset_requests();
    world.sql(&rename(table, aside)).await;
    let pass = world.pass_by(&followed.source, Mode::Incremental, Default::default());
    let (_, error) = pass.await;
    assert!(error.is_some());
    world.sql(&rename(aside, table)).await;

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
