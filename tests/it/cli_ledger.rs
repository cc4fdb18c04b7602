//! What is told of past passes, and the schema that it is kept in.

use crate::cli_exit_codes::world;
use crate::support::binary::{Running, entra_sync};
use crate::support::tables;

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_pass_there_is_nothing_to_tell() {
    let world = world().await;
    let run = |arguments: &'static [&'static str]| entra_sync(world.environment(), arguments);
    let status = run(&["status"]).await.exits_with(0);
    assert!(
        status.stdout.contains("no pass has run yet"),
        "{}",
        status.stdout
    );
    let status = run(&["status", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert!(
        status["last_run"].is_null() && status["lease"].is_null(),
        "{status}"
    );
    assert_eq!(
        run(&["history"]).await.exits_with(0).stdout,
        "No pass has run yet.\n"
    );
    assert_eq!(
        run(&["history", "--format", "json"])
            .await
            .exits_with(0)
            .stdout,
        "[]\n"
    );
    for command in [["show", "last"], ["undo", "last"], ["approve", "0123"]] {
        let ended = entra_sync(world.environment(), &command)
            .await
            .exits_with(1);
        assert!(ended.message().contains("no pass has run"), "{ended:#?}");
    }
    assert!(
        tables::all(&world.database, "entra_sync").await.is_empty(),
        "looking made tables"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_are_told_of_newest_first() {
    let mut world = world().await;
    let run = |arguments| entra_sync(world.environment(), arguments);
    let first = run(&["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let second = run(&["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let history = run(&["history", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(history[0]["run_id"], second["run_id"]);
    assert_eq!(history[1]["run_id"], first["run_id"]);
    assert_eq!(history[1]["report"], first, "kept as it was printed");
    assert_eq!(
        run(&["history", "--limit", "1", "--format", "json"])
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let text = run(&["history"]).await.exits_with(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains("unchanged") && lines[0].contains("nothing changed"),
        "{text}"
    );
    assert!(
        lines[1].contains("succeeded") && lines[1].contains("2 teams created"),
        "{text}"
    );

    let status = run(&["status", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(status["last_run"]["run_id"], second["run_id"]);
    assert_eq!(status["managed"]["teams"], 2);
    assert_eq!(status["managed"]["team_memberships"], 3);
    assert!(
        status["lease"].is_null() && status["held"].is_null(),
        "{status}"
    );
    let text = run(&["status"]).await.exits_with(0).stdout;
    assert!(text.contains("free: no pass is running"), "{text}");
    assert!(
        text.contains("2 teams, 0 organizations, 3 users, 3 team memberships"),
        "{text}"
    );

    world.set("MICROSOFT_CLIENT_SECRET", "wrong");
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(1);
    let text = entra_sync(world.environment(), &["status"])
        .await
        .exits_with(0)
        .stdout;
    assert!(
        text.contains("failed") && text.contains("refused the client secret"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_by_its_id_or_the_beginning_of_it() {
    let world = world().await;
    let environment = world.environment();
    let report = entra_sync(environment, &["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let id = report["run_id"].as_str().expect("text");
    let whole = entra_sync(environment, &["show", id, "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let beginning = entra_sync(environment, &["show", &id[..8], "--format", "json"])
        .await
        .exits_with(0)
        .json();
    let last = entra_sync(environment, &["show", "last", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(whole, beginning);
    assert_eq!(whole, last);
    assert_eq!(whole["run"]["run_id"], id);
    let changes = whole["changes"].as_array().expect("a list");
    assert!(!changes.is_empty());
    for change in changes {
        for field in ["action", "kind", "id", "reason"] {
            assert!(change[field].is_string(), "{field}: {change}");
        }
    }
    let text = entra_sync(environment, &["show", "last"])
        .await
        .exits_with(0)
        .stdout;
    assert!(text.contains("create team "), "{text}");
    let none = entra_sync(environment, &["show", "ffffffff-ffff"])
        .await
        .exits_with(1);
    assert!(
        none.message().contains("`entra-sync history` lists them"),
        "{none:#?}"
    );
    entra_sync(environment, &["sync"]).await.exits_with(0);
    let many = entra_sync(environment, &["show", ""]).await.exits_with(1);
    assert!(many.message().contains("give more of the id"), "{many:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_again_changes_nothing() {
    let world = world().await;
    let migrate = || entra_sync(world.environment(), &["migrate", "--format", "json"]);
    let first = migrate().await.exits_with(0).json();
    assert!(
        first["applied"]
            .as_array()
            .is_some_and(|applied| !applied.is_empty()),
        "{first}"
    );
    let before = tables::all(&world.database, "entra_sync").await;
    assert_eq!(
        migrate().await.exits_with(0).json()["applied"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    let text = entra_sync(world.environment(), &["migrate"])
        .await
        .exits_with(0)
        .stdout;
    assert_eq!(text, "Schema entra_sync is at the newest version.\n");
    assert_eq!(before, tables::all(&world.database, "entra_sync").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_that_migrate_at_once_one_does_it() {
    let world = world().await;
    let litellm = tables::litellm(&world.database).await;
    let started: Vec<Running> = (0..4)
        .map(|_| Running::start(world.environment(), &["migrate", "--format", "json"]))
        .collect();
    let mut applied = 0;
    for one in started {
        let json = one.ended().await.exits_with(0).json();
        applied += usize::from(json["applied"] != serde_json::json!([]));
    }
    assert_eq!(applied, 1);
    // Nothing of ours is among LiteLLM's tables, diesel's own included.
    assert_eq!(litellm, tables::litellm(&world.database).await);
    let own = tables::all(&world.database, "entra_sync").await;
    assert!(own.contains_key("__diesel_schema_migrations"), "{own:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_the_schema_is_told_what_to_do() {
    let world = world().await;
    let owner = crate::support::database::connect(&world.database.url_as("postgres")).await;
    owner
        .batch_execute("DROP SCHEMA entra_sync CASCADE")
        .await
        .expect("it is dropped");
    let ended = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(1);
    let message = ended.message();
    assert!(
        message.contains("entra_sync") && message.contains("permission denied"),
        "{message}"
    );
    assert!(message.contains("role that may create it"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_a_ledger_of_an_older_version_is_told_to_migrate() {
    let world = world().await;
    world.pass().await;
    let version = "20261124110000";
    let step = "migrations/2026-11-24-110000_subscriptions/down.sql";
    let step = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(step);
    let daemon = world.database.daemon().await;
    let sql = std::fs::read_to_string(step).expect("the way down");
    daemon.batch_execute(&sql).await.expect("one step back");
    let forget = "DELETE FROM entra_sync.__diesel_schema_migrations WHERE version = $1";
    let forgotten = daemon.execute(forget, &[&version]).await;
    assert_eq!(forgotten.expect("it is forgotten"), 1);
    let before = tables::all(&world.database, "entra_sync").await;

    for arguments in [
        &["status"][..],
        &["history"],
        &["show", "last"],
        &["explain", "ada@example.com"],
        &["plan"],
        &["resync"],
        &["approve", "0123"],
        &["undo", "last"],
    ] {
        let ended = entra_sync(world.environment(), arguments)
            .await
            .exits_with(1);
        let message = ended.message();
        assert!(
            message.contains("made by an older entra-sync")
                && message.contains(version)
                && message.contains("`entra-sync migrate`"),
            "{arguments:?}: {ended:#?}"
        );
    }
    assert_eq!(before, tables::all(&world.database, "entra_sync").await);
    world.pass().await;
    entra_sync(world.environment(), &["status"])
        .await
        .exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn down_and_up_again_leaves_an_empty_ledger_and_litellm_alone() {
    let world = world().await;
    world.pass().await;
    let litellm = tables::litellm(&world.database).await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut steps: Vec<_> = std::fs::read_dir(folder)
        .expect("the migrations")
        .map(|entry| entry.expect("an entry").path().join("down.sql"))
        .collect();
    steps.sort();
    let daemon = world.database.daemon().await;
    for step in steps.iter().rev() {
        let sql = std::fs::read_to_string(step).expect("the way down");
        daemon
            .batch_execute(&sql)
            .await
            .unwrap_or_else(|error| panic!("{step:?}: {error:?}"));
    }
    daemon
        .batch_execute("DELETE FROM entra_sync.__diesel_schema_migrations")
        .await
        .expect("forgotten");
    let left = tables::all(&world.database, "entra_sync").await;
    assert_eq!(
        left.keys().collect::<Vec<_>>(),
        ["__diesel_schema_migrations"]
    );
    entra_sync(world.environment(), &["migrate"])
        .await
        .exits_with(0);
    assert_eq!(litellm, tables::litellm(&world.database).await);
    // What is there is found again and adopted.
    let report = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(report["status"], "unchanged", "{report}");
}
