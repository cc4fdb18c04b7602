//! All of LiteLLM's tables at once: what a deed changed, and that it changed
//! nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use super::TestDatabase;
use super::database::connect;

/// Every row of every table, printed by PostgreSQL: compared bit by bit.
pub struct Tables(BTreeMap<String, Vec<String>>);

/// What is different in one table.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    pub gone: Vec<Value>,
    pub new: Vec<Value>,
}

impl Tables {
    pub async fn read(database: &TestDatabase) -> Self {
        let client = connect(&database.url_as("postgres")).await;
        let names = client
            .query(
                "SELECT relname::text FROM pg_class \
                 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname",
                &[],
            )
            .await
            .expect("the tables");
        let mut tables = BTreeMap::new();
        for name in names {
            let name: String = name.get(0);
            let rows = client
                .query(
                    &format!(
                        "SELECT to_json(t)::text FROM public.\"{name}\" t \
                         ORDER BY to_json(t)::text COLLATE \"C\""
                    ),
                    &[],
                )
                .await
                .unwrap_or_else(|error| panic!("{name}: {error:?}"));
            tables.insert(name, rows.iter().map(|row| row.get(0)).collect());
        }
        Self(tables)
    }

    /// The tables that differ now.
    pub async fn differences(&self, database: &TestDatabase) -> BTreeMap<String, Difference> {
        let now = Self::read(database).await;
        let mut differences = BTreeMap::new();
        for (name, before) in &self.0 {
            let after = now.0.get(name).map_or(&[][..], Vec::as_slice);
            let parse = |rows: &[String], others: &[String]| -> Vec<Value> {
                rows.iter()
                    .filter(|row| others.binary_search(row).is_err())
                    .map(|row| serde_json::from_str(row).expect("PostgreSQL prints valid JSON"))
                    .collect()
            };
            let difference = Difference {
                gone: parse(before, after),
                new: parse(after, before),
            };
            if difference != Difference::default() {
                differences.insert(name.clone(), difference);
            }
        }
        differences
    }
}

/// The columns in which two rows differ, sorted.
pub fn changed_columns(before: &Value, after: &Value) -> Vec<String> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        panic!("rows are objects");
    };
    let mut columns: Vec<String> = before
        .iter()
        .filter(|(column, value)| after.get(*column) != Some(value))
        .map(|(column, _)| column.clone())
        .collect();
    columns.sort();
    columns
}
