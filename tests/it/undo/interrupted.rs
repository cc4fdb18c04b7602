//! A database that refuses and a program that is killed: nothing is torn, and
//! undoing again does the rest.

use entra_sync::model::report::Status;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Before, assert_nothing_left, in_use, leaves, try_undo, undo, undo_until, world};
use crate::daemon_signals::assert_whole;
use crate::support::binary::Running;
use crate::support::database::connect;
use crate::support::gate::{Gate, Side};
use crate::support::look::group;
use crate::support::{World, seed};

/// One of everything that a run can take.
async fn taken_of_every_kind(world: &World) -> (Before, entra_sync::sync::Report) {
    world.entra.tenant(|tenant| {
        tenant.user("ada").assigned("proxy_admin_viewer");
    });
    world.settle().await;
    in_use(world).await;
    // Whoever is in a team is managed: that is what is compared.
    let (science, arts) = (group("science"), group("arts"));
    seed::access_group("g")
        .with("assigned_team_ids", json!([arts]))
        .insert(&world.database)
        .await;
    world
        .sql(&format!(
            "DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = 'guest'; \
             DELETE FROM \"LiteLLM_UserTable\" WHERE user_id = 'guest'; \
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = ( \
                 SELECT jsonb_agg(e) FROM jsonb_array_elements(members_with_roles) e \
                 WHERE e ->> 'user_id' <> 'guest') WHERE team_id = '{science}'"
        ))
        .await;
    let before = Before::of(world).await;
    leaves(world, "bob", &["science"]);
    world.entra.tenant(|tenant| {
        tenant.group("arts").unassigned_entirely();
        tenant.user("cem").disabled();
        tenant.user("ada").unassigned_entirely();
    });
    let report = world.settle().await;
    let changes = &report.changes;
    assert_eq!(
        (
            changes.teams.deleted,
            changes.users.deactivated,
            changes.users.updated,
            changes.organization_memberships.removed,
            changes.keys.deleted,
        ),
        (1, 1, 1, 1 + 4, 1)
    );
    (before, report)
}

async fn world_that_deletes() -> World {
    world()
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_leaves_whole_what_comes_back() {
    for table in [
        "public.\"LiteLLM_TeamTable\"",
        "public.\"LiteLLM_UserTable\"",
        "public.\"LiteLLM_TeamMembership\"",
        "public.\"LiteLLM_OrganizationMembership\"",
        "public.\"LiteLLM_VerificationToken\"",
        "public.\"LiteLLM_JWTKeyMapping\"",
        "public.\"LiteLLM_AccessGroupTable\"",
        "entra_sync.owned_team",
        "entra_sync.owned_team_member",
        "entra_sync.owned_organization_member",
        "entra_sync.owned_user",
        "entra_sync.change",
        "entra_sync.membership_change",
        "entra_sync.taken",
    ] {
        let world = world_that_deletes().await;
        let (before, taken) = taken_of_every_kind(&world).await;
        let superuser = connect(&world.database.url_as("postgres")).await;
        superuser
            .batch_execute(&format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON {table}
                     FOR EACH ROW EXECUTE FUNCTION refuse()"
            ))
            .await
            .expect("a trigger");

        let (undone, error) = try_undo(&world, taken.run_id).await;

        let report = undone.report;
        assert!(error.is_none(), "{table}: {error:?}");
        assert_eq!(report.status, Status::Partial, "{table}: {}", report.json());
        assert_whole(&world).await;
        superuser
            .batch_execute("DROP FUNCTION refuse() CASCADE")
            .await
            .expect("the trigger goes with its function");
        // Passes in between do not take away what came back.
        assert_eq!(world.pass().await.changes.total(), 0, "{table}");
        undo(&world, taken.run_id).await;
        before.is_back_in_steps(&world).await;
        assert_nothing_left(&world, taken.run_id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_tear_nothing_and_undoing_again_does_the_rest() {
    const PEOPLE: u64 = 40;
    const GROUPS: u64 = 10;
    // Its commit would be taken for one that gives something back, were it renewed.
    let mut world = world().await.with("ENTRA_SYNC__SCHEDULE__LEASE", "10m");
    world.entra.tenant(|tenant| {
        for number in 0..GROUPS {
            for person in 0..PEOPLE {
                tenant
                    .group(&format!("group-{number}"))
                    .member(&format!("person-{person}"));
            }
            tenant
                .group(&format!("group-{number}"))
                .assigned_by_default();
        }
    });
    world.settle().await;
    world
        .sql(
            "INSERT INTO \"LiteLLM_VerificationToken\" (token, user_id, team_id, models) \
             SELECT 'k-' || user_id || team_id, user_id, team_id, '{}' \
             FROM \"LiteLLM_TeamMembership\"",
        )
        .await;
    let before = Before::of(&world).await;
    for number in 0..GROUPS {
        for person in (0..PEOPLE).filter(|person| person % 4 != 0) {
            leaves(
                &world,
                &format!("person-{person}"),
                &[&format!("group-{number}")],
            );
        }
    }
    let taken = world.settle().await;
    assert_eq!(
        taken.changes.team_memberships.removed,
        GROUPS * PEOPLE * 3 / 4
    );
    let run = taken.run_id.to_string();
    let gate = Gate::before(&world.database.url()).await;
    world.set("DATABASE_URL", gate.url());
    let mut back = 0;
    // In turn before something comes back and after: each pair of rounds gets
    // one team further than the one before.
    for round in 1..=8 {
        gate.stop_at_text("SET undone_by", Side::Before);
        let program = Running::start(world.environment(), &["undo", &run]);
        gate.stopped().await;
        if round % 2 == 0 {
            gate.stop_at_text("COMMIT", Side::After);
            gate.let_through();
            gate.stopped().await;
        }
        program.signal("KILL").await;
        assert_eq!(program.ended().await.code, -1, "round {round}");
        gate.cut();
        world.database.is_left().await;
        assert_whole(&world).await;
        let came = marks(&world).await;
        let further = if round % 2 == 0 {
            came > back
        } else {
            came == back
        };
        assert!(further, "round {round}: {came} after {back}");
        back = came;
        world
            .ledger_sql("UPDATE entra_sync.lease SET expires_at = now() - interval '1 second'")
            .await;
    }
    undo(&world, taken.run_id).await;
    before.is_back(&world).await;
    assert_nothing_left(&world, taken.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_it_is_told_how_to_go_on() {
    let world = world_that_deletes().await;
    let (before, taken) = taken_of_every_kind(&world).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let (undone, error) = undo_until(&world, taken.run_id, &stop).await;
    assert_eq!(undone.report.status, Status::Failed);
    let message = error.expect("an error").to_string();
    let command = format!("`entra-sync undo {}`", taken.run_id);
    assert!(message.contains(&command), "{message}");
    assert_eq!(marks(&world).await, 0);
    undo(&world, taken.run_id).await;
    before.is_back(&world).await;
}

/// How many copies have been given back.
async fn marks(world: &World) -> usize {
    let rows = world.database.rows("entra_sync.taken").await;
    rows.iter()
        .filter(|row| !row["undone_by"].is_null())
        .count()
}
