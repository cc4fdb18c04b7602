//! A world of some people only, as the ledger and LiteLLM are loaded for them.

use std::collections::BTreeSet;

use entra_sync::model::directory::Attributes;
use entra_sync::model::ids::{GroupId, PersonId, TeamId, UserId};
use entra_sync::model::known::{KnownPeople, KnownPerson, Touched};
use entra_sync::model::ledger::{ManagedCounts, Member, Ours, Owned};
use entra_sync::model::policy::Scope;
use entra_sync::model::target::{Target, UserRow};
use entra_sync::plan::following::{alike, narrow};

use super::telling::Known;
use crate::build::{Universe, stored, whole};

/// The same world, of those about whom something has to be decided.
pub fn narrowed(
    world: &Universe,
    known: &Known,
    touched: &Touched,
    recent: &BTreeSet<PersonId>,
) -> Universe {
    let mut people = touched.people.clone();
    // Everybody in a group that changed itself, unless it is in doubt.
    let is_believed = |group: &GroupId| {
        let group = known.outline.groups.get(group);
        group.is_some_and(|group| group.doubt().is_none())
    };
    let believed = touched.groups.iter().copied().filter(is_believed);
    let believed: BTreeSet<GroupId> = believed.collect();
    let in_them = known.people.iter().filter(|(_, known)| {
        known
            .groups
            .iter()
            .chain(&known.bears)
            .any(|group| believed.contains(group))
    });
    people.extend(in_them.map(|(person, _)| *person));
    // Of a group that changed itself, everybody who is managed there.
    let lists = [&world.owned.team_members, &world.owned.organization_members];
    let managed = lists.into_iter().flatten();
    let managed = managed.filter(|(group, _)| touched.groups.contains(group));
    people.extend(managed.flat_map(|(_, list)| list.iter().map(|member| member.person)));
    loop {
        let before = people.len();
        let rows = rows_of(known, &people);
        people.extend(like(known, &rows));
        let owned = owned(&world.owned, &people, &touched.groups);
        let target = target(world, &rows, &people, &owned, &touched.groups);
        for (person, row) in world.owned.rows() {
            if target.users.contains_key(&row.user) {
                people.insert(person);
            }
        }
        // Whose address one of these rows has is waiting for it.
        let held = target.users.values();
        let held = held.filter_map(|row| Some(row.email.as_deref()?.to_lowercase()));
        let held: BTreeSet<String> = held.collect();
        people.extend(readers(known, &held));
        // Whoever has logged in as one of these rows may have one of their own.
        people.extend(target.verified_subjects.keys());
        if people.len() == before {
            break;
        }
    }
    let rows = rows_of(known, &people);
    let touched = Touched {
        people: people.clone(),
        groups: touched.groups.clone(),
    };
    let owned = owned(&world.owned, &people, &touched.groups);
    let few = narrow(&known.outline, &rows, &touched, &owned, &whole(()));
    let target = target(world, &rows, &people, &owned, &few.changed.groups);
    let mut changed = few.changed;
    changed.managed = counts(&world.owned, recent);
    Universe {
        directory: few.directory,
        target,
        owned,
        policy: world.policy.clone(),
        scope: Scope::Changed(changed),
    }
}

/// Who has an address or subject that one of these has as well.
pub fn like(known: &Known, rows: &KnownPeople) -> BTreeSet<PersonId> {
    let (emails, subjects) = alike(rows);
    let is_like = |known: &KnownPerson| match &known.attributes {
        Attributes::Known(other) => {
            let email = other
                .email
                .as_ref()
                .map(|email| stored(&email.to_lowercase()));
            let same = email.is_some_and(|email| emails.contains(email.as_str()));
            same || subjects.contains(&other.subject)
        }
        Attributes::Unknown => false,
    };
    let people = known.people.iter().filter(|(_, known)| is_like(known));
    people.map(|(person, _)| *person).collect()
}

/// Who has one of these addresses.
fn readers(known: &Known, emails: &BTreeSet<String>) -> BTreeSet<PersonId> {
    let reads = |known: &KnownPerson| match &known.attributes {
        Attributes::Known(attributes) => {
            let email = attributes.email.as_deref().map(str::to_lowercase);
            email.is_some_and(|email| emails.contains(&email))
        }
        Attributes::Unknown => false,
    };
    let people = known.people.iter().filter(|(_, known)| reads(known));
    people.map(|(person, _)| *person).collect()
}

fn rows_of(known: &Known, people: &BTreeSet<PersonId>) -> KnownPeople {
    let rows = known
        .people
        .iter()
        .filter(|(person, _)| people.contains(person));
    rows.map(|(person, row)| (*person, row.clone())).collect()
}

fn counts(owned: &Owned, recent: &BTreeSet<PersonId>) -> ManagedCounts {
    let teams = owned.team_members.iter();
    let of_team = teams.map(|(group, list)| (*group, list.len() as u64));
    let organizations = owned.organization_members.values();
    let with_access = owned
        .people
        .iter()
        .filter(|(person, known)| known.deactivation == Ours::No && !recent.contains(person));
    ManagedCounts {
        team_members: owned
            .team_members
            .values()
            .map(|list| list.len() as u64)
            .sum(),
        of_team: of_team.collect(),
        organization_members: organizations.map(|list| list.len() as u64).sum(),
        people: owned.people.len() as u64,
        people_with_access: with_access.count() as u64,
    }
}

/// What the ledger gives for these people, and for whoever else was their rows.
fn owned(all: &Owned, people: &BTreeSet<PersonId>, groups: &BTreeSet<GroupId>) -> Owned {
    let mut few = all.clone();
    let users: BTreeSet<UserId> = all
        .rows()
        .filter(|(person, _)| people.contains(person))
        .map(|(_, row)| row.user.clone())
        .collect();
    let ours = |person: &PersonId, user: &UserId| people.contains(person) || users.contains(user);
    few.people.retain(|person, row| ours(person, &row.user));
    for (person, rows) in &mut few.earlier {
        rows.retain(|row| ours(person, &row.user));
    }
    few.earlier.retain(|_, rows| !rows.is_empty());
    let members = |list: &mut Vec<Member>| list.retain(|m| people.contains(&m.person));
    let _ = groups;
    few.team_members.values_mut().for_each(members);
    few.organization_members.values_mut().for_each(members);
    few.team_members.retain(|_, list| !list.is_empty());
    few.organization_members.retain(|_, list| !list.is_empty());
    few.taken_members.clear();
    for list in few.due_default_teams.values_mut() {
        list.retain(|person| people.contains(person));
    }
    few.due_default_teams.retain(|_, list| !list.is_empty());
    few
}

/// LiteLLM's rows as far as they concern these people.
fn target(
    world: &Universe,
    rows: &KnownPeople,
    people: &BTreeSet<PersonId>,
    owned: &Owned,
    groups: &BTreeSet<GroupId>,
) -> Target {
    let mut few = world.target.clone();
    let mut subjects: BTreeSet<String> = people.iter().map(ToString::to_string).collect();
    let mut emails: BTreeSet<String> = BTreeSet::new();
    for row in rows.values() {
        if let Attributes::Known(known) = &row.attributes {
            subjects.insert(known.subject.to_string());
            emails.extend(
                known
                    .email
                    .as_ref()
                    .map(|email| stored(&email.to_lowercase())),
            );
        }
    }
    subjects.extend(owned.rows().map(|(_, row)| row.user.to_string()));
    let members = owned
        .team_members
        .values()
        .chain(owned.organization_members.values());
    subjects.extend(members.flatten().map(|member| member.user.to_string()));
    let verified: BTreeSet<&UserId> = world
        .target
        .verified_subjects
        .iter()
        .filter(|(person, _)| people.contains(person))
        .map(|(_, user)| user)
        .collect();
    let matters = |user: &UserId, row: &UserRow| {
        subjects.contains(user.as_str())
            || row
                .sso_user_id
                .as_ref()
                .is_some_and(|id| subjects.contains(id.as_str()))
            || row
                .email
                .as_ref()
                .is_some_and(|email| emails.contains(&email.to_lowercase()))
            || verified.contains(user)
    };
    few.users.retain(|user, row| matters(user, row));
    let users = &few.users;
    few.verified_subjects
        .retain(|_, user| users.contains_key(user));
    let defaults: BTreeSet<TeamId> = world
        .policy
        .user_defaults
        .teams
        .iter()
        .map(|team| team.team.clone())
        .collect();
    let teams: BTreeSet<TeamId> = groups.iter().map(|group| TeamId::of(*group)).collect();
    few.teams
        .retain(|team, _| teams.contains(team) || defaults.contains(team));
    for team in few.teams.values_mut() {
        let before = team.roster.len();
        team.roster.retain(|entry| users.contains_key(&entry.user));
        team.strangers += (before - team.roster.len()) as u64;
        team.memberships.retain(|user| users.contains_key(user));
    }
    few
}
