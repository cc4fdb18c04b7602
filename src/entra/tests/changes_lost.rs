//! A simulated tenant whose changes can no longer be followed, or never could.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::changes::{sales, word};
use super::scene::Scene;
use crate::config::Membership;
use crate::model::known::Word;
use crate::model::links::Links;
use crate::simulator::{DeltaExpiry, DeltaOffer, Effect, Fault, group_id};

#[tokio::test]
async fn links_that_expired_in_whatever_way_are_replaced_by_a_whole_reading() {
    for expiry in [
        DeltaExpiry::Gone,
        DeltaExpiry::NotFound,
        DeltaExpiry::NotFoundInOtherCase,
        DeltaExpiry::NotFoundInside,
    ] {
        let (scene, links) = sales().await;
        scene.simulator.expire_delta_links(expiry);
        let error = scene.hear(&links).await.unwrap_err();
        assert_eq!(error.kind(), "place_lost", "{expiry:?}");
        assert!(error.wants_full_reading());
        // The link for people is good, those of the groups are not.
        let people = scene.links().await.people;
        let mixed = Links { people, ..links };
        scene.change(|t| {
            t.group("Sales").member("dora");
        });
        let heard = scene.hear(&mixed).await.unwrap();
        let both = [group_id("Sales"), group_id("Research")].into();
        assert_eq!(heard.news.unfollowed, both);
        let next = scene.hear(&heard.links).await.unwrap();
        assert!(next.news.unfollowed.is_empty() && next.news.groups.is_empty());
    }
}

#[tokio::test]
async fn a_link_lives_seven_days_from_when_it_was_given() {
    let (scene, mut links) = sales().await;
    let day = Duration::from_secs(24 * 3600);
    scene.simulator.hold_clock();
    for _ in 0..2 {
        scene.simulator.advance_clock(6 * day);
        scene.next(&mut links).await;
    }
    scene.simulator.advance_clock(8 * day);
    let error = scene.hear(&links).await.unwrap_err();
    assert!(error.wants_full_reading(), "{error}");
}

#[tokio::test]
async fn the_first_round_stands_in_where_latest_is_refused() {
    let (scene, _) = sales().await;
    scene.simulator.reset_requests();
    scene
        .simulator
        .fault(Fault::status(400).on("/groups/delta"));
    let strangers = Fault::new(Effect::PastRemovals).on("/groups/delta");
    scene.simulator.fault(strangers.after(1));
    let mut links = scene.links().await;
    assert_eq!(scene.asked("groups/delta"), 2);
    assert_eq!(scene.simulator.waiting_faults(), 0);
    assert!(scene.next(&mut links).await.news.groups.is_empty());
    scene.change(|t| {
        t.group("Sales").member("dora");
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(word(&heard, "Sales", "dora"), Some(Word::Joined));
}

#[tokio::test]
async fn a_tenant_without_delta_queries_is_read_whole_and_that_is_said_once() {
    for offer in [DeltaOffer::Unsupported, DeltaOffer::NotImplemented] {
        let (scene, links) = sales().await;
        scene.change(|t| t.delta().offer = offer);
        let error = scene.hear(&links).await.unwrap_err();
        assert_eq!(error.kind(), "no_delta_queries");
        assert!(error.wants_full_reading());
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || log.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        for _ in 0..3 {
            let whole = scene.whole().await;
            assert!(whole.links.is_none());
            assert_eq!(whole.directory.groups.len(), 2);
        }
        drop(guard);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("WARN").count(), 1, "{text}");
        assert!(text.contains("this tenant does not offer them"), "{text}");
    }
    let membership = Membership::Transitive;
    let scene = Scene::expanded(membership, |t| {
        t.group("Sales").assigned_by_default();
    });
    assert!(scene.await.whole().await.links.is_none());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
