//! Teams of interest with all copies of their memberships.

use std::collections::BTreeMap;

use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;

use super::{Interest, TextArray, any, roster};
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

pub(super) async fn read(
    connection: &mut AsyncPgConnection,
    interest: &Interest,
    users: &BTreeMap<UserId, UserRow>,
) -> Result<Teams> {
    let wanted = any(&interest.teams, TeamId::as_str);
    let doing = "reading LiteLLM's teams";
    let mut rows = sql_query(
        "SELECT team_id, team_alias, organization_id, models, members_with_roles::text AS roster, \
         blocked \
         FROM \"LiteLLM_TeamTable\" WHERE team_id = ANY($1)",
    )
    .bind::<TextArray, _>(&wanted)
    .load_stream::<Row>(connection)
    .await
    .doing(doing)?;
    let mut teams = Teams::default();
    while let Some(row) = rows.try_next().await.doing(doing)? {
        let Some(id) = interest.teams.get(row.team_id.as_str()) else {
            continue;
        };
        let (mut entries, mut strangers) = (Vec::new(), 0);
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
    memberships(connection, &wanted, users, &mut teams.whole).await?;
    Ok(teams)
}

async fn memberships(
    connection: &mut AsyncPgConnection,
    wanted: &[&str],
    users: &BTreeMap<UserId, UserRow>,
    teams: &mut BTreeMap<TeamId, TeamRow>,
) -> Result<()> {
    let doing = "reading LiteLLM's team memberships";
    let mut rows = sql_query(
        "SELECT team_id AS parent_id, array_agg(user_id) AS users \
         FROM \"LiteLLM_TeamMembership\" WHERE team_id = ANY($1) GROUP BY team_id",
    )
    .bind::<TextArray, _>(wanted)
    .load_stream::<MembersRow>(connection)
    .await
    .doing(doing)?;
    while let Some(row) = rows.try_next().await.doing(doing)? {
        if let Some(team) = teams.get_mut(row.parent_id.as_str()) {
            team.memberships = known(row.users, users);
        }
    }
    Ok(())
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
