//! Rows that have become somebody else's since the ledger wrote whose they are:
//! a subject was handed on, or somebody was hired again.
//!
//! Invariant: what one person loses is never taken from a row that stands for
//! another who keeps it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Forgotten, Removals};
use crate::model::ids::{GroupId, PersonId, UserId};
use crate::plan::World;
use crate::plan::change::Member;
use crate::plan::identity::{Claim, Identities, is_anothers};
use crate::plan::people::Bound;
use crate::plan::removal::Removal;

/// Drops the removals that would hit somebody else. Memberships among them are
/// the other person's from now on, no longer ours for who left.
pub(super) fn spare(
    world: World<'_>,
    removals: Removals<'_>,
    bound: &Bound,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
) {
    if candidates.iter().all(|removal| removal.member().is_none()) {
        return;
    }
    let identities = Identities::new(world);
    let claims = Claims::new(world, &identities, bound, candidates);
    let strangers = strangers(world, removals);
    let losing: HashSet<(Loss, PersonId)> = candidates
        .iter()
        .filter_map(|removal| Some((Loss::of(removal)?, removal.person()?)))
        .collect();
    candidates.retain(|removal| {
        let Some(member) = removal.member() else {
            return true;
        };
        let mut others = claims.others(member);
        let taken = match (Loss::of(removal), removal.group()) {
            // The reading's word goes before the ledger's.
            (Some(loss), _) => {
                let keeps = |other: PersonId| !losing.contains(&(loss, other));
                match claims.owners.get(&member.user) {
                    // Of two whose claims are as sure, the other one's word counts too.
                    Some((_, owners)) if owners.contains(&member.person) => {
                        let mut equals = owners.iter().filter(|other| **other != member.person);
                        equals.any(|other| keeps(*other))
                    }
                    Some(_) => true,
                    None => others.any(keeps),
                }
            }
            (None, Some(group)) => {
                let strangers = strangers.get(&group).into_iter().flatten();
                let mut strangers = strangers.filter(|other| **other != member.person);
                others.any(|other| is_member(world, removals, group, other))
                    || strangers.any(|other| identities.claim(*other, &member.user).is_some())
            }
            (None, None) => false,
        };
        if taken {
            match removal {
                Removal::TeamMember { group, .. } => {
                    forgotten.team_members.push((*group, member.clone()));
                }
                Removal::OrganizationMember { group, .. } => {
                    forgotten
                        .organization_members
                        .push((*group, member.clone()));
                }
                _ => {}
            }
        }
        !taken
    });
}

/// What a person loses apart from any group.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Loss {
    Access,
    Role,
}

impl Loss {
    const fn of(removal: &Removal) -> Option<Self> {
        match removal {
            Removal::Deactivation { .. } => Some(Self::Access),
            Removal::LowerRole { .. } => Some(Self::Role),
            _ => None,
        }
    }
}

/// In either reading of the group.
fn is_member(world: World<'_>, removals: Removals<'_>, group: GroupId, person: PersonId) -> bool {
    let first = world.directory.groups.get(&group);
    let lists = [
        first.map(|group| &group.members),
        removals.evidence.groups.get(&group),
    ];
    lists.into_iter().flatten().any(|list| match list {
        Ok(members) => members.get().binary_search(&person).is_ok(),
        Err(_) => false,
    })
}

/// Members whom only the second reading shows: it may be their row.
fn strangers(world: World<'_>, removals: Removals<'_>) -> HashMap<GroupId, Vec<PersonId>> {
    let groups = removals.evidence.groups.iter();
    groups
        .filter_map(|(group, again)| {
            let members = again.as_ref().ok()?.get().iter();
            let unread = members.filter(|person| !world.directory.people.contains_key(person));
            Some((*group, unread.copied().collect()))
        })
        .collect()
}

/// Everybody who is, was, or is about to be one of the rows concerned.
struct Claims {
    /// Whose claim is the surest; several if theirs are as sure.
    owners: HashMap<UserId, (Claim, BTreeSet<PersonId>)>,
    people: HashMap<UserId, BTreeSet<PersonId>>,
}

impl Claims {
    fn new(
        world: World<'_>,
        identities: &Identities<'_>,
        bound: &Bound,
        candidates: &[Removal],
    ) -> Self {
        let mut claims = Self {
            owners: HashMap::new(),
            people: HashMap::new(),
        };
        for member in candidates.iter().filter_map(Removal::member) {
            let people = claims.people.entry(member.user.clone()).or_default();
            if let Some(owner) = identities.owner(&member.user) {
                let equals: Vec<PersonId> = identities.equals(&member.user).collect();
                people.insert(owner);
                people.extend(&equals);
                for person in equals.into_iter().chain([owner]) {
                    claims.owns(identities, person, &member.user);
                }
            }
        }
        // Nobody in this reading may be whose login LiteLLM has verified.
        for (person, user) in &world.target.verified_subjects {
            if let Some(people) = claims.people.get_mut(user)
                && identities.claim(*person, user).is_some()
            {
                people.insert(*person);
                claims.owns(identities, *person, user);
            }
        }
        for (person, known) in &world.owned.people {
            let user = &known.user;
            // Whom the reading gives another row is not this one any more: the
            // pass that says so may die before it does anything else.
            if bound.get(person).is_some_and(|row| row != user) {
                continue;
            }
            // Nor is whom the row itself gives to somebody else, read or not.
            let row = world.target.users.get(user);
            if row.is_some_and(|row| is_anothers(world, *person, known, row)) {
                continue;
            }
            if let Some(people) = claims.people.get_mut(user) {
                people.insert(*person);
            }
        }
        for (person, user) in bound {
            if let Some(people) = claims.people.get_mut(user) {
                people.insert(*person);
                claims.owns(identities, *person, user);
            }
        }
        claims
    }

    /// The surest claim counts; what only the ledger or an address says is the
    /// least.
    fn owns(&mut self, identities: &Identities<'_>, person: PersonId, user: &UserId) {
        let claim = identities.claim(person, user);
        let claim = claim.unwrap_or(Claim::Remembered);
        let owners = self.owners.entry(user.clone());
        let (surest, people) = owners.or_insert((claim, BTreeSet::new()));
        if claim < *surest {
            *surest = claim;
            people.clear();
        }
        if claim == *surest {
            people.insert(person);
        }
    }

    fn others(&self, member: &Member) -> impl Iterator<Item = PersonId> + '_ {
        let person = member.person;
        let people = self.people.get(&member.user).into_iter().flatten();
        people.copied().filter(move |other| *other != person)
    }
}
