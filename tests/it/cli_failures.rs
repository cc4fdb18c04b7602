//! What an operator sees when Entra is the trouble: one message with cause and
//! remedy, the right exit code, and LiteLLM's tables and our record of them as
//! they were.

use entra_sync::simulator::{Effect, Fault, LinkTampering, Permission, Simulator, Tenant};
use uuid::Uuid;

use crate::cli_exit_codes::world;
use crate::support::World;
use crate::support::binary::{Ended, entra_sync};
use crate::support::tables::{self, Tables};

/// What is recorded of LiteLLM's rows: everything but what a pass says of
/// itself. Nothing before the first pass.
async fn recorded(world: &World) -> Option<Tables> {
    let mut tables = tables::all(&world.database, "entra_sync").await;
    for own in ["run", "lease", "alert"] {
        tables.remove(own)?;
    }
    Some(tables)
}

/// Runs `plan` and `sync`, both of which must fail alike and change nothing.
pub async fn fails(world: &World, code: i32, words: &[&str]) -> Ended {
    let before = tables::litellm(&world.database).await;
    let recorded_before = recorded(world).await;
    let planned = entra_sync(world.environment(), &["plan"])
        .await
        .exits_with(code);
    assert_eq!(planned.stdout, "");
    let ended = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(code);
    assert!(ended.stdout.starts_with("failed: "), "{}", ended.stdout);
    for ended in [&planned, &ended] {
        let message = ended.message();
        for word in words {
            assert!(message.contains(word), "{word} is not in: {message}");
        }
    }
    assert_eq!(
        before,
        tables::litellm(&world.database).await,
        "LiteLLM's rows changed"
    );
    if recorded_before.is_some() {
        let after = recorded(world).await;
        assert_eq!(recorded_before, after, "our record of them changed");
    }
    ended
}

/// A world with a pass behind it, in which the next one has something of every
/// kind to write.
pub async fn changed_world() -> World {
    let world = world().await.with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    world.pass().await;
    world.entra.tenant(|tenant| {
        tenant
            .group("science")
            .display_name("New Science")
            .member("dan");
        tenant.group("new").member("ada").assigned_by_default();
        tenant.user("bob").display_name("New Bob");
    });
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_after_earlier_passes_leaves_rows_and_records_as_they_were() {
    let mut world = changed_world().await;
    assert!(recorded(&world).await.is_some(), "else it is not compared");
    let right = world.environment()["MICROSOFT_CLIENT_SECRET"].clone();
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "2");
    world.set("MICROSOFT_CLIENT_SECRET", "wrong");
    fails(&world, 1, &["refused the client secret"]).await;
    world.set("MICROSOFT_CLIENT_SECRET", right);
    for (fault, words) in [
        (
            Fault::new(Effect::TruncatedJson).on("*/appRoleAssignedTo*"),
            "ends in the middle",
        ),
        (Fault::status(503).on("/servicePrincipals*"), "503"),
        (
            Fault::status(403).on("*/appRoleAssignedTo*"),
            "Application.Read.All",
        ),
    ] {
        world.entra.fault(fault.always());
        fails(&world, 1, &[words]).await;
        world.entra.clear_faults();
    }
    // There was something to write all along.
    let report = world.settle().await;
    assert_eq!(report.changes.teams.created, 1);
    assert_eq!(report.changes.teams.updated, 1);
    assert_eq!(report.changes.users.updated, 1);
    assert_eq!(report.changes.team_memberships.added, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_secret() {
    let world = world().await.with("MICROSOFT_CLIENT_SECRET", "wrong");
    fails(
        &world,
        1,
        &[
            "refused the client secret",
            "AADSTS7000215",
            "entra.client_secret",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_does_not_exist() {
    let mut world = world().await;
    let other = Uuid::from_u128(7).to_string();
    let endpoint = format!("{}/{other}/oauth2/v2.0/token", world.entra.url());
    world
        .set("MICROSOFT_TENANT", &other)
        .set("MICROSOFT_TOKEN_ENDPOINT", endpoint);
    fails(
        &world,
        1,
        &[&other, "does not exist", "AADSTS90002", "entra.tenant"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_the_tenant_does_not_know() {
    let other = Uuid::from_u128(7).to_string();
    let world = world().await.with("MICROSOFT_CLIENT_ID", &other);
    fails(
        &world,
        1,
        &[&other, "unknown", "AADSTS700016", "entra.client_id"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_principal_that_does_not_exist() {
    let other = Uuid::from_u128(7).to_string();
    let world = world().await.with("MICROSOFT_SERVICE_PRINCIPAL_ID", &other);
    fails(
        &world,
        1,
        &[
            &other,
            "no service principal",
            "Object ID",
            "Enterprise applications",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_read_the_application() {
    let world = world().await;
    world
        .entra
        .tenant(|tenant| tenant.revoke(Permission::ApplicationReadAll));
    fails(&world, 1, &["Application.Read.All", "admin consent"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_read_groups() {
    let world = world().await;
    world
        .entra
        .tenant(|tenant| tenant.revoke(Permission::GroupMemberReadAll));
    fails(&world, 1, &["GroupMember.Read.All", "admin consent"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_to_read_people_is_said_once_and_changes_nothing() {
    let world = world().await;
    world
        .entra
        .tenant(|tenant| tenant.revoke(Permission::UserReadAll));
    let ended = entra_sync(world.environment(), &["sync"])
        .await
        .exits_with(4);
    let said = ended.stdout.matches("User.Read.All").count()
        + ended.stderr.matches("User.Read.All").count();
    assert_eq!(said, 1, "{ended:#?}");
    assert!(world.database.rows("LiteLLM_UserTable").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_graph() {
    let mut world = world().await;
    world.set("MICROSOFT_GRAPH_ENDPOINT", "http://127.0.0.1:1/v1.0");
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    fails(&world, 1, &["127.0.0.1:1", "refused", "firewall"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_token_endpoint() {
    let mut world = world().await;
    world.set(
        "MICROSOFT_TOKEN_ENDPOINT",
        "http://127.0.0.1:1/t/oauth2/v2.0/token",
    );
    world.set("ENTRA_SYNC__ENTRA__ATTEMPTS", "1");
    fails(&world, 1, &["127.0.0.1:1", "refused", "firewall"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_list_that_ends_in_the_middle() {
    let world = world().await.with("ENTRA_SYNC__ENTRA__ATTEMPTS", "2");
    let cut = Fault::new(Effect::TruncatedJson)
        .on("*/appRoleAssignedTo*")
        .always();
    world.entra.fault(cut);
    fails(&world, 1, &["cannot be used", "ends in the middle"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_page_ends_in_the_middle_is_left_out() {
    let world = world().await.with("ENTRA_SYNC__ENTRA__ATTEMPTS", "2");
    let arts = entra_sync::simulator::group_id("arts").to_string();
    let cut = Fault::new(Effect::TruncatedJson);
    world
        .entra
        .fault(cut.on(format!("/groups/{arts}/members*")).always());
    let ended = entra_sync(world.environment(), &["sync", "--format", "json"])
        .await
        .exits_with(4);
    let message = ended.json()["errors"][0]["message"].to_string();
    assert!(message.contains("ends in the middle"), "{message}");
    // The object has it; a log line would say it twice.
    assert!(!ended.stderr.contains("ends in the middle"), "{ended:#?}");
    let memberships = world.database.rows("LiteLLM_TeamMembership").await;
    assert!(
        memberships
            .iter()
            .all(|row| row["team_id"] != arts.as_str()),
        "{memberships:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_host_is_not_followed_and_takes_no_token_there() {
    let elsewhere = Simulator::start(Tenant::new())
        .await
        .expect("a loopback port");
    let world = world().await;
    let bend = || {
        Fault::new(Effect::Link(LinkTampering::Origin(
            elsewhere.url().to_owned(),
        )))
        .always()
    };
    // Only a page that has a next one has a link.
    world.entra.tenant(|tenant| {
        for number in 0..1_100 {
            let key = format!("member-{number}");
            tenant.user(&key);
            tenant.group("science").member(&key);
        }
    });
    world.entra.fault(bend().on("/groups/*/members*"));
    let before = tables::litellm(&world.database).await;
    let ended = entra_sync(world.environment(), &["sync", "--format", "json"]).await;
    assert_eq!(ended.code, 1, "{ended:#?}");
    let message = ended.message();
    assert!(
        message.contains("outside the configured endpoint"),
        "{message}"
    );
    assert!(message.contains("entra.graph_endpoint"), "{message}");
    assert_eq!(before, tables::litellm(&world.database).await);
    assert_eq!(elsewhere.requests().log.len(), 0, "somebody went there");
}
