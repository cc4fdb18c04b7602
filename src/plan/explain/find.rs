//! Whom and which group an operator means by a word.
//!
//! Invariant: an object id means one object, whatever others are called; a word
//! that fits several people equally well gives all of them, never a guess.

use std::collections::BTreeSet;

use serde::Serialize;

use super::attributes;
use crate::model::ids::{GroupId, PersonId, TeamId};
use crate::model::storable::storable;
use crate::model::target::UserRow;
use crate::plan::World;

/// Somebody whom a word may mean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Match {
    /// Object id.
    pub person: PersonId,
    /// Display name in Entra, else in LiteLLM, if it is known.
    pub name: Option<String>,
    /// Address in Entra, else in LiteLLM, if it is known.
    pub email: Option<String>,
}

/// How a word names somebody, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    /// Object id.
    Id,
    /// The subject of their login, or the id of LiteLLM's row.
    Row,
    /// User principal name or e-mail, in Entra or in LiteLLM.
    Address,
    /// Display name, in Entra or in LiteLLM.
    Name,
}

/// Everybody whom a word names best: by object id, else by subject or row, else
/// by user principal name or e-mail, else by display name. Case does not count
/// but in subjects and rows.
#[must_use]
pub fn find_people(world: World<'_>, word: &str) -> Vec<Match> {
    let folded = word.to_lowercase();
    let everybody = world
        .directory
        .people
        .keys()
        .chain(world.owned.people.keys())
        .chain(world.directory.unread_people.keys());
    let mut found: Vec<(By, Match)> = everybody
        .filter_map(|person| {
            let by = means(world, *person, word, &folded)?;
            Some((by, matched(world, *person)))
        })
        .collect();
    found.sort();
    found.dedup();
    let best = found.first().map(|(by, _)| *by);
    found
        .into_iter()
        .filter(|(by, _)| Some(*by) == best)
        .map(|(_, one)| one)
        .collect()
}

fn means(world: World<'_>, person: PersonId, word: &str, folded: &str) -> Option<By> {
    let same = |text: &str| text.to_lowercase() == *folded;
    let is = |text: &Option<Box<str>>| text.as_deref().is_some_and(same);
    let read = attributes(world, person);
    let known = world.owned.people.get(&person);
    let row = row(world, person);
    if same(&person.to_string()) {
        Some(By::Id)
    } else if known.is_some_and(|known| known.user.as_str() == word)
        || read.is_some_and(|read| *read.subject == *word)
    {
        Some(By::Row)
    } else if read
        .is_some_and(|read| is(&read.email) || read.also_known_as.iter().any(|text| same(text)))
        || row.is_some_and(|row| is(&row.email))
    {
        Some(By::Address)
    } else if read.is_some_and(|read| is(&read.alias)) || row.is_some_and(|row| is(&row.alias)) {
        Some(By::Name)
    } else {
        None
    }
}

/// Every group that a word names: by object id, which is the team's id too, else
/// by the group's display name or the team's alias. Case does not count.
#[must_use]
pub fn find_groups(world: World<'_>, word: &str) -> Vec<GroupId> {
    let word = word.to_lowercase();
    let managed = world.owned.teams.keys();
    let groups: BTreeSet<GroupId> = world
        .directory
        .groups
        .keys()
        .chain(managed)
        .copied()
        .collect();
    if let Some(group) = groups.iter().find(|group| group.to_string() == word) {
        return vec![*group];
    }
    groups
        .into_iter()
        .filter(|group| names(world, *group).any(|name| name.to_lowercase() == word))
        .collect()
}

/// What a group is called in Entra, then what its team is called in `LiteLLM`.
pub(super) fn names<'a>(world: World<'a>, group: GroupId) -> impl Iterator<Item = &'a str> {
    let read = world.directory.groups.get(&group);
    let name = read.and_then(|group| group.display_name.as_deref());
    let team = world.target.teams.get(&TeamId::of(group));
    let alias = team.and_then(|team| team.alias.as_deref());
    name.into_iter().chain(alias)
}

/// Somebody as they are called in Entra, or else in LiteLLM.
pub(super) fn matched(world: World<'_>, person: PersonId) -> Match {
    let read = attributes(world, person);
    let row = row(world, person);
    let text = |text: &Option<Box<str>>| text.as_deref().map(|text| storable(text).into_owned());
    let name = read.and_then(|read| text(&read.alias));
    let email = read.and_then(|read| text(&read.email));
    Match {
        person,
        name: name.or_else(|| row.and_then(|row| text(&row.alias))),
        email: email.or_else(|| row.and_then(|row| text(&row.email))),
    }
}

/// The row that the ledger knows as this person's.
fn row(world: World<'_>, person: PersonId) -> Option<&UserRow> {
    let known = world.owned.people.get(&person)?;
    world.target.users.get(&known.user)
}
