//! Who LiteLLM's login has verified to be which user.
//!
//! Object ids are unique in all tenants, so the tenant need not be compared;
//! the setting may be a domain name while LiteLLM stores the id. Somebody who
//! is several users, by different issuers, is the first of them.

use std::collections::{BTreeMap, HashMap};

use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Interest, TextArray, Way, any};
use crate::db::QueryContext;
use crate::litellm::capabilities::Capabilities;
use crate::litellm::error::Result;
use crate::model::ids::{PersonId, UserId};
use crate::model::target::UserRow;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    oid: String,
    #[diesel(sql_type = Text)]
    user_id: String,
}

const SELECT: &str =
    "SELECT oid, user_id FROM \"LiteLLM_VerifiedSubject\" WHERE user_id IS NOT NULL";

/// Those of people of interest, and perhaps others.
pub(super) async fn read(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    interest: &Interest,
    way: Way,
) -> Result<HashMap<PersonId, UserId>> {
    if !capabilities.has_table("LiteLLM_VerifiedSubject") {
        return Ok(HashMap::new());
    }
    let rows: Vec<Row> = match way {
        Way::Streaming => sql_query(SELECT).load(connection).await,
        Way::Asking => {
            let ids: Vec<String> = interest.people.iter().map(ToString::to_string).collect();
            sql_query(format!("{SELECT} AND lower(oid COLLATE \"C\") = ANY($1)"))
                .bind::<TextArray, _>(ids)
                .load(connection)
                .await
        }
    }
    .doing("reading LiteLLM's verified subjects")?;
    Ok(by_person(rows))
}

/// Those of anybody who is one of these users; `read` is what was read before.
pub(super) async fn of_users(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    read: HashMap<PersonId, UserId>,
    users: &BTreeMap<UserId, UserRow>,
    way: Way,
) -> Result<HashMap<PersonId, UserId>> {
    let mut verified = read;
    if way == Way::Asking && capabilities.has_table("LiteLLM_VerifiedSubject") {
        // Every row of such a person, or they would seem to be another user.
        let rows: Vec<Row> = sql_query(format!(
            "{SELECT} AND lower(oid COLLATE \"C\") = ANY(ARRAY( \
                SELECT lower(oid COLLATE \"C\") FROM \"LiteLLM_VerifiedSubject\" \
                WHERE user_id = ANY($1)))"
        ))
        .bind::<TextArray, _>(any(users.keys(), UserId::as_str))
        .load(connection)
        .await
        .doing("reading LiteLLM's verified subjects")?;
        verified = by_person(rows);
    }
    verified.retain(|_, user| users.contains_key(user));
    Ok(verified)
}

fn by_person(rows: Vec<Row>) -> HashMap<PersonId, UserId> {
    let mut verified: HashMap<PersonId, UserId> = HashMap::with_capacity(rows.len());
    for row in rows {
        let Ok(person) = row.oid.to_lowercase().parse() else {
            continue;
        };
        let user = UserId::new(row.user_id);
        match verified.get(&person) {
            Some(first) if *first <= user => {}
            _ => drop(verified.insert(person, user)),
        }
    }
    verified
}
