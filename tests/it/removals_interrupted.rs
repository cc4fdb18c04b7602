//! A program that is killed or stopped while it takes away, and a database
//! that refuses: nothing is torn, and the next pass heals.

use entra_sync::simulator::Tenant;
use serde_json::Value;

use crate::daemon_signals::assert_whole;
use crate::support::binary::{Running, entra_sync};
use crate::support::database::connect;
use crate::support::look::{group, people, person, text};
use crate::support::wait::wait_for;
use crate::support::{World, seed, tables};

const GROUPS: u64 = 12;
const PEOPLE: u64 = 60;

/// A generator that is enough for a test: its seed is printed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn group_key(number: u64) -> String {
    format!("group-{number}")
}

fn person_key(number: u64) -> String {
    format!("person-{number}")
}

fn everybody(tenant: &mut Tenant) {
    for number in 0..GROUPS {
        for person in 0..PEOPLE / 2 {
            let person = person_key((number * 7 + person) % PEOPLE);
            tenant.group(&group_key(number)).member(&person);
        }
        tenant.group(&group_key(number)).assigned_by_default();
    }
}

async fn unguarded(furnish: impl FnOnce(&mut Tenant)) -> World {
    World::new(furnish)
        .await
        .with("ENTRA_SYNC__GUARD__MAX_REMOVALS", 1_000_000)
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
        .with("ENTRA_SYNC__GUARD__MIN_MANAGED", 1_000_000)
        .with("ENTRA_SYNC__SCHEDULE__LEASE", "5s")
}

/// A key of every member of every team that has none.
async fn hand_out_keys(world: &World, round: u64) {
    world
        .sql(&format!(
            "INSERT INTO \"LiteLLM_VerificationToken\" (token, user_id, team_id, models) \
             SELECT 'k-{round}-' || user_id || team_id, user_id, team_id, '{{}}' \
             FROM \"LiteLLM_TeamMembership\" m WHERE NOT EXISTS ( \
                SELECT FROM \"LiteLLM_VerificationToken\" k \
                WHERE k.user_id = m.user_id AND k.team_id = m.team_id)"
        ))
        .await;
}

/// Every key ever made is there or a tombstone, once, and none is a leaver's.
async fn assert_keys(world: &World, made: &mut Vec<String>) {
    let tokens =
        |rows: &[Value]| -> Vec<String> { rows.iter().map(|row| text(row, "token")).collect() };
    let live = world.database.rows("LiteLLM_VerificationToken").await;
    let gone = world
        .database
        .rows("LiteLLM_DeletedVerificationToken")
        .await;
    let mut found = [tokens(&live), tokens(&gone)].concat();
    found.sort();
    made.sort();
    assert_eq!(&found, made);
    let members = world.database.rows("LiteLLM_TeamMembership").await;
    for key in &live {
        assert!(
            members
                .iter()
                .any(|member| member["user_id"] == key["user_id"]
                    && member["team_id"] == key["team_id"]),
            "a key of nobody's: {key}"
        );
    }
}

/// Some leave, some come back.
fn shuffle(world: &World, dice: &mut Dice) {
    world.entra.tenant(|tenant| {
        for number in 0..GROUPS {
            for person in 0..PEOPLE {
                let (group, person) = (group_key(number), person_key(person));
                match dice.below(3) {
                    0 => {
                        tenant.group(&group).without_member(&person);
                    }
                    1 => {
                        tenant.group(&group).member(&person);
                    }
                    _ => {}
                }
            }
        }
    });
}

async fn free_the_lease(world: &World) {
    world
        .ledger_sql("UPDATE entra_sync.lease SET expires_at = now() - interval '1 second'")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_of_a_removing_pass_tear_nothing() {
    let world = unguarded(everybody).await;
    world.settle().await;
    let mut made: Vec<String> = Vec::new();
    let mut cut_short = 0;
    for round in 0..20 {
        let seed = 0x5eed + round;
        let mut dice = Dice(seed);
        hand_out_keys(&world, round).await;
        for row in world.database.rows("LiteLLM_VerificationToken").await {
            let token = text(&row, "token");
            if !made.contains(&token) {
                made.push(token);
            }
        }
        shuffle(&world, &mut dice);
        let taken = world.count("entra_sync.taken").await;
        let enough = taken + dice.below(60) as usize;
        let program = Running::start(world.environment(), &["sync"]);
        wait_for("some removals, or the end", || async {
            let done = world.count("entra_sync.taken").await >= enough;
            (done || program.stderr().contains("finished")).then_some(())
        })
        .await;
        program.signal("KILL").await;
        let code = program.ended().await.code;
        cut_short += usize::from(code == -1);
        println!("seed {seed:#x}: killed after {enough} removals, exit code {code}");
        assert_whole(&world).await;
        assert_keys(&world, &mut made).await;
        free_the_lease(&world).await;
        world.settle().await;
        assert_whole(&world).await;
        assert_keys(&world, &mut made).await;
    }
    assert!(cut_short >= 5, "only {cut_short} were killed in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_stopped_in_the_middle_takes_nothing_after_another_took_over() {
    let world = unguarded(everybody).await;
    world.settle().await;
    let mut dice = Dice(0xbad);
    shuffle(&world, &mut dice);
    let first = Running::start(world.environment(), &["sync"]);
    wait_for("a removal", || async {
        (world.count("entra_sync.taken").await > 0).then_some(())
    })
    .await;
    first.signal("STOP").await;
    let before = world.count("entra_sync.taken").await;
    free_the_lease(&world).await;
    // Whoever the first would have removed is back, and others go.
    world.entra.tenant(everybody);
    shuffle(&world, &mut dice);
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
    assert!(world.count("entra_sync.taken").await >= before);
    assert_whole(&world).await;
    let litellm = tables::litellm(&world.database).await;
    let owned = world.database.rows("entra_sync.owned_team_member").await;
    first.signal("CONT").await;
    let ended = first.ended().await;
    println!("the first ended with {}", ended.code);
    assert_eq!(tables::litellm(&world.database).await, litellm);
    assert_eq!(
        world.database.rows("entra_sync.owned_team_member").await,
        owned
    );
    world.settle().await;
}

fn three_groups(tenant: &mut Tenant) {
    for group in ["science", "sales", "arts"] {
        tenant
            .group(group)
            .members(["ada", "bob", "cem"])
            .assigned_by_default();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_leaves_whole_what_was_to_be_taken() {
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_UserTable",
        "LiteLLM_TeamMembership",
        "LiteLLM_OrganizationMembership",
        "LiteLLM_VerificationToken",
        "LiteLLM_DeletedVerificationToken",
        "LiteLLM_DeletedTeamTable",
    ] {
        let world = unguarded(three_groups)
            .await
            .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
            .with("ENTRA_SYNC__DEPROVISION__UNASSIGNED_GROUP", "delete");
        world.settle().await;
        for team in ["science", "sales"] {
            for user in ["bob", "cem"] {
                seed::key(&format!("{team}-{user}"), &person(user))
                    .with("team_id", group(team))
                    .insert(&world.database)
                    .await;
            }
        }
        world.entra.tenant(|tenant| {
            tenant.group("science").without_member("bob");
            tenant.group("sales").unassigned_entirely();
            tenant.user("cem").disabled();
        });
        let superuser = connect(&world.database.url_as("postgres")).await;
        superuser
            .batch_execute(&format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
                 CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON \"{table}\"
                     FOR EACH ROW EXECUTE FUNCTION refuse()"
            ))
            .await
            .expect("a trigger");

        let (report, error) = world.try_pass().await;

        let said = error.is_some() || !report.errors.is_empty();
        assert!(said, "{table}: {}", report.json());
        assert_whole(&world).await;
        let live = world.count("LiteLLM_VerificationToken").await;
        let gone = world.count("LiteLLM_DeletedVerificationToken").await;
        assert_eq!(live + gone, 4, "{table}");
        superuser
            .batch_execute("DROP FUNCTION refuse() CASCADE")
            .await
            .expect("the trigger goes with its function");
        world.settle().await;
        assert_whole(&world).await;
        assert_eq!(world.members("science").await, people(["ada", "cem"]));
        let sales = group("sales");
        let team = world.find_row("LiteLLM_TeamTable", "team_id", &sales).await;
        assert!(team.is_none(), "{table}");
        let left = world.database.rows("LiteLLM_VerificationToken").await;
        assert_eq!(left.len(), 1, "{table}: {left:?}");
        assert_eq!(left[0]["blocked"], true, "{table}");
    }
}
