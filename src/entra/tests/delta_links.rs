//! Links that are lost, foreign, or of no use any more.

use serde_json::json;

use super::delta::{
    GROUPS, PEOPLE, filtered, first_calls, hear, ids, item, key, last, layout, news, quiet,
    requests, tells, words,
};
use super::stub::{Reply, Stub, assigned_group, group_id, quick};
use crate::config::{AttributeNames, EntraSettings, Membership};
use crate::entra::{Progress, Reader};
use crate::model::known::Word;
use crate::model::links::DeltaLink;

fn nested(status: u16, codes: [&str; 3]) -> Reply {
    let [outer, inner, innermost] = codes;
    let error = json!({ "error": {
        "code": outer,
        "innerError": { "code": inner, "innererror": { "code": innermost } },
    } });
    Reply::json(status, &error)
}

/// All the ways in which Graph says that it does not know the place.
fn losses() -> Vec<Reply> {
    vec![
        Reply::error(410, "resyncRequired").header("location", "https://elsewhere.test/v1.0/x"),
        Reply::error(410, "Gone"),
        Reply::text(410, ""),
        Reply::error(400, "syncStateNotFound"),
        Reply::error(400, "SYNCSTATENOTFOUND"),
        Reply::error(400, "ResyncRequired"),
        nested(400, ["BadRequest", "invalidRequest", "syncStateNotFound"]),
        nested(400, ["syncStateNotFound", "other", "another"]),
        Reply::error(404, "UnknownError"),
        Reply::error(409, "resyncRequired"),
        Reply::error(400, "Request_BadRequest"),
    ]
}

#[tokio::test]
async fn a_bucket_that_lost_its_link_gets_another_first_and_is_to_be_read_in_full() {
    for reply in losses() {
        let (stub, links) = quiet(&[(0, 0..3), (1, 3..5)]).await;
        stub.set(GROUPS, [last(&[], &stub.link(GROUPS, "fresh"))]);
        tells(&stub, 1, &[item(3, &[1], &[])]);
        stub.set(&key(0), [reply]);
        // One has left in the meantime.
        let rows: Vec<_> = (1..5).map(group_id).map(assigned_group).collect();
        stub.assign(&rows);
        let heard = news(&stub, &links).await.unwrap();
        assert_eq!(heard.news.unfollowed, ids(1..3));
        assert_eq!(words(&heard.news), [(3, 1, Word::Joined)]);
        assert_eq!(
            layout(&heard.links),
            [(0, 2, "fresh".into()), (1, 2, "b1-next".into())]
        );
        let calls = first_calls(&stub);
        assert_eq!(calls.len(), 1);
        assert_eq!(filtered(&calls[0]), ids(1..3));
        assert!(
            calls
                .iter()
                .all(|seen| seen.query["$deltatoken"] == "latest")
        );
    }
}

#[tokio::test]
async fn what_a_lost_round_had_told_before_is_thrown_away() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    stub.set(GROUPS, [last(&[], &stub.link(GROUPS, "fresh"))]);
    let next = stub.link(GROUPS, "2");
    stub.set(&key(0), [Reply::page_then(&[item(0, &[1], &[])], &next)]);
    let lost = Reply::error(410, "resyncRequired");
    stub.set(&format!("{GROUPS}?page=2"), [lost]);
    let heard = news(&stub, &links).await.unwrap();
    assert!(heard.news.groups.is_empty());
    assert_eq!(heard.news.unfollowed, ids(0..3));
}

#[tokio::test]
async fn a_link_that_is_unknown_for_a_moment_is_asked_again() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let end = stub.link(GROUPS, "end");
    stub.set(
        &key(0),
        [
            Reply::error(404, "UnknownError"),
            Reply::error(404, "UnknownError"),
            last(&[item(0, &[1], &[])], &end),
        ],
    );
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(words(&heard.news).len(), 1);
    assert!(heard.news.unfollowed.is_empty());
    assert_eq!(heard.cost.retries, 2);
}

#[tokio::test]
async fn a_lost_bucket_stays_lost_and_read_in_full_while_no_new_link_can_be_had() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    stub.set(&key(0), [Reply::error(410, "resyncRequired")]);
    stub.set(GROUPS, [Reply::error(403, "Authorization_RequestDenied")]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids(0..3));
    assert_eq!(heard.links.groups, links.groups);
}

#[tokio::test]
async fn without_the_place_in_the_list_of_people_a_whole_reading_is_wanted() {
    for reply in losses() {
        let (stub, links) = quiet(&[(0, 0..1)]).await;
        stub.set(&format!("{PEOPLE}?page=p"), [reply]);
        let error = news(&stub, &links).await.unwrap_err();
        assert_eq!(error.kind(), "place_lost");
        assert!(error.wants_full_reading());
        assert!(error.to_string().contains("/users/delta"), "{error}");
        assert!(!error.to_string().contains("secret words"), "{error}");
    }
}

#[tokio::test]
async fn where_delta_queries_are_no_longer_offered_a_whole_reading_is_wanted() {
    for (status, code) in [(400, "Request_UnsupportedQuery"), (501, "NotImplemented")] {
        for at in [format!("{PEOPLE}?page=p"), key(0)] {
            let (stub, links) = quiet(&[(0, 0..1)]).await;
            stub.set(&at, [Reply::error(status, code)]);
            let error = news(&stub, &links).await.unwrap_err();
            assert_eq!(error.kind(), "no_delta_queries");
            assert!(error.wants_full_reading());
        }
    }
}

#[tokio::test]
async fn a_kept_link_that_leads_elsewhere_is_refused_before_anything_is_sent() {
    let elsewhere = Stub::start().await;
    let (stub, links) = quiet(&[(0, 0..1), (1, 1..2)]).await;
    let reader = stub.reader();
    // With the token in hand already, whatever is allowed to go out goes out.
    hear(&reader, &links).await.unwrap();
    let before = stub.seen().len();
    let port = stub.origin.rsplit(':').next().unwrap();
    for link in [
        format!("{}/v1.0/groups/delta?page=b1", elsewhere.origin),
        format!("https://127.0.0.1:{port}/v1.0/groups/delta"),
        format!("http://user@127.0.0.1:{port}/v1.0/groups/delta"),
        format!("http://127.0.0.1:{port}/beta/groups/delta"),
        "nonsense".to_owned(),
    ] {
        for in_bucket in [true, false] {
            let mut kept = links.clone();
            let link = DeltaLink::new(link.clone());
            match in_bucket {
                true => kept.groups.get_mut(&1).unwrap().link = link,
                false => kept.people = link,
            }
            let (progress, watched) = Progress::new();
            let error = reader.news(&kept, &progress).await.unwrap_err();
            assert_eq!(error.kind(), "foreign_kept_link");
            assert!(error.wants_full_reading());
            assert_eq!(watched.borrow().usage.requests, 0);
        }
    }
    assert_eq!((stub.seen().len(), elsewhere.seen().len()), (before, 0));
}

#[tokio::test]
async fn transitive_members_are_never_followed() {
    let (stub, links) = quiet(&[(0, 0..1)]).await;
    let settings = EntraSettings {
        membership: Membership::Transitive,
        ..stub.settings()
    };
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    let error = hear(&reader, &links).await.unwrap_err();
    assert!(error.wants_full_reading());
    assert!(requests(&stub).is_empty());
}

/// Links of before track other properties, and people were read otherwise.
#[tokio::test]
async fn the_terms_of_links_change_with_what_is_asked_and_how_it_is_understood() {
    let (stub, _) = quiet(&[]).await;
    let terms = |change: &dyn Fn(&mut EntraSettings)| {
        let mut settings = stub.settings();
        change(&mut settings);
        Reader::with_pace(&settings, quick()).unwrap().terms()
    };
    let now = terms(&|_| {});
    assert_eq!(now, terms(&|settings| settings.concurrency = 1));
    let named =
        |change: &dyn Fn(&mut AttributeNames)| terms(&|settings| change(&mut settings.attributes));
    for other in [
        named(&|names| names.id = "employeeId".into()),
        // Both are tracked in any case.
        named(&|names| names.email = "mail".into()),
        named(&|names| names.first_name = "surname".into()),
        terms(&|settings| settings.membership = Membership::Transitive),
    ] {
        assert_ne!(now, other);
    }
    let kept = crate::entra::Terms::kept(now.as_str().to_owned());
    assert_eq!(kept, now);
}
