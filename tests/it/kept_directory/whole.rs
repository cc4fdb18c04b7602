//! A full reading goes in, and comes out again.

use std::collections::BTreeMap;

use entra_sync::ledger::directory::Saved;
use entra_sync::model::directory::{
    Account, AppRole, AppRoleState, Attributes, Directory, Person, Principal, Unread,
};
use entra_sync::model::known::{Bearers, KnownPerson, Presence, Trust, Turn};

use super::{
    Kept, assigned, attributes, group, group_id, known, links, person_id, reading, role_id, shown,
    somebody, unread, whole,
};

/// Everything that a reading can show.
fn colourful() -> Directory {
    let mut people = vec![somebody(1, "Ada"), somebody(2, "Bob")];
    let mut cyd = attributes(person_id(3), "Cyd");
    cyd.subject = "cyd\u{1} of \0 contoso".into();
    cyd.email = None;
    cyd.also_known_as = Box::new([
        "a\"b\\c,{}@contoso.example.com".into(),
        "".into(),
        "NULL".into(),
    ]);
    cyd.alias = Some("Cyd \0 \u{202e} 'x' \u{1}0".into());
    cyd.account = Account::Disabled;
    let attributes = known(cyd);
    people.push((person_id(3), Person { attributes }));
    let attributes = Attributes::Unknown;
    people.push((person_id(4), Person { attributes }));

    let mut transitive = group("Arts \0 and crafts", &[1, 2, 3]);
    transitive.direct_members = Some(whole(vec![person_id(2)]));
    transitive.other_members = 5;
    let mut nobody_direct = group("Nested", &[2]);
    nobody_direct.direct_members = Some(whole(Vec::new()));
    let mut nameless = group("", &[]);
    nameless.display_name = None;
    let mut hidden = unread(Unread::HiddenMembership);
    hidden.display_name = Some("Board".to_owned());
    let failed = Unread::Failed("cut off at \0; try again".to_owned());
    let groups = [
        (1, group("Science", &[1, 3])),
        (2, transitive),
        (3, nobody_direct),
        (4, nameless),
        (5, hidden),
        (6, unread(failed.clone())),
        (7, unread(Unread::NotFound)),
        (8, unread(Unread::Excluded)),
        (9, unread(Unread::OutOfScope)),
    ];
    let mut reading = reading(groups, people);
    let disabled = AppRole {
        value: Some("a \0 role".to_owned()),
        state: AppRoleState::Disabled,
    };
    let nameless = AppRole {
        value: None,
        state: AppRoleState::Enabled,
    };
    reading
        .roles
        .extend([(role_id(8), disabled), (role_id(9), nameless)]);
    let mut assignments = reading.assignments.get().clone();
    assignments.extend([
        assigned(Principal::Group(group_id(1)), 7),
        assigned(Principal::Person(person_id(4)), 0),
        assigned(Principal::Person(person_id(5)), 8),
        assigned(Principal::Person(person_id(6)), 0),
    ]);
    assignments.sort();
    reading.assignments = whole(assignments);
    reading.unread_people =
        BTreeMap::from([(person_id(5), failed), (person_id(6), Unread::NotFound)]);
    reading
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_comes_back() {
    let kept = Kept::new().await;
    assert_eq!(kept.whole().await, None);
    let reading = colourful();
    let saved = kept.save(&reading).await;
    let expected = Saved {
        written: 4,
        dropped: 0,
    };
    assert_eq!(saved, expected);
    assert_eq!(kept.whole().await, Some(shown(&reading)));
}

#[tokio::test(flavor = "multi_thread")]
async fn saving_the_same_again_writes_nothing() {
    let kept = Kept::new().await;
    kept.save(&colourful()).await;
    let before = kept.writers().await;
    assert!(before.len() > 20, "{before:#?}");
    assert_eq!(kept.save(&colourful()).await, Saved::default());
    assert_eq!(kept.writers().await, before);
    // A row more, and it is seen.
    let mut reading = colourful();
    reading.people.insert(person_id(9), somebody(9, "Eve").1);
    assert_eq!(kept.save(&reading).await.written, 1);
    assert_ne!(kept.writers().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_is_written() {
    let kept = Kept::new().await;
    let people = || [somebody(1, "Ada"), somebody(2, "Bob"), somebody(3, "Cyd")];
    kept.save(&reading([(1, group("Arts", &[1, 2, 3]))], people()))
        .await;
    let mut people: Vec<_> = people().into();
    people[0].1 = somebody(1, "Ada Lovelace").1;
    people.remove(2);
    let later = reading([(1, group("Arts", &[1, 2]))], people);
    let expected = Saved {
        written: 1,
        dropped: 1,
    };
    assert_eq!(kept.save(&later).await, expected);
    assert_eq!(kept.whole().await, Some(shown(&later)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_could_not_be_read_keeps_its_members() {
    for reason in [
        Unread::NotFound,
        Unread::HiddenMembership,
        Unread::Excluded,
        Unread::Failed("it broke off".to_owned()),
    ] {
        let kept = Kept::new().await;
        let people = || [somebody(1, "Ada"), somebody(2, "Bob"), somebody(3, "Cyd")];
        let mut arts = group("Arts", &[1, 2, 3]);
        arts.direct_members = Some(whole(vec![person_id(2), person_id(3)]));
        let both = [(1, arts), (2, group("Science", &[1, 2]))];
        kept.save(&reading(both, people())).await;

        // Ada stays in science, Bob left it, nothing is known of Cyd.
        let groups = || {
            let arts = unread(reason.clone());
            [(1, arts), (2, group("Science", &[1]))]
        };
        let later = reading(groups(), [somebody(1, "Ada")]);
        let expected = Saved {
            written: 1,
            dropped: 0,
        };
        assert_eq!(kept.save(&later).await, expected, "{reason:?}");
        assert_eq!(kept.whole().await, Some(shown(&later)), "{reason:?}");
        let now = kept.people(1..=3).await;
        let of = |number| {
            let person: &KnownPerson = &now[&person_id(number)];
            (person.groups.clone(), person.bears.clone())
        };
        let (arts, science) = (group_id(1), group_id(2));
        assert_eq!(of(1), (vec![arts, science], vec![]));
        assert_eq!(of(2), (vec![arts], vec![arts]));
        assert_eq!(of(3), (vec![arts], vec![arts]));
        let outline = kept.outline().await;
        let known = &outline.groups[&arts];
        assert_eq!(known.unread.as_ref(), Some(&reason));
        assert_eq!((known.headcount, known.bearers), (3, Bearers::Listed));
        assert_eq!(kept.save(&later).await, Saved::default(), "{reason:?}");

        // Read again, it is what it is read as.
        let groups = [(1, group("Arts", &[3])), (2, group("Science", &[1]))];
        let again = reading(groups, [somebody(1, "Ada"), somebody(3, "Cyd")]);
        kept.save(&again).await;
        assert_eq!(kept.whole().await, Some(shown(&again)), "{reason:?}");
        assert!(!kept.people([2]).await.contains_key(&person_id(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_person_is_in_no_list_until_a_reading_shows_them() {
    let kept = Kept::new().await;
    let people = || [somebody(1, "Ada"), somebody(2, "Bob")];
    let mut before = reading([(1, group("Arts", &[1, 2]))], people());
    let assigned = assigned(Principal::Person(person_id(2)), 0);
    let mut assignments = before.assignments.get().clone();
    assignments.push(assigned);
    before.assignments = whole(assignments);
    kept.save(&before).await;
    let mut outline = kept.outline().await;
    let arts = outline.groups.get_mut(&group_id(1)).expect("arts");
    arts.headcount = 1;
    let mut bob = kept.people([2]).await;
    let flagged = bob.get_mut(&person_id(2)).expect("Bob");
    flagged.presence = Presence::Deleted;
    kept.turn(&Turn {
        outline: outline.clone(),
        people: bob.clone(),
        ..Turn::default()
    })
    .await;
    let whole = kept.whole().await.expect("a directory");
    let arts = &whole.groups[&group_id(1)];
    assert_eq!(arts.members, Ok(vec![person_id(1)]));
    assert!(!whole.people.contains_key(&person_id(2)));
    assert_eq!(whole.unread_people[&person_id(2)], Unread::NotFound);
    // With the groups that Entra gives back with them.
    assert_eq!(kept.people([2]).await, bob);

    kept.save(&before).await;
    assert_eq!(kept.whole().await, Some(shown(&before)));
    kept.turn(&Turn {
        outline,
        people: bob,
        ..Turn::default()
    })
    .await;
    let without = reading([(1, group("Arts", &[1]))], [somebody(1, "Ada")]);
    assert_eq!(kept.save(&without).await.dropped, 1);
    assert!(kept.people([2]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_concluded_of_a_group_that_contradicts_itself() {
    let kept = Kept::new().await;
    let reading = reading([(1, group("Arts", &[1]))], [somebody(1, "Ada")]);
    kept.save(&reading).await;
    let mut outline = kept.outline().await;
    let arts = outline.groups.get_mut(&group_id(1)).expect("arts");
    arts.trust = Trust::ReadAgain;
    let turn = Turn {
        outline,
        ..Turn::default()
    };
    kept.turn(&turn).await;
    assert_eq!(kept.outline().await, turn.outline);
    let whole = kept.whole().await.expect("a directory");
    let members = &whole.groups[&group_id(1)].members;
    assert!(matches!(members, Err(Unread::Failed(_))), "{members:?}");
    kept.save(&reading).await;
    assert_eq!(kept.whole().await, Some(shown(&reading)));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_groups_stay_and_never_come_back() {
    let kept = Kept::new().await;
    let people = || [somebody(1, "Ada"), somebody(2, "Bob")];
    let group_of = |number: u128| (number, group("Some", &[1, 2]));
    kept.save(&reading([1, 2, 3].map(group_of), people())).await;
    let first = kept.numbers().await;
    kept.save(&reading([2, 3, 4].map(group_of), people())).await;
    let second = kept.numbers().await;
    let of = |numbers: &std::collections::HashMap<String, i64>, group: u128| {
        numbers[&group_id(group).to_string()]
    };
    assert_eq!(of(&first, 2), of(&second, 2));
    assert_eq!(of(&first, 3), of(&second, 3));
    assert!(!first.values().any(|number| *number == of(&second, 4)));

    // By a round, of which nobody says that anybody left.
    let mut outline = kept.outline().await;
    let science = outline.groups.remove(&group_id(2)).expect("science");
    let mut turn = Turn {
        outline,
        ..Turn::default()
    };
    kept.turn(&turn).await;
    assert!(
        !kept.people([1]).await[&person_id(1)]
            .groups
            .contains(&group_id(2))
    );
    turn.outline.groups.insert(group_id(2), science);
    kept.turn(&turn).await;
    let third = kept.numbers().await;
    assert!(
        !first
            .values()
            .chain(second.values())
            .any(|n| *n == of(&third, 2))
    );
    assert!(
        !kept.people([1]).await[&person_id(1)]
            .groups
            .contains(&group_id(2))
    );
    // Numbers that are over go with the next reading, and only then.
    let reading = reading([2, 3, 4].map(group_of), people());
    assert_eq!(kept.save(&reading).await.written, 2);
    assert_eq!(kept.save(&reading).await, Saved::default());
    assert_eq!(kept.whole().await, Some(shown(&reading)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_an_object_is_kept_as_unknown() {
    let kept = Kept::new().await;
    let groups = || [(1, group("Arts", &[1, 2])), (2, group("Science", &[2, 3]))];
    kept.save_with(&reading(groups(), [somebody(2, "Bob")]), Some(&links("x")))
        .await;
    let whole = kept.whole().await.expect("a directory");
    let arts = &whole.groups[&group_id(1)];
    assert_eq!(arts.members, Ok(vec![person_id(1), person_id(2)]));
    assert_eq!(whole.people[&person_id(3)], Attributes::Unknown);
}
