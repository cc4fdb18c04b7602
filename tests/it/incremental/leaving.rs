//! What a pass leaves to the next one: to look once more at what it changed,
//! and at everybody while somebody waits for room.

use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::{
    AccountEnabled, DeletedAssignments, Effect, Fault, group_id, person_id,
};

use super::{Followed, two_groups};
use crate::support::World;
use crate::support::look::{people, person, skipped};
use crate::support::seed;
use crate::support::world::NARROW;

/// Whether everything is open, and how many people and groups are.
async fn open(world: &World) -> (bool, usize, usize) {
    let rows = world.database.rows("entra_sync.directory").await;
    let row = rows.first().expect("what is known");
    let length = |column: &str| row[column].as_array().expect("a list").len();
    let everything = row["open_everything"].as_bool().expect("a boolean");
    (everything, length("open_people"), length("open_groups"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pass_changed_the_next_one_looks_at_once_more() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    assert_eq!(open(world).await, (false, 0, 0));
    let report = followed
        .after(|tenant| {
            tenant.group("science").member("eve");
        })
        .await;
    assert_eq!(report.changes.users.created, 1);
    assert_eq!(open(world).await, (false, 1, 0));
    // A login at the same moment wrote the team's members from before it.
    let (team, user) = (group_id("science"), person_id("eve"));
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{team}' AND user_id = '{user}'"
        ))
        .await;

    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.changes.team_memberships.repaired, 1);
    followed.settled().await;
    assert_eq!(open(world).await, (false, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_adopted_loses_its_access_with_the_next_pass() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    seed::user(&person("eve")).insert(&world.database).await;
    let adopted = followed
        .after(|tenant| {
            tenant.user("eve").disabled();
            tenant.group("science").member("eve");
        })
        .await;
    assert_eq!(adopted.changes.users.deactivated, 0, "{}", adopted.json());

    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_seat_gets_the_one_that_somebody_else_gives_up() {
    let seats = [("ENTRA_SYNC__LITELLM__SEATS", "3")];
    let furnish = |tenant: &mut entra_sync::simulator::Tenant| {
        let science = tenant.group("science");
        science.members(["ada", "bob", "cem"]).assigned_by_default();
    };
    let followed = Followed::with(furnish, &seats).await;
    let world = &followed.world;
    let report = followed
        .after(|tenant| {
            tenant.group("science").member("dan");
        })
        .await;
    assert_eq!(skipped(&report), [(person("dan").as_str(), "no_seat")]);
    assert_eq!(open(world).await, (true, 0, 0));

    let report = followed
        .after(|tenant| {
            tenant.user("ada").disabled();
        })
        .await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.changes.users.created, 1, "{}", report.json());
    assert_eq!(report.skipped, []);
    assert!(world.has_user("dan").await);
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_seat_is_given_among_everybody_who_wants_one() {
    let seats = [("ENTRA_SYNC__LITELLM__SEATS", "4")];
    let furnish = |tenant: &mut entra_sync::simulator::Tenant| {
        let science = tenant.group("science");
        science
            .members(["ada", "bob", "cem"])
            .assigned("internal_user_viewer");
        tenant
            .group("heads")
            .member("ada")
            .assigned("internal_user");
    };
    let followed = Followed::with(furnish, &seats).await;
    let world = &followed.world;

    let report = followed
        .after(|tenant| {
            tenant.group("science").member("dan");
            tenant.group("heads").member("eve");
        })
        .await;

    assert!(world.has_user("eve").await, "{}", report.json());
    assert_eq!(skipped(&report), [(person("dan").as_str(), "no_seat")]);
    assert_eq!(report.status, Status::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_changes_of_people_are_refused_everything_is_read() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    world
        .entra
        .fault(Fault::status(403).on("/users/delta").always());
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
    });

    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.mode, Mode::Full, "{}", report.json());
    assert_eq!(world.members("science").await, people(["bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_said_with_every_pass_without_comparing_everything() {
    let followed = Followed::new(|tenant| {
        two_groups(tenant);
        tenant.deleted_assignments(DeletedAssignments::Linger);
    })
    .await;
    let world = &followed.world;
    let (team, user) = (group_id("science"), person_id("ada"));
    let first = followed
        .after(|tenant| {
            tenant.group("sales").soft_deleted();
        })
        .await;
    assert_eq!(first.status, Status::Partial, "{}", first.json());
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{team}' AND user_id = '{user}'"
        ))
        .await;

    for _ in 0..2 {
        let report = followed.pass(Mode::Incremental).await;
        assert_eq!(report.status, Status::Partial, "{}", report.json());
        assert_eq!(report.mode, Mode::Incremental);
        assert_eq!(report.errors, first.errors);
        assert_eq!(report.changes.total(), 0, "somebody else was looked at");
        assert_eq!(open(world).await, (false, 0, 1));
    }

    // What is open does not keep a pass that is to compare everything from it.
    world.entra.reset_requests();
    let report = followed.pass(Mode::Drift).await;
    // Only where somebody is of whom no list tells has to be asked for.
    let log = world.entra.requests().log;
    let asked: Vec<&str> = log.iter().map(|one| one.endpoint.as_str()).collect();
    assert_eq!(asked, ["users"]);
    assert_eq!(report.changes.team_memberships.repaired, 1);
    assert_eq!(report.errors, first.errors);
    let report = followed
        .after(|tenant| {
            tenant.group("sales").restored().member("eve");
        })
        .await;
    assert_eq!(report.errors, [], "{}", report.json());
    assert_eq!(world.members("sales").await, people(["bob", "cem", "eve"]));
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_from_a_list_that_is_not_read_any_more_is_not_believed() {
    let mut followed = Followed::new(two_groups).await;
    let exclude = "ENTRA_SYNC__ENTRA__EXCLUDE_GROUPS";
    followed.world.set(exclude, group_id("sales").to_string());
    followed.source = followed.world.source().narrowing(NARROW);
    followed.world.entra.tenant(|tenant| {
        tenant.user("cem").disabled();
    });
    let report = followed.pass(Mode::Full).await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());

    for _ in 0..2 {
        let report = followed.pass(Mode::Incremental).await;
        assert_eq!(report.changes.total(), 0, "{}", report.json());
    }

    let report = followed
        .after(|tenant| {
            tenant.user("cem").account(AccountEnabled::Enabled);
        })
        .await;
    assert_eq!(report.changes.users.reactivated, 1, "{}", report.json());
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

/// An assignment by name outlives its person by as much as Entra likes.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_deleted_loses_access_whatever_still_names_them_and_however_that_is_learned() {
    for mode in [Mode::Incremental, Mode::Full] {
        let followed = Followed::new(|tenant| {
            two_groups(tenant);
            tenant.user("eve").assigned_by_default();
            tenant.deleted_assignments(DeletedAssignments::Linger);
        })
        .await;
        followed.world.entra.tenant(|tenant| {
            tenant.user("dan").soft_deleted();
            tenant.user("eve").soft_deleted();
        });
        // As if for good, while the assignment is still there.
        let eve = format!("/directory/deletedItems/{}", person("eve"));
        followed
            .world
            .entra
            .fault(Fault::new(Effect::NotFound).on(eve).always());

        let report = followed.pass(mode).await;

        assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
        // Nothing proves that the other is no more: Entra names them still.
        let unread: Vec<&str> = report
            .errors
            .iter()
            .map(|error| error.id.as_str())
            .collect();
        assert_eq!(unread, [person("eve")], "{}", report.json());
        for mode in [Mode::Full, Mode::Incremental, Mode::Drift] {
            let report = followed.pass(mode).await;
            assert_eq!(report.changes.total(), 0, "{}", report.json());
        }

        followed.world.entra.tenant(|tenant| {
            tenant.user("dan").restored();
        });
        let report = followed.pass(mode).await;
        assert_eq!(report.changes.users.reactivated, 1, "{}", report.json());
    }
}
