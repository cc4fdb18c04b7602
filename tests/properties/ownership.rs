//! What is not ours, and what nobody in Entra stands for, stays as it is, to
//! the last bit.

use std::collections::BTreeSet;

use entra_sync::model::ids::{GroupId, OrganizationId, TeamId, UserId};
use entra_sync::model::target::{RosterEntry, StoredRole, TeamRole};
use entra_sync::plan::Member;
use proptest::prelude::*;

use crate::apply::same_address;
use crate::build::{Universe, known_attributes};
use crate::config;
use crate::world::seeds;

/// Rows that anybody in the directory could stand for, in any way there is.
fn reachable(world: &Universe) -> BTreeSet<UserId> {
    let attributes = known_attributes(&world.directory);
    let mut reachable = BTreeSet::new();
    for person in world.directory.people.keys() {
        let id = person.to_string();
        let known = attributes.get(person);
        let subject = known.map_or(id.as_str(), |attributes| &*attributes.subject);
        let email = known.and_then(|attributes| attributes.email.as_deref());
        for (user, row) in &world.target.users {
            let bound = row
                .sso_user_id
                .as_ref()
                .is_some_and(|sso| sso.as_str() == subject);
            let by_email = email.is_some_and(|email| same_address(row.email.as_deref(), email));
            if user.as_str() == subject || bound || (by_email && row.sso_user_id.is_none()) {
                reachable.insert(user.clone());
            }
        }
        reachable.extend(world.target.verified_subjects.get(person).cloned());
        reachable.extend(
            world
                .owned
                .people
                .get(person)
                .map(|known| known.user.clone()),
        );
    }
    reachable
}

/// Groups that were read to their end and that the settings admit.
fn wanted(world: &Universe) -> BTreeSet<GroupId> {
    let groups = world.directory.groups.iter();
    groups
        .filter(|(id, group)| group.members.is_ok() && world.policy.groups.admits(**id))
        .map(|(id, _)| *id)
        .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_user_whom_nobody_stands_for_stays_as_it_is(seed in seeds()) {
        let world = seed.build();
        let after = world.after(&world.plan())?;
        let reachable = reachable(&world);
        for (user, row) in &world.target.users {
            let now = &after.target.users[user];
            if !reachable.contains(user) {
                prop_assert_eq!(now, row, "{}", user);
            }
        }
    }

    #[test]
    fn nothing_is_taken_from_a_user(seed in seeds()) {
        let world = seed.build();
        let after = world.after(&world.plan())?;
        for (user, row) in &world.target.users {
            let now = &after.target.users[user];
            prop_assert_eq!(now.activity, row.activity);
            prop_assert!(row.sso_user_id.is_none() || now.sso_user_id == row.sso_user_id);
            prop_assert!(row.teams.iter().all(|team| now.teams.contains(team)));
            match (&row.role, &now.role) {
                (StoredRole::None, _) => {}
                (StoredRole::Role(before), StoredRole::Role(now)) => prop_assert!(now >= before),
                (before, now) => prop_assert_eq!(before, now),
            }
            // A name or address that is not what we last wrote is a person's.
            let rows = world.owned.rows().map(|(_, known)| known);
            let known: Vec<_> = rows.filter(|known| known.user == *user).collect();
            let ours = |value: &Option<Box<str>>| {
                use entra_sync::model::ledger::LastWritten::Value;
                value.is_none() || known.iter().any(|known| {
                    [&known.alias, &known.email].into_iter().any(|last| match last {
                        Value(text) => Some(text) == value.as_ref(),
                        _ => false,
                    })
                })
            };
            prop_assert!(now.alias == row.alias || ours(&row.alias), "{:?}", row.alias);
            prop_assert!(now.email == row.email || ours(&row.email), "{:?}", row.email);
        }
    }

    #[test]
    fn a_team_or_organization_of_no_wanted_group_stays_as_it_is(seed in seeds()) {
        let world = seed.build();
        let after = world.after(&world.plan())?;
        let wanted = wanted(&world);
        let defaults: BTreeSet<&TeamId> =
            world.policy.user_defaults.teams.iter().map(|default| &default.team).collect();
        for (team, row) in &world.target.teams {
            let ours = team.group().is_some_and(|group| wanted.contains(&group));
            if !ours && !defaults.contains(team) {
                prop_assert_eq!(&after.target.teams[team], row, "{}", team);
            }
        }
        let wanted: BTreeSet<OrganizationId> =
            wanted.into_iter().map(OrganizationId::of).collect();
        for (organization, row) in &world.target.organizations {
            if !wanted.contains(organization) {
                prop_assert_eq!(&after.target.organizations[organization], row);
            }
        }
    }

    #[test]
    fn nothing_is_taken_from_a_team_or_organization(seed in seeds()) {
        let world = seed.build();
        let after = world.after(&world.plan())?;
        for (team, row) in &world.target.teams {
            let now = &after.target.teams[team];
            let entries: Vec<&RosterEntry> = row.roster.iter().collect();
            prop_assert!(entries.iter().all(|entry| now.roster.contains(entry)));
            let admins = |roster: &[RosterEntry]| {
                let admins = roster.iter().filter(|entry| entry.role == TeamRole::Admin);
                admins.cloned().collect::<Vec<_>>()
            };
            let is_default = world.policy.user_defaults.teams.iter().any(|d| d.team == *team);
            prop_assert!(is_default || admins(&now.roster) == admins(&row.roster));
            prop_assert!(row.memberships.iter().all(|user| now.memberships.contains(user)));
            prop_assert!(row.organization.is_none() || now.organization == row.organization);
            let known = team.group().and_then(|group| world.owned.teams.get(&group));
            if known.is_none() {
                prop_assert_eq!((&now.alias, &now.models), (&row.alias, &row.models));
                prop_assert_eq!(&now.organization, &row.organization);
            }
        }
        for (organization, row) in &world.target.organizations {
            let now = &after.target.organizations[organization];
            prop_assert_eq!(&now.models, &row.models);
            prop_assert!(row.members.iter().all(|user| now.members.contains(user)));
        }
    }

    #[test]
    fn the_ledger_forgets_nothing(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        let after = world.after(&plan)?.owned;
        for (group, members) in &world.owned.team_members {
            // Who joins it as a default team joins as a person would: what we
            // had given before had ended.
            let is_default = |member: &&Member| {
                let mut joins = plan.default_teams.iter();
                joins.any(|join| join.team.team.group() == Some(*group) && join.add.contains(member))
            };
            let mut lost = members.iter().filter(|member| !after.team_members[group].contains(member));
            prop_assert!(lost.all(|member| is_default(&member)));
        }
        for (person, known) in &world.owned.people {
            let now = &after.people[person];
            // Where we once said that we made a row, we go on saying so.
            prop_assert!(now.user != known.user || now.origin == known.origin);
        }
    }
}
