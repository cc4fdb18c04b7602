//! All rows of LiteLLM's schema and ours: put back as they were, so that many
//! passes can begin from one standing, and compared without what no two passes
//! have in common: times, random ids, the order within arrays.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::World;
use crate::support::database::connect;
use crate::support::tables;

/// What tells of passes, not of LiteLLM or of whose doing it is.
const RECORDS: [&str; 10] = [
    "alert",
    "change",
    "decided_removal",
    "held_plan",
    "lease",
    "membership_change",
    "run",
    "taken",
    "unapproved_person",
    "unapproved_removal",
];

/// Tables whose rows are followed one by one, and what names a row.
const FOLLOWED: [(&str, &[&str]); 7] = [
    ("LiteLLM_JWTKeyMapping", &["id"]),
    (
        "LiteLLM_OrganizationMembership",
        &["user_id", "organization_id"],
    ),
    ("LiteLLM_OrganizationTable", &["organization_id"]),
    ("LiteLLM_TeamMembership", &["user_id", "team_id"]),
    ("LiteLLM_TeamTable", &["team_id"]),
    ("LiteLLM_UserTable", &["user_id"]),
    ("LiteLLM_VerificationToken", &["token"]),
];

/// Sets of members: the oracle of all fault tests judges these.
const SETS: [&str; 2] = ["members_with_roles", "teams"];

/// The database as it is at one moment, to come back to.
pub struct Backup {
    client: Client,
    copied: BTreeMap<&'static str, tables::Tables>,
    /// Tables that passes write, with their schema and quoted.
    moving: BTreeSet<(&'static str, String)>,
    /// Ids that are no accident: all passes have them in common.
    known: BTreeSet<Uuid>,
}

const SCHEMAS: [&str; 2] = ["public", "entra_sync"];

impl Backup {
    pub async fn of(world: &World, known: impl IntoIterator<Item = Uuid>) -> Self {
        let client = connect(&world.database.url_as("postgres")).await;
        let mut backup = Self {
            client,
            copied: BTreeMap::new(),
            moving: BTreeSet::new(),
            known: known.into_iter().collect(),
        };
        backup.run("CREATE SCHEMA backup").await;
        for schema in SCHEMAS {
            let all = tables::all(&world.database, schema).await;
            for name in all.keys() {
                let sql = format!("CREATE TABLE backup.\"{name}\" AS TABLE {schema}.\"{name}\"");
                backup.run(&sql).await;
            }
            backup.copied.insert(schema, all);
        }
        backup
    }

    async fn run(&self, sql: &str) {
        let ran = self.client.batch_execute(sql).await;
        ran.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// From now on, only what is different by now is looked at and put back:
    /// called after a pass that did everything.
    pub async fn watch_what_moved(&mut self, world: &World) {
        for (schema, before) in &self.copied {
            let now = tables::all(&world.database, schema).await;
            let moved = now
                .keys()
                .filter(|name| *schema == "entra_sync" || now.get(*name) != before.get(*name));
            self.moving
                .extend(moved.map(|name| (*schema, name.clone())));
        }
    }

    /// Everything is as it was.
    pub async fn put_back(&self) {
        // As a replica does: without triggers and the keys that point elsewhere.
        let mut sql = "BEGIN; SET LOCAL session_replication_role = replica;".to_owned();
        for (schema, name) in &self.moving {
            sql += &format!(
                "DELETE FROM {schema}.\"{name}\"; INSERT INTO {schema}.\"{name}\" \
                 OVERRIDING SYSTEM VALUE TABLE backup.\"{name}\";"
            );
        }
        self.run(&(sql + "COMMIT")).await;
    }

    /// Whether no other table was touched in the end.
    pub async fn nothing_else_moved(&self, world: &World) {
        self.put_back().await;
        for (schema, before) in &self.copied {
            let now = tables::all(&world.database, schema).await;
            for (name, rows) in before {
                assert_eq!(now.get(name), Some(rows), "{schema}.{name}");
            }
        }
    }

    pub async fn rows(&self) -> Rows {
        let compared = self
            .moving
            .iter()
            .filter(|(_, name)| !RECORDS.contains(&name.as_str()));
        let each: Vec<String> = compared
            .map(|(schema, name)| {
                format!("SELECT '{name}', to_json(t)::text FROM {schema}.\"{name}\" t")
            })
            .collect();
        // One statement, because there are many tables and it is asked often.
        let sql = each.join(" UNION ALL ");
        let read = self.client.query(&sql, &[]).await;
        let read = read.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in read {
            // A group that was away for a pass gets another number there: what is
            // known of the directory is compared by `kept_directory`.
            let table: &str = row.get(0);
            if table.starts_with("directory") {
                continue;
            }
            let text: &str = row.get(1);
            let value = serde_json::from_str(text).expect("PostgreSQL prints valid JSON");
            all.entry(row.get(0)).or_default().push(self.plain(value));
        }
        for rows in all.values_mut() {
            rows.sort_by_key(Value::to_string);
        }
        Rows(all)
    }

    /// Whether removals are held, or somebody's word about some is in force.
    pub async fn is_anything_held(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT FROM entra_sync.held_plan WHERE status <> 'closed')";
        let row = self.client.query_one(sql, &[]).await;
        row.expect("the held sets").get(0)
    }

    fn plain(&self, value: Value) -> Value {
        match value {
            Value::String(text) => {
                let random = |id: Uuid| !self.known.contains(&id);
                if text.parse().is_ok_and(random) {
                    Value::from("an id")
                } else if text.contains("/delta?") {
                    Value::from("a link")
                } else if is_time(&text) {
                    Value::from("a time")
                } else {
                    Value::String(text)
                }
            }
            Value::Array(items) => {
                let mut items: Vec<Value> =
                    items.into_iter().map(|item| self.plain(item)).collect();
                items.sort_by_key(Value::to_string);
                Value::Array(items)
            }
            Value::Object(columns) => columns
                .into_iter()
                .map(|(name, value)| (name, self.plain(value)))
                .collect(),
            other => other,
        }
    }
}

fn is_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok()
        || chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok()
}

/// The rows of all tables that passes write, comparable.
#[derive(Debug, PartialEq)]
pub struct Rows(BTreeMap<String, Vec<Value>>);

type Named<'r> = BTreeMap<String, &'r Value>;

impl Rows {
    fn named(&self, table: &str, key: &[&str]) -> Named<'_> {
        let rows = self.0.get(table).into_iter().flatten();
        rows.map(|row| {
            let name: Vec<String> = key.iter().map(|column| row[column].to_string()).collect();
            (name.join(" "), row)
        })
        .collect()
    }

    /// Without what LiteLLM keeps of what was deleted.
    pub fn alive(&self) -> Self {
        let tables = self.0.iter();
        let alive = tables.filter(|(name, _)| !name.starts_with("LiteLLM_Deleted"));
        Self(
            alive
                .map(|(name, rows)| (name.clone(), rows.clone()))
                .collect(),
        )
    }

    /// How many rows and columns differ, table by table; for messages.
    pub fn against(&self, other: &Self) -> String {
        let mut said = String::new();
        for (table, rows) in &self.0 {
            let others = other.0.get(table).map_or(&[][..], Vec::as_slice);
            let lacking = rows.iter().filter(|row| !others.contains(row));
            said.extend(lacking.map(|row| format!("\n{table} has {row}")));
            let lacking = others.iter().filter(|row| !rows.contains(row));
            said.extend(lacking.map(|row| format!("\n{table} lacks {row}")));
        }
        said
    }

    /// Nothing happened since `before` that does not happen on the way to `all`:
    /// no row went or came that does not there, and in those that stay every
    /// column holds what it held before or holds there.
    pub fn is_part_of(&self, before: &Self, all: &Self, what: &str) {
        for (table, key) in FOLLOWED {
            let (was, is, will) = (
                before.named(table, key),
                self.named(table, key),
                all.named(table, key),
            );
            for name in was.keys().filter(|name| !is.contains_key(*name)) {
                assert!(!will.contains_key(name), "{what}: {table} lost {name}");
            }
            for (name, row) in is {
                let Some(was) = was.get(&name) else {
                    assert!(will.contains_key(&name), "{what}: {table} got {row}");
                    continue;
                };
                // What goes may change first: keys are blocked with their owner.
                let Some(will) = will.get(&name) else {
                    continue;
                };
                for (column, value) in row.as_object().expect("a row") {
                    let fits = SETS.contains(&column.as_str())
                        || *value == was[column]
                        || *value == will[column];
                    assert!(
                        fits,
                        "{what}: {column} of {table} {name} is {value}, was {}, will be {}",
                        was[column], will[column]
                    );
                }
            }
        }
    }
}
