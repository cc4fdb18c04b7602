//! A pass writes the rows that LiteLLM itself wrote for the same people,
//! groups and settings, column by column.
//!
//! The fixture is LiteLLM 1.109.1's own work (`tests/fixtures/README.md`). Ids
//! and times are another run's; its login went through the provider `generic`,
//! ours are Microsoft's.

mod organizations;
mod teams;
mod users;

use std::collections::BTreeMap;

use entra_sync::simulator::Tenant;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{group, person};

const TEAM: &str = "LiteLLM_TeamTable";
const USER: &str = "LiteLLM_UserTable";
const MEMBERSHIP: &str = "LiteLLM_TeamMembership";
const PARAMS: &str = "ENTRA_SYNC__LITELLM__DEFAULT_TEAM_PARAMS";

/// One section of the fixture, its ids replaced by ours.
struct Section {
    content: Value,
    ids: BTreeMap<String, String>,
}

impl Section {
    /// The fixture's ids double as the tenant's keys.
    fn read(name: &str, groups: &[&str], people: &[&str]) -> Self {
        let fixture = include_str!("../../fixtures/litellm-reference-rows.json");
        let mut fixture: Value = serde_json::from_str(fixture).expect("valid JSON");
        let groups = groups.iter().map(|key| ((*key).to_owned(), group(key)));
        let people = people.iter().map(|key| ((*key).to_owned(), person(key)));
        Self {
            content: fixture[name].take(),
            ids: groups.chain(people).collect(),
        }
    }

    fn params(&self) -> &Value {
        &self.content["settings"]["default_team_params"]
    }

    fn rows(&self, table: &str) -> Vec<Value> {
        let rows = self.content["rows"][table].as_array().expect("rows");
        rows.iter().map(|row| self.ours(row)).collect()
    }

    fn ours(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text == "generic" => json!("microsoft"),
            Value::String(text) => json!(self.ids.get(text).unwrap_or(text)),
            Value::Array(list) => list.iter().map(|value| self.ours(value)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.ours(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other.clone(),
        }
    }

    /// Compares all rows of a table; a column of `exempt` is not compared, for
    /// the reason given where it is named.
    async fn check(&self, world: &World, table: &str, keys: &[&str], exempt: &[&str]) {
        let theirs = self.rows(table);
        let ours = world.database.rows(table).await;
        assert_eq!(ours.len(), theirs.len(), "{table}: {ours:#?}");
        for theirs in theirs {
            let same = |row: &&Value| keys.iter().all(|key| row[*key] == theirs[*key]);
            let ours = ours.iter().find(same);
            same_columns(ours.expect("a row with the same key"), &theirs, exempt);
        }
    }
}

fn same_columns(ours: &Value, theirs: &Value, exempt: &[&str]) {
    let (ours, theirs) = (as_map(ours), as_map(theirs));
    let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs));
    for (column, wanted) in theirs {
        let present = &ours[column];
        match column.as_str() {
            _ if exempt.contains(&column.as_str()) => {}
            // Another moment; `budget_reset.json` proves the reckoning.
            "created_at" | "updated_at" | "budget_reset_at" => {
                assert_eq!(present.is_null(), wanted.is_null(), "{column}: {present}");
            }
            _ => assert_eq!(present, wanted, "{column}"),
        }
    }
}

fn as_map(row: &Value) -> &serde_json::Map<String, Value> {
    row.as_object().expect("a row")
}

/// A person as LiteLLM's login was told of her.
fn ada(tenant: &mut Tenant, key: &str, address: &str) {
    tenant
        .user(key)
        .without_display_name()
        .names("Ada", "Lovelace")
        .user_principal_name(address);
}
