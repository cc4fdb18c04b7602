//! LiteLLM's audit log: rows such as LiteLLM's own code makes of the same
//! events, in the transaction of what they record.
//!
//! The fixture is LiteLLM 1.109.1's own work (`tests/fixtures/README.md`).

mod passes;
mod rows;
mod setting;

use entra_sync::simulator::Tenant;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::group;

const SETTING: &str = "ENTRA_SYNC__LITELLM__STORE_AUDIT_LOGS";
const LOG: &str = "LiteLLM_AuditLog";
const TEAM: &str = "LiteLLM_TeamTable";
const USER: &str = "LiteLLM_UserTable";
const KEY: &str = "LiteLLM_VerificationToken";

/// One kind of event of the fixture.
fn cases(section: &str) -> Vec<Value> {
    let fixture = include_str!("../../fixtures/audit_rows.json");
    let mut fixture: Value = serde_json::from_str(fixture).expect("valid JSON");
    match fixture[section].take() {
        Value::Array(cases) if !cases.is_empty() => cases,
        other => panic!("{section}: {other}"),
    }
}

/// All columns but the row's own id and time must be those of LiteLLM's row.
#[track_caller]
fn assert_same(ours: &Value, theirs: &Value) {
    let mut ours = ours.clone();
    let columns = ours.as_object_mut().expect("a row");
    let id = columns.remove("id").expect("an id");
    assert_eq!(id.as_str().map(str::len), Some(36));
    let time = columns.remove("updated_at").expect("a time");
    assert!(time.is_string(), "{time}");
    assert_eq!(plain(&ours), plain(theirs));
}

/// 5 and 5.0 are one number to JSON.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// What an audit row is about.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct About {
    action: String,
    table: String,
    object: String,
}

fn about(action: &str, table: &str, object: impl Into<String>) -> About {
    About {
        action: action.to_owned(),
        table: table.to_owned(),
        object: object.into(),
    }
}

/// Rows that were not there before.
struct Log(Vec<Value>);

impl Log {
    async fn read(world: &World) -> Self {
        Self(world.database.rows(LOG).await)
    }

    async fn news(&self, world: &World) -> Self {
        let mut now = world.database.rows(LOG).await;
        now.retain(|row| !self.0.contains(row));
        Self(now)
    }

    fn abouts(&self) -> Vec<About> {
        let text = |row: &Value, column: &str| row[column].as_str().expect("a text").to_owned();
        let mut abouts: Vec<About> = self
            .0
            .iter()
            .map(|row| About {
                action: text(row, "action"),
                table: text(row, "table_name"),
                object: text(row, "object_id"),
            })
            .collect();
        abouts.sort();
        abouts
    }

    #[track_caller]
    fn one(&self, wanted: &About) -> &Value {
        let mut found = self.0.iter().filter(|row| {
            row["action"] == wanted.action.as_str()
                && row["table_name"] == wanted.table.as_str()
                && row["object_id"] == wanted.object.as_str()
        });
        match (found.next(), found.next()) {
            (Some(one), None) => one,
            _ => panic!("not one row about {wanted:?}: {:#?}", self.0),
        }
    }
}

fn two_groups(tenant: &mut Tenant) {
    for (group, members) in [("science", vec!["ada", "bob"]), ("arts", vec!["bob"])] {
        tenant.group(group).members(members).assigned_by_default();
    }
}

/// Two teams, and a guard that holds nothing.
async fn world(furnish: impl FnOnce(&mut Tenant)) -> World {
    World::new(furnish)
        .await
        .with(SETTING, "true")
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000)
}

/// A team's roster as it is now.
async fn roster(world: &World, key: &str) -> Value {
    let row = world.row(TEAM, "team_id", &group(key)).await;
    row["members_with_roles"].clone()
}
