//! Following the changes of a simulated tenant.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::Scene;
use crate::entra::line::Questions;
use crate::entra::meter::Meter;
use crate::entra::queue::Priority;
use crate::entra::{Error, Heard, Progress, WholeReading};
use crate::model::directory::{Account, Attributes};
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::{GroupNews, ObjectNews, PersonNews, Word};
use crate::model::links::Links;
use crate::simulator::{
    AccountEnabled, DeltaLayout, Effect, Fault, PurgedMembers, RestoredMembers, WordOrder,
    group_id, person_id,
};

type Members = BTreeMap<GroupId, BTreeSet<PersonId>>;

impl Scene {
    pub(super) async fn whole(&self) -> WholeReading {
        let progress = Progress::unobserved();
        self.reader.read_whole(None, &progress).await.unwrap()
    }

    pub(super) async fn links(&self) -> Links {
        self.whole().await.links.unwrap()
    }

    pub(super) async fn hear(&self, links: &Links) -> Result<Heard, Error> {
        self.reader.news(links, &Progress::unobserved()).await
    }

    /// One round; the links become those of the next.
    pub(super) async fn next(&self, links: &mut Links) -> Heard {
        let heard = self.hear(links).await.unwrap();
        *links = heard.links.clone();
        heard
    }

    /// Who is in which group, as a whole reading has it.
    async fn members(&self) -> Members {
        let directory = self.read().await;
        let groups = directory.groups.into_iter();
        groups
            .filter_map(|(id, group)| {
                let members = group.members.ok()?;
                Some((id, members.get().iter().copied().collect()))
            })
            .collect()
    }
}

pub(super) async fn sales() -> (Scene, Links) {
    let scene = Scene::of(|t| {
        t.group("Sales")
            .members(["anna", "ben"])
            .assigned_by_default();
        t.group("Research").member("chloe").assigned_by_default();
    })
    .await;
    let links = scene.links().await;
    (scene, links)
}

fn of<'h>(heard: &'h Heard, group: &str) -> &'h GroupNews {
    &heard.news.groups[&group_id(group)]
}

pub(super) fn word(heard: &Heard, group: &str, person: &str) -> Option<Word> {
    let news = heard.news.groups.get(&group_id(group))?;
    news.members.get(&person_id(person)).copied()
}

fn person<'h>(heard: &'h Heard, key: &str) -> Option<&'h PersonNews> {
    heard.news.people.get(&person_id(key))
}

/// What the caller does with news, in short.
async fn apply(scene: &Scene, known: &mut Members, heard: &Heard) {
    let mut open = heard.news.unfollowed.clone();
    let assigned: BTreeSet<GroupId> = scene.reader.admitted(heard.news.assignments.get());
    known.retain(|group, _| assigned.contains(group));
    for (group, news) in &heard.news.groups {
        let members = known.entry(*group).or_default();
        for (person, word) in &news.members {
            match word {
                Word::Joined => members.insert(*person),
                Word::Left => members.remove(person),
                Word::Both => open.insert(*group),
            };
        }
        if news.object == ObjectNews::Unclear {
            open.insert(*group);
        }
        if news.object == ObjectNews::Deleted {
            known.remove(group);
        }
    }
    let progress = Progress::unobserved();
    let nobody = BTreeSet::new();
    let fresh = scene
        .reader
        .read_some(&open, &nobody, &heard.news, &progress)
        .await
        .unwrap();
    for (group, read) in fresh.groups {
        let members = read.members.unwrap();
        known.insert(group, members.get().iter().copied().collect());
    }
}

#[tokio::test]
async fn changes_that_are_followed_come_to_what_a_whole_reading_shows() {
    let scene = Scene::of(|t| {
        t.delta().entries_per_page = 3;
        t.delta().layout = DeltaLayout::Interleaved;
        for group in 0..60 {
            let group = t.group(&format!("g{group}")).assigned_by_default();
            group.members(["anna", "ben", "chloe", "dora"]);
        }
        t.user("emil");
    })
    .await;
    let mut links = scene.links().await;
    let mut known = scene.members().await;
    let people = ["anna", "ben", "chloe", "dora", "emil"];
    for step in 0..12_usize {
        scene.change(|t| {
            for edit in 0..40 {
                let at = (step * 31 + edit * 17) % 60;
                let who = people[(step + edit * 3) % people.len()];
                let group = t.group(&format!("g{at}"));
                match (edit + step) % 5 {
                    0 | 1 => group.without_member(who),
                    2 => group.member(who).without_member(who).member(who),
                    _ => group.member(who),
                };
            }
            // One leaves the application, one comes (back).
            t.group(&format!("g{}", step % 60)).unassigned_entirely();
            t.group(&format!("g{}", (step + 58) % 60))
                .assigned_by_default();
            t.group(&format!("new {step}"))
                .member("anna")
                .assigned_by_default();
        });
        let effect = match step % 6 {
            1 => Some(Effect::ReplayedChanges { changes: 3 }),
            2 => Some(Effect::DuplicateRows),
            3 => Some(Effect::EmptyPage),
            4 => Some(Effect::EveryWord {
                order: WordOrder::Backwards,
            }),
            5 => Some(Effect::ExpiredPageToken),
            _ => None,
        };
        if let Some(effect) = effect {
            let fault = Fault::new(effect).on("/groups/delta");
            scene.simulator.fault(fault.times(2));
        }
        if step == 7 {
            let lost = Fault::status(410).on("/groups/delta");
            scene.simulator.fault(lost);
        }
        let heard = scene.next(&mut links).await;
        apply(&scene, &mut known, &heard).await;
        scene.simulator.clear_faults();
        assert_eq!(known, scene.members().await, "step {step}");
    }
}

#[tokio::test]
async fn an_unchanged_tenant_costs_what_its_links_cost() {
    let scene = Scene::of(|t| {
        for group in 0..120 {
            t.group(&format!("g{group}")).assigned_by_default();
        }
    })
    .await;
    let mut links = scene.links().await;
    assert_eq!(scene.asked("groups/delta"), 3);
    assert_eq!(scene.asked("users/delta"), 1);
    for _ in 0..3 {
        scene.simulator.reset_requests();
        let heard = scene.next(&mut links).await;
        assert!(heard.news.groups.is_empty() && heard.news.unfollowed.is_empty());
        assert_eq!(scene.simulator.requests().graph().requests, 6);
        assert_eq!((heard.cost.requests, heard.cost.resource_units), (6, 6));
    }
    let kept = Progress::unobserved();
    scene.simulator.reset_requests();
    let whole = scene.reader.read_whole(Some(&links), &kept).await.unwrap();
    assert_eq!(whole.links, Some(links));
    assert_eq!(scene.asked("groups/delta"), 0);
}

/// graph-contract 8.3: 2,000 groups in 40 buckets, three pages of assignments.
#[tokio::test]
async fn an_unchanged_large_tenant_costs_forty_five_requests() {
    let scene = Scene::of(|t| {
        for group in 0..2000 {
            t.group(&format!("g{group}")).assigned_by_default();
        }
    })
    .await;
    let progress = Progress::unobserved();
    let meter = Meter::new(&progress);
    let questions = Questions::new(&scene.reader.line, &meter, Priority::Prompt);
    let groups = (0..2000).map(|group| group_id(&format!("g{group}")));
    let mut links = questions.links_from_now(&groups.collect()).await.unwrap();
    assert_eq!(links.groups.len(), 40);
    scene.simulator.reset_requests();
    let heard = scene.next(&mut links).await;
    assert!(heard.news.groups.is_empty() && heard.news.unfollowed.is_empty());
    assert_eq!((heard.cost.requests, heard.cost.resource_units), (45, 45));
    assert_eq!(scene.simulator.requests().graph().requests, 45);
}

#[tokio::test]
async fn a_deleted_person_is_told_of_among_the_people_and_in_no_group() {
    let (scene, mut links) = sales().await;
    scene.change(|t| {
        t.user("anna").soft_deleted();
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(person(&heard, "anna"), Some(&PersonNews::Deleted));
    assert!(heard.news.groups.is_empty());
    scene.change(|t| {
        t.user("anna").restored();
    });
    let heard = scene.next(&mut links).await;
    let back = person(&heard, "anna");
    assert!(matches!(back, Some(PersonNews::Now(Attributes::Known(_)))));
    assert!(heard.news.groups.is_empty());
    scene.change(|t| {
        t.delta().purged_members = PurgedMembers::Silent;
        t.user("anna").purged();
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(person(&heard, "anna"), Some(&PersonNews::Deleted));
    assert!(heard.news.groups.is_empty(), "never reported (trap 7)");
}

#[tokio::test]
async fn who_leaves_a_group_is_not_taken_for_deleted() {
    let (scene, mut links) = sales().await;
    scene.change(|t| {
        t.group("Sales").without_member("anna");
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(word(&heard, "Sales", "anna"), Some(Word::Left));
    assert_eq!(person(&heard, "anna"), None);
}

#[tokio::test]
async fn nested_groups_and_devices_are_no_people() {
    let (scene, mut links) = sales().await;
    scene.change(|t| {
        t.group("Inner").member("dora");
        t.group("Sales").nested("Inner").device("printer");
    });
    let heard = scene.next(&mut links).await;
    assert!(of(&heard, "Sales").members.is_empty());
    scene.change(|t| {
        t.group("Inner").without_member("dora");
    });
    assert!(scene.next(&mut links).await.news.groups.is_empty());
}

#[tokio::test]
async fn the_fate_of_a_group_is_told() {
    let (scene, mut links) = sales().await;
    scene.change(|t| {
        t.group("Sales").display_name("Vente");
    });
    let heard = scene.next(&mut links).await;
    let named = ObjectNews::Here(Some(Some("Vente".into())));
    assert_eq!(of(&heard, "Sales").object, named);
    scene.change(|t| {
        t.deleted_assignments(crate::simulator::DeletedAssignments::Linger);
        t.delta().restored_members = RestoredMembers::Told;
        t.group("Sales").soft_deleted();
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(of(&heard, "Sales").object, ObjectNews::Deleted);
    scene.change(|t| {
        t.group("Sales").restored();
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(of(&heard, "Sales").object, named);
    assert_eq!(word(&heard, "Sales", "ben"), Some(Word::Joined));
    let omitted = Effect::OmittedProperty {
        name: "displayName".into(),
    };
    scene.change(|t| {
        t.group("Sales").member("emil");
    });
    scene
        .simulator
        .fault(Fault::new(omitted).on("/groups/delta"));
    let heard = scene.next(&mut links).await;
    assert_eq!(of(&heard, "Sales").object, ObjectNews::Here(None));
}

#[tokio::test]
async fn an_account_of_which_nothing_is_said_is_unclear_and_not_disabled() {
    let (scene, mut links) = sales().await;
    let account = |heard: &Heard| match person(heard, "anna") {
        Some(PersonNews::Now(Attributes::Known(shown))) => Some(shown.account),
        _ => None,
    };
    scene.change(|t| {
        t.user("anna").disabled();
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(account(&heard), Some(Account::Disabled));
    scene.change(|t| {
        t.user("anna").account(AccountEnabled::Enabled);
    });
    let omitted = Effect::OmittedProperty {
        name: "accountEnabled".into(),
    };
    scene
        .simulator
        .fault(Fault::new(omitted).on("/users/delta"));
    let heard = scene.next(&mut links).await;
    assert_eq!(person(&heard, "anna"), Some(&PersonNews::Unclear));
    scene.change(|t| {
        t.user("anna").account(AccountEnabled::Null);
    });
    let heard = scene.next(&mut links).await;
    assert_eq!(person(&heard, "anna"), Some(&PersonNews::Unclear));
    let people = BTreeSet::from([person_id("anna")]);
    let progress = Progress::unobserved();
    let nothing = BTreeSet::new();
    let read = scene
        .reader
        .read_some(&nothing, &people, &heard.news, &progress)
        .await
        .unwrap();
    assert!(read.people.contains_key(&person_id("anna")));
    assert!(read.unread_people.is_empty());
}

#[tokio::test]
async fn changes_that_come_late_or_again_or_in_every_word_are_taken_as_such() {
    let (scene, mut links) = sales().await;
    let at_groups = |effect| Fault::new(effect).on("/groups/delta");
    scene.change(|t| {
        t.group("Sales").member("dora");
    });
    scene.simulator.fault(at_groups(Effect::WithheldChanges));
    assert!(scene.next(&mut links).await.news.groups.is_empty());
    let heard = scene.next(&mut links).await;
    assert_eq!(word(&heard, "Sales", "dora"), Some(Word::Joined));
    let again = Effect::ReplayedChanges { changes: 9 };
    scene.simulator.fault(at_groups(again));
    let heard = scene.next(&mut links).await;
    assert_eq!(word(&heard, "Sales", "dora"), Some(Word::Joined));
    for order in [WordOrder::Chronological, WordOrder::Backwards] {
        scene.change(|t| {
            t.delta().entries_per_page = 1;
            t.group("Sales").without_member("anna").member("anna");
            t.group("Research").member("anna");
        });
        scene
            .simulator
            .fault(at_groups(Effect::EveryWord { order }));
        let heard = scene.next(&mut links).await;
        assert_eq!(word(&heard, "Sales", "anna"), Some(Word::Both));
    }
}

/// A crash between hearing and keeping: the links of before tell it all again.
#[tokio::test]
async fn the_links_of_before_tell_the_same_again() {
    let (scene, links) = sales().await;
    scene.change(|t| {
        t.group("Sales").member("dora").without_member("ben");
    });
    let first = scene.hear(&links).await.unwrap();
    let second = scene.hear(&links).await.unwrap();
    assert_eq!(first.news.groups, second.news.groups);
    assert_eq!(word(&second, "Sales", "ben"), Some(Word::Left));
}
