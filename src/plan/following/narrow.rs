//! A directory of some people only: as a full reading would show it, narrowed
//! to those about whom something has to be decided.
//!
//! Invariant: of these people nothing is missing: every group that they are in
//! is there with all of them, and whoever shares an address or a subject with
//! one of them is one of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{is_believed, roles_of_people};
use crate::model::complete::Complete;
use crate::model::directory::{Attributes, Directory, Group, Person, ReadingCost, Unread};
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::{Bearers, KnownPeople, Outline, Presence, Touched};
use crate::model::ledger::{ManagedCounts, Owned};
use crate::model::policy::Changed;

/// A directory and the scope that goes with it.
#[derive(Debug, Clone)]
pub struct Narrowed {
    /// What Entra says about these people.
    pub directory: Directory,
    /// Who they are. How much is managed in all is not known here.
    pub changed: Changed,
}

/// Addresses, in lower case, and subjects of these people: whoever has one of
/// them as well is concerned by what becomes of them.
#[must_use]
pub fn alike(people: &KnownPeople) -> (BTreeSet<Box<str>>, BTreeSet<Arc<str>>) {
    let (mut emails, mut subjects) = (BTreeSet::new(), BTreeSet::new());
    for known in people.values() {
        if let Attributes::Known(attributes) = &known.attributes {
            emails.extend(
                attributes
                    .email
                    .as_ref()
                    .map(|email| email.to_lowercase().into()),
            );
            subjects.insert(Arc::clone(&attributes.subject));
        }
    }
    (emails, subjects)
}

/// Narrows what is known to `touched` and everybody in `people`, and to the
/// assigned groups that they are in by the directory or were by `owned`; `seal`
/// vouches that what is known was read whole.
#[must_use]
pub fn narrow(
    outline: &Outline,
    people: &KnownPeople,
    touched: &Touched,
    owned: &Owned,
    seal: &Complete<()>,
) -> Narrowed {
    let direct = roles_of_people(&outline.assignments);
    let direct: BTreeSet<PersonId> = direct.into_keys().collect();
    let mut groups = touched.groups.clone();
    // A group that is not assigned any more is looked at with all its members
    // or not at all: the guard weighs it by them.
    let managed = [&owned.team_members, &owned.organization_members];
    let managed = managed.into_iter().flat_map(|lists| lists.keys());
    groups.extend(managed.filter(|group| outline.groups.contains_key(group)));
    let mut lists: HashMap<GroupId, Vec<PersonId>> = HashMap::new();
    let mut bearers: HashMap<GroupId, Vec<PersonId>> = HashMap::new();
    let mut shown: HashMap<PersonId, Person> = HashMap::with_capacity(people.len());
    for (person, known) in people {
        groups.extend(&known.groups);
        if known.presence == Presence::Deleted {
            continue;
        }
        // Of others only their own object tells.
        if is_believed(outline, people, *person) {
            let attributes = known.attributes.clone();
            shown.insert(*person, Person { attributes });
        }
        for group in &known.groups {
            lists.entry(*group).or_default().push(*person);
        }
        for group in &known.bears {
            bearers.entry(*group).or_default().push(*person);
        }
    }
    let whole = |lists: &mut HashMap<GroupId, Vec<PersonId>>, group: GroupId| {
        let mut list = lists.remove(&group).unwrap_or_default();
        list.sort_unstable();
        seal.clone().map(|()| list)
    };
    let mut directory_groups = BTreeMap::new();
    let mut headcounts = BTreeMap::new();
    for (id, known) in &outline.groups {
        let doubt = known.doubt();
        if doubt.is_none() {
            headcounts.insert(*id, known.headcount);
        }
        let members = match doubt {
            Some(reason) => Err(reason),
            None if groups.contains(id) => Ok(whole(&mut lists, *id)),
            None => Err(Unread::OutOfScope),
        };
        let direct_members = match (&members, known.bearers) {
            (Ok(_), Bearers::Listed) => Some(whole(&mut bearers, *id)),
            _ => None,
        };
        let group = Group {
            display_name: known.display_name.clone(),
            members,
            direct_members,
            other_members: known.other_members,
        };
        directory_groups.insert(*id, group);
    }
    // Assigned, and not there: that is what a reading would have found.
    let mut unread_people = outline.unread_people.clone();
    for person in direct.iter().filter(|person| people.contains_key(person)) {
        if !shown.contains_key(person) {
            unread_people.entry(*person).or_insert(Unread::NotFound);
        }
    }
    let assignments = outline.assignments.clone();
    let mut covered: BTreeSet<PersonId> = people.keys().copied().collect();
    covered.extend(&touched.people);
    Narrowed {
        directory: Directory {
            roles: outline.roles.clone(),
            assignments: seal.clone().map(|()| assignments),
            groups: directory_groups,
            people: shown,
            unread_people,
            cost: ReadingCost::default(),
        },
        changed: Changed {
            people: covered,
            groups,
            headcounts,
            managed: ManagedCounts::default(),
        },
    }
}
