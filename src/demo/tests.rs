//! The demo's rooms, on this machine.

use std::path::PathBuf;

use tokio_postgres::NoTls;

use super::machine::Binaries;
use super::postgres::{Place, PrivatePostgres, Server};
use super::story::{Beginning, Onlookers, Scene, Sequel, Stage, tell};
use super::{LITELLM_TABLES, tenant};

/// A server, or nothing where the machine has no binaries.
async fn server(place: Place) -> Option<PrivatePostgres> {
    Binaries::find()?;
    Some(
        PrivatePostgres::start(place, Server::OfTheMachine)
            .await
            .unwrap(),
    )
}

async fn count(server: &PrivatePostgres, sql: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let count = client.query_one(sql, &[]).await.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    count
}

#[tokio::test]
async fn a_private_server_takes_litellms_tables_and_leaves_nothing_behind() {
    let Some(server) = server(Place::Temporary).await else {
        return;
    };
    server.execute(LITELLM_TABLES).await.unwrap();
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(count(&server, tables).await, 20);
    let folder = "SELECT current_setting('data_directory')";
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let folder: String = client.query_one(folder, &[]).await.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    assert!(PathBuf::from(&folder).parent().unwrap().exists());
    let url = server.url();
    server.stop().await;
    assert!(!PathBuf::from(&folder).parent().unwrap().exists());
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
}

#[tokio::test]
async fn a_kept_folder_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    // Somewhere that another user may enter, too.
    let place = Place::Folder(folder.path().join("kept"));
    open(folder.path());
    let Some(first) = server(place.clone()).await else {
        return;
    };
    first
        .execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();
    first.stop().await;
    let again = server(place).await.unwrap();
    assert_eq!(count(&again, "SELECT count(*) FROM kept").await, 1);
}

fn open(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_tenant_changes_by_additions_only() {
    let mut tenant = tenant::tenant();
    let before = tenant.size();
    let told = tenant::change(&mut tenant);
    let after = tenant.size();
    assert_eq!(told.len(), 5);
    assert!(before.0 >= 36 && before.1 >= 400);
    assert_eq!(
        (after.0 - before.0, after.1 - before.1, after.2 - before.2),
        (1, 2, 5)
    );
}

struct Rehearsal(usize);

#[async_trait::async_trait(?Send)]
impl Stage for Rehearsal {
    async fn plan(&mut self) -> anyhow::Result<String> {
        Ok("a plan".into())
    }

    async fn pass(&mut self) -> anyhow::Result<String> {
        self.0 += 1;
        Ok(format!("pass {}\nof three", self.0))
    }

    async fn change(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(vec!["Something happens.".into()])
    }
}

#[tokio::test]
async fn the_story_is_told_in_order() {
    let scene = Scene {
        database: "a database".into(),
        database_url: "postgresql://x".into(),
        tenant_url: "http://t".into(),
        size: (3, 4, 5),
        program: "entra-sync".to_owned(),
        settings: "entra-sync.yaml".to_owned(),
        data: None,
        beginning: Beginning::Empty,
        sequel: Sequel::Passes,
        onlookers: Onlookers::NoRoom,
    };
    let mut out = Vec::new();
    tell(&scene, &mut Rehearsal(0), &mut out).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    let at = |part: &str| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part} in {text}"))
    };
    assert!(at("a plan") < at("  pass 1\n  of three"));
    assert!(at("pass 2") < at("Something happens."));
    assert!(at("pass 3") < at("Nothing stays behind."));
    assert!(!text.contains("psql 'postgresql"));
}
