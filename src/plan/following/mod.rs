//! Following the directory: from what was known, and what delta queries told
//! since, to what is known now and what a pass has to look at.
//!
//! Invariant: applying the same news twice changes nothing the second time.
//! What only a whole reading clears up is named ([`Needs`]) and waits for one;
//! until then what was known stays. A group that contradicts itself is read
//! again by the next pass.
//! Must not: decide what becomes of LiteLLM's rows; the plan does, from the
//! directory that comes out of this.

mod contradicted;
mod narrow;
mod needs;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::directory::{Assignment, Group, Person, Principal, Unread};
use crate::model::ids::{AppRoleId, GroupId, PersonId};
use crate::model::known::{KnownPeople, Outline};

pub use contradicted::{Agreement, Contradicted, contradicted, gone};
pub use narrow::{Narrowed, alike, narrow};
pub use needs::{Needs, mentioned, needs};
pub use turn::{Told, after, in_doubt, turn};

/// What was read in full because of the news, after them.
#[derive(Debug, Clone, Default)]
pub struct Fresh {
    /// Groups, as a full reading gives them.
    pub groups: BTreeMap<GroupId, Group>,
    /// People: members of those groups, and those who were asked for by id.
    pub people: HashMap<PersonId, Person>,
    /// People who were asked for and could not be read.
    pub unread_people: BTreeMap<PersonId, Unread>,
}

/// The roles of each assigned group.
fn roles_of_groups(assignments: &[Assignment]) -> BTreeMap<GroupId, BTreeSet<AppRoleId>> {
    let mut groups: BTreeMap<GroupId, BTreeSet<AppRoleId>> = BTreeMap::new();
    for row in assignments {
        if let Principal::Group(group) = row.principal {
            groups.entry(group).or_default().insert(row.role);
        }
    }
    groups
}

/// The roles of everybody assigned directly.
fn roles_of_people(assignments: &[Assignment]) -> BTreeMap<PersonId, BTreeSet<AppRoleId>> {
    let mut people: BTreeMap<PersonId, BTreeSet<AppRoleId>> = BTreeMap::new();
    for row in assignments {
        if let Principal::Person(person) = row.principal {
            people.entry(person).or_default().insert(row.role);
        }
    }
    people
}

/// Whether what is known of a person can be believed: not of those who are known
/// only from lists that are not read any more. What became of them since may
/// have been said before the rounds that are followed now.
fn is_believed(outline: &Outline, people: &KnownPeople, person: PersonId) -> bool {
    let is_read = |group: &GroupId| {
        let group = outline.groups.get(group);
        group.is_some_and(|group| group.doubt().is_none())
    };
    let is_named = || {
        let by_name = Principal::Person(person);
        let rows = &outline.assignments;
        let place = rows.partition_point(|row| row.principal < by_name);
        rows.get(place).is_some_and(|row| row.principal == by_name)
            && !outline.unread_people.contains_key(&person)
    };
    people
        .get(&person)
        .is_some_and(|known| known.groups.iter().chain(&known.bears).any(is_read) || is_named())
}
