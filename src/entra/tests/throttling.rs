//! 429: one gate for all, every form of `Retry-After`, an end to patience.

use std::time::Duration;

use super::stub::{
    Reply, Stub, assigned_group, group_id, members, members_path, person, quick, read,
    service_principal_path,
};
use crate::entra::pace::Pace;
use crate::entra::{Error, Progress, Reader};
use crate::model::policy::Scope;

fn throttled() -> Reply {
    Reply::error(429, "TooManyRequests")
}

#[tokio::test]
async fn every_form_of_retry_after_is_waited_out_and_the_reading_goes_on() {
    let forms = [
        None,
        Some("0"),
        Some("0.05"),
        Some("soon"),
        Some("Sun, 01 Mar 2020 12:00:00 GMT"),
        Some("86400"),
        Some("1e300"),
    ];
    for form in forms {
        let stub = Stub::start().await;
        stub.assign(&[assigned_group(group_id(1))]);
        stub.group(group_id(1), &[]);
        let path = members_path(group_id(1));
        let refusal = match form {
            Some(value) => throttled().header("retry-after", value),
            None => throttled(),
        };
        stub.set(&path, [refusal.clone(), refusal, Reply::page(&[person(1)])]);
        let pace = Pace {
            first_delay: Duration::from_millis(80),
            longest_delay: Duration::from_millis(80),
            ..quick()
        };
        let reader = Reader::with_pace(&stub.settings(), pace).unwrap();
        let (progress, watched) = Progress::new();
        let directory = reader.read(&Scope::default(), &progress).await.unwrap();
        assert_eq!(members(&directory, group_id(1)).len(), 1, "{form:?}");
        assert_eq!(directory.cost.retries, 2);
        assert_eq!(watched.borrow().usage.throttled, 2);
        let seen = stub.seen_at(&path);
        let gap = seen[1].at - seen[0].at;
        match form {
            Some("0.05") => assert!(gap >= Duration::from_millis(50), "{gap:?}"),
            // Cut to the longest pause of the tests.
            Some("86400" | "1e300") => assert!(gap >= Duration::from_millis(200), "{gap:?}"),
            // The back-off's floor.
            None | Some(_) => {
                assert!(gap >= Duration::from_millis(40), "{form:?} {gap:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_date_in_retry_after_is_waited_for() {
    let stub = Stub::start().await;
    let path = service_principal_path();
    let ok = Reply::json(
        200,
        &serde_json::json!({ "id": super::stub::SERVICE_PRINCIPAL, "appRoles": [] }),
    );
    stub.set(
        &path,
        [
            throttled()
                .header("date", "Sun, 01 Mar 2020 12:00:00 GMT")
                .header("retry-after", "Sun, 01 Mar 2020 12:00:01 GMT"),
            ok,
        ],
    );
    stub.read().await.unwrap();
    let seen = stub.seen_at(&path);
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(200));
}

#[tokio::test]
async fn one_throttled_request_stops_everyone() {
    let stub = Stub::start().await;
    let groups: Vec<_> = (0..40).map(group_id).collect();
    stub.assign(
        &groups
            .iter()
            .copied()
            .map(assigned_group)
            .collect::<Vec<_>>(),
    );
    for group in &groups {
        stub.group(*group, &[person(1)]);
    }
    let path = members_path(groups[0]);
    stub.set(
        &path,
        [
            throttled().header("retry-after", "0.15"),
            Reply::page(&[person(1)]),
        ],
    );
    let directory = stub.read().await.unwrap();
    assert!(directory.groups.values().all(|group| group.members.is_ok()));
    let refused_at = stub.seen_at(&path)[0].at;
    let during = stub
        .seen()
        .iter()
        .filter(|seen| seen.at > refused_at && seen.at < refused_at + Duration::from_millis(145))
        .count();
    // Those that were in flight, or chose their moment just before, and no more.
    assert!(during <= 2 * stub.settings().concurrency, "{during}");
}

#[tokio::test]
async fn throttling_does_not_use_up_the_attempts() {
    let stub = Stub::start().await;
    stub.assign(&[assigned_group(group_id(1))]);
    stub.group(group_id(1), &[]);
    let mut replies = vec![throttled().header("retry-after", "0.001"); 10];
    replies.push(Reply::text(500, ""));
    replies.push(Reply::page(&[person(1)]));
    stub.set(&members_path(group_id(1)), replies);
    let directory = stub.read().await.unwrap();
    assert_eq!(members(&directory, group_id(1)).len(), 1);
}

#[tokio::test]
async fn patience_ends_and_the_error_says_what_graph_asked_for() {
    let stub = Stub::start().await;
    stub.set(
        &service_principal_path(),
        [throttled().header("retry-after", "3600")],
    );
    let pace = Pace {
        longest_pause: Duration::from_millis(5),
        throttle_patience: Duration::from_millis(30),
        ..quick()
    };
    let reader = Reader::with_pace(&stub.settings(), pace).unwrap();
    let error = read(&reader).await.unwrap_err();
    assert!(
        matches!(error, Error::ThrottledOut { asked, .. } if asked == Duration::from_secs(3600)),
        "{error}"
    );
    assert!(stub.seen_at(&service_principal_path()).len() >= 2);
}
