//! Assigned groups as they are stored, and the numbers that stand for them.
//!
//! Invariant: a number is given out once. A group that is assigned again gets
//! another one, so that what was stored for the earlier one cannot come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{unread, wording};
use crate::db::QueryContext;
use crate::ledger::error::{Error, Result};
use crate::model::ids::{GroupId, SourceId};
use crate::model::known::{Bearers, KnownGroup, Trust};

/// A group as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredGroup {
    pub(super) number: i32,
    pub(super) group: KnownGroup,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    unread: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    unread_says: Option<String>,
    #[diesel(sql_type = BigInt)]
    headcount: i64,
    #[diesel(sql_type = BigInt)]
    other_members: i64,
    #[diesel(sql_type = Bool)]
    has_bearers: bool,
    #[diesel(sql_type = Bool)]
    read_again: bool,
}

pub(super) async fn load(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<GroupId, StoredGroup>> {
    let rows: Vec<Row> = sql_query(
        "SELECT group_id, number, display_name, unread, unread_says, headcount, other_members, \
                has_bearers, read_again \
         FROM entra_sync.directory_group WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading the known groups")?;
    rows.into_iter()
        .map(|row| {
            let unread = row
                .unread
                .map(|word| unread::read(word, row.unread_says, "directory_group.unread"));
            let group = KnownGroup {
                display_name: row.display_name.map(wording::read),
                unread: unread.transpose()?,
                headcount: row.headcount.unsigned_abs(),
                other_members: row.other_members.unsigned_abs(),
                bearers: match row.has_bearers {
                    true => Bearers::Listed,
                    false => Bearers::Members,
                },
                trust: match row.read_again {
                    true => Trust::ReadAgain,
                    false => Trust::Sure,
                },
            };
            let number = row.number;
            Ok((GroupId::new(row.group_id), StoredGroup { number, group }))
        })
        .collect()
}

/// Which group a number stands for. One that is not here is over.
pub(super) async fn by_number(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<HashMap<i32, GroupId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        group_id: Uuid,
        #[diesel(sql_type = Integer)]
        number: i32,
    }
    let rows: Vec<Row> =
        sql_query("SELECT group_id, number FROM entra_sync.directory_group WHERE source_id = $1")
            .bind::<Integer, _>(source.get())
            .load(connection)
            .await
            .doing("reading the known groups")?;
    let groups = rows.into_iter();
    Ok(groups
        .map(|row| (row.number, GroupId::new(row.group_id)))
        .collect())
}

/// Makes the stored groups these, by differences only. Returns what each is
/// numbered.
pub(super) async fn save(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    stored: &BTreeMap<GroupId, StoredGroup>,
    groups: &BTreeMap<GroupId, KnownGroup>,
) -> Result<BTreeMap<GroupId, i32>> {
    let gone: Vec<Uuid> = stored
        .keys()
        .filter(|group| !groups.contains_key(group))
        .map(GroupId::as_uuid)
        .collect();
    if !gone.is_empty() {
        sql_query(
            "DELETE FROM entra_sync.directory_group WHERE source_id = $1 AND group_id = ANY($2)",
        )
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(gone)
        .execute(connection)
        .await
        .doing("forgetting groups that are no longer assigned")?;
    }
    let new = groups.keys().filter(|group| !stored.contains_key(group));
    let first = take_numbers(connection, source, new.clone().count()).await?;
    let mut numbers: BTreeMap<GroupId, i32> = new.copied().zip(first..).collect();
    for (group, known) in stored {
        if groups.contains_key(group) {
            numbers.insert(*group, known.number);
        }
    }
    let changed: Vec<(i32, GroupId, &KnownGroup)> = groups
        .iter()
        .filter(|(id, group)| stored.get(id).is_none_or(|known| known.group != **group))
        .filter_map(|(id, group)| Some((*numbers.get(id)?, *id, group)))
        .collect();
    write(connection, source, &changed).await?;
    Ok(numbers)
}

/// The first of so many numbers that nothing ever had.
async fn take_numbers(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    count: usize,
) -> Result<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        first: i32,
    }
    if count == 0 {
        return Ok(0);
    }
    let row: Option<Row> = sql_query(
        "UPDATE entra_sync.directory SET groups_numbered = groups_numbered + $2::integer \
         WHERE source_id = $1 RETURNING groups_numbered - $2::integer AS first",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Integer, _>(i32::try_from(count).unwrap_or(i32::MAX))
    .get_result(connection)
    .await
    .optional()
    .doing("numbering groups")?;
    row.map(|row| row.first).ok_or(Error::DirectoryUnknown)
}

async fn write(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    groups: &[(i32, GroupId, &KnownGroup)],
) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let known = || groups.iter().map(|(_, _, group)| *group);
    let (words, sentences): (Vec<_>, Vec<_>) = known()
        .map(|group| match &group.unread {
            None => (None, None),
            Some(reason) => {
                let (word, sentence) = unread::columns(reason);
                (Some(word), sentence)
            }
        })
        .unzip();
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    sql_query(
        "INSERT INTO entra_sync.directory_group (source_id, group_id, number, display_name, \
                unread, unread_says, headcount, other_members, has_bearers, read_again) \
         SELECT $1, n.* FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[], \
                $6::text[], $7::bigint[], $8::bigint[], $9::bool[], $10::bool[]) AS n \
         ON CONFLICT (source_id, group_id) DO UPDATE SET \
            display_name = excluded.display_name, unread = excluded.unread, \
            unread_says = excluded.unread_says, headcount = excluded.headcount, \
            other_members = excluded.other_members, has_bearers = excluded.has_bearers, \
            read_again = excluded.read_again",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(
        groups
            .iter()
            .map(|(_, id, _)| id.as_uuid())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Integer>, _>(
        groups
            .iter()
            .map(|(number, _, _)| *number)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(
        known()
            .map(|group| group.display_name.as_deref().map(wording::stored))
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(words)
    .bind::<Array<Nullable<Text>>, _>(sentences)
    .bind::<Array<BigInt>, _>(
        known()
            .map(|group| count(group.headcount))
            .collect::<Vec<_>>(),
    )
    .bind::<Array<BigInt>, _>(
        known()
            .map(|group| count(group.other_members))
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        known()
            .map(|group| group.bearers == Bearers::Listed)
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Bool>, _>(
        known()
            .map(|group| group.trust == Trust::ReadAgain)
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing("recording the known groups")?;
    Ok(())
}

/// Makes the next round read these groups in full.
///
/// # Errors
/// When the database fails.
pub async fn distrust(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    groups: &BTreeSet<GroupId>,
) -> Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    let groups: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    sql_query(
        "UPDATE entra_sync.directory_group SET read_again = true \
         WHERE source_id = $1 AND group_id = ANY($2)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(groups)
    .execute(connection)
    .await
    .doing("recording which groups contradicted themselves")?;
    Ok(())
}
