//! People who are disabled or deleted in Entra.
//!
//! Invariant: what is known of somebody may be older than this pass, or may
//! have been written by others into the ledger: nobody loses access before
//! their own object, asked in this pass, says so as well. Access goes before
//! anything else of theirs: whoever's object does not answer keeps everything.

use std::collections::BTreeSet;

use super::{Removals, doubt, is_anothers_administrator, is_named_administrator, member};
use crate::model::directory::{Account, Unread};
use crate::model::evidence::Whereabouts;
use crate::model::ids::{PersonId, UserId};
use crate::model::ledger::{Ours, OwnedUser};
use crate::model::policy::{DeprovisionSettings, GonePersonPolicy};
use crate::model::report::{Kind, ObjectError, Skipped};
use crate::model::role::Role;
use crate::model::target::Activity;
use crate::plan::World;
use crate::plan::desired::{Desired, skipped};
use crate::plan::identity::{is_anothers, is_bound_to};
use crate::plan::people::Bound;
use crate::plan::removal::{Removal, Why};

/// Managed people whom this reading does not show at all. They left every
/// group, or are gone: only their own object tells. So it is with those who are
/// assigned by name and whom Entra does not show.
pub(super) fn unseen(world: World<'_>) -> Vec<PersonId> {
    if !world.scope.judges_absence() {
        return Vec::new();
    }
    world
        .owned
        .people
        .keys()
        .filter(|person| {
            world.scope.covers_person(**person)
                && !world.directory.people.contains_key(person)
                && matches!(
                    world.directory.unread_people.get(person),
                    None | Some(Unread::NotFound)
                )
        })
        .copied()
        .collect()
}

/// People whom the reading shows as disabled and who have access still.
pub(super) fn seemingly_disabled(
    world: World<'_>,
    desired: &Desired<'_>,
    settings: &DeprovisionSettings,
) -> Vec<PersonId> {
    if !world.scope.judges_absence() || settings.disabled_user != GonePersonPolicy::Deactivate {
        return Vec::new();
    }
    let may_lose = |person: &PersonId| {
        let mut rows = rows(world, desired, *person).into_iter();
        rows.any(|row| row.administrator.is_some())
    };
    disabled(world).filter(may_lose).collect()
}

fn disabled(world: World<'_>) -> impl Iterator<Item = PersonId> {
    let people = world.directory.people.iter();
    let disabled = people.filter(|(_, read)| read.is_disabled());
    disabled.map(|(person, _)| *person)
}

/// What is decided: removals, doubts, and who is kept on purpose.
type Lists<'l> = (
    &'l mut Vec<Removal>,
    &'l mut Vec<ObjectError>,
    &'l mut Vec<Skipped>,
);

pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    bound: &Bound,
    (candidates, doubts, kept): Lists<'_>,
) {
    if !world.scope.judges_absence() {
        return;
    }
    if removals.deprovision.disabled_user == GonePersonPolicy::Deactivate {
        for person in disabled(world) {
            let rows = rows(world, desired, person);
            if rows.is_empty() {
                continue;
            }
            let why = match removals.evidence.people.get(&person) {
                Some(Whereabouts::Present(Account::Disabled)) => Some(Why::Disabled),
                Some(Whereabouts::SoftDeleted) => Some(Why::SoftDeleted),
                Some(Whereabouts::Purged) => Some(Why::Purged),
                Some(Whereabouts::Unknown(message)) => {
                    doubts.push(doubt(Kind::User, person, message.clone()));
                    None
                }
                Some(Whereabouts::Present(Account::Enabled)) | None => None,
            };
            let why = why.filter(|why| {
                *why == Why::Disabled
                    || removals.deprovision.deleted_user == GonePersonPolicy::Deactivate
            });
            deactivate((person, why), rows, candidates, kept);
        }
    }
    for person in unseen(world) {
        if bound.contains_key(&person) {
            continue;
        }
        // While an assignment names them, only a place among the deleted items
        // is proof: a copy of the directory that lags shows neither.
        let is_named = world.directory.unread_people.contains_key(&person);
        let seen = removals.evidence.people.get(&person);
        if is_named && !matches!(seen, Some(Whereabouts::SoftDeleted)) {
            continue;
        }
        let (policy, why) = match seen {
            Some(Whereabouts::Present(Account::Disabled)) => {
                (removals.deprovision.disabled_user, Why::Disabled)
            }
            Some(Whereabouts::SoftDeleted) => (removals.deprovision.deleted_user, Why::SoftDeleted),
            Some(Whereabouts::Purged) => (removals.deprovision.deleted_user, Why::Purged),
            Some(Whereabouts::Unknown(message)) => {
                doubts.push(doubt(Kind::User, person, message.clone()));
                continue;
            }
            Some(Whereabouts::Present(Account::Enabled)) | None => continue,
        };
        if policy == GonePersonPolicy::Deactivate {
            let rows = rows(world, desired, person);
            deactivate((person, Some(why)), rows, candidates, kept);
        }
    }
}

/// Whether somebody who could not be read is among the deleted items: that
/// answers it.
pub(super) fn is_deleted(removals: Removals<'_>, object: &ObjectError) -> bool {
    let person = match object.kind {
        Kind::User => object.id.parse().ok(),
        _ => None,
    };
    person.is_some_and(|person: PersonId| {
        removals.evidence.people.get(&person) == Some(&Whereabouts::SoftDeleted)
    })
}

/// Drops what would go of whom the look-up does not tell. It may have to be their
/// access that goes first, and keys that go with a team are copied as they are
/// by then. A team that is to be deleted stays whole with its group's
/// organization: its members' keys go with it. Groups are named as well, so that
/// the next pass looks at them again.
pub(super) fn keep_the_unknown(
    world: World<'_>,
    removals: Removals<'_>,
    candidates: &mut Vec<Removal>,
    doubts: &mut Vec<ObjectError>,
) {
    let unknown = |person: PersonId| match removals.evidence.people.get(&person) {
        Some(Whereabouts::Unknown(message)) => Some(message),
        _ => None,
    };
    let mut whole = BTreeSet::new();
    for removal in candidates.iter() {
        if let Removal::DeleteTeam { group, .. } = removal {
            let members = world.owned.team_members.get(group).into_iter().flatten();
            let mut people = members.map(|member| member.person);
            if people.any(|person| unknown(person).is_some()) {
                whole.insert(*group);
            }
        }
    }
    let mut in_part = BTreeSet::new();
    candidates.retain(|removal| {
        let group = removal.group();
        let stays = removal.person().and_then(|person| {
            let message = unknown(person)?;
            Some(doubt(Kind::User, person, message.clone()))
        });
        let goes = stays.is_none() && !group.is_some_and(|group| whole.contains(&group));
        if stays.is_some() {
            in_part.extend(group);
        }
        doubts.extend(stays);
        goes
    });
    for group in in_part.union(&whole) {
        let stays = match whole.contains(group) {
            true => "its team was not deleted",
            false => "some of its members stay",
        };
        let message = format!(
            "is no longer assigned, but {stays}: who could not be looked up may have to lose \
             access before anything else; the next pass looks again"
        );
        doubts.push(doubt(Kind::Group, group, message));
    }
}

/// A row that a person can log in as.
struct Open<'a> {
    user: &'a UserId,
    /// Whether it is an administrator of our making; `None` for another's, who
    /// keeps access.
    administrator: Option<Ours>,
}

/// Every row that a person can log in as: the one that stands for them, and
/// earlier ones that are still bound to them.
fn rows<'a>(world: World<'a>, desired: &Desired<'_>, person: PersonId) -> Vec<Open<'a>> {
    let row = |known: &OwnedUser| world.target.users.get(&known.user);
    let now = world.owned.people.get(&person).into_iter();
    let now = now.filter_map(|known| Some((known, row(known)?)));
    let now = now.filter(|(known, row)| !is_anothers(world, person, known, row));
    let earlier = world.owned.earlier.get(&person).into_iter().flatten();
    let earlier = earlier.filter_map(|known| Some((known, row(known)?)));
    let earlier = earlier.filter(|(known, row)| is_bound_to(world, person, known, row));
    let open = now.chain(earlier).filter(|(known, row)| {
        row.activity == Activity::Active && !is_named_administrator(world, known, row)
    });
    open.map(|(known, row)| {
        // A login may have written it first; this pass takes it over.
        let wanted = desired.roles.get(&person) == Some(&Role::ProxyAdmin);
        let is_taken_over = known.role.is_some() && wanted;
        Open {
            user: &known.user,
            administrator: match known.role {
                _ if is_anothers_administrator(known, row) && !is_taken_over => None,
                Some(Role::ProxyAdmin) => Some(Ours::Yes),
                _ if is_taken_over => Some(Ours::Yes),
                _ => Some(Ours::No),
            },
        }
    })
    .collect()
}

/// Takes these rows' access away if there is a reason; another's administrator
/// is named either way.
fn deactivate(
    (person, why): (PersonId, Option<Why>),
    rows: Vec<Open<'_>>,
    candidates: &mut Vec<Removal>,
    kept: &mut Vec<Skipped>,
) {
    for row in rows {
        match (row.administrator, why) {
            (None, _) => kept.push(skipped(Kind::User, person, "administrator_not_ours")),
            (Some(administrator), Some(why)) => candidates.push(Removal::Deactivation {
                member: member(person, row.user),
                why,
                administrator,
            }),
            (Some(_), None) => {}
        }
    }
}
