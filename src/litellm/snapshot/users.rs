//! Users of interest: out of a stream of all, or asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;

use super::{Interest, TextArray, Way, any};
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

const SELECT: &str = "SELECT user_id, sso_user_id, user_email, user_alias, user_role, \
     coalesce(metadata -> 'scim_active' = 'false'::jsonb, false) AS deactivated, \
     teams FROM \"LiteLLM_UserTable\"";

pub(super) async fn read(
    connection: &mut AsyncPgConnection,
    interest: &Interest,
    verified: &HashMap<PersonId, UserId>,
    way: Way,
) -> Result<BTreeMap<UserId, UserRow>> {
    let verified: HashSet<&str> = verified
        .iter()
        .filter(|(person, _)| interest.people.contains(person))
        .map(|(_, user)| user.as_str())
        .collect();
    let doing = "reading LiteLLM's users";
    let mut rows = match way {
        Way::Streaming => sql_query(SELECT).load_stream::<Row>(connection).await,
        Way::Asking => {
            let asked = Asked::new(connection, interest, &verified).await?;
            sql_query(format!("{SELECT} WHERE {}", asked.condition()))
                .bind::<TextArray, _>(asked.ids)
                .bind::<TextArray, _>(asked.subjects)
                .bind::<TextArray, _>(asked.emails)
                .load_stream::<Row>(connection)
                .await
        }
    }
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

/// What is asked for: at least all that [`matters`].
struct Asked<'a> {
    ids: Vec<&'a str>,
    subjects: Vec<&'a str>,
    emails: Vec<&'a str>,
    addresses: Addresses,
}

/// Whether the database's own lower case finds every address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Addresses {
    /// It does, and LiteLLM has an index on it.
    Lowered,
    /// It does not: another letter than ours may be the small one.
    Foreign,
}

impl<'a> Asked<'a> {
    async fn new(
        connection: &mut AsyncPgConnection,
        interest: &'a Interest,
        verified: &HashSet<&'a str>,
    ) -> Result<Self> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Bool)]
            lowers: bool,
        }
        let emails: Vec<&str> = any(&interest.emails, |email| email);
        // A capital I is not an i everywhere, and a Kelvin sign is a k for some.
        let row: Row = sql_query("SELECT lower($1) = $2 AS lowers")
            .bind::<Text, _>("ABCDEFGHIJKLMNOPQRSTUVWXYZ\u{212a}")
            .bind::<Text, _>("abcdefghijklmnopqrstuvwxyzk")
            .get_result(connection)
            .await
            .doing("asking how the database lowers letters")?;
        let plain = row.lowers && emails.iter().all(|email| email.is_ascii());
        let subjects: Vec<&str> = any(&interest.subjects, String::as_str);
        Ok(Self {
            ids: subjects.iter().chain(verified).copied().collect(),
            subjects,
            addresses: match plain || emails.is_empty() {
                true => Addresses::Lowered,
                false => Addresses::Foreign,
            },
            emails,
        })
    }

    fn condition(&self) -> &'static str {
        match self.addresses {
            Addresses::Lowered => {
                "user_id = ANY($1) OR sso_user_id = ANY($2) OR lower(user_email) = ANY($3)"
            }
            Addresses::Foreign => {
                "user_id = ANY($1) OR sso_user_id = ANY($2) \
                 OR lower(user_email COLLATE \"C\") = ANY($3) \
                 OR octet_length(user_email) > char_length(user_email)"
            }
        }
    }
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
