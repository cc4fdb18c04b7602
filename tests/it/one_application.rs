//! One Enterprise Application is one source, however its tenant is written.

use serde_json::Value;
use tokio_postgres::Client;

use crate::support::binary::{Ended, entra_sync};
use crate::support::crowd::Crowd;
use crate::support::database::connect;

const STEP: &str = "20261124120000";

async fn one() -> Crowd {
    let crowd = Crowd::of(1, |_, tenant| {
        tenant
            .group("group")
            .members(["ada", "bob", "cleo"])
            .assigned_by_default();
    })
    .await;
    crowd.settings(&format!("entra: {}\n", crowd.entra(0)));
    entra_sync(&crowd.environment, &["sync"])
        .await
        .exits_with(0);
    crowd
}

/// Settings with the same application as an entry, its tenant as given.
fn as_entry(crowd: &Crowd, tenant: &str) -> String {
    let entra = crowd.entra(0).replace("tenant-0.example.com", tenant);
    format!("sources:\n  corp:\n    entra: {entra}\n")
}

async fn sources(client: &Client) -> Vec<(String, String)> {
    let rows = client
        .query(
            "SELECT name, tenant FROM entra_sync.source ORDER BY source_id",
            &[],
        )
        .await
        .expect("sources");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn members(crowd: &Crowd) -> usize {
    crowd.database.rows("LiteLLM_TeamMembership").await.len()
}

fn row(name: &str, tenant: &str) -> (String, String) {
    (name.to_owned(), tenant.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_the_tenant_is_refused_under_another_name_too() {
    let crowd = one().await;
    let client = connect(&crowd.database.url_as("postgres")).await;
    let run = async |arguments: &[&str]| entra_sync(&crowd.environment, arguments).await;
    let spelling = "contoso.onmicrosoft.com";
    crowd.settings(&as_entry(&crowd, spelling));
    for command in [&["sync"][..], &["plan"], &["sync", "--full"]] {
        let refused = run(command).await.exits_with(64);
        for told in ["tenant-0.example.com", spelling, "docs/OPERATING.md"] {
            assert!(refused.stderr.contains(told), "{command:?}: {refused:?}");
        }
    }
    assert_eq!(
        sources(&client).await,
        [row("default", "tenant-0.example.com")]
    );
    // The remedy that the message names.
    client
        .execute(
            "UPDATE entra_sync.source SET tenant = $1 WHERE name = 'default'",
            &[&spelling],
        )
        .await
        .expect("the row is updated");
    crowd.tenants[0].tenant(|tenant| {
        tenant.group("group").without_member("bob");
    });
    let moved = run(&["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(
        moved["changes"]["team_memberships"]["removed"], 1,
        "{moved}"
    );
    assert_eq!(sources(&client).await, [row("corp", spelling)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_with_two_rows_for_it_is_migrated_and_told_how_to_be_mended() {
    let crowd = one().await;
    let client = connect(&crowd.database.url_as("postgres")).await;
    let run = async |arguments: &[&str]| entra_sync(&crowd.environment, arguments).await;
    // As an earlier version left it.
    let earlier = format!(
        "DROP INDEX entra_sync.source_by_service_principal; \
         DELETE FROM entra_sync.__diesel_schema_migrations WHERE version = '{STEP}'; \
         INSERT INTO entra_sync.source (name, tenant, service_principal_id) \
         SELECT 'corp', 'contoso.onmicrosoft.com', service_principal_id FROM entra_sync.source"
    );
    client.batch_execute(&earlier).await.expect("two rows");
    crowd.tenants[0].tenant(|tenant| {
        tenant.group("group").without_member("bob");
    });
    crowd.settings(&as_entry(&crowd, "contoso.onmicrosoft.com"));
    for command in [&["sync"][..], &["plan"], &["sync"]] {
        let refused = run(command).await;
        // Before the first pass `plan` would ask for the migration.
        let refused: Ended = refused.exits_with(64);
        for told in ["`default`", "`corp`", "delete the newer row"] {
            assert!(refused.stderr.contains(told), "{command:?}: {refused:?}");
        }
    }
    assert_eq!(members(&crowd).await, 3);
    let applied = "SELECT count(*) FROM entra_sync.__diesel_schema_migrations WHERE version = $1";
    let applied: i64 = client
        .query_one(applied, &[&STEP])
        .await
        .expect("versions")
        .get(0);
    assert_eq!(applied, 1);
    // What docs/OPERATING.md says.
    client
        .batch_execute(
            "DELETE FROM entra_sync.source WHERE name = 'corp'; \
             UPDATE entra_sync.source SET tenant = 'contoso.onmicrosoft.com' WHERE name = 'default'; \
             CREATE UNIQUE INDEX IF NOT EXISTS source_by_service_principal \
             ON entra_sync.source (service_principal_id)",
        )
        .await
        .expect("one row");
    let mended: Value = run(&["sync", "--format", "json"])
        .await
        .exits_with(0)
        .json();
    assert_eq!(
        mended["changes"]["team_memberships"]["removed"], 1,
        "{mended}"
    );
    assert_eq!(members(&crowd).await, 2);
    let second = client
        .batch_execute(
            "INSERT INTO entra_sync.source (name, tenant, service_principal_id) \
             SELECT 'again', 'other.example.com', service_principal_id FROM entra_sync.source",
        )
        .await;
    assert!(second.is_err(), "the index is there");
}
