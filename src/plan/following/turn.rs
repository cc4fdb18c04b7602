//! What becomes of the known directory.
//!
//! Invariant: a word of a delta query and a list that was read after it are
//! both believed as far as they give; where they contradict each other nobody
//! goes, and the group is read again by the next pass. A person who was deleted
//! keeps their groups.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fresh, is_believed, roles_of_groups, roles_of_people};
use crate::model::directory::{Attributes, Group, Unread};
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::{
    Bearers, GroupNews, KnownGroup, KnownPeople, KnownPerson, News, ObjectNews, Outline,
    PersonNews, Presence, Touched, Trust, Turn, Word,
};
use crate::model::policy::GroupFilter;

/// Everything a turn is made from.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The application and its groups, as they were known.
    pub outline: &'a Outline,
    /// Everybody who is [mentioned](super::mentioned), is a member of a group
    /// that [`super::Needs`] names, or is in a list of `fresh`; as far as they
    /// were known.
    pub known: &'a KnownPeople,
    /// What delta queries told.
    pub news: &'a News,
    /// What was read because of it.
    pub fresh: &'a Fresh,
    /// Which groups are followed at all.
    pub filter: &'a GroupFilter,
}

/// What is known now.
#[must_use]
pub fn turn(told: Told<'_>) -> Turn {
    let mut draft = Draft {
        told,
        people: BTreeMap::new(),
        touched: Touched::default(),
    };
    let now = roles_of_groups(told.news.assignments.get());
    let before = roles_of_groups(&told.outline.assignments);
    let mut outline = Outline {
        roles: told.news.roles.clone(),
        assignments: told.news.assignments.get().clone(),
        groups: BTreeMap::new(),
        unread_people: BTreeMap::new(),
    };
    for group in now.keys() {
        let known = draft.group(*group);
        outline.groups.insert(*group, known);
    }
    for group in told
        .outline
        .groups
        .keys()
        .filter(|group| !now.contains_key(group))
    {
        draft.touched.groups.insert(*group);
        for person in members(told.known, *group) {
            draft.person(person).groups.retain(|known| known != group);
        }
    }
    for (group, roles) in &before {
        if now.get(group) != Some(roles) {
            draft.touched.people.extend(members(told.known, *group));
        }
    }
    draft.attributes();
    draft.assigned_directly(&mut outline);
    draft.end(outline)
}

/// Whether the people's round has to be asked for again: somebody could not be
/// asked about whom it told something that must not be guessed.
#[must_use]
pub fn after(news: &News, known: &KnownPeople, fresh: &Fresh) -> Trust {
    let is_open = |person: &PersonId| {
        let unread = fresh.unread_people.get(person);
        known.contains_key(person) && unread.is_some_and(|reason| *reason != Unread::NotFound)
    };
    let unclear = news
        .people
        .iter()
        .filter(|(_, told)| **told == PersonNews::Unclear);
    match unclear.map(|(person, _)| person).any(is_open) {
        true => Trust::ReadAgain,
        false => Trust::Sure,
    }
}

/// What could not be read although it should have been: it is said with every
/// pass, not once.
#[must_use]
pub fn in_doubt(outline: &Outline) -> Touched {
    let is_doubt = |reason: &Unread| !matches!(reason, Unread::Excluded | Unread::OutOfScope);
    let groups = outline.groups.iter();
    let groups = groups.filter(|(_, group)| group.doubt().as_ref().is_some_and(is_doubt));
    let people = outline.unread_people.iter();
    let people = people.filter(|(_, reason)| is_doubt(reason));
    Touched {
        people: people.map(|(person, _)| *person).collect(),
        groups: groups.map(|(group, _)| *group).collect(),
    }
}

/// Those of whom it is known that they are in a group.
fn members(known: &KnownPeople, group: GroupId) -> Vec<PersonId> {
    let members = known.iter();
    let members = members.filter(|(_, known)| known.groups.binary_search(&group).is_ok());
    members.map(|(person, _)| *person).collect()
}

struct Draft<'a> {
    told: Told<'a>,
    people: BTreeMap<PersonId, KnownPerson>,
    touched: Touched,
}

impl<'a> Draft<'a> {
    /// The person as this turn leaves them so far.
    fn person(&mut self, person: PersonId) -> &mut KnownPerson {
        self.people.entry(person).or_insert_with(|| {
            let known = self.told.known.get(&person).cloned();
            known.unwrap_or(KnownPerson {
                attributes: Attributes::Unknown,
                groups: Vec::new(),
                bears: Vec::new(),
                presence: Presence::Here,
            })
        })
    }

    fn group(&mut self, id: GroupId) -> KnownGroup {
        let was = self.told.outline.groups.get(&id);
        let mut known = was.cloned().unwrap_or(KnownGroup {
            display_name: None,
            unread: Some(Unread::OutOfScope),
            headcount: 0,
            other_members: 0,
            bearers: Bearers::Members,
            trust: Trust::ReadAgain,
        });
        if !self.told.filter.admits(id) {
            (known.unread, known.trust) = (Some(Unread::Excluded), Trust::Sure);
        } else if let Some(fresh) = self.told.fresh.groups.get(&id) {
            self.read_in_full(id, fresh, &mut known);
        } else if let Some(told) = self.told.news.groups.get(&id) {
            self.hear(id, told, &mut known);
        }
        let is_other = was
            .is_none_or(|was| was.display_name != known.display_name || was.unread != known.unread);
        if is_other {
            self.touched.groups.insert(id);
        }
        known
    }

    /// A list that was read after the news.
    fn read_in_full(&mut self, id: GroupId, fresh: &Group, known: &mut KnownGroup) {
        let list = match &fresh.members {
            Ok(list) => list.get(),
            // Whoever was known to be there stays known until it can be read.
            Err(reason) => {
                (known.unread, known.trust) = (Some(reason.clone()), Trust::ReadAgain);
                return;
            }
        };
        known.display_name.clone_from(&fresh.display_name);
        (known.unread, known.trust) = (None, Trust::Sure);
        known.other_members = fresh.other_members;
        let mut here: BTreeSet<PersonId> = list.iter().copied().collect();
        let none = GroupNews::default();
        let words = self.told.news.groups.get(&id).unwrap_or(&none);
        for (person, word) in &words.members {
            let is_shown = here.contains(person);
            let contradicts = match word {
                Word::Joined => !is_shown,
                Word::Left => is_shown,
                Word::Both => false,
            };
            if contradicts {
                known.trust = Trust::ReadAgain;
                here.insert(*person);
            }
        }
        for person in members(self.told.known, id) {
            if !here.contains(&person) && !self.is_deleted(person) {
                self.person(person).groups.retain(|group| *group != id);
            }
        }
        for person in here {
            self.join(person, id, known);
        }
    }

    /// What a round said of a group that had not to be read.
    fn hear(&mut self, id: GroupId, told: &GroupNews, known: &mut KnownGroup) {
        if let ObjectNews::Here(Some(name)) = &told.object {
            known.display_name.clone_from(name);
        }
        for (person, word) in &told.members {
            match word {
                Word::Joined => self.join(*person, id, known),
                Word::Left => {
                    if self.told.known.contains_key(person) || self.people.contains_key(person) {
                        self.person(*person).groups.retain(|group| *group != id);
                    }
                }
                // Asked for, but not answered.
                Word::Both => known.trust = Trust::ReadAgain,
            }
        }
    }

    fn join(&mut self, person: PersonId, group: GroupId, known: &mut KnownGroup) {
        let is_known = is_believed(self.told.outline, self.told.known, person)
            || self.told.fresh.people.contains_key(&person)
            || matches!(
                self.told.news.people.get(&person),
                Some(PersonNews::Now(_) | PersonNews::Deleted)
            );
        if !is_known {
            // Nothing is known of them: the whole list brings it along.
            known.trust = Trust::ReadAgain;
            return;
        }
        let draft = self.person(person);
        if let Err(place) = draft.groups.binary_search(&group) {
            draft.groups.insert(place, group);
        }
    }

    /// Whether the last word about a person is that they were deleted.
    fn is_deleted(&self, person: PersonId) -> bool {
        match self.told.news.people.get(&person) {
            Some(PersonNews::Deleted) => true,
            Some(PersonNews::Now(_)) => false,
            Some(PersonNews::Unclear) | None => {
                let known = self.told.known.get(&person);
                let was_deleted = known.is_some_and(|known| known.presence == Presence::Deleted);
                was_deleted && !self.told.fresh.people.contains_key(&person)
            }
        }
    }

    /// Takes over what is said about everybody who matters.
    fn attributes(&mut self) {
        let assigned = roles_of_people(self.told.news.assignments.get());
        let matters = |person: &PersonId, draft: &Self| {
            draft.told.known.contains_key(person)
                || draft.people.contains_key(person)
                || assigned.contains_key(person)
        };
        // First the lists that were read, then the words, which are newer than
        // a copy of the directory that lags (graph-contract, trap 32).
        for (person, read) in &self.told.fresh.people {
            if !matters(person, self) {
                continue;
            }
            let draft = self.person(*person);
            draft.presence = Presence::Here;
            if matches!(read.attributes, Attributes::Known(_)) {
                draft.attributes = read.attributes.clone();
            }
        }
        for (person, told) in &self.told.news.people {
            if !matters(person, self) {
                continue;
            }
            match told {
                PersonNews::Now(attributes) => {
                    let draft = self.person(*person);
                    draft.presence = Presence::Here;
                    draft.attributes = attributes.clone();
                }
                PersonNews::Deleted => self.person(*person).presence = Presence::Deleted,
                PersonNews::Unclear => {}
            }
        }
        for (person, reason) in &self.told.fresh.unread_people {
            // Only their own object tells what became of them.
            if *reason == Unread::NotFound && matters(person, self) {
                self.person(*person).presence = Presence::Deleted;
            }
        }
    }

    fn assigned_directly(&mut self, outline: &mut Outline) {
        let before = roles_of_people(&self.told.outline.assignments);
        let now = roles_of_people(self.told.news.assignments.get());
        for (person, roles) in &now {
            if before.get(person) != Some(roles) {
                self.touched.people.insert(*person);
                self.keep_or_ask_again(*person, outline);
            } else if let Some(reason) = self.told.outline.unread_people.get(person) {
                outline.unread_people.insert(*person, reason.clone());
                self.keep_or_ask_again(*person, outline);
            }
        }
        let left = before
            .into_keys()
            .filter(|person| !now.contains_key(person));
        for person in left {
            self.touched.people.insert(person);
            if self.told.known.contains_key(&person) {
                self.person(person);
            }
        }
    }

    fn keep_or_ask_again(&mut self, person: PersonId, outline: &mut Outline) {
        let fresh = self.told.fresh;
        let is_shown = fresh.people.contains_key(&person)
            || matches!(self.told.news.people.get(&person), Some(PersonNews::Now(_)));
        if is_shown || is_believed(self.told.outline, self.told.known, person) {
            outline.unread_people.remove(&person);
            self.person(person);
        } else {
            let reason = fresh.unread_people.get(&person).cloned();
            let reason = reason.unwrap_or(Unread::NotFound);
            outline.unread_people.insert(person, reason);
            self.people.remove(&person);
        }
    }

    /// Keeps what is other than it was.
    fn end(self, mut outline: Outline) -> Turn {
        let assigned = roles_of_people(&outline.assignments);
        let mut turn = Turn {
            touched: self.touched,
            ..Turn::default()
        };
        for (person, mut now) in self.people {
            let was = self.told.known.get(&person);
            now.bears
                .retain(|group| now.groups.binary_search(group).is_ok());
            let stays = !now.groups.is_empty() || assigned.contains_key(&person);
            recount(&mut outline, was, Some(&now).filter(|_| stays));
            match (was, stays) {
                (None, false) => {}
                (Some(_), false) => {
                    turn.touched.people.insert(person);
                    turn.dropped.insert(person);
                }
                (was, true) => {
                    if was != Some(&now) {
                        turn.touched.people.insert(person);
                        turn.people.insert(person, now);
                    }
                }
            }
        }
        turn.outline = outline;
        turn
    }
}

/// Counts who came to a group and who went.
fn recount(outline: &mut Outline, was: Option<&KnownPerson>, now: Option<&KnownPerson>) {
    let groups = |person: Option<&KnownPerson>| -> BTreeSet<GroupId> {
        let here = person.filter(|person| person.presence == Presence::Here);
        here.map(|person| person.groups.iter().copied().collect())
            .unwrap_or_default()
    };
    let (was, now) = (groups(was), groups(now));
    for group in now.difference(&was) {
        if let Some(group) = outline.groups.get_mut(group) {
            group.headcount += 1;
        }
    }
    for group in was.difference(&now) {
        if let Some(group) = outline.groups.get_mut(group) {
            group.headcount = group.headcount.saturating_sub(1);
        }
    }
}
