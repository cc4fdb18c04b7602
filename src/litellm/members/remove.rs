//! Taking members out of a team, as LiteLLM's own member removal does
//! (litellm-contract 2e), with a copy of all that goes.

use std::collections::{BTreeMap, BTreeSet};

use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::roster::ROSTER;
use crate::db::QueryContext;
use crate::litellm::audit::{self, Audit};
use crate::litellm::copies::{self, Copy, Mention, text};
use crate::litellm::error::{Error, Result};
use crate::litellm::keys::{self, TakenKey};
use crate::litellm::users;
use crate::litellm::writing::Writing;
use crate::model::ids::{TeamId, UserId};

/// What one member lost, with everything needed to give it back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TakenMember {
    /// `user_id`.
    pub user: String,
    /// Its entry in `members_with_roles`; the first, should there be several.
    pub entry: Option<Value>,
    /// How many entries stood before it, those not counted who were taken with
    /// it and come before it in the list of the taken: whoever puts them back
    /// begins with the last, as one does with things taken one by one.
    #[serde(default)]
    pub place: Option<i64>,
    /// How many of the user's `teams` stood before this one.
    #[serde(default)]
    pub place_in_teams: Option<i32>,
    /// Its row in `LiteLLM_TeamMembership`: spend, budget, total spend.
    pub membership: Option<Value>,
    /// Its keys of this team.
    pub keys: Vec<TakenKey>,
}

/// What became of members that were to go.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Removed {
    /// Those who are out now, sorted.
    pub taken: Vec<TakenMember>,
    /// Somebody made them administrators of the team: nothing was touched.
    pub admins: Vec<String>,
    /// They were not there in any way.
    pub absent: Vec<String>,
}

/// How a removal ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Removal {
    /// Done.
    Removed(Removed),
    /// The team is gone; nothing was written.
    TeamGone,
}

#[derive(QueryableByName)]
struct OnRoster {
    #[diesel(sql_type = Nullable<Jsonb>)]
    entry: Option<Value>,
    #[diesel(sql_type = Nullable<BigInt>)]
    place: Option<i64>,
}

/// An entry of a roster, and how many stand before it.
pub(super) struct Entry {
    pub(super) entry: Value,
    place: i64,
}

impl Entry {
    pub(super) fn user(&self) -> Option<&str> {
        text(&self.entry, "user_id")
    }
}

/// Takes users off the roster, out of their `teams` and out of TeamMembership,
/// and deletes their keys of this team. Administrators of the team stay as
/// they are. The team's lock must be held.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn remove(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    users: &[&UserId],
) -> Result<Removal> {
    let wanted: BTreeSet<&str> = users.iter().map(|user| user.as_str()).collect();
    let Some(entries) = entries(connection, team, &wanted).await? else {
        return Ok(Removal::TeamGone);
    };
    let admins: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| text(&entry.entry, "role") != Some("user"))
        .filter_map(Entry::user)
        .collect();
    let going: Vec<&str> = wanted.difference(&admins).copied().collect();
    users::lock(connection, &going).await?;

    let mut taken: BTreeMap<String, TakenMember> = BTreeMap::new();
    // Of a user's several entries the first comes back: the others are gone as
    // if they had never been before it.
    let mut repeated = 0;
    for entry in &entries {
        if let Some(user) = entry.user().filter(|user| !admins.contains(user)) {
            let taken = member(&mut taken, user);
            if taken.entry.is_some() {
                repeated += 1;
            } else {
                taken.entry = Some(entry.entry.clone());
                taken.place = Some(entry.place - repeated);
            }
        }
    }
    let mut gone_before: Vec<i64> = Vec::new();
    for taken in taken.values_mut() {
        if let Some(place) = taken.place {
            let before = gone_before.iter().filter(|gone| **gone < place).count();
            gone_before.push(place);
            taken.place = Some(place - i64::try_from(before).unwrap_or_default());
        }
    }
    for mention in remove_from_users(connection, writing, team, &going).await? {
        member(&mut taken, &mention.id).place_in_teams = Some(mention.place);
    }
    for row in delete_memberships(connection, team, &going).await? {
        if let Some(user) = text(&row, "user_id") {
            member(&mut taken, user).membership = Some(row.clone());
        }
    }
    let gone: Vec<&str> = taken.keys().map(String::as_str).collect();
    let tokens = keys::lock_of_members(connection, team.as_str(), &gone).await?;
    remove_from_roster(connection, writing, team, &gone).await?;
    let absent = going
        .iter()
        .filter(|user| !taken.contains_key(**user))
        .map(|user| (*user).to_owned())
        .collect();
    for key in keys::delete(connection, writing, &tokens).await? {
        if let Some(user) = key.user().map(str::to_owned) {
            member(&mut taken, &user).keys.push(key);
        }
    }
    Ok(Removal::Removed(Removed {
        taken: taken.into_values().collect(),
        admins: admins.into_iter().map(str::to_owned).collect(),
        absent,
    }))
}

fn member<'a>(taken: &'a mut BTreeMap<String, TakenMember>, user: &str) -> &'a mut TakenMember {
    taken.entry(user.to_owned()).or_insert_with(|| TakenMember {
        user: user.to_owned(),
        ..TakenMember::default()
    })
}

/// The entries of these users, in the roster's order; `None` when there is no
/// team.
pub(super) async fn entries(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
    users: &BTreeSet<&str>,
) -> Result<Option<Vec<Entry>>> {
    let rows: Vec<OnRoster> = sql_query(format!(
        "SELECT s.entry, s.position - 1 AS place \
         FROM \"LiteLLM_TeamTable\" t LEFT JOIN LATERAL ( \
             SELECT e.entry, e.position \
             FROM jsonb_array_elements({ROSTER}) WITH ORDINALITY AS e (entry, position) \
             WHERE e.entry ->> 'user_id' IN (SELECT unnest($2::text[]))) s ON true \
         WHERE t.team_id = $1 ORDER BY s.position"
    ))
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(users.iter().copied().collect::<Vec<_>>())
    .load(connection)
    .await
    .doing(format!("reading the roster of team {team} under its lock"))?;
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        rows.into_iter()
            .filter_map(|row| {
                Some(Entry {
                    entry: row.entry?,
                    place: row.place?,
                })
            })
            .collect(),
    ))
}

/// The rows are locked, so that what the subquery sees is what is changed.
async fn remove_from_users(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    users: &[&str],
) -> Result<Vec<Mention>> {
    Ok(sql_query(
        "UPDATE \"LiteLLM_UserTable\" u \
         SET teams = array_remove(u.teams, $1), updated_at = $3 \
         FROM (SELECT o.user_id, array_position(o.teams, $1) - 1 AS place \
               FROM \"LiteLLM_UserTable\" o \
               WHERE o.user_id = ANY($2) AND $1 = ANY(o.teams)) was \
         WHERE u.user_id = was.user_id RETURNING u.user_id AS id, was.place",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(users)
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing(format!("taking team {team} from its members"))?)
}

async fn delete_memberships(
    connection: &mut AsyncPgConnection,
    team: &TeamId,
    users: &[&str],
) -> Result<Vec<Value>> {
    let rows: Vec<Copy> = sql_query(
        "DELETE FROM \"LiteLLM_TeamMembership\" m WHERE m.team_id = $1 AND m.user_id = ANY($2) \
         RETURNING to_jsonb(m) AS row",
    )
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing(format!("deleting memberships of team {team}"))?;
    Ok(copies::rows(rows))
}

/// On the server, under the lock, from what the column holds now: a roster of
/// a hundred thousand need not travel. Only entries of role `user` go; the
/// others keep their order, which is the order of joining.
async fn remove_from_roster(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    users: &[&str],
) -> Result<()> {
    if users.is_empty() {
        return Ok(());
    }
    let change = format!(
        "old AS MATERIALIZED ( \
            SELECT t.team_id, t.team_alias, {ROSTER} AS roster \
            FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = $1), \
         kept AS MATERIALIZED ( \
            SELECT COALESCE(jsonb_agg(e.entry ORDER BY e.position), '[]'::jsonb) AS roster \
            FROM old, jsonb_array_elements(old.roster) WITH ORDINALITY AS e (entry, position) \
            WHERE NOT (e.entry ->> 'role' IS NOT DISTINCT FROM 'user' \
                       AND e.entry ->> 'user_id' IS NOT NULL \
                       AND e.entry ->> 'user_id' IN (SELECT unnest($2::text[])))), \
         changed AS ( \
            UPDATE \"LiteLLM_TeamTable\" t SET members_with_roles = kept.roster, updated_at = $3 \
            FROM old, kept WHERE t.team_id = old.team_id \
              AND jsonb_array_length(kept.roster) < jsonb_array_length(old.roster) \
            RETURNING t.team_id)"
    );
    let tail = match writing.audit {
        Audit::Off => "SELECT FROM changed".to_owned(),
        Audit::On => {
            let roster = "(SELECT old.team_id, old.team_alias, old.roster AS before, \
                           kept.roster AS after FROM changed, old, kept)";
            audit::insert_of_rosters(roster, "$3")
        }
    };
    sql_query(format!("WITH {change} {tail}"))
        .bind::<Text, _>(team.as_str())
        .bind::<Array<Text>, _>(users)
        .bind::<Timestamp, _>(writing.stamp())
        .execute(connection)
        .await
        .doing(format!("taking members off the roster of team {team}"))
        .map_err(|error| Error::from(error).of_team(team.as_str()))?;
    Ok(())
}
