//! Removals that wait or are held, and what operators decided about them.
//!
//! Invariant: an approval is used once: the pass that applies its items closes
//! it. Every held set is kept with its items, so that a decision is about
//! exactly what was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::error::Result;
use super::recent;
use crate::db::QueryContext;
use crate::model::ids::{RunId, SourceId};
use crate::model::ledger::{Decisions, Recent};

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

const COLUMNS: &str = "SELECT digest, status, reason, items, held_at, decided_at, decided_by \
     FROM entra_sync.held_plan WHERE source_id = $1";

/// Everything a pass needs to know.
///
/// # Errors
/// When the database fails.
pub async fn load(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    window: Duration,
) -> Result<State> {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = Timestamptz)]
        since: DateTime<Utc>,
    }
    let waiting: Vec<Waiting> =
        sql_query("SELECT key, since FROM entra_sync.waiting_removal WHERE source_id = $1")
            .bind::<Integer, _>(source.get())
            .load(connection)
            .await
            .doing("reading waiting removals")?;
    Ok(State {
        waiting: waiting
            .into_iter()
            .map(|row| (row.key, row.since))
            .collect(),
        decisions: decisions(open(connection, source).await?),
        recent: recent::load(connection, source, window).await?,
    })
}

/// What holds for each item: the last word about any set that it is in.
fn decisions(mut sets: Vec<HeldPlan>) -> Decisions {
    sets.sort_by_key(|set| set.decided_at);
    let mut decisions = Decisions::default();
    for set in sets {
        match set.status.as_str() {
            "approved" => {
                decisions.rejected.retain(|key| !set.items.contains(key));
                decisions.approved.extend(set.items);
                decisions.approved_digests.insert(set.digest);
            }
            "rejected" => {
                decisions.approved.retain(|key| !set.items.contains(key));
                decisions.rejected.extend(set.items);
                decisions.rejected_digests.insert(set.digest);
            }
            _ => {}
        }
    }
    decisions
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
    /// The set that is held now; `None` when nothing is.
    pub held: Option<Set<'a>>,
    /// Digests of approved sets that this pass has used.
    pub spent: Vec<String>,
    /// What of the earlier sets is over.
    pub closing: Closing,
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
}

/// Whether a pass may close earlier sets.
#[derive(Debug, Clone)]
pub enum Closing {
    /// It read everything: sets of which nothing is planned are over. These
    /// are the keys of removals that are still held or waiting.
    NotAmong(BTreeSet<String>),
    /// Something could not be read: what is not planned now may be again.
    Nothing,
}

/// Records it: new waits begin, others end; the held set is stored; sets that
/// are no longer planned are closed.
///
/// # Errors
/// When the database fails.
pub async fn record(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    outcome: &Outcome<'_>,
) -> Result<()> {
    sql_query("DELETE FROM entra_sync.waiting_removal WHERE source_id = $1 AND NOT key = ANY($2)")
        .bind::<Integer, _>(source.get())
        .bind::<Array<Text>, _>(&outcome.waiting)
        .execute(connection)
        .await
        .doing("ending waits")?;
    sql_query(
        "INSERT INTO entra_sync.waiting_removal (source_id, key, since) \
         SELECT $1, key, $3 FROM unnest($2::text[]) AS n (key) ON CONFLICT DO NOTHING",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<Text>, _>(&outcome.waiting)
    .bind::<Timestamptz, _>(outcome.now)
    .execute(connection)
    .await
    .doing("recording waits")?;
    if let Some(set) = &outcome.held {
        hold(connection, source, outcome.run, outcome.now, set).await?;
    }
    let Closing::NotAmong(planned) = &outcome.closing else {
        return Ok(());
    };
    let digest = outcome.held.as_ref().map(|set| set.digest);
    // A held set that is not held any more is closed; an approval or a
    // rejection is over once none of its items is planned.
    sql_query(
        "UPDATE entra_sync.held_plan SET status = 'closed' WHERE source_id = $1 AND ( \
            (status = 'held' AND digest IS DISTINCT FROM $2) \
            OR (status = 'approved' AND digest = ANY($4)) \
            OR (status = 'rejected' AND NOT items && $3))",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Nullable<Text>, _>(digest)
    .bind::<Array<Text>, _>(planned.iter().collect::<Vec<_>>())
    .bind::<Array<Text>, _>(&outcome.spent)
    .execute(connection)
    .await
    .doing("closing held removals")?;
    Ok(())
}

/// Stores a held set, so that it can be decided about. One that was over and
/// is held again is a new question: earlier answers do not count.
///
/// # Errors
/// When the database fails.
pub async fn hold(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    run: RunId,
    now: DateTime<Utc>,
    set: &Set<'_>,
) -> Result<()> {
    sql_query(
        "INSERT INTO entra_sync.held_plan AS old \
         (source_id, digest, status, reason, items, run_id, held_at) \
         VALUES ($1, $2, 'held', $3, $4, $5, $6) \
         ON CONFLICT (source_id, digest) DO UPDATE SET status = 'held', \
            reason = excluded.reason, run_id = excluded.run_id, held_at = excluded.held_at, \
            decided_at = NULL, decided_by = NULL \
         WHERE old.status = 'closed'",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(set.digest)
    .bind::<Text, _>(set.reason)
    .bind::<Array<Text>, _>(&set.items)
    .bind::<SqlUuid, _>(run.as_uuid())
    .bind::<Timestamptz, _>(now)
    .execute(connection)
    .await
    .doing("recording held removals")?;
    Ok(())
}

/// A set of removals that an operator has undone.
#[derive(Debug, Clone)]
pub struct Undone<'a> {
    /// Over exactly its items.
    pub digest: &'a str,
    /// The items' keys.
    pub items: Vec<String>,
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
    Ok(())
}

/// What an operator says about a held set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Apply it once.
    Approve,
    /// Never apply these items.
    Reject,
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
    let status = match decision {
        Decision::Approve => "approved",
        Decision::Reject => "rejected",
    };
    Ok(sql_query(
        "UPDATE entra_sync.held_plan SET status = $3, decided_at = $4, decided_by = $5 \
         WHERE source_id = $1 AND status <> 'closed' AND digest = ( \
            SELECT min(digest) FROM entra_sync.held_plan \
            WHERE source_id = $1 AND status <> 'closed' AND starts_with(digest, $2) \
            HAVING count(*) = 1) \
         RETURNING digest, status, reason, items, held_at, decided_at, decided_by",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Text, _>(digest)
    .bind::<Text, _>(status)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(who)
    .get_result(connection)
    .await
    .optional()
    .doing("recording the decision")?)
}
