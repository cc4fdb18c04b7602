//! The first pass over a LiteLLM that has been used for long: it adds and
//! adopts. Nothing goes, nobody is lowered, nothing is blocked, whatever the
//! settings would allow.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::model::report::Status;
use entra_sync::simulator::Tenant;
use serde_json::{Value, json};

use crate::support::deeds::changed_columns;
use crate::support::look::{group, people, person};
use crate::support::{Tables, World, seed};

/// Assigned, exists unassigned, and unknown to Entra.
const TEAMS: [&str; 4] = ["science", "sales", "former", "ours"];

fn furnish(tenant: &mut Tenant) {
    tenant
        .group("science")
        .display_name("Science")
        .members(["ada", "bob", "cem", "dan", "eve", "new"])
        .assigned("internal_user");
    tenant
        .group("sales")
        .display_name("Sales")
        .members(["bob", "cem"])
        .assigned_by_default();
    tenant.group("former").members(["ada", "fay"]);
    tenant.user("cem").disabled();
    tenant.user("dan").soft_deleted();
    tenant.user("fay").purged();
    tenant.user("hal").disabled().assigned_by_default();
}

/// With everything switched on that could take something.
async fn world(organizations: &str, policy: &str) -> World {
    let world = World::new(furnish)
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", organizations)
        .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", policy)
        .with("ENTRA_SYNC__DEPROVISION__GRACE", "0s")
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000);
    use_litellm(&world).await;
    world
}

/// What years of logins and administrators left behind.
async fn use_litellm(world: &World) {
    let database = &world.database;
    for key in TEAMS {
        let team = seed::team(&group(key))
            .with("team_alias", format!("{key} by hand"))
            .with("models", json!(["gpt-4o"]))
            .with("max_budget", 7.0)
            .with("spend", 1.5);
        team.insert(database).await;
        let budget = format!("budget-{key}");
        seed::budget(&budget).insert(database).await;
        seed::organization(&group(key), &budget)
            .insert(database)
            .await;
    }
    let no_more = json!({ "auth_provider": "microsoft", "scim_active": false });
    for (key, role, metadata) in [
        ("ada", "proxy_admin", json!({})),
        ("bob", "proxy_admin_viewer", json!({})),
        ("cem", "internal_user", json!({ "note": "by hand" })),
        ("dan", "proxy_admin", json!({})),
        ("eve", "internal_user_viewer", no_more),
        ("fay", "internal_user", json!({})),
        ("gil", "proxy_admin", json!({})),
        ("hal", "internal_user", json!({})),
        ("stranger", "team", json!({})),
    ] {
        let user = person(key);
        seed::user(&user)
            .with("user_role", role)
            .with("metadata", metadata)
            .with("user_alias", format!("{key} by hand"))
            .with("user_email", format!("{key}@contoso.example.com"))
            .with("max_budget", 3.0)
            .with("spend", 2.5)
            .insert(database)
            .await;
        for team in TEAMS {
            seed::join(database, &user, &group(team)).await;
            seed::organization_membership(&user, &group(team))
                .with("user_role", "org_admin")
                .with("spend", 4.5)
                .insert(database)
                .await;
            seed::key(&format!("{key}-{team}"), &user)
                .with("team_id", group(team))
                .with("spend", 0.5)
                .insert(database)
                .await;
        }
        let own = seed::key(&format!("{key}-alone"), &user);
        own.insert(database).await;
    }
    world
        .sql("UPDATE \"LiteLLM_TeamMembership\" SET spend = 3.5")
        .await;
}

/// Every row of before is there, with every value of before but for these
/// columns; which rows changed, by table.
async fn only_added(
    world: &World,
    before: &Tables,
    may_change: &[(&str, &[&str])],
    what: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let may_change: BTreeMap<_, _> = may_change.iter().copied().collect();
    let mut changed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (table, difference) in before.differences(&world.database).await {
        let id = match table.as_str() {
            "LiteLLM_TeamTable" => "team_id",
            "LiteLLM_UserTable" => "user_id",
            _ => {
                assert_eq!(difference.gone, Vec::<Value>::new(), "{what}: {table}");
                continue;
            }
        };
        for was in &difference.gone {
            let is = difference.new.iter().find(|is| is[id] == was[id]);
            let is = is.unwrap_or_else(|| panic!("{what}: {table} lost {was}"));
            for column in changed_columns(was, is) {
                let free = may_change[table.as_str()].contains(&column.as_str());
                assert!(free, "{what}: {column} of {was} is {}", is[&column]);
                // Lists only grow.
                for item in was[&column].as_array().into_iter().flatten() {
                    let items = is[&column].as_array().expect("a list");
                    assert!(items.contains(item), "{what}: {column} lost {item}");
                }
            }
            let key = was[id].as_str().expect("an id").to_owned();
            changed.entry(table.clone()).or_default().insert(key);
        }
    }
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_nothing_lowers_nobody_and_blocks_nothing() {
    for (organizations, policy) in [("true", "delete"), ("false", "block")] {
        let what = format!("organizations {organizations}, unassigned_group {policy}");
        let world = world(organizations, policy).await;
        let before = Tables::read(&world.database).await;

        let report = world.pass().await;

        assert_eq!(report.errors, [], "{what}");
        assert_eq!(report.held, None, "{what}");
        let changes = &report.changes;
        let taken = [
            changes.team_memberships.removed,
            changes.organization_memberships.removed,
            changes.users.deactivated,
            changes.keys.blocked + changes.keys.deleted,
            changes.teams.blocked + changes.teams.deleted,
        ];
        assert_eq!(taken, [0; 5], "{what}: {}", report.json());
        let columns = [
            (
                "LiteLLM_TeamTable",
                &["members_with_roles", "updated_at"][..],
            ),
            ("LiteLLM_UserTable", &["user_role", "updated_at"][..]),
        ];
        let changed = only_added(&world, &before, &columns, &what).await;
        // New joins science, and Eve's role rises.
        let teams: Vec<_> = changed["LiteLLM_TeamTable"].iter().cloned().collect();
        assert_eq!(teams, [group("science")], "{what}");
        let users: Vec<_> = changed["LiteLLM_UserTable"].iter().cloned().collect();
        assert_eq!(users, [person("eve")], "{what}");
        let eve = world.user("eve").await;
        assert_eq!(eve["user_role"], "internal_user", "{what}");
        assert_eq!(eve["metadata"]["scim_active"], false, "not ours to end");
        assert_eq!(changes.users.created, 1, "{what}");
        assert_eq!(changes.users.reactivated, 0, "{what}");
        assert_eq!(changes.team_memberships.added, 1, "{what}");

        // From now on that is managed: whom Entra has disabled loses access, and
        // nobody loses anything else.
        let before = Tables::read(&world.database).await;
        let report = world.settle().await;
        assert_eq!(report.changes.users.deactivated, 2, "{what}");
        assert_eq!(report.changes.total(), 2 + report.changes.keys.blocked);
        let differences = before.differences(&world.database).await;
        let tables: Vec<&str> = differences.keys().map(String::as_str).collect();
        let expected = ["LiteLLM_UserTable", "LiteLLM_VerificationToken"];
        assert_eq!(tables, expected, "{what}");
        let ended: BTreeSet<_> = differences["LiteLLM_UserTable"]
            .gone
            .iter()
            .map(|row| row["user_id"].as_str().expect("an id").to_owned())
            .collect();
        let disabled: BTreeSet<_> = people(["cem", "hal"]).into_iter().collect();
        assert_eq!(ended, disabled, "{what}");
        for key in &differences["LiteLLM_VerificationToken"].gone {
            let owner = key["user_id"].as_str().expect("an id");
            assert!(disabled.contains(owner), "{what}: {key}");
        }
    }
}

/// The wrong application, or one that nobody is assigned to yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_changes_nothing_ever() {
    let world = world("true", "delete").await;
    world.entra.tenant(|tenant| {
        tenant.group("science").unassigned_entirely();
        tenant.group("sales").unassigned_entirely();
        tenant.user("hal").unassigned_entirely();
    });
    let before = Tables::read(&world.database).await;
    for _ in 0..2 {
        let report = world.pass().await;
        assert_eq!(report.status, Status::Unchanged, "{}", report.json());
        assert_eq!(report.held, None);
    }
    assert_eq!(before.differences(&world.database).await, BTreeMap::new());
}
