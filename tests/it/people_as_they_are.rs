//! People whom Graph shows only in part: disabled, guests, without mail,
//! without attributes.

use entra_sync::model::report::Status;
use entra_sync::simulator::{
    AccountEnabled, DeletedAssignments, Effect, Fault, Permission, Visibility,
};
use serde_json::json;

use crate::support::World;
use crate::support::look::{errors, people, person, skipped};
use crate::support::seed;

async fn science() -> World {
    World::new(|tenant| {
        tenant
            .group("science")
            .members(["ada", "bob"])
            .assigned_by_default();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_to_read_people_nobody_is_made_and_who_is_there_stays() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.revoke(Permission::UserReadAll);
        tenant.group("science").assigned("internal_user");
    });
    seed::user(&person("ada"))
        .with("user_alias", "Ada Example")
        .with("user_email", "ada@example.com")
        .insert(&world.database)
        .await;
    let before = world.user("ada").await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    let errors = errors(&report);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].1.contains("User.Read.All"), "{errors:?}");
    let bob = person("bob");
    assert_eq!(skipped(&report), [(bob.as_str(), "attributes_unknown")]);
    assert_eq!(world.count("LiteLLM_UserTable").await, 1);
    assert_eq!(
        world.members("science").await,
        people(["ada"]),
        "by identity"
    );
    let after = world.user("ada").await;
    for column in ["user_alias", "user_email", "user_role", "sso_user_id"] {
        assert_eq!(after[column], before[column], "{column}");
    }
    // Granted again, everything is made good.
    world
        .entra
        .tenant(|tenant| tenant.grant(Permission::UserReadAll));
    world.settle().await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    let role = world.user("ada").await["user_role"].clone();
    assert_eq!(role, "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_assigned_directly_who_may_not_be_read_is_named_with_the_permission() {
    let world = World::new(|tenant| {
        tenant.user("ada").assigned("internal_user");
        tenant.revoke(Permission::UserReadAll);
    })
    .await;

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial, "{}", report.json());
    assert_eq!(report.errors.len(), 1);
    let message = &report.errors[0].message;
    assert!(message.contains("User.Read.All"), "{message}");
    assert_eq!(world.count("LiteLLM_UserTable").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_person_is_not_made_but_one_who_is_there_keeps_everything() {
    let world = science()
        .await
        .with("ENTRA_SYNC__DEPROVISION__DISABLED_USER", "keep");
    world.settle().await;
    let before = world.user("ada").await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").disabled();
        tenant.user("cyd").disabled();
        tenant.user("dan").disabled().assigned("proxy_admin");
        tenant.group("science").member("cyd");
    });

    let report = world.settle().await;

    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.user("ada").await, before);
    let [first, second] = people(["cyd", "dan"]).try_into().expect("two");
    let named = [(first.as_str(), "disabled"), (second.as_str(), "disabled")];
    assert_eq!(skipped(&report), named);
    world.entra.tenant(|tenant| {
        tenant.user("cyd").account(AccountEnabled::Enabled);
    });
    world.settle().await;
    assert_eq!(
        world.members("science").await,
        people(["ada", "bob", "cyd"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_which_nothing_is_said_is_enabled() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").account(AccountEnabled::Null);
        tenant.user("bob").account(AccountEnabled::Omitted);
    });

    let report = world.settle().await;

    assert_eq!(report.skipped, []);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_has_the_address_that_a_login_would_take() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.user("ada").guest("Ada@Partner.example.com");
        tenant
            .user("bob")
            .guest("bob@partner.example.com")
            .without_mail();
    });

    world.settle().await;

    let ada = world.user("ada").await;
    assert_eq!(
        ada["user_email"],
        "ada_partner.example.com#ext#@contoso.example.com"
    );
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_own_address_is_taken_where_litellm_is_told_to() {
    let world = science()
        .await
        .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail");
    world.entra.tenant(|tenant| {
        tenant.user("ada").guest("Ada@Partner.example.com");
        tenant.user("bob").without_mail();
    });

    world.settle().await;

    assert_eq!(
        world.user("ada").await["user_email"],
        "ada@partner.example.com"
    );
    assert_eq!(world.user("bob").await["user_email"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_no_people_are_passed_over() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.group("inner").member("zoe");
        tenant
            .group("science")
            .nested("inner")
            .device("laptop")
            .contact("supplier")
            .service_principal("robot");
    });

    let report = world.settle().await;

    assert_eq!(report.errors, []);
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
    assert_eq!(world.count("LiteLLM_UserTable").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_members_are_joined_when_membership_is_transitive() {
    let world = science()
        .await
        .with("ENTRA_SYNC__ENTRA__MEMBERSHIP", "transitive");
    world.entra.tenant(|tenant| {
        tenant.group("innermost").member("cyd").nested("science");
        tenant
            .group("inner")
            .members(["ada", "zoe"])
            .nested("innermost");
        tenant.group("science").nested("inner");
    });

    world.settle().await;

    let all = people(["ada", "bob", "cyd", "zoe"]);
    assert_eq!(world.members("science").await, all);
    assert_eq!(
        world.count("LiteLLM_TeamTable").await,
        1,
        "only what is assigned"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_or_person_that_lingers_in_the_assignments_is_left_alone() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant.group("gone").member("ada").assigned_by_default();
        tenant.user("ghost").assigned_by_default();
        tenant.user("kim").assigned_by_default();
    });
    world.settle().await;
    let team = world.team("gone").await;
    let ghost = world.user("ghost").await;
    world.entra.tenant(|tenant| {
        tenant.deleted_assignments(DeletedAssignments::Linger);
        tenant.group("gone").soft_deleted();
        tenant.user("ghost").soft_deleted();
        tenant.user("kim").soft_deleted();
        tenant.group("science").member("cyd");
    });
    // As if for good, while the assignment is still there.
    let items = format!("/directory/deletedItems/{}", person("ghost"));
    world
        .entra
        .fault(Fault::new(Effect::NotFound).on(items).always());

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 2, "{:?}", report.errors);
    assert_eq!(world.team("gone").await, team);
    assert_eq!(world.user("ghost").await, ghost);
    // Of whom is among the deleted items, Entra says that they are deleted.
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(world.user("kim").await["metadata"]["scim_active"], false);
    assert_eq!(
        world.members("science").await,
        people(["ada", "bob", "cyd"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_hides_its_members_is_left_alone_until_they_may_be_seen() {
    let world = science().await;
    world.entra.tenant(|tenant| {
        tenant
            .group("science")
            .visibility(Visibility::HiddenMembership);
        tenant.group("arts").member("ada").assigned_by_default();
        tenant.revoke(Permission::MemberReadHidden);
    });

    let report = world.pass().await;

    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    let message = &report.errors[0].message;
    assert!(message.contains("Member.Read.Hidden"), "{message}");
    assert_eq!(world.count("LiteLLM_TeamTable").await, 1);
    world
        .entra
        .tenant(|tenant| tenant.grant(Permission::MemberReadHidden));
    world.settle().await;
    assert_eq!(world.members("science").await, people(["ada", "bob"]));
}
