//! Moments in LiteLLM's zone-less columns: UTC whatever the database's zone,
//! and moved by every change.

use chrono::{Days, NaiveDateTime, Utc};
use diesel_async::SimpleAsyncConnection;
use entra_sync::db::Limits;
use serde_json::Value;

use crate::support::World;
use crate::support::database::connect;
use crate::support::look::{group, person, text};

const FLAG: &str = "ENTRA_GROUPS_ALSO_CREATE_ORGS";

async fn arts_and_science() -> World {
    World::new(|tenant| {
        tenant.group("arts").member("cyd").assigned_by_default();
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
    .with(FLAG, "true")
}

fn moment(row: &Value, column: &str) -> NaiveDateTime {
    let text = text(row, column);
    text.parse()
        .unwrap_or_else(|error| panic!("{column} is {text}: {error}"))
}

/// Whether it was just now, by UTC.
#[track_caller]
fn is_now(row: &Value, column: &str) {
    let ago = Utc::now().naive_utc() - moment(row, column);
    assert!(
        (-5..120).contains(&ago.num_seconds()),
        "{column} is {} s ago: {row}",
        ago.num_seconds()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_are_utc_whatever_the_zone_of_the_database() {
    let world = arts_and_science().await.with(
        "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS",
        r#"{"max_budget": 5, "budget_duration": "1d", "team_member_budget": 1,
            "model_aliases": {"fast": "gpt-4o"}}"#,
    );
    let superuser = connect(&world.database.url_as("postgres")).await;
    superuser
        .batch_execute(
            "DO $$ BEGIN EXECUTE format(
                 'ALTER DATABASE %I SET timezone = ''America/New_York''', current_database());
             END $$",
        )
        .await
        .expect("the zone is set");
    let zone = world.database.daemon().await;
    let zone = zone.query_one("SHOW timezone", &[]).await.expect("a zone");
    assert_eq!(zone.get::<_, String>(0), "America/New_York");
    // Nor is it left to every statement to do without the session's zone.
    world
        .on_write(
            "LiteLLM_UserTable",
            "true",
            "IF current_setting('TimeZone') <> 'UTC' THEN
                 RAISE EXCEPTION 'the zone is %', current_setting('TimeZone');
             END IF;",
        )
        .await;
    let tomorrow = || (Utc::now().date_naive() + Days::new(1)).and_hms_opt(0, 0, 0);
    let before = tomorrow();

    world.settle().await;

    let after = tomorrow();
    for (table, columns) in [
        ("LiteLLM_TeamTable", &["created_at", "updated_at"][..]),
        ("LiteLLM_UserTable", &["created_at", "updated_at"]),
        ("LiteLLM_OrganizationTable", &["created_at", "updated_at"]),
        (
            "LiteLLM_OrganizationMembership",
            &["created_at", "updated_at"],
        ),
        ("LiteLLM_BudgetTable", &["created_at", "updated_at"]),
        ("LiteLLM_ModelTable", &["created_at", "updated_at"]),
    ] {
        let rows = world.database.rows(table).await;
        assert!(!rows.is_empty(), "{table}");
        for row in &rows {
            for column in columns {
                is_now(row, column);
            }
        }
    }
    let budget = text(&world.organization("science").await, "budget_id");
    for row in [
        world.team("science").await,
        world.row("LiteLLM_BudgetTable", "budget_id", &budget).await,
    ] {
        let reset_at = Some(moment(&row, "budget_reset_at"));
        // The day may end while this runs.
        assert!(reset_at == before || reset_at == after, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_in_utc_whatever_its_connection_was_left_with() {
    let mut world = arts_and_science().await;
    let url = world.database.url();
    world.set("DATABASE_URL", format!("{url}?connection_limit=1"));
    let source = world.source();
    let mut first = source.database().begin(Limits::READ).await.expect("one");
    first
        .batch_execute("SET TIME ZONE 'America/New_York'")
        .await
        .expect("the zone is set");
    first.commit().await.expect("for the session");

    // The same connection: there is only one.
    let mut second = source.database().begin(Limits::READ).await.expect("two");
    let zone = second
        .batch_execute(
            "DO $$ BEGIN
                 IF current_setting('TimeZone') <> 'UTC' THEN
                     RAISE EXCEPTION 'the zone is %', current_setting('TimeZone');
                 END IF;
             END $$",
        )
        .await;
    zone.expect("the zone of the transaction");
    second.rollback().await.expect("back");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_moves_updated_at_and_leaves_created_at_and_others_alone() {
    let world = arts_and_science().await;
    world.settle().await;
    const LONG_AGO: &str = "2020-02-20T20:20:20";
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_UserTable",
        "LiteLLM_OrganizationTable",
    ] {
        world
            .sql(&format!(
                "UPDATE \"{table}\" SET created_at = '{LONG_AGO}', updated_at = '{LONG_AGO}'"
            ))
            .await;
    }
    world.entra.tenant(|tenant| {
        tenant.group("arts").display_name("New Arts");
        tenant.user("ada").display_name("Countess");
        // Joins a team whose name stays, and is a user already.
        tenant.group("science").member("cyd");
    });

    let report = world.pass().await;

    assert_eq!(report.errors, []);
    assert_eq!(report.changes.organizations.updated, 1);
    for (table, column, id, what) in [
        ("LiteLLM_TeamTable", "team_id", group("arts"), "renamed"),
        ("LiteLLM_TeamTable", "team_id", group("science"), "joined"),
        (
            "LiteLLM_OrganizationTable",
            "organization_id",
            group("arts"),
            "renamed",
        ),
        ("LiteLLM_UserTable", "user_id", person("ada"), "renamed"),
        ("LiteLLM_UserTable", "user_id", person("cyd"), "joins"),
    ] {
        let row = world.row(table, column, &id).await;
        assert_ne!(row["updated_at"], LONG_AGO, "{what}: {row}");
        is_now(&row, "updated_at");
        assert_eq!(row["created_at"], LONG_AGO, "{what}: {row}");
    }
    assert_eq!(world.user("bob").await["updated_at"], LONG_AGO);
    let untouched = world.organization("science").await;
    assert_eq!(untouched["updated_at"], LONG_AGO);
    world.settle().await;
}
