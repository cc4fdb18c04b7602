//! A second look into a tenant that goes on living: what left, what was
//! deleted, what came back, and what only seemed to be gone.

use super::scene::{Scene, again, groups, keys, people};
use crate::config::Membership;
use crate::entra::Progress;
use crate::model::directory::{Account, Unread};
use crate::model::evidence::{Needed, Questions, Whereabouts};
use crate::simulator::{Effect, Fault, Permission, Tenant, Visibility, group_id, person_id};

const PEOPLE: &str = "users";
const PERSON: &str = "users/{id}";
const DELETED: &str = "directory/deletedItems/{id}";

fn sales(tenant: &mut Tenant) {
    let sales = tenant.group("Sales").members(["anna", "ben", "cleo"]);
    sales.assigned_by_default();
}

#[tokio::test]
async fn a_person_is_followed_from_leaving_to_being_purged() {
    let scene = Scene::of(sales).await;
    let enabled = Whereabouts::Present(Account::Enabled);
    scene.change(|t| {
        t.group("Sales").without_member("anna");
    });
    assert_eq!(scene.find("anna").await, enabled);
    assert_eq!((scene.asked(PEOPLE), scene.asked(PERSON)), (1, 0));
    scene.change(|t| {
        t.user("anna").disabled();
    });
    let disabled = Whereabouts::Present(Account::Disabled);
    assert_eq!(scene.find("anna").await, disabled);
    scene.change(|t| {
        t.user("anna").soft_deleted();
    });
    assert_eq!(scene.find("anna").await, Whereabouts::SoftDeleted);
    assert_eq!((scene.asked(PERSON), scene.asked(DELETED)), (1, 1));
    scene.change(|t| {
        t.user("anna").restored();
    });
    assert_eq!(scene.find("anna").await, disabled);
    scene.change(|t| {
        t.user("anna").purged();
    });
    assert_eq!(scene.find("anna").await, Whereabouts::Purged);
    assert_eq!((scene.asked(PERSON), scene.asked(DELETED)), (2, 1));
    assert_eq!(scene.find("nobody-ever").await, Whereabouts::Purged);
}

#[tokio::test]
async fn a_person_restored_between_the_two_readings_is_in_the_group_again() {
    let scene = Scene::of(sales).await;
    let anna = person_id("anna");
    scene.change(|t| {
        t.user("anna").soft_deleted();
    });
    let directory = scene.read().await;
    assert!(!directory.people.contains_key(&anna));
    scene.change(|t| {
        t.user("anna").restored();
    });
    let asked = Questions {
        people: vec![anna],
        ..groups(["Sales"])
    };
    let (evidence, _) = scene.look(&asked).await;
    assert_eq!(
        evidence.people[&anna],
        Whereabouts::Present(Account::Enabled)
    );
    assert_eq!(again(&evidence, "Sales"), Ok(keys(["anna", "ben", "cleo"])));
}

#[tokio::test]
async fn a_page_that_was_cut_short_in_the_first_reading_is_whole_in_the_second() {
    let scene = Scene::of(sales).await;
    let members = format!("/groups/{}/members", group_id("Sales"));
    let shifted = Effect::ShiftedPage { rows: 2 };
    scene.simulator.fault(Fault::new(shifted).on(&members));
    let directory = scene.read().await;
    let first = directory.groups[&group_id("Sales")].members.as_ref();
    assert_eq!(first.unwrap().get().len(), 1, "unnoticed");
    let (evidence, _) = scene.look(&groups(["Sales"])).await;
    assert_eq!(again(&evidence, "Sales"), Ok(keys(["anna", "ben", "cleo"])));
}

#[tokio::test]
async fn lists_that_leave_people_out_make_nobody_gone() {
    let effects = [
        Effect::EmptyList,
        Effect::EmptyPage,
        Effect::MissingLink,
        Effect::ShiftedPage { rows: 2 },
        Effect::DuplicateRows,
        Effect::TopIgnored,
    ];
    let everybody = ["anna", "ben", "cleo"];
    let scene = Scene::of(sales).await;
    for effect in effects {
        let fault = Fault::new(effect.clone()).on("/users");
        scene.simulator.fault(fault);
        let (evidence, _) = scene.look(&people(everybody)).await;
        assert_eq!(scene.simulator.waiting_faults(), 0, "{effect:?}");
        for key in everybody {
            let found = &evidence.people[&person_id(key)];
            let enabled = Whereabouts::Present(Account::Enabled);
            assert_eq!(*found, enabled, "{effect:?}");
        }
    }
}

#[tokio::test]
async fn answers_that_are_none_make_nobody_gone() {
    let effects = [
        Effect::ErrorWithStatus200 {
            code: "Request_ResourceNotFound".into(),
        },
        Effect::HtmlBadGateway,
        Effect::TruncatedJson,
        Effect::CutMidBody,
        Effect::CutBeforeAnswer,
        Effect::Raw {
            status: 404,
            content_type: "text/html".into(),
            body: "<html>no such page</html>".into(),
        },
        Effect::Raw {
            status: 200,
            content_type: "application/json".into(),
            body: String::new(),
        },
    ];
    let scene = Scene::of(sales).await;
    scene.change(|t| {
        t.user("anna").purged();
    });
    for effect in effects {
        for path in ["/users", "/users/*", "/directory/deletedItems/*"] {
            scene.simulator.clear_faults();
            let fault = Fault::new(effect.clone()).on(path).always();
            scene.simulator.fault(fault);
            let found = scene.find("anna").await;
            assert!(
                matches!(&found, Whereabouts::Unknown(why) if why.contains("could not be looked up")),
                "{path} {effect:?}: {found:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_404_by_mistake_makes_nobody_gone() {
    let scene = Scene::of(sales).await;
    for paths in [
        &["/users/*"][..],
        &["/users"],
        &["/users", "/directory/deletedItems/*"],
        &["/users", "/users/*"],
    ] {
        scene.simulator.clear_faults();
        for path in paths {
            scene
                .simulator
                .fault(Fault::new(Effect::NotFound).on(*path));
        }
        let found = scene.find("anna").await;
        assert_ne!(found, Whereabouts::Purged, "{paths:?}");
        assert_ne!(found, Whereabouts::SoftDeleted, "{paths:?}");
    }
    // Even with nothing among the deleted items: the third question finds her.
    scene.simulator.clear_faults();
    let tenant = &scene.simulator;
    tenant.fault(Fault::new(Effect::EmptyList).on("/users"));
    tenant.fault(Fault::new(Effect::NotFound).on("/users/*"));
    let enabled = Whereabouts::Present(Account::Enabled);
    assert_eq!(scene.find("anna").await, enabled);
    assert_eq!((scene.asked(PERSON), scene.asked(DELETED)), (2, 1));
}

#[tokio::test]
async fn without_the_permission_people_are_unknown_and_it_is_named() {
    let scene = Scene::of(|t| {
        sales(t);
        t.user("anna").purged();
        t.revoke(Permission::UserReadAll);
    })
    .await;
    let asked = Questions {
        groups: vec![group_id("Sales")],
        ..people(["anna", "ben"])
    };
    let (evidence, cost) = scene.look(&asked).await;
    for found in evidence.people.values() {
        assert!(
            matches!(found, Whereabouts::Unknown(why) if why.contains("grant the application permission User.Read.All")),
            "{found:?}"
        );
    }
    assert_eq!(again(&evidence, "Sales"), Ok(keys(["ben", "cleo"])));
    assert_eq!(cost.requests, 3);
}

#[tokio::test]
async fn groups_are_read_again_as_the_settings_expand_them() {
    let furnish = |t: &mut Tenant| {
        t.group("Team").members(["ben"]);
        let sales = t.group("Sales").members(["anna"]).nested("Team");
        sales.assigned_by_default();
        let hidden = t.group("Hidden").members(["cleo"]);
        let hidden = hidden.visibility(Visibility::HiddenMembership);
        hidden.assigned_by_default();
    };
    for (membership, expected) in [
        (Membership::Direct, keys(["anna"])),
        (Membership::Transitive, keys(["anna", "ben"])),
    ] {
        let scene = Scene::expanded(membership, furnish).await;
        let first = scene.read().await;
        let (evidence, _) = scene.look(&groups(["Sales", "Hidden", "Gone"])).await;
        assert_eq!(again(&evidence, "Sales"), Ok(expected));
        assert_eq!(again(&evidence, "Hidden"), Ok(keys(["cleo"])));
        assert_eq!(again(&evidence, "Gone"), Err(Unread::NotFound));
        let read = first.groups[&group_id("Sales")].members.as_ref().unwrap();
        let second = evidence.groups[&group_id("Sales")].as_ref().unwrap();
        assert_eq!(read, second);
    }
    let scene = Scene::of(|t| {
        furnish(t);
        t.revoke(Permission::MemberReadHidden);
    })
    .await;
    let (evidence, _) = scene.look(&groups(["Hidden"])).await;
    assert_eq!(again(&evidence, "Hidden"), Err(Unread::HiddenMembership));
}

#[tokio::test]
async fn the_second_reading_of_one_group_may_fail() {
    let scene = Scene::of(|t| {
        for key in ["One", "Two", "Three"] {
            t.group(key).members([key, "all"]).assigned_by_default();
        }
    })
    .await;
    scene.read().await;
    let two = format!("/groups/{}/members", group_id("Two"));
    scene.simulator.fault(Fault::status(500).on(two).always());
    let (evidence, cost) = scene.look(&groups(["One", "Two", "Three"])).await;
    assert_eq!(again(&evidence, "One"), Ok(keys(["One", "all"])));
    assert_eq!(again(&evidence, "Three"), Ok(keys(["Three", "all"])));
    assert!(matches!(again(&evidence, "Two"), Err(Unread::Failed(_))));
    assert_eq!((cost.requests, cost.retries), (6, 2));
}

#[tokio::test]
async fn a_group_missing_from_one_list_of_assignments_is_in_the_second() {
    let scene = Scene::of(sales).await;
    let list = "/servicePrincipals/*/appRoleAssignedTo";
    scene
        .simulator
        .fault(Fault::new(Effect::EmptyList).on(list));
    assert!(scene.read().await.assignments.get().is_empty());
    let asked = Questions {
        assignments: Needed::Yes,
        ..Questions::default()
    };
    let (evidence, _) = scene.look(&asked).await;
    assert_eq!(evidence.assignments.unwrap().unwrap().get().len(), 1);
    let truncated = Fault::new(Effect::TruncatedJson).on(list).always();
    scene.simulator.fault(truncated);
    let (evidence, _) = scene.look(&asked).await;
    assert!(evidence.assignments.unwrap().is_err());
}

#[tokio::test]
async fn three_thousand_people_take_two_hundred_requests_and_what_the_missing_cost() {
    let crowd: Vec<String> = (0..3000).map(|number| format!("p{number}")).collect();
    let all = || crowd.iter().map(String::as_str);
    let scene = Scene::of(|t| {
        t.group("Everyone").members(all()).assigned_by_default();
    })
    .await;
    scene.read().await;
    // All of them left.
    scene.change(|t| {
        t.group("Everyone").without_members();
    });
    let (evidence, cost) = scene.look(&people(all())).await;
    assert_eq!(evidence.people.len(), 3000);
    let enabled = Whereabouts::Present(Account::Enabled);
    assert!(evidence.people.values().all(|found| *found == enabled));
    assert_eq!(
        (scene.asked(PEOPLE), scene.asked(PERSON), cost.requests),
        (200, 0, 200)
    );
    assert_eq!(
        cost.resource_units,
        scene.simulator.requests().of(PEOPLE).resource_units
    );

    // Ten are deleted and three purged; the token expires under way.
    scene.change(|t| {
        for key in crowd.iter().take(10) {
            t.user(key).soft_deleted();
        }
        for key in crowd.iter().skip(10).take(3) {
            t.user(key).purged();
        }
    });
    let asked = people(all());
    scene.simulator.reset_requests();
    let progress = Progress::unobserved();
    let expiring = async {
        while scene.asked(PEOPLE) < 50 {
            tokio::task::yield_now().await;
        }
        scene.simulator.expire_tokens();
    };
    let look = scene.reader.second_look(&asked, &progress);
    let ((evidence, cost), ()) = tokio::join!(look, expiring);
    let count = |wanted: &Whereabouts| {
        let found = evidence.people.values();
        found.filter(|found| *found == wanted).count()
    };
    assert_eq!(count(&Whereabouts::SoftDeleted), 10);
    assert_eq!(count(&Whereabouts::Purged), 3);
    assert_eq!(count(&enabled), 2987);
    assert_eq!(scene.asked(DELETED), 13);
    assert_eq!(scene.asked(PERSON) - 13, 3);
    assert!(cost.retries >= 1, "the token was refused");
    // The three rounds about those who are missing take a request each.
    assert_eq!(cost.requests, 200 + 3 + cost.retries);
    assert_eq!(cost.requests, scene.asked(PEOPLE) + scene.asked("$batch"));
    assert_eq!(
        cost.resource_units,
        scene.simulator.requests().graph().resource_units
    );
}
