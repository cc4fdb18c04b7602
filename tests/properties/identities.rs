//! One row for one person, one address for one row, a seat for the mighty
//! first, and roles that only rise.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entra_sync::model::directory::{AppRoleState, Principal};
use entra_sync::model::ids::{PersonId, UserId};
use entra_sync::model::role::{Role, RoleValue};
use entra_sync::model::target::{StoredRole, Target};
use entra_sync::plan::{Plan, UserChange};
use proptest::prelude::*;

use crate::build::{Universe, known_attributes};
use crate::config;
use crate::world::seeds;

/// Which person a plan takes each row for, from every place that says so.
fn rows_of(plan: &Plan) -> BTreeSet<(UserId, PersonId)> {
    let users = plan.users.iter().map(|change| match change {
        UserChange::Create { person, user, .. } | UserChange::Update { person, user, .. } => {
            (user.clone(), *person)
        }
    });
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
        .chain(
            plan.adopted
                .team_members
                .iter()
                .flat_map(|list| &list.members),
        )
        .chain(
            plan.adopted
                .organization_members
                .iter()
                .flat_map(|list| &list.members),
        )
        .map(|member| (member.user.clone(), member.person));
    let adopted = plan
        .adopted
        .users
        .iter()
        .map(|(person, owned)| (owned.user.clone(), *person));
    users.chain(members).chain(adopted).collect()
}

/// How many rows hold an address.
fn addresses(target: &Target) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for email in target.users.values().filter_map(|row| row.email.as_deref()) {
        *count.entry(email.to_lowercase()).or_default() += 1;
    }
    count
}

/// The highest role that counts, worked out the long way round.
fn highest(world: &Universe, person: PersonId) -> Option<Role> {
    let directory = &world.directory;
    directory
        .assignments
        .get()
        .iter()
        .filter(|assignment| match assignment.principal {
            Principal::Person(assigned) => assigned == person,
            Principal::Group(id) => directory.groups.get(&id).is_some_and(|group| {
                let bearers = match (&group.direct_members, &group.members) {
                    (Some(direct), _) => direct.get().contains(&person),
                    (None, Ok(members)) => members.get().contains(&person),
                    (None, Err(_)) => false,
                };
                world.policy.groups.admits(id) && bearers
            }),
        })
        .filter_map(|assignment| directory.roles.get(&assignment.role))
        .filter(|role| role.state == AppRoleState::Enabled)
        .filter_map(|role| match RoleValue::read(role.value.as_deref()) {
            RoleValue::Role(role) => Some(role),
            RoleValue::Refused | RoleValue::Foreign => None,
        })
        .max()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_people_never_stand_for_one_row(seed in seeds()) {
        let plan = seed.build().plan();
        let mut taken: HashMap<UserId, PersonId> = HashMap::new();
        let mut people: HashMap<PersonId, UserId> = HashMap::new();
        for (user, person) in rows_of(&plan) {
            let owner = *taken.entry(user.clone()).or_insert(person);
            prop_assert_eq!(owner, person, "both stand for {}", user);
            let row = people.entry(person).or_insert_with(|| user.clone());
            prop_assert_eq!(&*row, &user, "{} stands for both", person);
        }
    }

    /// A row whose identity is one person's is never found by e-mail for
    /// another, whatever order they come in.
    #[test]
    fn a_row_is_not_bound_to_a_stranger(seed in seeds()) {
        let world = seed.build();
        let attributes = known_attributes(&world.directory);
        for change in world.plan().users {
            let UserChange::Update { person, user, bind: Some(_), .. } = change else { continue };
            for (other, attributes) in attributes.iter().filter(|(id, _)| **id != person) {
                prop_assert_ne!(user.as_str(), &*attributes.subject, "it is {}'s", other);
            }
            let verified = world.target.verified_subjects.iter();
            prop_assert!(verified.filter(|(_, row)| **row == user).all(|(owner, _)| *owner == person));
            let owned = world.owned.people.iter();
            prop_assert!(owned.filter(|(_, known)| known.user == user).all(|(owner, _)| *owner == person));
            prop_assert_ne!(Some(&user), world.policy.proxy_admin.as_ref());
            let row = &world.target.users[&user];
            prop_assert_ne!(&row.role, &StoredRole::Role(Role::ProxyAdmin));
        }
    }

    /// A row that is bound to another identity is nobody's by way of a login
    /// that was once verified, or of what the ledger remembers.
    #[test]
    fn a_row_of_another_identity_is_left_alone(seed in seeds()) {
        let world = seed.build();
        let attributes = known_attributes(&world.directory);
        for change in world.plan().users {
            let UserChange::Update { person, user, .. } = change else { continue };
            let Some(sso) = &world.target.users[&user].sso_user_id else { continue };
            let subject = &*attributes[&person].subject;
            prop_assert!(
                sso.as_str() == subject
                    || sso.as_str() == person.to_string()
                    || user.as_str() == subject,
                "{} is bound to {} and was taken for {}", user, sso, person
            );
        }
    }

    #[test]
    fn no_address_is_given_twice(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        let before = addresses(&world.target);
        // That nobody is inserted with a taken address, `after` checks.
        let after = addresses(&world.after(&plan)?.target);
        for (address, rows) in after {
            let already = before.get(&address).copied().unwrap_or_default();
            prop_assert!(rows <= already.max(1), "{rows} rows would hold {address}");
        }
    }

    #[test]
    fn no_more_are_let_in_than_there_is_room_for(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        let mut let_in = Vec::new();
        for change in &plan.users {
            if let UserChange::Create { person, role, .. } = change {
                let_in.push((*role, *person));
            }
        }
        let room = world.policy.seats.room(world.target.billable_users);
        prop_assert!(let_in.len() as u64 <= room);
        let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
        let left_out: Vec<PersonId> = plan
            .skipped
            .iter()
            .filter(|skipped| skipped.reason == "no_seat")
            .map(|skipped| skipped.id.parse().expect("people are named by object id"))
            .collect();
        prop_assert!(left_out.is_empty() || let_in.len() as u64 == room);
        for person in left_out {
            let role = highest(&world, person).unwrap_or(default);
            for (seated, first) in &let_in {
                prop_assert!(role < *seated || (role == *seated && person > *first));
            }
        }
    }

    #[test]
    fn a_role_only_rises_and_the_highest_wins(seed in seeds()) {
        let world = seed.build();
        let plan = world.plan();
        let default = world.policy.user_defaults.role.unwrap_or(Role::FALLBACK);
        for change in &plan.users {
            match change {
                UserChange::Create { person, role, .. } => {
                    prop_assert_eq!(*role, highest(&world, *person).unwrap_or(default));
                }
                UserChange::Update { person, role: Some(role), .. } => {
                    prop_assert!(role.after > role.before);
                    prop_assert_eq!(role.after, highest(&world, *person));
                }
                UserChange::Update { person, user, role: None, .. } => {
                    let StoredRole::Role(present) = world.target.users[user].role else { continue };
                    prop_assert!(Some(present) >= highest(&world, *person));
                }
            }
        }
    }
}
