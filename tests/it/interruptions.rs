//! A database or a Graph that fails: nothing half done, and the next pass
//! heals.

use entra_sync::model::report::Status;
use entra_sync::simulator::{Fault, Simulator, Tenant};
use serde_json::json;

use crate::support::look::{group, people, person};
use crate::support::{TestDatabase, World, seed, tables};

async fn arts_and_science() -> World {
    World::new(|tenant| {
        tenant
            .group("arts")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant
            .group("science")
            .members(["ada", "cyd"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
}

async fn is_untouched(world: &World) {
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_UserTable",
        "LiteLLM_OrganizationTable",
    ] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_fails_the_pass_and_graph_is_not_asked() {
    let mut world = arts_and_science().await;
    let url = world.environment()["DATABASE_URL"].clone();
    // Nobody listens on the discard port.
    let mut nowhere = url::Url::parse(&url).expect("a URL");
    nowhere.set_port(Some(9)).expect("a host");
    world.set("DATABASE_URL", nowhere);
    world.entra.reset_requests();

    let (report, error) = world.try_pass().await;

    assert_eq!(report.status, Status::Failed);
    assert_eq!(report.changes.total(), 0);
    assert_eq!(error.expect("an error").kind(), "database_unreachable");
    assert_eq!(world.entra.requests().graph().requests, 0);
    world.set("DATABASE_URL", url);
    is_untouched(&world).await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_between_two_writes_leaves_nothing_half_done() {
    let world = arts_and_science().await;
    // Whoever writes this membership loses the connection, again and again.
    let (science, cyd) = (group("science"), person("cyd"));
    world
        .on_write(
            "LiteLLM_TeamMembership",
            &format!("NEW.user_id = '{cyd}' AND NEW.team_id = '{science}'"),
            "PERFORM pg_terminate_backend(pg_backend_pid());",
        )
        .await;

    let (report, error) = world.try_pass().await;

    assert_eq!(report.status, Status::Failed, "{}", report.json());
    error.expect("an error");
    assert_eq!(
        report.changes.teams.created, 2,
        "what was written is counted"
    );
    // The copies of every membership agree, or this panics.
    assert!(world.members("science").await.is_empty());
    assert!(world.managed("science").await.is_empty());
    let runs = world.database.rows("entra_sync.run").await;
    assert_eq!(runs[0]["status"], "failed");
    world.relent().await;
    world.settle().await;
    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    assert_eq!(world.members("science").await, people(["ada", "cyd"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lost_connection_is_made_good_within_the_pass() {
    let world = arts_and_science().await;
    world
        .sql("CREATE SEQUENCE blows; GRANT USAGE ON SEQUENCE blows TO PUBLIC")
        .await;
    world
        .on_write(
            "LiteLLM_UserTable",
            "true",
            "IF nextval('blows') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;",
        )
        .await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(report.changes.users.created, 3);
    world.relent().await;
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_at_the_end_keeps_neither_the_end_nor_the_next_pass_waiting() {
    let world = arts_and_science().await;
    world.pass().await;
    world
        .sql("CREATE SEQUENCE blows; GRANT USAGE ON SEQUENCE blows TO PUBLIC")
        .await;
    let once = "IF TG_OP = 'UPDATE' AND nextval('blows') = 1 THEN \
                PERFORM pg_terminate_backend(pg_backend_pid()); END IF;";
    for (table, at) in [
        ("entra_sync.run", "NEW.finished_at IS NOT NULL"),
        ("entra_sync.lease", "NEW.expires_at <= clock_timestamp()"),
    ] {
        world.sql("ALTER SEQUENCE blows RESTART").await;
        world.on_write(table, at, once).await;
        // Whoever finds the lease taken fails at once here.
        world.pass().await;
        let sequences = world.database.rows("pg_catalog.pg_sequences").await;
        let blows = sequences.iter().find(|one| one["sequencename"] == "blows");
        let struck = blows.and_then(|one| one["last_value"].as_i64());
        assert!(struck > Some(1), "{table}: {blows:?}");
        world.relent().await;
        world.pass().await;
    }
    let runs = world.database.rows("entra_sync.run").await;
    assert!(
        runs.iter().all(|run| run["finished_at"].is_string()),
        "{runs:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_read_only_in_part_is_left_alone_while_the_others_go_on() {
    let keys: Vec<String> = (0..1_200).map(|number| format!("user-{number}")).collect();
    let world = World::new(|tenant| {
        tenant
            .group("large")
            .members(keys.iter().map(String::as_str))
            .assigned("internal_user");
        tenant.group("small").member("ada").assigned_by_default();
    })
    .await;
    let path = format!("/groups/{}/members", group("large"));
    world
        .entra
        .fault(Fault::status(403).on(path).page(2).always());

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(report.errors[0].id, group("large"));
    assert_eq!(world.count("LiteLLM_TeamTable").await, 1);
    assert_eq!(world.members("small").await, people(["ada"]));
    assert_eq!(
        world.count("LiteLLM_UserTable").await,
        1,
        "nobody of the first page"
    );
    world.entra.clear_faults();
    world.settle().await;
    assert_eq!(world.members("large").await.len(), 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_list_that_cannot_be_read_fails_the_pass_before_anything_is_written() {
    let world = arts_and_science().await;
    world.entra.fault(
        Fault::status(403)
            .on("/servicePrincipals/*/appRoleAssignedTo")
            .always(),
    );

    let (report, error) = world.try_pass().await;

    assert_eq!(report.status, Status::Failed);
    error.expect("an error");
    is_untouched(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_name_another_application_or_tenant_change_no_row() {
    let mut world = arts_and_science().await;
    world.settle().await;
    let before = world.database.rows("LiteLLM_TeamTable").await;
    let users = world.database.rows("LiteLLM_UserTable").await;
    let right = world.environment().clone();
    // The same client sees an application with other groups.
    world.entra.tenant(|tenant| {
        tenant.group("science").display_name("Renamed");
    });
    for (name, wrong) in [
        (
            "MICROSOFT_SERVICE_PRINCIPAL_ID",
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        ),
        ("MICROSOFT_TENANT", "7f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    ] {
        world.set(name, wrong);

        let (report, error) = world.try_pass().await;

        let error = error.expect("an error");
        assert!(error.is_configuration(), "{name}: {error}");
        let message = error.to_string();
        assert!(
            message.contains(wrong) && message.contains(&right[name]),
            "{message}"
        );
        assert_eq!(report.status, Status::Failed);
        world.set(name, &right[name]);
    }
    assert_eq!(world.database.rows("LiteLLM_TeamTable").await, before);
    assert_eq!(world.database.rows("LiteLLM_UserTable").await, users);
    world.settle().await;
    assert_eq!(world.team("science").await["team_alias"], "Renamed");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_behind_the_same_settings_removes_nobody() {
    let mut world = arts_and_science().await;
    world.settle().await;
    let empty = Simulator::start(Tenant::new()).await.expect("a port");
    world.set("MICROSOFT_GRAPH_ENDPOINT", empty.graph_url());
    world.set("MICROSOFT_TOKEN_ENDPOINT", empty.token_url());

    world.try_pass().await;

    assert_eq!(world.members("arts").await, people(["ada", "bob"]));
    assert_eq!(world.members("science").await, people(["ada", "cyd"]));
    assert_eq!(
        world.user("ada").await["metadata"],
        json!({ "auth_provider": "microsoft" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_litellm_by_mistake_is_added_to_and_loses_nothing() {
    let mut world = arts_and_science().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").without_member("bob");
        tenant.user("cyd").disabled();
        tenant.user("bob").purged();
    });
    let other = TestDatabase::create().await;
    let [bob, cyd] = ["bob", "cyd"].map(person);
    let arts = group("arts");
    seed::team(&arts).insert(&other).await;
    for user in [bob.as_str(), cyd.as_str(), "guest"] {
        seed::user(user).insert(&other).await;
        seed::join(&other, user, &arts).await;
        seed::key(&format!("key of {user}"), user)
            .insert(&other)
            .await;
    }
    let keys = other.rows("LiteLLM_VerificationToken").await;
    let right = tables::litellm(&world.database).await;
    world.set("DATABASE_URL", other.url());
    let first = std::mem::replace(&mut world.database, other);

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    let changes = &report.changes;
    assert_eq!(changes.team_memberships.removed, 0, "{}", report.json());
    assert_eq!(changes.organization_memberships.removed, 0);
    assert_eq!(changes.users.deactivated, 0);
    assert_eq!(changes.teams.created, 1, "science: additions go on");
    let mut members = vec![person("ada"), bob, cyd, "guest".to_owned()];
    members.sort();
    assert_eq!(world.members("arts").await, members);
    assert_eq!(world.database.rows("LiteLLM_VerificationToken").await, keys);
    assert_eq!(tables::litellm(&first).await, right);
}
