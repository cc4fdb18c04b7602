//! What a pass and an undo record, and what they do not.

use entra_sync::simulator::RoleState;
use entra_sync::sync::{Progress, UndoRequest};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{KEY, Log, SETTING, TEAM, USER, about, roster, two_groups, world};
use crate::support::look::{group, person};
use crate::support::{World, seed};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_records_teams_users_and_one_change_of_each_roster() {
    let world = world(two_groups).await;
    world.settle().await;

    let log = Log::read(&world).await;
    let mut expected = vec![
        about("created", TEAM, group("science")),
        about("created", TEAM, group("arts")),
        about("created", USER, person("ada")),
        about("created", USER, person("bob")),
        about("updated", TEAM, group("science")),
        about("updated", TEAM, group("arts")),
    ];
    expected.sort();
    assert_eq!(log.abouts(), expected);
    let joined = log.one(&about("updated", TEAM, group("science")));
    assert_eq!(joined["before_value"]["members_with_roles"], json!([]));
    assert_eq!(
        joined["updated_values"]["members_with_roles"],
        roster(&world, "science").await
    );
    for row in &log.0 {
        assert_eq!(row["changed_by"], "default_user_id");
        assert_eq!(row["changed_by_api_key"], "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_lost_and_got_back_is_told_from_roster_to_roster() {
    let world = world(two_groups).await;
    world.settle().await;
    seed::key("of-science", &person("ada"))
        .with("team_id", group("science"))
        .insert(&world.database)
        .await;
    let (before, first) = (Log::read(&world).await, roster(&world, "science").await);
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
    });
    let removal = world.settle().await;
    assert_eq!(removal.changes.keys.deleted, 1);

    let log = before.news(&world).await;
    let mut expected = vec![
        about("updated", TEAM, group("science")),
        about("deleted", KEY, "of-science"),
    ];
    expected.sort();
    assert_eq!(log.abouts(), expected);
    let left = log.one(&about("updated", TEAM, group("science")));
    assert_eq!(left["before_value"]["members_with_roles"], first);
    let second = roster(&world, "science").await;
    assert_eq!(left["updated_values"]["members_with_roles"], second);

    let before = Log::read(&world).await;
    undo(&world, removal.run_id).await;
    let log = before.news(&world).await;
    assert_eq!(log.abouts(), [about("updated", TEAM, group("science"))]);
    let back = &log.0[0];
    assert_eq!(back["before_value"]["members_with_roles"], second);
    assert_eq!(back["updated_values"]["members_with_roles"], first);
    assert_eq!(roster(&world, "science").await, first);
}

async fn undo(world: &World, run: entra_sync::model::ids::RunId) {
    let request = UndoRequest {
        of: run,
        who: "carla".to_owned(),
    };
    let stop = CancellationToken::new();
    let source = world.source();
    let (undone, error) = source.undo(&request, &Progress::unobserved(), &stop).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(undone.report.errors, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_goes_and_comes_back() {
    let world = world(two_groups)
        .await
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
    world.settle().await;
    let (before, members) = (Log::read(&world).await, roster(&world, "science").await);
    world.entra.tenant(|tenant| {
        tenant.group("science").unassigned_entirely();
    });
    let removal = world.settle().await;
    assert_eq!(removal.changes.teams.deleted, 1);
    let log = before.news(&world).await;
    assert_eq!(log.abouts(), [about("deleted", TEAM, group("science"))]);

    let before = Log::read(&world).await;
    undo(&world, removal.run_id).await;
    let log = before.news(&world).await;
    assert_eq!(log.abouts(), [about("created", TEAM, group("science"))]);
    let values = &log.0[0]["updated_values"];
    let users = |roster: &serde_json::Value| -> Vec<serde_json::Value> {
        let entries = roster.as_array().expect("a list").iter();
        entries.map(|entry| entry["user_id"].clone()).collect()
    };
    assert_eq!(users(&values["members_with_roles"]), users(&members));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_renamed_is_recorded_and_what_litellm_does_not_record_is_not() {
    let world = world(|tenant| {
        two_groups(tenant);
        tenant.application().role("proxy_admin", RoleState::Enabled);
        tenant.user("bob").assigned("proxy_admin");
        tenant.group("sales").assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
    .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "block");
    world.settle().await;
    let before = Log::read(&world).await;
    seed::key("own", &person("ada"))
        .insert(&world.database)
        .await;
    world.entra.tenant(|tenant| {
        tenant.group("science").display_name("Natural science");
        // An alias, a role, somebody's access, a whole team: none of it has an
        // audit row in LiteLLM.
        tenant
            .user("bob")
            .display_name("Robert")
            .unassigned("proxy_admin");
        tenant.user("ada").disabled();
        tenant.group("sales").unassigned_entirely();
    });

    let report = world.settle().await;

    let changes = report.changes;
    assert_eq!((changes.teams.updated, changes.teams.blocked), (1, 1));
    assert_eq!(changes.organizations.updated, 1);
    assert_eq!((changes.users.updated, changes.users.deactivated), (2, 1));
    assert_eq!(changes.keys.blocked, 1);
    let log = before.news(&world).await;
    assert_eq!(log.abouts(), [about("updated", TEAM, group("science"))]);
    assert_eq!(
        log.0[0]["updated_values"],
        json!({ "team_id": group("science"), "team_alias": "Natural science" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_its_row_are_kept_together_or_not_at_all() {
    let world = world(two_groups).await;
    world
        .refuse("LiteLLM_AuditLog", "NEW.table_name = 'LiteLLM_TeamTable'")
        .await;
    let report = world.pass().await;
    assert_eq!(report.errors.len(), 2, "{:#?}", report.errors);
    assert_eq!(world.count(TEAM).await, 0);
    assert_eq!(world.count("entra_sync.owned_team").await, 0);
    assert_eq!(world.count(USER).await, 2);
    world.relent().await;
    world.settle().await;
    assert_eq!(Log::read(&world).await.0.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_only_our_own_change_log_is_kept() {
    let world = World::new(two_groups)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000);
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
    });
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(Log::read(&world).await.0.len(), 0);
    // Two teams and two users made; two rosters begun, and one that lost Ada.
    assert_eq!(world.count("entra_sync.change").await, 4);
    assert_eq!(world.count("entra_sync.membership_change").await, 3);
    assert!(!world.environment().contains_key(SETTING));
}
