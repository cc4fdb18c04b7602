//! Removals that wait or are held, and what operators decided about them.
//!
//! Invariant: an approval is used once: the pass that applies an item ends it.
//! Every held set is kept with its items, so that a decision is about exactly
//! what was shown; what was decided holds for each item by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::decided::{self, Word};
use super::error::Result;
use super::{recent, waiting};
use crate::db::QueryContext;
use crate::model::ids::{RunId, SourceId};
use crate::model::ledger::{Decisions, Recent};
use crate::model::report::Question;

pub use super::decided::Decision;

/// What the ledger knows about removals before a pass decides.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Since when removals wait, by key.
    pub waiting: BTreeMap<String, DateTime<Utc>>,
    /// What operators decided.
    pub decisions: Decisions,
    /// Removals applied without approval within the window.
    pub recent: Recent,
}

/// A held set.
#[derive(Debug, Clone, Serialize, QueryableByName)]
pub struct HeldPlan {
    /// Over exactly its items.
    #[diesel(sql_type = Text)]
    pub digest: String,
    /// `held`, `approved`, `rejected` or `closed`.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// Which threshold.
    #[diesel(sql_type = Text)]
    pub reason: String,
    /// The items' keys.
    #[diesel(sql_type = Array<Text>)]
    pub items: Vec<String>,
    /// How much the guard counted each as.
    #[diesel(sql_type = Array<BigInt>)]
    #[serde(skip)]
    weights: Vec<i64>,
    /// UTC.
    #[diesel(sql_type = Timestamptz)]
    pub held_at: DateTime<Utc>,
    /// UTC.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub decided_at: Option<DateTime<Utc>>,
    /// Who.
    #[diesel(sql_type = Nullable<Text>)]
    pub decided_by: Option<String>,
}

const COLUMNS: &str = "SELECT digest, status, reason, items, held_at, decided_at, decided_by, \
     weights FROM entra_sync.held_plan WHERE source_id = $1";

/// Everything a pass needs to know.
///
/// # Errors
/// When the database fails.
pub async fn load(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    window: Duration,
) -> Result<State> {
    Ok(State {
        waiting: waiting::load(connection, source).await?,
        decisions: decisions(connection, source).await?,
        recent: recent::load(connection, source, window).await?,
    })
}

async fn decisions(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Decisions> {
    let words = decided::load(connection, source).await?;
    let mut decisions = Decisions {
        approved: words.approved,
        rejected: words.rejected,
        ..Decisions::default()
    };
    for set in open(connection, source).await? {
        match set.status.as_str() {
            "held" => decisions.asked.extend(set.items),
            "rejected" => {
                decisions.rejected_digests.insert(set.digest);
            }
            _ => {}
        }
    }
    Ok(decisions)
}

/// Sets that are held, approved or rejected, newest first.
///
/// # Errors
/// When the database fails.
pub async fn open(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Vec<HeldPlan>> {
    Ok(sql_query(format!(
        "{COLUMNS} AND status <> 'closed' ORDER BY held_at DESC"
    ))
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading held removals")?)
}

/// What a pass found out about removals.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// The pass.
    pub run: RunId,
    /// UTC.
    pub now: DateTime<Utc>,
    /// Keys of removals whose wait goes on: within their grace time, or past it
    /// and not applied yet.
    pub waiting: Vec<String>,
    /// Keys of removals past their grace time that this pass set out to apply.
    pub due: Vec<String>,
    /// The set that is held now; `None` when nothing is.
    pub held: Option<Set<'a>>,
    /// Items whose approval is over.
    pub approved: &'a BTreeSet<String>,
    /// Items whose rejection is over.
    pub rejected: &'a BTreeSet<String>,
    /// Items of held sets of which this pass cannot tell whether they would be
    /// held again.
    pub unknown: &'a BTreeSet<String>,
}

/// A set of removals that the guard holds.
#[derive(Debug, Clone)]
pub struct Set<'a> {
    /// Over exactly its items.
    pub digest: &'a str,
    /// Which threshold.
    pub reason: &'a str,
    /// The items' keys.
    pub items: Vec<String>,
    /// How much the guard counts each as.
    pub weights: Vec<u64>,
}

/// Records it: new waits begin, others end; decisions that are over end, and
/// with them their sets; the held set is stored. Gives what became of the
/// question that a set was.
///
/// # Errors
/// When the database fails.
pub async fn record(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    outcome: &Outcome<'_>,
) -> Result<Option<Question>> {
    let (begun, due) = (&outcome.waiting, &outcome.due);
    waiting::note(connection, source, outcome.now, begun, due).await?;
    // Sets before their items, as `decide` does: two that lock in one order do
    // not wait for each other.
    sql_query(
        "SELECT FROM entra_sync.held_plan WHERE source_id = $1 AND status <> 'closed' FOR UPDATE",
    )
    .bind::<Integer, _>(source.get())
    .execute(connection)
    .await
    .doing("locking held removals")?;
    decided::end(connection, source, Decision::Approve, outcome.approved).await?;
    decided::end(connection, source, Decision::Reject, outcome.rejected).await?;
    close(connection, source, outcome).await?;
    let new = match &outcome.held {
        Some(set) => hold(connection, source, outcome.run, outcome.now, set).await?,
        None => None,
    };
    // Also of sets that an operator has decided about since.
    let ended = sql_query(
        "UPDATE entra_sync.held_plan SET asked = false \
         WHERE source_id = $1 AND asked AND status <> 'held'",
    )
    .bind::<Integer, _>(source.get())
    .execute(connection)
    .await
    .doing("ending what was asked about held removals")?;
    let is_asked =
        sql_query("SELECT FROM entra_sync.held_plan WHERE source_id = $1 AND asked LIMIT 1")
            .bind::<Integer, _>(source.get())
            .execute(connection)
            .await
            .doing("looking for held removals")?;
    Ok(new.or((ended > 0 && is_asked == 0).then_some(Question::Over)))
}

/// Ends sets: a held one that is not held any more, an approved one of which
/// nothing is left to apply, and a rejected one of which an item is not rejected
/// any more: that is a change of the set.
async fn close(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    outcome: &Outcome<'_>,
) -> Result<()> {
    let digest = outcome.held.as_ref().map(|set| set.digest);
    sql_query(
        "UPDATE entra_sync.held_plan SET status = 'closed' WHERE source_id = $1 \
            AND status = 'held' AND digest IS DISTINCT FROM $2 AND NOT items && $3",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Nullable<Text>, _>(digest)
    .bind::<Array<Text>, _>(outcome.unknown.iter().collect::<Vec<_>>())
    .execute(connection)
    .await
    .doing("closing held removals")?;
    sql_query(
        "UPDATE entra_sync.held_plan h SET status = 'closed' WHERE source_id = $1 AND ( \
            (status = 'approved' AND NOT EXISTS ( \
                SELECT FROM entra_sync.decided_removal d WHERE d.source_id = h.source_id \
                AND d.decision = 'approved' AND d.key = ANY(h.items))) \
            OR (status = 'rejected' AND EXISTS ( \
                SELECT FROM unnest(h.items) AS i (key) WHERE NOT EXISTS ( \
                    SELECT FROM entra_sync.decided_removal d WHERE d.source_id = h.source_id \
                    AND d.decision = 'rejected' AND d.key = i.key))))",
    )
    .bind::<Integer, _>(source.get())
    .execute(connection)
    .await
    .doing("closing sets that were decided about")?;
    Ok(())
}

/// Stores a held set, so that it can be decided about. One that was over and
/// is held again is a new question: earlier answers do not count. Gives
/// [`Question::New`] or nothing.
///
/// # Errors
/// When the database fails.
pub async fn hold(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    run: RunId,
    now: DateTime<Utc>,
    set: &Set<'_>,
) -> Result<Option<Question>> {
    let stored = sql_query(
        "INSERT INTO entra_sync.held_plan AS old \
         (source_id, digest, status, reason, items, run_id, held_at, weights, asked) \
         VALUES ($1, $2, 'held', $3, $4, $5, $6, $7, true) \
         ON CONFLICT (source_id, digest) DO UPDATE SET status = 'held', asked = true, \
            reason = excluded.reason, items = excluded.items, weights = excluded.weights, \
            run_id = excluded.run_id, held_at = excluded.held_at, \
            decided_at = NULL, decided_by = NULL \
         WHERE old.status = 'closed'",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(set.digest)
    .bind::<Text, _>(set.reason)
    .bind::<Array<Text>, _>(&set.items)
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Timestamptz, _>(now)
    .bind::<Array<BigInt>, _>(
        set.weights
            .iter()
            .map(|weight| i64::try_from(*weight).unwrap_or(i64::MAX))
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing("recording held removals")?;
    Ok((stored > 0).then_some(Question::New))
}

/// A set of removals that an operator has undone.
#[derive(Debug, Clone)]
pub struct Undone<'a> {
    /// Over exactly its items.
    pub digest: &'a str,
    /// The items' keys.
    pub items: Vec<String>,
    /// What they follow from: with other settings it takes other forms.
    pub causes: Vec<String>,
    /// Which run's removals they were.
    pub reason: &'a str,
    /// The run that undoes them.
    pub run: RunId,
    /// Who undoes them.
    pub who: &'a str,
    /// UTC.
    pub now: DateTime<Utc>,
}

/// Records the set as rejected: it stays unapplied while Entra still does not
/// want what came back, until an operator approves it.
///
/// # Errors
/// When the database fails.
pub async fn reject_undone(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    undone: &Undone<'_>,
) -> Result<()> {
    sql_query(
        "INSERT INTO entra_sync.held_plan \
         (source_id, digest, status, reason, items, run_id, held_at, decided_at, decided_by) \
         VALUES ($1, $2, 'rejected', $3, $4, $5, $6, $6, $7) \
         ON CONFLICT (source_id, digest) DO UPDATE SET status = 'rejected', \
            reason = excluded.reason, run_id = excluded.run_id, held_at = excluded.held_at, \
            decided_at = excluded.decided_at, decided_by = excluded.decided_by",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(undone.digest)
    .bind::<Text, _>(undone.reason)
    .bind::<Array<Text>, _>(&undone.items)
    .bind::<SqlUuid, _>(undone.run.as_uuid())
    .bind::<Timestamptz, _>(undone.now)
    .bind::<Text, _>(undone.who)
    .execute(connection)
    .await
    .doing("recording what was undone")?;
    let items = [&undone.items[..], &undone.causes[..]].concat();
    let word = Word {
        decision: Decision::Reject,
        digest: undone.digest,
        items: &items,
        weights: &[],
    };
    decided::say(connection, source, word).await
}

/// Records a decision about the set whose digest begins with this text.
/// `None` when no held set does.
///
/// # Errors
/// When the database fails.
pub async fn decide(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    digest: &str,
    decision: Decision,
    who: &str,
    now: DateTime<Utc>,
) -> Result<Option<HeldPlan>> {
    let decided: Option<HeldPlan> = sql_query(
        "UPDATE entra_sync.held_plan SET status = $3, decided_at = $4, decided_by = $5 \
         WHERE source_id = $1 AND status <> 'closed' AND digest = ( \
            SELECT min(digest) FROM entra_sync.held_plan \
            WHERE source_id = $1 AND status <> 'closed' AND starts_with(digest, $2) \
            HAVING count(*) = 1) \
         RETURNING digest, status, reason, items, held_at, decided_at, decided_by, weights",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(digest)
    .bind::<Text, _>(decision.as_str())
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(who)
    .get_result(connection)
    .await
    .optional()
    .doing("recording the decision")?;
    if let Some(set) = &decided {
        let word = Word {
            decision,
            digest: &set.digest,
            items: &set.items,
            weights: &set.weights,
        };
        decided::say(connection, source, word).await?;
    }
    Ok(decided)
}
