//! What is left of a membership that we took away: cleared where it is all
//! there is, and nothing else is touched for it.

use std::collections::BTreeSet;

use entra_sync::model::directory::Unread;
use entra_sync::model::ids::{GroupId, PersonId, TeamId, UserId};
use entra_sync::model::policy::MembershipPolicy;
use entra_sync::plan::Plan;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::apply::{Step, steps};
use crate::config;
use crate::departures::{departures, plan_of, unguarded};

fn leftovers(plan: &Plan) -> BTreeSet<(GroupId, UserId)> {
    let lists = plan.deprovision.leftovers.iter();
    let all = lists.flat_map(|list| list.users.iter().map(|user| (list.group, user.clone())));
    all.collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_of_whom_we_took_out_and_nothing_else_has(departure in departures()) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &with);
        let found = leftovers(&plan);
        prop_assert!(found.is_empty() || world.scope.is_everything());
        prop_assert!(found.is_empty() || with.deprovision.membership == MembershipPolicy::Remove);
        for (group, user) in found {
            let team = TeamId::of(group);
            prop_assert!(world.owned.taken_members[&group].contains(&user));
            prop_assert!(!world.target.broken_teams.contains_key(&team));
            if let Some(row) = world.target.teams.get(&team) {
                prop_assert!(row.roster.iter().all(|entry| entry.user != user), "on the roster");
                prop_assert!(!row.memberships.contains(&user));
            }
            prop_assert!(world.policy.groups.admits(group), "frozen");
            let members: Vec<PersonId> = match world.directory.groups.get(&group) {
                None => Vec::new(),
                Some(read) => match &read.members {
                    Ok(members) => members.get().clone(),
                    Err(reason) => {
                        let reason: &Unread = reason;
                        return Err(TestCaseError::fail(format!("not read: {reason:?}")));
                    }
                },
            };
            let after = world.after(&plan)?;
            for person in members {
                let known = after.owned.people.get(&person);
                prop_assert!(known.is_none_or(|known| known.user != user), "wanted: {}", user);
            }
        }
    }

    /// The team's id goes out of `teams`, and every other row and column stays.
    #[test]
    fn clearing_changes_one_copy_and_the_next_pass_clears_nothing(departure in departures()) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &with);
        let (mut cleared, mut expected) = (world.clone(), world.clone());
        for step in steps(&plan) {
            if let Step::Clear(group, user) = &step {
                let row = expected.target.users.get_mut(user).expect("a row");
                row.teams.retain(|team| *team != TeamId::of(*group));
                cleared.apply(step)?;
            }
        }
        prop_assert_eq!(&cleared.target.users, &expected.target.users);
        prop_assert_eq!(&cleared.target.teams, &expected.target.teams);
        prop_assert_eq!(&cleared.owned.team_members, &expected.owned.team_members);
        let again = leftovers(&plan_of(&world.after(&plan)?, &with));
        prop_assert!(again.is_empty(), "{:?}", again);
    }
}

/// The laws above would hold in worlds that have none.
#[test]
fn the_worlds_show_leftovers_cleared_and_spared() {
    let mut runner = TestRunner::deterministic();
    let (mut cleared, mut spared) = (0, 0);
    for _ in 0..3_000 {
        let tree = departures().new_tree(&mut runner).expect("a world");
        let (world, with) = tree.current().build();
        let found = leftovers(&plan_of(&world, &unguarded(&with)));
        cleared += found.len();
        for (group, users) in &world.owned.taken_members {
            let team = TeamId::of(*group);
            let named = users.iter().filter(|user: &&UserId| {
                let row = world.target.users.get(*user);
                row.is_some_and(|row| row.teams.contains(&team))
                    && !found.contains(&(*group, (*user).clone()))
            });
            spared += named.count();
        }
    }
    assert!(cleared > 100 && spared > 100, "{cleared} {spared}");
}
