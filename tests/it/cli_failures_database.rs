//! What an operator sees when the database is the trouble: one message with
//! cause and remedy, the right exit code, and LiteLLM's tables and our record of
//! them as they were.

use crate::cli_exit_codes::world;
use crate::cli_failures::{changed_world, fails};
use crate::support::binary::entra_sync;
use crate::support::database::connect;
use crate::support::doorman::Doorman;
use crate::support::{World, tables};

/// A world with a pass behind it and another one due, whose LiteLLM database was
/// changed by this SQL.
async fn altered(sql: &str) -> World {
    let mut world = changed_world().await;
    world.database = world.database.unexported();
    world.database.admin().batch_execute(sql).await.expect(sql);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_on_the_databases_port() {
    let world = world()
        .await
        .with("DATABASE_URL", "postgresql://sync:pw@127.0.0.1:1/litellm");
    let ended = fails(
        &world,
        1,
        &["sync@127.0.0.1:1/litellm", "refused", "check host and port"],
    )
    .await;
    assert!(!ended.stderr.contains("pw"), "{}", ended.stderr);
    assert_eq!(
        world.entra.requests().log.len(),
        0,
        "Graph was asked in vain"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_wrong() {
    let mut world = world().await;
    let door = Doorman::before(&world.database.url()).await;
    door.ask_for("right");
    world.set("DATABASE_URL", door.url_with("wrong"));
    fails(
        &world,
        1,
        &[
            "refuses the login",
            "password authentication failed",
            "check user and password",
        ],
    )
    .await;
    world.set("DATABASE_URL", door.url_with("right"));
    entra_sync(world.environment(), &["plan"])
        .await
        .exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_such_database() {
    let mut world = world().await;
    let url = world.database.url();
    let (server, _) = url.rsplit_once('/').expect("a URL with a path");
    world.set("DATABASE_URL", format!("{server}/nonexistent"));
    fails(
        &world,
        1,
        &["\"nonexistent\" does not exist", "check the name"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_has_no_litellm() {
    let world = altered("ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public").await;
    fails(
        &world,
        1,
        &[
            "LiteLLM's tables are not in schema \"public\"",
            "LiteLLM_TeamTable",
            "litellm.database_url",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_litellm_migration_is_running() {
    let world = altered(
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) \
         VALUES ('x', 'x', '20991231_newest', now() - interval '2 minutes')",
    )
    .await;
    fails(
        &world,
        1,
        &[
            "migration is running",
            "20991231_newest",
            "the next one looks again",
        ],
    )
    .await;
}

/// A mistyped database must not be left with a schema of ours, not even where
/// the role could make one.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_litellms_gets_nothing_of_ours() {
    let world = altered("ALTER SCHEMA public RENAME TO elsewhere; CREATE SCHEMA public").await;
    let superuser = connect(&world.database.url_as("postgres")).await;
    for grant in ["REVOKE", "GRANT"] {
        let to = if grant == "GRANT" { "TO" } else { "FROM" };
        let statements = format!(
            "DROP SCHEMA IF EXISTS entra_sync CASCADE; \
             DO $$ BEGIN EXECUTE format('{grant} CREATE ON DATABASE %I {to} entra_sync', \
             current_database()); END $$"
        );
        superuser
            .batch_execute(&statements)
            .await
            .expect(&statements);
        fails(
            &world,
            1,
            &["LiteLLM's tables are not in schema \"public\""],
        )
        .await;
        let ended = entra_sync(world.environment(), &["migrate"])
            .await
            .exits_with(1);
        assert!(
            ended.message().contains("LiteLLM's tables are not in"),
            "{ended:#?}"
        );
        let found = superuser
            .query("SELECT FROM pg_namespace WHERE nspname = 'entra_sync'", &[])
            .await
            .expect("the catalogue");
        assert_eq!(found.len(), 0, "{grant}: a schema of ours was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_litellm_migration_broke_off() {
    let world = altered(
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) \
         VALUES ('x', 'x', '20991231_newest', now() - interval '11 minutes')",
    )
    .await;
    fails(
        &world,
        1,
        &[
            "20991231_newest",
            "prisma migrate resolve --rolled-back 20991231_newest",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_litellm_migration_that_was_rolled_back_is_no_hindrance() {
    let world = altered(
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, rolled_back_at) \
         VALUES ('x', 'x', '20991231_newest', now() - interval '11 minutes', now())",
    )
    .await;
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_lacks_a_column() {
    let world = altered("ALTER TABLE \"LiteLLM_TeamTable\" DROP COLUMN model_id CASCADE").await;
    fails(
        &world,
        1,
        &["LiteLLM_TeamTable.model_id", "upgrade LiteLLM"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn litellm_demands_a_column_that_nobody_knows() {
    let world = altered(
        "ALTER TABLE \"LiteLLM_UserTable\" ADD COLUMN brand_new text NOT NULL DEFAULT ''; \
         ALTER TABLE \"LiteLLM_UserTable\" ALTER COLUMN brand_new DROP DEFAULT",
    )
    .await;
    fails(
        &world,
        1,
        &["LiteLLM_UserTable.brand_new", "upgrade entra-sync"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_that_demands_nothing_is_no_hindrance() {
    let world = altered(
        "ALTER TABLE \"LiteLLM_UserTable\" ADD COLUMN brand_new text, \
         ADD COLUMN counted int NOT NULL DEFAULT 0",
    )
    .await;
    entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_name_another_application_than_the_ledger() {
    let mut world = world().await;
    world.pass().await;
    let before = tables::all(&world.database, "entra_sync").await;
    world.set("MICROSOFT_TENANT", "fabrikam.example.com");
    let ended = fails(
        &world,
        64,
        &[
            "belongs to tenant",
            "fabrikam.example.com",
            "entra.tenant",
            "set them back",
        ],
    )
    .await;
    assert_eq!(ended.code, 64);
    assert_eq!(before, tables::all(&world.database, "entra_sync").await);
    // The daemon would only fail for ever.
    let ended = entra_sync(world.environment(), &["run"])
        .await
        .exits_with(64);
    assert!(ended.message().contains("set them back"), "{ended:#?}");
    for command in [&["status"][..], &["history"], &["show", "last"]] {
        let ended = entra_sync(world.environment(), command)
            .await
            .exits_with(64);
        assert!(ended.message().contains("set them back"), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_longer_than_socket_timeout_is_given_up() {
    let mut world = world().await;
    let url = world.database.url();
    world.set("DATABASE_URL", format!("{url}?socket_timeout=1"));
    let mut owner = crate::support::database::connect(&world.database.url_as("litellm")).await;
    let lock = owner.transaction().await.expect("a transaction");
    let statement = "LOCK TABLE \"LiteLLM_TeamTable\" IN ACCESS EXCLUSIVE MODE";
    lock.batch_execute(statement).await.expect("the lock");
    let ended = entra_sync(world.environment(), &["plan"])
        .await
        .exits_with(1);
    assert!(ended.message().contains("statement timeout"), "{ended:#?}");
}
