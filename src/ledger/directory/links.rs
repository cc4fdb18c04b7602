//! Links of delta queries, for each bucket of groups.
//!
//! Must not: log one, or put one into an error.

use std::collections::BTreeMap;

use diesel::sql_types::{Array, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::db::QueryContext;
use crate::ledger::error::{Error, Result};
use crate::model::ids::{GroupId, SourceId};
use crate::model::links::{Bucket, DeltaLink};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    bucket: i32,
    #[diesel(sql_type = Text)]
    link: String,
    #[diesel(sql_type = Array<SqlUuid>)]
    groups: Vec<Uuid>,
}

pub(super) async fn buckets(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<u32, Bucket>> {
    let rows: Vec<Row> = sql_query(
        "SELECT bucket, link, groups FROM entra_sync.directory_bucket WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading where delta queries go on")?;
    rows.into_iter()
        .map(|row| {
            let number = u32::try_from(row.bucket).map_err(|_| Error::Foreign {
                place: "directory_bucket.bucket",
                value: row.bucket.to_string(),
            })?;
            let bucket = Bucket {
                groups: row.groups.into_iter().map(GroupId::new).collect(),
                link: DeltaLink::new(row.link),
            };
            Ok((number, bucket))
        })
        .collect()
}

/// Makes the stored links these, by differences only.
pub(super) async fn save(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    buckets: &BTreeMap<u32, Bucket>,
) -> Result<()> {
    let known = self::buckets(connection, source).await?;
    let gone: Vec<i32> = known
        .keys()
        .filter(|number| !buckets.contains_key(number))
        .map(|number| column(*number))
        .collect();
    if !gone.is_empty() {
        sql_query(
            "DELETE FROM entra_sync.directory_bucket WHERE source_id = $1 AND bucket = ANY($2)",
        )
        .bind::<Integer, _>(source.get())
        .bind::<Array<Integer>, _>(gone)
        .execute(connection)
        .await
        .doing("forgetting where delta queries went on")?;
    }
    for (number, bucket) in buckets {
        if known.get(number) == Some(bucket) {
            continue;
        }
        sql_query(
            "INSERT INTO entra_sync.directory_bucket (source_id, bucket, link, groups) \
             VALUES ($1, $2, $3, $4) \
             ON CONFLICT (source_id, bucket) DO UPDATE \
                SET link = excluded.link, groups = excluded.groups",
        )
        .bind::<Integer, _>(source.get())
        .bind::<Integer, _>(column(*number))
        .bind::<Text, _>(bucket.link.as_str())
        .bind::<Array<SqlUuid>, _>(
            bucket
                .groups
                .iter()
                .map(GroupId::as_uuid)
                .collect::<Vec<_>>(),
        )
        .execute(connection)
        .await
        .doing("recording where delta queries go on")?;
    }
    Ok(())
}

/// There are never as many buckets as this could not hold.
fn column(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
