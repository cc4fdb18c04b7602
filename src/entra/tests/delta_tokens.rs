//! The whole reading that hands out links: links before lists, and what is
//! done where none are to be had.

use super::delta::{GROUPS, PEOPLE, filtered, first_calls, ids, last, layout, links, quiet};
use super::stub::{
    Reply, Stub, assigned_group, group_id, members, members_path, person, quick, read,
};
use crate::config::{EntraSettings, Membership};
use crate::entra::{Error, Progress, Reader, WholeReading};
use crate::model::links::{DeltaLink, Links};

async fn whole(stub: &Stub, kept: Option<&Links>) -> Result<WholeReading, Error> {
    let progress = Progress::unobserved();
    stub.reader().read_whole(kept, &progress).await
}

/// A tenant with this many groups, and links for whoever asks.
async fn tenant(groups: u32) -> Stub {
    let stub = Stub::start().await;
    let rows: Vec<_> = (0..groups).map(group_id).map(assigned_group).collect();
    stub.assign(&rows);
    for number in 0..groups {
        stub.group(group_id(number), &[person(number)]);
    }
    stub.set(GROUPS, [last(&[], &stub.link(GROUPS, "now"))]);
    stub.set(PEOPLE, [last(&[], &stub.link(PEOPLE, "now"))]);
    stub
}

fn asked(stub: &Stub, of: &str) -> usize {
    stub.seen_at(of).len()
}

#[tokio::test]
async fn links_are_taken_for_all_groups_before_any_of_them_is_read() {
    let stub = tenant(120).await;
    let whole = whole(&stub, None).await.unwrap();
    let links = whole.links.unwrap();
    assert_eq!(
        layout(&links),
        [
            (0, 50, "now".into()),
            (1, 50, "now".into()),
            (2, 20, "now".into())
        ]
    );
    let calls = first_calls(&stub);
    let mut named = ids([]);
    for call in &calls {
        assert_eq!(call.query["$deltatoken"], "latest");
        assert_eq!(call.query["$select"], "id,displayName,visibility,members");
        named.extend(filtered(call));
    }
    assert_eq!((calls.len(), named), (3, ids(0..120)));
    let people = &stub.seen_at(PEOPLE)[0].query;
    let of_members = &stub.seen_at(&members_path(group_id(0)))[0].query;
    assert_eq!(people["$select"], of_members["$select"]);
    assert!(!people.contains_key("$filter"));

    let seen = stub.seen();
    let is_link = |key: &str| key == GROUPS || key == PEOPLE;
    let is_list = |key: &str| key == "/v1.0/groups" || key.ends_with("/members");
    let last_link = seen.iter().rposition(|seen| is_link(&seen.key)).unwrap();
    let first_list = seen.iter().position(|seen| is_list(&seen.key)).unwrap();
    assert!(last_link < first_list);

    let plain = stub.read().await.unwrap();
    assert_eq!(whole.directory.groups.len(), plain.groups.len());
    assert_eq!(whole.directory.cost.requests, plain.cost.requests + 4);
    assert_eq!(
        members(&whole.directory, group_id(7)),
        members(&plain, group_id(7))
    );
}

#[tokio::test]
async fn a_plain_reading_takes_no_links() {
    let stub = tenant(2).await;
    read(&stub.reader()).await.unwrap();
    assert_eq!((asked(&stub, GROUPS), asked(&stub, PEOPLE)), (0, 0));
}

#[tokio::test]
async fn links_that_follow_exactly_the_groups_are_given_back_unasked() {
    let stub = tenant(5).await;
    let kept = links(&stub, &[(3, 0..2), (8, 2..5)]);
    let given = whole(&stub, Some(&kept)).await.unwrap().links;
    assert_eq!(given, Some(kept));
    assert_eq!((asked(&stub, GROUPS), asked(&stub, PEOPLE)), (0, 0));
}

#[tokio::test]
async fn links_that_follow_others_are_replaced() {
    for (buckets, why) in [
        (vec![(0, 0..4)], "one is missing"),
        (vec![(0, 0..6)], "one too many"),
        (vec![(0, 0..3), (1, 2..5)], "one twice"),
        (vec![(0, 0..3), (1, 2..4)], "one twice, and one is missing"),
        (vec![], "none"),
    ] {
        let stub = tenant(5).await;
        let kept = links(&stub, &buckets);
        let given = whole(&stub, Some(&kept)).await.unwrap().links.unwrap();
        assert_eq!(layout(&given), [(0, 5, "now".into())], "{why}");
        assert!(given.people.as_str().ends_with("now"));
    }
    let stub = tenant(5).await;
    let mut kept = links(&stub, &[(0, 0..5)]);
    kept.people = DeltaLink::new("https://elsewhere.test/v1.0/users/delta".into());
    let given = whole(&stub, Some(&kept)).await.unwrap().links.unwrap();
    assert!(
        given.people.as_str().ends_with("now"),
        "the other is foreign"
    );
}

#[tokio::test]
async fn only_groups_that_the_settings_admit_are_followed() {
    let stub = tenant(5).await;
    let mut settings = stub.settings();
    settings.groups.exclude = ids([0, 4]);
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    let progress = Progress::unobserved();
    let given = reader.read_whole(None, &progress).await.unwrap().links;
    assert_eq!(given.unwrap().groups[&0].groups, ids(1..4));
    assert_eq!(filtered(&first_calls(&stub)[0]), ids(1..4));
}

/// That `latest` goes with a filter is nowhere documented.
#[tokio::test]
async fn where_latest_is_refused_the_first_round_is_read_for_its_link() {
    let stub = tenant(2).await;
    let page = |number: u32| stub.link(GROUPS, &number.to_string());
    let unread = serde_json::json!({ "id": "whatever this is", "members@delta": "not looked at" });
    stub.set(
        GROUPS,
        [
            Reply::error(400, "Request_UnsupportedQuery"),
            Reply::page_then(&[unread], &page(2)),
        ],
    );
    stub.set(
        &format!("{GROUPS}?page=2"),
        [last(&[], &stub.link(GROUPS, "end"))],
    );
    let given = whole(&stub, None).await.unwrap().links.unwrap();
    assert_eq!(layout(&given), [(0, 2, "end".into())]);
    let calls = first_calls(&stub);
    assert!(!calls[1].query.contains_key("$deltatoken"));
    assert_eq!(calls[0].query["$filter"], calls[1].query["$filter"]);
    assert_eq!(asked(&stub, PEOPLE), 1);
}

#[tokio::test]
async fn links_may_come_after_a_few_empty_pages() {
    let stub = tenant(1).await;
    stub.set(PEOPLE, [Reply::page_then(&[], &stub.link(PEOPLE, "2"))]);
    let at = format!("{PEOPLE}?page=2");
    stub.set(&at, [Reply::page_then(&[], &stub.link(PEOPLE, "3"))]);
    let at = format!("{PEOPLE}?page=3");
    stub.set(&at, [last(&[], &stub.link(PEOPLE, "end"))]);
    let given = whole(&stub, None).await.unwrap().links.unwrap();
    assert!(given.people.as_str().ends_with("page=end"));
}

#[tokio::test]
async fn where_delta_queries_are_not_offered_everything_is_read_without_links() {
    for (status, code) in [(400, "Request_UnsupportedQuery"), (501, "NotImplemented")] {
        let stub = tenant(3).await;
        stub.set(GROUPS, [Reply::error(status, code)]);
        stub.set(PEOPLE, [Reply::error(status, code)]);
        let whole = whole(&stub, None).await.unwrap();
        assert!(whole.links.is_none());
        assert_eq!(members(&whole.directory, group_id(2)).len(), 1);
        assert!(asked(&stub, GROUPS) <= 2);
    }
}

#[tokio::test]
async fn links_that_cannot_be_had_are_no_reason_to_read_less() {
    for at in [GROUPS, PEOPLE] {
        for reply in [
            Reply::error(403, "Authorization_RequestDenied"),
            Reply::text(503, ""),
            Reply::text(200, "<html>"),
            Reply::page(&[]),
            Reply::error(410, "resyncRequired"),
            Reply::error(404, "UnknownError"),
        ] {
            let stub = tenant(3).await;
            stub.set(at, [reply]);
            let whole = whole(&stub, None).await.unwrap();
            assert!(whole.links.is_none());
            assert_eq!(members(&whole.directory, group_id(2)).len(), 1);
        }
    }
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_ends_the_reading() {
    let stub = tenant(3).await;
    let foreign = "https://elsewhere.test/v1.0/users/delta";
    stub.set(PEOPLE, [last(&[], foreign)]);
    let error = whole(&stub, None).await.unwrap_err();
    assert_eq!(error.kind(), "foreign_link");
    assert_eq!(asked(&stub, "/v1.0/groups"), 0);
}

#[tokio::test]
async fn transitive_members_are_read_without_links() {
    let stub = tenant(0).await;
    let settings = EntraSettings {
        membership: Membership::Transitive,
        ..stub.settings()
    };
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    let kept = links(&stub, &[]);
    let progress = Progress::unobserved();
    let whole = reader.read_whole(Some(&kept), &progress).await.unwrap();
    assert!(whole.links.is_none());
    assert_eq!((asked(&stub, GROUPS), asked(&stub, PEOPLE)), (0, 0));
}

/// `quiet` has no lists: whoever read them would find nothing.
#[tokio::test]
async fn without_assignments_there_is_one_link_for_people() {
    let (stub, _) = quiet(&[]).await;
    stub.set(PEOPLE, [last(&[], &stub.link(PEOPLE, "now"))]);
    let given = whole(&stub, None).await.unwrap().links.unwrap();
    assert!(given.groups.is_empty());
    assert_eq!(asked(&stub, GROUPS), 0);
}
