//! What is kept of past passes: lean, with before and after, for as long as the
//! settings say, and harmless to print.

use serde_json::json;

use crate::cli_exit_codes::world;
use crate::support::World;
use crate::support::binary::{Ended, entra_sync};
use crate::support::database::connect;
use crate::support::look::{group, people};

/// Runs this as a superuser, in the daemon's own schema too.
async fn sql(world: &World, statements: &str) {
    let client = connect(&world.database.url_as("postgres")).await;
    client
        .batch_execute(statements)
        .await
        .unwrap_or_else(|error| panic!("{statements}: {error:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_one_team_are_one_row_of_the_history() {
    let world = world().await.with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");

    world.settle().await;

    let rows = world.database.rows("entra_sync.membership_change").await;
    let mut found: Vec<_> = rows
        .iter()
        .map(|row| {
            let mut users: Vec<String> =
                serde_json::from_value(row["user_ids"].clone()).expect("a list");
            users.sort();
            assert_eq!(row["action"], "add", "{row}");
            (
                row["kind"].as_str().expect("text").to_owned(),
                row["parent_id"].as_str().expect("text").to_owned(),
                users,
            )
        })
        .collect();
    found.sort();
    let mut wanted = Vec::new();
    for kind in ["team_membership", "organization_membership"] {
        wanted.push((kind.to_owned(), group("science"), people(["ada", "bob"])));
        wanted.push((kind.to_owned(), group("arts"), people(["cleo"])));
    }
    wanted.sort();
    assert_eq!(found, wanted);
    // Nor is a membership among the other changes.
    let changes = world.database.rows("entra_sync.change").await;
    assert_eq!(changes.len(), 2 + 2 + 3, "organizations, teams, users");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_shown_with_before_and_after() {
    let world = world().await.with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").display_name("Fine Arts");
        tenant.user("ada").display_name("Countess");
    });
    world.pass().await;
    let show = |arguments: &'static [&'static str]| entra_sync(world.environment(), arguments);

    let json_shown = show(&["show", "last", "--format", "json"])
        .await
        .exits_with(0);
    let text = show(&["show", "last"]).await.exits_with(0).stdout;

    let mut found: Vec<_> = json_shown.json()["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| {
            (
                change["kind"].as_str().expect("text").to_owned(),
                change["before"].clone(),
                change["after"].clone(),
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [
        ("organization", "organization_alias", "arts", "Fine Arts"),
        ("team", "team_alias", "arts", "Fine Arts"),
        ("user", "user_alias", "ada", "Countess"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, (kind, column, before, after)) in found.iter().zip(wanted) {
        assert_eq!(found.0, kind);
        assert_eq!(found.1, json!({ column: before }), "{kind}");
        assert_eq!(found.2, json!({ column: after }), "{kind}");
        let line = format!("{column}: \"{before}\" -> \"{after}\"");
        assert!(text.contains(&line), "{line} is not in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_older_than_the_settings_say_are_forgotten_and_what_is_owned_is_not() {
    let world = world().await.with("ENTRA_SYNC__HISTORY__KEEP", "30d");
    world.pass().await;
    world.entra.tenant(|tenant| {
        tenant.group("arts").display_name("Fine Arts").member("ada");
    });
    world.pass().await;
    let runs = world.database.rows("entra_sync.run").await;
    assert_eq!(runs.len(), 2);
    let ages = [("31 days", "succeeded"), ("29 days", "succeeded")];
    let mut by_age = Vec::new();
    // The first pass, which made users, is the older one.
    for (age, _) in ages {
        let oldest = format!(
            "UPDATE entra_sync.run SET started_at = now() - interval '{age}' \
             WHERE run_id = (SELECT run_id FROM entra_sync.run \
                             WHERE started_at > now() - interval '1 day' \
                             ORDER BY started_at LIMIT 1)"
        );
        sql(&world, &oldest).await;
    }
    for row in world.database.rows("entra_sync.run").await {
        by_age.push((
            row["started_at"].as_str().expect("a time").to_owned(),
            row["run_id"].as_str().expect("an id").to_owned(),
        ));
    }
    by_age.sort();
    let (old, young) = (by_age[0].1.clone(), by_age[1].1.clone());
    let of = |run: String| {
        let world = &world;
        async move {
            let mut counts = Vec::new();
            for table in ["run", "change", "membership_change"] {
                let rows = world.database.rows(&format!("entra_sync.{table}")).await;
                counts.push(rows.iter().filter(|r| r["run_id"] == run.as_str()).count());
            }
            counts
        }
    };
    assert_eq!(of(old.clone()).await, [1, 2 + 3, 2]);
    let kept = of(young.clone()).await;
    assert_eq!(kept, [1, 1, 1]);
    let owned = || async {
        let mut all = Vec::new();
        for table in ["owned_team", "owned_user", "owned_team_member"] {
            all.push(world.database.rows(&format!("entra_sync.{table}")).await);
        }
        all
    };
    let owned_before = owned().await;

    world.pass().await;

    assert_eq!(of(old).await, [0, 0, 0]);
    assert_eq!(of(young).await, kept);
    assert_eq!(world.count("entra_sync.run").await, 2);
    assert_eq!(owned_before, owned().await);
    world.settle().await;
}

/// No character that moves the cursor, forges a line or turns text round.
#[track_caller]
fn is_harmless(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let bad = text.chars().find(|c| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_ids_cannot_deceive_whoever_reads_what_was_done() {
    const TRICK: &str = "x\u{1b}[2J\u{202e}\ny";
    let trick = |name: &str| format!("{name}{TRICK}");
    let world = World::new(|tenant| {
        tenant
            .user("ada")
            .display_name(&trick("ada"))
            .attribute("employeeId", trick("id-of-ada"));
        tenant
            .user("bob")
            .attribute("employeeId", trick("id-of-bob"));
        // Two with one id: both are left out, by name.
        for key in ["cyd", "dan"] {
            tenant.user(key).attribute("employeeId", trick("same"));
        }
        tenant
            .group("science")
            .display_name(&trick("science"))
            .members(["ada", "bob", "cyd", "dan"])
            .assigned_by_default();
    })
    .await
    .with("MICROSOFT_USER_ID_ATTRIBUTE", "employeeId");
    let run = |arguments: &'static [&'static str]| entra_sync(world.environment(), arguments);
    // An error about bob's membership, whose id and cause hold the trick.
    world
        .on_write(
            "LiteLLM_TeamMembership",
            "NEW.user_id LIKE 'id-of-bob%'",
            "RAISE EXCEPTION 'refused: %', NEW.user_id;",
        )
        .await;

    let synced = run(&["sync", "-vv"]).await.exits_with(4);
    let shown = run(&["show", "last"]).await.exits_with(0);

    is_harmless(&synced);
    assert!(
        synced.stdout.contains(r"id-of-bobx\u{1b}[2J\u{202e}\u{a}y"),
        "{synced:#?}"
    );
    assert!(synced.stdout.contains("refused: id-of-bob"), "{synced:#?}");
    is_harmless(&shown);
    assert!(
        shown.stdout.contains(r"id-of-adax\u{1b}[2J\u{202e}\u{a}y"),
        "{shown:#?}"
    );
    assert!(shown.stdout.contains("team_alias"), "{shown:#?}");
    // A pass that failed as a whole says why in one line.
    sql(
        &world,
        "UPDATE entra_sync.run SET status = 'failed', error = E'because x\\u001b[2J\\u202e\\ny'",
    )
    .await;
    for arguments in [&["history"][..], &["status"], &["show", "last"]] {
        let ended = entra_sync(world.environment(), arguments)
            .await
            .exits_with(0);
        is_harmless(&ended);
        assert!(
            ended.stdout.contains(r"because x\u{1b}[2J\u{202e}\u{a}y"),
            "{ended:#?}"
        );
    }
    assert_eq!(run(&["history"]).await.stdout.lines().count(), 1);
}
