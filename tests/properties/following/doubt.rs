//! What is known of lists that could not be read: old words, which nothing may
//! be concluded from.

use std::collections::BTreeSet;

use entra_sync::model::directory::{Account, Attributes, Directory, PersonAttributes, Principal};
use entra_sync::model::ids::PersonId;
use entra_sync::model::known::{KnownGroup, KnownPerson, Presence};
use entra_sync::model::ledger::Owned;

use super::telling::Known;

impl Known {
    /// Whoever was in a group before it could not be read any more stays known
    /// as they were then, whatever became of them since. Returns who that is.
    pub fn remembers_from_before(&mut self, owned: &Owned) -> BTreeSet<PersonId> {
        let mut old = BTreeSet::new();
        let groups = self.outline.groups.iter_mut();
        let mut unread = groups.filter(|(_, group)| group.unread.is_some());
        let Some((id, group)) = unread.next() else {
            return old;
        };
        for person in owned.people.keys() {
            if self.people.contains_key(person) {
                continue;
            }
            let attributes = PersonAttributes {
                subject: person.to_string().into(),
                email: None,
                also_known_as: Box::default(),
                alias: None,
                account: Account::Enabled,
            };
            let stale = KnownPerson {
                attributes: Attributes::Known(Box::new(attributes)),
                groups: vec![*id],
                bears: Vec::new(),
                presence: Presence::Here,
            };
            self.people.insert(*person, stale);
            group.headcount += 1;
            old.insert(*person);
        }
        old
    }

    /// What a reading would show that knows what is in doubt here.
    pub fn doubting(&self, directory: &Directory) -> Directory {
        let mut doubting = directory.clone();
        for (id, group) in &mut doubting.groups {
            let doubt = self.outline.groups.get(id).and_then(KnownGroup::doubt);
            if let (Ok(_), Some(doubt)) = (&group.members, doubt) {
                (group.members, group.direct_members) = (Err(doubt), None);
            }
        }
        let mut shown = BTreeSet::new();
        for group in doubting.groups.values() {
            shown.extend(group.members.iter().flat_map(|list| list.get()).copied());
        }
        for row in doubting.assignments.get() {
            if let Principal::Person(person) = row.principal {
                shown.insert(person);
            }
        }
        doubting.people.retain(|person, _| shown.contains(person));
        // What was known once is not unlearned because it is withheld.
        for (person, read) in &mut doubting.people {
            if let (Attributes::Unknown, Some(known)) = (&read.attributes, self.people.get(person))
            {
                read.attributes.clone_from(&known.attributes);
            }
        }
        doubting
    }
}
