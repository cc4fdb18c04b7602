//! Hands what the tests wrote to LiteLLM's own models.
//!
//! With `ENTRA_SYNC_ROWS_DIR` set, every test that passed appends the rows of
//! its database there, one `{"table": …, "row": {…}}` a line, and
//! `tests/python/validate_rows.py` reads them. Rows that a test seeded go too:
//! they claim to be LiteLLM's, so LiteLLM must be able to read them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::json;
use tokio_postgres::Client;

use super::database::rows;

/// The tables that a pass writes.
const TABLES: [&str; 10] = [
    "LiteLLM_AuditLog",
    "LiteLLM_BudgetTable",
    "LiteLLM_DeletedTeamTable",
    "LiteLLM_DeletedVerificationToken",
    "LiteLLM_OrganizationMembership",
    "LiteLLM_OrganizationTable",
    "LiteLLM_TeamMembership",
    "LiteLLM_TeamTable",
    "LiteLLM_UserTable",
    "LiteLLM_VerificationToken",
];

/// Appends the rows of one database, if anybody wants them.
pub async fn written_rows(client: &Client) {
    let Some(folder) = std::env::var_os("ENTRA_SYNC_ROWS_DIR") else {
        return;
    };
    let mut lines = String::new();
    for table in TABLES {
        for row in rows(client, table).await {
            lines.push_str(&json!({ "table": table, "row": row }).to_string());
            lines.push('\n');
        }
    }
    // One file a process and one write a test: lines of two tests never mix.
    let file = Path::new(&folder).join(format!("{}.jsonl", std::process::id()));
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
