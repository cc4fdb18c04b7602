//! Two sources that manage the same things: what one no longer wants, and the
//! other does, stays.

use entra_sync::simulator::{AccountEnabled, Tenant};
use serde_json::Value;

use crate::support::binary::{Ended, Running, entra_sync};
use crate::support::crowd::{Crowd, name};
use crate::support::database::connect;
use crate::support::look::{group, person};

/// Two applications of one tenant: both are assigned `shared`, with the same
/// people in it.
async fn both() -> Crowd {
    Crowd::of(2, |_, tenant| furnish(tenant)).await
}

fn furnish(tenant: &mut Tenant) {
    tenant
        .group("shared")
        .members(["ada", "bob"])
        .assigned_by_default();
    for key in ["one", "two", "three"] {
        tenant.group(key).member("cleo").assigned_by_default();
    }
}

async fn sync(crowd: &Crowd, number: usize) -> Ended {
    let name = name(number);
    let arguments = ["sync", "--source", &name, "--format", "json"];
    entra_sync(&crowd.environment, &arguments).await
}

async fn members(crowd: &Crowd, key: &str) -> Vec<String> {
    let rows = crowd.database.rows("LiteLLM_TeamMembership").await;
    let of_group = rows.iter().filter(|row| row["team_id"] == group(key));
    let mut users: Vec<String> = of_group
        .filter_map(|row| row["user_id"].as_str().map(str::to_owned))
        .collect();
    users.sort();
    users
}

async fn user(crowd: &Crowd, key: &str) -> Value {
    let rows = crowd.database.rows("LiteLLM_UserTable").await;
    let mut rows = rows.into_iter();
    rows.find(|row| row["user_id"] == person(key))
        .expect("a row")
}

fn everybody() -> Vec<String> {
    let mut all = vec![person("ada"), person("bob")];
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_goes_with_the_last_source_that_wants_it() {
    let crowd = both().await;
    sync(&crowd, 0).await.exits_with(0);
    sync(&crowd, 1).await.exits_with(0);
    let leave = |number: usize| {
        crowd.tenants[number].tenant(|tenant| {
            tenant.group("shared").without_member("bob");
        });
    };
    leave(0);
    let first = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(
        first["changes"]["team_memberships"]["removed"], 0,
        "{first}"
    );
    assert_eq!(members(&crowd, "shared").await, everybody());
    // It is forgotten here, once, and nothing more is said of it.
    let again = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(again["status"], "unchanged", "{again}");
    let client = connect(&crowd.database.url_as("postgres")).await;
    let owned = client
        .query(
            "SELECT name FROM entra_sync.owned_team_member JOIN entra_sync.source USING (source_id) \
             WHERE user_id = $1",
            &[&person("bob")],
        )
        .await
        .expect("rows");
    let owners: Vec<String> = owned.iter().map(|row| row.get(0)).collect();
    assert_eq!(owners, ["tenant-1"]);
    leave(1);
    let last = sync(&crowd, 1).await.exits_with(0).json();
    assert_eq!(last["changes"]["team_memberships"]["removed"], 1, "{last}");
    assert_eq!(members(&crowd, "shared").await, [person("ada")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_goes_once_every_source_wants_it_gone() {
    let crowd = both().await;
    sync(&crowd, 0).await.exits_with(0);
    sync(&crowd, 1).await.exits_with(0);
    let active = |row: &Value| row["metadata"]["scim_active"] != false;
    crowd.tenants[0].tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    let first = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(first["changes"]["users"]["deactivated"], 0, "{first}");
    assert!(active(&user(&crowd, "bob").await));
    crowd.tenants[1].tenant(|tenant| {
        tenant.user("bob").disabled();
    });
    let second = sync(&crowd, 1).await.exits_with(0).json();
    assert_eq!(second["changes"]["users"]["deactivated"], 1, "{second}");
    assert!(!active(&user(&crowd, "bob").await));
}

/// Large enough that passes look at what has changed alone.
#[tokio::test(flavor = "multi_thread")]
async fn access_goes_in_large_directories_once_every_source_has_heard_that_it_is_to() {
    let crowd = Crowd::of(2, |_, tenant| {
        furnish(tenant);
        let everybody: Vec<String> = (0..5_001).map(|number| format!("p{number}")).collect();
        let everybody = everybody.iter().map(String::as_str);
        tenant.group("all").members(everybody).assigned_by_default();
    })
    .await;
    let follow = async |number: usize| {
        let name = name(number);
        let arguments = ["sync", "--source", &name, "--format", "json"];
        let ended = Running::verbatim(&crowd.environment, &arguments)
            .ended()
            .await;
        ended.exits_with(0).json()
    };
    for number in [0, 1, 0, 1] {
        sync(&crowd, number).await.exits_with(0);
    }
    for (number, deactivated) in [(0, 0), (1, 1)] {
        crowd.tenants[number].tenant(|tenant| {
            tenant.user("bob").disabled();
        });
        let report = follow(number).await;
        assert_eq!(report["mode"], "incremental", "{report}");
        assert_eq!(
            report["changes"]["users"]["deactivated"], deactivated,
            "{report}"
        );
    }
    assert_eq!(user(&crowd, "bob").await["metadata"]["scim_active"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_taken_back_counts_no_more() {
    let crowd = both().await;
    sync(&crowd, 0).await.exits_with(0);
    sync(&crowd, 1).await.exits_with(0);
    let disable = |number: usize| {
        crowd.tenants[number].tenant(|tenant| {
            tenant.user("bob").disabled();
        });
    };
    disable(0);
    sync(&crowd, 0).await.exits_with(0);
    crowd.tenants[0].tenant(|tenant| {
        tenant.user("bob").account(AccountEnabled::Enabled);
    });
    sync(&crowd, 0).await.exits_with(0);
    disable(1);
    let second = sync(&crowd, 1).await.exits_with(0).json();
    assert_eq!(second["changes"]["users"]["deactivated"], 0, "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_not_lowered_while_another_source_manages_the_user() {
    let crowd = Crowd::of(2, |number, tenant| {
        furnish(tenant);
        if number == 0 {
            tenant.user("ada").assigned("proxy_admin");
        }
    })
    .await;
    sync(&crowd, 0).await.exits_with(0);
    sync(&crowd, 1).await.exits_with(0);
    assert_eq!(user(&crowd, "ada").await["user_role"], "proxy_admin");
    crowd.tenants[0].tenant(|tenant| {
        tenant.user("ada").unassigned("proxy_admin");
    });
    sync(&crowd, 0).await.exits_with(0);
    assert_eq!(user(&crowd, "ada").await["user_role"], "proxy_admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_another_source_has_too_is_not_deleted() {
    let mut crowd = both().await;
    crowd.set("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
    sync(&crowd, 0).await.exits_with(0);
    sync(&crowd, 1).await.exits_with(0);
    crowd.tenants[0].tenant(|tenant| {
        tenant.group("shared").unassigned_entirely();
        tenant.group("one").unassigned_entirely();
    });
    let first = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(first["changes"]["teams"]["deleted"], 0, "{first}");
    assert_eq!(
        first["changes"]["team_memberships"]["removed"], 0,
        "{first}"
    );
    assert_eq!(members(&crowd, "shared").await, everybody());
    let again = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(again["status"], "unchanged", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_for_a_source_that_no_settings_name_is_named() {
    let crowd = both().await;
    sync(&crowd, 0).await.exits_with(0);
    sync(&crowd, 1).await.exits_with(0);
    let skipped = |report: &Value| -> Vec<String> {
        let all = report["skipped"].as_array().expect("a list").iter();
        let held = all.filter(|one| one["reason"] == "held_by_unnamed_source");
        let id = |one: &Value| one["id"].as_str().expect("an id").to_owned();
        held.map(id).collect()
    };
    // A source that these settings name will say itself what it wants.
    crowd.tenants[0].tenant(|tenant| {
        tenant.group("one").without_member("cleo");
        tenant.user("bob").disabled();
    });
    let named = sync(&crowd, 0).await.exits_with(0);
    assert_eq!(skipped(&named.json()), Vec::<String>::new());

    crowd.settings(&crowd.entries(&[0]));
    crowd.tenants[0].tenant(|tenant| {
        tenant.group("two").without_member("cleo");
    });
    let unnamed = sync(&crowd, 0).await.exits_with(0);
    let mut expected = vec![
        format!("{}/{}", group("two"), person("cleo")),
        person("bob"),
    ];
    expected.sort();
    let mut told = skipped(&unnamed.json());
    told.sort();
    assert_eq!(told, expected, "{unnamed:?}");
    assert!(
        unnamed
            .stderr
            .contains("delete its row of entra_sync.source"),
        "{unnamed:?}"
    );
    // Access is named for as long as it stays; then it goes.
    let again = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(skipped(&again), [person("bob")]);
    let client = connect(&crowd.database.url_as("postgres")).await;
    client
        .batch_execute("DELETE FROM entra_sync.source WHERE name = 'tenant-1'")
        .await
        .expect("the row is deleted");
    let last = sync(&crowd, 0).await.exits_with(0).json();
    assert_eq!(skipped(&last), Vec::<String>::new());
    assert_eq!(last["changes"]["users"]["deactivated"], 1, "{last}");
}
