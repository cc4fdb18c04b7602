//! Rows that were taken away, kept as JSON, and their way back.
//!
//! Invariant: a copy holds every column of its row, `spend` included, so that
//! undoing loses nothing. It comes back under the columns of today: what the
//! table no longer has is left out, what it has gained gets its default.

use std::collections::BTreeMap;

use diesel::sql_types::{Array, Integer, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::capabilities::Capabilities;
use super::error::Result;
use super::writing::Writing;
use crate::db::QueryContext;

/// A row as JSON.
#[derive(QueryableByName)]
pub(super) struct Copy {
    /// Every column.
    #[diesel(sql_type = Jsonb)]
    pub(super) row: Value,
}

/// The rows of a statement that selects `row`.
pub(super) fn rows(copies: Vec<Copy>) -> Vec<Value> {
    copies.into_iter().map(|copy| copy.row).collect()
}

/// The text in one column of a copy.
pub(super) fn text<'a>(row: &'a Value, column: &str) -> Option<&'a str> {
    row.get(column).and_then(Value::as_str)
}

/// A column that refers to a row which may have gone since, the row's table and
/// its key: the column becomes NULL, as the foreign key would have made it had
/// the row been there all along.
pub(super) type Reference = (&'static str, &'static str, &'static str);

/// Inserts copies; a row that is there stays as it is. Returns the values of
/// `key` of those that were inserted.
pub(super) async fn insert(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    table: &'static str,
    key: &'static str,
    references: &[Reference],
    copies: &[&Value],
) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Inserted {
        #[diesel(sql_type = Text)]
        id: String,
    }
    // Copies of one time have the same columns, and go in one statement.
    let mut alike: BTreeMap<Vec<&str>, Vec<&Value>> = BTreeMap::new();
    for copy in copies {
        let columns = capabilities
            .columns(table)
            .filter(|column| copy.get(column).is_some())
            .collect();
        alike.entry(columns).or_default().push(copy);
    }
    let mut inserted = Vec::new();
    for (columns, copies) in alike {
        if columns.is_empty() {
            continue;
        }
        let names = columns
            .iter()
            .map(|column| format!("\"{column}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let values = columns
            .iter()
            .map(|column| value(capabilities, references, column))
            .collect::<Vec<_>>()
            .join(", ");
        let rows: Vec<Inserted> = sql_query(format!(
            "INSERT INTO \"{table}\" ({names}) \
             SELECT {values} FROM jsonb_populate_recordset(NULL::\"{table}\", $1) r \
             ON CONFLICT DO NOTHING RETURNING \"{key}\" AS id"
        ))
        .bind::<Jsonb, _>(Value::Array(copies.into_iter().cloned().collect()))
        .load(connection)
        .await
        .doing(format!("putting back rows of {table}"))?;
        inserted.extend(rows.into_iter().map(|row| row.id));
    }
    Ok(inserted)
}

fn value(capabilities: &Capabilities, references: &[Reference], column: &str) -> String {
    match references.iter().find(|(name, _, _)| *name == column) {
        Some((_, table, key)) if capabilities.has(table, key) => {
            format!("(SELECT o.\"{key}\" FROM \"{table}\" o WHERE o.\"{key}\" = r.\"{column}\")")
        }
        Some(_) => "NULL".to_owned(),
        None => format!("r.\"{column}\""),
    }
}

/// A row whose list named something, and where in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
pub struct Mention {
    /// The row's key.
    #[diesel(sql_type = Text)]
    pub id: String,
    /// How many entries of the list stood before it.
    #[diesel(sql_type = Integer)]
    pub place: i32,
}

/// A column that holds a list of ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) column: &'static str,
}

/// Puts `entry` into these rows' lists, where it is missing: at its place, or
/// at the end when it has none. `updated_at` moves with it when there is one.
pub(super) async fn put_into_lists(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    list: List,
    entry: &str,
    rows: &[(&str, Option<i32>)],
) -> Result<()> {
    let List { table, key, column } = list;
    let (ids, places): (Vec<&str>, Vec<Option<i32>>) = rows.iter().copied().unzip();
    // Without COALESCE a NULL list would stay NULL for ever.
    sql_query(format!(
        "UPDATE \"{table}\" o SET \"{column}\" = COALESCE(CASE WHEN p.place IS NULL \
            THEN o.\"{column}\" ELSE o.\"{column}\"[:p.place] END, '{{}}') || $1::text \
            || COALESCE(o.\"{column}\"[p.place + 1:], '{{}}'), updated_at = $4 \
         FROM unnest($2::text[], $3::int[]) AS p (id, place) \
         WHERE o.\"{key}\" = p.id AND NOT $1 = ANY(COALESCE(o.\"{column}\", '{{}}'))"
    ))
    .bind::<Text, _>(entry)
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Nullable<Integer>>, _>(places)
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing(format!("putting {entry} back into lists of {table}"))?;
    Ok(())
}

/// The INSERT that makes tombstones of the rows named `source`; `None` when
/// this LiteLLM has no such table, which then deletes without a trace.
pub(super) fn tombstone<'a>(
    capabilities: &Capabilities,
    table: &str,
    shared: impl Iterator<Item = &'a str>,
    lists: &[&str],
    source: &str,
    deleted_at: &str,
) -> Option<String> {
    if !capabilities.has_table(table) {
        return None;
    }
    let (mut names, mut values) = (
        vec!["\"id\"".to_owned(), "\"deleted_at\"".to_owned()],
        vec!["gen_random_uuid()::text".to_owned(), deleted_at.to_owned()],
    );
    for column in shared {
        names.push(format!("\"{column}\""));
        values.push(if lists.contains(&column) {
            format!("COALESCE({source}.\"{column}\", '{{}}')")
        } else if column == "members_with_roles" {
            // LiteLLM reads the column's default as an empty list.
            format!(
                "CASE WHEN {source}.\"{column}\" = '{{}}'::jsonb THEN '[]'::jsonb \
                 ELSE {source}.\"{column}\" END"
            )
        } else {
            format!("{source}.\"{column}\"")
        });
    }
    Some(format!(
        "INSERT INTO \"{table}\" ({}) SELECT {} FROM {source}",
        names.join(", "),
        values.join(", ")
    ))
}
