//! Teams of interest with all copies of their memberships.

use std::collections::BTreeMap;

use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::{Stream, TryStreamExt};

use super::{Interest, TextArray, Way, any, roster};
use crate::db::QueryContext;
use crate::litellm::error::{Error, Result};
use crate::model::ids::{OrganizationId, TeamId, UserId};
use crate::model::target::{Block, RosterEntry, TeamRow, UserRow};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    team_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    team_alias: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    organization_id: Option<String>,
    #[diesel(sql_type = Nullable<Array<Nullable<Text>>>)]
    models: Option<Vec<Option<String>>>,
    #[diesel(sql_type = Text)]
    roster: String,
    /// Entries that are not in `roster`.
    #[diesel(sql_type = BigInt)]
    others: i64,
    #[diesel(sql_type = Bool)]
    blocked: bool,
}

#[derive(QueryableByName)]
pub(super) struct MembersRow {
    #[diesel(sql_type = Text)]
    pub(super) parent_id: String,
    #[diesel(sql_type = Array<Text>)]
    pub(super) users: Vec<String>,
}

/// Teams, and those whose roster LiteLLM itself could not load, with the
/// reason: they must not stop the others.
#[derive(Debug, Default)]
pub(super) struct Teams {
    pub(super) whole: BTreeMap<TeamId, TeamRow>,
    pub(super) broken: BTreeMap<TeamId, String>,
}

/// Rosters of which all entries are understood at a glance are searched where
/// they are; any other comes whole and is read as all are.
const SEARCHED: &str = "SELECT t.team_id, t.team_alias, t.organization_id, t.models, t.blocked, \
        CASE WHEN NOT asked.for_it THEN '[]' \
             WHEN jsonb_typeof(t.members_with_roles) = 'array' AND r.plain = r.entries \
                 THEN coalesce(r.found, '[]')::text \
             ELSE t.members_with_roles::text END AS roster, \
        CASE WHEN jsonb_typeof(t.members_with_roles) = 'array' AND r.plain = r.entries \
                 THEN r.entries - coalesce(jsonb_array_length(r.found), 0) \
             ELSE 0 END AS others \
     FROM \"LiteLLM_TeamTable\" t \
          CROSS JOIN LATERAL (SELECT t.team_id = ANY($2) AS for_it) asked \
          CROSS JOIN LATERAL ( \
              SELECT count(*) AS entries, \
                     count(*) FILTER (WHERE jsonb_typeof(e -> 'user_id') = 'string' \
                                        AND jsonb_typeof(e -> 'role') = 'string') AS plain, \
                     jsonb_agg(e) FILTER (WHERE e ->> 'user_id' = ANY($3)) AS found \
              FROM jsonb_array_elements( \
                  CASE WHEN asked.for_it AND jsonb_typeof(t.members_with_roles) = 'array' \
                       THEN t.members_with_roles ELSE '[]' END) e) r \
     WHERE t.team_id = ANY($1)";

pub(super) async fn read(
    connection: &mut AsyncPgConnection,
    interest: &Interest,
    users: &BTreeMap<UserId, UserRow>,
    way: Way,
) -> Result<Teams> {
    let wanted = any(&interest.teams, TeamId::as_str);
    let doing = "reading LiteLLM's teams";
    let mut rows = match way {
        Way::Streaming => {
            sql_query(
                "SELECT team_id, team_alias, organization_id, models, \
                        members_with_roles::text AS roster, 0::bigint AS others, blocked \
                 FROM \"LiteLLM_TeamTable\" WHERE team_id = ANY($1)",
            )
            .bind::<TextArray, _>(&wanted)
            .load_stream::<Row>(connection)
            .await
        }
        Way::Asking => {
            sql_query(SEARCHED)
                .bind::<TextArray, _>(&wanted)
                .bind::<TextArray, _>(any(interest.rosters(), TeamId::as_str))
                .bind::<TextArray, _>(any(users.keys(), UserId::as_str))
                .load_stream::<Row>(connection)
                .await
        }
    }
    .doing(doing)?;
    let mut teams = Teams::default();
    while let Some(row) = rows.try_next().await.doing(doing)? {
        let Some(id) = interest.teams.get(row.team_id.as_str()) else {
            continue;
        };
        let (mut entries, mut strangers) = (Vec::new(), row.others.unsigned_abs());
        let read = roster::read(&row.roster, &mut |entry| {
            let user = entry.user_id.as_deref();
            if let Some((user, _)) = user.and_then(|user| users.get_key_value(user)) {
                entries.push(RosterEntry {
                    user: user.clone(),
                    role: entry.role(),
                });
            } else {
                strangers += 1;
            }
        });
        if let Err(cause) = read {
            let error = Error::BadRoster {
                team: row.team_id,
                cause: cause.to_string(),
            };
            teams.broken.insert(id.clone(), error.to_string());
            continue;
        }
        entries.sort_unstable();
        entries.shrink_to_fit();
        let team = TeamRow {
            alias: row.team_alias,
            organization: row.organization_id.map(OrganizationId::new),
            models: row
                .models
                .unwrap_or_default()
                .into_iter()
                .flatten()
                .collect(),
            roster: entries,
            strangers,
            memberships: Vec::new(),
            block: if row.blocked {
                Block::Blocked
            } else {
                Block::Open
            },
        };
        teams.whole.insert(id.clone(), team);
    }
    drop(rows);
    let lists = match way {
        Way::Streaming => wanted,
        Way::Asking => any(interest.rosters(), TeamId::as_str),
    };
    memberships(connection, &lists, users, way, &mut teams.whole).await?;
    Ok(teams)
}

async fn memberships(
    connection: &mut AsyncPgConnection,
    wanted: &[&str],
    users: &BTreeMap<UserId, UserRow>,
    way: Way,
    teams: &mut BTreeMap<TeamId, TeamRow>,
) -> Result<()> {
    let doing = "reading LiteLLM's team memberships";
    let select = "SELECT team_id AS parent_id, array_agg(user_id) AS users \
         FROM \"LiteLLM_TeamMembership\" WHERE team_id = ANY($1)";
    let mut rows = members(connection, select, "team_id", (wanted, users), way)
        .await
        .doing(doing)?;
    while let Some(row) = rows.try_next().await.doing(doing)? {
        if let Some(team) = teams.get_mut(row.parent_id.as_str()) {
            team.memberships = known(row.users, users);
        }
    }
    Ok(())
}

/// The members of each of some teams or organizations, all or those of interest.
pub(super) async fn members<'c>(
    connection: &'c mut AsyncPgConnection,
    select: &str,
    parent: &str,
    (wanted, users): (&[&str], &BTreeMap<UserId, UserRow>),
    way: Way,
) -> QueryResult<impl Stream<Item = QueryResult<MembersRow>> + Unpin + use<'c>> {
    match way {
        Way::Streaming => {
            sql_query(format!("{select} GROUP BY {parent}"))
                .bind::<TextArray, _>(wanted)
                .load_stream::<MembersRow>(connection)
                .await
        }
        Way::Asking => {
            sql_query(format!("{select} AND user_id = ANY($2) GROUP BY {parent}"))
                .bind::<TextArray, _>(wanted)
                .bind::<TextArray, _>(any(users.keys(), UserId::as_str))
                .load_stream::<MembersRow>(connection)
                .await
        }
    }
}

/// Those of the ids that stand for a user of interest, sorted.
pub(super) fn known(ids: Vec<String>, users: &BTreeMap<UserId, UserRow>) -> Vec<UserId> {
    let mut known: Vec<UserId> = ids
        .iter()
        .filter_map(|id| {
            users
                .get_key_value(id.as_str())
                .map(|(user, _)| user.clone())
        })
        .collect();
    known.sort_unstable();
    known
}
