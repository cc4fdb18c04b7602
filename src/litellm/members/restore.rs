//! Undoing a removal: members come back with what the copies hold.
//!
//! Invariant: only what is missing comes back; whoever joined again meanwhile
//! keeps the membership of now, with its spend. Afterwards a membership is
//! whole, whatever it was before.

use std::collections::BTreeSet;

use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamp};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::remove::{Entry, TakenMember, entries};
use super::roster::ROSTER;
use super::{Columns, Terms, insert_memberships};
use crate::db::QueryContext;
use crate::litellm::audit::{self, Audit};
use crate::litellm::copies::{self, List, Reference};
use crate::litellm::error::{Error, Result};
use crate::litellm::keys::{self, TakenKey};
use crate::litellm::users;
use crate::litellm::writing::Writing;
use crate::model::ids::TeamId;

const MEMBERSHIPS: &str = "LiteLLM_TeamMembership";
const REFERENCES: [Reference; 1] = [("budget_id", "LiteLLM_BudgetTable", "budget_id")];
/// Where a user names the teams it is in.
pub(in crate::litellm) const TEAMS_OF_USERS: List = List {
    table: "LiteLLM_UserTable",
    key: "user_id",
    column: "teams",
};

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// They were not on the roster and are again.
    pub joined: Vec<String>,
    /// Their membership came back with its spend and its budget.
    pub memberships: Vec<String>,
    /// The keys that came back.
    pub keys: keys::Restored,
    /// They have no user row any more: nothing was written for them.
    pub without_row: Vec<String>,
}

/// How undoing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restoration {
    /// Done.
    Restored(Restored),
    /// The team is gone; nothing was written.
    TeamGone,
}

/// Puts members back where they are missing, each with the membership and the
/// keys it had, and in its old place; of several removals the last must come
/// back first for that. A budget that has been deleted since is not referred to any more. The
/// tombstones of the keys stay: they are LiteLLM's record that the keys were
/// deleted then, which remains true. The team's lock must be held.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn restore(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    taken: &[TakenMember],
) -> Result<Restoration> {
    let wanted: BTreeSet<&str> = taken.iter().map(|member| member.user.as_str()).collect();
    let Some(on_roster) = entries(connection, team, &wanted).await? else {
        return Ok(Restoration::TeamGone);
    };
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let present = users::lock(connection, &wanted).await?;
    let there: BTreeSet<&str> = present.iter().map(String::as_str).collect();
    let on_roster: BTreeSet<&str> = on_roster.iter().filter_map(Entry::user).collect();
    let back: Vec<&TakenMember> = taken
        .iter()
        .filter(|member| there.contains(member.user.as_str()))
        .collect();

    let mentions: Vec<(&str, Option<i32>)> = back
        .iter()
        .map(|member| (member.user.as_str(), member.place_in_teams))
        .collect();
    copies::put_into_lists(
        connection,
        writing,
        TEAMS_OF_USERS,
        team.as_str(),
        &mentions,
    )
    .await?;
    let rows: Vec<&Value> = back
        .iter()
        .filter_map(|member| member.membership.as_ref())
        .collect();
    let memberships = insert_copies(connection, writing, &rows).await?;
    // Whose copy holds none gets one as a new member does.
    let pairs = Columns {
        teams: vec![team.as_str(); present.len()],
        users: present.iter().map(String::as_str).collect(),
        ..Columns::default()
    };
    insert_memberships(connection, writing, &pairs, Terms::MEMBER).await?;
    let taken_keys: Vec<&TakenKey> = back.iter().flat_map(|member| &member.keys).collect();
    let keys = keys::restore(connection, writing, &taken_keys).await?;
    let joining: Vec<&TakenMember> = back
        .into_iter()
        .filter(|member| !on_roster.contains(member.user.as_str()))
        .collect();
    put_on_roster(connection, writing, team, &joining).await?;
    let joined: Vec<String> = joining.iter().map(|member| member.user.clone()).collect();
    Ok(Restoration::Restored(Restored {
        joined,
        memberships,
        keys,
        without_row: wanted
            .iter()
            .filter(|user| !there.contains(**user))
            .map(|user| (*user).to_owned())
            .collect(),
    }))
}

/// Puts rows of TeamMembership back where none is. Returns the users.
pub(in crate::litellm) async fn insert_copies(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    rows: &[&Value],
) -> Result<Vec<String>> {
    let capabilities = writing.capabilities;
    copies::insert(
        connection,
        capabilities,
        MEMBERSHIPS,
        "user_id",
        &REFERENCES,
        rows,
    )
    .await
}

/// Where each of these stands in the roster when all are back: they are put
/// back one by one, the last first, which moves those that come after them.
fn slots(joining: &[&TakenMember]) -> Vec<i64> {
    let mut slots: Vec<i64> = Vec::with_capacity(joining.len());
    for member in joining.iter().rev() {
        let place = member.place.unwrap_or(i64::from(i32::MAX));
        for slot in &mut slots {
            if *slot >= place {
                *slot += 1;
            }
        }
        slots.push(place);
    }
    slots.reverse();
    slots
}

/// On the server, under the lock, into what the column holds now: a roster of
/// a hundred thousand need not travel. Those who are there keep their order.
async fn put_on_roster(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    joining: &[&TakenMember],
) -> Result<()> {
    if joining.is_empty() {
        return Ok(());
    }
    let tail = match writing.audit {
        Audit::Off => "SELECT FROM changed".to_owned(),
        Audit::On => {
            let roster = "(SELECT old.team_id, old.team_alias, old.list AS before, \
                           changed.after FROM changed, old)";
            audit::insert_of_rosters(roster, "$5")
        }
    };
    sql_query(format!(
        "WITH old AS MATERIALIZED ( \
            SELECT t.team_id, t.team_alias, {ROSTER} AS list FROM \"LiteLLM_TeamTable\" t \
            WHERE t.team_id = $1), \
         back AS MATERIALIZED ( \
            SELECT n.slot, COALESCE(n.entry, jsonb_build_object( \
                'user_id', u.user_id, 'user_email', u.user_email, 'role', 'user')) AS entry \
            FROM unnest($2::text[], $3::jsonb[], $4::bigint[]) AS n (user_id, entry, slot) \
            JOIN \"LiteLLM_UserTable\" u ON u.user_id = n.user_id), \
         free AS MATERIALIZED ( \
            SELECT s.slot, row_number() OVER (ORDER BY s.slot) AS position \
            FROM old, generate_series(0, jsonb_array_length(old.list) \
                                         + cardinality($2::text[]) - 1) AS s (slot) \
            WHERE s.slot <> ALL ($4::bigint[])), \
         every AS ( \
            SELECT free.slot::bigint AS slot, e.entry \
            FROM old, jsonb_array_elements(old.list) WITH ORDINALITY AS e (entry, position) \
            JOIN free ON free.position = e.position \
            UNION ALL SELECT back.slot, back.entry FROM back), \
         changed AS ( \
            UPDATE \"LiteLLM_TeamTable\" t SET updated_at = $5, members_with_roles = ( \
                SELECT jsonb_agg(every.entry ORDER BY every.slot) FROM every) \
            FROM old WHERE t.team_id = old.team_id \
            RETURNING t.team_id, t.members_with_roles AS after) \
         {tail}"
    ))
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(
        joining
            .iter()
            .map(|member| member.user.as_str())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Jsonb>>, _>(
        joining
            .iter()
            .map(|member| member.entry.as_ref())
            .collect::<Vec<_>>(),
    )
    .bind::<Array<BigInt>, _>(slots(joining))
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing(format!("putting members back on the roster of team {team}"))
    .map_err(|error| Error::from(error).of_team(team.as_str()))?;
    Ok(())
}
