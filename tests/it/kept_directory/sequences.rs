//! Readings and rounds, one after the other, as chance has them; what is kept is
//! what somebody would know who had written it down by hand.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::model::directory::{
    Account, AppRoleState, Attributes, Directory, Group, Person, Principal, Unread,
};
use entra_sync::model::ids::{GroupId, PersonId};
use entra_sync::model::known::{
    Bearers, KnownGroup, KnownPerson, Outline, Presence, Touched, Trust, Turn,
};

use super::{
    Kept, Shown, ShownGroup, assigned, attributes, group_id, known, person_id, reading, shown,
    whole,
};
use crate::support::dice::Dice;

const PEOPLE: u128 = 12;
const GROUPS: u128 = 6;

/// What is known, written down by hand.
#[derive(Default)]
struct Book {
    outline: Outline,
    people: BTreeMap<PersonId, KnownPerson>,
}

impl Book {
    fn read(&mut self, reading: &Directory) {
        let before = std::mem::take(&mut self.outline);
        let mut old = std::mem::take(&mut self.people);
        self.outline.roles = reading.roles.clone();
        self.outline.assignments = reading.assignments.get().clone();
        self.outline.unread_people = reading.unread_people.clone();
        for (id, person) in &reading.people {
            self.people.insert(*id, blank(person.attributes.clone()));
        }
        for (id, group) in &reading.groups {
            let stored = before.groups.get(id);
            let mut now = KnownGroup {
                display_name: group.display_name.clone(),
                unread: group.members.as_ref().err().cloned(),
                headcount: stored.map_or(0, |stored| stored.headcount),
                other_members: group.other_members,
                bearers: stored.map_or(Bearers::Members, |stored| stored.bearers),
                trust: stored.map_or(Trust::Sure, |stored| stored.trust),
            };
            if let Ok(members) = &group.members {
                now.headcount = members.get().len() as u64;
                now.trust = Trust::Sure;
                now.bearers = match group.direct_members {
                    Some(_) => Bearers::Listed,
                    None => Bearers::Members,
                };
                for member in members.get() {
                    self.people.get_mut(member).expect("seen").groups.push(*id);
                }
                for member in group.direct_members.iter().flat_map(|list| list.get()) {
                    self.people.get_mut(member).expect("seen").bears.push(*id);
                }
            } else {
                for (person, stored) in &mut old {
                    let is_seen = reading.people.contains_key(person);
                    let is_in = stored.groups.contains(id);
                    if !is_in || stored.presence == Presence::Deleted && !is_seen {
                        continue;
                    }
                    let kept = self.people.entry(*person);
                    let kept = kept.or_insert_with(|| blank(stored.attributes.clone()));
                    kept.groups.push(*id);
                    if stored.bears.contains(id) {
                        kept.bears.push(*id);
                    }
                }
            }
            self.outline.groups.insert(*id, now);
        }
    }

    fn turn(&mut self, turn: &Turn) {
        let now: BTreeSet<GroupId> = turn.outline.groups.keys().copied().collect();
        self.outline = turn.outline.clone();
        for person in &turn.dropped {
            self.people.remove(person);
        }
        for (person, known) in &turn.people {
            self.people.insert(*person, known.clone());
        }
        for known in self.people.values_mut() {
            known.groups.retain(|group| now.contains(group));
            known.bears.retain(|group| now.contains(group));
        }
    }

    fn shown(&self) -> Shown {
        let here = |(_, known): &(&PersonId, &KnownPerson)| known.presence == Presence::Here;
        let in_list = |list: fn(&KnownPerson) -> &Vec<GroupId>, group: &GroupId| -> Vec<PersonId> {
            let people = self.people.iter().filter(here);
            let people = people.filter(|(_, known)| list(known).contains(group));
            people.map(|(id, _)| *id).collect()
        };
        let groups: BTreeMap<GroupId, ShownGroup> = self
            .outline
            .groups
            .iter()
            .map(|(id, group)| {
                let listed = group.unread.is_none() && group.bearers == Bearers::Listed;
                let shown = ShownGroup {
                    display_name: group.display_name.clone(),
                    members: match &group.unread {
                        None => Ok(in_list(|known| &known.groups, id)),
                        Some(reason) => Err(reason.clone()),
                    },
                    direct_members: listed.then(|| in_list(|known| &known.bears, id)),
                    other_members: group.other_members,
                };
                (*id, shown)
            })
            .collect();
        let direct: BTreeSet<PersonId> = self
            .outline
            .assignments
            .iter()
            .filter_map(|row| match row.principal {
                Principal::Person(person) => Some(person),
                Principal::Group(_) => None,
            })
            .collect();
        let is_seen = |(id, known): &(&PersonId, &KnownPerson)| {
            let is_named = direct.contains(id) && !self.outline.unread_people.contains_key(id);
            is_named
                || known
                    .groups
                    .iter()
                    .any(|group| groups[group].members.is_ok())
        };
        let people: BTreeMap<PersonId, Attributes> = self
            .people
            .iter()
            .filter(here)
            .filter(is_seen)
            .map(|(id, known)| (*id, known.attributes.clone()))
            .collect();
        let unread = direct.into_iter().filter(|id| !people.contains_key(id));
        let unread_people = unread.map(|id| {
            let reason = self.outline.unread_people.get(&id).cloned();
            (id, reason.unwrap_or(Unread::NotFound))
        });
        Shown {
            roles: self.outline.roles.clone(),
            assignments: self.outline.assignments.clone(),
            unread_people: unread_people.collect(),
            groups,
            people,
        }
    }
}

fn blank(attributes: Attributes) -> KnownPerson {
    KnownPerson {
        attributes,
        groups: Vec::new(),
        bears: Vec::new(),
        presence: Presence::Here,
    }
}

fn some_attributes(dice: &mut Dice, id: PersonId) -> Attributes {
    if dice.below(8) == 0 {
        return Attributes::Unknown;
    }
    let name: &&str = dice.one_of(&["Ada", "Bob", "C\0d", "", "Eve \"E\""]);
    let mut read = attributes(id, name);
    if dice.below(4) == 0 {
        let subject: &&str = dice.one_of(&["s-1", "s-2", "\u{1}"]);
        read.subject = (*subject).into();
    }
    if dice.below(4) == 0 {
        read.email = None;
    }
    if dice.below(4) == 0 {
        read.also_known_as = Box::new(["x@contoso.example.com".into(), "\\".into()]);
    }
    if dice.below(4) == 0 {
        read.account = Account::Disabled;
    }
    known(read)
}

fn some_people(dice: &mut Dice) -> Vec<PersonId> {
    let odds = dice.below(4) + 1;
    let all = (0..PEOPLE).map(person_id);
    all.filter(|_| dice.below(odds + 1) == 0).collect()
}

fn some_group(dice: &mut Dice) -> Group {
    let members = some_people(dice);
    let direct = members.iter().copied().filter(|_| dice.below(2) == 0);
    let direct: Vec<PersonId> = direct.collect();
    let listed = dice.below(3) == 0;
    let members = match dice.below(4) {
        0 => Err(dice
            .one_of(&[
                Unread::Excluded,
                Unread::NotFound,
                Unread::HiddenMembership,
                Unread::Failed("a \0 b".to_owned()),
            ])
            .clone()),
        _ => Ok(whole(members)),
    };
    Group {
        display_name: (dice.below(4) > 0).then(|| "Some\0thing".to_owned()),
        direct_members: (listed && members.is_ok()).then(|| whole(direct)),
        members,
        other_members: dice.below(3),
    }
}

fn some_reading(dice: &mut Dice) -> Directory {
    let numbers: Vec<u128> = (0..GROUPS).filter(|_| dice.below(4) > 0).collect();
    let groups: Vec<(u128, Group)> = numbers
        .into_iter()
        .map(|number| (number, some_group(dice)))
        .collect();
    let lists = groups
        .iter()
        .filter_map(|(_, group)| group.members.as_ref().ok());
    let mut people: BTreeSet<PersonId> = lists.flat_map(|list| list.get()).copied().collect();
    let direct: Vec<PersonId> = some_people(dice).into_iter().take(3).collect();
    let unread = direct.iter().filter(|id| !people.contains(*id));
    let unread: BTreeSet<PersonId> = unread.copied().filter(|_| dice.below(2) == 0).collect();
    people.extend(direct.iter().filter(|id| !unread.contains(*id)));
    let people: Vec<(PersonId, Person)> = people
        .into_iter()
        .map(|id| {
            let attributes = some_attributes(dice, id);
            (id, Person { attributes })
        })
        .collect();
    let mut reading = reading(groups, people);
    let mut assignments = reading.assignments.get().clone();
    let role = u128::from(dice.below(2)) * 7;
    assignments.extend(
        direct
            .iter()
            .map(|id| assigned(Principal::Person(*id), role)),
    );
    assignments.sort();
    reading.assignments = whole(assignments);
    let reason = Unread::Failed("no answer".to_owned());
    reading.unread_people = unread.into_iter().map(|id| (id, reason.clone())).collect();
    if dice.below(2) == 0 {
        for role in reading.roles.values_mut() {
            role.state = AppRoleState::Disabled;
        }
    }
    reading
}

/// Some people are otherwise, one group is another, some are gone.
fn some_turn(dice: &mut Dice, book: &Book) -> Turn {
    let mut outline = book.outline.clone();
    let assigned_groups: Vec<GroupId> = outline.groups.keys().copied().collect();
    if dice.below(3) == 0 && !assigned_groups.is_empty() {
        let gone = *dice.one_of(&assigned_groups);
        outline.groups.remove(&gone);
        let principal = Principal::Group(gone);
        outline.assignments.retain(|row| row.principal != principal);
    }
    if dice.below(3) == 0 {
        let new = group_id(GROUPS + u128::from(dice.below(3)));
        let principal = Principal::Group(new);
        if outline.groups.insert(new, some_known_group(dice)).is_none() {
            outline.assignments.push(assigned(principal, 0));
            outline.assignments.sort();
        }
    }
    let groups: Vec<GroupId> = outline.groups.keys().copied().collect();
    let mut people = BTreeMap::new();
    for id in some_people(dice).into_iter().take(4) {
        let mut person = blank(some_attributes(dice, id));
        person.groups = groups
            .iter()
            .copied()
            .filter(|_| dice.below(2) == 0)
            .collect();
        let listed = |group: &GroupId| outline.groups[group].bearers == Bearers::Listed;
        let bears = person.groups.iter().copied().filter(listed);
        person.bears = bears.filter(|_| dice.below(2) == 0).collect();
        if dice.below(4) == 0 {
            person.presence = Presence::Deleted;
        }
        people.insert(id, person);
    }
    let dropped = some_people(dice).into_iter().take(2);
    let dropped: BTreeSet<PersonId> = dropped.filter(|id| !people.contains_key(id)).collect();
    let unread = &mut outline.unread_people;
    unread.retain(|id, _| !people.contains_key(id) && !dropped.contains(id));
    Turn {
        outline,
        touched: Touched {
            people: people.keys().copied().collect(),
            groups: BTreeSet::new(),
        },
        people: people.into_iter().collect(),
        dropped,
    }
}

fn some_known_group(dice: &mut Dice) -> KnownGroup {
    KnownGroup {
        display_name: None,
        unread: None,
        headcount: dice.below(10),
        other_members: dice.below(3),
        bearers: *dice.one_of(&[Bearers::Members, Bearers::Listed]),
        trust: Trust::Sure,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_what_was_read_and_heard() {
    let kept = Kept::new().await;
    for seed in 0..25 {
        let mut dice = Dice::new(seed);
        let mut book = Book::default();
        let mut transaction = kept.begin().await;
        entra_sync::ledger::directory::forget(&mut transaction, kept.source)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        transaction.commit().await.expect("a fresh start");
        for step in 0..6 {
            let what = format!("seed {seed}, step {step}");
            if step == 0 || dice.below(3) == 0 {
                let reading = some_reading(&mut dice);
                book.read(&reading);
                kept.save(&reading).await;
                let again = kept.save(&reading).await;
                assert_eq!(again, Default::default(), "{what}: saved again");
                let now = kept.whole().await;
                if step == 0 {
                    assert_eq!(now, Some(shown(&reading)), "{what}");
                }
            } else {
                let turn = some_turn(&mut dice, &book);
                book.turn(&turn);
                kept.turn(&turn).await;
            }
            assert_eq!(kept.outline().await, book.outline, "{what}");
            let people: BTreeMap<_, _> = kept.people(0..PEOPLE).await.into_iter().collect();
            assert_eq!(people, book.people, "{what}");
            assert_eq!(kept.whole().await, Some(book.shown()), "{what}");
        }
    }
}
