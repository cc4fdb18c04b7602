//! What must be true however a pass ended: nobody who is wanted lost anything,
//! nobody who is not wanted got anything, and every copy says the same.
//!
//! Invariant: judged from the rows alone, never from what the program reports.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_postgres::Client;

use super::seasons::{GUEST, LOBBY, Seasons, Wanted};
use crate::support::World;
use crate::support::database::{connect, rows};
use crate::support::look::{group, text};
use crate::support::wait::wait_for;

type Sets = BTreeMap<String, BTreeSet<String>>;

/// LiteLLM's rows and ours, as one reading.
pub struct Standing {
    /// Team and users, in all three copies.
    members: Sets,
    organization_members: Sets,
    keys: BTreeSet<String>,
    tombstones: BTreeSet<String>,
    /// Of which memberships, and of which teams, there are copies.
    copies: BTreeSet<(Option<String>, Option<String>)>,
}

impl Standing {
    /// Reads everything, and panics when copies contradict each other.
    pub async fn of(world: &World) -> Self {
        let client = connect(&world.database.url_as("postgres")).await;
        let members = whole(&client).await;
        let live = rows(&client, "LiteLLM_VerificationToken").await;
        let gone = rows(&client, "LiteLLM_DeletedVerificationToken").await;
        keys_fit(&live, &members);
        access_is_whole(&client, &live).await;
        ownership_is_true(&client, &members).await;
        for row in rows(&client, "LiteLLM_AccessGroupTable").await {
            let named = row["assigned_team_ids"].as_array().into_iter().flatten();
            let mut named = named.filter_map(Value::as_str);
            assert!(named.all(|team| members.contains_key(team)), "{row}");
        }
        for row in rows(&client, "LiteLLM_JWTKeyMapping").await {
            let there = live.iter().any(|key| key["token"] == row["token"]);
            assert!(there, "a mapping to no key: {row}");
        }
        Self {
            organization_members: sets(
                &rows(&client, "LiteLLM_OrganizationMembership").await,
                "organization_id",
            ),
            members,
            keys: tokens(&live),
            tombstones: tokens(&gone),
            copies: rows(&client, "entra_sync.taken")
                .await
                .iter()
                .filter(|row| !row["copy"].is_null())
                .map(|row| [&row["parent_id"], &row["user_id"]])
                .map(|ids| ids.map(|id| id.as_str().map(str::to_owned)))
                .map(|[parent, user]| (parent, user))
                .collect(),
        }
    }

    /// Who is in which team.
    pub fn teams(&self) -> Wanted {
        self.members.clone()
    }

    /// Whether what was lost and won since `before` is what Entra asked for, in
    /// whole or in part.
    pub fn follows(&self, before: &Self, wanted: &Wanted, what: &str) {
        let is_wanted = |team: &String, user: &String| {
            wanted.get(team).is_some_and(|users| users.contains(user))
        };
        for (team, user) in without(&before.members, &self.members) {
            let stays = is_wanted(&team, &user) || team == LOBBY || user == GUEST;
            assert!(!stays, "{what}: {user} lost team {team}");
            let copied = |user| self.copies.contains(&(Some(team.clone()), user));
            let kept = copied(Some(user.clone())) || copied(None);
            assert!(kept, "{what}: no copy of what {user} had in {team}");
        }
        for (team, user) in without(&self.members, &before.members) {
            let comes = is_wanted(&team, &user) || team == LOBBY;
            assert!(comes, "{what}: {user} got team {team}");
        }
        for team in before.members.keys() {
            let kept = self.members.contains_key(team) || !wanted.contains_key(team);
            assert!(kept, "{what}: team {team} is gone");
        }
        let organizations = [&before.organization_members, &self.organization_members];
        for (organization, user) in without(organizations[0], organizations[1]) {
            let stays = is_wanted(&organization, &user);
            assert!(!stays, "{what}: {user} lost organization {organization}");
        }
        for (organization, user) in without(organizations[1], organizations[0]) {
            let comes = is_wanted(&organization, &user);
            assert!(comes, "{what}: {user} got organization {organization}");
        }
        // Every key is there or a tombstone, never both.
        let all = |standing: &Self| -> Vec<String> {
            let mut all: Vec<String> = standing.keys.iter().cloned().collect();
            all.extend(standing.tombstones.iter().cloned());
            all.sort();
            all
        };
        assert_eq!(all(before), all(self), "{what}: keys");
    }

    /// Whether a pass did all that the season asked for.
    pub fn is_settled(&self, wanted: &Wanted, what: &str) {
        let mut teams = wanted.clone();
        let lobby = self.members.get(LOBBY).cloned().unwrap_or_default();
        teams.insert(LOBBY.to_owned(), lobby);
        let staff = teams.entry(group("staff")).or_default();
        staff.insert(GUEST.to_owned());
        assert_eq!(self.members, teams, "{what}");
        // An organization stays when its group's team goes.
        let mut left = self.organization_members.clone();
        left.retain(|_, users| !users.is_empty());
        assert_eq!(&left, wanted, "{what}: organizations");
    }
}

/// What the program has open in the database, as PostgreSQL sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Runs that have begun and not ended.
    pub open_runs: i64,
    /// Whether any transaction is open.
    pub in_transaction: bool,
    /// Tables that open transactions have written.
    pub writes: BTreeSet<String>,
}

impl Moment {
    pub async fn of(world: &World) -> Self {
        let client = connect(&world.database.url_as("postgres")).await;
        let row = client
            .query_one(
                "WITH busy AS ( \
                     SELECT pid FROM pg_stat_activity WHERE usename = 'entra_sync' \
                       AND datname = current_database() AND state <> 'idle') \
                 SELECT (SELECT count(*) FROM entra_sync.run WHERE finished_at IS NULL), \
                        EXISTS (SELECT FROM busy), \
                        ARRAY(SELECT DISTINCT relname::text FROM busy JOIN pg_locks USING (pid) \
                              JOIN pg_class ON pg_class.oid = relation AND relkind = 'r' \
                              WHERE mode = 'RowExclusiveLock')",
                &[],
            )
            .await
            .expect("what is open");
        Self {
            open_runs: row.get(0),
            in_transaction: row.get(1),
            writes: row.get::<_, Vec<String>>(2).into_iter().collect(),
        }
    }
}

impl Seasons {
    /// What a pass that was disturbed left is sound, and the next one heals it.
    pub async fn recovers(&self, before: &Standing, what: &str) {
        self.is_quiet().await;
        let wanted = self.wanted();
        let after = Standing::of(&self.world).await;
        after.follows(before, &wanted, what);
        self.heals(what).await;
        let healed = Standing::of(&self.world).await;
        healed.follows(&after, &wanted, what);
        healed.is_settled(&wanted, what);
    }

    /// Waits until PostgreSQL has ended whatever the program had begun.
    pub async fn is_quiet(&self) {
        let client = connect(&self.world.database.url_as("postgres")).await;
        wait_for("the program's transactions to end", || async {
            let busy = client
                .query_one(
                    "SELECT count(*) FROM pg_stat_activity \
                     WHERE usename = 'entra_sync' AND datname = current_database() \
                       AND state <> 'idle'",
                    &[],
                )
                .await
                .expect("who is busy");
            (busy.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }

    /// As if the killed holder's time had run out.
    pub async fn free_the_lease(&self) {
        free_the_lease(&self.world).await;
    }
}

/// The same in a world without seasons.
pub async fn free_the_lease(world: &World) {
    world
        .ledger_sql("UPDATE entra_sync.lease SET expires_at = now() - interval '1 second'")
        .await;
}

fn without(of: &Sets, other: &Sets) -> Vec<(String, String)> {
    let there =
        |team: &String, user: &String| other.get(team).is_some_and(|users| users.contains(user));
    of.iter()
        .flat_map(|(team, users)| users.iter().map(move |user| (team.clone(), user.clone())))
        .filter(|(team, user)| !there(team, user))
        .collect()
}

fn sets(rows: &[Value], parent: &str) -> Sets {
    let mut sets = Sets::new();
    for row in rows {
        let users = sets.entry(text(row, parent)).or_default();
        assert!(users.insert(text(row, "user_id")), "twice: {row}");
    }
    sets
}

fn tokens(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| text(row, "token")).collect()
}

/// Rosters, `teams` arrays and membership rows say the same.
pub async fn whole(client: &Client) -> Sets {
    let mut rosters = Sets::new();
    for row in rows(client, "LiteLLM_TeamTable").await {
        let team = text(&row, "team_id");
        let users = rosters.entry(team.clone()).or_default();
        for entry in row["members_with_roles"].as_array().into_iter().flatten() {
            let user = text(entry, "user_id");
            assert!(users.insert(user), "twice on the roster of {team}: {entry}");
        }
    }
    let mut arrays = Sets::new();
    for row in rows(client, "LiteLLM_UserTable").await {
        let user = text(&row, "user_id");
        for team in row["teams"].as_array().into_iter().flatten() {
            let team = team.as_str().expect("an id").to_owned();
            let users = arrays.entry(team).or_default();
            assert!(users.insert(user.clone()), "a team twice: {row}");
        }
    }
    let memberships = sets(&rows(client, "LiteLLM_TeamMembership").await, "team_id");
    let mut peopled = rosters.clone();
    peopled.retain(|_, users| !users.is_empty());
    assert_eq!(peopled, arrays, "rosters and users' teams");
    assert_eq!(peopled, memberships, "rosters and TeamMembership");
    rosters
}

/// No key of a team belongs to somebody who is not in it.
fn keys_fit(live: &[Value], members: &Sets) {
    for key in live {
        if let Some(team) = key["team_id"].as_str() {
            let user = text(key, "user_id");
            let fits = members.get(team).is_some_and(|users| users.contains(&user));
            assert!(fits, "a key of nobody's: {key}");
        }
    }
}

/// Who is deactivated has no open key, and who is not has none of our blocks;
/// nobody is a placeholder, or there twice.
async fn access_is_whole(client: &Client, keys: &[Value]) {
    let mut subjects = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for user in rows(client, "LiteLLM_UserTable").await {
        let subject = user["sso_user_id"].as_str();
        let subject = subject.unwrap_or_else(|| panic!("a placeholder: {user}"));
        assert!(subjects.insert(subject.to_owned()), "there twice: {user}");
        if let Some(address) = user["user_email"].as_str() {
            assert!(addresses.insert(address.to_lowercase()), "twice: {user}");
        }
        let ended = user["metadata"]["scim_active"] == false;
        for key in keys.iter().filter(|key| key["user_id"] == user["user_id"]) {
            let marked = key["metadata"]["scim_blocked"] == true;
            let blocked = key["blocked"] == true;
            assert_eq!((ended, ended), (marked, blocked), "{key} of {user}");
        }
    }
}

/// What the ledger calls ours is there.
async fn ownership_is_true(client: &Client, members: &Sets) {
    for row in rows(client, "entra_sync.owned_team_member").await {
        let (team, user) = (text(&row, "group_id"), text(&row, "person_id"));
        let there = members
            .get(&team)
            .is_some_and(|users| users.contains(&user));
        assert!(there, "managed, but not there: {row}");
    }
}
