//! Rounds: each link to its end, whatever the pages look like.

use serde_json::json;

use super::delta::{
    GROUPS, PEOPLE, ids, item, key, last, layout, news, quiet, requests, tells, words,
};
use super::stub::{
    Reply, assignments_path, group_id, person, person_id, quick, service_principal_path,
};
use crate::entra::{Defect, Error, Progress, Reader};
use crate::model::directory::{Attributes, ReadingCost, Unread};
use crate::model::known::{ObjectNews, PersonNews, Word};

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn an_unchanged_round_costs_one_request_for_each_link_and_two_beside_them() {
    let (stub, links) = quiet(&[(0, 0..50), (1, 50..100), (5, 100..110)]).await;
    let heard = is_send(news(&stub, &links)).await.unwrap();
    assert!(heard.news.groups.is_empty() && heard.news.people.is_empty());
    assert!(heard.news.unfollowed.is_empty());
    assert_eq!(heard.news.assignments.get().len(), 110);
    let expected = ReadingCost {
        requests: 6,
        resource_units: 6,
        retries: 0,
    };
    assert_eq!(heard.cost, expected);
    let mut asked = requests(&stub);
    asked.sort();
    let mut wanted = vec![
        service_principal_path(),
        assignments_path(),
        key(0),
        key(1),
        key(5),
        format!("{PEOPLE}?page=p"),
    ];
    wanted.sort();
    assert_eq!(asked, wanted);
    assert_eq!(
        layout(&heard.links),
        [
            (0, 50, "b0-next".into()),
            (1, 50, "b1-next".into()),
            (5, 10, "b5-next".into()),
        ]
    );
    assert!(heard.links.people.as_str().ends_with("page=p-next"));
}

#[tokio::test]
async fn a_round_is_followed_over_empty_pages_to_the_one_that_ends_it() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    let page = |number: u32| stub.link(GROUPS, &number.to_string());
    let at = |number: u32| format!("{GROUPS}?page={number}");
    stub.set(&key(0), [Reply::page_then(&[], &page(1))]);
    stub.set(&at(1), [Reply::page_then(&[], &page(2))]);
    let told = [item(1, &[7], &[]), item(2, &[8], &[])];
    stub.set(&at(2), [Reply::page_then(&told, &page(3))]);
    stub.set(&at(3), [Reply::page_then(&[item(1, &[], &[9])], &page(4))]);
    stub.set(&at(4), [last(&[], &stub.link(GROUPS, "end"))]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(
        words(&heard.news),
        [
            (1, 7, Word::Joined),
            (1, 9, Word::Left),
            (2, 8, Word::Joined)
        ]
    );
    assert_eq!(layout(&heard.links), [(0, 3, "end".into())]);
}

#[tokio::test]
async fn a_member_said_to_have_joined_and_left_on_different_pages_is_both() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let next = stub.link(GROUPS, "2");
    stub.set(&key(0), [Reply::page_then(&[item(0, &[], &[1])], &next)]);
    let end = stub.link(GROUPS, "end");
    stub.set(
        &format!("{GROUPS}?page=2"),
        [last(&[item(0, &[1], &[])], &end)],
    );
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(words(&heard.news), [(0, 1, Word::Both)]);
    assert!(heard.news.unfollowed.is_empty(), "the caller reads it");
}

#[tokio::test]
async fn strangers_of_a_round_are_told_of_people_but_not_of_groups() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let stranger = json!({ "id": group_id(99).to_string(), "@removed": { "reason": "deleted" } });
    tells(&stub, 0, &[stranger, item(0, &[], &[5])]);
    let gone = json!({ "id": person_id(77).to_string(), "@removed": { "reason": "deleted" } });
    stub.set(
        &format!("{PEOPLE}?page=p"),
        [last(&[gone, person(3)], &stub.link(PEOPLE, "p-next"))],
    );
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(words(&heard.news), [(0, 5, Word::Left)]);
    assert_eq!(heard.news.groups.len(), 1);
    assert_eq!(heard.news.people[&person_id(77)], PersonNews::Deleted);
    let shown = &heard.news.people[&person_id(3)];
    assert!(matches!(shown, PersonNews::Now(Attributes::Known(_))));
}

/// A page token is lost in the middle: the link still stands.
#[tokio::test]
async fn a_lost_page_begins_the_round_again_and_throws_away_what_was_gathered() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let next = stub.link(GROUPS, "2");
    let pages = [
        Reply::page_then(&[item(0, &[1], &[])], &next),
        last(&[item(0, &[2], &[])], &stub.link(GROUPS, "end")),
    ];
    stub.set(&key(0), pages);
    let lost = Reply::error(400, "Directory_ExpiredPageToken");
    stub.set(&format!("{GROUPS}?page=2"), [lost]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(words(&heard.news), [(0, 2, Word::Joined)]);
    assert_eq!(heard.cost.retries, 1);
}

#[tokio::test]
async fn pages_that_cannot_be_used_leave_the_bucket_to_be_read_in_full_with_its_link_kept() {
    let error_inside = json!({ "error": { "code": "UnknownError" } });
    for reply in [
        Reply::text(200, r#"{"value":[{"id":"a00"#),
        Reply::text(502, "<html>bad gateway</html>"),
        Reply::text(200, "<html>welcome</html>"),
        Reply::json(200, &error_inside),
        Reply::json(200, &json!({ "value": [] })),
        Reply::json(
            200,
            &json!({ "value": [], "@odata.nextLink": "x", "@odata.deltaLink": "y" }),
        ),
        Reply::error(403, "Authorization_RequestDenied"),
        Reply::text(404, "<html>no such route</html>"),
    ] {
        let (stub, links) = quiet(&[(0, 0..2), (1, 2..4)]).await;
        tells(&stub, 1, &[item(2, &[1], &[])]);
        stub.set(&key(0), [reply]);
        let heard = news(&stub, &links).await.unwrap();
        assert_eq!(heard.news.unfollowed, ids(0..2));
        assert_eq!(words(&heard.news), [(2, 1, Word::Joined)]);
        assert_eq!(
            layout(&heard.links),
            [(0, 2, "b0".into()), (1, 2, "b1-next".into())]
        );
        assert_eq!(heard.links.groups[&0], links.groups[&0]);
    }
}

#[tokio::test]
async fn nothing_of_a_round_that_broke_off_is_told() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let next = stub.link(GROUPS, "2");
    stub.set(&key(0), [Reply::page_then(&[item(0, &[1], &[])], &next)]);
    stub.set(&format!("{GROUPS}?page=2"), [Reply::text(500, "")]);
    let heard = news(&stub, &links).await.unwrap();
    assert!(heard.news.groups.is_empty(), "{:?}", heard.news.groups);
    assert_eq!(heard.news.unfollowed, ids(0..1));
}

#[tokio::test]
async fn pages_in_a_circle_end_the_round_of_their_bucket() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let own = stub.link(GROUPS, "b0");
    stub.set(&key(0), [Reply::page_then(&[], &own)]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids(0..1));
    assert_eq!(stub.seen_at(&key(0)).len(), 1);
}

#[tokio::test]
async fn a_round_that_leads_elsewhere_ends_the_reading_and_nothing_is_sent_there() {
    let elsewhere = super::stub::Stub::start().await;
    for link in [
        format!("{}/v1.0/groups/delta?page=2", elsewhere.origin),
        "https://graph.example.com/v1.0/groups/delta".to_owned(),
    ] {
        for reply in [Reply::page_then(&[], &link), last(&[], &link)] {
            let (stub, links) = quiet(&[(0, 0..1)]).await;
            stub.set(&key(0), [reply]);
            let error = news(&stub, &links).await.unwrap_err();
            assert_eq!(error.kind(), "foreign_link");
            assert!(!error.wants_full_reading());
            assert!(!error.to_string().contains("example.com"), "{error}");
        }
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn without_the_link_for_people_there_are_no_news() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let both = json!({ "value": [], "@odata.nextLink": "x", "@odata.deltaLink": "y" });
    stub.set(&format!("{PEOPLE}?page=p"), [Reply::json(200, &both)]);
    let error = news(&stub, &links).await.unwrap_err();
    assert!(
        !error.wants_full_reading(),
        "the link still stands: {error}"
    );
    let Error::Malformed { defect, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(defect, Defect::TwoLinks);
}

#[tokio::test]
async fn an_outage_ends_the_round_instead_of_being_taken_for_every_bucket() {
    let buckets: Vec<_> = (0..40).map(|n| (n, n..n + 1)).collect();
    let (stub, links) = quiet(&buckets).await;
    for number in 0..40 {
        stub.set(&key(number), [Reply::text(503, "")]);
    }
    let error = news(&stub, &links).await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    let asked = stub.seen().len();
    assert!(asked < 70, "{asked}");
}

#[tokio::test]
async fn a_token_refused_in_the_middle_is_replaced_and_the_same_page_goes_on() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let next = stub.link(GROUPS, "2");
    stub.set(&key(0), [Reply::page_then(&[item(0, &[1], &[])], &next)]);
    let end = stub.link(GROUPS, "end");
    stub.set(
        &format!("{GROUPS}?page=2"),
        [
            Reply::error(401, "InvalidAuthenticationToken"),
            last(&[item(0, &[2], &[])], &end),
        ],
    );
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(words(&heard.news).len(), 2);
    assert_eq!(stub.seen_at(&key(0)).len(), 1);
}

#[tokio::test]
async fn a_group_that_begins_to_hide_its_members_is_unclear() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let mut told = item(0, &[], &[]);
    told["visibility"] = json!("HiddenMembership");
    tells(&stub, 0, &[told]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.groups[&group_id(0)].object, ObjectNews::Unclear);
}

#[tokio::test]
async fn what_is_read_in_full_comes_with_its_people_and_says_what_is_missing() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    stub.group(group_id(0), &[person(1), person(2)]);
    stub.set(
        &super::stub::person_path(person_id(9)),
        [Reply::error(404, "Request_ResourceNotFound")],
    );
    let mut settings = stub.settings();
    settings.groups.exclude.insert(group_id(2));
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    let progress = Progress::unobserved();
    let heard = reader.news(&links, &progress).await.unwrap();
    let people = [person_id(1), person_id(9)].into();
    let groups = ids(0..3);
    let fresh = is_send(reader.read_some(&groups, &people, &heard.news, &progress))
        .await
        .unwrap();
    let read = |number| fresh.groups[&group_id(number)].members.as_ref();
    assert_eq!(read(0).unwrap().get(), &super::stub::ids([1, 2]));
    assert_eq!(read(1).unwrap_err(), &Unread::NotFound);
    assert_eq!(read(2).unwrap_err(), &Unread::Excluded);
    assert_eq!(fresh.people.len(), 2);
    assert_eq!(fresh.unread_people.len(), 1);
    assert_eq!(fresh.unread_people[&person_id(9)], Unread::NotFound);
    // Who was seen as a member is not asked for again.
    assert!(
        stub.seen_at(&super::stub::person_path(person_id(1)))
            .is_empty()
    );
    let none = reader
        .read_some(&[].into(), &[].into(), &heard.news, &progress)
        .await
        .unwrap();
    assert_eq!(none.cost, ReadingCost::default());
}
