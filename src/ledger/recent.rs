//! How much was taken away of late without anybody's approval.
//!
//! Invariant: the count commits together with the removals it is about, so a
//! guard that reads it knows of everything that went.
//! Must not: judge; that is the guard's.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Double, Integer, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::Result;
use crate::db::QueryContext;
use crate::model::ids::{GroupId, PersonId, RunId, SourceId};
use crate::model::ledger::Recent;

/// What runs that began within the window took unapproved.
///
/// # Errors
/// When the database fails.
pub async fn load(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    window: Duration,
) -> Result<Recent> {
    #[derive(QueryableByName)]
    struct All {
        #[diesel(sql_type = BigInt)]
        removals: i64,
    }
    #[derive(QueryableByName)]
    struct OfGroup {
        #[diesel(sql_type = SqlUuid)]
        group_id: Uuid,
        #[diesel(sql_type = BigInt)]
        removals: i64,
    }
    #[derive(QueryableByName)]
    struct OfPerson {
        #[diesel(sql_type = SqlUuid)]
        person_id: Uuid,
    }
    let all: All = sql_query(
        "SELECT coalesce(sum(unapproved_removals), 0)::bigint AS removals FROM entra_sync.run \
         WHERE source_id = $1 AND started_at > clock_timestamp() - make_interval(secs => $2)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Double, _>(window.as_secs_f64())
    .get_result(connection)
    .await
    .doing("counting recent removals")?;
    let groups: Vec<OfGroup> = sql_query(
        "SELECT group_id, sum(removals)::bigint AS removals \
         FROM entra_sync.unapproved_removal JOIN entra_sync.run USING (run_id) \
         WHERE source_id = $1 AND started_at > clock_timestamp() - make_interval(secs => $2) \
         GROUP BY group_id",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Double, _>(window.as_secs_f64())
    .load(connection)
    .await
    .doing("counting recent removals by group")?;
    let people: Vec<OfPerson> = sql_query(
        "SELECT DISTINCT person_id FROM entra_sync.unapproved_person \
         JOIN entra_sync.run USING (run_id) \
         WHERE source_id = $1 AND started_at > clock_timestamp() - make_interval(secs => $2)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Double, _>(window.as_secs_f64())
    .load(connection)
    .await
    .doing("reading who lost something of late")?;
    Ok(Recent {
        people: people
            .into_iter()
            .map(|row| PersonId::new(row.person_id))
            .collect(),
        removals: all.removals.unsigned_abs(),
        by_group: groups
            .into_iter()
            .map(|row| (GroupId::new(row.group_id), row.removals.unsigned_abs()))
            .collect(),
    })
}

/// Adds removals that no operator had approved to a run's count.
///
/// # Errors
/// When the database fails.
pub async fn count(connection: &mut AsyncPgConnection, run: RunId, more: &Recent) -> Result<()> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sql_query(
        "UPDATE entra_sync.run SET unapproved_removals = unapproved_removals + $2 \
         WHERE run_id = $1",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<BigInt, _>(number(more.removals))
    .execute(connection)
    .await
    .doing("counting removals")?;
    if !more.people.is_empty() {
        let people = more.people.iter().map(|person| person.as_uuid());
        sql_query(
            "INSERT INTO entra_sync.unapproved_person (run_id, person_id) \
             SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING",
        )
        .bind::<SqlUuid, _>(run.as_uuid())
        .bind::<Array<SqlUuid>, _>(people.collect::<Vec<_>>())
        .execute(connection)
        .await
        .doing("noting who loses something")?;
    }
    if more.by_group.is_empty() {
        return Ok(());
    }
    sql_query(
        "INSERT INTO entra_sync.unapproved_removal AS u (run_id, group_id, removals) \
         SELECT $1, n.group_id, n.removals \
         FROM unnest($2::uuid[], $3::bigint[]) AS n (group_id, removals) \
         ON CONFLICT (run_id, group_id) DO UPDATE SET removals = u.removals + EXCLUDED.removals",
    )
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Array<SqlUuid>, _>(
        more.by_group
            .keys()
            .map(|group| group.as_uuid())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<BigInt>, _>(
        more.by_group
            .values()
            .map(|count| number(*count))
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing("counting removals by group")?;
    Ok(())
}
