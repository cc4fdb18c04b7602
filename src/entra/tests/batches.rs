//! Several questions in one request: what an item's answer is worth, what an
//! envelope's is, and what happens where no batch gets through.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::stub::{
    BATCH, DEFAULT_ACCESS, Reply, Seen, Stub, assignment, ids, person, person_id, person_path,
};
use crate::entra::{Progress, Reader};
use crate::model::directory::{Account, ReadingCost, Unread};
use crate::model::evidence::{Evidence, Questions, Whereabouts};

const PEOPLE: &str = "/v1.0/users";
const PRESENT: Whereabouts = Whereabouts::Present(Account::Enabled);

/// A directory whose list of people shows nobody: each has to be asked for.
async fn nobody_listed() -> Stub {
    let stub = Stub::start().await;
    stub.set(PEOPLE, [Reply::page(&[])]);
    stub
}

async fn look(reader: &Reader, numbers: impl IntoIterator<Item = u32>) -> (Evidence, ReadingCost) {
    let asked = Questions {
        people: ids(numbers),
        ..Questions::default()
    };
    reader.second_look(&asked, &Progress::unobserved()).await
}

fn found(evidence: &Evidence, number: u32) -> &Whereabouts {
    &evidence.people[&person_id(number)]
}

fn words(found: &Whereabouts) -> &str {
    match found {
        Whereabouts::Unknown(words) => words,
        other => panic!("{other:?}"),
    }
}

fn there(stub: &Stub, number: u32) {
    stub.set(
        &person_path(person_id(number)),
        [Reply::json(200, &person(number))],
    );
}

/// The items of an envelope.
fn items(seen: &Seen) -> Vec<Value> {
    let envelope: Value = serde_json::from_str(&seen.body).unwrap();
    envelope["requests"].as_array().unwrap().clone()
}

fn sizes(stub: &Stub) -> Vec<usize> {
    stub.seen_at(BATCH)
        .iter()
        .map(|seen| items(seen).len())
        .collect()
}

#[tokio::test]
async fn twenty_are_asked_for_in_one_request_and_each_is_an_item_of_its_own() {
    let stub = nobody_listed().await;
    there(&stub, 7);
    let (evidence, cost) = look(&stub.reader(), 0..45).await;
    for number in 0..45 {
        let wanted = match number {
            7 => PRESENT,
            _ => Whereabouts::Purged,
        };
        assert_eq!(*found(&evidence, number), wanted, "{number}");
    }
    let mut sizes = sizes(&stub);
    sizes.sort_unstable();
    assert_eq!(sizes, [4, 4, 5, 20, 20, 20, 20, 20, 20]);
    assert_eq!((cost.requests, cost.retries), (3 + 9, 0));
    for seen in stub.seen_at(BATCH) {
        assert_eq!(seen.headers["content-type"], "application/json");
        assert_eq!(seen.headers["x-ms-throttle-priority"], "Normal");
        let ids: BTreeSet<String> = items(&seen)
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_ascii_lowercase())
            .collect();
        assert_eq!(ids.len(), items(&seen).len());
        for item in items(&seen) {
            let url = item["url"].as_str().unwrap();
            assert!(url.starts_with("/users/") || url.starts_with("/directory/"));
            assert_eq!(item["headers"]["x-ms-throttle-priority"], "Normal");
        }
    }
}

#[tokio::test]
async fn throttled_items_are_sent_again_alone_after_the_longest_pause() {
    let stub = nobody_listed().await;
    let refused = |after| Reply::error(429, "TooManyRequests").header("retry-after", after);
    for (number, after) in [(1, "0.15"), (2, "0.02")] {
        let again = Reply::json(200, &person(number));
        stub.set(&person_path(person_id(number)), [refused(after), again]);
    }
    there(&stub, 3);
    let (progress, watched) = Progress::new();
    let asked = Questions {
        people: ids(1..4),
        ..Questions::default()
    };
    let (evidence, cost) = stub.reader().second_look(&asked, &progress).await;
    assert!(evidence.people.values().all(|found| *found == PRESENT));
    assert_eq!(sizes(&stub), [3, 2]);
    let seen = stub.seen_at(BATCH);
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(150));
    assert_eq!((cost.requests, cost.retries), (3, 1));
    assert_eq!(watched.borrow().usage.throttled, 2);
}

#[tokio::test]
async fn an_item_without_an_answer_has_failed_and_is_no_absence() {
    let stub = nobody_listed().await;
    for number in [1, 2] {
        let lost = Reply::json(200, &person(number)).broken();
        stub.set(&person_path(person_id(number)), [lost]);
    }
    there(&stub, 3);
    let (evidence, _) = look(&stub.reader(), 1..4).await;
    assert_eq!(*found(&evidence, 3), PRESENT);
    for number in [1, 2] {
        let words = words(found(&evidence, number));
        assert!(words.contains("no `responses.id`"), "{words}");
    }
    assert_eq!(sizes(&stub), [3, 2, 2], "three attempts");
}

#[tokio::test]
async fn items_fail_for_themselves_like_requests_of_their_own() {
    let stub = nobody_listed().await;
    let replies = [
        (
            1,
            Reply::error(403, "Authorization_RequestDenied"),
            1,
            "User.Read.All",
        ),
        (2, Reply::text(503, ""), 3, "status 503"),
        (
            3,
            Reply::text(404, "<html>not found</html>"),
            1,
            "gateway in between",
        ),
        (4, Reply::text(404, ""), 1, "gateway in between"),
        (
            5,
            Reply::text(200, "<html>sign in</html>"),
            3,
            "an HTML page",
        ),
        (6, Reply::json(200, &person(1)), 3, "it has no `id`"),
        (
            7,
            Reply::error(200, "Request_ResourceNotFound"),
            3,
            "as a success",
        ),
        (8, Reply::text(424, ""), 3, "status 424"),
        (9, Reply::text(400, "{}"), 1, "status 400"),
    ];
    for (number, reply, _, _) in &replies {
        stub.set(&person_path(person_id(*number)), [reply.clone()]);
    }
    there(&stub, 10);
    let (evidence, _) = look(&stub.reader(), 1..11).await;
    assert_eq!(*found(&evidence, 10), PRESENT);
    for (number, _, times, expected) in replies {
        let words = words(found(&evidence, number));
        assert!(words.contains(expected), "{number}: {words}");
        let path = person_path(person_id(number));
        assert_eq!(stub.seen_at(&path).len(), times, "{number}");
    }
}

#[tokio::test]
async fn what_befalls_the_envelope_befalls_all_and_nobody_is_gone_by_it() {
    let failures = [
        (Reply::text(503, ""), "/$batch with status 503"),
        (Reply::text(200, "<html>sign in</html>"), "an HTML page"),
        (
            Reply::text(200, r#"{"responses":[{"id"#),
            "ends in the middle",
        ),
        (Reply::page(&[]), "it has no `responses`"),
        (
            Reply::error(200, "Request_ResourceNotFound"),
            "as a success",
        ),
        (
            Reply::json(200, &json!({ "responses": [] })),
            "`responses.id`",
        ),
        (Reply::json(200, &json!({})).broken(), "cannot be reached"),
    ];
    for (reply, expected) in failures {
        let stub = nobody_listed().await;
        stub.set(BATCH, [reply]);
        let (evidence, cost) = look(&stub.reader(), 1..4).await;
        for found in evidence.people.values() {
            assert!(words(found).contains(expected), "{found:?}");
        }
        assert_eq!(evidence.people.len(), 3);
        assert_eq!(stub.seen_at(BATCH).len(), 3, "until it is hopeless");
        assert_eq!((cost.requests, cost.retries), (4, 2));
    }
}

#[tokio::test]
async fn a_throttled_or_unauthorized_envelope_goes_out_again_whole() {
    let stub = nobody_listed().await;
    (1..4).for_each(|number| there(&stub, number));
    let reader = stub.reader();
    look(&reader, 1..4).await;
    stub.revoke("token-1");
    let (evidence, cost) = look(&reader, 1..4).await;
    assert!(evidence.people.values().all(|found| *found == PRESENT));
    assert_eq!(cost.retries, 1, "the list's");

    let answers = Reply::json(
        200,
        &json!({ "responses": (1..4).rev().map(|number| {
        json!({ "id": (number - 1).to_string(), "status": 200, "body": person(number) })
    }).collect::<Vec<_>>() }),
    );
    let refused = Reply::error(429, "TooManyRequests").header("retry-after", "0.05");
    let unauthorized = Reply::error(401, "InvalidAuthenticationToken");
    stub.set(BATCH, [refused, unauthorized, answers]);
    let before = stub.seen_at(BATCH).len();
    let (evidence, cost) = look(&reader, 1..4).await;
    assert!(evidence.people.values().all(|found| *found == PRESENT));
    let seen = stub.seen_at(BATCH).split_off(before);
    assert_eq!((seen.len(), cost.retries), (3, 2));
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(50));
    assert!(seen.iter().all(|seen| items(seen).len() == 3));
}

#[tokio::test]
async fn where_batches_are_refused_each_is_asked_for_and_no_batch_is_tried_again() {
    for status in [400, 403, 404, 405, 413, 501] {
        let stub = nobody_listed().await;
        // Graph's own words for an absence, though not of a person.
        stub.set(BATCH, [Reply::error(status, "Request_ResourceNotFound")]);
        (1..5).for_each(|number| there(&stub, number));
        let reader = stub.reader();
        for turn in 1..3 {
            let (evidence, _) = look(&reader, 1..6).await;
            for number in 1..5 {
                assert_eq!(*found(&evidence, number), PRESENT, "{status}");
            }
            assert_eq!(*found(&evidence, 5), Whereabouts::Purged);
            let own = stub.seen_at(&person_path(person_id(1))).len();
            assert_eq!((stub.seen_at(BATCH).len(), own), (1, turn), "{status}");
        }
    }
}

#[tokio::test]
async fn a_batch_goes_to_no_other_host() {
    let elsewhere = Stub::start().await;
    let stub = nobody_listed().await;
    let away = Reply::text(307, "").header("location", &format!("{}{BATCH}", elsewhere.origin));
    stub.set(BATCH, [away]);
    let (evidence, _) = look(&stub.reader(), 1..4).await;
    for found in evidence.people.values() {
        assert!(words(found).contains("outside the configured endpoint"));
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn whom_the_list_does_not_show_is_missing_only_if_graph_says_so_of_the_person() {
    let stub = Stub::start().await;
    let direct = |number: u32| assignment("User", &person_id(number).to_string(), DEFAULT_ACCESS);
    stub.assign(&(1..41).map(direct).collect::<Vec<_>>());
    // The list shows three, one of whom nobody asked for, and never more.
    stub.set(PEOPLE, [Reply::page(&[person(1), person(2), person(99)])]);
    (3..39).for_each(|number| there(&stub, number));
    stub.set(
        &person_path(person_id(40)),
        [Reply::error(403, "Authorization_RequestDenied")],
    );
    let directory = stub.read().await.unwrap();
    assert_eq!(directory.people.len(), 38);
    assert!(!directory.people.contains_key(&person_id(99)));
    assert_eq!(directory.unread_people[&person_id(39)], Unread::NotFound);
    let denied = &directory.unread_people[&person_id(40)];
    assert!(matches!(denied, Unread::Failed(why) if why.contains("User.Read.All")));
    assert_eq!(directory.unread_people.len(), 2);
    for seen in stub.seen_at(PEOPLE) {
        assert!(seen.query["$filter"].matches('\'').count() <= 30);
        assert!(seen.query["$select"].contains("displayName"));
    }
    let mut sizes = sizes(&stub);
    sizes.sort_unstable();
    assert_eq!((stub.seen_at(PEOPLE).len(), sizes), (3, vec![18, 20]));
}

#[tokio::test]
async fn a_list_of_people_that_fails_makes_nobody_missing() {
    let direct = |number: u32| assignment("User", &person_id(number).to_string(), DEFAULT_ACCESS);
    for (reply, asked_alone) in [
        (Reply::error(404, "Request_ResourceNotFound"), true),
        (Reply::error(400, "Request_UnsupportedQuery"), true),
        (Reply::page(&[json!({ "id": "no id" })]), true),
        (Reply::text(200, r#"{"value":[{"id":"#), true),
        (Reply::text(503, ""), false),
    ] {
        let stub = Stub::start().await;
        stub.assign(&(1..4).map(direct).collect::<Vec<_>>());
        stub.set(PEOPLE, [reply]);
        (1..4).for_each(|number| there(&stub, number));
        let directory = stub.read().await.unwrap();
        if asked_alone {
            assert_eq!(directory.people.len(), 3);
        } else {
            let unread: Vec<_> = directory.unread_people.values().collect();
            assert_eq!(unread.len(), 3);
            assert!(
                unread
                    .iter()
                    .all(|unread| matches!(unread, Unread::Failed(_)))
            );
            assert!(stub.seen_at(BATCH).is_empty(), "an outage is not prolonged");
        }
    }
}
