//! What other sources of the ledger manage too: this one does not take it away,
//! and forgets no more than it leaves to them.

use entra_sync::model::ledger::{Elsewhere, Owned, Stay};
use entra_sync::plan::{Plan, Removal};
use proptest::prelude::*;

use crate::config;
use crate::departures::{all, departures, plan_of};

/// Everything that this source manages, each with chance's word on whether
/// another one does as well.
fn elsewhere(owned: &Owned, chance: &[bool]) -> Elsewhere {
    let mut chance = chance.iter().copied().cycle();
    let mut held = Elsewhere::default();
    let mut next = || chance.next().unwrap_or_default();
    for (group, members) in &owned.team_members {
        for member in members.iter().filter(|_| next()) {
            held.team_members.insert((*group, member.user.clone()));
        }
    }
    for (group, members) in &owned.organization_members {
        for member in members.iter().filter(|_| next()) {
            held.organization_members
                .insert((*group, member.user.clone()));
        }
    }
    held.teams.extend(owned.teams.keys().filter(|_| next()));
    let mut users: Vec<_> = owned.rows().map(|(_, known)| known.user.clone()).collect();
    users.sort_unstable();
    for user in users {
        if next() {
            let stay = if next() { Stay::Wanted } else { Stay::Unwanted };
            held.users.insert(user, stay);
        }
    }
    held
}

/// Whether another source stands against it.
fn is_held(held: &Elsewhere, removal: &Removal) -> bool {
    match removal {
        Removal::TeamMember { group, member, .. } => {
            held.team_members.contains(&(*group, member.user.clone()))
        }
        Removal::OrganizationMember { group, member, .. } => held
            .organization_members
            .contains(&(*group, member.user.clone())),
        Removal::Deactivation { member, .. } => held.users.get(&member.user) == Some(&Stay::Wanted),
        Removal::LowerRole { member, .. } => held.users.contains_key(&member.user),
        Removal::BlockTeam { group, .. } | Removal::DeleteTeam { group, .. } => {
            held.teams.contains(group)
        }
    }
}

fn forgets(plan: &Plan, removal: &Removal) -> bool {
    let forgotten = &plan.deprovision.forgotten;
    match removal {
        Removal::TeamMember { group, member, .. } => {
            forgotten.team_members.contains(&(*group, member.clone()))
        }
        Removal::OrganizationMember { group, member, .. } => forgotten
            .organization_members
            .contains(&(*group, member.clone())),
        Removal::Deactivation { member, .. } => plan
            .deprovision
            .unwanted
            .as_ref()
            .is_none_or(|people| people.contains(&member.person)),
        Removal::LowerRole { .. } => true,
        Removal::BlockTeam { group, .. } | Removal::DeleteTeam { group, .. } => {
            forgotten.teams.contains(group)
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_another_source_manages_is_left_to_it(
        departure in departures(),
        chance in proptest::collection::vec(any::<bool>(), 1..24),
    ) {
        let (mut world, with) = departure.build();
        let alone = plan_of(&world, &with);
        prop_assert_eq!(&alone.deprovision.unwanted, &None);
        let held = elsewhere(&world.owned, &chance);
        world.owned.held_elsewhere = Some(held.clone());
        let plan = plan_of(&world, &with);
        for removal in all(&plan) {
            prop_assert!(!is_held(&held, &removal), "{:?}", removal);
        }
        for removal in all(&alone).iter().filter(|removal| is_held(&held, removal)) {
            prop_assert!(forgets(&plan, removal), "{:?}", removal);
        }
    }

    #[test]
    fn another_source_that_manages_nothing_of_ours_changes_nothing(departure in departures()) {
        let (mut world, with) = departure.build();
        let alone = plan_of(&world, &with);
        world.owned.held_elsewhere = Some(Elsewhere::default());
        let mut beside = plan_of(&world, &with);
        beside.deprovision.unwanted = None;
        prop_assert_eq!(alone, beside);
    }
}
