//! How far a pass looks beyond what has changed.

use entra_sync::model::policy::Scope;
use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::{Fault, group_id, person_id};

use super::{Followed, two_groups};
use crate::support::World;
use crate::support::binary::Running;
use crate::support::look::people;

async fn take_out_by_hand(world: &World, group: &str, who: &str) {
    let (team, user) = (group_id(group), person_id(who));
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{team}' AND user_id = '{user}'"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_in_litellm_is_found_without_asking_entra() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    take_out_by_hand(world, "science", "ada").await;
    let unseen = followed.pass(Mode::Incremental).await;
    assert_eq!(unseen.status, Status::Unchanged);
    world.entra.reset_requests();

    let report = followed.pass(Mode::Drift).await;

    assert_eq!(world.entra.requests().graph().requests, 0);
    assert_eq!(
        report.changes.team_memberships.repaired,
        1,
        "{}",
        report.json()
    );
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_directory_is_compared_whole_with_every_pass() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    take_out_by_hand(world, "science", "ada").await;
    let source = world.source();
    let (report, error) = world
        .pass_by(&source, Mode::Incremental, Scope::Everything)
        .await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(
        report.changes.team_memberships.repaired,
        1,
        "{}",
        report.json()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_are_applied_to_everything() {
    let mut followed = Followed::new(two_groups).await;
    followed.world.set("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    followed.source = followed
        .world
        .source()
        .narrowing(crate::support::world::NARROW);
    let report = followed.pass(Mode::Incremental).await;
    assert_eq!(report.mode, Mode::Incremental);
    assert_eq!(report.changes.organizations.created, 2, "{}", report.json());
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_groups_in_the_settings_are_read_in_full() {
    let mut followed = Followed::new(two_groups).await;
    let science = group_id("science").to_string();
    followed
        .world
        .set("ENTRA_SYNC__ENTRA__EXCLUDE_GROUPS", &science);
    followed.source = followed
        .world
        .source()
        .narrowing(crate::support::world::NARROW);
    let report = followed.pass(Mode::Incremental).await;
    assert_eq!(report.mode, Mode::Full, "{}", report.json());
    assert_eq!(report.changes.total(), 0, "{}", report.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filtered_pass_did_is_not_undone_from_what_was_known() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada").member("cem");
    });
    let scope = Scope::asked([group_id("science")].into(), [].into());
    let (report, error) = world.pass_by(&followed.source, Mode::Full, scope).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.changes.team_memberships.removed, 1);

    let report = followed.pass(Mode::Drift).await;

    assert_eq!(report.changes.total(), 0, "{}", report.json());
    assert_eq!(world.members("science").await, people(["bob", "cem"]));
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_weighs_what_goes_against_everything_that_is_managed() {
    let crowd: Vec<String> = (0..40).map(|number| format!("member-{number}")).collect();
    let settings = [
        ("ENTRA_SYNC__GUARD__MIN_MANAGED", "10"),
        ("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", "20"),
    ];
    let followed = Followed::with(
        |tenant| {
            tenant
                .group("crowd")
                .members(crowd.iter().map(String::as_str))
                .assigned_by_default();
        },
        &settings,
    )
    .await;
    // Of 40 members 5 may go, and not 5 of the 5 that a pass looks at.
    let leave = |from: usize, to: usize| {
        let crowd = &crowd;
        move |tenant: &mut entra_sync::simulator::Tenant| {
            for member in &crowd[from..to] {
                tenant.group("crowd").without_member(member);
            }
        }
    };
    let report = followed.after(leave(0, 5)).await;
    assert_eq!(
        report.changes.team_memberships.removed,
        5,
        "{}",
        report.json()
    );
    followed.settled().await;
    let report = followed.after(leave(5, 25)).await;
    assert_eq!(report.status, Status::Held, "{}", report.json());
    assert_eq!(report.changes.total(), 0);
    let digest = report.held.expect("a held set").digest;
    let again = followed.pass(Mode::Incremental).await;
    assert_eq!(again.held.expect("the same set").digest, digest);
    followed.world.entra.tenant(|tenant| {
        for member in &crowd[5..25] {
            tenant.group("crowd").member(member);
        }
    });
    let report = followed.pass(Mode::Incremental).await;
    assert!(report.held.is_none(), "{}", report.json());
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_goes_on_from_what_is_known_and_full_reads_everything() {
    let world = World::new(two_groups).await;
    let sync = async |arguments: &[&str]| {
        let running = Running::verbatim(world.environment(), arguments);
        running.ended().await.exits_with(0).json()["mode"].clone()
    };
    let json = ["sync", "--format", "json"];
    // There is nothing to go on from.
    assert_eq!(sync(&json).await, "full");
    assert_eq!(sync(&json).await, "incremental");
    assert_eq!(sync(&["sync", "--format", "json", "--full"]).await, "full");
    let modes: Vec<String> = world
        .database
        .rows("entra_sync.run")
        .await
        .iter()
        .map(|run| run["mode"].as_str().expect("a word").to_owned())
        .collect();
    assert_eq!(
        modes.iter().filter(|mode| *mode == "incremental").count(),
        1
    );
}

/// Who may write the ledger's tables, or a copy of the directory that lagged
/// when it was kept.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_only_known_as_disabled_keeps_access_unless_entra_says_so_now() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    let ada = person_id("ada");
    let ledger = world.database.daemon().await;
    ledger
        .batch_execute(&format!(
            "UPDATE entra_sync.directory_person SET disabled = true WHERE person_id = '{ada}'"
        ))
        .await
        .expect("the daemon's own role may");

    let report = followed.pass(Mode::Drift).await;
    assert_eq!(report.changes.users.deactivated, 0, "{}", report.json());
    assert_eq!(report.status, Status::Unchanged, "{}", report.json());
    // Whom the two contradict each other about is looked at again.
    world.entra.fault(Fault::status(403).on("/users").always());
    let unanswered = followed.pass(Mode::Incremental).await;
    assert_eq!(unanswered.status, Status::Partial, "{}", unanswered.json());
    assert_eq!(unanswered.errors[0].id, ada.to_string());
    assert_eq!(unanswered.changes.users.deactivated, 0);
    world.entra.clear_faults();

    // A whole reading sets right what is known.
    let whole = followed.pass(Mode::Full).await;
    assert_eq!(whole.status, Status::Unchanged, "{}", whole.json());
    followed.settled().await;
    let disabled = followed
        .after(|tenant| {
            tenant.user("ada").disabled();
        })
        .await;
    assert_eq!(disabled.changes.users.deactivated, 1, "{}", disabled.json());
}
