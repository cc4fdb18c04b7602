//! `undo`: what a run took comes back, row by row, and stays.

mod access;
mod afterwards;
mod interrupted;
mod meanwhile;
mod members;
mod places;
mod program;

use std::collections::BTreeMap;

use entra_sync::model::ids::RunId;
use entra_sync::model::report::Status;
use entra_sync::simulator::Tenant;
use entra_sync::sync::{Error, Progress, Report, UndoRequest, Undone};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::look::{group, person};
use crate::support::{Tables, World, seed};

/// LiteLLM's record that something was deleted then: that remains true.
const TOMBSTONES: [&str; 2] = [
    "LiteLLM_DeletedVerificationToken",
    "LiteLLM_DeletedTeamTable",
];

const OWNED: [&str; 5] = [
    "entra_sync.owned_team",
    "entra_sync.owned_organization",
    "entra_sync.owned_user",
    "entra_sync.owned_team_member",
    "entra_sync.owned_organization_member",
];

fn three_groups(tenant: &mut Tenant) {
    for group in ["arts", "sales", "science"] {
        tenant
            .group(group)
            .members(["ada", "bob", "cem", "dan"])
            .assigned_by_default();
    }
}

/// Three teams with organizations, and a guard that holds nothing.
async fn world() -> World {
    World::new(three_groups)
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000)
}

/// What people and LiteLLM leave behind in use: spend, budgets, keys of every
/// kind, a mapping, an administrator, and a guest put in by hand.
async fn in_use(world: &World) {
    seed::budget("allowance").insert(&world.database).await;
    seed::user("guest").insert(&world.database).await;
    seed::join(&world.database, "guest", &group("science")).await;
    for team in ["science", "sales"] {
        for user in ["bob", "cem"] {
            seed::key(&format!("{team}-{user}"), &person(user))
                .with("team_id", group(team))
                .with("key_alias", format!("{user} in {team}"))
                .with("spend", 1_234.567_890_123_456_7)
                .with("budget_id", "allowance")
                .with("policies", json!(["p"]))
                .with("metadata", json!({ "note": null }))
                .insert(&world.database)
                .await;
        }
    }
    for (token, blocked) in [
        ("bob-null", Value::Null),
        ("bob-false", json!(false)),
        ("bob-abuse", json!(true)),
    ] {
        seed::key(token, &person("bob"))
            .with("blocked", blocked)
            .insert(&world.database)
            .await;
    }
    let (science, bob) = (group("science"), person("bob"));
    world
        .sql(&format!(
            "UPDATE \"LiteLLM_TeamMembership\" SET spend = 0.1, total_spend = 1234.5678901234567, \
                 budget_id = 'allowance' WHERE user_id = '{bob}'; \
             UPDATE \"LiteLLM_OrganizationMembership\" SET spend = 2.5, budget_id = 'allowance' \
                 WHERE user_id = '{bob}'; \
             UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = jsonb_set( \
                 members_with_roles, '{{0,user_email}}', '\"old@example.com\"') \
                 WHERE team_id = '{science}'; \
             INSERT INTO \"LiteLLM_JWTKeyMapping\" (id, jwt_claim_name, jwt_claim_value, token) \
                 VALUES ('m', 'sub', 'bob', 'science-bob')"
        ))
        .await;
}

async fn try_undo(world: &World, run: RunId) -> (Undone, Option<Error>) {
    undo_until(world, run, &CancellationToken::new()).await
}

/// The same, ended on request.
async fn undo_until(
    world: &World,
    run: RunId,
    stop: &CancellationToken,
) -> (Undone, Option<Error>) {
    let request = UndoRequest {
        of: run,
        who: "carla".to_owned(),
    };
    let source = world.source();
    source.undo(&request, &Progress::unobserved(), stop).await
}

/// Undoes a run, which must not give trouble.
async fn undo(world: &World, run: RunId) -> Report {
    let (undone, error) = try_undo(world, run).await;
    if let Some(error) = error {
        panic!("undoing failed: {error}");
    }
    assert_eq!(undone.report.errors, [], "objects gave trouble");
    undone.report
}

/// The same a second time gives nothing back and writes nothing.
async fn assert_nothing_left(world: &World, run: RunId) {
    let before = Tables::read(&world.database).await;
    let report = undo(world, run).await;
    assert_eq!(report.status, Status::Unchanged, "{}", report.json());
    assert!(
        before.differences(&world.database).await.is_empty(),
        "the second undo wrote something"
    );
}

/// LiteLLM's rows and what is ours.
struct Before {
    litellm: Tables,
    owned: BTreeMap<&'static str, Vec<Value>>,
}

impl Before {
    async fn of(world: &World) -> Self {
        Self {
            litellm: Tables::read(&world.database).await,
            owned: owned(world).await,
        }
    }

    /// All of it is as it was, but for `updated_at` and the tombstones.
    async fn is_back(&self, world: &World) {
        self.is_back_but_for(world, Order::Same).await;
    }

    /// The same after an undo in two steps: what was taken later may have come
    /// back later too, and stands elsewhere in a list.
    async fn is_back_in_steps(&self, world: &World) {
        self.is_back_but_for(world, Order::Any).await;
    }

    async fn is_back_but_for(&self, world: &World, order: Order) {
        let mut now = self.litellm.differences(&world.database).await;
        for table in TOMBSTONES {
            now.remove(table);
        }
        for (table, difference) in now {
            let rows = |rows| ordered(timeless(rows, "updated_at"), order);
            assert_eq!(rows(&difference.gone), rows(&difference.new), "{table}");
        }
        assert_eq!(self.owned, owned(world).await);
    }
}

/// Whether the order within lists counts.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Same,
    Any,
}

fn ordered(mut rows: Vec<Value>, order: Order) -> Vec<Value> {
    for row in &mut rows {
        for list in ["teams", "members_with_roles", "assigned_team_ids"] {
            let list = row.get_mut(list).and_then(Value::as_array_mut);
            if let (Some(list), Order::Any) = (list, order) {
                list.sort_by_key(Value::to_string);
            }
        }
    }
    rows.sort_by_key(Value::to_string);
    rows
}

async fn owned(world: &World) -> BTreeMap<&'static str, Vec<Value>> {
    let mut owned = BTreeMap::new();
    for table in OWNED {
        let rows = world.database.rows(table).await;
        owned.insert(table, timeless(&rows, "run_id"));
    }
    owned
}

/// Rows without this column, in one order.
fn timeless(rows: &[Value], column: &str) -> Vec<Value> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.as_object_mut().expect("a row").remove(column);
    }
    rows.sort_by_key(Value::to_string);
    rows
}

fn leaves(world: &World, user: &str, groups: &[&str]) {
    world.entra.tenant(|tenant| {
        for group in groups {
            tenant.group(group).without_member(user);
        }
    });
}

fn returns(world: &World, user: &str, groups: &[&str]) {
    world.entra.tenant(|tenant| {
        for group in groups {
            tenant.group(group).member(user);
        }
    });
}
