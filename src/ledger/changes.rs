//! What each pass changed. Memberships are kept lean, one row for all members
//! of one team in one transaction; everything else with before and after.

use chrono::{DateTime, Utc};
use diesel::sql_types::{
    Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid,
};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;

use super::error::Result;
use crate::db::QueryContext;
use crate::model::ids::{GroupId, RunId, SourceId, UserId};
use crate::model::report::Kind;

/// One changed object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `create`, `update`, `add`, …
    pub action: String,
    /// What it is.
    pub kind: String,
    /// Its id; for a membership `parent/user`.
    pub id: String,
    /// Why.
    pub reason: String,
    /// The columns before, `None` for a new object.
    pub before: Option<Value>,
    /// The columns after, `None` for a removed object.
    pub after: Option<Value>,
}

/// Records changes of objects other than memberships.
///
/// # Errors
/// When the database fails.
pub async fn record(
    connection: &mut AsyncPgConnection,
    run: RunId,
    changes: &[Change],
) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    fn column<'a, T>(changes: &'a [Change], of: impl Fn(&'a Change) -> T) -> Vec<T> {
        changes.iter().map(of).collect()
    }
    sql_query(
        "INSERT INTO entra_sync.change (run_id, action, kind, object_id, reason, before, after) \
         SELECT $1, c.action, c.kind, c.object_id, c.reason, c.before, c.after \
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[]) \
              WITH ORDINALITY AS c (action, kind, object_id, reason, before, after, position) \
         ORDER BY c.position",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Array<Text>, _>(column(changes, |c| c.action.as_str()))
    .bind::<Array<Text>, _>(column(changes, |c| c.kind.as_str()))
    .bind::<Array<Text>, _>(column(changes, |c| c.id.as_str()))
    .bind::<Array<Text>, _>(column(changes, |c| c.reason.as_str()))
    .bind::<Array<Nullable<Jsonb>>, _>(column(changes, |c| c.before.as_ref()))
    .bind::<Array<Nullable<Jsonb>>, _>(column(changes, |c| c.after.as_ref()))
    .execute(connection)
    .await
    .doing("recording changes")?;
    Ok(())
}

/// Records what happened to members of teams or organizations: one row for
/// each of these.
///
/// # Errors
/// When the database fails.
pub async fn record_members(
    connection: &mut AsyncPgConnection,
    run: RunId,
    change: MemberChange<'_>,
) -> Result<()> {
    if change.members.is_empty() {
        return Ok(());
    }
    let (parents, users): (Vec<&str>, Vec<&str>) = change
        .members
        .iter()
        .map(|(parent, user)| (*parent, user.as_str()))
        .unzip();
    sql_query(
        "INSERT INTO entra_sync.membership_change \
         (run_id, action, kind, reason, parent_id, user_ids) \
         SELECT $1, $2, $3, $4, m.parent_id, array_agg(m.user_id ORDER BY m.position) \
         FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS m (parent_id, user_id, position) \
         GROUP BY m.parent_id ORDER BY min(m.position)",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Text, _>(change.action)
    .bind::<Text, _>(change.kind.as_str())
    .bind::<Text, _>(change.reason)
    .bind::<Array<Text>, _>(parents)
    .bind::<Array<Text>, _>(users)
    .execute(connection)
    .await
    .doing("recording membership changes")?;
    Ok(())
}

/// Members to whom the same thing happened for the same reason.
#[derive(Debug, Clone, Copy)]
pub struct MemberChange<'a> {
    /// `add`, `remove` or `repair`.
    pub action: &'a str,
    /// Team or organization membership.
    pub kind: Kind,
    /// Why.
    pub reason: &'a str,
    /// The team's or organization's id, and who.
    pub members: &'a [(&'a str, &'a UserId)],
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    object_id: String,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    before: Option<Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    after: Option<Value>,
}

/// Every change of one run, in the order it was made, memberships last.
///
/// # Errors
/// When the database fails.
pub async fn of_run(connection: &mut AsyncPgConnection, run: RunId) -> Result<Vec<Change>> {
    let rows: Vec<Row> = sql_query(
        "SELECT action, kind, object_id, reason, before, after FROM ( \
            SELECT 0 AS part, change_id, 0::bigint AS position, action, kind, object_id, reason, \
                   before, after \
            FROM entra_sync.change WHERE run_id = $1 \
            UNION ALL \
            SELECT 1, m.change_id, u.position, m.action, m.kind, m.parent_id || '/' || u.user_id, \
                   m.reason, NULL, NULL \
            FROM entra_sync.membership_change m, \
                 unnest(m.user_ids) WITH ORDINALITY AS u (user_id, position) \
            WHERE m.run_id = $1 \
         ) AS every ORDER BY part, change_id, position",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .load(connection)
    .await
    .doing("reading the changes of the run")?;
    Ok(rows
        .into_iter()
        .map(|row| Change {
            action: row.action,
            kind: row.kind,
            id: row.object_id,
            reason: row.reason,
            before: row.before,
            after: row.after,
        })
        .collect())
}

/// A change as far as it is told in logs: without values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// As in [`Change`].
    pub action: String,
    /// As in [`Change`].
    pub kind: String,
    /// Of a membership the team's or organization's.
    pub id: String,
    /// Of memberships, whose.
    pub users: Option<Vec<String>>,
    /// As in [`Change`].
    pub reason: String,
}

/// How far the changes of a run have been read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark {
    object: i64,
    membership: i64,
}

#[derive(QueryableByName)]
struct NotedRow {
    #[diesel(sql_type = BigInt)]
    change_id: i64,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    users: Option<Vec<String>>,
    #[diesel(sql_type = Text)]
    reason: String,
}

/// The next changes of one run, in the order of [`of_run`]; nothing when there
/// are no more. The mark moves on.
///
/// # Errors
/// When the database fails.
pub async fn noted(
    connection: &mut AsyncPgConnection,
    run: RunId,
    mark: &mut Mark,
) -> Result<Vec<Noted>> {
    let mut rows: Vec<NotedRow> = sql_query(
        "SELECT change_id, action, kind, object_id AS id, NULL::text[] AS users, reason \
         FROM entra_sync.change WHERE run_id = $1 AND change_id > $2 \
         ORDER BY change_id LIMIT 1000",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<BigInt, _>(mark.object)
    .load(connection)
    .await
    .doing("reading the changes of the run")?;
    let last = |rows: &[NotedRow], before| rows.last().map_or(before, |row| row.change_id);
    mark.object = last(&rows, mark.object);
    if rows.is_empty() {
        // One row may hold thousands of members.
        rows = sql_query(
            "SELECT change_id, action, kind, parent_id AS id, user_ids AS users, reason \
             FROM entra_sync.membership_change WHERE run_id = $1 AND change_id > $2 \
             ORDER BY change_id LIMIT 20",
        )
        .bind::<SqlUuid, _>(run.as_uuid())
        .bind::<BigInt, _>(mark.membership)
        .load(connection)
        .await
        .doing("reading the membership changes of the run")?;
        mark.membership = last(&rows, mark.membership);
    }
    let noted = rows.into_iter().map(|row| Noted {
        action: row.action,
        kind: row.kind,
        id: row.id,
        users: row.users,
        reason: row.reason,
    });
    Ok(noted.collect())
}

/// The newest change of one object.
#[derive(Debug, Clone, Serialize, QueryableByName)]
pub struct LastChange {
    /// The run that made it.
    #[diesel(sql_type = SqlUuid)]
    pub run_id: uuid::Uuid,
    /// When that run began, UTC.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    /// As in [`Change`].
    #[diesel(sql_type = Text)]
    pub action: String,
    /// As in [`Change`].
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// As in [`Change`].
    #[diesel(sql_type = Text)]
    pub id: String,
    /// As in [`Change`].
    #[diesel(sql_type = Text)]
    pub reason: String,
}

/// The newest change of a user's row, and of each membership in these groups'
/// teams and organizations.
///
/// # Errors
/// When the database fails.
pub async fn last_of_user(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    user: &UserId,
    groups: Option<&[GroupId]>,
) -> Result<Vec<LastChange>> {
    let groups: Option<Vec<String>> =
        groups.map(|groups| groups.iter().map(ToString::to_string).collect());
    let rows = sql_query(
        "SELECT DISTINCT ON (kind, id) run_id, at, action, kind, id, reason FROM ( \
            SELECT run_id, started_at AS at, change_id, action, kind, object_id AS id, reason \
            FROM entra_sync.change JOIN entra_sync.run USING (run_id) \
            WHERE source_id = $1 AND object_id = $2 AND kind = 'user' \
            UNION ALL \
            SELECT run_id, started_at, change_id, action, kind, parent_id || '/' || $2, reason \
            FROM entra_sync.membership_change JOIN entra_sync.run USING (run_id) \
            WHERE source_id = $1 AND ($3 IS NULL OR parent_id = ANY ($3)) AND $2 = ANY (user_ids) \
         ) AS c ORDER BY kind DESC, id, at DESC, change_id DESC",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(user.as_str())
    .bind::<Nullable<Array<Text>>, _>(groups)
    .load(connection)
    .await
    .doing("looking for the last changes of a user")?;
    Ok(rows)
}
