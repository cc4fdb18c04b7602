//! A pass brings LiteLLM where Entra wants it, in one go, and a crash anywhere
//! only delays that.

use entra_sync::plan::Adopted;
use proptest::prelude::*;

use crate::apply::steps;
use crate::build::Universe;
use crate::config;
use crate::world::seeds;

/// The next pass, to its end.
fn settle(world: Universe) -> Result<Universe, TestCaseError> {
    let plan = world.plan();
    world.after(&plan)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_second_pass_finds_nothing_to_do(seed in seeds()) {
        let world = seed.build();
        let first = world.plan();
        let second = world.after(&first)?.plan();
        prop_assert!(
            second.is_empty(),
            "the second pass would still\n{:#?}\nafter the first did\n{:#?}",
            second.items().collect::<Vec<_>>(),
            first.items().collect::<Vec<_>>(),
        );
        prop_assert_eq!(second.adopted, Adopted::default());
    }

    #[test]
    fn a_pass_that_broke_off_is_healed_by_the_next(
        seed in seeds(),
        cut in any::<prop::sample::Index>(),
    ) {
        let world = seed.build();
        let plan = world.plan();
        let whole = world.after(&plan)?;
        let steps = steps(&plan);
        let done = cut.index(steps.len());
        let mut broken = world;
        for step in steps.into_iter().take(done) {
            broken.apply(step)?;
        }
        let healed = settle(broken)?;
        prop_assert_eq!(&healed.target.users, &whole.target.users);
        prop_assert_eq!(&healed.target.teams, &whole.target.teams);
        prop_assert_eq!(&healed.target.organizations, &whole.target.organizations);
        prop_assert_eq!(&healed.owned.people, &whole.owned.people);
        prop_assert_eq!(&healed.owned.teams, &whole.owned.teams);
        prop_assert_eq!(&healed.owned.organizations, &whole.owned.organizations);
        prop_assert_eq!(&healed.owned.team_members, &whole.owned.team_members);
        prop_assert_eq!(&healed.owned.organization_members, &whole.owned.organization_members);
        prop_assert_eq!(&healed.owned.due_default_teams, &whole.owned.due_default_teams);
    }

    /// Whom somebody takes out of a default team stays out of it.
    #[test]
    fn a_default_team_is_joined_once(seed in seeds()) {
        let world = seed.build();
        let mut after = world.after(&world.plan())?;
        for default in &world.policy.user_defaults.teams {
            if let Some(row) = after.target.teams.get_mut(&default.team) {
                row.roster.clear();
                row.memberships.clear();
            }
            for user in after.target.users.values_mut() {
                user.teams.retain(|team| *team != default.team);
            }
        }
        let plan = after.plan();
        prop_assert!(plan.default_teams.is_empty(), "{:?}", plan.default_teams);
    }
}
