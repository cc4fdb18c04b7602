//! A whole reading: what is in it, what is left out, what ends it.

use std::collections::BTreeSet;

use serde_json::json;

use super::stub::{
    DEFAULT_ACCESS, Reply, Stub, assigned_group, assignment, assignments_path, group_id, ids,
    members, members_path, person, person_id, person_path, quick, read, role_id,
    service_principal_path,
};
use crate::entra::{Error, Progress, Reader};
use crate::model::directory::{AppRole, AppRoleState, Assignment, Principal, ReadingCost, Unread};
use crate::model::policy::{GroupFilter, Scope};

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn an_application_without_assignments_is_read_as_such() {
    let stub = Stub::start().await;
    let directory = is_send(stub.read()).await.unwrap();
    assert!(directory.assignments.get().is_empty());
    assert!(directory.groups.is_empty() && directory.people.is_empty());
    assert_eq!(
        directory.cost,
        ReadingCost {
            requests: 2,
            resource_units: 2,
            retries: 0
        }
    );
}

#[tokio::test]
async fn every_row_of_a_principal_is_kept_and_other_principals_are_dropped() {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.roles(&[
        json!({ "id": role_id(1).to_string(), "value": "Proxy_Admin", "isEnabled": true }),
        json!({ "id": role_id(2).to_string(), "value": null, "isEnabled": false }),
    ]);
    let role = role_id(1).to_string();
    stub.assign(&[
        assignment("Group", &group.to_string(), &role),
        assignment("group", &group.to_string().to_uppercase(), DEFAULT_ACCESS),
        assignment("Group", &group.to_string(), &role),
        assignment("ServicePrincipal", &person_id(8).to_string(), &role),
        assignment("SomethingNew", "x", &role),
        assignment("User", &person_id(1).to_string(), &role),
    ]);
    stub.group(group, &[person(1)]);
    let directory = stub.read().await.unwrap();
    let row = |principal, role| Assignment { principal, role };
    let default = DEFAULT_ACCESS.parse().unwrap();
    assert_eq!(
        directory.assignments.get(),
        &vec![
            row(Principal::Group(group), default),
            row(Principal::Group(group), role_id(1)),
            row(Principal::Person(person_id(1)), role_id(1)),
        ]
    );
    assert_eq!(
        directory.roles[&role_id(2)],
        AppRole {
            value: None,
            state: AppRoleState::Disabled
        }
    );
    // Seen as a member, so not asked for again.
    assert!(stub.seen_at(&person_path(person_id(1))).is_empty());
}

#[tokio::test]
async fn the_name_of_a_group_comes_from_its_object() {
    let stub = Stub::start().await;
    let mut row = assigned_group(group_id(1));
    row["principalDisplayName"] = json!("stale");
    stub.assign(&[row, assigned_group(group_id(2))]);
    stub.group(group_id(1), &[]);
    stub.group_object(group_id(1), json!({ "displayName": "fresh" }));
    stub.group(group_id(2), &[]);
    stub.group_object(group_id(2), json!({ "displayName": null }));
    let directory = stub.read().await.unwrap();
    let name = |number| directory.groups[&group_id(number)].display_name.as_deref();
    assert_eq!(name(1), Some("fresh"));
    assert_eq!(name(2), None);
}

#[tokio::test]
async fn one_group_that_fails_leaves_the_others_alone() {
    let stub = Stub::start().await;
    let groups: Vec<_> = (0..40).map(group_id).collect();
    stub.assign(
        &groups
            .iter()
            .copied()
            .map(assigned_group)
            .collect::<Vec<_>>(),
    );
    for (number, group) in (0..).zip(&groups) {
        stub.group(*group, &[person(number)]);
    }
    stub.set(&members_path(groups[7]), [Reply::text(500, "")]);
    stub.set(
        &members_path(groups[8]),
        [Reply::error(404, "Request_ResourceNotFound")],
    );
    stub.set(
        &members_path(groups[9]),
        [Reply::error(501, "NotImplemented")],
    );
    // Assigned, but no object: deleted, or not yet replicated.
    let gone = group_id(99);
    let mut rows: Vec<_> = groups.iter().copied().map(assigned_group).collect();
    rows.push(assigned_group(gone));
    stub.assign(&rows);

    let (progress, watched) = Progress::new();
    let directory = stub
        .reader()
        .read(&Scope::default(), &progress)
        .await
        .unwrap();
    assert_eq!(directory.groups.len(), 41);
    let unread = |id| directory.groups[&id].members.as_ref().unwrap_err();
    assert!(matches!(unread(groups[7]), Unread::Failed(reason) if reason.contains("500")));
    assert_eq!(unread(groups[8]), &Unread::NotFound);
    assert!(matches!(unread(groups[9]), Unread::Failed(reason) if reason.contains("501")));
    assert_eq!(unread(gone), &Unread::NotFound);
    assert_eq!(stub.seen_at(&members_path(groups[9])).len(), 1);
    assert!(stub.seen_at(&members_path(gone)).is_empty());
    for (number, group) in (0..).zip(&groups) {
        if !(7..10).contains(&number) {
            assert_eq!(members(&directory, *group), ids([number]));
        }
    }
    let end = *watched.borrow();
    assert_eq!((end.groups_total, end.groups_done), (41, 41));
    assert_eq!(end.memberships, 37);
    assert_eq!(end.usage.requests, directory.cost.requests);
    assert_eq!(end.usage.retries, 2);
}

#[tokio::test]
async fn excluded_and_unasked_groups_are_not_read_and_say_why() {
    let stub = Stub::start().await;
    stub.assign(&(1..4).map(group_id).map(assigned_group).collect::<Vec<_>>());
    for number in 1..4 {
        stub.group(group_id(number), &[person(number)]);
    }
    let mut settings = stub.settings();
    settings.groups = GroupFilter {
        include: BTreeSet::new(),
        exclude: BTreeSet::from([group_id(1)]),
    };
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    let scope = Scope::asked([group_id(1), group_id(2)].into(), BTreeSet::new());
    let directory = reader.read(&scope, &Progress::unobserved()).await.unwrap();
    let unread = |number| directory.groups[&group_id(number)].members.as_ref().err();
    assert_eq!(unread(1), Some(&Unread::Excluded));
    assert_eq!(unread(2), None);
    assert_eq!(unread(3), Some(&Unread::OutOfScope));
    assert!(stub.seen_at(&members_path(group_id(1))).is_empty());
    assert!(stub.seen_at(&members_path(group_id(3))).is_empty());
}

#[tokio::test]
async fn a_group_that_was_asked_for_but_is_not_assigned_is_named() {
    let stub = Stub::start().await;
    stub.assign(&[assigned_group(group_id(1))]);
    stub.group(group_id(1), &[]);
    let scope = Scope::asked([group_id(1), group_id(5)].into(), BTreeSet::new());
    let error = stub
        .reader()
        .read(&scope, &Progress::unobserved())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "not_assigned");
    assert!(error.to_string().contains(&group_id(5).to_string()));
    assert!(!error.to_string().contains(&group_id(1).to_string()));
}

#[tokio::test]
async fn people_who_are_assigned_without_being_members_are_asked_for() {
    let stub = Stub::start().await;
    let direct = |number: u32| assignment("User", &person_id(number).to_string(), DEFAULT_ACCESS);
    stub.assign(&[direct(1), direct(2), direct(3), direct(4)]);
    let mut alone = person(1);
    alone.as_object_mut().unwrap().remove("@odata.type");
    stub.set(&person_path(person_id(1)), [Reply::json(200, &alone)]);
    stub.set(
        &person_path(person_id(3)),
        [Reply::error(403, "Authorization_RequestDenied")],
    );
    // Somebody else's object is no answer.
    stub.set(&person_path(person_id(4)), [Reply::json(200, &person(1))]);
    let directory = stub.read().await.unwrap();
    assert_eq!(directory.people.len(), 1);
    assert!(directory.people.contains_key(&person_id(1)));
    assert_eq!(directory.unread_people[&person_id(2)], Unread::NotFound);
    let reason = |number| format!("{:?}", directory.unread_people[&person_id(number)]);
    assert!(reason(3).contains("User.Read.All"));
    assert!(reason(4).contains("`id`"));

    let scope = Scope::asked(BTreeSet::new(), [person_id(1)].into());
    let directory = stub
        .reader()
        .read(&scope, &Progress::unobserved())
        .await
        .unwrap();
    assert!(directory.people.contains_key(&person_id(1)));
    assert_eq!(directory.unread_people[&person_id(2)], Unread::OutOfScope);
}

#[tokio::test]
async fn a_wrong_service_principal_id_is_explained() {
    for path in [service_principal_path(), assignments_path()] {
        let stub = Stub::start().await;
        stub.set(&path, [Reply::error(404, "Request_ResourceNotFound")]);
        let error = stub.read().await.unwrap_err();
        assert_eq!(error.kind(), "service_principal_not_found");
        let text = error.to_string();
        assert!(text.contains("Object ID") && text.contains("Application (client) ID"));
    }
}

#[tokio::test]
async fn without_the_application_permission_there_is_no_reading() {
    for path in [service_principal_path(), assignments_path()] {
        let stub = Stub::start().await;
        stub.set(&path, [Reply::error(403, "Authorization_RequestDenied")]);
        let error = stub.read().await.unwrap_err();
        assert_eq!(error.kind(), "permission_missing");
        assert!(error.to_string().contains("Application.Read.All"));
    }
}

#[tokio::test]
async fn a_service_principal_without_role_list_is_no_answer() {
    let stub = Stub::start().await;
    for body in [
        json!({ "id": super::stub::SERVICE_PRINCIPAL }),
        json!({ "id": super::stub::SERVICE_PRINCIPAL, "appRoles": null }),
        json!({ "id": group_id(1).to_string(), "appRoles": [] }),
    ] {
        stub.set(&service_principal_path(), [Reply::json(200, &body)]);
        let error = stub.read().await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_outage_ends_the_reading_instead_of_prolonging_it() {
    let stub = Stub::start().await;
    let groups: Vec<_> = (0..200).map(group_id).collect();
    stub.assign(
        &groups
            .iter()
            .copied()
            .map(assigned_group)
            .collect::<Vec<_>>(),
    );
    for group in &groups {
        stub.group(*group, &[]);
        stub.set(&members_path(*group), [Reply::text(503, "")]);
    }
    let error = stub.read().await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    let asked = stub
        .seen()
        .iter()
        .filter(|seen| seen.key.ends_with("/members"))
        .count();
    assert!(asked < 100, "{asked}");
}

#[tokio::test]
async fn the_longest_lists_of_last_time_are_read_first() {
    let stub = Stub::start().await;
    let groups: Vec<_> = (0..6).map(group_id).collect();
    stub.assign(
        &groups
            .iter()
            .copied()
            .map(assigned_group)
            .collect::<Vec<_>>(),
    );
    for (number, group) in (0..).zip(&groups) {
        let size = if number == 4 { 9 } else { 1 };
        stub.group(*group, &super::stub::people(0..size));
    }
    let mut settings = stub.settings();
    settings.concurrency = 1;
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    read(&reader).await.unwrap();
    let before = stub.seen().len();
    read(&reader).await.unwrap();
    let first = stub
        .seen()
        .into_iter()
        .skip(before)
        .find(|seen| seen.key.ends_with("/members"))
        .unwrap();
    assert_eq!(first.key, members_path(groups[4]));
}

#[tokio::test]
async fn the_price_is_what_graph_says_else_what_the_table_says() {
    let stub = Stub::start().await;
    stub.assign(&[assigned_group(group_id(1)), assigned_group(group_id(2))]);
    stub.group(group_id(1), &[]);
    stub.group(group_id(2), &[]);
    stub.set(
        &members_path(group_id(1)),
        [Reply::page(&[]).header("x-ms-resource-unit", "7")],
    );
    stub.set(
        &members_path(group_id(2)),
        [Reply::text(500, ""), Reply::page(&[])],
    );
    let directory = stub.read().await.unwrap();
    assert_eq!(
        directory.cost,
        ReadingCost {
            requests: 6,
            // Service principal, assignments, group objects, 7, a failure, 2.
            resource_units: 1 + 1 + 1 + 7 + 2,
            retries: 1
        }
    );
}
