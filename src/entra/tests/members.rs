//! What a group's members come to.

use serde_json::{Value, json};

use super::stub::{
    DEFAULT_ACCESS, Reply, Stub, assigned_group, assignment, group_id, ids, members, members_path,
    people, person, person_id, quick, read, role_id, transitive_path,
};
use crate::config::Membership;
use crate::entra::Reader;
use crate::model::directory::{Account, Attributes, Directory, Group, PersonAttributes, Unread};

fn of_type(kind: &str) -> Value {
    json!({ "@odata.type": kind, "id": group_id(77).to_string(), "displayName": null })
}

fn known(directory: &Directory, number: u32) -> &PersonAttributes {
    match &directory.people[&person_id(number)].attributes {
        Attributes::Known(attributes) => attributes,
        Attributes::Unknown => panic!("unknown"),
    }
}

#[tokio::test]
async fn only_people_are_members_and_the_others_are_counted() {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.assign(&[assigned_group(group)]);
    let mut capital = person(2);
    capital["@odata.type"] = json!("#Microsoft.Graph.User");
    stub.group(
        group,
        &[
            person(1),
            of_type("#microsoft.graph.group"),
            of_type("#microsoft.graph.device"),
            of_type("#microsoft.graph.orgContact"),
            of_type("#microsoft.graph.servicePrincipal"),
            of_type("#microsoft.graph.somethingNew"),
            capital,
        ],
    );
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids([1, 2]));
    assert_eq!(directory.groups[&group].other_members, 5);
    assert_eq!(
        directory.groups[&group].direct_members.as_ref().map(|_| ()),
        None
    );
    assert!(stub.seen_at(&members_path(group_id(77))).is_empty());
}

#[tokio::test]
async fn members_are_sorted_and_named_once_however_often_pages_repeat_them() {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.assign(&[assigned_group(group)]);
    stub.group(group, &[]);
    let path = members_path(group);
    let upper = json!({
        "@odata.type": "#microsoft.graph.user",
        "id": person_id(3).to_string().to_uppercase(),
        "userPrincipalName": "x",
    });
    stub.set(
        &path,
        [Reply::page_then(
            &[person(9), person(3)],
            &stub.link(&path, "2"),
        )],
    );
    stub.set(
        &format!("{path}?page=2"),
        [Reply::page(&[person(3), person(1), upper])],
    );
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids([1, 3, 9]));
    assert_eq!(directory.people.len(), 3);
}

#[tokio::test]
async fn the_request_names_page_size_and_every_attribute_once() {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.assign(&[assigned_group(group)]);
    stub.group(group, &[person(1)]);
    let mut settings = stub.settings();
    settings.attributes.id = "employeeId".into();
    settings.attributes.email = "mail".into();
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    read(&reader).await.unwrap();
    let query = stub.seen_at(&members_path(group)).remove(0).query;
    assert_eq!(query["$top"], "999");
    assert_eq!(
        query["$select"],
        "id,userPrincipalName,mail,displayName,givenName,surname,accountEnabled,userType,employeeId"
    );
}

#[tokio::test]
async fn a_person_is_resolved_as_the_settings_say() {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.assign(&[assigned_group(group)]);
    let mut one = person(1);
    one["employeeId"] = json!("E-1");
    one["accountEnabled"] = json!(false);
    one["displayName"] = json!("Z\u{e4}h \"quoted\"\n");
    stub.group(group, &[one]);
    let mut settings = stub.settings();
    settings.attributes.id = "employeeId".into();
    let directory = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        known(&directory, 1),
        &PersonAttributes {
            subject: "E-1".into(),
            email: Some("p1@contoso.test".into()),
            also_known_as: Box::default(),
            alias: Some("Z\u{e4}h \"quoted\"".into()),
            account: Account::Disabled,
        }
    );
}

#[tokio::test]
async fn withheld_attributes_are_unknown_until_someone_shows_them() {
    let stub = Stub::start().await;
    stub.assign(&[assigned_group(group_id(1)), assigned_group(group_id(2))]);
    let bare = |number| {
        json!({
            "@odata.type": "#microsoft.graph.user",
            "id": person_id(number).to_string(),
            "userPrincipalName": null, "displayName": null, "accountEnabled": null,
        })
    };
    stub.group(group_id(1), &[bare(1), bare(2)]);
    stub.group(group_id(2), &[person(2)]);
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group_id(1)), ids([1, 2]));
    assert!(matches!(
        directory.people[&person_id(1)].attributes,
        Attributes::Unknown
    ));
    assert_eq!(&*known(&directory, 2).subject, person_id(2).to_string());
}

#[tokio::test]
async fn a_group_that_hides_its_members_and_shows_none_is_unknown() {
    let stub = Stub::start().await;
    let groups: Vec<_> = (1..5).map(group_id).collect();
    stub.assign(
        &groups
            .iter()
            .copied()
            .map(assigned_group)
            .collect::<Vec<_>>(),
    );
    for (group, visibility) in groups.iter().zip(["HiddenMembership", "hiddenmembership"]) {
        stub.group(*group, &[]);
        stub.group_object(
            *group,
            json!({ "displayName": "x", "visibility": visibility }),
        );
    }
    // Hidden, but somebody is shown; and empty, but not hidden.
    stub.group(groups[2], &[person(1)]);
    stub.group_object(groups[2], json!({ "visibility": "HiddenMembership" }));
    stub.group(groups[3], &[]);
    stub.group_object(groups[3], json!({ "visibility": "Private" }));
    let directory = stub.read().await.unwrap();
    let unread = |index: usize| directory.groups[&groups[index]].members.as_ref().err();
    assert_eq!(unread(0), Some(&Unread::HiddenMembership));
    assert_eq!(unread(1), Some(&Unread::HiddenMembership));
    assert_eq!(members(&directory, groups[2]), ids([1]));
    assert_eq!(members(&directory, groups[3]), ids([]));
}

#[tokio::test]
async fn a_refused_list_names_the_permission_that_is_missing() {
    let stub = Stub::start().await;
    stub.assign(&[assigned_group(group_id(1)), assigned_group(group_id(2))]);
    for number in [1, 2] {
        stub.group(group_id(number), &[]);
        stub.set(
            &members_path(group_id(number)),
            [Reply::error(403, "Authorization_RequestDenied").header("request-id", "req-7")],
        );
    }
    stub.group_object(group_id(2), json!({ "visibility": "HiddenMembership" }));
    let directory = stub.read().await.unwrap();
    let reason = |number| format!("{:?}", directory.groups[&group_id(number)].members);
    assert!(reason(1).contains("GroupMember.Read.All"), "{}", reason(1));
    assert!(reason(1).contains("request-id req-7"), "{}", reason(1));
    assert!(!reason(1).contains("secret words"), "{}", reason(1));
    assert!(reason(2).contains("Member.Read.Hidden"), "{}", reason(2));
    assert_eq!(stub.seen_at(&members_path(group_id(1))).len(), 1);
}

async fn transitive(role: &Value, direct: Reply) -> (Stub, Group) {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.roles(&[
        json!({ "id": role_id(1).to_string(), "value": "proxy_admin", "isEnabled": true }),
        json!({ "id": role_id(2).to_string(), "value": "internal_user", "isEnabled": false }),
    ]);
    stub.assign(&[
        assigned_group(group),
        assignment("Group", &group.to_string(), role.as_str().unwrap()),
    ]);
    stub.group(group, &[]);
    stub.set(&members_path(group), [direct]);
    stub.set(
        &transitive_path(group),
        [Reply::page(
            &[people(1..4), vec![of_type("#microsoft.graph.group")]].concat(),
        )],
    );
    let mut settings = stub.settings();
    settings.membership = Membership::Transitive;
    let directory = read(&Reader::with_pace(&settings, quick()).unwrap())
        .await
        .unwrap();
    let group = directory.groups[&group].clone();
    (stub, group)
}

#[tokio::test]
async fn a_role_reaches_direct_members_only_even_if_membership_is_transitive() {
    let role = json!(role_id(1).to_string());
    let (_stub, group) = transitive(&role, Reply::page(&[person(2)])).await;
    assert_eq!(group.members.as_ref().unwrap().get(), &ids([1, 2, 3]));
    assert_eq!(group.role_bearers(), Some(ids([2]).as_slice()));
    assert_eq!(group.other_members, 1);
}

#[tokio::test]
async fn direct_members_are_not_asked_for_where_no_role_counts() {
    for role in [
        json!(DEFAULT_ACCESS),
        json!(role_id(2).to_string()),
        json!(role_id(9).to_string()),
    ] {
        let (stub, group) = transitive(&role, Reply::page(&[person(2)])).await;
        assert_eq!(group.members.unwrap().get(), &ids([1, 2, 3]));
        assert!(group.direct_members.is_none());
        assert!(stub.seen_at(&members_path(group_id(1))).is_empty());
    }
}

#[tokio::test]
async fn without_the_direct_list_nobody_receives_the_role() {
    let role = json!(role_id(1).to_string());
    let (_stub, group) = transitive(&role, Reply::text(500, "")).await;
    assert!(matches!(group.members, Err(Unread::Failed(_))));
    assert_eq!(group.role_bearers(), None);
}
