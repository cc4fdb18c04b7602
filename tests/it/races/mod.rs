//! Passes run one after the other while a LiteLLM proxy works in the same
//! tables and Entra changes: nothing of the proxy's is lost or overwritten,
//! nobody is there twice, and nobody waits for us.

mod proxy;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::model::report::Status;
use entra_sync::simulator::Tenant;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::database::connect;
use crate::support::dice::Dice;
use crate::support::look::{group, person, text};
use crate::support::{World, seed};
use crate::{faults, support::TestDatabase};
use proxy::{Book, Proxy};

/// Operations of each actor.
const OPERATIONS: u64 = 100;
const GROUPS: u64 = 5;
/// Groups whose teams an administrator deletes, again and again.
const DOOMED: u64 = 2;
/// Always in every group.
const STEADY: u64 = 4;
/// Now in a group, now not.
const FICKLE: u64 = 12;
/// Known to LiteLLM alone.
const LOCAL: u64 = 6;

fn groups() -> Vec<String> {
    (0..GROUPS)
        .map(|number| format!("group-{number}"))
        .collect()
}

fn doomed() -> Vec<String> {
    (0..DOOMED)
        .map(|number| format!("doomed-{number}"))
        .collect()
}

fn keys(name: &str, number: u64) -> Vec<String> {
    (0..number)
        .map(|number| format!("{name}-{number}"))
        .collect()
}

fn furnish(tenant: &mut Tenant) {
    for key in groups().iter().chain(&doomed()) {
        let steady = keys("steady", STEADY);
        let group = tenant.group(key).members(steady.iter().map(String::as_str));
        group.assigned_by_default();
    }
    let fickle = keys("fickle", FICKLE);
    let first = tenant.group("group-0");
    first.members(fickle.iter().map(String::as_str));
}

async fn world() -> World {
    let world = World::new(furnish)
        .await
        .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000);
    seed::team("solo").insert(&world.database).await;
    for key in keys("local", LOCAL) {
        seed::user(&key).insert(&world.database).await;
    }
    world.settle().await;
    world
}

async fn logins(database: &TestDatabase) -> Book {
    let mut proxy = Proxy::of(database, "logins").await;
    let mut dice = Dice::new(1);
    let (groups, local) = (groups(), keys("local", LOCAL));
    for _ in 0..OPERATIONS {
        let (user, team) = (dice.key(&local), group(dice.key(&groups)));
        if dice.below(3) == 0 {
            proxy.take_out(user, &team).await;
        } else {
            proxy.join(user, &team).await;
        }
    }
    proxy.book
}

/// People of Entra in a team that Entra does not know: their `teams` are
/// written whole.
async fn administrator(database: &TestDatabase) -> Book {
    let mut proxy = Proxy::of(database, "administrator").await;
    let mut dice = Dice::new(2);
    let steady = keys("steady", STEADY);
    for _ in 0..OPERATIONS {
        let user = person(dice.key(&steady));
        if dice.below(2) == 0 {
            proxy.take_out(&user, "solo").await;
        } else {
            proxy.join(&user, "solo").await;
        }
    }
    proxy.book
}

async fn key_maker(database: &TestDatabase) -> Book {
    let mut proxy = Proxy::of(database, "keys").await;
    let mut dice = Dice::new(3);
    let teams = [groups(), doomed()].concat();
    for _ in 0..OPERATIONS {
        proxy.make_key(&group(dice.key(&teams))).await;
    }
    proxy.book
}

async fn spender(database: &TestDatabase) -> Book {
    let mut proxy = Proxy::of(database, "spend").await;
    let mut dice = Dice::new(4);
    let teams = [groups(), doomed()].concat();
    for _ in 0..OPERATIONS {
        proxy.flush().await;
        proxy.flush_membership(&group(dice.key(&teams))).await;
    }
    proxy.book
}

async fn deleter(database: &TestDatabase) -> Book {
    let mut proxy = Proxy::of(database, "deleter").await;
    let mut dice = Dice::new(5);
    for _ in 0..OPERATIONS {
        proxy.delete_team(&group(dice.key(&doomed()))).await;
    }
    proxy.book
}

/// Newcomers log in at the very moment at which Entra lists them.
async fn newcomers(world: &World) -> Book {
    let mut proxy = Proxy::of(&world.database, "newcomers").await;
    for key in keys("newcomer", OPERATIONS) {
        world.entra.tenant(|tenant| {
            tenant.group("group-1").member(&key);
        });
        let email = format!("{key}@contoso.example.com");
        proxy.log_in(&person(&key), &email).await;
    }
    proxy.book
}

/// Entra's members come and go; in the end everybody has left group 0 who is
/// not in the returned set.
async fn entra(world: &World) -> BTreeMap<String, BTreeSet<String>> {
    let mut dice = Dice::new(6);
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    there.insert(
        "group-0".to_owned(),
        keys("fickle", FICKLE).into_iter().collect(),
    );
    for _ in 0..OPERATIONS {
        let (key, user) = (dice.key(&groups()).to_owned(), dice.below(FICKLE));
        let user = format!("fickle-{user}");
        let members = there.entry(key.clone()).or_default();
        world.entra.tenant(|tenant| {
            if members.remove(&user) {
                tenant.group(&key).without_member(&user);
            } else {
                members.insert(user.clone());
                tenant.group(&key).member(&user);
            }
        });
        let asked = world.entra.requests().graph().requests;
        crate::support::wait::wait_for("a pass that reads on", || async {
            (world.entra.requests().graph().requests > asked).then_some(())
        })
        .await;
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_at_work_loses_nothing_and_waits_for_nobody() {
    let world = world().await;
    let (stop, unwatched) = (CancellationToken::new(), CancellationToken::new());
    let database = &world.database;
    let work = async {
        let books = tokio::join!(
            logins(database),
            administrator(database),
            key_maker(database),
            spender(database),
            deleter(database),
            newcomers(&world),
            entra(&world),
        );
        stop.cancel();
        books
    };
    let passes = async {
        let mut ended: BTreeMap<String, u64> = BTreeMap::new();
        while !stop.is_cancelled() {
            let (report, error) = world.try_pass().await;
            assert!(report.status != Status::Failed, "{error:?}");
            for error in &report.errors {
                println!("{error:?}");
            }
            *ended.entry(format!("{:?}", report.status)).or_default() += 1;
        }
        unwatched.cancel();
        ended
    };
    let (books, ended, waits) =
        tokio::join!(work, passes, waits::watch(database, unwatched.clone()));
    let (logins, administrator, keys, spent, deleted, newcomers, fickle) = books;
    println!("passes: {ended:?}; waits: {waits:?}");
    let books = [logins, administrator, keys, spent, deleted, newcomers];
    assert!(waits.longest.as_secs_f64() < 1.0, "{waits:?}");

    world.settle().await;

    members_are_right(&world, &books, fickle).await;
    people_are_right(&world, &books).await;
    keys_and_spend_are_right(&world, &books).await;
}

async fn members_are_right(
    world: &World,
    books: &[Book],
    fickle: BTreeMap<String, BTreeSet<String>>,
) {
    let client = connect(&world.database.url_as("postgres")).await;
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in groups().iter().chain(&doomed()) {
        let steady = keys("steady", STEADY);
        let people = steady.iter().chain(fickle.get(key).into_iter().flatten());
        wanted.insert(group(key), people.map(|key| person(key)).collect());
    }
    let newcomers = keys("newcomer", OPERATIONS);
    let first = wanted.entry(group("group-1")).or_default();
    first.extend(newcomers.iter().map(|key| person(key)));
    wanted.entry("solo".to_owned()).or_default();
    for (team, user) in books.iter().flat_map(|book| &book.joined) {
        wanted.entry(team.clone()).or_default().insert(user.clone());
    }
    assert_eq!(faults::whole(&client).await, wanted);
}

async fn people_are_right(world: &World, books: &[Book]) {
    let users = world.database.rows("LiteLLM_UserTable").await;
    let expected = STEADY + FICKLE + LOCAL + OPERATIONS;
    assert_eq!(users.len() as u64, expected);
    let mut subjects = BTreeSet::new();
    for user in &users {
        assert!(subjects.insert(text(user, "sso_user_id")), "twice: {user}");
        let id = text(user, "user_id");
        let spent = books.iter().filter_map(|book| book.user_spend.get(&id));
        assert_eq!(sum(&[user]), spent.sum::<u64>(), "{user}");
    }
}

async fn keys_and_spend_are_right(world: &World, books: &[Book]) {
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
    assert_eq!(tokens, made.collect::<Vec<_>>());
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
