//! What a LiteLLM proxy does in its database, statement by statement as it
//! does it (litellm-contract 2 and 5), and a book of what it did.
//!
//! Invariant: only what was committed is in the book.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::TestDatabase;
use crate::support::database::connect;

/// What one proxy wrote, to be looked for in the end.
#[derive(Default)]
pub struct Book {
    /// Teams and users: put in, and not taken out again.
    pub joined: BTreeSet<(String, String)>,
    pub keys: BTreeSet<String>,
    pub user_spend: BTreeMap<String, u64>,
    pub team_spend: u64,
    pub key_spend: u64,
    pub membership_spend: u64,
    /// Spend of memberships that went with a team that the proxy deleted.
    pub membership_spend_lost: u64,
    /// Of the lists of teams that it wrote whole.
    pub lists: Lists,
    /// Memberships of logins: made by them, or there before them.
    pub joins: Turns,
    /// Rows of logins, likewise.
    pub rows: Turns,
    pub deleted_teams: u64,
}

/// Whole lists of teams that were written from an earlier reading.
#[derive(Debug, Default, Clone, Copy)]
pub struct Lists {
    /// Nobody else had changed the list since.
    pub fresh: u64,
    /// Teams that somebody had added since, and the write took away.
    pub dropped: u64,
    /// Teams that somebody had taken away since, and the write brought back.
    pub revived: u64,
}

/// Who came first where two want the same.
#[derive(Debug, Default, Clone, Copy)]
pub struct Turns {
    pub first: u64,
    pub second: u64,
}

/// One connection of a proxy.
pub struct Proxy {
    client: Client,
    pub book: Book,
    keys: u64,
    name: String,
}

impl Proxy {
    pub async fn of(database: &TestDatabase, name: &str) -> Self {
        Self {
            client: connect(&database.url_as("litellm")).await,
            book: Book::default(),
            keys: 0,
            name: name.to_owned(),
        }
    }

    async fn run(&self, sql: &str) {
        let ran = self.client.batch_execute(sql).await;
        ran.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", self.name));
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.client.query(sql, &[]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", self.name));
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn changes(&self, sql: &str) -> u64 {
        let changed = self.client.execute(sql, &[]).await;
        changed.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", self.name))
    }

    /// Begins, takes the team's lock, and reads its roster; ends again when
    /// there is no such team.
    async fn begin_with(&self, team: &str) -> Option<Vec<Value>> {
        self.run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtext('{team}'))"
        ))
        .await;
        let sql = format!(
            "SELECT members_with_roles::text FROM \"LiteLLM_TeamTable\" WHERE team_id = '{team}'"
        );
        let Some(roster) = self.texts(&sql).await.pop() else {
            self.run("ROLLBACK").await;
            return None;
        };
        let roster: Value = serde_json::from_str(&roster).expect("JSON");
        Some(roster.as_array().cloned().unwrap_or_default())
    }

    async fn write_roster(&self, team: &str, roster: Vec<Value>) {
        let roster = Value::Array(roster);
        self.run(&format!(
            "UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = '{roster}', \
             updated_at = now() AT TIME ZONE 'UTC' WHERE team_id = '{team}'"
        ))
        .await;
    }

    /// A login joins the team of a group that Entra showed it, unless the user's
    /// `teams` name it.
    pub async fn log_into(&mut self, user: &str, team: &str) {
        if self.teams_of(user).await.iter().any(|named| named == team) {
            self.book.joins.second += 1;
            return;
        }
        let joined = self.join(user, team).await;
        self.book.joins.first += u64::from(joined);
        self.book.joins.second += u64::from(!joined);
    }

    /// Adds a member to a team; tells whether it was not one.
    pub async fn join(&mut self, user: &str, team: &str) -> bool {
        let Some(mut roster) = self.begin_with(team).await else {
            return false;
        };
        if roster.iter().any(|entry| entry["user_id"] == user) {
            self.run("ROLLBACK").await;
            return false;
        }
        let there = self
            .texts(&format!(
                "SELECT user_id FROM \"LiteLLM_UserTable\" WHERE user_id = '{user}' \
                 ORDER BY user_id COLLATE \"C\" FOR UPDATE"
            ))
            .await;
        assert_eq!(there, [user], "a login has a row");
        self.run(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET teams = array_append(COALESCE(teams, '{{}}'), '{team}') \
                 WHERE user_id = '{user}' AND NOT ('{team}' = ANY(COALESCE(teams, '{{}}'))); \
             INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) VALUES ('{user}', '{team}') \
                 ON CONFLICT (user_id, team_id) DO NOTHING"
        ))
        .await;
        roster.push(json!({ "user_id": user, "user_email": null, "role": "user" }));
        self.write_roster(team, roster).await;
        self.run("COMMIT").await;
        self.book.joined.insert((team.to_owned(), user.to_owned()));
        true
    }

    /// The list that a whole write is made from.
    pub async fn teams_of(&self, user: &str) -> Vec<String> {
        self.texts(&format!(
            "SELECT unnest(teams) FROM \"LiteLLM_UserTable\" WHERE user_id = '{user}'"
        ))
        .await
    }

    /// An administrator takes a member out of a team: `teams` is written whole,
    /// from what was read before the lock, as `/team/member_delete` does.
    pub async fn take_out(&mut self, user: &str, team: &str, mut teams: Vec<String>) {
        let Some(mut roster) = self.begin_with(team).await else {
            return;
        };
        roster.retain(|entry| entry["user_id"] != user);
        self.write_roster(team, roster).await;
        // The write that follows waits for the row as well; this only looks.
        self.run(&format!(
            "SELECT FROM \"LiteLLM_UserTable\" WHERE user_id = '{user}' FOR UPDATE"
        ))
        .await;
        let mut now = self.teams_of(user).await;
        for list in [&mut teams, &mut now] {
            list.retain(|listed| listed != team);
        }
        let lacking = |list: &[String], of: &[String]| {
            of.iter().filter(|team| !list.contains(team)).count() as u64
        };
        let lists = &mut self.book.lists;
        let (dropped, revived) = (lacking(&teams, &now), lacking(&now, &teams));
        lists.dropped += dropped;
        lists.revived += revived;
        lists.fresh += u64::from(dropped + revived == 0);
        let teams = teams.join(",");
        self.run(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET teams = '{{{teams}}}' WHERE user_id = '{user}'; \
             DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = '{user}' AND team_id = '{team}'; \
             COMMIT"
        ))
        .await;
        self.book.joined.remove(&(team.to_owned(), user.to_owned()));
    }

    /// A member makes a key for a team; nobody locks anything for it.
    pub async fn make_key(&mut self, team: &str) {
        let sql = format!(
            "SELECT user_id FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{team}' \
             ORDER BY random() LIMIT 1"
        );
        let Some(user) = self.texts(&sql).await.pop() else {
            return;
        };
        self.make_key_of(&user, team).await;
    }

    /// This one does.
    pub async fn make_key_of(&mut self, user: &str, team: &str) {
        self.keys += 1;
        let token = format!("{}-{}", self.name, self.keys);
        self.run(&format!(
            "INSERT INTO \"LiteLLM_VerificationToken\" (token, user_id, team_id, models) \
             VALUES ('{token}', '{user}', '{team}', '{{}}')"
        ))
        .await;
        self.book.keys.insert(token);
    }

    /// A flush of what was spent: a few users in one transaction, in ascending
    /// order, then a team, then a key.
    pub async fn flush(&mut self) {
        let users = self
            .texts(
                "SELECT user_id FROM (SELECT user_id FROM \"LiteLLM_UserTable\" \
                 ORDER BY random() LIMIT 4) u ORDER BY user_id COLLATE \"C\"",
            )
            .await;
        let team = self
            .texts("SELECT team_id FROM \"LiteLLM_TeamTable\" ORDER BY random() LIMIT 1")
            .await;
        let key = self
            .texts("SELECT token FROM \"LiteLLM_VerificationToken\" ORDER BY random() LIMIT 1")
            .await;
        self.run("BEGIN").await;
        for user in &users {
            let done = self
                .changes(&format!(
                    "UPDATE \"LiteLLM_UserTable\" SET spend = spend + 1, \
                     updated_at = now() AT TIME ZONE 'UTC' WHERE user_id = '{user}'"
                ))
                .await;
            *self.book.user_spend.entry(user.clone()).or_default() += done;
        }
        self.run("COMMIT").await;
        for team in &team {
            self.book.team_spend += self
                .changes(&format!(
                    "UPDATE \"LiteLLM_TeamTable\" SET spend = spend + 1 WHERE team_id = '{team}'"
                ))
                .await;
        }
        for key in &key {
            self.book.key_spend += self
                .changes(&format!(
                    "UPDATE \"LiteLLM_VerificationToken\" SET spend = spend + 1 WHERE token = '{key}'"
                ))
                .await;
        }
    }

    /// A flush of a member's spend: under the team's lock, and only of who is
    /// on the roster; a membership row that is missing is made.
    pub async fn flush_membership(&mut self, team: &str) {
        let Some(roster) = self.begin_with(team).await else {
            return;
        };
        for user in roster.iter().take(3).filter_map(|e| e["user_id"].as_str()) {
            self.book.membership_spend += self
                .changes(&format!(
                    "INSERT INTO \"LiteLLM_TeamMembership\" AS m (user_id, team_id, spend) \
                     VALUES ('{user}', '{team}', 1) \
                     ON CONFLICT (user_id, team_id) DO UPDATE SET spend = m.spend + 1"
                ))
                .await;
        }
        self.run("COMMIT").await;
    }

    /// An administrator deletes a team.
    pub async fn delete_team(&mut self, team: &str) {
        if self.begin_with(team).await.is_none() {
            return;
        }
        let copy = |from: &str, to: &str, which: &str| {
            format!(
                "DO $$ DECLARE shared text; BEGIN \
                     SELECT string_agg(format('%I', a.column_name), ', ') INTO shared \
                     FROM information_schema.columns a JOIN information_schema.columns b \
                         ON b.column_name = a.column_name AND b.table_name = '{to}' \
                     WHERE a.table_name = '{from}' AND a.table_schema = 'public' \
                         AND b.table_schema = 'public'; \
                     EXECUTE format('INSERT INTO public.%I (id, %s) \
                         SELECT gen_random_uuid()::text, %s FROM public.%I WHERE {which}', \
                         '{to}', shared, shared, '{from}'); \
                 END $$"
            )
        };
        let tokens = self
            .texts(&format!(
                "SELECT k.token FROM \"LiteLLM_VerificationToken\" k WHERE k.team_id = '{team}' \
                 AND k.user_id IN (SELECT e ->> 'user_id' FROM \"LiteLLM_TeamTable\" t, \
                     jsonb_array_elements(t.members_with_roles) e WHERE t.team_id = '{team}') \
                 ORDER BY k.token COLLATE \"C\" FOR UPDATE OF k"
            ))
            .await;
        let which = format!("token = ANY (''{{{}}}'')", tokens.join(","));
        self.run(&copy(
            "LiteLLM_VerificationToken",
            "LiteLLM_DeletedVerificationToken",
            &which,
        ))
        .await;
        let which = which.replace("''", "'");
        self.run(&format!(
            "DELETE FROM \"LiteLLM_VerificationToken\" WHERE {which}; \
             SELECT FROM \"LiteLLM_TeamTable\" WHERE team_id = '{team}' FOR UPDATE"
        ))
        .await;
        let of_team = format!("team_id = ''{team}''");
        self.run(&copy(
            "LiteLLM_TeamTable",
            "LiteLLM_DeletedTeamTable",
            &of_team,
        ))
        .await;
        self.run(&format!(
            "DELETE FROM \"LiteLLM_TeamTable\" WHERE team_id = '{team}'; \
             SELECT FROM \"LiteLLM_UserTable\" WHERE '{team}' = ANY(teams) \
                 ORDER BY user_id COLLATE \"C\" FOR UPDATE; \
             UPDATE \"LiteLLM_UserTable\" SET teams = array_remove(teams, '{team}') \
                 WHERE '{team}' = ANY(teams)"
        ))
        .await;
        let lost = self
            .texts(&format!(
                "DELETE FROM \"LiteLLM_TeamMembership\" WHERE team_id = '{team}' \
                 RETURNING round(spend)::bigint::text"
            ))
            .await;
        self.run("COMMIT").await;
        self.book.deleted_teams += 1;
        let lost = lost
            .iter()
            .map(|spend| spend.parse::<u64>().expect("a number"));
        self.book.membership_spend_lost += lost.sum::<u64>();
    }

    /// A login inserts its row, or finds that somebody was faster.
    pub async fn log_in(&mut self, user: &str, email: &str) {
        let inserted = self
            .client
            .execute(
                &format!(
                    "INSERT INTO \"LiteLLM_UserTable\" \
                         (user_id, sso_user_id, user_email, user_role, teams, models, metadata) \
                     VALUES ('{user}', '{user}', '{email}', 'internal_user_viewer', '{{}}', '{{}}', \
                             '{{\"auth_provider\": \"microsoft\"}}')"
                ),
                &[],
            )
            .await;
        self.book.rows.first += u64::from(inserted.is_ok());
        self.book.rows.second += u64::from(inserted.is_err());
        if let Err(error) = inserted {
            assert_eq!(error.code(), Some(&SqlState::UNIQUE_VIOLATION), "{error:?}");
        }
        let sql = format!("SELECT user_id FROM \"LiteLLM_UserTable\" WHERE sso_user_id = '{user}'");
        assert_eq!(self.texts(&sql).await, [user], "the login finds itself");
    }
}
