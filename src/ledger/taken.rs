//! Whole copies of what was taken away.
//!
//! Invariant: a copy is given back once at most; the transaction that does so
//! marks it.

use std::collections::BTreeMap;

use diesel::QueryableByName;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::error::{Error, Result};
use crate::db::QueryContext;
use crate::model::ids::{GroupId, RunId, SourceId, UserId};
use crate::model::report::Kind;

/// One thing that was taken, whole.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The team's or organization's id, if it is about one.
    pub parent: Option<String>,
    /// Whose, if it is about a user.
    pub user: Option<String>,
    /// The removal that the plan decided on.
    pub removal: Value,
    /// Every row that went.
    pub copy: Value,
    /// What the ledger held about it.
    pub owned: Value,
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
    // Numbered in the order of taking: giving back begins with the last.
    sql_query(
        "INSERT INTO entra_sync.taken (run_id, kind, parent_id, user_id, removal, copy, owned) \
         SELECT $1, $2, t.parent_id, t.user_id, t.removal, t.copy, t.owned \
         FROM unnest($3::text[], $4::text[], $5::jsonb[], $6::jsonb[], $7::jsonb[]) \
              WITH ORDINALITY AS t (parent_id, user_id, removal, copy, owned, position) \
         ORDER BY t.position",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Text, _>(kind.as_str())
    .bind::<Array<Nullable<Text>>, _>(
        taken
            .iter()
            .map(|t| t.parent.as_deref())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(taken.iter().map(|t| t.user.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(taken.iter().map(|t| &t.removal).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(taken.iter().map(|t| &t.copy).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(taken.iter().map(|t| &t.owned).collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("keeping copies of what was taken away")?;
    Ok(())
}

/// A copy that the ledger keeps.
#[derive(Debug, Clone, QueryableByName)]
pub struct Kept {
    /// Its number: what was taken later has a greater one.
    #[diesel(sql_type = BigInt)]
    pub taken_id: i64,
    /// As in [`Taken`].
    #[diesel(sql_type = Jsonb)]
    pub removal: Value,
    /// As in [`Taken`].
    #[diesel(sql_type = Jsonb)]
    pub copy: Value,
    /// As in [`Taken`].
    #[diesel(sql_type = Jsonb)]
    pub owned: Value,
    /// The run that gave it back.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub undone_by: Option<Uuid>,
}

const COLUMNS: &str = "SELECT taken_id, removal, copy, owned, undone_by FROM entra_sync.taken";

/// Shows every copy of a run to `visit`, the last taken first; one at a time,
/// because all of them may be large.
///
/// # Errors
/// When the database fails.
pub async fn of_run(
    connection: &mut AsyncPgConnection,
    run: RunId,
    mut visit: impl FnMut(Kept),
) -> Result<()> {
    let doing = "reading copies of what was taken away";
    let mut rows = sql_query(format!(
        "{COLUMNS} WHERE run_id = $1 ORDER BY taken_id DESC"
    ))
    .bind::<SqlUuid, _>(run.as_uuid())
    .load_stream::<Kept>(connection)
    .await
    .doing(doing)?;
    while let Some(row) = rows.try_next().await.doing(doing)? {
        visit(row);
    }
    Ok(())
}

/// What later runs took from the users, teams and organizations that this run
/// took something from, and nobody gave back: the removals alone.
///
/// # Errors
/// When the database fails.
pub async fn since(connection: &mut AsyncPgConnection, run: RunId) -> Result<Vec<Value>> {
    #[derive(QueryableByName)]
    struct Later {
        #[diesel(sql_type = Jsonb)]
        removal: Value,
    }
    // Runs of a source follow each other: what is of a later one has a greater
    // number than all of an earlier one.
    let later: Vec<Later> = sql_query(
        "SELECT t.removal FROM entra_sync.taken t JOIN entra_sync.run r ON r.run_id = t.run_id \
         WHERE t.undone_by IS NULL \
           AND t.taken_id > (SELECT max(taken_id) FROM entra_sync.taken WHERE run_id = $1) \
           AND r.source_id = (SELECT source_id FROM entra_sync.run WHERE run_id = $1) \
           AND (t.parent_id IN (SELECT parent_id FROM entra_sync.taken \
                                WHERE run_id = $1 AND parent_id IS NOT NULL) \
                OR t.parent_id IS NULL \
                   AND t.user_id IN (SELECT user_id FROM entra_sync.taken WHERE run_id = $1))",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .load(connection)
    .await
    .doing("reading what later runs took away")?;
    Ok(later.into_iter().map(|row| row.removal).collect())
}

/// Reads a part of a copy back into what it was made from.
///
/// # Errors
/// When another version of this program wrote it.
pub fn read<T: DeserializeOwned>(place: &'static str, part: &Value) -> Result<T> {
    T::deserialize(part).map_err(|_| Error::Foreign {
        place,
        value: part.to_string(),
    })
}

/// Marks these copies as given back by a run, and returns those that nobody had
/// given back before, in the order of taking.
///
/// # Errors
/// When the database fails.
pub async fn give_back(
    connection: &mut AsyncPgConnection,
    by: RunId,
    taken: &[i64],
) -> Result<Vec<Kept>> {
    let mut kept: Vec<Kept> = sql_query(
        "UPDATE entra_sync.taken SET undone_by = $2 \
         WHERE taken_id = ANY($1) AND undone_by IS NULL \
         RETURNING taken_id, removal, copy, owned, undone_by",
    )
    .bind::<Array<BigInt>, _>(taken)
    .bind::<SqlUuid, _>(by.as_uuid())
    .load(connection)
    .await
    .doing("marking copies as given back")?;
    kept.sort_by_key(|kept| kept.taken_id);
    Ok(kept)
}

/// Takes such a mark back: this copy could not be given back after all.
///
/// # Errors
/// When the database fails.
pub async fn keep_on(connection: &mut AsyncPgConnection, taken: &[i64]) -> Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    sql_query("UPDATE entra_sync.taken SET undone_by = NULL WHERE taken_id = ANY($1)")
        .bind::<Array<BigInt>, _>(taken)
        .execute(connection)
        .await
        .doing("keeping copies that were not given back")?;
    Ok(())
}

/// Who was taken out of the team of which group, and was not given that back:
/// as long as the copies are kept.
///
/// # Errors
/// When the database fails.
pub(super) async fn members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<GroupId, Vec<UserId>>> {
    let rows = sql_query(format!("{MEMBERS} GROUP BY t.parent_id"))
        .bind::<Integer, _>(source.get())
        .load(connection)
        .await;
    Ok(by_group(rows.doing("reading who was taken out of teams")?))
}

/// The same of these users, and of all in the teams of these groups.
///
/// # Errors
/// When the database fails.
pub(super) async fn members_for(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    users: &[&str],
    groups: &[GroupId],
) -> Result<BTreeMap<GroupId, Vec<UserId>>> {
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let rows = sql_query(format!(
        "{MEMBERS} AND (t.user_id = ANY($2) OR t.parent_id = ANY($3)) GROUP BY t.parent_id"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<Text>, _>(users)
    .bind::<Array<Text>, _>(groups)
    .load(connection)
    .await;
    Ok(by_group(rows.doing("reading who was taken out of teams")?))
}

const MEMBERS: &str = "SELECT t.parent_id::uuid AS group_id, \
            array_agg(DISTINCT t.user_id COLLATE \"C\" ORDER BY t.user_id COLLATE \"C\") AS users \
     FROM entra_sync.taken t JOIN entra_sync.run r ON r.run_id = t.run_id \
     WHERE r.source_id = $1 AND t.kind = 'team_membership' AND t.undone_by IS NULL \
       AND t.parent_id IS NOT NULL AND t.user_id IS NOT NULL";

#[derive(QueryableByName)]
struct MembersRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = Array<Text>)]
    users: Vec<String>,
}

fn by_group(rows: Vec<MembersRow>) -> BTreeMap<GroupId, Vec<UserId>> {
    rows.into_iter()
        .map(|row| {
            let users = row.users.into_iter().map(UserId::new).collect();
            (GroupId::new(row.group_id), users)
        })
        .collect()
}

/// Whether the changes of a run say that it took something.
///
/// # Errors
/// When the database fails.
pub async fn is_said_of(connection: &mut AsyncPgConnection, run: RunId) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Said {
        #[diesel(sql_type = Bool)]
        said: bool,
    }
    let row: Said = sql_query(
        "SELECT EXISTS (SELECT FROM entra_sync.membership_change \
                        WHERE run_id = $1 AND action = 'remove') \
             OR EXISTS (SELECT FROM entra_sync.change \
                        WHERE run_id = $1 AND action IN ('deactivate', 'block', 'delete')) \
             AS said",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .get_result(connection)
    .await
    .doing("asking whether the run took anything")?;
    Ok(row.said)
}
