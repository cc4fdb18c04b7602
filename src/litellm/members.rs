//! Team memberships: three copies, changed together under LiteLLM's team lock
//! (litellm-contract 2d and 5).

mod leftovers;
mod remove;
pub(super) mod restore;
pub(super) mod roster;

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use diesel::sql_types::{Array, Bool, Double, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::audit::{self, Audit};
use super::error::{Error, Result};
use super::users::{self, Locked};
use super::writing::{ACTOR, Insert, Writing};
use crate::db::QueryContext;
use crate::model::ids::{TeamId, UserId};
use crate::model::target::TeamRole;
pub use leftovers::clear_mentions;
pub use remove::{Removal, Removed, TakenMember, remove};
pub use restore::{Restoration, Restored, restore};
use roster::ROSTER;

/// A user who is to be a member of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The team.
    pub team: &'a TeamId,
    /// The user.
    pub user: &'a UserId,
}

/// What became of members that were to be added or mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ensured {
    /// Team and user: they were not on the roster and are now.
    pub joined: Vec<(String, String)>,
    /// Users that have no row any more: nothing was written for them.
    pub without_row: Vec<String>,
    /// Teams that are gone: nothing was written for their members.
    pub without_team: Vec<String>,
    /// Teams that somebody works on just now: nothing was written for their
    /// members. Asked for alone, such a team is waited for.
    pub busy: Vec<String>,
    /// When the teams' locks were had: from then on others may wait.
    pub locked_at: Option<Instant>,
}

/// On what terms members join.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// Their role in the team.
    pub role: TeamRole,
    /// `max_budget_in_team`, US dollars: a budget row of the member's own.
    pub own_budget: Option<f64>,
}

impl Terms {
    /// As a member of a group joins its team.
    pub const MEMBER: Self = Self {
        role: TeamRole::User,
        own_budget: None,
    };
}

/// Takes LiteLLM's own lock on a team's roster, for this transaction.
///
/// # Errors
/// When it is not granted within the transaction's lock limit.
pub async fn lock_team(connection: &mut AsyncPgConnection, team: &TeamId) -> Result<()> {
    sql_query("SELECT pg_advisory_xact_lock(hashtext($1))")
        .bind::<Text, _>(team.as_str())
        .execute(connection)
        .await
        .doing("waiting for LiteLLM's lock on a team")
        .map_err(|error| Error::from(error).of_team(team.as_str()))?;
    Ok(())
}

/// Takes those locks that are free, without waiting: one busy team must not
/// keep the others. Returns the ids of teams that are busy.
pub(super) async fn try_lock_teams(
    connection: &mut AsyncPgConnection,
    teams: &[&str],
) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    let rows: Vec<Row> = sql_query(
        "SELECT n.id, pg_try_advisory_xact_lock(hashtext(n.id)) AS locked \
         FROM unnest($1::text[]) AS n (id)",
    )
    .bind::<Array<Text>, _>(teams)
    .load(connection)
    .await
    .doing("taking LiteLLM's locks on teams")?;
    Ok(rows
        .into_iter()
        .filter(|row| !row.locked)
        .map(|row| row.id)
        .collect())
}

/// Puts users on rosters, into their `teams` and into TeamMembership, each
/// where it is missing; what is there stays as it is. Takes the locks of the
/// teams concerned: of several those that are free, of one alone it waits.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn ensure(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    pairs: &[Pair<'_>],
    terms: Terms,
) -> Result<Ensured> {
    let mut teams: Vec<&str> = pairs.iter().map(|pair| pair.team.as_str()).collect();
    teams.sort_unstable();
    teams.dedup();
    let alone = pairs.first().map(|pair| pair.team);
    let alone = alone.filter(|_| teams.len() == 1);
    let busy = match alone {
        Some(team) => {
            lock_team(connection, team).await?;
            Vec::new()
        }
        None => try_lock_teams(connection, &teams).await?,
    };
    let locked_at = Some(Instant::now());
    teams.retain(|team| !busy.iter().any(|busy| busy == team));
    let present_teams = existing_teams(connection, &teams).await?;
    let free = |pair: &&Pair<'_>| !busy.iter().any(|busy| busy == pair.team.as_str());
    let mut wanted: Vec<&str> = pairs
        .iter()
        .filter(free)
        .map(|pair| pair.user.as_str())
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let present_users = users::lock_rows(connection, &wanted).await?;
    let rows: HashMap<&str, &Locked> = present_users
        .iter()
        .map(|row| (row.user_id.as_str(), row))
        .collect();

    let mut ensured = Ensured {
        without_row: absent(&wanted, |user| rows.contains_key(user)),
        without_team: absent(&teams, |team| present_teams.contains(team)),
        joined: Vec::new(),
        busy: Vec::new(),
        locked_at,
    };
    let mut columns = Columns::default();
    for pair in pairs.iter().filter(free) {
        let there = present_teams.contains(pair.team.as_str());
        if let (true, Some(row)) = (there, rows.get(pair.user.as_str())) {
            columns.teams.push(pair.team.as_str());
            columns.users.push(&row.user_id);
            columns.emails.push(row.user_email.as_deref());
        }
    }
    let pairs = columns;
    if !pairs.users.is_empty() {
        append_to_users(connection, writing, &pairs).await?;
        insert_memberships(connection, writing, &pairs, terms).await?;
        let joined = append_to_rosters(connection, writing, &pairs, terms.role).await;
        ensured.joined = match alone {
            Some(team) => joined.map_err(|error| error.of_team(team.as_str()))?,
            None => joined?,
        };
    }
    ensured.busy = busy;
    Ok(ensured)
}

/// Pairs, column by column, for `unnest`, with what the locked rows say.
#[derive(Default)]
struct Columns<'a> {
    teams: Vec<&'a str>,
    users: Vec<&'a str>,
    emails: Vec<Option<&'a str>>,
}

fn absent(wanted: &[&str], is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let absent = wanted.iter().filter(|id| !is_there(id));
    absent.map(|id| (*id).to_owned()).collect()
}

async fn existing_teams(
    connection: &mut AsyncPgConnection,
    teams: &[&str],
) -> Result<HashSet<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        team_id: String,
    }
    let rows: Vec<Row> =
        sql_query("SELECT team_id FROM \"LiteLLM_TeamTable\" WHERE team_id = ANY($1)")
            .bind::<Array<Text>, _>(teams)
            .load(connection)
            .await
            .doing("reading teams again under their locks")?;
    Ok(rows.into_iter().map(|row| row.team_id).collect())
}

/// Without COALESCE a NULL array would make the guard NULL and the row be
/// passed over for ever (litellm-contract 5).
async fn append_to_users(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    pairs: &Columns<'_>,
) -> Result<()> {
    sql_query(
        "UPDATE \"LiteLLM_UserTable\" u \
         SET teams = COALESCE(u.teams, '{}') || ARRAY( \
                SELECT t FROM unnest(a.teams) AS t WHERE NOT t = ANY(COALESCE(u.teams, '{}'))), \
             updated_at = $3 \
         FROM (SELECT p.user_id, array_agg(p.team_id ORDER BY p.team_id) AS teams \
               FROM unnest($1::text[], $2::text[]) AS p (team_id, user_id) GROUP BY p.user_id) a \
         WHERE u.user_id = a.user_id AND NOT COALESCE(u.teams, '{}') @> a.teams",
    )
    .bind::<Array<Text>, _>(&pairs.teams)
    .bind::<Array<Text>, _>(&pairs.users)
    .bind::<Timestamp, _>(writing.stamp())
    .execute(connection)
    .await
    .doing("adding teams to their members")?;
    Ok(())
}

/// The member's budget by litellm-contract 2d: a row of its own when there is a
/// limit of its own or the team restricts its members' models; else the team's
/// shared row, if that exists; else none. Both inserts are one statement, so
/// the reference is checked when both rows are there.
async fn insert_memberships(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    pairs: &Columns<'_>,
    terms: Terms,
) -> Result<()> {
    let models = if writing
        .capabilities
        .has("LiteLLM_TeamTable", "default_team_member_models")
    {
        "coalesce(t.default_team_member_models, '{}')"
    } else {
        "'{}'::text[]"
    };
    let budgets = Insert::into("LiteLLM_BudgetTable", writing.capabilities)
        .columns(&[
            ("budget_id", "f.own_budget"),
            ("max_budget", "$3"),
            ("allowed_models", "f.models"),
            ("created_at", "$4"),
            ("created_by", "$5"),
            ("updated_at", "$4"),
            ("updated_by", "$5"),
        ])
        .select("FROM fresh f WHERE f.own_budget IS NOT NULL");
    sql_query(format!(
        "WITH teams AS MATERIALIZED ( \
            SELECT t.team_id, {models} AS models, \
                   (SELECT b.budget_id FROM \"LiteLLM_BudgetTable\" b \
                    WHERE b.budget_id = t.metadata ->> 'team_member_budget_id') AS shared_budget \
            FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = ANY($1)), \
         fresh AS MATERIALIZED ( \
            SELECT p.user_id, t.team_id, t.models, t.shared_budget, \
                   CASE WHEN $3 IS NOT NULL OR cardinality(t.models) > 0 \
                        THEN gen_random_uuid()::text END AS own_budget \
            FROM unnest($1::text[], $2::text[]) AS p (team_id, user_id) \
            JOIN teams t ON t.team_id = p.team_id \
            WHERE NOT EXISTS (SELECT FROM \"LiteLLM_TeamMembership\" m \
                              WHERE m.user_id = p.user_id AND m.team_id = p.team_id)), \
         budgets AS ({budgets}) \
         INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id, budget_id) \
         SELECT f.user_id, f.team_id, COALESCE(f.own_budget, f.shared_budget) FROM fresh f"
    ))
    .bind::<Array<Text>, _>(&pairs.teams)
    .bind::<Array<Text>, _>(&pairs.users)
    .bind::<Nullable<Double>, _>(terms.own_budget)
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(ACTOR)
    .execute(connection)
    .await
    .doing("inserting team memberships")?;
    Ok(())
}

/// Appends on the server, under the locks, to what the columns hold now: a
/// roster of a hundred thousand need not travel, and only those of its entries
/// are kept that are asked about. `'{}'` (the column's default) counts as an
/// empty list; `||` would make an invalid entry of it. A string that holds the
/// list, which LiteLLM's readers take, becomes the list. What is no roster
/// fails, so that nothing is lost of it.
async fn append_to_rosters(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    pairs: &Columns<'_>,
    role: TeamRole,
) -> Result<Vec<(String, String)>> {
    #[derive(QueryableByName)]
    struct Joined {
        #[diesel(sql_type = Text)]
        team_id: String,
        #[diesel(sql_type = Array<Text>)]
        users: Vec<String>,
    }
    let update = "UPDATE \"LiteLLM_TeamTable\" t \
         SET members_with_roles = rosters.list || entries.list, updated_at = $3 \
         FROM entries JOIN rosters ON rosters.team_id = entries.team_id \
         WHERE t.team_id = entries.team_id \
         RETURNING t.team_id, entries.users AS users";
    let change = match writing.audit {
        Audit::Off => update.to_owned(),
        Audit::On => {
            let audit = audit::insert_of_rosters("changed", "$3");
            format!(
                ", changed AS ({update}, t.team_alias, rosters.list AS before, \
                               t.members_with_roles AS after), \
                 audit AS ({audit}) SELECT team_id, users FROM changed"
            )
        }
    };
    let joined: Vec<Joined> = sql_query(format!(
        "WITH rosters AS MATERIALIZED ( \
            SELECT t.team_id, {ROSTER} AS list \
            FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = ANY($1)), \
         present AS MATERIALIZED ( \
            SELECT r.team_id, e ->> 'user_id' AS user_id \
            FROM rosters r, jsonb_array_elements(r.list) AS e \
            WHERE e ->> 'user_id' = ANY($2)), \
         fresh AS MATERIALIZED ( \
            SELECT p.team_id, p.user_id, p.user_email \
            FROM unnest($1::text[], $2::text[], $5::text[]) AS p (team_id, user_id, user_email) \
            WHERE NOT EXISTS (SELECT FROM present \
                              WHERE present.team_id = p.team_id AND present.user_id = p.user_id)), \
         entries AS MATERIALIZED ( \
            SELECT f.team_id, \
                   jsonb_agg(jsonb_build_object('user_id', f.user_id, 'user_email', f.user_email, \
                                                'role', $4) ORDER BY f.user_id COLLATE \"C\") \
                       AS list, \
                   array_agg(f.user_id ORDER BY f.user_id COLLATE \"C\") AS users \
            FROM fresh f GROUP BY f.team_id) \
         {change}"
    ))
    .bind::<Array<Text>, _>(&pairs.teams)
    .bind::<Array<Text>, _>(&pairs.users)
    .bind::<Timestamp, _>(writing.stamp())
    .bind::<Text, _>(match role {
        TeamRole::User => "user",
        TeamRole::Admin => "admin",
    })
    .bind::<Array<Nullable<Text>>, _>(&pairs.emails)
    .load(connection)
    .await
    .doing("writing rosters")?;
    Ok(joined
        .into_iter()
        .flat_map(|row| {
            let team = row.team_id;
            row.users.into_iter().map(move |user| (team.clone(), user))
        })
        .collect())
}
