//! What readers of one application in one tenant share, and what Graph is told
//! of their haste.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::stub::{
    Reply, Stub, assigned_group, group_id, members_path, person, person_id, quick, read,
    service_principal_path,
};
use crate::config::{EntraSettings, ResourceUnits};
use crate::entra::{Progress, Reader};
use crate::model::evidence::Questions;
use crate::model::policy::Scope;

async fn tenant(groups: u32) -> Stub {
    let stub = Stub::start().await;
    let ids: Vec<_> = (0..groups).map(group_id).collect();
    stub.assign(&ids.iter().copied().map(assigned_group).collect::<Vec<_>>());
    for id in ids {
        stub.group(id, &[person(1)]);
    }
    stub
}

fn reader(settings: &EntraSettings) -> Reader {
    Reader::with_pace(settings, quick()).unwrap()
}

#[tokio::test]
async fn a_429_to_one_reader_holds_the_other_of_the_same_application_and_nobody_else() {
    let stub = tenant(1).await;
    let path = members_path(group_id(0));
    let refused = Reply::error(429, "TooManyRequests").header("retry-after", "0.2");
    stub.set(&path, [refused, Reply::page(&[person(1)])]);
    let one = stub.reader();
    let other = reader(&EntraSettings {
        // Written otherwise, the same all the same.
        tenant: stub.settings().tenant.to_uppercase(),
        ..stub.settings()
    });
    let stranger = reader(&EntraSettings {
        client_id: "33333333-3333-3333-3333-333333333333".into(),
        ..stub.settings()
    });
    let (progress, mut watched) = Progress::new();
    let scope = Scope::default();
    let others = async {
        watched
            .wait_for(|seen| seen.usage.throttled == 1)
            .await
            .unwrap();
        let refused_at = stub.seen_at(&path)[0].at;
        let begun = stub.seen().len();
        read(&stranger).await.unwrap();
        let free = stub.seen().len();
        let early: Vec<Instant> = stub.seen()[begun..].iter().map(|seen| seen.at).collect();
        read(&other).await.unwrap();
        (refused_at, early, stub.seen().split_off(free))
    };
    let (directory, (refused_at, early, held)) = tokio::join!(one.read(&scope, &progress), others);
    directory.unwrap();
    let opens = refused_at + Duration::from_millis(200);
    assert!(
        early.iter().any(|at| *at < opens),
        "the stranger's went out"
    );
    let held: Vec<_> = held
        .iter()
        .filter(|seen| seen.key.starts_with("/v1.0"))
        .collect();
    assert!(held.len() >= 4 && held.iter().all(|seen| seen.at >= opens));
}

#[tokio::test]
async fn readers_of_one_application_use_one_bucket() {
    let stub = tenant(30).await;
    let settings = EntraSettings {
        resource_units: ResourceUnits::Fixed(100),
        ..stub.settings()
    };
    let (one, other) = (reader(&settings), reader(&settings));
    // Two units for the roles and the assignments, two for the groups, and two
    // for each list: 64, which leaves less than 20 of 80.
    read(&one).await.unwrap();
    let (progress, watched) = Progress::new();
    let begun = Instant::now();
    let scope = Scope::asked((0..10).map(group_id).collect(), BTreeSet::new());
    other.read(&scope, &progress).await.unwrap();
    println!("{:?} for {:?}", begun.elapsed(), *watched.borrow());
    assert!(watched.borrow().usage.held_back > 0);
    drop((one, other));
    // Whoever comes after both have gone begins anew.
    let (progress, watched) = Progress::new();
    reader(&settings).read(&scope, &progress).await.unwrap();
    assert_eq!(watched.borrow().usage.held_back, 0);
}

#[tokio::test]
async fn graph_is_told_what_may_be_shed_first() {
    let stub = tenant(2).await;
    let reader = stub.reader();
    let told = |from: usize| -> BTreeSet<String> {
        stub.seen()[from..]
            .iter()
            .filter(|seen| seen.key.starts_with("/v1.0"))
            .map(|seen| {
                seen.headers["x-ms-throttle-priority"]
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    };
    let word = |word: &str| BTreeSet::from([word.to_owned()]);
    read(&reader).await.unwrap();
    assert_eq!(told(0), word("Low"));

    let seen = stub.seen().len();
    let scope = Scope::asked(BTreeSet::new(), [person_id(1)].into());
    reader.read(&scope, &Progress::unobserved()).await.unwrap();
    assert_eq!(told(seen), word("Normal"), "somebody waits for it");

    let seen = stub.seen().len();
    let asked = Questions {
        groups: vec![group_id(0)],
        ..Questions::default()
    };
    reader.second_look(&asked, &Progress::unobserved()).await;
    assert_eq!(told(seen), word("Normal"));

    let seen = stub.seen().len();
    reader.probe().await;
    assert_eq!(told(seen), word("Normal"));
}

#[tokio::test]
async fn the_reading_says_what_it_used() {
    let stub = tenant(3).await;
    let roles = serde_json::json!({ "id": super::stub::SERVICE_PRINCIPAL, "appRoles": [] });
    let dear = Reply::json(200, &roles).header("x-ms-resource-unit", "40");
    stub.set(&service_principal_path(), [dear]);
    let (progress, watched) = Progress::new();
    let directory = stub
        .reader()
        .read(&Scope::default(), &progress)
        .await
        .unwrap();
    // The dear one, the assignments, the groups, and three lists.
    assert_eq!(directory.cost.resource_units, 40 + 1 + 1 + 3 * 2);
    assert_eq!(watched.borrow().usage.resource_units, 48);
}
