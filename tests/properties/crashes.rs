//! A pass may die between any two transactions. What it had done stays done,
//! and the passes that follow come to where it would have come.

use std::collections::{BTreeMap, HashMap};

use entra_sync::model::ids::{GroupId, PersonId};
use entra_sync::model::ledger::{Owned, OwnedUser, RoleFrom};
use entra_sync::plan::{Adopted, Member, Plan};
use proptest::prelude::*;

use crate::apply::woven;
use crate::build::Universe;
use crate::config;
use crate::departures::{Circumstances, departures, plan_of, unguarded};

/// More passes than any world needs: the first adopts, and what it adopted may
/// go with the second, which frees a seat for a third.
const ENOUGH: usize = 4;

fn is_at_rest(world: &Universe, plan: &Plan) -> bool {
    // What a filtered pass would forget is left to one that looks at everything.
    let forgets = plan.deprovision.forgotten != Default::default();
    plan.is_empty()
        && plan.adopted == Adopted::default()
        && !(forgets && world.scope.is_everything())
}

/// After as many passes as it takes.
fn at_rest(mut world: Universe, with: &Circumstances) -> Result<Universe, TestCaseError> {
    for _ in 0..ENOUGH {
        let plan = plan_of(&world, with);
        if is_at_rest(&world, &plan) {
            return Ok(world);
        }
        world = world.after(&plan)?;
    }
    let plan = plan_of(&world, with);
    prop_assert!(
        is_at_rest(&world, &plan),
        "no rest after {} passes: {:#?}",
        ENOUGH,
        plan
    );
    Ok(world)
}

/// What is left of a pass that died.
fn broken_off(
    world: &Universe,
    plan: &Plan,
    cut: prop::sample::Index,
    weave: u64,
) -> Result<Universe, TestCaseError> {
    let steps = woven(plan, weave);
    let done = cut.index(steps.len());
    let mut broken = world.clone();
    for step in steps.into_iter().take(done) {
        broken.apply(step)?;
    }
    Ok(broken)
}

/// No member of a group and no such group are the same.
fn managed(lists: &BTreeMap<GroupId, Vec<Member>>) -> BTreeMap<GroupId, Vec<Member>> {
    let mut lists = lists.clone();
    lists.retain(|_, members| !members.is_empty());
    lists
}

/// Of a row that two people are in the ledger, a pass that died may have changed
/// the role before it noted whose it is not any more.
fn people(owned: &Owned) -> HashMap<PersonId, OwnedUser> {
    let mut people = owned.people.clone();
    for known in people.values_mut() {
        let same = owned
            .people
            .values()
            .filter(|other| other.user == known.user);
        if same.count() > 1 {
            (known.role, known.role_from) = (None, RoleFrom::Default);
        }
    }
    people
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_crash_only_delays_what_is_taken_away(
        departure in departures(),
        cut in any::<prop::sample::Index>(),
        weave in any::<u64>(),
    ) {
        let (world, with) = departure.build();
        let with = unguarded(&with);
        let plan = plan_of(&world, &with);
        let broken = at_rest(broken_off(&world, &plan, cut, weave)?, &with)?;
        let whole = at_rest(world, &with)?;
        prop_assert_eq!(&broken.target.users, &whole.target.users);
        prop_assert_eq!(&broken.target.teams, &whole.target.teams);
        prop_assert_eq!(&broken.target.organizations, &whole.target.organizations);
        prop_assert_eq!(people(&broken.owned), people(&whole.owned));
        prop_assert_eq!(&broken.owned.teams, &whole.owned.teams);
        prop_assert_eq!(&broken.owned.organizations, &whole.owned.organizations);
        prop_assert_eq!(managed(&broken.owned.team_members), managed(&whole.owned.team_members));
        prop_assert_eq!(
            managed(&broken.owned.organization_members),
            managed(&whole.owned.organization_members)
        );
        prop_assert_eq!(&broken.owned.due_default_teams, &whole.owned.due_default_teams);
    }
}
