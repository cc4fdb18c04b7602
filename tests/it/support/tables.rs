//! Everything that is in a schema, to be compared before and after.

use std::collections::BTreeMap;

use super::TestDatabase;
use super::database::connect;

/// Every row of every table, as text.
pub type Tables = BTreeMap<String, Vec<String>>;

/// What LiteLLM's schema holds.
pub async fn litellm(database: &TestDatabase) -> Tables {
    all(database, "public").await
}

/// What this schema holds.
pub async fn all(database: &TestDatabase, schema: &str) -> Tables {
    let client = connect(&database.url_as("postgres")).await;
    let names = client
        .query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = $1",
            &[&schema],
        )
        .await
        .expect("the list of tables");
    let mut tables = Tables::new();
    for name in names.iter().map(|row| row.get::<_, String>(0)) {
        let statement =
            format!("SELECT to_json(t)::text FROM \"{schema}\".\"{name}\" t ORDER BY 1");
        let rows = client.query(&statement, &[]).await.expect("its rows");
        tables.insert(name, rows.iter().map(|row| row.get(0)).collect());
    }
    tables
}
