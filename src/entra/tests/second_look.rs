//! Groups and assignments read again before anything is taken away.

use serde_json::json;

use super::stub::{
    Reply, Stub, assigned_group, assignment, assignments_path, group_id, ids, members_path, person,
    person_id, person_path, quick, role_id, transitive_path,
};
use crate::config::{EntraSettings, Membership};
use crate::entra::{Progress, Reader};
use crate::model::directory::{Account, Principal, ReadingCost, Unread};
use crate::model::evidence::{Evidence, Needed, Questions, Whereabouts};
use crate::model::ids::PersonId;

fn groups(numbers: impl IntoIterator<Item = u32>) -> Questions {
    Questions {
        groups: numbers.into_iter().map(group_id).collect(),
        ..Questions::default()
    }
}

async fn look(stub: &Stub, asked: &Questions) -> (Evidence, ReadingCost) {
    look_with(&stub.reader(), asked).await
}

async fn look_with(reader: &Reader, asked: &Questions) -> (Evidence, ReadingCost) {
    reader.second_look(asked, &Progress::unobserved()).await
}

fn again(evidence: &Evidence, number: u32) -> Result<&[PersonId], &Unread> {
    evidence.groups[&group_id(number)]
        .as_ref()
        .map(|members| members.get().as_slice())
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn a_group_is_read_again_to_its_last_page_sorted_and_without_repetition() {
    let stub = Stub::start().await;
    stub.group(group_id(1), &[]);
    stub.group(group_id(2), &[person(7)]);
    let path = members_path(group_id(1));
    stub.set(
        &path,
        [Reply::page_then(
            &[person(9), person(3)],
            &stub.link(&path, "2"),
        )],
    );
    stub.set(
        &format!("{path}?page=2"),
        [Reply::page(&[person(3), person(1)])],
    );
    let (evidence, cost) = is_send(look(&stub, &groups([1]))).await;
    assert_eq!(again(&evidence, 1), Ok(&*ids([1, 3, 9])));
    assert_eq!(evidence.groups.len(), 1, "no other group is read");
    assert!(stub.seen_at(&members_path(group_id(2))).is_empty());
    assert!(evidence.assignments.is_none() && evidence.people.is_empty());
    // The object, and two pages at two units each.
    let expected = ReadingCost {
        requests: 3,
        resource_units: 5,
        retries: 0,
    };
    assert_eq!(cost, expected);
}

#[tokio::test]
async fn a_group_is_expanded_as_in_the_first_reading() {
    let stub = Stub::start().await;
    stub.roles(&[json!({ "id": role_id(1).to_string(), "value": "team", "isEnabled": true })]);
    stub.assign(&[assignment(
        "Group",
        &group_id(1).to_string(),
        &role_id(1).to_string(),
    )]);
    stub.group(group_id(1), &[person(1)]);
    stub.set(
        &transitive_path(group_id(1)),
        [Reply::page(&[person(1), person(2)])],
    );
    let transitive = EntraSettings {
        membership: Membership::Transitive,
        ..stub.settings()
    };
    let reader = Reader::with_pace(&transitive, quick()).unwrap();
    let (evidence, _) = look_with(&reader, &groups([1])).await;
    assert_eq!(again(&evidence, 1), Ok(&*ids([1, 2])));
    assert!(
        stub.seen_at(&members_path(group_id(1))).is_empty(),
        "who receives a role is not asked"
    );
    let asked = Questions {
        bearers: vec![group_id(1)],
        ..groups([])
    };
    let (evidence, _) = look_with(&reader, &asked).await;
    let bearers = evidence.role_bearers(group_id(1)).unwrap();
    assert_eq!(bearers.as_ref().unwrap().get(), &ids([1]));
    assert!(evidence.groups.is_empty(), "who is a member is not asked");
    let before = stub.seen_at(&members_path(group_id(1))).len();
    let asked = Questions {
        bearers: vec![group_id(1)],
        ..groups([1])
    };
    let (evidence, _) = look(&stub, &asked).await;
    assert_eq!(again(&evidence, 1), Ok(&*ids([1])));
    assert_eq!(
        evidence.role_bearers(group_id(1)),
        evidence.groups.get(&group_id(1))
    );
    let seen = stub.seen_at(&members_path(group_id(1))).len();
    assert_eq!(seen, before + 1, "one list tells both");
}

#[tokio::test]
async fn one_group_that_fails_leaves_the_others_alone() {
    let stub = Stub::start().await;
    for number in 0..8 {
        stub.group(group_id(number), &[person(number)]);
    }
    let set = |number, reply: Reply| stub.set(&members_path(group_id(number)), [reply]);
    set(1, Reply::text(500, ""));
    set(2, Reply::error(404, "Request_ResourceNotFound"));
    set(3, Reply::error(403, "Authorization_RequestDenied"));
    set(4, Reply::text(200, r#"{"value":[{"id":"b00"#));
    set(5, Reply::error(200, "UnknownError"));
    let path = members_path(group_id(6));
    set(6, Reply::page_then(&[person(6)], &stub.link(&path, "2")));
    stub.set(&format!("{path}?page=2"), [Reply::text(502, "<html>")]);
    // 99 has no object: deleted, or not yet replicated.
    let asked = groups((0..8).chain([99]));
    let (evidence, cost) = look(&stub, &asked).await;
    assert_eq!(evidence.groups.len(), 9);
    assert_eq!(again(&evidence, 0), Ok(&*ids([0])));
    assert_eq!(again(&evidence, 7), Ok(&*ids([7])));
    assert_eq!(again(&evidence, 2), Err(&Unread::NotFound));
    assert_eq!(again(&evidence, 99), Err(&Unread::NotFound));
    for (number, word) in [
        (1, "500"),
        (3, "GroupMember.Read.All"),
        (4, "ends in the middle"),
        (5, "as a success"),
        (6, "502"),
    ] {
        match again(&evidence, number) {
            Err(Unread::Failed(reason)) => assert!(reason.contains(word), "{reason}"),
            other => panic!("{number}: {other:?}"),
        }
    }
    // 500, cut, 200 around an error, and the second page: two more tries each.
    assert_eq!(cost.retries, 8);
}

#[tokio::test]
async fn hidden_members_read_as_none_are_unknown() {
    let stub = Stub::start().await;
    stub.group(group_id(1), &[]);
    stub.group(group_id(2), &[]);
    stub.group(group_id(3), &[person(1)]);
    for number in [1, 3] {
        let hidden = json!({ "visibility": "HiddenMembership" });
        stub.group_object(group_id(number), hidden);
    }
    let (evidence, _) = look(&stub, &groups([1, 2, 3])).await;
    assert_eq!(again(&evidence, 1), Err(&Unread::HiddenMembership));
    assert_eq!(again(&evidence, 2), Ok(&[][..]));
    assert_eq!(again(&evidence, 3), Ok(&*ids([1])));
}

#[tokio::test]
async fn groups_whose_objects_cannot_be_read_are_unread() {
    let stub = Stub::start().await;
    stub.group(group_id(1), &[person(1)]);
    stub.set(
        "/v1.0/groups",
        [Reply::error(403, "Authorization_RequestDenied")],
    );
    let (evidence, _) = look(&stub, &groups([1])).await;
    let unread = again(&evidence, 1).unwrap_err();
    assert!(matches!(unread, Unread::Failed(reason) if reason.contains("GroupMember.Read.All")));
    assert!(stub.seen_at(&members_path(group_id(1))).is_empty());
}

#[tokio::test]
async fn no_more_groups_than_allowed_are_read_at_a_time() {
    let stub = Stub::start().await;
    for number in 0..12 {
        let group = group_id(number);
        stub.group(group, &[]);
        let slow = Reply::page(&[person(number)]).after(std::time::Duration::from_millis(40));
        stub.set(&members_path(group), [slow]);
    }
    let (evidence, _) = look(&stub, &groups(0..12)).await;
    assert!(evidence.groups.values().all(Result::is_ok));
    let mut at: Vec<_> = stub
        .seen()
        .into_iter()
        .filter(|seen| seen.key.ends_with("/members"))
        .map(|seen| seen.at)
        .collect();
    at.sort_unstable();
    let limit = stub.settings().concurrency;
    for (first, beyond) in at.iter().zip(at.iter().skip(limit)) {
        let gap = *beyond - *first;
        assert!(gap >= std::time::Duration::from_millis(39), "{gap:?}");
    }
}

#[tokio::test]
async fn the_assignments_are_read_again_when_asked() {
    let stub = Stub::start().await;
    stub.roles(&[json!({ "id": role_id(1).to_string(), "value": "team", "isEnabled": true })]);
    let path = assignments_path();
    let first = [assigned_group(group_id(2))];
    stub.set(&path, [Reply::page_then(&first, &stub.link(&path, "2"))]);
    let second = [
        assigned_group(group_id(1)),
        assignment(
            "User",
            &person_id(1).to_string(),
            super::stub::DEFAULT_ACCESS,
        ),
    ];
    stub.set(&format!("{path}?page=2"), [Reply::page(&second)]);
    let asked = Questions {
        assignments: Needed::Yes,
        ..Questions::default()
    };
    let (evidence, cost) = look(&stub, &asked).await;
    let assigned = evidence.assignments.unwrap().unwrap();
    let principals: Vec<Principal> = assigned.get().iter().map(|row| row.principal).collect();
    assert_eq!(
        principals,
        [
            Principal::Group(group_id(1)),
            Principal::Group(group_id(2)),
            Principal::Person(person_id(1)),
        ]
    );
    let roles: Vec<_> = evidence.roles.into_keys().collect();
    assert_eq!(roles, [role_id(1)], "with the roles that they may name");
    assert_eq!((cost.requests, cost.resource_units), (3, 3));
    let (evidence, _) = look(&stub, &groups([])).await;
    assert!(evidence.assignments.is_none(), "not asked");
    assert_eq!(stub.seen_at(&path).len(), 1);
}

#[tokio::test]
async fn assignments_that_cannot_be_read_to_their_end_are_unread_and_the_rest_goes_on() {
    let path = assignments_path();
    let replies = [
        Reply::text(500, ""),
        Reply::error(403, "Authorization_RequestDenied"),
        Reply::error(404, "Request_ResourceNotFound"),
        Reply::error(200, "UnknownError"),
        Reply::text(200, r#"{"value":[]"#),
        Reply::text(200, r"{}"),
    ];
    for reply in replies {
        let stub = Stub::start().await;
        stub.group(group_id(1), &[person(1)]);
        let first = [assigned_group(group_id(2))];
        stub.set(&path, [Reply::page_then(&first, &stub.link(&path, "2"))]);
        stub.set(&format!("{path}?page=2"), [reply]);
        let asked = Questions {
            assignments: Needed::Yes,
            ..groups([1])
        };
        let (evidence, _) = look(&stub, &asked).await;
        assert!(evidence.assignments.as_ref().unwrap().is_err());
        assert_eq!(again(&evidence, 1), Ok(&*ids([1])));
    }
}

#[tokio::test]
async fn people_are_looked_up_before_the_groups_are_read_again() {
    let stub = Stub::start().await;
    stub.group(group_id(1), &[person(1)]);
    stub.set("/v1.0/users", [Reply::page(&[])]);
    let asked = Questions {
        people: ids([1]),
        ..groups([1])
    };
    // Deleted when looked up, restored when the group is read: in one of both.
    let slow = Reply::error(404, "Request_ResourceNotFound");
    let slow = slow.after(std::time::Duration::from_millis(30));
    stub.set(&person_path(person_id(1)), [slow]);
    look(&stub, &asked).await;
    let order: Vec<bool> = stub
        .seen()
        .iter()
        .filter(|seen| seen.key != super::stub::TOKEN)
        .map(|seen| seen.key.starts_with("/v1.0/groups"))
        .collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(order.len() >= 5 && order.contains(&true));
}

#[tokio::test]
async fn a_token_revoked_in_the_middle_is_replaced_and_the_look_goes_on() {
    let stub = Stub::start().await;
    let reader = stub.reader();
    for number in 0..20 {
        stub.group(group_id(number), &[person(number)]);
    }
    let path = members_path(group_id(0));
    let link = stub.link(&path, "2");
    stub.set(&path, [Reply::page_then(&[person(0)], &link)]);
    stub.set(
        &format!("{path}?page=2"),
        [
            Reply::error(401, "InvalidAuthenticationToken"),
            Reply::page(&[person(50)]),
        ],
    );
    let everybody: Vec<_> = (0..30).map(person).collect();
    stub.set(
        "/v1.0/users",
        [
            Reply::page(&everybody),
            Reply::error(401, "InvalidAuthenticationToken"),
            Reply::page(&everybody),
        ],
    );
    let asked = Questions {
        people: ids(0..30),
        ..groups(0..20)
    };
    let (evidence, cost) = look_with(&reader, &asked).await;
    assert_eq!(again(&evidence, 0), Ok(&*ids([0, 50])));
    assert!(evidence.groups.values().all(Result::is_ok));
    assert_eq!(evidence.people.len(), 30);
    assert_eq!(stub.seen_at(&path).len(), 1, "the same page goes on");
    assert_eq!(cost.retries, 2);
    assert_eq!(stub.seen_at(super::stub::TOKEN).len(), 3);
}

#[tokio::test]
async fn without_a_token_everything_asked_for_is_unanswered() {
    let stub = Stub::start().await;
    stub.group(group_id(1), &[person(1)]);
    stub.set(
        super::stub::TOKEN,
        [Reply::json(
            401,
            &json!({ "error": "invalid_client", "error_codes": [7_000_215] }),
        )],
    );
    let asked = Questions {
        assignments: Needed::Yes,
        people: ids([7]),
        ..groups([1])
    };
    let (evidence, cost) = look(&stub, &asked).await;
    let unread = [
        again(&evidence, 1).unwrap_err(),
        evidence.assignments.as_ref().unwrap().as_ref().unwrap_err(),
    ];
    for unread in unread {
        assert!(matches!(unread, Unread::Failed(reason) if reason.contains("AADSTS7000215")));
    }
    let Whereabouts::Unknown(reason) = &evidence.people[&person_id(7)] else {
        panic!("{:?}", evidence.people);
    };
    assert!(reason.contains("entra.client_secret"), "{reason}");
    assert_eq!((evidence.groups.len(), evidence.people.len()), (1, 1));
    assert_eq!(cost.resource_units, 0);
}

/// People whose look-up had been answered by then are known.
#[tokio::test]
async fn what_breaks_off_at_the_groups_leaves_the_people_known() {
    let stub = Stub::start().await;
    let path = members_path(group_id(1));
    stub.group(group_id(1), &[]);
    stub.group(group_id(2), &[person(2)]);
    let foreign = "https://elsewhere.test/v1.0/groups?page=2";
    stub.set(&path, [Reply::page_then(&[person(1)], foreign)]);
    stub.set("/v1.0/users", [Reply::page(&[person(3)])]);
    let asked = Questions {
        assignments: Needed::Yes,
        people: ids([3]),
        ..groups([1, 2])
    };
    let (evidence, _) = look(&stub, &asked).await;
    for number in [1, 2] {
        let unread = again(&evidence, number).unwrap_err();
        assert!(
            matches!(unread, Unread::Failed(reason) if reason.contains("entra.graph_endpoint")),
            "{unread:?}"
        );
    }
    assert!(evidence.assignments.unwrap().is_ok());
    assert_eq!(
        evidence.people[&person_id(3)],
        Whereabouts::Present(Account::Enabled)
    );
}
