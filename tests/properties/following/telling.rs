//! What Graph tells of the way from one directory to another, with noise.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entra_sync::model::directory::{
    Account, Attributes, Directory, Group, Person, Principal, Unread,
};
use entra_sync::model::evidence::{Evidence, Whereabouts};
use entra_sync::model::ids::{GroupId, PersonId};
use entra_sync::model::known::{
    Bearers, GroupNews, KnownGroup, KnownPeople, KnownPerson, News, ObjectNews, Outline,
    PersonNews, Presence, Trust, Turn, Word,
};
use entra_sync::model::policy::{GroupFilter, Policy};
use entra_sync::plan::following::{Fresh, Told, mentioned, needs, turn};
use proptest::prelude::*;

use crate::build::{group_id, person_id, whole};
use crate::world::{GROUPS, PEOPLE};

/// Words that change nothing, said all the same.
#[derive(Debug, Clone, Default)]
pub struct Noise {
    /// Members who are said to join once more: a bit for each group and person.
    pub repeated: u16,
    /// Memberships of which both was said.
    pub both: u16,
    /// Groups whose round was lost.
    pub lost: u8,
    /// People of whom the item left something out.
    pub unclear: u8,
}

impl Arbitrary for Noise {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        (any::<u16>(), any::<u16>(), any::<u8>(), any::<u8>())
            .prop_map(|(repeated, both, lost, unclear)| Self {
                repeated,
                both: both & both.rotate_left(5),
                lost: lost & lost.rotate_left(3),
                unclear: unclear & unclear.rotate_left(3),
            })
            .boxed()
    }
}

/// Everything that is known.
#[derive(Debug, Clone)]
pub struct Known {
    pub outline: Outline,
    pub people: KnownPeople,
}

/// What was told, and what was read because of it.
#[derive(Debug, Clone)]
pub struct Telling {
    pub news: News,
    pub fresh: Fresh,
}

/// As a full reading of direct members gives it, by this policy.
pub fn normal(directory: &Directory, policy: &Policy) -> Directory {
    let mut directory = directory.clone();
    for (id, group) in &mut directory.groups {
        group.direct_members = None;
        if !policy.groups.admits(*id) {
            group.members = Err(Unread::Excluded);
        } else if let Err(Unread::Excluded | Unread::OutOfScope) = group.members {
            group.members = Err(Unread::NotFound);
        }
        if group.members.is_err() {
            group.display_name = None;
        }
    }
    let assigned: BTreeSet<GroupId> = directory
        .assignments
        .get()
        .iter()
        .filter_map(|row| match row.principal {
            Principal::Group(group) => Some(group),
            Principal::Person(_) => None,
        })
        .collect();
    directory.groups.retain(|group, _| assigned.contains(group));
    let direct: BTreeSet<PersonId> = direct(&directory).collect();
    let members: BTreeSet<PersonId> = members(&directory);
    directory
        .unread_people
        .retain(|person, _| direct.contains(person) && !members.contains(person));
    for person in &direct {
        if !members.contains(person) && !directory.people.contains_key(person) {
            directory.unread_people.insert(*person, Unread::NotFound);
        }
    }
    let unread = directory.unread_people.clone();
    directory.people.retain(|person, _| {
        (direct.contains(person) || members.contains(person)) && !unread.contains_key(person)
    });
    // Whom a list shows has an object.
    for person in members {
        let attributes = Attributes::Unknown;
        directory
            .people
            .entry(person)
            .or_insert(Person { attributes });
    }
    directory
}

fn direct(directory: &Directory) -> impl Iterator<Item = PersonId> + '_ {
    let rows = directory.assignments.get().iter();
    rows.filter_map(|row| match row.principal {
        Principal::Person(person) => Some(person),
        Principal::Group(_) => None,
    })
}

fn members(directory: &Directory) -> BTreeSet<PersonId> {
    let lists = directory
        .groups
        .values()
        .filter_map(|group| group.members.as_ref().ok());
    lists.flat_map(|list| list.get().iter().copied()).collect()
}

/// A directory as the ledger would keep it.
pub fn known(directory: &Directory) -> Known {
    let mut people: KnownPeople = HashMap::new();
    for (person, read) in &directory.people {
        let known = KnownPerson {
            attributes: read.attributes.clone(),
            groups: Vec::new(),
            bears: Vec::new(),
            presence: Presence::Here,
        };
        people.insert(*person, known);
    }
    let mut groups = BTreeMap::new();
    for (id, group) in &directory.groups {
        let list = group.members.as_ref().map(|list| list.get().clone());
        for person in list.as_deref().unwrap_or_default() {
            people
                .get_mut(person)
                .expect("somebody read")
                .groups
                .push(*id);
        }
        groups.insert(
            *id,
            KnownGroup {
                display_name: group.display_name.clone(),
                headcount: list.as_ref().map_or(0, |list| list.len() as u64),
                unread: list.err().cloned(),
                other_members: group.other_members,
                bearers: Bearers::Members,
                trust: Trust::Sure,
            },
        );
    }
    let mut assignments = directory.assignments.get().clone();
    assignments.sort_unstable();
    assignments.dedup();
    Known {
        outline: Outline {
            roles: directory.roles.clone(),
            assignments,
            groups,
            unread_people: directory.unread_people.clone(),
        },
        people,
    }
}

/// What is known, in a form that shows what a full reading would show: who was
/// deleted is in no list, and of a group that cannot be read nothing counts.
pub fn shown(known: &Known) -> String {
    let groups: BTreeMap<_, _> = known
        .outline
        .groups
        .iter()
        .map(|(id, group)| {
            let name = group.unread.is_none().then_some(&group.display_name);
            (
                id,
                (
                    name,
                    &group.unread,
                    group.unread.is_none().then_some(group.headcount),
                ),
            )
        })
        .collect();
    let unread = |group: &&GroupId| known.outline.groups[group].unread.is_none();
    let people: BTreeMap<_, _> = known
        .people
        .iter()
        .filter(|(_, person)| person.presence == Presence::Here)
        .map(|(id, person)| {
            let lists: Vec<_> = person.groups.iter().filter(unread).collect();
            (id, (&person.attributes, lists))
        })
        .filter(|(id, (_, lists))| {
            let principal = Principal::Person(**id);
            let rows = &known.outline.assignments;
            !lists.is_empty() || rows.iter().any(|row| row.principal == principal)
        })
        .collect();
    format!("{groups:#?}\n{people:#?}\n{:#?}", known.outline.assignments)
}

/// Second looks that agree with the directory. Of whom it does not show, `whose`
/// tells where their objects are.
pub fn truth(directory: &Directory, whose: &Evidence) -> Evidence {
    let people = (0..PEOPLE).map(person_id).map(|person| {
        let there = match directory.people.get(&person).map(|read| &read.attributes) {
            Some(Attributes::Known(known)) => Whereabouts::Present(known.account),
            Some(Attributes::Unknown) => Whereabouts::Present(Account::Enabled),
            None => match whose.people.get(&person) {
                Some(Whereabouts::Unknown(_)) | None => Whereabouts::Present(Account::Enabled),
                Some(seen) => seen.clone(),
            },
        };
        (person, there)
    });
    let groups = directory.groups.iter();
    Evidence {
        assignments: Some(Ok(directory.assignments.clone())),
        roles: directory.roles.clone(),
        groups: groups
            .map(|(id, group)| (*id, group.members.clone()))
            .collect(),
        direct: BTreeMap::new(),
        people: people.collect(),
    }
}

/// What rounds tell of the way from what is known to `next`.
pub fn telling(
    before: &Known,
    next: &Directory,
    filter: &GroupFilter,
    (noise, whose): (&Noise, &Evidence),
) -> Telling {
    let mut news = News {
        roles: next.roles.clone(),
        assignments: {
            let mut rows = next.assignments.get().clone();
            rows.sort_unstable();
            rows.dedup();
            whole(rows)
        },
        groups: BTreeMap::new(),
        people: BTreeMap::new(),
        unfollowed: BTreeSet::new(),
    };
    for index in 0..GROUPS {
        let id = group_id(index);
        let (Some(was), Some(now)) = (before.outline.groups.get(&id), next.groups.get(&id)) else {
            if next.groups.contains_key(&id) && filter.admits(id) {
                news.unfollowed.insert(id);
            }
            continue;
        };
        if noise.lost & (1 << index) != 0 {
            news.unfollowed.insert(id);
        }
        news.groups.insert(
            id,
            group_news(before, next, (id, was, now), (index, noise, whose)),
        );
    }
    for index in 0..PEOPLE {
        let person = person_id(index);
        let was = before.people.get(&person);
        let told = match next.people.get(&person) {
            Some(now) if noise.unclear & (1 << index) != 0 => {
                let same = was.is_some_and(|was| was.attributes == now.attributes);
                (!same).then_some(PersonNews::Unclear)
            }
            Some(now) => match &now.attributes {
                Attributes::Known(_) => Some(PersonNews::Now(now.attributes.clone())),
                Attributes::Unknown => None,
            },
            None if is_deleted(next, whose, person) => Some(PersonNews::Deleted),
            // Of people in no list everything is told that a look-up may find.
            None => Some(PersonNews::Unclear),
        };
        if let Some(told) = told {
            news.people.insert(person, told);
        }
    }
    let fresh = fresh(before, next, &news, filter);
    Telling { news, fresh }
}

fn is_deleted(next: &Directory, whose: &Evidence, person: PersonId) -> bool {
    let there = whose.people.get(&person);
    let is_gone = matches!(there, Some(Whereabouts::SoftDeleted | Whereabouts::Purged));
    is_gone && !next.people.contains_key(&person)
}

fn group_news(
    before: &Known,
    next: &Directory,
    (id, was, now): (GroupId, &KnownGroup, &Group),
    (index, noise, whose): (u8, &Noise, &Evidence),
) -> GroupNews {
    let Ok(list) = &now.members else {
        let object = ObjectNews::Unclear;
        return GroupNews {
            object,
            ..GroupNews::default()
        };
    };
    let mut members = BTreeMap::new();
    for number in 0..PEOPLE {
        let person = person_id(number);
        let bit = 1 << ((u16::from(index) * u16::from(PEOPLE) + u16::from(number)) % 16);
        let known = before.people.get(&person);
        let was_in = known.is_some_and(|known| known.groups.contains(&id));
        let is_in = list.get().binary_search(&person).is_ok();
        let word = match (was_in, is_in) {
            (_, true) if noise.both & bit != 0 => Some(Word::Both),
            // Who is deleted is in no list any more, and no group says so.
            (true, false) if is_deleted(next, whose, person) => None,
            (true, false) => Some(Word::Left),
            (false, true) => Some(Word::Joined),
            (true, true) if noise.repeated & bit != 0 => Some(Word::Joined),
            (false, false) if noise.repeated & bit != 0 => Some(Word::Left),
            _ => None,
        };
        members.extend(word.map(|word| (person, word)));
    }
    GroupNews {
        object: if was.display_name == now.display_name {
            ObjectNews::Nothing
        } else {
            ObjectNews::Here(Some(now.display_name.clone()))
        },
        members,
    }
}

/// What is read because of the news.
fn fresh(before: &Known, next: &Directory, news: &News, filter: &GroupFilter) -> Fresh {
    let mentioned = mentioned(&before.outline, news);
    let known = before
        .people
        .iter()
        .filter(|(person, _)| mentioned.contains(person));
    let known = known
        .map(|(person, known)| (*person, known.clone()))
        .collect();
    let asked = needs(&before.outline, &known, news, filter);
    let mut fresh = Fresh::default();
    for id in &asked.groups {
        let group = next.groups[id].clone();
        for person in group.members.iter().flat_map(|list| list.get()) {
            fresh.people.insert(*person, next.people[person].clone());
        }
        fresh.groups.insert(*id, group);
    }
    for person in asked.people {
        match next.people.get(&person) {
            Some(read) => drop(fresh.people.insert(person, read.clone())),
            None => drop(fresh.unread_people.insert(person, Unread::NotFound)),
        }
    }
    fresh
}

impl Telling {
    pub fn turn(&self, before: &Known, filter: &GroupFilter) -> Turn {
        turn(Told {
            outline: &before.outline,
            known: &before.people,
            news: &self.news,
            fresh: &self.fresh,
            filter,
        })
    }
}

/// What is known after it.
pub fn turned(before: &Known, telling: &Telling, filter: &GroupFilter) -> Known {
    let turn = telling.turn(before, filter);
    before.clone().after(&turn)
}
