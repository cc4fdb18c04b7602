//! A row that the ledger ties to one person, by a login that LiteLLM verified,
//! and that is bound to another person since: what the first one loses is not
//! taken from it.

use entra_sync::sync::Report;
use serde_json::json;

use crate::support::World;
use crate::support::look::{group, person, skipped};
use crate::support::seed;

const ROW: &str = "somebodys-row";
const ROLE: &str = "proxy_admin_viewer";

/// How the row became Bob's.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// By `sso_user_id`; Ada's verified login still names the row.
    Subject,
    /// Bob's verified login names the row, and Ada's does no longer.
    Login,
    /// Both of their verified logins name it.
    BothLogins,
}

/// The row was Ada's, with a team and a role, and is Bob's, who has them too.
async fn world(bound: Bound) -> World {
    let world = World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "cem"])
            .assigned_by_default();
        tenant.group("arts").member("ada").assigned_by_default();
        tenant.user("ada").assigned(ROLE);
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true");
    seed::user(ROW)
        .with("sso_user_id", json!(null))
        .insert(&world.database)
        .await;
    let [ada, bob] = ["ada", "bob"].map(person);
    seed::verified_subject(&ada, ROW)
        .insert(&world.database)
        .await;
    world.settle().await;
    assert_eq!(row(&world).await["user_role"], ROLE, "Ada is the row");
    seed::key("k", ROW)
        .with("team_id", group("science"))
        .insert(&world.database)
        .await;
    match bound {
        Bound::Subject => {
            let bind = format!(
                "UPDATE \"LiteLLM_UserTable\" SET sso_user_id = '{bob}' WHERE user_id = '{ROW}'"
            );
            world.sql(&bind).await;
        }
        Bound::Login => {
            world.sql("DELETE FROM \"LiteLLM_VerifiedSubject\"").await;
            seed::verified_subject(&bob, ROW)
                .insert(&world.database)
                .await;
        }
        Bound::BothLogins => {
            seed::verified_subject(&bob, ROW)
                .insert(&world.database)
                .await;
        }
    }
    world.entra.tenant(|tenant| {
        tenant.group("science").member("bob");
        tenant.user("bob").assigned(ROLE);
    });
    world
}

async fn row(world: &World) -> serde_json::Value {
    world.row("LiteLLM_UserTable", "user_id", ROW).await
}

/// Everything that Ada and Bob both had is Bob's now.
async fn is_bobs(world: &World, what: &str, report: &Report) {
    println!(
        "{what}: {:?} {:?} {}",
        skipped(report),
        report.errors,
        report.json()
    );
    let row = row(world).await;
    assert_eq!(row["user_role"], ROLE, "{what}: lowered");
    assert_ne!(row["metadata"]["scim_active"], false, "{what}: deactivated");
    for members in [
        world.members("science").await,
        world.organization_members("science").await,
    ] {
        assert!(members.iter().any(|id| id == ROW), "{what}: {members:?}");
    }
    let key = world.row("LiteLLM_VerificationToken", "token", "k").await;
    assert_ne!(key["blocked"], true, "{what}: {key}");
}

async fn departs(bound: Bound) {
    let world = world(bound).await;
    world.entra.tenant(|tenant| {
        tenant.group("science").without_member("ada");
        tenant.user("ada").unassigned(ROLE);
    });
    let report = world.pass().await;
    is_bobs(&world, &format!("{bound:?}, left"), &report).await;
    // Whom the row does not stand for is named: a team or more await them.
    let [ada, bob] = ["ada", "bob"].map(person);
    let named = match bound {
        Bound::Subject => (ada.as_str(), "row_of_another"),
        Bound::Login => (ada.as_str(), "row_taken"),
        Bound::BothLogins => (bob.as_str(), "row_taken"),
    };
    assert_eq!(skipped(&report), [named], "{bound:?}");

    world.entra.tenant(|tenant| {
        tenant.user("ada").disabled();
    });
    let report = world.pass().await;
    is_bobs(&world, &format!("{bound:?}, disabled"), &report).await;

    world.entra.tenant(|tenant| {
        tenant.user("ada").purged();
    });
    let report = world.pass().await;
    is_bobs(&world, &format!("{bound:?}, purged"), &report).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_bound_to_another_by_its_subject_loses_nothing_with_the_first() {
    departs(Bound::Subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_that_anothers_verified_login_names() {
    departs(Bound::Login).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_that_the_verified_logins_of_both_name() {
    departs(Bound::BothLogins).await;
}
