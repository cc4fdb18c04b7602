//! Rows of `LiteLLM_UserTable`, inserted as LiteLLM's Microsoft login inserts
//! them (litellm-contract 2c) and changed column by column.

mod activity;

use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, Nullable, Text, Timestamp};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::audit;
use super::error::{Error, Result};
use super::writing::{Insert, Writing};
use crate::db::QueryContext;
use crate::model::defaults::UserDefaults;
use crate::model::ids::UserId;
use crate::model::policy::Limit;
use crate::model::role::Role;
pub use activity::{
    Administrators, Switched, Switching, TakenAccess, change_role, deactivate, reactivate, restore,
};

/// The lock under which LiteLLM counts billable users (litellm-contract 2c).
const SEAT_LOCK: i64 = 468_530_001;

/// A user to insert.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    /// `user_id` and `sso_user_id`.
    pub user: &'a UserId,
    /// `user_email`, lower-cased.
    pub email: Option<&'a str>,
    /// `user_alias`.
    pub alias: Option<&'a str>,
    /// `user_role`.
    pub role: Role,
}

/// A user that was inserted just now.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Inserted {
    /// `user_id`.
    #[diesel(sql_type = Text)]
    pub user_id: String,
    /// `user_email`: NULL when somebody took the address meanwhile.
    #[diesel(sql_type = Nullable<Text>)]
    pub user_email: Option<String>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many more users LiteLLM admits, counted under its own lock, which this
/// transaction then holds.
///
/// # Errors
/// When the database fails.
pub async fn free_seats(connection: &mut AsyncPgConnection, seats: Limit) -> Result<u64> {
    if seats == Limit::Unlimited {
        return Ok(u64::MAX);
    }
    sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(SEAT_LOCK)
        .execute(connection)
        .await
        .doing("waiting for LiteLLM's seat lock")
        .map_err(|error| match error {
            error if error.is_lock_timeout() => Error::SeatsLocked(error),
            error => error.into(),
        })?;
    let taken: Count = sql_query(COUNT_BILLABLE)
        .get_result(connection)
        .await
        .doing("counting billable users")?;
    Ok(seats.room(taken.count.unsigned_abs()))
}

/// All users but those that SCIM deactivated.
pub(super) const COUNT_BILLABLE: &str = "SELECT count(*) AS count FROM \"LiteLLM_UserTable\" \
     WHERE (metadata -> 'scim_active') IS DISTINCT FROM 'false'::jsonb";

/// Inserts users; one that a login has inserted meanwhile is left as it is and
/// not returned. All must have the same role.
///
/// # Errors
/// When the database refuses a row; nothing of the batch is then kept.
pub async fn insert(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    defaults: &UserDefaults,
    role: Role,
    users: &[NewUser<'_>],
) -> Result<Vec<Inserted>> {
    let max_budget = defaults.max_budget_for(role);
    let duration = defaults.budget_duration_for(role);
    let reset_at = writing.reset_at(duration)?;
    // LiteLLM gives an administrator none of the default limits.
    let limited = role != Role::ProxyAdmin;
    let models: &[String] = if limited { &defaults.models } else { &[] };
    let sql = Insert::into("LiteLLM_UserTable", writing.capabilities)
        .columns(&[
            ("user_id", "n.user_id"),
            ("sso_user_id", "n.user_id"),
            // The address may have been taken since the plan was made; LiteLLM
            // finds a person by id first, so no address is better than two.
            (
                "user_email",
                "CASE WHEN NOT EXISTS (SELECT FROM \"LiteLLM_UserTable\" o \
                 WHERE lower(o.user_email) = lower(n.email)) THEN n.email END",
            ),
            ("user_alias", "n.alias"),
            ("user_role", "$4"),
            ("teams", "'{}'"),
            ("models", "$5"),
            ("metadata", "$6"),
            ("max_budget", "$7"),
            ("budget_duration", "$8"),
            ("budget_reset_at", "$9"),
            ("tpm_limit", "$10"),
            ("rpm_limit", "$11"),
            ("max_parallel_requests", "$12"),
            ("allowed_cache_controls", "'{}'"),
            ("policies", "'{}'"),
            ("model_spend", "'{}'"),
            ("model_max_budget", "'{}'"),
            ("created_at", "$13"),
            ("updated_at", "$13"),
        ])
        .select(
            "FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY \
                  AS n (user_id, email, alias, position) \
             ORDER BY n.position ON CONFLICT DO NOTHING RETURNING user_id, user_email",
        );
    let inserted: Vec<Inserted> = sql_query(sql)
        .bind::<Array<Text>, _>(users.iter().map(|u| u.user.as_str()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(users.iter().map(|u| u.email).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(users.iter().map(|u| u.alias).collect::<Vec<_>>())
        .bind::<Text, _>(role.as_str())
        .bind::<Array<Text>, _>(models)
        .bind::<Jsonb, _>(json!({ "auth_provider": "microsoft" }))
        .bind::<Nullable<Double>, _>(max_budget)
        .bind::<Nullable<Text>, _>(duration)
        .bind::<Nullable<Timestamp>, _>(reset_at)
        .bind::<Nullable<BigInt>, _>(defaults.tpm_limit.filter(|_| limited))
        .bind::<Nullable<BigInt>, _>(defaults.rpm_limit.filter(|_| limited))
        .bind::<Nullable<Integer>, _>(defaults.max_parallel_requests.filter(|_| limited))
        .bind::<Timestamp, _>(writing.stamp())
        .load(connection)
        .await
        .doing("inserting users")?;
    audit::users_created(connection, writing, &inserted).await?;
    Ok(inserted)
}

/// Columns to change in one user's row. Each is written only while it holds
/// what the plan saw.
#[derive(Debug, Clone, Copy)]
pub struct UserUpdate<'a> {
    /// The row.
    pub user: &'a UserId,
    /// `sso_user_id`, only while it is NULL.
    pub bind: Option<&'a UserId>,
    /// `user_email`: before and after.
    pub email: Option<(Option<&'a str>, Option<&'a str>)>,
    /// `user_alias`: before and after.
    pub alias: Option<(Option<&'a str>, Option<&'a str>)>,
    /// `user_role`: before and after.
    pub role: Option<(Option<Role>, Role)>,
}

/// Changes rows; returns those that still were as the plan saw them and have
/// been changed.
///
/// # Errors
/// When the database refuses a row; nothing of the batch is then kept.
pub async fn update(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    updates: &[UserUpdate<'_>],
) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Changed {
        #[diesel(sql_type = Text)]
        user_id: String,
    }
    lock(
        connection,
        &updates.iter().map(|u| u.user.as_str()).collect::<Vec<_>>(),
    )
    .await?;
    // One row for one user; a JSON object holds only the columns to change, so
    // that "leave it" and "set it to NULL" stay apart.
    let changes: Vec<serde_json::Value> = updates.iter().map(change).collect();
    let changed: Vec<Changed> = sql_query(
        "UPDATE \"LiteLLM_UserTable\" u SET \
            sso_user_id = CASE WHEN c.change ? 'sso_user_id' \
                THEN c.change #>> '{sso_user_id,after}' ELSE u.sso_user_id END, \
            user_email = CASE WHEN c.change ? 'user_email' \
                THEN c.change #>> '{user_email,after}' ELSE u.user_email END, \
            user_alias = CASE WHEN c.change ? 'user_alias' \
                THEN c.change #>> '{user_alias,after}' ELSE u.user_alias END, \
            user_role = CASE WHEN c.change ? 'user_role' \
                THEN c.change #>> '{user_role,after}' ELSE u.user_role END, \
            updated_at = $3 \
         FROM unnest($1::text[], $2::jsonb[]) AS c (user_id, change) \
         WHERE u.user_id = c.user_id \
           AND (NOT c.change ? 'sso_user_id' OR u.sso_user_id IS NULL) \
           AND (NOT c.change ? 'user_email' \
                OR u.user_email IS NOT DISTINCT FROM c.change #>> '{user_email,before}') \
           AND (NOT c.change ? 'user_alias' \
                OR u.user_alias IS NOT DISTINCT FROM c.change #>> '{user_alias,before}') \
           AND (NOT c.change ? 'user_role' \
                OR u.user_role IS NOT DISTINCT FROM c.change #>> '{user_role,before}') \
         RETURNING u.user_id",
    )
    .bind::<Array<Text>, _>(updates.iter().map(|u| u.user.as_str()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(changes)
    .bind::<Timestamp, _>(writing.stamp())
    .load(connection)
    .await
    .doing("changing users")?;
    Ok(changed.into_iter().map(|row| row.user_id).collect())
}

fn change(update: &UserUpdate<'_>) -> serde_json::Value {
    let mut change = json!({});
    if let Some(subject) = update.bind {
        change["sso_user_id"] = json!({ "before": null, "after": subject });
    }
    if let Some((before, after)) = update.email {
        change["user_email"] = json!({ "before": before, "after": after });
    }
    if let Some((before, after)) = update.alias {
        change["user_alias"] = json!({ "before": before, "after": after });
    }
    if let Some((before, after)) = update.role {
        change["user_role"] = json!({ "before": before, "after": after });
    }
    change
}

/// A user row that this transaction has locked.
#[derive(Debug, QueryableByName)]
pub(super) struct Locked {
    #[diesel(sql_type = Text)]
    pub(super) user_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) user_email: Option<String>,
}

/// Locks user rows in the one order that LiteLLM's own writers use, so that
/// nobody waits in a circle (litellm-contract 5). Returns those that exist.
///
/// NO KEY UPDATE keeps off LiteLLM's own FOR UPDATE and every UPDATE just as
/// well, but lets foreign keys be checked: an organization membership or an
/// invitation of the same user need not wait.
pub(super) async fn lock_rows(
    connection: &mut AsyncPgConnection,
    users: &[&str],
) -> Result<Vec<Locked>> {
    let locked = sql_query(
        "SELECT user_id, user_email FROM \"LiteLLM_UserTable\" WHERE user_id = ANY($1) \
         ORDER BY user_id COLLATE \"C\" FOR NO KEY UPDATE",
    )
    .bind::<Array<Text>, _>(users)
    .load(connection)
    .await
    .doing("locking user rows")?;
    Ok(locked)
}

/// The same, for who needs no more than their ids.
pub(super) async fn lock(
    connection: &mut AsyncPgConnection,
    users: &[&str],
) -> Result<Vec<String>> {
    let locked = lock_rows(connection, users).await?;
    Ok(locked.into_iter().map(|row| row.user_id).collect())
}
