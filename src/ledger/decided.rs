//! The last word of operators about single removals.
//!
//! Invariant: a word ends for each item by itself; sets (see [`super::held`])
//! are only how it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::Result;
use crate::db::QueryContext;
use crate::model::ids::SourceId;

/// What an operator says about held removals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Apply it once.
    Approve,
    /// Never apply these items.
    Reject,
}

impl Decision {
    /// The word the ledger stores.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
        }
    }
}

/// Every word that holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// With the weight that was approved.
    pub(super) approved: BTreeMap<String, u64>,
    pub(super) rejected: BTreeSet<String>,
}

pub(super) async fn load(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Words> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = Text)]
        decision: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        weight: Option<i64>,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT key, decision, weight FROM entra_sync.decided_removal WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading decisions about removals")?;
    let mut words = Words::default();
    for row in rows {
        if row.decision == Decision::Approve.as_str() {
            let weight = row.weight.map_or(u64::MAX, i64::unsigned_abs);
            words.approved.insert(row.key, weight);
        } else {
            words.rejected.insert(row.key);
        }
    }
    Ok(words)
}

/// A word about the items of a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) decision: Decision,
    /// The set.
    pub(super) digest: &'a str,
    pub(super) items: &'a [String],
    /// Of each item; those at the end may be missing.
    pub(super) weights: &'a [i64],
}

/// Writes it down: it takes the place of whatever was said of these items, and
/// by this set, before.
pub(super) async fn say(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    word: Word<'_>,
) -> Result<()> {
    sql_query("DELETE FROM entra_sync.decided_removal WHERE source_id = $1 AND digest = $2")
        .bind::<Integer, _>(source.get())
        .bind::<Text, _>(word.digest)
        .execute(connection)
        .await
        .doing("replacing a decision")?;
    sql_query(
        "INSERT INTO entra_sync.decided_removal (source_id, key, decision, weight, digest) \
         SELECT $1, i.key, $2, max(i.weight), $3 \
         FROM unnest($4::text[], $5::bigint[]) AS i (key, weight) \
         WHERE i.key IS NOT NULL GROUP BY i.key ORDER BY i.key \
         ON CONFLICT (source_id, key) DO UPDATE SET decision = excluded.decision, \
            weight = excluded.weight, digest = excluded.digest",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(word.decision.as_str())
    .bind::<Text, _>(word.digest)
    .bind::<Array<Text>, _>(word.items)
    .bind::<Array<BigInt>, _>(word.weights)
    .execute(connection)
    .await
    .doing("recording decisions about removals")?;
    Ok(())
}

/// Ends words of this kind about these items, and no others': somebody may have
/// decided otherwise since the pass read them.
pub(super) async fn end(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    decision: Decision,
    items: &BTreeSet<String>,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    sql_query(
        "DELETE FROM entra_sync.decided_removal \
         WHERE source_id = $1 AND decision = $2 AND key = ANY($3)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(decision.as_str())
    .bind::<Array<Text>, _>(items.iter().collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("ending decisions about removals")?;
    Ok(())
}
