//! LiteLLM's rows as far as they concern a reading: read in streams, kept
//! compactly, everything else passed over.
//!
//! Invariant: memory grows with the directory, not with LiteLLM: a user,
//! roster entry or membership of somebody whom neither Entra nor our ledger
//! knows is not kept. All copies of a membership come from one snapshot of the
//! database, so a login in between cannot make them look torn.

mod interest;
mod organizations;
mod roster;
mod teams;
mod users;
mod verified;

use diesel::QueryableByName;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::capabilities::Capabilities;
use super::error::Result;
use super::users::COUNT_BILLABLE;
use crate::db::QueryContext;
use crate::model::target::Target;

pub use interest::Interest;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Reads the rows in one snapshot, out of a stream of all users: for an interest
/// in most of them. The transaction must be fresh: this sets its isolation.
///
/// # Errors
/// When the database fails.
pub async fn read(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    interest: &Interest,
) -> Result<Target> {
    read_by(connection, capabilities, interest, Way::Streaming).await
}

/// The same rows, by asking for them: for an interest in few users. What LiteLLM
/// has besides costs next to nothing, and no roster leaves the database.
///
/// # Errors
/// When the database fails.
pub async fn look_up(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    interest: &Interest,
) -> Result<Target> {
    read_by(connection, capabilities, interest, Way::Asking).await
}

/// How rows are found. What is found is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All are read, those of interest kept.
    Streaming,
    /// Those of interest are asked for.
    Asking,
}

async fn read_by(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    interest: &Interest,
    way: Way,
) -> Result<Target> {
    connection
        .batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .doing("beginning the snapshot of LiteLLM's rows")?;
    let verified = verified::read(connection, capabilities, interest, way).await?;
    let users = users::read(connection, interest, &verified, way).await?;
    // Also of people who were not read: a row as which a stranger has logged
    // in must not be taken for somebody else's.
    let verified_subjects =
        verified::of_users(connection, capabilities, verified, &users, way).await?;
    let teams = teams::read(connection, interest, &users, way).await?;
    let organizations = organizations::read(connection, interest, &users, way).await?;
    let extent = extent(connection).await?;
    Ok(Target {
        users,
        teams: teams.whole,
        organizations,
        verified_subjects,
        billable_users: extent.billable_users,
        team_count: extent.teams,
        broken_teams: teams.broken,
    })
}

/// How much a licence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Users that take a seat.
    pub billable_users: u64,
    /// Teams.
    pub teams: u64,
}

/// Counts what a licence counts.
///
/// # Errors
/// When the database fails.
pub async fn extent(connection: &mut AsyncPgConnection) -> Result<Extent> {
    Ok(Extent {
        billable_users: count(connection, COUNT_BILLABLE).await?,
        teams: count(
            connection,
            "SELECT count(*) AS count FROM \"LiteLLM_TeamTable\"",
        )
        .await?,
    })
}

async fn count(connection: &mut AsyncPgConnection, sql: &str) -> Result<u64> {
    let row: Count = sql_query(sql)
        .get_result(connection)
        .await
        .doing("counting LiteLLM's rows")?;
    Ok(row.count.unsigned_abs())
}

/// Ids as a bind for `= ANY($n)`.
fn any<'a, T>(ids: impl IntoIterator<Item = &'a T>, text: fn(&T) -> &str) -> Vec<&'a str>
where
    T: 'a,
{
    ids.into_iter().map(text).collect()
}

type TextArray = Array<Text>;
