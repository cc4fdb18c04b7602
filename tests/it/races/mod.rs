//! Passes run one after the other while a LiteLLM proxy works in the same
//! tables and Entra changes: nothing of the proxy's is lost or overwritten,
//! nobody is there twice, and nobody waits for us.

mod deadlocks;
mod lists;
mod oracle;
mod passes;
mod proxy;
mod waits;

use std::time::Duration;

use entra_sync::simulator::Tenant;
use tokio_util::sync::CancellationToken;

use crate::support::TestDatabase;
use crate::support::dice::Dice;
use crate::support::look::{group, person};
use crate::support::{World, seed};
use oracle::Members;
use passes::Passes;
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
/// The same, and LiteLLM writes their lists of teams from before.
const PAWNS: u64 = 4;
/// The same, and they log in just then.
const WANDERERS: u64 = 4;
/// Known to LiteLLM alone.
const LOCAL: u64 = 6;
/// Moves of those of whom it is known who comes first.
const MOVES: u64 = 16;

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
    let everybody = [
        keys("fickle", FICKLE),
        keys("pawn", PAWNS),
        keys("wanderer", WANDERERS),
    ]
    .concat();
    let first = tenant.group("group-0");
    first.members(everybody.iter().map(String::as_str));
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
            let teams = proxy.teams_of(user).await;
            proxy.take_out(user, &team, teams).await;
        } else {
            proxy.join(user, &team).await;
        }
    }
    proxy.book
}

/// People of Entra in a team that Entra does not know: their `teams` are
/// written whole, while passes move them or not.
async fn administrator(database: &TestDatabase) -> Book {
    let mut proxy = Proxy::of(database, "administrator").await;
    let mut dice = Dice::new(2);
    let people = [keys("steady", STEADY), keys("fickle", FICKLE)].concat();
    for _ in 0..OPERATIONS {
        let user = person(dice.key(&people));
        if dice.below(2) == 0 {
            let teams = proxy.teams_of(&user).await;
            proxy.take_out(&user, "solo", teams).await;
        } else {
            proxy.join(&user, "solo").await;
        }
    }
    proxy.book
}

/// LiteLLM reads somebody's list of teams, Entra moves them, a pass follows,
/// and LiteLLM writes the list: what the pass added is dropped, what it took
/// away is back.
async fn stale_lists(world: &World, passes: &Passes) -> (Book, Members) {
    let mut proxy = Proxy::of(&world.database, "stale lists").await;
    let mut there = Members::from([(
        "group-0".to_owned(),
        keys("pawn", PAWNS).into_iter().collect(),
    )]);
    for number in 0..MOVES {
        let user = format!("pawn-{}", number % PAWNS);
        let teams = proxy.teams_of(&person(&user)).await;
        proxy.join(&person(&user), "solo").await;
        if teams.contains(&group("group-3")) {
            // It goes with the membership.
            proxy.make_key_of(&person(&user), &group("group-3")).await;
        }
        flip(world, &mut there, "group-3", &user);
        passes.have_followed().await;
        proxy.take_out(&person(&user), "solo", teams).await;
    }
    (proxy.book, there)
}

/// People log in just when Entra moves them, before a pass has followed or
/// after; a login joins what Entra shows it.
async fn wandering_logins(world: &World, passes: &Passes) -> (Book, Members) {
    let mut proxy = Proxy::of(&world.database, "wandering logins").await;
    let mut dice = Dice::new(7);
    let everybody = keys("wanderer", WANDERERS).into_iter().collect();
    let mut there = Members::from([("group-0".to_owned(), everybody)]);
    for number in 0..MOVES {
        let user = format!("wanderer-{}", number % WANDERERS);
        let is_in = flip(world, &mut there, "group-2", &user);
        let waits = dice.below(2) == 0;
        if waits {
            passes.have_followed().await;
        }
        if is_in {
            proxy.log_into(&person(&user), &group("group-2")).await;
        }
        if !waits {
            // Whom no pass has ever seen there would be a member by hand.
            passes.have_followed().await;
        }
    }
    // Theirs by Entra, whoever made them.
    proxy.book.joined.clear();
    (proxy.book, there)
}

/// Moves somebody into a group, or out of it; tells whether they are in it now.
fn flip(world: &World, there: &mut Members, key: &str, user: &str) -> bool {
    let members = there.entry(key.to_owned()).or_default();
    let leaves = members.remove(user);
    if !leaves {
        members.insert(user.to_owned());
    }
    world.entra.tenant(|tenant| {
        if leaves {
            tenant.group(key).without_member(user);
        } else {
            tenant.group(key).member(user);
        }
    });
    !leaves
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

/// Newcomers log in at the very moment at which Entra lists them, and some of
/// them a little later.
async fn newcomers(world: &World, passes: &Passes) -> Book {
    let mut proxy = Proxy::of(&world.database, "newcomers").await;
    for (number, key) in keys("newcomer", OPERATIONS).iter().enumerate() {
        world.entra.tenant(|tenant| {
            tenant.group("group-1").member(key);
        });
        if number % 16 == 0 {
            passes.have_followed().await;
        }
        let email = format!("{key}@contoso.example.com");
        proxy.log_in(&person(key), &email).await;
    }
    proxy.book
}

/// Entra's members come and go; returns where everybody is in the end.
async fn entra(world: &World) -> Members {
    let mut dice = Dice::new(6);
    let everybody = keys("fickle", FICKLE).into_iter().collect();
    let mut there = Members::from([("group-0".to_owned(), everybody)]);
    for _ in 0..OPERATIONS {
        let (key, user) = (dice.key(&groups()).to_owned(), dice.below(FICKLE));
        flip(world, &mut there, &key, &format!("fickle-{user}"));
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
    let (database, passes) = (&world.database, Passes::default());
    let work = async {
        let books = tokio::join!(
            logins(database),
            administrator(database),
            stale_lists(&world, &passes),
            wandering_logins(&world, &passes),
            key_maker(database),
            spender(database),
            deleter(database),
            newcomers(&world, &passes),
            entra(&world),
        );
        stop.cancel();
        books
    };
    let running = async {
        let done = passes.run(&world, &stop).await;
        unwatched.cancel();
        done
    };
    let (books, done, waits) =
        tokio::join!(work, running, waits::watch(database, unwatched.clone()));
    let (logins, administrator, stale, wandering, keys, spent, deleted, newcomers, fickle) = books;
    let ((stale, pawns), (wandering, wanderers)) = (stale, wandering);
    println!("{done:?}\n{waits:?}");
    println!("lists {:?}, joins {:?}", stale.lists, wandering.joins);
    println!("rows {:?}, teams {}", newcomers.rows, deleted.deleted_teams);

    // A race in which one of the two always wins proves nothing.
    let lists = [stale.lists.dropped, stale.lists.revived];
    assert!(lists.iter().all(|times| *times > 0), "{:?}", stale.lists);
    assert!(administrator.lists.fresh > 0, "{:?}", administrator.lists);
    for turns in [wandering.joins, newcomers.rows] {
        assert!(turns.first > 0 && turns.second > 0, "{turns:?}");
    }
    done.shows_every_kind_of_change(deleted.deleted_teams);
    assert!(waits.looks > 20 * done.passes, "{waits:?}");
    let (second, longest) = (Duration::from_secs(1), waits.longest());
    // While the machine stands still everybody waits, and nobody looks.
    assert!(longest < second + waits.blind, "{waits:?}");
    if waits.blind < second / 2 {
        // Nor can one have been missed after which LiteLLM would have given up.
        assert!(longest + waits.blind < 2 * second, "{waits:?}");
    }

    // Whatever the race has left is healed at once, and then there is nothing.
    world.settle().await;

    let books = [
        logins,
        administrator,
        stale,
        wandering,
        keys,
        spent,
        deleted,
        newcomers,
    ];
    oracle::members_are_right(&world, &books, &[fickle, pawns, wanderers]).await;
    oracle::people_are_right(&world, &books).await;
    oracle::keys_and_spend_are_right(&world, &books).await;
}
