//! Every kind of change in Entra, followed.

use entra_sync::model::report::{Mode, Status};
use entra_sync::simulator::{DeletedAssignments, person_id};

use super::{Followed, two_groups};
use crate::support::look::{people, skipped, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tenant_costs_its_links_and_the_assignment_list() {
    let followed = Followed::new(two_groups).await;
    let full = followed.pass(Mode::Full).await;
    followed.world.entra.reset_requests();

    let report = followed.pass(Mode::Incremental).await;

    assert_eq!(report.status, Status::Unchanged);
    assert_eq!(report.mode, Mode::Incremental);
    let requests = followed.world.entra.requests();
    // Service principal, assignments, one link of groups, one of users.
    assert_eq!(requests.graph().requests, 4, "{:?}", requests.by_endpoint);
    assert_eq!(report.directory.requests, 4);
    assert_eq!(report.directory.resource_units, 4);
    let size = |report: &entra_sync::sync::Report| {
        let directory = &report.directory;
        (directory.groups, directory.users, directory.memberships)
    };
    assert_eq!(size(&report), size(&full));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go() {
    let followed = Followed::new(two_groups).await;
    let report = followed
        .after(|tenant| {
            tenant.group("science").member("cem").member("eve");
        })
        .await;
    assert_eq!(report.changes.team_memberships.added, 2);
    assert_eq!(report.changes.users.created, 1);
    followed.settled().await;

    let report = followed
        .after(|tenant| {
            tenant
                .group("science")
                .without_member("ada")
                .without_member("cem");
        })
        .await;
    assert_eq!(report.changes.team_memberships.removed, 2);
    let world = &followed.world;
    assert_eq!(world.members("science").await, people(["bob", "eve"]));
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_and_comes_back_in_between_stays() {
    let followed = Followed::new(two_groups).await;
    let report = followed
        .after(|tenant| {
            tenant.group("science").without_member("ada").member("ada");
        })
        .await;
    assert_eq!(report.status, Status::Unchanged, "{}", report.json());
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_followed() {
    let followed = Followed::new(two_groups).await;
    let report = followed
        .after(|tenant| {
            tenant.group("science").display_name("Natural science");
            tenant
                .user("bob")
                .display_name("Robert")
                .user_principal_name("robert@example.org");
        })
        .await;
    assert_eq!(report.changes.teams.updated, 1);
    assert_eq!(report.changes.users.updated, 1);
    let world = &followed.world;
    assert_eq!(
        text(&world.team("science").await, "team_alias"),
        "Natural science"
    );
    assert_eq!(
        text(&world.user("bob").await, "user_email"),
        "robert@example.org"
    );
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_somebody_gives_up_goes_to_who_wanted_it() {
    let followed = Followed::new(|tenant| {
        two_groups(tenant);
        tenant.user("ada").user_principal_name("shared@example.org");
        tenant.user("cem").user_principal_name("shared@example.org");
    })
    .await;
    let full = followed.pass(Mode::Full).await;
    assert!(
        skipped(&full)
            .iter()
            .any(|(_, reason)| *reason == "email_taken"),
        "{:?}",
        full.skipped
    );
    let world = &followed.world;
    let holder = text(
        &world
            .row("LiteLLM_UserTable", "user_email", "shared@example.org")
            .await,
        "user_id",
    );
    let (gives_up, wants) = match holder == person_id("ada").to_string() {
        true => ("ada", "cem"),
        false => ("cem", "ada"),
    };
    followed
        .after(|tenant| {
            tenant
                .user(gives_up)
                .user_principal_name("other@example.org");
        })
        .await;
    assert_eq!(
        text(&world.user(wants).await, "user_email"),
        "shared@example.org"
    );
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_assigned_and_unassigned() {
    let followed = Followed::new(two_groups).await;
    let report = followed
        .after(|tenant| {
            tenant
                .group("arts")
                .display_name("Arts")
                .members(["ada", "fay"])
                .assigned_by_default();
        })
        .await;
    assert_eq!(report.changes.teams.created, 1);
    assert_eq!(report.changes.team_memberships.added, 2);
    followed.settled().await;

    let report = followed
        .after(|tenant| {
            tenant.group("arts").without_member("ada");
            tenant.group("sales").unassigned_entirely();
        })
        .await;
    // Ada from arts, bob and cem from sales.
    assert_eq!(
        report.changes.team_memberships.removed,
        3,
        "{}",
        report.json()
    );
    // What the role of sales had raised.
    assert!(report.changes.users.updated >= 1, "{}", report.json());
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_of_a_group_reaches_everybody_in_it() {
    let followed = Followed::new(two_groups).await;
    let report = followed
        .after(|tenant| {
            tenant.group("science").assigned("proxy_admin_viewer");
        })
        .await;
    assert_eq!(report.changes.users.updated, 2, "{}", report.json());
    assert_eq!(
        text(&followed.world.user("bob").await, "user_role"),
        "proxy_admin_viewer"
    );
    followed.settled().await;
    let report = followed
        .after(|tenant| {
            tenant.group("science").unassigned("proxy_admin_viewer");
        })
        .await;
    assert_eq!(report.changes.users.updated, 2, "{}", report.json());
    assert_eq!(
        text(&followed.world.user("bob").await, "user_role"),
        "internal_user"
    );
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_disabled_deleted_and_restored() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    let report = followed
        .after(|tenant| {
            tenant.user("bob").disabled();
        })
        .await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    followed.settled().await;

    let report = followed
        .after(|tenant| {
            tenant.user("ada").soft_deleted();
        })
        .await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    // Entra gives the memberships back with the person.
    assert_eq!(report.changes.team_memberships.removed, 0);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    followed.settled().await;

    let report = followed
        .after(|tenant| {
            tenant.user("ada").restored();
        })
        .await;
    assert_eq!(report.changes.users.reactivated, 1, "{}", report.json());
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    followed.settled().await;

    let report = followed
        .after(|tenant| {
            tenant.user("cem").purged();
        })
        .await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.members("sales").await, people(["bob"]));
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_left_every_group_is_heard_of_all_the_same() {
    let followed = Followed::new(two_groups).await;
    followed
        .after(|tenant| {
            tenant.group("science").without_member("ada");
        })
        .await;
    followed.settled().await;
    let report = followed
        .after(|tenant| {
            tenant.user("ada").disabled();
        })
        .await;
    assert_eq!(report.changes.users.deactivated, 1, "{}", report.json());
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_is_left_alone_and_comes_back() {
    let followed = Followed::new(|tenant| {
        two_groups(tenant);
        tenant.deleted_assignments(DeletedAssignments::Linger);
    })
    .await;
    let world = &followed.world;
    let report = followed
        .after(|tenant| {
            tenant.group("science").soft_deleted();
        })
        .await;
    assert_eq!(report.changes.total(), 0, "{}", report.json());
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let report = followed
        .after(|tenant| {
            tenant.group("science").restored();
        })
        .await;
    assert_eq!(report.changes.total(), 0, "{}", report.json());
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_assigned_alone_and_no_more() {
    let followed = Followed::new(two_groups).await;
    let report = followed
        .after(|tenant| {
            tenant.user("eve").assigned("proxy_admin_viewer");
        })
        .await;
    assert_eq!(report.changes.users.created, 1, "{}", report.json());
    assert_eq!(
        text(&followed.world.user("eve").await, "user_role"),
        "proxy_admin_viewer"
    );
    followed.settled().await;
    let report = followed
        .after(|tenant| {
            tenant.user("eve").unassigned_entirely();
        })
        .await;
    assert_eq!(report.changes.users.updated, 1, "{}", report.json());
    followed.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_name_or_address_holds_can_be_looked_for() {
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    let report = followed
        .after(|tenant| {
            tenant
                .user("eve")
                .user_principal_name("eve\0@contoso.example.com")
                .display_name("Eve\0Example");
            tenant.group("science").member("eve");
        })
        .await;
    assert_eq!(report.changes.users.created, 1, "{}", report.json());
    let eve = world.user("eve").await;
    assert_eq!(eve["user_email"], "eve\u{fffd}@contoso.example.com");
    followed
        .after(|tenant| {
            tenant.group("science").without_member("eve");
        })
        .await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}

/// The row keeps what its person gave up while nobody read them.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_only_a_row_keeps_goes_to_who_waits_for_it() {
    let upn = "ada@contoso.example.com";
    let followed = Followed::new(two_groups).await;
    let world = &followed.world;
    let report = followed
        .after(|tenant| {
            tenant
                .user("ada")
                .user_principal_name("ada.king@contoso.example.com");
            tenant.user("zoe").user_principal_name(upn);
            let science = tenant.group("science");
            science.without_member("ada").member("zoe");
        })
        .await;
    assert_eq!(skipped(&report).len(), 1, "{}", report.json());
    followed.pass(Mode::Incremental).await;
    followed.pass(Mode::Incremental).await;

    followed
        .after(|tenant| {
            tenant.group("science").member("ada");
        })
        .await;

    assert_eq!(world.user("zoe").await["user_email"], upn);
    followed.pass(Mode::Incremental).await;
    followed.settled().await;
}
