//! Large teams in a first pass: nobody waits for all of one, two connections
//! write at once where there are two, and a pass that was killed goes on where
//! it was.

use entra_sync::model::report::Status;
use serde_json::Value;

use crate::support::World;
use crate::support::binary::Running;
use crate::support::database::connect;
use crate::support::gate::{Gate, Side};
use crate::support::look::{group, person};
use crate::support::seed;
use crate::support::session::Session;

/// More than one transaction takes.
const MEMBERS: usize = 6_000;

/// Two groups, each with all of these people.
async fn two_large_groups(people: usize) -> World {
    let keys: Vec<String> = (0..people)
        .map(|number| format!("person-{number}"))
        .collect();
    World::new(|tenant| {
        for name in ["arts", "science"] {
            let members = keys.iter().map(String::as_str);
            tenant
                .group(name)
                .members(members)
                .assigned("internal_user");
        }
    })
    .await
}

/// All statements of the program go through the gate from now on.
async fn behind_a_gate(world: &mut World, parameters: &str) -> Gate {
    let gate = Gate::before(&world.database.url()).await;
    world.set("DATABASE_URL", format!("{}{parameters}", gate.url()));
    gate
}

async fn number(world: &World, sql: &str) -> i64 {
    let superuser = connect(&world.database.url_as("postgres")).await;
    superuser.query_one(sql, &[]).await.expect(sql).get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gets_a_large_team_between_two_of_our_transactions() {
    let keys: Vec<String> = (0..MEMBERS)
        .map(|number| format!("person-{number}"))
        .collect();
    let mut world = World::new(|tenant| {
        let members = keys.iter().map(String::as_str);
        tenant
            .group("all")
            .members(members)
            .assigned("internal_user");
    })
    .await;
    seed::user("by hand").insert(&world.database).await;
    let gate = behind_a_gate(&mut world, "").await;
    gate.stop_at_text("INSERT INTO \"LiteLLM_TeamMembership\"", Side::Before);
    let team = group("all");

    let login = async {
        // The pass has the team's lock, for the first of its transactions.
        gate.stopped().await;
        let session = Session::begin(&world.database).await;
        let lock = format!("SELECT pg_advisory_xact_lock(hashtext('{team}'))");
        tokio::join!(session.run(&lock), async {
            session.waits().await;
            gate.go_on();
        });
        let roster = world.team("all").await["members_with_roles"].clone();
        let there = roster.as_array().map_or(0, Vec::len);
        session
            .run(&format!(
                "UPDATE \"LiteLLM_UserTable\" SET teams = array_append(teams, '{team}') \
                     WHERE user_id = 'by hand'; \
                 INSERT INTO \"LiteLLM_TeamMembership\" (user_id, team_id) \
                     VALUES ('by hand', '{team}'); \
                 UPDATE \"LiteLLM_TeamTable\" SET members_with_roles = members_with_roles || \
                     '[{{\"user_id\": \"by hand\", \"user_email\": null, \"role\": \"user\"}}]' \
                     WHERE team_id = '{team}'"
            ))
            .await;
        session.commit().await;
        there
    };
    let (report, there) = tokio::join!(world.pass(), login);

    assert!(
        (1..MEMBERS).contains(&there),
        "in the middle: {there} were there when the login had the lock"
    );
    assert_eq!(report.status, Status::Succeeded, "{}", report.json());
    assert_eq!(report.changes.team_memberships.added, MEMBERS as u64);
    let transactions = "SELECT count(*) FROM entra_sync.membership_change";
    assert!(number(&world, transactions).await > 1);
    // All three copies hold everybody, or this panics.
    let mut everybody: Vec<String> = keys.iter().map(|key| person(key)).collect();
    everybody.push("by hand".to_owned());
    everybody.sort();
    assert_eq!(world.members("all").await, everybody);
    assert_eq!(world.managed("all").await.len(), MEMBERS);
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_one_connection_writes_what_two_would() {
    let mut world = two_large_groups(MEMBERS).await;
    let url = world.database.url();
    world.set("DATABASE_URL", format!("{url}?connection_limit=1"));

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.added, 2 * MEMBERS as u64);
    for name in ["arts", "science"] {
        assert_eq!(world.members(name).await.len(), MEMBERS);
        assert_eq!(world.managed(name).await.len(), MEMBERS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pass_that_is_killed_goes_on_where_it_was() {
    let mut world = two_large_groups(MEMBERS).await;
    let gate = behind_a_gate(&mut world, "").await;
    let memberships = "SELECT count(*) FROM \"LiteLLM_TeamMembership\"";
    // At the third transaction that writes members, before it is committed.
    gate.stop_at_text("INSERT INTO entra_sync.membership_change", Side::Before);
    let pass = Running::start(world.environment(), &["sync"]);
    let mut there = 0;
    while there < 2 {
        gate.stopped().await;
        there = number(&world, "SELECT count(*) FROM entra_sync.membership_change").await;
        if there < 2 {
            gate.stop_at_text("INSERT INTO entra_sync.membership_change", Side::Before);
            gate.let_through();
        }
    }
    pass.signal("KILL").await;
    assert_eq!(pass.ended().await.code, -1);
    gate.cut();
    world.database.is_left().await;
    let there = number(&world, memberships).await;
    let all = 2 * MEMBERS as i64;
    assert!((1..all).contains(&there), "{there} of {all}");
    world
        .ledger_sql("UPDATE entra_sync.lease SET expires_at = now()")
        .await;
    let before: Vec<Value> = world.database.rows("entra_sync.membership_change").await;

    let report = world.settle().await;

    let added = report.changes.team_memberships.added;
    assert_eq!(
        added,
        (all - there).unsigned_abs(),
        "what was missing, no more"
    );
    assert_eq!(report.changes.users.created, 0);
    assert_eq!(report.changes.teams.created, 0);
    assert_eq!(report.changes.team_memberships.repaired, 0);
    let after = world.database.rows("entra_sync.membership_change").await;
    let users = |rows: &[Value]| -> usize {
        let lists = rows.iter().filter_map(|row| row["user_ids"].as_array());
        lists.map(Vec::len).sum()
    };
    assert_eq!(users(&before), usize::try_from(there).expect("a count"));
    assert_eq!(users(&after), 2 * MEMBERS, "nobody was written twice");
    for name in ["arts", "science"] {
        assert_eq!(world.members(name).await.len(), MEMBERS);
        assert_eq!(world.managed(name).await.len(), MEMBERS);
    }
}
