//! Where a second look showed something else than what was decided from: the
//! next pass looks at that again, as no news may come of it any more.
//!
//! Must not: decide which of the two is right.

use std::collections::BTreeSet;

use crate::model::directory::{Account, Assignment, Attributes, Directory};
use crate::model::evidence::{Evidence, Whereabouts};
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::{News, PersonNews};
use crate::model::policy::Scope;

/// What contradicts itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contradicted {
    /// Groups: they are read again before anybody is believed to be in them, or
    /// not.
    pub groups: BTreeSet<GroupId>,
    /// People whom their own object shows, and who may sign in.
    pub present: BTreeSet<PersonId>,
    /// The assignments or the roles: they concern anybody.
    pub assignments: Agreement,
}

/// Whether two readings agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Agreement {
    /// They do, or there was only one.
    #[default]
    Alike,
    /// They do not.
    Otherwise,
}

/// Compares a second look with what was decided from.
#[must_use]
pub fn contradicted(evidence: &Evidence, directory: &Directory, scope: &Scope) -> Contradicted {
    let present = evidence.people.iter();
    let present = present.filter(|(_, seen)| **seen == Whereabouts::Present(Account::Enabled));
    Contradicted {
        groups: groups(evidence, directory, scope),
        present: present.map(|(person, _)| *person).collect(),
        assignments: assignments(evidence, directory),
    }
}

/// Of whom news said that they are deleted, or may not sign in.
#[must_use]
pub fn gone(news: &News) -> BTreeSet<PersonId> {
    let is_gone = |told: &PersonNews| match told {
        PersonNews::Deleted => true,
        PersonNews::Now(Attributes::Known(known)) => known.account == Account::Disabled,
        PersonNews::Now(Attributes::Unknown) | PersonNews::Unclear => false,
    };
    let people = news.people.iter().filter(|(_, told)| is_gone(told));
    people.map(|(person, _)| *person).collect()
}

fn assignments(evidence: &Evidence, directory: &Directory) -> Agreement {
    let Some(Ok(again)) = &evidence.assignments else {
        return Agreement::Alike;
    };
    let set = |list: &[Assignment]| -> BTreeSet<Assignment> { list.iter().cloned().collect() };
    let is_same = set(again.get()) == set(directory.assignments.get());
    match is_same && evidence.roles == directory.roles {
        true => Agreement::Alike,
        false => Agreement::Otherwise,
    }
}

/// Groups of which a second look showed other members than the first reading:
/// they are read again before anybody is believed to be in them, or not.
fn groups(evidence: &Evidence, directory: &Directory, scope: &Scope) -> BTreeSet<GroupId> {
    let differs = |group: &GroupId, again: &Vec<PersonId>| {
        let first = directory.groups.get(group);
        let Some(Ok(first)) = first.map(|first| &first.members) else {
            return false;
        };
        let looked_at = |people: &Vec<PersonId>| -> Vec<PersonId> {
            let people = people.iter().copied();
            people
                .filter(|person| scope.covers_person(*person))
                .collect()
        };
        looked_at(first.get()) != looked_at(again)
    };
    let groups = evidence.groups.iter();
    groups
        .filter(|(group, again)| {
            again
                .as_ref()
                .is_ok_and(|again| differs(group, again.get()))
        })
        .map(|(group, _)| *group)
        .collect()
}
