//! Groups that join and leave the buckets.

use super::delta::{
    GROUPS, filtered, first_calls, ids, item, key, last, layout, links, news, quiet, tells, words,
};
use super::stub::{Reply, Stub, assigned_group, group_id, quick};
use crate::entra::Reader;
use crate::model::known::Word;

fn assign(stub: &Stub, groups: impl IntoIterator<Item = u32>) {
    let rows: Vec<_> = groups
        .into_iter()
        .map(group_id)
        .map(assigned_group)
        .collect();
    stub.assign(&rows);
}

fn position(stub: &Stub, nth: usize, key: &str) -> usize {
    let seen = stub.seen();
    let mut at = (0..seen.len()).filter(|at| seen[*at].key == key);
    at.nth(nth).unwrap_or_else(|| panic!("{key} was not asked"))
}

/// A stub that gives the link `fresh` to every first call.
fn gives(stub: &Stub) {
    stub.set(GROUPS, [last(&[], &stub.link(GROUPS, "fresh"))]);
}

#[tokio::test]
async fn a_newly_assigned_group_joins_the_bucket_with_room_and_nobody_else_is_read() {
    let (stub, links) = quiet(&[(0, 0..50), (1, 50..60)]).await;
    assign(&stub, (0..60).chain([90]));
    gives(&stub);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids([90]));
    assert_eq!(
        layout(&heard.links),
        [(0, 50, "b0-next".into()), (1, 11, "fresh".into())]
    );
    let calls = first_calls(&stub);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].query["$deltatoken"], "latest");
    assert_eq!(
        calls[0].query["$select"],
        "id,displayName,visibility,members"
    );
    assert_eq!(filtered(&calls[0]), ids((50..60).chain([90])));
    // Two requests more than an unchanged round: the new link, and the old one
    // up to then.
    assert_eq!((heard.cost.requests, heard.cost.retries), (5 + 2, 0));
    assert_eq!(stub.seen_at(&key(0)).len(), 1);
}

/// Between the end of the old link's round and the new link somebody joined.
#[tokio::test]
async fn the_old_link_is_followed_again_after_the_new_one_was_given() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    assign(&stub, 0..4);
    gives(&stub);
    tells(&stub, 0, &[item(1, &[1], &[])]);
    let told = [item(1, &[2], &[]), item(2, &[], &[3])];
    let end = stub.link(GROUPS, "end");
    stub.set(&format!("{GROUPS}?page=b0-next"), [last(&told, &end)]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(
        words(&heard.news),
        [
            (1, 1, Word::Joined),
            (1, 2, Word::Joined),
            (2, 3, Word::Left)
        ]
    );
    assert_eq!(layout(&heard.links), [(0, 4, "fresh".into())]);
    let given = position(&stub, 0, GROUPS);
    assert!(given > position(&stub, 0, &key(0)));
    assert!(given < position(&stub, 0, &format!("{GROUPS}?page=b0-next")));
    assert_eq!(heard.news.unfollowed, ids([3]));
}

#[tokio::test]
async fn when_the_last_of_the_old_news_is_lost_all_of_the_bucket_is_read() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    assign(&stub, 0..4);
    gives(&stub);
    let gone = Reply::error(410, "resyncRequired");
    stub.set(&format!("{GROUPS}?page=b0-next"), [gone]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids(0..4));
    assert_eq!(layout(&heard.links), [(0, 4, "fresh".into())]);
}

#[tokio::test]
async fn what_finds_no_room_opens_a_bucket_with_the_next_number() {
    let (stub, links) = quiet(&[(4, 0..50)]).await;
    assign(&stub, 0..110);
    gives(&stub);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids(50..110));
    assert_eq!(
        layout(&heard.links),
        [
            (4, 50, "b4-next".into()),
            (5, 50, "fresh".into()),
            (6, 10, "fresh".into()),
        ]
    );
    assert_eq!(first_calls(&stub).len(), 2);
}

#[tokio::test]
async fn a_group_that_is_no_longer_assigned_costs_nothing_and_its_news_are_dropped() {
    let (stub, links) = quiet(&[(0, 0..50), (1, 50..52)]).await;
    assign(&stub, 5..51);
    tells(&stub, 0, &[item(3, &[1], &[]), item(7, &[2], &[])]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(words(&heard.news), [(7, 2, Word::Joined)]);
    assert!(heard.news.unfollowed.is_empty());
    assert_eq!(heard.cost.requests, 5);
    assert_eq!(
        layout(&heard.links),
        [(0, 45, "b0-next".into()), (1, 1, "b1-next".into())]
    );
}

/// What the link told of it in the meantime was not kept.
#[tokio::test]
async fn a_group_that_is_assigned_again_counts_as_new_although_its_filter_still_names_it() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    assign(&stub, 0..2);
    let heard = news(&stub, &links).await.unwrap();
    assign(&stub, 0..3);
    gives(&stub);
    stub.set(
        "/v1.0/users/delta?page=p-next",
        [last(&[], &stub.link("/v1.0/users/delta", "p-next"))],
    );
    let heard = news(&stub, &heard.links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids([2]));
    assert_eq!(layout(&heard.links), [(0, 3, "fresh".into())]);
}

#[tokio::test]
async fn a_bucket_made_anew_leaves_out_those_who_left() {
    let (stub, links) = quiet(&[(0, 0..50)]).await;
    assign(&stub, 10..51);
    gives(&stub);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(filtered(&first_calls(&stub)[0]), ids(10..51));
    assert_eq!(heard.news.unfollowed, ids([50]));
}

#[tokio::test]
async fn a_bucket_none_of_whose_groups_is_assigned_is_dropped() {
    let (stub, links) = quiet(&[(0, 0..2), (1, 2..4)]).await;
    assign(&stub, 2..4);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(layout(&heard.links), [(1, 2, "b1-next".into())]);
    stub.assign(&[]);
    let heard = news(&stub, &links).await.unwrap();
    assert!(heard.links.groups.is_empty());
    assert!(first_calls(&stub).is_empty());
}

#[tokio::test]
async fn groups_that_the_settings_exclude_are_not_followed() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    assign(&stub, 0..6);
    gives(&stub);
    tells(&stub, 0, &[item(0, &[1], &[]), item(1, &[1], &[])]);
    let mut settings = stub.settings();
    settings.groups.exclude = ids([0, 5]);
    let reader = Reader::with_pace(&settings, quick()).unwrap();
    let heard = super::delta::hear(&reader, &links).await.unwrap();
    assert_eq!(words(&heard.news), [(1, 1, Word::Joined)]);
    assert_eq!(heard.news.unfollowed, ids([3, 4]));
    assert_eq!(filtered(&first_calls(&stub)[0]), ids(1..5));
}

#[tokio::test]
async fn a_group_waits_outside_while_no_new_link_can_be_had() {
    let (stub, links) = quiet(&[(0, 0..3)]).await;
    assign(&stub, 0..4);
    tells(&stub, 0, &[item(1, &[1], &[])]);
    stub.set(GROUPS, [Reply::error(403, "Authorization_RequestDenied")]);
    let heard = news(&stub, &links).await.unwrap();
    assert_eq!(heard.news.unfollowed, ids([3]));
    assert_eq!(words(&heard.news), [(1, 1, Word::Joined)]);
    assert_eq!(layout(&heard.links), [(0, 3, "b0-next".into())]);
}

#[tokio::test]
async fn the_first_assigned_group_opens_the_first_bucket() {
    let (stub, _) = quiet(&[]).await;
    assign(&stub, 0..1);
    gives(&stub);
    let heard = news(&stub, &links(&stub, &[])).await.unwrap();
    assert_eq!(layout(&heard.links), [(0, 1, "fresh".into())]);
    assert_eq!(heard.news.unfollowed, ids([0]));
}
