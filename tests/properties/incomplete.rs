//! What was not read decides nothing: not read to its end, withheld, filtered
//! out, or not asked for.

use std::collections::BTreeSet;

use entra_sync::model::directory::{Attributes, Principal, Unread};
use entra_sync::model::ids::{GroupId, PersonId};
use entra_sync::model::role::Role;
use entra_sync::plan::{OrganizationChange, Plan, TeamChange, UserChange};
use proptest::prelude::*;

use crate::build::Universe;
use crate::config;
use crate::world::{Id, Seed, seeds};

/// Groups about which the plan says anything.
fn groups_of(plan: &Plan) -> BTreeSet<GroupId> {
    let adopted = &plan.adopted;
    plan.organizations
        .iter()
        .map(OrganizationChange::group)
        .chain(plan.teams.iter().map(TeamChange::group))
        .chain(plan.rosters.iter().map(|change| change.group))
        .chain(plan.organization_members.iter().map(|change| change.group))
        .chain(adopted.teams.iter().map(|(group, _)| *group))
        .chain(adopted.organizations.iter().map(|(group, _)| *group))
        .chain(adopted.team_members.iter().map(|list| list.group))
        .chain(adopted.organization_members.iter().map(|list| list.group))
        .collect()
}

/// People of whom the plan says anything.
fn people_of(plan: &Plan) -> BTreeSet<PersonId> {
    let members = plan
        .rosters
        .iter()
        .flat_map(|change| change.add.iter().chain(&change.repair))
        .chain(plan.default_teams.iter().flat_map(|change| &change.add))
        .chain(
            plan.organization_members
                .iter()
                .flat_map(|change| &change.add),
        )
        .map(|member| member.person);
    let adopted = plan.adopted.users.iter().map(|(person, _)| *person);
    plan.users
        .iter()
        .map(UserChange::person)
        .chain(members)
        .chain(adopted)
        .collect()
}

/// What a plan does, one line for one column. Which role a user gets is another
/// law's matter, and whether a new user joins a team as its group's member or
/// on the terms of a default team depends on whether the group was read.
fn deeds(plan: &Plan) -> BTreeSet<String> {
    let mut deeds = BTreeSet::new();
    for item in plan.items() {
        let deed = format!("{} {} {}", item.action, item.kind.as_str(), item.id);
        for (column, value) in item.after.as_object().into_iter().flatten() {
            match column.as_str() {
                "role" | "max_budget_in_team" => {}
                "user_role" => {
                    deeds.insert(format!("{deed} {column}"));
                }
                _ => {
                    deeds.insert(format!("{deed} {column}: {value}"));
                }
            }
        }
        deeds.insert(deed);
    }
    deeds
}

/// Nobody competes with anybody: every address and subject is one person's,
/// and there are seats for all.
fn without_rivals(mut seed: Seed) -> Seed {
    let mut emails = BTreeSet::new();
    let mut subjects = BTreeSet::new();
    for person in &mut seed.people {
        if person.withheld {
            (person.subject, person.email) = (None, None);
        }
        person.email = person.email.filter(|email| emails.insert(*email));
        person.subject = person.subject.filter(|subject| subjects.insert(*subject));
    }
    seed.rules.seats = None;
    seed.rules.teams = None;
    seed.known_people.clear();
    seed.verified.clear();
    // A row holds no address but its owner's: who shares one with somebody
    // unread cannot know it, and LiteLLM's own login does not ask.
    for row in &mut seed.rows {
        row.sso = None;
        let owner = seed
            .people
            .iter()
            .enumerate()
            .find(|(index, person)| match row.id {
                Id::Person(id) => person.subject.is_none() && usize::from(id) == *index,
                Id::Text(text) => person.subject == Some(text),
            });
        if let Some((_, owner)) = owner {
            row.email = row.email.filter(|email| owner.email == Some(*email));
        }
    }
    seed
}

/// The same world, with one group unread and those forgotten whom only it
/// showed.
fn with_unread(world: &Universe, group: GroupId) -> Universe {
    let mut poorer = world.clone();
    if let Some(group) = poorer.directory.groups.get_mut(&group) {
        group.members = Err(Unread::NotFound);
        group.direct_members = None;
    }
    let mut seen: BTreeSet<PersonId> = BTreeSet::new();
    for group in poorer.directory.groups.values() {
        seen.extend(group.members.iter().flat_map(|members| members.get()));
    }
    for assignment in poorer.directory.assignments.get() {
        if let Principal::Person(person) = assignment.principal {
            seen.insert(person);
        }
    }
    poorer
        .directory
        .people
        .retain(|person, _| seen.contains(person));
    poorer
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_unread_group_is_left_alone(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        for group in groups_of(&plan) {
            prop_assert!(world.directory.groups[&group].members.is_ok());
            prop_assert!(world.policy.groups.admits(group));
            prop_assert!(world.scope.covers_group(group));
        }
        if !world.scope.asked_people().is_empty() {
            prop_assert!(plan.organizations.is_empty() && plan.teams.is_empty());
        }
    }

    #[test]
    fn a_person_of_whom_nothing_is_known_is_neither_made_nor_changed(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        for change in &plan.users {
            let read = &world.directory.people[&change.person()].attributes;
            prop_assert!(matches!(read, Attributes::Known(_)));
        }
        for person in people_of(&plan) {
            prop_assert!(world.scope.covers_person(person));
            prop_assert!(!world.directory.unread_people.contains_key(&person));
            prop_assert!(world.directory.people.contains_key(&person));
        }
    }

    /// Their memberships can be explained, and later be taken away, only if
    /// the ledger knows who they are.
    #[test]
    fn every_member_is_known_to_the_ledger(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        let after = world.after(&plan)?.owned;
        for person in people_of(&plan) {
            prop_assert!(after.people.contains_key(&person), "{}", person);
        }
    }

    #[test]
    fn reading_less_does_less(seed in seeds().prop_map(without_rivals), which in 0_u8..3) {
        let world = seed.build();
        let poorer = with_unread(&world, crate::build::group_id(which)).plan();
        let richer = deeds(&world.plan());
        for deed in deeds(&poorer) {
            prop_assert!(richer.contains(&deed), "only after reading less: {}", deed);
        }
    }

    /// Who is made without their group's role gets no more than that role or
    /// the default.
    #[test]
    fn reading_less_gives_no_higher_role(seed in seeds().prop_map(without_rivals), which in 0_u8..3) {
        let world = seed.build();
        let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
        let role_of = |plan: &Plan, who: PersonId| {
            plan.users.iter().find_map(|change| match change {
                UserChange::Create { person, role, .. } if *person == who => Some(*role),
                _ => None,
            })
        };
        let richer = world.plan();
        let poorer = with_unread(&world, crate::build::group_id(which)).plan();
        for change in &poorer.users {
            if let UserChange::Create { person, role, .. } = change {
                prop_assert!(Some(*role) <= role_of(&richer, *person).max(Some(default)));
            }
        }
    }
}
