//! Some people out of many.

use std::collections::BTreeSet;

use entra_sync::db::Transaction;
use entra_sync::ledger::directory::{alike, members};
use entra_sync::model::directory::{Attributes, Person};
use entra_sync::model::known::{KnownPeople, Presence, Turn};

use super::{Kept, attributes, group, group_id, known, person_id, reading, somebody};

fn who(people: &KnownPeople) -> BTreeSet<u128> {
    let all = 0..100;
    all.filter(|number| people.contains_key(&person_id(*number)))
        .collect()
}

async fn end(transaction: Transaction) {
    transaction.commit().await.expect("it is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_any_of_some_groups() {
    let kept = Kept::new().await;
    let people = [somebody(1, "Ada"), somebody(2, "Bob"), somebody(3, "Cyd")];
    let groups = [
        (1, group("Arts", &[1, 2])),
        (2, group("Science", &[2])),
        (3, group("Law", &[3])),
    ];
    kept.save(&reading(groups, people)).await;
    let mut bob = kept.people([2]).await;
    bob.get_mut(&person_id(2)).expect("Bob").presence = Presence::Deleted;
    let turn = Turn {
        outline: kept.outline().await,
        people: bob,
        ..Turn::default()
    };
    kept.turn(&turn).await;

    let mut transaction = kept.begin().await;
    for (groups, expected) in [
        (&[][..], &[][..]),
        (&[1], &[1, 2]),
        (&[2, 3], &[2, 3]),
        (&[9], &[]),
    ] {
        let ids: Vec<_> = groups.iter().copied().map(group_id).collect();
        let found = members(&mut transaction, kept.source, &ids).await;
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            who(&found),
            expected.iter().copied().collect(),
            "{groups:?}"
        );
        let all = kept.people(expected.iter().copied()).await;
        assert_eq!(found, all, "whole, with what else they are in");
    }
    end(transaction).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shares_an_address_or_a_subject() {
    let kept = Kept::new().await;
    let with = |number: u128, email: Option<&str>, subject: &str| {
        let id = person_id(number);
        let mut read = attributes(id, "Somebody");
        read.email = email.map(Into::into);
        read.subject = subject.into();
        let attributes = known(read);
        (id, Person { attributes })
    };
    let own = |number: u128| person_id(number).to_string();
    let people = [
        with(1, Some("shared@contoso.example.com"), &own(1)),
        with(2, Some("shared@contoso.example.com"), &own(2)),
        with(3, Some("other@contoso.example.com"), "s-3"),
        with(4, None, "s-3"),
        // Somebody whose subject is another's object id.
        with(5, None, &own(1)),
        with(6, None, "a\0b"),
        // Their own id, spelt as nobody's object id is.
        with(7, None, &own(7).to_uppercase()),
        (
            person_id(8),
            Person {
                attributes: Attributes::Unknown,
            },
        ),
    ];
    kept.save(&reading(
        [(1, group("All", &[1, 2, 3, 4, 5, 6, 7, 8]))],
        people,
    ))
    .await;
    let mut transaction = kept.begin().await;
    let (one, seven, eight) = (own(1), own(7), own(8));
    let shouted = seven.to_uppercase();
    for (emails, subjects, expected) in [
        (&[][..], &[][..], &[][..]),
        (&["shared@contoso.example.com"], &[], &[1, 2]),
        (&["Shared@contoso.example.com"], &[], &[]),
        (&["other@contoso.example.com", "no@no.example"], &[], &[3]),
        (&[], &["s-3"], &[3, 4]),
        (&[], &[one.as_str()], &[1, 5]),
        (&[], &["a\0b"], &[6]),
        (&[], &[seven.as_str()], &[]),
        (&[], &[shouted.as_str()], &[7]),
        (&[], &[eight.as_str()], &[8]),
        (&["shared@contoso.example.com"], &["s-3"], &[1, 2, 3, 4]),
    ] {
        let found = alike(&mut transaction, kept.source, emails, subjects).await;
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        let expected: BTreeSet<u128> = expected.iter().copied().collect();
        assert_eq!(who(&found), expected, "{emails:?} {subjects:?}");
    }
    end(transaction).await;
}
