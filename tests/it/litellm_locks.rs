//! LiteLLM's own locks: a pass waits for them, reads again once it has them,
//! and names what stays locked.

use entra_sync::model::report::Status;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::binary::Running;
use crate::support::look::{group, people, person, skipped};
use crate::support::seed;
use crate::support::session::Session;

const SEATS: &str = "ENTRA_SYNC__LITELLM__SEATS";

/// LiteLLM counts billable users under this one.
const SEAT_LOCK: &str = "SELECT pg_advisory_xact_lock(468530001)";

async fn arts_and_science() -> World {
    World::new(|tenant| {
        tenant.group("arts").member("cyd").assigned_by_default();
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
}

/// The team of this group is there before the first pass, with nobody in it,
/// and is called as the group is.
async fn team_is_there(world: &World, key: &str) {
    seed::team(&group(key))
        .with("team_alias", key)
        .insert(&world.database)
        .await;
}

/// So is the row of ada, as Entra describes her: nothing of it is to change.
async fn ada_is_there(world: &World) {
    seed::user(&person("ada"))
        .with("user_alias", "ada")
        .with("user_email", "ada@contoso.example.com")
        .insert(&world.database)
        .await;
}

/// What a login writes of one membership.
fn joins(user: &str, team: &str) -> String {
    let entry = json!({ "user_id": user, "user_email": Value::Null, "role": "user" });
    format!(
        "UPDATE \"LiteLLM_UserTable\" SET teams = array_append(teams, '{team}')
             WHERE user_id = '{user}';
         INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('{user}', '{team}');
         UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = members_with_roles || '[{entry}]'
             WHERE team_id = '{team}'"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_team_that_stays_locked_is_named_and_the_others_are_made() {
    let world = arts_and_science().await;
    let science = group("science");
    let session = Session::holding_team(&world.database, &science).await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].id, science);
    let message = &report.errors[0].message;
    assert!(message.contains("LiteLLM's lock"), "{message}");
    assert_eq!(report.changes.teams.created, 1);
    assert_eq!(report.changes.users.created, 3);
    assert_eq!(world.members("arts").await, people(["cyd"]));
    session.rollback().await;
    world.settle().await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_to_rename_that_stays_locked_is_named_and_the_others_are_renamed() {
    let world = arts_and_science().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").display_name("New Arts");
        tenant.group("science").display_name("New Science");
    });
    let science = group("science");
    let session = Session::holding_team(&world.database, &science).await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].id, science);
    let message = &report.errors[0].message;
    assert!(
        message.contains(&science) && message.contains("pg_stat_activity"),
        "{message}"
    );
    assert_eq!(world.team("arts").await["team_alias"], "New Arts");
    assert_eq!(world.team("science").await["team_alias"], "science");
    session.rollback().await;
    world.settle().await;
    assert_eq!(world.team("science").await["team_alias"], "New Science");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_let_go_of_in_time_costs_a_retry_and_nothing_else() {
    let world = arts_and_science().await;
    team_is_there(&world, "science").await;
    let session = Session::holding_team(&world.database, &group("science")).await;

    let (report, ()) = tokio::join!(world.pass(), async {
        assert_eq!(session.is_waited_for().await, "advisory");
        // The lock timeout has passed; the next attempt comes after a pause.
        session.is_left_alone().await;
        session.rollback().await;
    });

    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(report.errors, []);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roster_is_read_again_once_its_lock_is_had() {
    let world = arts_and_science().await;
    team_is_there(&world, "science").await;
    seed::user("by hand").insert(&world.database).await;
    let science = group("science");
    let session = Session::holding_team(&world.database, &science).await;
    session.run(&joins("by hand", &science)).await;

    let pass = Running::start(world.environment(), &["sync", "-vv"]);
    assert_eq!(session.is_waited_for().await, "advisory");
    session.commit().await;
    let ended = pass.ended().await.exits_with(0);

    // All three copies hold all three members, or this panics.
    let mut all = people(["ada", "bob"]);
    all.push("by hand".to_owned());
    all.sort();
    assert_eq!(world.members("science").await, all);
    // The lock alone did it: no snapshot was older than the lock.
    assert!(
        !ended.stderr.contains("could not serialize"),
        "{}",
        ended.stderr
    );
    assert_eq!(world.managed("science").await, people(["ada", "bob"]));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whom_a_login_adds_while_we_wait_is_there_once_and_adopted() {
    let world = arts_and_science().await;
    team_is_there(&world, "science").await;
    let (science, ada) = (group("science"), person("ada"));
    ada_is_there(&world).await;
    let session = Session::holding_team(&world.database, &science).await;
    session.run(&joins(&ada, &science)).await;

    let (report, ()) = tokio::join!(world.pass(), async {
        assert_eq!(session.is_waited_for().await, "advisory");
        session.commit().await;
    });

    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(report.changes.team_memberships.added, 2, "bob and cyd");
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    for row in world.database.rows("entra_sync.owned_team_member").await {
        assert_eq!(row["adopted"], row["person_id"] == ada.as_str(), "{row}");
    }
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_appears_without_the_lock_fails_no_other_and_is_completed() {
    let world = arts_and_science().await;
    team_is_there(&world, "science").await;
    let (science, ada) = (group("science"), person("ada"));
    ada_is_there(&world).await;
    // Another writer of LiteLLM's has written the first of the three copies.
    let session = Session::begin(&world.database).await;
    session
        .run(&format!(
            "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('{ada}', '{science}')"
        ))
        .await;

    let (report, ()) = tokio::join!(world.pass(), async {
        assert_eq!(session.is_waited_for().await, "transactionid");
        session.commit().await;
    });

    assert_eq!(report.errors, [], "the duplicate was found and passed over");
    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(report.changes.team_memberships.added, 3);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.members("arts").await, people(["cyd"]));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_membership_alone_that_appears_without_the_lock_is_no_error_either() {
    let world = World::new(|tenant| {
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await;
    team_is_there(&world, "science").await;
    let (science, ada) = (group("science"), person("ada"));
    ada_is_there(&world).await;
    let session = Session::begin(&world.database).await;
    session
        .run(&format!(
            "INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('{ada}', '{science}')"
        ))
        .await;

    let (report, ()) = tokio::join!(world.pass(), async {
        assert_eq!(session.is_waited_for().await, "transactionid");
        session.commit().await;
    });

    assert_eq!(report.errors, []);
    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(world.members("science").await, people(["ada"]));
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_that_a_login_is_about_to_take_is_waited_for_and_not_given_twice() {
    let world = arts_and_science().await.with(SEATS, "2");
    let session = Session::begin(&world.database).await;
    session
        .run(SEAT_LOCK)
        .await
        .run(
            "INSERT INTO \"LiteLLM_UserTable\" (user_id, teams, models)
             VALUES ('just logged in', '{}', '{}')",
        )
        .await;

    let (report, ()) = tokio::join!(world.pass(), async {
        assert_eq!(session.is_waited_for().await, "advisory");
        session.commit().await;
    });

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.users.created, 1, "one of two seats was left");
    assert_eq!(world.count("LiteLLM_UserTable").await, 2);
    let left_out = skipped(&report);
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert!(left_out.iter().all(|(_, reason)| *reason == "no_seat"));
    world.settle().await;
}
