//! Users of interest, out of a stream of all.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;

use super::Interest;
use crate::db::QueryContext;
use crate::litellm::error::Result;
use crate::model::ids::{PersonId, UserId};
use crate::model::role::Role;
use crate::model::target::{Activity, StoredRole, UserRow};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    sso_user_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    user_email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    user_alias: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    user_role: Option<String>,
    #[diesel(sql_type = Bool)]
    deactivated: bool,
    #[diesel(sql_type = Nullable<Array<Nullable<Text>>>)]
    teams: Option<Vec<Option<String>>>,
}

pub(super) async fn read(
    connection: &mut AsyncPgConnection,
    interest: &Interest,
    verified: &HashMap<PersonId, UserId>,
) -> Result<BTreeMap<UserId, UserRow>> {
    let verified: HashSet<&str> = verified
        .iter()
        .filter(|(person, _)| interest.people.contains(person))
        .map(|(_, user)| user.as_str())
        .collect();
    let doing = "reading LiteLLM's users";
    let mut rows = sql_query(
        "SELECT user_id, sso_user_id, user_email, user_alias, user_role, \
                coalesce(metadata -> 'scim_active' = 'false'::jsonb, false) AS deactivated, \
                teams FROM \"LiteLLM_UserTable\"",
    )
    .load_stream::<Row>(connection)
    .await
    .doing(doing)?;
    let mut users = BTreeMap::new();
    while let Some(row) = rows.try_next().await.doing(doing)? {
        if !matters(&row, interest, &verified) {
            continue;
        }
        let user = UserId::new(row.user_id);
        let sso_user_id = row.sso_user_id.map(|subject| {
            // Nearly always the same text: share it.
            if subject == user.as_str() {
                user.clone()
            } else {
                UserId::new(subject)
            }
        });
        let mut teams: Vec<_> = row
            .teams
            .unwrap_or_default()
            .iter()
            .flatten()
            .filter_map(|team| interest.teams.get(team.as_str()).cloned())
            .collect();
        teams.sort_unstable();
        teams.dedup();
        teams.shrink_to_fit();
        let row = UserRow {
            sso_user_id,
            email: row.user_email.map(String::into_boxed_str),
            alias: row.user_alias.map(String::into_boxed_str),
            role: stored_role(row.user_role),
            activity: if row.deactivated {
                Activity::Deactivated
            } else {
                Activity::Active
            },
            teams,
        };
        users.insert(user, row);
    }
    Ok(users)
}

fn matters(row: &Row, interest: &Interest, verified: &HashSet<&str>) -> bool {
    interest.subjects.contains(&row.user_id)
        || row
            .sso_user_id
            .as_ref()
            .is_some_and(|id| interest.subjects.contains(id))
        || verified.contains(row.user_id.as_str())
        || row
            .user_email
            .as_ref()
            .is_some_and(|email| interest.emails.contains(email.to_lowercase().as_str()))
}

fn stored_role(text: Option<String>) -> StoredRole {
    match text {
        None => StoredRole::None,
        Some(text) => match Role::from_stored(&text) {
            Some(role) => StoredRole::Role(role),
            None => StoredRole::Other(text.into_boxed_str()),
        },
    }
}
