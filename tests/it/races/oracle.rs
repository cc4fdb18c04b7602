//! What must be true of LiteLLM's rows and of ours when the race is over: judged
//! from the rows and from the proxies' books, never from what a pass reports.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::proxy::Book;
use super::{FICKLE, LOCAL, OPERATIONS, PAWNS, STEADY, WANDERERS, doomed, groups, keys};
use crate::faults;
use crate::support::World;
use crate::support::database::connect;
use crate::support::look::{group, person, text};

/// Groups and who is in them, by their keys.
pub type Members = BTreeMap<String, BTreeSet<String>>;

pub async fn members_are_right(world: &World, books: &[Book], moved: &[Members]) {
    let client = connect(&world.database.url_as("postgres")).await;
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in groups().iter().chain(&doomed()) {
        let steady = keys("steady", STEADY);
        let moved = moved.iter().filter_map(|members| members.get(key));
        let people = steady.iter().chain(moved.flatten());
        wanted.insert(group(key), people.map(|key| person(key)).collect());
    }
    let newcomers = keys("newcomer", OPERATIONS);
    let first = wanted.entry(group("group-1")).or_default();
    first.extend(newcomers.iter().map(|key| person(key)));
    // All of these are Entra's, whoever was faster, and nobody else is ours.
    assert_eq!(managed(world).await, wanted);
    wanted.entry("solo".to_owned()).or_default();
    for (team, user) in books.iter().flat_map(|book| &book.joined) {
        wanted.entry(team.clone()).or_default().insert(user.clone());
    }
    assert_eq!(faults::whole(&client).await, wanted);
}

async fn managed(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let mut managed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in world.database.rows("entra_sync.owned_team_member").await {
        let people = managed.entry(text(&row, "group_id")).or_default();
        people.insert(text(&row, "person_id"));
    }
    managed
}

/// One row for each person, no placeholder, and each sum of money.
pub async fn people_are_right(world: &World, books: &[Book]) {
    let users = world.database.rows("LiteLLM_UserTable").await;
    let expected = STEADY + FICKLE + PAWNS + WANDERERS + LOCAL + OPERATIONS;
    assert_eq!(users.len() as u64, expected);
    let mut subjects = BTreeSet::new();
    for user in &users {
        assert!(subjects.insert(text(user, "sso_user_id")), "twice: {user}");
        let id = text(user, "user_id");
        let spent = books.iter().filter_map(|book| book.user_spend.get(&id));
        assert_eq!(sum(&[user]), spent.sum::<u64>(), "{user}");
    }
}

pub async fn keys_and_spend_are_right(world: &World, books: &[Book]) {
    let mut tables = BTreeMap::new();
    for table in [
        "LiteLLM_VerificationToken",
        "LiteLLM_DeletedVerificationToken",
        "LiteLLM_TeamTable",
        "LiteLLM_DeletedTeamTable",
        "LiteLLM_TeamMembership",
        "entra_sync.taken",
    ] {
        tables.insert(table, world.database.rows(table).await);
    }
    let both = |live: &str, gone: &str| -> Vec<&Value> {
        tables[live].iter().chain(&tables[gone]).collect()
    };
    let keys = both(
        "LiteLLM_VerificationToken",
        "LiteLLM_DeletedVerificationToken",
    );
    let mut tokens: Vec<String> = keys.iter().map(|key| text(key, "token")).collect();
    tokens.sort();
    let made = books.iter().flat_map(|book| book.keys.iter().cloned());
    let mut made: Vec<String> = made.collect();
    made.sort();
    assert_eq!(tokens, made);
    let of = |spend: fn(&Book) -> u64| books.iter().map(spend).sum::<u64>();
    assert_eq!(sum(&keys), of(|book| book.key_spend), "spend of keys");
    let teams = both("LiteLLM_TeamTable", "LiteLLM_DeletedTeamTable");
    assert_eq!(sum(&teams), of(|book| book.team_spend), "spend of teams");
    let memberships: Vec<&Value> = tables["LiteLLM_TeamMembership"].iter().collect();
    let copies: Vec<&Value> = tables["entra_sync.taken"]
        .iter()
        .map(|row| &row["copy"]["membership"])
        .filter(|copy| copy.is_object())
        .collect();
    let kept = sum(&memberships) + sum(&copies) + of(|book| book.membership_spend_lost);
    assert_eq!(kept, of(|book| book.membership_spend), "spend of members");
    assert!(!copies.is_empty(), "nobody was taken out");
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole and small"
)]
fn sum(rows: &[&Value]) -> u64 {
    let spend = rows
        .iter()
        .map(|row| row["spend"].as_f64().expect("a number"));
    spend.sum::<f64>().round() as u64
}
