//! Taking a team's id out of users' `teams` where it is all that is left of a
//! membership.

use diesel::sql_types::{Array, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::roster::ROSTER;
use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::litellm::users;
use crate::litellm::writing::Writing;
use crate::model::ids::{TeamId, UserId};

/// Takes the team out of the `teams` of those users whom neither its roster nor
/// TeamMembership has by now, or which is gone; returns who they were, sorted. The team's lock
/// must be held: whoever joins meanwhile is on the roster and stays.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn clear_mentions(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    users: &[&UserId],
) -> Result<Vec<UserId>> {
    #[derive(QueryableByName)]
    struct Cleared {
        #[diesel(sql_type = Text)]
        user_id: String,
    }
    let mut ids: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    ids.sort_unstable();
    users::lock(connection, &ids).await?;
    let mut cleared: Vec<Cleared> = sql_query(format!(
        "UPDATE \"LiteLLM_UserTable\" u \
         SET teams = array_remove(u.teams, $1), updated_at = $3 \
         WHERE u.user_id = ANY($2) AND $1 = ANY(u.teams) \
           AND NOT EXISTS ( \
                SELECT FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = $1 AND ( \
                    EXISTS (SELECT FROM \"LiteLLM_TeamMembership\" m \
                            WHERE m.team_id = $1 AND m.user_id = u.user_id) \
                    OR EXISTS (SELECT FROM jsonb_array_elements({ROSTER}) AS e (entry) \
                               WHERE e.entry ->> 'user_id' = u.user_id))) \
         RETURNING u.user_id"
    ))
    .bind::<Text, _>(team.as_str())
    .bind::<Array<Text>, _>(&ids)
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing(format!(
        "taking team {team} from users who are not in it any more"
    ))?;
    cleared.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    Ok(cleared
        .into_iter()
        .map(|row| UserId::new(row.user_id))
        .collect())
}
