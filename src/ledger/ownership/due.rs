//! Which default teams new users have still to join.
//!
//! Invariant: a join is due from the transaction that inserts the user to the
//! one that adds the member, so that a pass that dies between the two leaves
//! it to the next.

use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::ids::{PersonId, SourceId, TeamId};

/// Notes that these people, whose rows are recorded already, shall join.
///
/// # Errors
/// When the database fails.
pub async fn await_default_teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    joins: &[(&TeamId, PersonId)],
) -> Result<()> {
    let statement = "INSERT INTO entra_sync.due_default_team (source_id, team_id, person_id) \
         SELECT $1, d.team_id, d.person_id FROM unnest($2::text[], $3::uuid[]) \
                AS d (team_id, person_id) \
         ON CONFLICT DO NOTHING";
    execute(connection, source, joins, statement).await
}

/// Notes that nothing is left to do about these joins.
///
/// # Errors
/// When the database fails.
pub async fn settle_default_teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    joins: &[(&TeamId, PersonId)],
) -> Result<()> {
    let statement = "DELETE FROM entra_sync.due_default_team AS due \
         USING unnest($2::text[], $3::uuid[]) AS d (team_id, person_id) \
         WHERE due.source_id = $1 AND due.team_id = d.team_id AND due.person_id = d.person_id";
    execute(connection, source, joins, statement).await
}

async fn execute(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    joins: &[(&TeamId, PersonId)],
    statement: &str,
) -> Result<()> {
    if joins.is_empty() {
        return Ok(());
    }
    let (teams, people): (Vec<&str>, Vec<Uuid>) = joins
        .iter()
        .map(|(team, person)| (team.as_str(), person.as_uuid()))
        .unzip();
    sql_query(statement)
        .bind::<Integer, _>(source.get())
        .bind::<Array<Text>, _>(teams)
        .bind::<Array<SqlUuid>, _>(people)
        .execute(connection)
        .await
        .doing("recording which default teams new users wait for")?;
    Ok(())
}
