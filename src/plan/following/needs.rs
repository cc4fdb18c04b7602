//! What news alone cannot tell, and what of the known directory they concern.
//!
//! Invariant: everything that is doubtful is asked for; asking for more than is
//! needed costs a request, asking for less would cost the truth.

use std::collections::BTreeSet;

use super::{is_believed, roles_of_groups, roles_of_people};
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::{
    KnownPeople, News, ObjectNews, Outline, PersonNews, Presence, Trust, Word,
};
use crate::model::policy::GroupFilter;

/// What has to be loaded or read in full before the news can be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Groups to read in full from Entra; their members have to be loaded from
    /// what is known as well.
    pub groups: BTreeSet<GroupId>,
    /// People to ask Entra about.
    pub people: BTreeSet<PersonId>,
    /// Groups of which only what is known has to be loaded: their members are
    /// concerned although they did not move.
    pub members_of: BTreeSet<GroupId>,
}

/// Everybody about whom something was said by name: what is known of them has to
/// be loaded first.
#[must_use]
pub fn mentioned(outline: &Outline, news: &News) -> BTreeSet<PersonId> {
    let members = news.groups.values().flat_map(|group| group.members.keys());
    let mut people: BTreeSet<PersonId> = news.people.keys().chain(members).copied().collect();
    let before = roles_of_people(&outline.assignments);
    let now = roles_of_people(news.assignments.get());
    people.extend(
        before
            .iter()
            .chain(&now)
            .filter_map(|(person, _)| (before.get(person) != now.get(person)).then_some(*person)),
    );
    people
}

/// What the news leave open. `known` holds those who were [`mentioned`], as far
/// as anything is known of them.
#[must_use]
pub fn needs(outline: &Outline, known: &KnownPeople, news: &News, filter: &GroupFilter) -> Needs {
    let before = roles_of_groups(&outline.assignments);
    let now = roles_of_groups(news.assignments.get());
    let is_followed = |group: &GroupId| now.contains_key(group) && filter.admits(*group);
    let mut needs = Needs::default();
    needs
        .groups
        .extend(news.unfollowed.iter().filter(|group| is_followed(group)));
    for group in now.keys().filter(|group| is_followed(group)) {
        let doubtful = match outline.groups.get(group) {
            // Newly assigned.
            None => true,
            // What could not be read is tried again with every pass.
            Some(was) => was.trust == Trust::ReadAgain || was.unread.is_some(),
        };
        let is_unclear = news.groups.get(group).is_some_and(|told| {
            matches!(told.object, ObjectNews::Unclear | ObjectNews::Deleted)
                || told.members.values().any(|word| *word == Word::Both)
        });
        if doubtful || is_unclear {
            needs.groups.insert(*group);
        }
    }
    for (person, told) in &news.people {
        let Some(was) = known.get(person) else {
            continue;
        };
        match told {
            PersonNews::Unclear => drop(needs.people.insert(*person)),
            // Who comes back has been out of sight: their groups may have
            // changed without a word (graph-contract 5.2).
            PersonNews::Now(_) if was.presence == Presence::Deleted => {}
            PersonNews::Now(_) | PersonNews::Deleted => continue,
        }
        if was.presence == Presence::Deleted {
            let groups = was.groups.iter().filter(|group| is_followed(group));
            needs.groups.extend(groups);
        }
    }
    let is_told = |person: &PersonId| matches!(news.people.get(person), Some(PersonNews::Now(_)));
    let is_deleted = |person: &PersonId| {
        let told = news.people.get(person);
        matches!(told, Some(PersonNews::Deleted))
    };
    let strangers = |person: &PersonId| {
        !is_believed(outline, known, *person) && !is_told(person) && !is_deleted(person)
    };
    for (group, told) in &news.groups {
        if is_followed(group) && !needs.groups.contains(group) {
            let joined = told
                .members
                .iter()
                .filter(|(_, word)| **word == Word::Joined);
            let joined = joined.map(|(person, _)| *person);
            needs.people.extend(joined.filter(strangers));
        }
    }
    let direct_before = roles_of_people(&outline.assignments);
    let direct = roles_of_people(news.assignments.get()).into_keys();
    let is_new = |person: &PersonId| {
        // Whom an earlier reading did not get is asked for again.
        !direct_before.contains_key(person) || outline.unread_people.contains_key(person)
    };
    needs.people.extend(direct.filter(is_new).filter(strangers));
    let gone = before.keys().filter(|group| !now.contains_key(group));
    let other_roles = now
        .iter()
        .filter(|(group, roles)| before.get(group).is_some_and(|before| before != *roles))
        .map(|(group, _)| group);
    needs.members_of.extend(gone.chain(other_roles));
    needs
}
