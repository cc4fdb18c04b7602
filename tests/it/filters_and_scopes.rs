//! What a pass was not asked to look at stays exactly as it is.

use entra_sync::model::policy::Scope;
use entra_sync::model::report::Status;
use entra_sync::simulator::{group_id, person_id};
use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{group, people, person, skipped};
use crate::support::seed;

const INCLUDE: &str = "ENTRA_SYNC__ENTRA__INCLUDE_GROUPS";
const EXCLUDE: &str = "ENTRA_SYNC__ENTRA__EXCLUDE_GROUPS";
const DOMAINS: &str = "ALLOWED_EMAIL_DOMAINS";

async fn arts_and_science() -> World {
    World::new(|tenant| {
        tenant
            .group("arts")
            .members(["ada", "bob"])
            .assigned("internal_user");
        tenant
            .group("science")
            .members(["ada", "cyd"])
            .assigned_by_default();
    })
    .await
    .with("ENTRA_GROUPS_ALSO_CREATE_ORGS", "true")
}

/// Everything that is in LiteLLM.
async fn everything(world: &World) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_UserTable",
        "LiteLLM_TeamMembership",
        "LiteLLM_OrganizationTable",
        "LiteLLM_OrganizationMembership",
        "LiteLLM_BudgetTable",
    ] {
        all.push(world.database.rows(table).await);
    }
    all
}

/// Every name, role and membership of the two groups changes.
fn change_everything(world: &World) {
    world.entra.tenant(|tenant| {
        tenant
            .user("ada")
            .display_name("New Ada")
            .assigned("proxy_admin");
        tenant.user("cyd").display_name("New Cyd");
        tenant
            .group("arts")
            .display_name("New Arts")
            .member("new-a");
        tenant
            .group("science")
            .display_name("New Science")
            .member("new-s");
        tenant.group("later").member("new-l").assigned_by_default();
        tenant.user("direct").assigned_by_default();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn only_included_groups_are_provisioned_and_the_others_are_named() {
    let world = arts_and_science().await.with(INCLUDE, group("science"));

    let report = world.settle().await;

    assert_eq!(world.count("LiteLLM_TeamTable").await, 1);
    assert_eq!(world.count("LiteLLM_OrganizationTable").await, 1);
    assert_eq!(world.members("science").await, people(["ada", "cyd"]));
    assert!(!world.has_user("bob").await);
    let arts = group("arts");
    assert_eq!(skipped(&report), [(arts.as_str(), "excluded")]);
    let role = world.user("ada").await["user_role"].clone();
    assert_eq!(
        role, "internal_user_viewer",
        "no role through what is excluded"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_excludes_later_is_frozen_as_it_is() {
    let mut world = arts_and_science().await;
    world.settle().await;
    let before = everything(&world).await;
    world.set(EXCLUDE, format!("{},{}", group("arts"), group("science")));
    world.entra.tenant(|tenant| {
        tenant
            .group("arts")
            .display_name("New Arts")
            .member("new-a")
            .without_member("bob");
        tenant.group("science").unassigned_entirely();
    });

    world.settle().await;

    assert_eq!(everything(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn narrowing_a_filter_freezes_what_the_wider_one_made() {
    let mut world = arts_and_science().await;
    world.settle().await;
    let before = everything(&world).await;
    world.set(INCLUDE, group("science"));
    world.entra.tenant(|tenant| {
        tenant
            .group("arts")
            .display_name("New Arts")
            .without_member("bob")
            .unassigned_entirely();
    });

    world.settle().await;

    assert_eq!(everything(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_group_that_is_excluded_later_are_deactivated_all_the_same() {
    let mut world = World::new(|tenant| {
        let arts = tenant.group("arts").members(["ada", "bob", "cyd", "dan"]);
        arts.assigned("internal_user");
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await;
    world.settle().await;
    let members = world.members("arts").await;
    world.set(EXCLUDE, group("arts"));
    world.entra.tenant(|tenant| {
        tenant.user("bob").disabled();
        tenant.user("cyd").soft_deleted();
        tenant.user("dan").purged();
    });

    let report = world.settle().await;

    assert_eq!(report.changes.users.deactivated, 3);
    assert_eq!(report.changes.total(), 3, "{}", report.json());
    assert_eq!(world.members("arts").await, members);
    for (key, active) in [
        ("ada", json!(null)),
        ("bob", json!(false)),
        ("cyd", json!(false)),
    ] {
        let row = world.user(key).await;
        assert_eq!(row["metadata"]["scim_active"], active, "{row}");
        assert_eq!(row["user_role"], "internal_user", "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_other_domains_are_left_out_and_who_has_no_address_is_not_checked() {
    let world = World::new(|tenant| {
        tenant
            .user("ada")
            .user_principal_name("Ada@Good.example.com");
        tenant
            .user("bob")
            .user_principal_name("bob@bad.example.com");
        tenant
            .user("cyd")
            .user_principal_name("cyd@sub.good.example.com");
        tenant
            .group("science")
            .members(["ada", "bob", "cyd"])
            .assigned_by_default();
    })
    .await
    .with(DOMAINS, "good.example.com,other.example.com");

    let report = world.settle().await;

    assert_eq!(world.members("science").await, people(["ada"]));
    let [first, second] = people(["bob", "cyd"]).try_into().expect("two");
    let named = [
        (first.as_str(), "email_domain"),
        (second.as_str(), "email_domain"),
    ];
    assert_eq!(skipped(&report), named);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_without_an_address_passes_the_domain_filter_as_at_a_login() {
    let world = World::new(|tenant| {
        tenant.user("ada").without_mail();
        tenant.group("science").member("ada").assigned_by_default();
    })
    .await
    .with("MICROSOFT_USER_EMAIL_ATTRIBUTE", "mail")
    .with(DOMAINS, "good.example.com");

    world.settle().await;

    assert_eq!(world.members("science").await, people(["ada"]));
    assert_eq!(world.user("ada").await["user_email"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_domain_filter_excludes_later_is_frozen() {
    let mut world = arts_and_science().await;
    world.settle().await;
    let before = everything(&world).await;
    world.set(DOMAINS, "good.example.com");
    world.entra.tenant(|tenant| {
        tenant
            .user("ada")
            .display_name("New Ada")
            .assigned("proxy_admin");
        tenant.group("arts").member("cyd");
    });

    world.settle().await;

    assert_eq!(everything(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_domain_filter_excludes_later_leaves_and_is_deactivated_all_the_same() {
    let mut world = arts_and_science().await;
    world.settle().await;
    world.set(DOMAINS, "good.example.com");
    world.entra.tenant(|tenant| {
        tenant.group("arts").without_member("bob");
        tenant.user("cyd").disabled();
        tenant.user("ada").soft_deleted();
    });

    let report = world.settle().await;

    assert_eq!(world.members("arts").await, people(["ada"]));
    assert_eq!(world.organization_members("arts").await, people(["ada"]));
    assert_eq!(world.members("science").await, people(["ada", "cyd"]));
    assert_eq!(report.changes.users.deactivated, 2);
    for (key, active) in [
        ("ada", json!(false)),
        ("bob", json!(null)),
        ("cyd", json!(false)),
    ] {
        let row = world.user(key).await;
        assert_eq!(row["metadata"]["scim_active"], active, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_one_group_touches_that_group_and_its_people_only() {
    let world = arts_and_science().await;
    world.settle().await;
    let untouched = world.user("cyd").await;
    let arts = world.team("arts").await;
    change_everything(&world);
    let scope = Scope::asked([group_id("arts")].into(), [].into());

    let (report, error) = world.pass_of(&world.source(), scope.clone()).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.status, Status::Succeeded);
    assert_eq!(world.team("arts").await["team_alias"], "New Arts");
    assert_ne!(world.team("arts").await, arts);
    assert_eq!(world.members("arts").await, people(["ada", "bob", "new-a"]));
    assert_eq!(world.user("ada").await["user_alias"], "New Ada");
    assert_eq!(world.team("science").await["team_alias"], "science");
    assert_eq!(world.members("science").await, people(["ada", "cyd"]));
    assert_eq!(world.user("cyd").await, untouched);
    for key in ["new-s", "new-l", "direct"] {
        assert!(!world.has_user(key).await, "{key}");
    }
    assert_eq!(world.count("LiteLLM_TeamTable").await, 2);
    let (again, _) = world.pass_of(&world.source(), scope).await;
    assert_eq!(again.status, Status::Unchanged, "{}", again.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_one_person_touches_that_person_only() {
    let world = arts_and_science().await;
    world.settle().await;
    let untouched = world.user("cyd").await;
    change_everything(&world);
    world.entra.tenant(|tenant| {
        tenant.group("science").member("new-a");
    });
    let scope = Scope::asked([].into(), [person_id("ada"), person_id("new-a")].into());

    let (report, error) = world.pass_of(&world.source(), scope.clone()).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.changes.users.created, 1, "{}", report.json());
    assert_eq!(report.changes.users.updated, 1);
    let ada = world.user("ada").await;
    assert_eq!(ada["user_alias"], "New Ada");
    assert_eq!(ada["user_role"], "proxy_admin");
    assert_eq!(world.members("arts").await, people(["ada", "bob", "new-a"]));
    assert_eq!(
        world.members("science").await,
        people(["ada", "cyd", "new-a"])
    );
    assert_eq!(world.user("cyd").await, untouched);
    for key in ["arts", "science"] {
        assert_eq!(world.team(key).await["team_alias"], key, "not renamed");
    }
    assert_eq!(world.count("LiteLLM_TeamTable").await, 2, "no team made");
    let (again, _) = world.pass_of(&world.source(), scope).await;
    assert_eq!(again.status, Status::Unchanged, "{}", again.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_a_person_assigned_directly_makes_that_user() {
    let world = arts_and_science().await;
    world.entra.tenant(|tenant| {
        tenant.user("direct").assigned("internal_user");
    });
    let scope = Scope::asked([].into(), [person_id("direct")].into());

    let (report, error) = world.pass_of(&world.source(), scope).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(report.changes.total(), 1, "{}", report.json());
    assert_eq!(world.user("direct").await["user_role"], "internal_user");
    assert_eq!(world.count("LiteLLM_UserTable").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_a_person_whom_no_assignment_reaches_says_so() {
    let world = arts_and_science().await;
    let scope = Scope::asked([].into(), [person_id("stranger"), person_id("ada")].into());

    let (report, error) = world.pass_of(&world.source(), scope).await;

    assert!(error.is_none(), "{error:?}");
    let skipped: Vec<(&str, &str)> = report
        .skipped
        .iter()
        .map(|left_out| (left_out.id.as_str(), left_out.reason.as_str()))
        .collect();
    assert_eq!(skipped, [(person("stranger").as_str(), "not_in_source")]);
    assert_eq!(report.changes.users.created, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_a_group_that_is_not_assigned_changes_nothing_and_says_so() {
    let world = arts_and_science().await;
    seed::user(&person("ada")).insert(&world.database).await;
    let before = everything(&world).await;
    let scope = Scope::asked([group_id("elsewhere")].into(), [].into());

    let (report, error) = world.pass_of(&world.source(), scope).await;

    assert_eq!(report.status, Status::Failed);
    let message = error.expect("an error").to_string();
    assert!(message.contains(&group("elsewhere")), "{message}");
    assert_eq!(everything(&world).await, before);
}

/// Nobody knows who is in it, so nobody is lowered below what it gives.
#[tokio::test(flavor = "multi_thread")]
async fn an_excluded_group_that_gives_a_role_is_named_when_it_keeps_somebodys() {
    let world = World::new(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .assigned("internal_user");
        tenant.group("admins").assigned("proxy_admin");
    })
    .await
    .with("ENTRA_SYNC__ENTRA__EXCLUDE_GROUPS", group("admins"));
    let report = world.settle().await;
    let admins = group("admins");
    assert_eq!(skipped(&report), [(admins.as_str(), "excluded")]);
    world.entra.tenant(|tenant| {
        tenant.group("makers").without_member("bob");
    });

    let report = world.settle().await;

    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(world.user("bob").await["user_role"], "internal_user");
    let named = [(admins.as_str(), "excluded"), (&admins, "excluded_role")];
    assert_eq!(skipped(&report), named);
}
