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

    /// But for `default_internal_user_params.teams`: a person is new in one pass
    /// only, and the ledger does not say yet who still waits for these teams.
    #[test]
    fn a_pass_that_broke_off_is_healed_by_the_next(
        seed in seeds().prop_map(|mut seed| {
            seed.rules.default_teams.clear();
            seed
        }),
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
    }
}
