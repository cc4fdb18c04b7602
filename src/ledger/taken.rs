//! Whole copies of what was taken away.

use diesel::sql_query;
use diesel::sql_types::{Array, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::error::Result;
use crate::db::QueryContext;
use crate::model::ids::RunId;
use crate::model::report::Kind;

/// One thing that was taken, whole.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The team's or organization's id.
    pub parent: String,
    /// Whose, if it is a membership.
    pub user: Option<String>,
    /// Every row that went.
    pub copy: Value,
}

/// Keeps copies.
///
/// # Errors
/// When the database fails.
pub async fn keep(
    connection: &mut AsyncPgConnection,
    run: RunId,
    kind: Kind,
    taken: &[Taken],
) -> Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    sql_query(
        "INSERT INTO entra_sync.taken (run_id, kind, parent_id, user_id, copy) \
         SELECT $1, $2, t.parent_id, t.user_id, t.copy \
         FROM unnest($3::text[], $4::text[], $5::jsonb[]) AS t (parent_id, user_id, copy)",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Text, _>(kind.as_str())
    .bind::<Array<Text>, _>(taken.iter().map(|t| t.parent.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(taken.iter().map(|t| t.user.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(taken.iter().map(|t| &t.copy).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("keeping copies of what was taken away")?;
    Ok(())
}
