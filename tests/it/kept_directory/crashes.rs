//! State, what it leaves open, and links: all of them, or none.

use std::collections::BTreeSet;

use entra_sync::ledger::Error;
use entra_sync::ledger::directory::{self, Head, Open};
use entra_sync::model::known::{Touched, Turn};

use super::{Kept, at, group, group_id, links, person_id, reading, somebody, stamp};

fn touched(people: &[u128], groups: &[u128]) -> Touched {
    Touched {
        people: people.iter().copied().map(person_id).collect(),
        groups: groups.iter().copied().map(group_id).collect(),
    }
}

async fn with_arts() -> Kept {
    let kept = Kept::new().await;
    let people = [somebody(1, "Ada"), somebody(2, "Bob")];
    kept.save(&reading([(1, group("Arts", &[1, 2]))], people))
        .await;
    kept
}

async fn settle(kept: &Kept, open: Open) {
    let mut transaction = kept.begin().await;
    let settled = directory::settle(&mut transaction, kept.source, open).await;
    settled.unwrap_or_else(|error| panic!("{error}"));
    transaction.commit().await.expect("it is settled");
}

/// A round that touches these, drops Bob and renames arts.
async fn turn(kept: &Kept, touched: Touched) -> Turn {
    let mut outline = kept.outline().await;
    let arts = outline.groups.get_mut(&group_id(1)).expect("arts");
    arts.display_name = Some("Fine arts".to_owned());
    arts.headcount = 1;
    Turn {
        outline,
        dropped: BTreeSet::from([person_id(2)]),
        touched,
        ..Turn::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_tells_what_there_is_to_go_on_from() {
    let kept = Kept::new().await;
    assert_eq!(kept.head().await, None);
    let kept = with_arts().await;
    let expected = Head {
        fingerprint: stamp().fingerprint,
        compared: stamp().compared,
        read_at: at(1),
        heard_at: at(1),
        open: Open::Everything,
        links: Some(links("first")),
    };
    assert_eq!(kept.head().await, Some(expected.clone()));
    let head = format!("{:?}", kept.head().await);
    assert!(!head.contains("delta?"), "a link is shown: {head}");

    settle(&kept, Open::Nothing).await;
    let round = turn(&kept, touched(&[2], &[1])).await;
    kept.turn(&round).await;
    let expected = Head {
        heard_at: at(2),
        open: Open::These(touched(&[2], &[1])),
        links: Some(links("next")),
        ..expected
    };
    assert_eq!(kept.head().await, Some(expected));

    // A reading of which no round can go on.
    kept.save_with(&reading([], []), None).await;
    let head = kept.head().await.expect("a head");
    assert_eq!((head.links, head.open), (None, Open::Everything));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_grows_until_it_is_settled() {
    let kept = with_arts().await;
    let open = async || kept.head().await.expect("a head").open;
    let round = turn(&kept, touched(&[2], &[])).await;
    kept.turn(&round).await;
    assert_eq!(open().await, Open::Everything);
    settle(&kept, Open::Nothing).await;
    assert_eq!(open().await, Open::Nothing);
    kept.turn(&turn(&kept, touched(&[2, 3], &[])).await).await;
    kept.turn(&turn(&kept, touched(&[1, 3], &[4])).await).await;
    assert_eq!(open().await, Open::These(touched(&[1, 2, 3], &[4])));
    settle(&kept, Open::These(touched(&[3], &[]))).await;
    assert_eq!(open().await, Open::These(touched(&[3], &[])));
    settle(&kept, Open::Everything).await;
    assert_eq!(open().await, Open::Everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_is_not_committed_leaves_no_trace() {
    let kept = with_arts().await;
    settle(&kept, Open::These(touched(&[1], &[]))).await;
    let before = kept.everything().await;
    let head = kept.head().await;
    let round = turn(&kept, touched(&[2], &[1])).await;
    for taken_back in [true, false] {
        let mut transaction = kept.begin().await;
        directory::save_turn(&mut transaction, kept.source, &round, &links("next"), at(2))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        if taken_back {
            transaction.rollback().await.expect("it is taken back");
        } else {
            // The process dies.
            drop(transaction);
        }
        assert_eq!(kept.everything().await, before);
        assert_eq!(kept.head().await, head);
    }
    kept.turn(&round).await;
    assert_ne!(kept.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_is_not_committed_leaves_no_trace() {
    let kept = with_arts().await;
    settle(&kept, Open::Nothing).await;
    let before = kept.everything().await;
    let later = reading([(2, group("Science", &[3]))], [somebody(3, "Cyd")]);
    let mut transaction = kept.begin().await;
    directory::save_whole(&mut transaction, kept.source, &later, stamp(), None)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    drop(transaction);
    assert_eq!(kept.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_from_a_directory_that_was_forgotten() {
    let kept = with_arts().await;
    let round = turn(&kept, Touched::default()).await;
    let mut transaction = kept.begin().await;
    directory::forget(&mut transaction, kept.source)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    transaction.commit().await.expect("it is forgotten");
    assert!(kept.everything().await.is_empty());
    assert_eq!(kept.head().await, None);
    assert_eq!(kept.whole().await, None);

    let mut transaction = kept.begin().await;
    let saved =
        directory::save_turn(&mut transaction, kept.source, &round, &links("next"), at(2)).await;
    assert!(matches!(saved, Err(Error::DirectoryUnknown)), "{saved:?}");
    transaction.rollback().await.expect("nothing was written");
    // No application without assignments may be mistaken for this.
    let mut transaction = kept.begin().await;
    let outline = directory::outline(&mut transaction, kept.source).await;
    assert!(
        matches!(outline, Err(Error::DirectoryUnknown)),
        "{outline:?}"
    );
    transaction.rollback().await.expect("nothing was read");
    assert!(kept.everything().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_takes_its_directory_along() {
    let kept = with_arts().await;
    let daemon = kept.hands.database.daemon().await;
    daemon
        .batch_execute("DELETE FROM entra_sync.source")
        .await
        .expect("the source goes");
    assert!(kept.everything().await.is_empty());
}
