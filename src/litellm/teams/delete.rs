//! Blocking a team, and deleting it as LiteLLM's SCIM deletes a group
//! (litellm-contract 2g, `delete_validated_team_rows`).
//!
//! Invariant: keys of people off the roster, service keys, models and budgets
//! stay, as they do there.

use diesel::sql_types::{Array, Bool, Text, Timestamp};
use diesel::{OptionalExtension, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Id;
use crate::db::QueryContext;
use crate::litellm::audit;
use crate::litellm::copies::{self, Copy, Mention, text};
use crate::litellm::error::Result;
use crate::litellm::keys::{self, TakenKey};
use crate::litellm::members::roster::ROSTER;
use crate::litellm::organizations::Found;
use crate::litellm::writing::Writing;
use crate::model::ids::TeamId;
use crate::model::target::Block;

pub(super) const TEAMS: &str = "LiteLLM_TeamTable";
pub(super) const ACCESS_GROUPS: &str = "LiteLLM_AccessGroupTable";
const TOMBSTONES: &str = "LiteLLM_DeletedTeamTable";

/// LiteLLM's tombstone has no place for these.
const NOT_KEPT: [&str; 2] = ["budget_limits", "default_team_member_models"];

/// Lists are never NULL where LiteLLM has written a row out again.
const LISTS: [&str; 6] = [
    "admins",
    "members",
    "models",
    "team_member_permissions",
    "policies",
    "access_group_ids",
];

/// Blocks or unblocks a team; tells whether it was otherwise before.
///
/// # Errors
/// When the database refuses.
pub async fn set_blocked(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    block: Block,
) -> Result<Found> {
    let changed = sql_query(
        "UPDATE \"LiteLLM_TeamTable\" SET blocked = $2, updated_at = $3 \
         WHERE team_id = $1 AND blocked IS DISTINCT FROM $2",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Bool, _>(block == Block::Blocked)
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing(format!("blocking or unblocking team {team}"))?;
    Ok(Found::from_count(changed))
}

/// A team that was deleted, as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakenTeam {
    /// Its row in `LiteLLM_TeamTable`.
    pub row: Value,
    /// Its rows in `LiteLLM_TeamMembership`.
    pub memberships: Vec<Value>,
    /// Its members' keys.
    pub keys: Vec<TakenKey>,
    /// Users whose `teams` named it, sorted.
    pub users: Vec<Mention>,
    /// Access groups that named it, sorted.
    pub access_groups: Vec<Mention>,
}

/// How a deletion ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Deletion {
    /// Done.
    Deleted(Box<TakenTeam>),
    /// The team is gone already, with nothing of it left to take.
    TeamGone,
}

/// Deletes a team with its members' keys, its memberships and every mention of
/// it. The team's lock must be held.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn delete(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
) -> Result<Deletion> {
    if !exists(connection, team).await? {
        return Ok(Deletion::TeamGone);
    }
    // Access groups first: LiteLLM's endpoints lock them before the team, and
    // two who lock in one order cannot wait for each other.
    let access_groups = detach_access_groups(connection, writing, team).await?;
    let users = lock_mentioning(connection, team).await?;
    let tokens = lock_keys_of_roster(connection, team).await?;
    let Some(row) = delete_row(connection, writing, team).await? else {
        return Ok(Deletion::TeamGone);
    };
    let keys = keys::delete(connection, writing, &tokens).await?;
    strip_from_users(connection, team, &users).await?;
    let memberships = delete_memberships(connection, team).await?;
    audit::team_deleted(connection, writing, &row).await?;
    Ok(Deletion::Deleted(Box::new(TakenTeam {
        row,
        memberships,
        keys,
        users,
        access_groups,
    })))
}

/// Whether there is a team of this id.
pub(super) async fn exists(connection: &mut AsyncPgConnection, team: &TeamId) -> Result<bool> {
    let found: Option<Id> =
        sql_query("SELECT team_id AS id FROM \"LiteLLM_TeamTable\" WHERE team_id = $1")
            .bind::<Text, _>(team.as_str())
            .get_result(connection)
            .await
            .optional()
            .doing(format!("looking for team {team} under its lock"))?;
    Ok(found.is_some())
}

async fn detach_access_groups(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
) -> Result<Vec<Mention>> {
    if !writing.capabilities.has(ACCESS_GROUPS, "assigned_team_ids") {
        return Ok(Vec::new());
    }
    let mut groups: Vec<Mention> = sql_query(
        "UPDATE \"LiteLLM_AccessGroupTable\" g \
         SET assigned_team_ids = array_remove(g.assigned_team_ids, $1) \
         FROM (SELECT access_group_id, array_position(assigned_team_ids, $1) - 1 AS place \
               FROM \"LiteLLM_AccessGroupTable\" WHERE $1 = ANY(assigned_team_ids) \
               FOR UPDATE) was \
         WHERE g.access_group_id = was.access_group_id \
         RETURNING g.access_group_id AS id, was.place",
    )
    .bind::<Text, _>(team.as_str())
    .load(connection)
    .await
    .doing(format!("detaching team {team} from its access groups"))?;
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(groups)
}

async fn lock_mentioning(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
) -> Result<Vec<Mention>> {
    Ok(sql_query(
        "SELECT user_id AS id, array_position(teams, $1) - 1 AS place \
         FROM \"LiteLLM_UserTable\" WHERE $1 = ANY(teams) \
         ORDER BY user_id COLLATE \"C\" FOR UPDATE",
    )
    .bind::<Text, _>(team.as_str())
    .load(connection)
    .await
    .doing(format!("locking the users of team {team}"))?)
}

async fn lock_keys_of_roster(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
) -> Result<Vec<String>> {
    let keys: Vec<Id> = sql_query(format!(
        "SELECT k.token AS id FROM \"LiteLLM_VerificationToken\" k \
         WHERE k.team_id = $1 AND k.user_id IN ( \
             SELECT e.entry ->> 'user_id' FROM \"LiteLLM_TeamTable\" t, \
                    jsonb_array_elements({ROSTER}) AS e (entry) WHERE t.team_id = $1) \
         ORDER BY k.token COLLATE \"C\" FOR UPDATE OF k"
    ))
    .bind::<Text, _>(team.as_str())
    .load(connection)
    .await
    .doing(format!("locking keys of members of team {team}"))?;
    Ok(keys.into_iter().map(|row| row.id).collect())
}

/// LiteLLM does not touch `updated_at` here either.
async fn strip_from_users(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
    users: &[Mention],
) -> Result<()> {
    sql_query(
        "UPDATE \"LiteLLM_UserTable\" SET teams = array_remove(teams, $1) \
         WHERE user_id = ANY($2) AND $1 = ANY(teams)",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(
        users
            .iter()
            .map(|user| user.id.as_str())
            .collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .doing(format!("taking team {team} from its users"))?;
    Ok(())
}

async fn delete_row(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
) -> Result<Option<Value>> {
    let shared = writing
        .capabilities
        .columns(TEAMS)
        .filter(|column| !NOT_KEPT.contains(column))
        .filter(|column| writing.capabilities.has(TOMBSTONES, column));
    let stones = copies::tombstone(
        writing.capabilities,
        TOMBSTONES,
        shared,
        &LISTS,
        "gone",
        "$2",
    )
    .map(|insert| format!(", stones AS ({insert})"))
    .unwrap_or_default();
    let row: Option<Copy> = sql_query(format!(
        "WITH gone AS (DELETE FROM \"{TEAMS}\" WHERE team_id = $1 RETURNING *){stones} \
         SELECT to_jsonb(gone) AS row FROM gone, (SELECT $2::timestamp) AS at"
    ))
    .bind::<Text, _>(team.as_str())
    .bind::<Timestamp, _>(writing.stamp())
    .get_result(connection)
    .await
    .optional()
    .doing(format!("deleting team {team}"))?;
    Ok(row.map(|copy| copy.row))
}

async fn delete_memberships(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
) -> Result<Vec<Value>> {
    let rows: Vec<Copy> = sql_query(
        "DELETE FROM \"LiteLLM_TeamMembership\" m WHERE m.team_id = $1 \
         RETURNING to_jsonb(m) AS row",
    )
    .bind::<Text, _>(team.as_str())
    .load(connection)
    .await
    .doing(format!("deleting memberships of team {team}"))?;
    let mut rows = copies::rows(rows);
    rows.sort_by(|a, b| text(a, "user_id").cmp(&text(b, "user_id")));
    Ok(rows)
}
