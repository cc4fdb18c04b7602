//! A reading that is not proven complete, or that a second one contradicts,
//! takes nothing away.

use entra_sync::model::report::Status;
use entra_sync::simulator::{Effect, Fault, LinkTampering, Permission, Tenant, Visibility};
use serde_json::{Value, json};

use crate::support::World;
use crate::support::look::{errors, group, person};

/// Two pages, as short ones are given.
const LARGE: usize = 9;
const PAGE: Effect = Effect::ShortPages { rows: 5 };

fn furnish(tenant: &mut Tenant) {
    for number in 0..LARGE {
        tenant.group("large").member(&format!("person-{number}"));
    }
    tenant.group("large").assigned_by_default();
    tenant
        .group("small")
        .members(["ada", "bob"])
        .assigned("internal_user");
    tenant.group("other").member("ada").assigned_by_default();
}

pub async fn world() -> World {
    World::new(furnish)
        .await
        .with("ENTRA_SYNC__ENTRA__ATTEMPTS", 1)
        // Whom a wrong reading lacks shall not be saved by the guard.
        .with("ENTRA_SYNC__GUARD__MAX_REMOVAL_PERCENT", 100)
}

/// Somebody left, a group was unassigned, somebody was deleted for good.
pub fn take(world: &World) {
    world.entra.tenant(|tenant| {
        tenant.group("large").without_member("person-3");
        tenant.group("small").without_member("bob");
        tenant.group("other").unassigned_entirely();
        tenant.user("person-8").purged();
    });
}

/// Everything that removals change.
async fn standing(world: &World) -> Vec<Vec<Value>> {
    for key in ["large", "small", "other"] {
        world.members(key).await;
    }
    let mut tables = Vec::new();
    for table in [
        "LiteLLM_TeamTable",
        "LiteLLM_TeamMembership",
        "LiteLLM_UserTable",
        "entra_sync.owned_team_member",
        "entra_sync.owned_team",
    ] {
        tables.push(world.database.rows(table).await);
    }
    tables
}

/// 429 is waited out for minutes: the reader's own tests show how that ends.
fn failures() -> Vec<Effect> {
    let status = |status, code: Option<&str>| Effect::Status {
        status,
        code: code.map(str::to_owned),
        retry_after: None,
    };
    vec![
        status(500, None),
        status(403, None),
        status(404, None),
        status(404, Some("Request_ResourceNotFound")),
        Effect::ErrorWithStatus200 {
            code: "UnknownError".to_owned(),
        },
        Effect::HtmlBadGateway,
        Effect::CutBeforeAnswer,
        Effect::CutMidBody,
        Effect::TruncatedJson,
        Effect::MissingValue,
    ]
}

fn bad_links() -> Vec<Effect> {
    vec![
        Effect::LoopingLink,
        Effect::Link(LinkTampering::Host("graph.example.com".to_owned())),
        Effect::Link(LinkTampering::Path("/elsewhere".to_owned())),
    ]
}

/// With this fault nothing goes, and that something was not read is said.
async fn takes_nothing(world: &World, fault: Fault, what: &str) {
    let before = standing(world).await;
    world.entra.fault(Fault::new(PAGE).on("/groups/*").always());
    world.entra.fault(fault);
    let (report, error) = world.try_pass().await;
    world.entra.clear_faults();
    let kept = standing(world).await == before;
    assert!(kept, "{what}: {}", report.json());
    let said = error.is_some() || !report.errors.is_empty();
    assert!(said, "{what}: nothing was said: {}", report.json());
    assert!(
        matches!(report.status, Status::Failed | Status::Partial),
        "{what}: {:?}",
        report.status
    );
}

/// What remains is a pass without faults.
async fn converges(world: &World) {
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 4);
    assert_eq!(report.changes.users.deactivated, 1);
    assert_eq!(world.members("large").await.len(), LARGE - 2);
    assert_eq!(world.members("small").await, [person("ada")]);
    assert!(world.members("other").await.is_empty());
}

/// A page of the large group comes like this: nobody leaves it, and it is named.
async fn members_fail(world: &World, effect: &Effect, page: u32) {
    let what = format!("members, page {page}: {effect:?}");
    let large = group("large");
    let before = (world.members("large").await, world.managed("large").await);
    world
        .entra
        .fault(Fault::new(PAGE).on("/groups/*").always())
        .fault(
            Fault::new(effect.clone())
                .on(format!("/groups/{large}/members"))
                .page(page)
                .always(),
        );
    let (report, error) = world.try_pass().await;
    world.entra.clear_faults();
    let after = (world.members("large").await, world.managed("large").await);
    assert_eq!(after, before, "{what}");
    if matches!(effect, Effect::Link(_)) {
        // Nobody knows whose answers these are: there is no pass.
        let error = error.expect(&what).to_string();
        assert!(error.contains("endpoint"), "{what}: {error}");
        assert_eq!(report.status, Status::Failed, "{what}");
        return;
    }
    assert!(error.is_none(), "{what}: {error:?}");
    assert_eq!(report.status, Status::Partial, "{what}: {}", report.json());
    let named: Vec<_> = errors(&report)
        .into_iter()
        .filter(|(id, _)| *id == large)
        .collect();
    let [(_, message)] = named.as_slice() else {
        panic!("{what}: {}", report.json());
    };
    let circle = message.contains("circle");
    assert_eq!(circle, *effect == Effect::LoopingLink, "{what}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_first_reading_remove_nobody() {
    let world = world().await;
    world.settle().await;
    take(&world);
    for effect in failures().into_iter().chain(bad_links()) {
        // The assignments are one page: it has no link to lead elsewhere.
        if !matches!(effect, Effect::Link(_)) {
            let what = format!("assignments: {effect:?}");
            let fault = Fault::new(effect.clone()).on("/servicePrincipals/*/appRoleAssignedTo");
            takes_nothing(&world, fault.always(), &what).await;
        }
        for page in [1, 2] {
            // The last page has no link that could lead elsewhere.
            if page == 2 && matches!(effect, Effect::Link(_)) {
                continue;
            }
            members_fail(&world, &effect, page).await;
        }
    }
    // Whom the other groups lost meanwhile was read in full.
    world.settle().await;
    assert_eq!(world.members("large").await.len(), LARGE - 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_the_second_look_remove_nobody_of_whom_it_should_tell() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("large").without_member("person-3");
    });
    let members = format!("/groups/{}/members", group("large"));
    for effect in failures() {
        // The pages of the first reading are spared.
        for after in [2, 3] {
            let fault = Fault::new(effect.clone()).on(&members).after(after);
            let what = format!("members, page {}: {effect:?}", after - 1);
            takes_nothing(&world, fault.always(), &what).await;
        }
        let fault = Fault::new(effect.clone()).on("/groups").after(1);
        takes_nothing(&world, fault.always(), &format!("groups: {effect:?}")).await;
        let absent = Effect::Status {
            status: 404,
            code: Some("Request_ResourceNotFound".to_owned()),
            retry_after: None,
        };
        if effect != absent {
            let fault = Fault::new(effect.clone()).on("/users");
            takes_nothing(&world, fault.always(), &format!("people: {effect:?}")).await;
        }
    }
    for effect in bad_links() {
        let fault = Fault::new(effect.clone()).on(&members).after(2);
        takes_nothing(&world, fault.always(), &format!("members: {effect:?}")).await;
    }
    assert_eq!(world.settle().await.changes.team_memberships.removed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_looking_for_the_deleted_and_the_unassigned_keep_them() {
    let world = world().await;
    world.settle().await;
    world.entra.tenant(|tenant| {
        tenant.group("other").unassigned_entirely();
    });
    for effect in failures().into_iter().chain([Effect::LoopingLink]) {
        let fault = Fault::new(effect.clone())
            .on("/servicePrincipals/*/appRoleAssignedTo")
            .after(1);
        takes_nothing(&world, fault.always(), &format!("assignments: {effect:?}")).await;
    }
    world.entra.tenant(|tenant| {
        tenant.group("other").assigned_by_default();
        tenant.user("person-8").purged();
    });
    for effect in failures() {
        for path in ["/users/*", "/directory/deletedItems/*"] {
            // 404 is a matter of the reader's own tests; one object has no list.
            if matches!(
                effect,
                Effect::Status { status: 404, .. } | Effect::MissingValue
            ) {
                continue;
            }
            let fault = Fault::new(effect.clone()).on(path);
            takes_nothing(&world, fault.always(), &format!("{path}: {effect:?}")).await;
        }
    }
    let report = world.settle().await;
    assert_eq!(report.changes.team_memberships.removed, 1);
    assert_eq!(report.changes.users.deactivated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_reading_that_lies_in_silence_is_found_out_by_the_second() {
    let world = world().await;
    world.settle().await;
    let before = standing(&world).await;
    for (effect, path, page) in [
        (Effect::EmptyList, "/groups/*/members", 1),
        (Effect::MissingLink, "/groups/*/members", 1),
        (Effect::ShiftedPage { rows: 5 }, "/groups/*/members", 2),
        (Effect::DuplicateRows, "/groups/*/members", 1),
        (Effect::EmptyPage, "/groups/*/members", 1),
        (
            Effect::EmptyList,
            "/servicePrincipals/*/appRoleAssignedTo",
            1,
        ),
        (
            Effect::ShiftedPage { rows: 1 },
            "/servicePrincipals/*/appRoleAssignedTo",
            1,
        ),
    ] {
        let what = format!("{path}: {effect:?}");
        for only in ["large", "small", "other"] {
            let path = path.replace("/groups/*", &format!("/groups/{}", group(only)));
            world.entra.fault(Fault::new(PAGE).on("/groups/*").always());
            world
                .entra
                .fault(Fault::new(effect.clone()).on(path).page(page));
            let (report, _) = world.try_pass().await;
            world.entra.clear_faults();
            assert_eq!(
                report.changes.total(),
                0,
                "{what}, {only}: {}",
                report.json()
            );
            assert_eq!(standing(&world).await, before, "{what}, {only}");
        }
    }
    take(&world);
    converges(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_concluded_from_what_entra_hides_or_loses() {
    let world = world().await;
    world.settle().await;
    let before = standing(&world).await;
    let unchanged = async |what: &str| {
        let report = world.pass().await;
        assert_eq!(report.status, Status::Partial, "{what}: {}", report.json());
        assert_eq!(standing(&world).await, before, "{what}");
    };
    world.entra.tenant(|tenant| {
        tenant.revoke(Permission::MemberReadHidden);
        tenant
            .group("large")
            .visibility(Visibility::HiddenMembership);
    });
    unchanged("hidden members").await;
    world.entra.tenant(|tenant| {
        tenant.grant(Permission::MemberReadHidden);
        tenant.group("large").visibility(Visibility::Private);
    });
    world.entra.tenant(|tenant| {
        tenant.revoke(Permission::UserReadAll);
        tenant.group("large").without_member("person-3");
    });
    let report = world.pass().await;
    assert_eq!(report.status, Status::Partial);
    assert_eq!(report.changes.users.updated, 0);
    assert_eq!(report.changes.users.deactivated, 0);
    world.entra.tenant(|tenant| {
        tenant.grant(Permission::UserReadAll);
        tenant.group("large").member("person-3");
    });
    world.settle().await;
    world.entra.fault(
        Fault::new(Effect::NotFound)
            .on(format!("/groups/{}/members", group("small")))
            .always(),
    );
    let report = world.pass().await;
    assert_eq!(report.status, Status::Partial);
    assert_eq!(standing(&world).await, before, "404 while assigned");
    world.entra.clear_faults();
    take(&world);
    converges(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_not_lowered_because_of_one_reading_only() {
    let world = World::new(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .assigned("internal_user")
            .assigned_by_default();
        tenant
            .group("all")
            .members(["ada", "bob"])
            .assigned_by_default();
        tenant.user("cem").assigned("proxy_admin_viewer");
        tenant.group("all").member("cem");
    })
    .await;
    world.settle().await;
    let before = world.database.rows("LiteLLM_UserTable").await;
    let makers = format!("/groups/{}/members", group("makers"));
    let application = world
        .entra
        .tenant(|tenant| tenant.service_principal_id().to_string());
    // A replica that knows the application, but not its roles yet.
    let without_roles = Effect::Raw {
        status: 200,
        content_type: "application/json".to_owned(),
        body: json!({ "id": application, "accountEnabled": true, "appRoles": [] }).to_string(),
    };
    for fault in [
        Fault::new(without_roles).on(format!("/servicePrincipals/{application}")),
        Fault::new(Effect::EmptyList).on(&makers),
        Fault::new(Effect::ShiftedPage { rows: 1 }).on(&makers),
        Fault::new(Effect::EmptyList).on("/servicePrincipals/*/appRoleAssignedTo"),
        Fault::new(Effect::ShiftedPage { rows: 1 }).on("/servicePrincipals/*/appRoleAssignedTo"),
        Fault::new(Effect::ShiftedPage { rows: 2 }).on("/servicePrincipals/*/appRoleAssignedTo"),
    ] {
        let what = format!("{fault:?}");
        world.entra.fault(fault);
        let report = world.pass().await;
        assert_eq!(report.changes.total(), 0, "{what}: {}", report.json());
        assert_eq!(world.database.rows("LiteLLM_UserTable").await, before);
    }
    world.entra.tenant(|tenant| {
        tenant.group("makers").without_member("bob");
        tenant.user("cem").unassigned("proxy_admin_viewer");
    });
    // The second look fails: doubt keeps the role.
    world
        .entra
        .fault(Fault::status(403).on(&makers).after(1).always());
    let report = world.pass().await;
    assert_eq!(report.status, Status::Partial);
    assert_eq!(world.user("bob").await["user_role"], "internal_user");
    world.entra.clear_faults();
    world.settle().await;
    for key in ["bob", "cem"] {
        assert_eq!(world.user(key).await["user_role"], "internal_user_viewer");
    }
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_list_of_direct_members_lowers_nobody() {
    let world = World::new(|tenant| {
        tenant
            .group("makers")
            .members(["ada", "bob"])
            .nested("inner")
            .assigned("internal_user");
        tenant.group("inner").member("cem");
    })
    .await
    .with("ENTRA_SYNC__ENTRA__MEMBERSHIP", "transitive");
    world.settle().await;
    let before = world.database.rows("LiteLLM_UserTable").await;
    let makers = format!("/groups/{}/members", group("makers"));
    for effect in [Effect::EmptyList, Effect::ShiftedPage { rows: 1 }] {
        let what = format!("{effect:?}");
        world.entra.fault(Fault::new(effect).on(&makers));
        let report = world.pass().await;
        assert_eq!(report.changes.total(), 0, "{what}: {}", report.json());
        assert_eq!(world.database.rows("LiteLLM_UserTable").await, before);
    }
    // Still a member, by way of another group: that gives no role.
    world.entra.tenant(|tenant| {
        tenant.group("makers").without_member("bob");
        tenant.group("inner").member("bob");
    });
    world
        .entra
        .fault(Fault::status(403).on(&makers).after(1).always());
    let report = world.pass().await;
    assert_eq!(report.status, Status::Partial);
    assert_eq!(world.user("bob").await["user_role"], "internal_user");
    world.entra.clear_faults();
    world.settle().await;
    assert_eq!(world.user("ada").await["user_role"], "internal_user");
    assert_eq!(world.user("bob").await["user_role"], "internal_user_viewer");
}
