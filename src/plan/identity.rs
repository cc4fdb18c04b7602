//! Which LiteLLM row a person is, by identity: found as LiteLLM's login finds
//! it, and then held against everybody else who finds the same one.
//!
//! Invariant: a row stands for one person at most, and who that is depends on
//! nothing but the reading, LiteLLM and the ledger: not on the scope of a pass,
//! not on settings, not on any order. Whoever has the weaker claim gets
//! nothing, and so does everybody among several who call themselves the same.
//! Must not: look at e-mail addresses.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::World;
use crate::model::directory::{Attributes, PersonAttributes};
use crate::model::ids::{PersonId, UserId};
use crate::model::ledger::OwnedUser;
use crate::model::target::UserRow;

/// A person's row, by identity.
pub(super) enum Identity<'a> {
    /// This one.
    Row(&'a UserId, &'a UserRow),
    /// None: LiteLLM's login would look for the e-mail next.
    Nobody,
    /// There is something that must not be touched; the word says what.
    Refused(&'static str),
}

/// How sure it is that a row is a person's; the lesser is surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// `sso_user_id` says so.
    Bound,
    /// `user_id` says so.
    Named,
    /// A verified login was once led there.
    Verified,
    /// The ledger says who it was.
    Remembered,
}

/// Whom each row stands for.
pub(super) struct Identities<'a> {
    world: World<'a>,
    by_subject: HashMap<&'a str, &'a UserId>,
    owners: HashMap<&'a UserId, (Claim, PersonId)>,
    /// Everybody with a claim to a row that several have one to.
    claimants: HashMap<&'a UserId, Vec<(Claim, PersonId)>>,
    /// Rows that a verified login, or the ledger, gives to these people.
    spoken_for: HashMap<&'a UserId, Vec<PersonId>>,
    /// Subjects that several people have: nobody is who all of them are.
    shared: HashSet<&'a str>,
}

impl<'a> Identities<'a> {
    pub(super) fn new(world: World<'a>) -> Self {
        let users = &world.target.users;
        let by_subject = users
            .iter()
            .filter_map(|(id, row)| Some((row.sso_user_id.as_ref()?.as_str(), id)))
            .collect();
        let mut spoken_for: HashMap<&UserId, Vec<PersonId>> = HashMap::new();
        let remembered = world.owned.people.iter().map(|(p, known)| (p, &known.user));
        for (person, user) in world.target.verified_subjects.iter().chain(remembered) {
            spoken_for.entry(user).or_default().push(*person);
        }
        let mut identities = Self {
            world,
            by_subject,
            owners: HashMap::new(),
            claimants: HashMap::new(),
            spoken_for,
            shared: shared_subjects(world),
        };
        let mut owners: HashMap<&UserId, (Claim, PersonId)> = HashMap::new();
        let mut claimants: HashMap<&UserId, Vec<(Claim, PersonId)>> = HashMap::new();
        for (person, read) in &world.directory.people {
            let attributes = match &read.attributes {
                Attributes::Known(attributes) => Some(attributes.as_ref()),
                Attributes::Unknown => None,
            };
            if let Some((claim, user, row)) = identities.first_match(*person, attributes)
                && !is_foreign(claim, row, *person, attributes)
            {
                let claim = (claim, *person);
                match owners.entry(user) {
                    Entry::Vacant(free) => drop(free.insert(claim)),
                    Entry::Occupied(mut owner) => {
                        let all = claimants.entry(user).or_insert_with(|| vec![*owner.get()]);
                        all.push(claim);
                        let surer = claim.min(*owner.get());
                        owner.insert(surer);
                    }
                }
            }
        }
        identities.owners = owners;
        identities.claimants = claimants;
        identities
    }

    /// The row that this person is; `None` for attributes that were withheld.
    pub(super) fn of(
        &self,
        person: PersonId,
        attributes: Option<&PersonAttributes>,
    ) -> Identity<'a> {
        if let Some(attributes) = attributes {
            if self.shared.contains(&*attributes.subject) {
                return Identity::Refused("subject_shared");
            }
            if attributes.subject.is_empty() || attributes.subject.contains('\0') {
                return Identity::Refused("subject_unusable");
            }
        }
        match self.first_match(person, attributes) {
            None => Identity::Nobody,
            Some((claim, _, row)) if is_foreign(claim, row, person, attributes) => {
                Identity::Refused("row_of_another")
            }
            Some((_, user, row)) => match self.owners.get(user) {
                Some((_, owner)) if *owner == person => Identity::Row(user, row),
                _ => Identity::Refused("row_taken"),
            },
        }
    }

    /// How sure it is that a row is this person's, read or not, if it may be.
    pub(super) fn claim(&self, person: PersonId, user: &UserId) -> Option<Claim> {
        let read = self.world.directory.people.get(&person);
        let attributes = match read.map(|read| &read.attributes) {
            Some(Attributes::Known(attributes)) => Some(attributes.as_ref()),
            Some(Attributes::Unknown) | None => None,
        };
        let (claim, found, row) = self.first_match(person, attributes)?;
        let is_theirs = found == user && !is_foreign(claim, row, person, attributes);
        is_theirs.then_some(claim)
    }

    /// Whom this reading gives a row to.
    pub(super) fn owner(&self, user: &UserId) -> Option<PersonId> {
        self.owners.get(user).map(|(_, owner)| *owner)
    }

    /// Who has as sure a claim to a row as its owner, if others have: which of
    /// them it stands for is then not known.
    pub(super) fn equals(&self, user: &UserId) -> impl Iterator<Item = PersonId> + '_ {
        let surest = self.owners.get(user).map(|(claim, _)| *claim);
        let all = self.claimants.get(user).into_iter().flatten();
        all.filter(move |(claim, _)| Some(*claim) == surest)
            .map(|(_, person)| *person)
    }

    /// Whether a row, found by e-mail, is free of any claim but this person's.
    pub(super) fn is_unclaimed(&self, user: &UserId, person: PersonId) -> bool {
        let spoken_for = self.spoken_for.get(user).map_or(&[][..], Vec::as_slice);
        !self.owners.contains_key(user) && spoken_for.iter().all(|owner| *owner == person)
    }

    /// `user_id`, `sso_user_id`, then a verified login, as LiteLLM looks; the
    /// ledger last, for a person whose subject is withheld or has changed.
    fn first_match(
        &self,
        person: PersonId,
        attributes: Option<&PersonAttributes>,
    ) -> Option<(Claim, &'a UserId, &'a UserRow)> {
        let users = &self.world.target.users;
        let id;
        let subject = match attributes {
            Some(attributes) => &*attributes.subject,
            None => {
                // What the subject is by default.
                id = person.to_string();
                id.as_str()
            }
        };
        if let Some((user, row)) = users.get_key_value(subject) {
            let bound = row.sso_user_id.as_ref() == Some(user);
            return Some((if bound { Claim::Bound } else { Claim::Named }, user, row));
        }
        let target = self.world.target;
        let bound = self.by_subject.get(subject).copied();
        let verified = || target.verified_subjects.get(&person);
        let remembered = || Some(&self.world.owned.people.get(&person)?.user);
        let found = |claim, user: Option<&UserId>| {
            let (user, row) = users.get_key_value(user?)?;
            Some((claim, user, row))
        };
        found(Claim::Bound, bound)
            .or_else(|| found(Claim::Verified, verified()))
            .or_else(|| found(Claim::Remembered, remembered()))
    }
}

/// Whether a row that an old login or the ledger points at has since been
/// bound to an identity that is not this person's.
fn is_foreign(
    claim: Claim,
    row: &UserRow,
    person: PersonId,
    attributes: Option<&PersonAttributes>,
) -> bool {
    // Without attributes the subject is not known, so nothing contradicts.
    let (Claim::Verified | Claim::Remembered, Some(attributes), Some(bound)) =
        (claim, attributes, &row.sso_user_id)
    else {
        return false;
    };
    *bound.as_str() != *attributes.subject && bound.as_str() != person.to_string()
}

/// Whether a row that the ledger gives to a person has since been bound to an
/// identity that never was theirs: whose it is now need not be known.
pub(super) fn is_anothers(
    world: World<'_>,
    person: PersonId,
    known: &OwnedUser,
    row: &UserRow,
) -> bool {
    row.sso_user_id.is_some() && !is_bound_to(world, person, known, row)
}

/// Whether the row is bound to this person: by the object id, by the subject
/// that was read, or by the one that it was bound to when it was last theirs.
pub(super) fn is_bound_to(
    world: World<'_>,
    person: PersonId,
    known: &OwnedUser,
    row: &UserRow,
) -> bool {
    let Some(bound) = &row.sso_user_id else {
        return false;
    };
    let read = world.directory.people.get(&person);
    let is_subject = read.is_some_and(|read| match &read.attributes {
        Attributes::Known(known) => *known.subject == *bound.as_str(),
        Attributes::Unknown => false,
    });
    is_subject || known.subject.as_ref() == Some(bound) || bound.as_str() == person.to_string()
}

fn shared_subjects(world: World<'_>) -> HashSet<&str> {
    let mut seen = HashSet::with_capacity(world.directory.people.len());
    let mut shared = HashSet::new();
    for person in world.directory.people.values() {
        if let Attributes::Known(attributes) = &person.attributes
            && !seen.insert(&*attributes.subject)
        {
            shared.insert(&*attributes.subject);
        }
    }
    shared
}
