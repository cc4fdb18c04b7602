//! Pages: followed to the end, checked, begun again; never half a collection.

use serde_json::{Value, json};

use super::stub::{
    Reply, Stub, assigned_group, assignment, assignments_path, group_id, ids, members,
    members_path, people, person, quick, read,
};
use crate::entra::pace::Pace;
use crate::entra::{Defect, Error, LinkFault, Reader};
use crate::model::directory::Unread;
use crate::model::ids::GroupId;

/// A tenant with one assigned group, whose members are scripted.
async fn tenant() -> (Stub, GroupId, String) {
    let stub = Stub::start().await;
    let group = group_id(1);
    stub.assign(&[assigned_group(group)]);
    stub.group(group, &[]);
    let path = members_path(group);
    (stub, group, path)
}

async fn failure_of_members(stub: &Stub, group: GroupId) -> String {
    let directory = stub.read().await.unwrap();
    match &directory.groups[&group].members {
        Err(Unread::Failed(reason)) => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_last_with_the_same_headers() {
    let (stub, group, path) = tenant().await;
    stub.set(
        &path,
        [Reply::page_then(&people(0..3), &stub.link(&path, "2"))],
    );
    stub.set(
        &format!("{path}?page=2"),
        [Reply::page_then(&[], &stub.link(&path, "3"))],
    );
    stub.set(&format!("{path}?page=3"), [Reply::page(&people(2..5))]);
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids(0..5));
    assert_eq!(directory.people.len(), 5);

    let mut request_ids = Vec::new();
    for page in ["", "?page=2", "?page=3"] {
        let seen = stub.seen_at(&format!("{path}{page}")).remove(0);
        let user_agent = seen.headers["user-agent"].to_str().unwrap();
        assert!(
            user_agent.starts_with("litellm-entra-sync/"),
            "{user_agent}"
        );
        assert_eq!(seen.headers["x-ms-throttle-priority"], "Low");
        assert!(
            seen.headers["accept-encoding"]
                .to_str()
                .unwrap()
                .contains("gzip")
        );
        request_ids.push(seen.headers["client-request-id"].clone());
    }
    request_ids.dedup();
    assert_eq!(request_ids.len(), 3, "a fresh id each time");
}

#[tokio::test]
async fn exactly_999_rows_are_whole_with_and_without_a_next_link() {
    for next in [None, Some("2")] {
        let (stub, group, path) = tenant().await;
        let all = people(0..999);
        let first = match next {
            None => Reply::page(&all),
            Some(page) => Reply::page_then(&all, &stub.link(&path, page)),
        };
        stub.set(&path, [first]);
        stub.set(&format!("{path}?page=2"), [Reply::page(&[person(999)])]);
        let directory = stub.read().await.unwrap();
        let expected = if next.is_some() { 1000 } else { 999 };
        assert_eq!(members(&directory, group).len(), expected);
    }
}

#[tokio::test]
async fn a_link_that_leaves_the_endpoint_ends_the_reading_and_never_sees_the_token() {
    let elsewhere = Stub::start().await;
    let (stub, _, path) = tenant().await;
    let port = stub.origin.rsplit(':').next().unwrap().to_owned();
    let links = [
        (format!("{}/v1.0/x", elsewhere.origin), LinkFault::Port),
        (format!("http://localhost:{port}/v1.0/x"), LinkFault::Host),
        (
            format!("https://127.0.0.1:{port}/v1.0/x"),
            LinkFault::Scheme,
        ),
        (
            format!("http://a:b@127.0.0.1:{port}/v1.0/x"),
            LinkFault::Userinfo,
        ),
        (format!("{}/beta/x", stub.origin), LinkFault::Path),
        ("/v1.0/x".to_owned(), LinkFault::Unreadable),
    ];
    for (link, expected) in links {
        stub.set(&path, [Reply::page_then(&[person(1)], &link)]);
        let error = stub.read().await.unwrap_err();
        assert!(
            matches!(error, Error::ForeignLink { fault, .. } if fault == expected),
            "{link}: {error}"
        );
        assert!(!error.to_string().contains(&link));
    }
    assert!(elsewhere.seen().is_empty());
    assert!(stub.seen_at("/beta/x").is_empty());
}

#[tokio::test]
async fn a_redirect_to_another_host_gives_no_answer() {
    let elsewhere = Stub::start().await;
    let (stub, _, path) = tenant().await;
    elsewhere.set("/v1.0/x", [Reply::page(&[])]);
    let target = format!("{}/v1.0/x", elsewhere.origin);
    stub.set(&path, [Reply::text(302, "").header("location", &target)]);
    let error = stub.read().await.unwrap_err();
    assert!(matches!(error, Error::ForeignLink { .. }), "{error}");
    assert!(
        elsewhere
            .seen()
            .iter()
            .all(|seen| !seen.headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn pages_that_run_in_a_circle_are_an_error() {
    let (stub, group, path) = tenant().await;
    let second = stub.link(&path, "2");
    stub.set(&path, [Reply::page_then(&people(0..2), &second)]);
    stub.set(
        &format!("{path}?page=2"),
        [Reply::page_then(&people(2..4), &second)],
    );
    assert!(failure_of_members(&stub, group).await.contains("circle"));
    assert_eq!(stub.seen_at(&format!("{path}?page=2")).len(), 1);
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    let (stub, group, path) = tenant().await;
    stub.set(&path, [Reply::page_then(&[], &stub.link(&path, "1"))]);
    for page in 1..20 {
        stub.set(
            &format!("{path}?page={page}"),
            [Reply::page_then(
                &[],
                &stub.link(&path, &(page + 1).to_string()),
            )],
        );
    }
    let pace = Pace {
        page_cap: 10,
        ..quick()
    };
    let reader = Reader::with_pace(&stub.settings(), pace).unwrap();
    let directory = read(&reader).await.unwrap();
    let reason = format!("{:?}", directory.groups[&group].members);
    assert!(reason.contains("without end"), "{reason}");
}

#[tokio::test]
async fn a_page_that_is_none_fails_the_collection_after_all_attempts() {
    let whole = json!({ "value": people(0..9) }).to_string();
    let cut = whole.split_at(whole.len() / 2).0;
    let cases: [(Reply, &str); 10] = [
        (Reply::text(200, cut), "ends in the middle"),
        (Reply::text(200, ""), "ends in the middle"),
        (Reply::text(200, "<html>busy</html>"), "HTML"),
        (Reply::text(200, "busy"), "no JSON"),
        (Reply::text(200, &format!("{whole}x")), "no JSON"),
        (Reply::json(200, &json!({})), "no `value`"),
        (Reply::json(200, &json!({ "value": null })), "shape"),
        (
            Reply::json(200, &json!({ "value": { "id": "x" } })),
            "shape",
        ),
        (Reply::json(200, &json!({ "value": [null] })), "shape"),
        (Reply::error(200, "generalException"), "`generalException`"),
    ];
    for (reply, expected) in cases {
        let (stub, group, path) = tenant().await;
        stub.set(&path, [reply]);
        let reason = failure_of_members(&stub, group).await;
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(stub.seen_at(&path).len(), 3);
    }
}

#[tokio::test]
async fn an_error_beside_a_value_is_an_error() {
    let (stub, group, path) = tenant().await;
    let both = json!({ "value": [], "error": { "code": "generalException" } });
    stub.set(&path, [Reply::json(200, &both)]);
    assert!(
        failure_of_members(&stub, group)
            .await
            .contains("generalException")
    );
    stub.set(&assignments_path(), [Reply::json(200, &both)]);
    let error = stub.read().await.unwrap_err();
    assert!(error.to_string().contains("generalException"), "{error}");
}

#[tokio::test]
async fn a_member_without_type_or_id_is_a_defect_not_an_absence() {
    for (member, expected) in [
        (json!({ "id": "x" }), "@odata.type"),
        (json!({ "@odata.type": "#microsoft.graph.user" }), "`id`"),
        (
            json!({ "@odata.type": "#microsoft.graph.user", "id": "x" }),
            "`id`",
        ),
    ] {
        let (stub, group, path) = tenant().await;
        stub.set(&path, [Reply::page(&[person(1), member])]);
        let reason = failure_of_members(&stub, group).await;
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn a_page_that_came_badly_is_asked_for_again() {
    let (stub, group, path) = tenant().await;
    let second = format!("{path}?page=2");
    stub.set(
        &path,
        [Reply::page_then(&people(0..2), &stub.link(&path, "2"))],
    );
    let whole = json!({ "value": people(2..4) }).to_string();
    stub.set(
        &second,
        [
            Reply::text(200, whole.split_at(60).0).broken(),
            Reply::text(502, "<html>"),
            Reply::page(&people(2..4)),
        ],
    );
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids(0..4));
    assert_eq!(directory.cost.retries, 2);
    assert_eq!(stub.seen_at(&path).len(), 1);
}

fn lost(nested: &Value) -> Reply {
    Reply::json(400, nested)
}

#[tokio::test]
async fn a_lost_page_token_begins_the_collection_again_and_drops_what_was_read() {
    let answers = [
        json!({ "error": { "code": "Directory_ExpiredPageToken" } }),
        json!({ "error": { "code": "directory_expiredpagetoken" } }),
        json!({ "error": { "code": "BadRequest",
            "innerError": { "code": "DirectoryPageTokenNotFoundException" } } }),
        json!({ "error": { "code": "BadRequest", "innererror": { "code": "x",
            "innererror": { "code": "DIRECTORY_EXPIREDPAGETOKEN" } } } }),
    ];
    for answer in answers {
        let (stub, group, path) = tenant().await;
        stub.set(
            &path,
            [
                Reply::page_then(&people(0..2), &stub.link(&path, "a")),
                Reply::page_then(&people(5..7), &stub.link(&path, "b")),
            ],
        );
        stub.set(&format!("{path}?page=a"), [lost(&answer)]);
        stub.set(&format!("{path}?page=b"), [Reply::page(&people(7..8))]);
        let directory = stub.read().await.unwrap();
        assert_eq!(members(&directory, group), ids(5..8), "{answer}");
        assert_eq!(directory.cost.retries, 1);
    }
}

#[tokio::test]
async fn a_page_token_that_is_always_lost_fails_the_collection() {
    let (stub, group, path) = tenant().await;
    stub.set(
        &path,
        [Reply::page_then(&people(0..2), &stub.link(&path, "2"))],
    );
    stub.set(
        &format!("{path}?page=2"),
        [Reply::error(400, "Directory_ExpiredPageToken")],
    );
    assert!(
        failure_of_members(&stub, group)
            .await
            .contains("lost its place")
    );
    assert_eq!(stub.seen_at(&path).len(), 4);
}

#[tokio::test]
async fn an_assignment_list_cut_at_its_page_size_is_found_out() {
    let stub = Stub::start().await;
    let rows: Vec<Value> = (0..101).map(group_id).map(assigned_group).collect();
    stub.set(
        &assignments_path(),
        [Reply::page(&rows[..100]), Reply::page(&rows)],
    );
    stub.group(group_id(100), &[person(1)]);
    let directory = stub.read().await.unwrap();
    assert_eq!(directory.assignments.get().len(), 101);
    let tops: Vec<String> = stub
        .seen_at(&assignments_path())
        .iter()
        .map(|seen| seen.query["$top"].clone())
        .collect();
    assert_eq!(tops, ["999", "500"]);
}

#[tokio::test]
async fn an_assignment_list_of_999_is_read_again_unless_it_has_a_next_page() {
    let rows: Vec<Value> = (0..1_000).map(group_id).map(assigned_group).collect();
    let path = assignments_path();
    for (has_link, expected) in [(false, 999), (true, 1_000)] {
        let stub = Stub::start().await;
        let first = if has_link {
            Reply::page_then(&rows[..999], &stub.link(&path, "2"))
        } else {
            Reply::page(&rows[..999])
        };
        stub.set(&path, [first]);
        stub.set(&format!("{path}?page=2"), [Reply::page(&rows[999..])]);
        let directory = stub.read().await.unwrap();
        assert_eq!(directory.assignments.get().len(), expected);
        let asked = stub.seen_at(&path).len();
        assert_eq!(asked, if has_link { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_page_with_more_rows_than_were_asked_for_is_whole() {
    let (stub, group, path) = tenant().await;
    stub.set(
        &path,
        [Reply::page_then(&people(0..1_200), &stub.link(&path, "2"))],
    );
    stub.set(
        &format!("{path}?page=2"),
        [Reply::page(&people(1_200..1_201))],
    );
    let rows: Vec<Value> = (0..1_300).map(group_id).map(assigned_group).collect();
    stub.assign(&rows);
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids(0..1_201));
    assert_eq!(directory.assignments.get().len(), 1_300);
}

#[tokio::test]
async fn a_page_that_is_asked_for_again_may_name_another_next_page() {
    let (stub, group, path) = tenant().await;
    let page = |rows: &[Value], next: &str| Reply::page_then(rows, &stub.link(&path, next));
    // Cut off after its link, which must not be followed.
    let cut = json!({ "@odata.nextLink": stub.link(&path, "old"), "value": people(0..2) });
    let cut = cut.to_string();
    stub.set(
        &path,
        [
            Reply::text(200, cut.split_at(cut.len() - 2).0),
            Reply::text(200, cut.split_at(cut.len() - 2).0).broken(),
            page(&people(0..3), "new"),
        ],
    );
    stub.set(&format!("{path}?page=old"), [Reply::page(&people(9..10))]);
    stub.set(&format!("{path}?page=new"), [Reply::page(&people(3..5))]);
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group), ids(0..5));
    assert_eq!(directory.cost.retries, 2);
    assert!(stub.seen_at(&format!("{path}?page=old")).is_empty());
}

#[tokio::test]
async fn a_broken_assignment_list_is_no_reading_at_all() {
    let rows = [
        json!({ "principalId": group_id(1).to_string(), "appRoleId": group_id(1).to_string() }),
        json!({ "principalId": group_id(1).to_string(), "principalType": null,
            "appRoleId": group_id(1).to_string() }),
        assignment("Group", "x", &group_id(1).to_string()),
        assignment("Group", &group_id(1).to_string(), "x"),
    ];
    for row in rows {
        let stub = Stub::start().await;
        stub.assign(&[assigned_group(group_id(2)), row.clone()]);
        let error = stub.read().await.unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Malformed {
                    defect: Defect::Missing(_) | Defect::Shape { .. },
                    ..
                }
            ),
            "{row}: {error}"
        );
    }
}
