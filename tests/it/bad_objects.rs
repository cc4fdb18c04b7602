//! One object that the database refuses is named, and the others are written.

use entra_sync::model::report::{Kind, Status};
use entra_sync::sync::Report;

use crate::support::World;
use crate::support::binary::entra_sync;
use crate::support::look::{group, people, person};
use crate::support::seed;

async fn arts_and_science() -> World {
    World::new(|tenant| {
        tenant
            .group("arts")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant
            .group("science")
            .members(["ada", "bob", "cyd", "dan", "eve"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
}

/// The one error, about this object, with cause.
fn only_error(report: &Report, kind: Kind, id: &str) {
    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    let error = &report.errors[0];
    assert_eq!((error.kind, error.id.as_str()), (kind, id));
    assert!(
        error.message.contains("refused by the test"),
        "{}",
        error.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_refused_is_named_and_the_others_are_made() {
    let world = arts_and_science().await;
    let bob = person("bob");
    world
        .refuse("LiteLLM_UserTable", &format!("NEW.user_id = '{bob}'"))
        .await;

    let report = world.pass().await;

    only_error(&report, Kind::User, &bob);
    assert_eq!(report.changes.users.created, 4);
    let others = people(["ada", "cyd", "dan", "eve"]);
    assert_eq!(world.members("science").await, others);
    assert_eq!(world.organization_members("science").await, others);
    assert_eq!(world.members("arts").await, people(["ada"]));
    world.relent().await;
    let report = world.settle().await;
    assert_eq!(report.changes.users.created, 1);
    assert_eq!(report.changes.team_memberships.added, 2);
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_is_refused_is_named_and_the_others_are_made() {
    let world = arts_and_science().await;
    let arts = group("arts");
    world
        .refuse("LiteLLM_TeamTable", &format!("NEW.team_id = '{arts}'"))
        .await;

    let report = world.pass().await;

    only_error(&report, Kind::Team, &arts);
    assert_eq!(report.changes.teams.created, 1);
    assert_eq!(world.count("LiteLLM_TeamTable").await, 1);
    assert_eq!(
        world.organization_members("arts").await,
        people(["ada", "bob"])
    );
    let all = people(["ada", "bob", "cyd", "dan", "eve"]);
    assert_eq!(world.members("science").await, all);
    world.relent().await;
    world.settle().await;
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    let team = world.team("arts").await;
    assert_eq!(team["organization_id"], arts.as_str(), "it exists by now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_is_refused_is_named_and_leaves_no_copy_behind() {
    let world = arts_and_science().await;
    let (science, cyd) = (group("science"), person("cyd"));
    world
        .refuse(
            "LiteLLM_TeamMembership",
            &format!("NEW.user_id = '{cyd}' AND NEW.team_id = '{science}'"),
        )
        .await;

    let report = world.pass().await;

    only_error(&report, Kind::TeamMembership, &format!("{science}/{cyd}"));
    // All three copies agree, or this panics.
    let others = people(["ada", "bob", "dan", "eve"]);
    assert_eq!(world.members("science").await, others);
    assert_eq!(world.managed("science").await, others);
    world.relent().await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_membership_that_is_refused_is_named() {
    let world = arts_and_science().await;
    let (science, cyd) = (group("science"), person("cyd"));
    world
        .refuse(
            "LiteLLM_OrganizationMembership",
            &format!("NEW.user_id = '{cyd}'"),
        )
        .await;

    let report = world.pass().await;

    let id = format!("{science}/{cyd}");
    only_error(&report, Kind::OrganizationMembership, &id);
    let others = people(["ada", "bob", "dan", "eve"]);
    assert_eq!(world.organization_members("science").await, others);
    let all = people(["ada", "bob", "cyd", "dan", "eve"]);
    assert_eq!(world.members("science").await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_user_or_team_that_is_refused_holds_up_no_other() {
    let world = arts_and_science().await;
    world.settle().await;
    let bob = person("bob");
    world
        .refuse("LiteLLM_UserTable", &format!("NEW.user_id = '{bob}'"))
        .await;
    world.entra.tenant(|tenant| {
        for key in ["ada", "bob", "cyd"] {
            tenant.user(key).display_name("Renamed");
        }
        tenant.group("arts").display_name("New Arts");
    });

    let report = world.pass().await;

    only_error(&report, Kind::User, &bob);
    assert_eq!(report.changes.users.updated, 2);
    assert_eq!(world.user("ada").await["user_alias"], "Renamed");
    assert_eq!(world.user("bob").await["user_alias"], "bob");
    assert_eq!(world.team("arts").await["team_alias"], "New Arts");
    world.relent().await;
    let arts = group("arts");
    world
        .refuse("LiteLLM_TeamTable", &format!("NEW.team_id = '{arts}'"))
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").display_name("Newer Arts");
        tenant.group("science").display_name("New Science");
    });

    let report = world.pass().await;

    only_error(&report, Kind::Team, &arts);
    assert_eq!(world.user("bob").await["user_alias"], "Renamed");
    assert_eq!(world.team("science").await["team_alias"], "New Science");
    assert_eq!(world.team("arts").await["team_alias"], "New Arts");
}

#[tokio::test(flavor = "multi_thread")]
async fn default_params_that_this_litellm_has_no_place_for_stop_before_anything_is_written() {
    let lacking = [
        (
            "false",
            "LiteLLM_TeamTable",
            r#"{"tpd_limit": 1000}"#,
            "tpd_limit",
        ),
        (
            "true",
            "LiteLLM_BudgetTable",
            r#"{"tpd_limit": 1000}"#,
            "tpd_limit",
        ),
        (
            "false",
            "LiteLLM_ObjectPermissionTable",
            r#"{"object_permission": {"vector_stores": ["a"]}}"#,
            "vector_stores",
        ),
    ];
    for (organizations, table, params, column) in lacking {
        let mut world = arts_and_science()
            .await
            .with("ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS", params)
            .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", organizations);
        world
            .sql(&format!("ALTER TABLE \"{table}\" DROP COLUMN {column}"))
            .await;
        world.database = world.database.unexported();

        let (report, error) = world.try_pass().await;

        assert_eq!(report.status, Status::Failed);
        let message = error.expect("a failed pass").to_string();
        for word in ["default_team_params.", column, table, "upgrade LiteLLM"] {
            assert!(message.contains(word), "{word} is not in: {message}");
        }
        for table in [
            "LiteLLM_TeamTable",
            "LiteLLM_UserTable",
            "LiteLLM_OrganizationTable",
        ] {
            assert_eq!(world.count(table).await, 0, "{table}");
        }
        let planned = entra_sync(world.environment(), &["plan"])
            .await
            .exits_with(1);
        assert!(planned.message().contains(column), "{planned:#?}");
        let checked = entra_sync(world.environment(), &["check"])
            .await
            .exits_with(1);
        assert!(checked.stdout.contains(column), "{checked:#?}");
    }
}

/// Not a bad object: a right that is missing for all of them is said once.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_may_not_be_written_is_said_once_and_the_others_go_on() {
    let world = arts_and_science().await;
    world
        .sql("REVOKE INSERT ON \"LiteLLM_UserTable\" FROM entra_sync")
        .await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    let message = &report.errors[0].message;
    for words in [
        "permission denied",
        "LiteLLM_UserTable",
        "the same for 4 more",
    ] {
        assert!(message.contains(words), "{words} is not in: {message}");
    }
    assert_eq!(report.changes.teams.created, 2, "{}", report.json());
    assert_eq!(report.changes.organizations.created, 2);
    world
        .sql("GRANT INSERT ON \"LiteLLM_UserTable\" TO entra_sync")
        .await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_stays_locked_is_named_once_and_the_others_go_on() {
    let world = arts_and_science().await;
    for key in ["arts", "science"] {
        seed::team(&group(key)).insert(&world.database).await;
    }
    let science = group("science");
    world
        .sql(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtext('{science}'))"
        ))
        .await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].id, science);
    let message = &report.errors[0].message;
    assert!(message.contains("pg_stat_activity"), "{message}");
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    world.sql("ROLLBACK").await;
    world.settle().await;
}
