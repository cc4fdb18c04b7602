//! What is released, held and waiting, and that a pass which released
//! something has nothing left to take.

use std::collections::BTreeSet;

use entra_sync::model::policy::GuardSettings;
use entra_sync::plan::{
    Approvals, Forgotten, Plan, Removal, Situation, Source, guard, removals_digest,
};
use proptest::prelude::*;

use crate::build::group_id;
use crate::config;
use crate::departures::{Circumstances, all, departures, now, plan_of, unguarded};
use crate::world::GROUPS;

fn keys(removals: &[Removal]) -> BTreeSet<String> {
    removals.iter().map(Removal::key).collect()
}

fn waiting(plan: &Plan) -> BTreeSet<String> {
    let waiting = plan.deprovision.waiting.iter();
    waiting.map(|waiting| waiting.removal.key()).collect()
}

/// What the guard is asked, with limits that only this test knows.
fn released(
    with: &Circumstances,
    owned: &entra_sync::model::ledger::Owned,
    removals: &[Removal],
) -> BTreeSet<String> {
    let empty_groups = BTreeSet::new();
    let situation = Situation {
        limits: &with.guard,
        owned,
        recent: &with.recent,
        decisions: &with.decisions,
        approvals: Approvals::Apply,
        source: Source::Inhabited,
        empty_groups: &empty_groups,
    };
    keys(&guard(&situation, removals.to_vec()).released)
}

fn settled(plan: &Plan) -> String {
    format!(
        "{:#?}",
        plan.items()
            .filter(|item| item.is_drift())
            .collect::<Vec<_>>()
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn stricter_is_never_looser(
        departure in departures(),
        less in any::<u16>(),
        (limit, percent, managed) in (0_u64..4, 0_u8..50, 0_u64..4),
        (recent, of_group, group) in (0_u64..4, 0_u64..4, 0..GROUPS),
    ) {
        let (world, with) = departure.build();
        let removals = all(&plan_of(&world, &unguarded(&with)));
        let fewer: Vec<Removal> = (0..)
            .zip(&removals)
            .filter(|(bit, _)| less & (1 << (bit % 16)) != 0)
            .map(|(_, removal)| removal.clone())
            .collect();
        let many = released(&with, &world.owned, &removals);
        let few = released(&with, &world.owned, &fewer);
        for key in keys(&fewer).intersection(&many) {
            prop_assert!(few.contains(key), "{} is released among more only", key);
        }
        let mut strict = with.clone();
        strict.guard.max_removals = strict.guard.max_removals.saturating_sub(limit);
        strict.guard.max_removal_percent = strict.guard.max_removal_percent.saturating_sub(percent);
        strict.guard.min_managed = strict.guard.min_managed.saturating_sub(managed);
        strict.recent.removals += recent;
        *strict.recent.by_group.entry(group_id(group)).or_default() += of_group;
        let strictly = released(&strict, &world.owned, &removals);
        prop_assert!(strictly.is_subset(&many), "{:?} {:?}", strictly, many);
    }

    /// A word is used once, by a pass that looked at everything; until then
    /// what was approved is held like what was not.
    #[test]
    fn an_operators_word_is_kept(departure in departures()) {
        let (world, mut with) = departure.build();
        with.decisions.approved_digests.insert("an approved set".to_owned());
        let plan = plan_of(&world, &with);
        let looked_at_everything = world.scope.is_everything() && plan.unreadable.is_empty();
        let verdict = &plan.deprovision.verdict;
        let (released, held) = (keys(&verdict.released), keys(&verdict.held));
        let waiting = waiting(&plan);
        for key in released.iter().chain(&held).filter(|key| !waiting.contains(*key)) {
            let approved = with.decisions.approved.contains(key);
            if with.decisions.rejected.contains(key) {
                prop_assert!(held.contains(key), "{} was rejected", key);
            } else if approved && looked_at_everything {
                prop_assert!(released.contains(key), "{} was approved", key);
                prop_assert!(verdict.approved.contains(key));
            } else if approved {
                prop_assert!(held.contains(key), "{} was approved for a whole pass", key);
            }
            prop_assert!(!verdict.approved.contains(key) || approved && looked_at_everything);
        }
        prop_assert!(verdict.approved.is_subset(&released));
        let spent = match looked_at_everything {
            true => with.decisions.approved_digests.clone(),
            false => BTreeSet::new(),
        };
        prop_assert_eq!(&verdict.spent, &spent);
    }

    /// What may not go at once does not go one by one either: a group loses no
    /// more within the window than its percentage.
    #[test]
    fn a_slow_drip_is_no_way_around(departure in departures()) {
        let (world, mut with) = departure.build();
        let removals = all(&plan_of(&world, &unguarded(&with)));
        with.decisions = Default::default();
        with.recent = Default::default();
        let mut owned = world.owned.clone();
        for removal in removals {
            let Removal::TeamMember { group, member, .. } = &removal else { continue };
            if released(&with, &owned, std::slice::from_ref(&removal)).is_empty() {
                continue;
            }
            with.recent.removals += 1;
            *with.recent.by_group.entry(*group).or_default() += 1;
            if let Some(managed) = owned.team_members.get_mut(group) {
                managed.retain(|managed| managed != member);
            }
        }
        let GuardSettings { max_removals, max_removal_percent, min_managed, .. } = with.guard;
        prop_assert!(with.recent.removals <= max_removals);
        for (group, gone) in &with.recent.by_group {
            let managed = world.owned.team_members[group].len() as u64;
            prop_assert!(
                managed < min_managed || gone * 100 <= managed * u64::from(max_removal_percent),
                "{} of {} of {}", gone, managed, group
            );
        }
    }

    #[test]
    fn every_candidate_is_released_held_or_waits(departure in departures()) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &with);
        let candidates = all(&plan_of(&world, &unguarded(&with)));
        prop_assert_eq!(all(&plan), candidates);
        let verdict = &plan.deprovision.verdict;
        let (released, held) = (keys(&verdict.released), keys(&verdict.held));
        let waiting = waiting(&plan);
        prop_assert!(released.is_disjoint(&held));
        prop_assert!(waiting.is_disjoint(&released) && waiting.is_disjoint(&held));
        match &verdict.alarm {
            Some(alarm) => {
                prop_assert_eq!(&alarm.digest, &removals_digest(&verdict.held));
                prop_assert_eq!(alarm.removals, verdict.held.len() as u64);
                let more = [verdict.held.clone(), verdict.released.clone()].concat();
                prop_assert_eq!(
                    removals_digest(&more) == alarm.digest, verdict.released.is_empty()
                );
            }
            None => prop_assert!(held.is_empty()),
        }
    }

    #[test]
    fn a_rejected_set_is_silent_until_it_changes(departure in departures()) {
        let (world, mut with) = departure.build();
        let held = plan_of(&world, &with).deprovision.verdict.held;
        with.decisions.rejected_digests.insert(removals_digest(&held));
        let again = plan_of(&world, &with).deprovision.verdict;
        prop_assert_eq!(&again.held, &held);
        prop_assert_eq!(again.alarm, None);
    }

    /// An explicit word is not waited for; absence is, from the first reading
    /// that lacked somebody.
    #[test]
    fn absence_is_waited_for(departure in departures()) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &with);
        let grace = with.deprovision.grace;
        let verdict = &plan.deprovision.verdict;
        for removal in verdict.released.iter().chain(&verdict.held) {
            let waited = with.waiting.get(&removal.key()).map(|since| now() - *since);
            let enough = waited.is_some_and(|waited| waited.to_std().is_ok_and(|w| w >= grace));
            let word = matches!(removal, Removal::Deactivation { .. });
            prop_assert!(grace.is_zero() || word || enough, "{:?} waited {:?}", removal, waited);
        }
        for one in &plan.deprovision.waiting {
            let since = with.waiting.get(&one.removal.key()).copied();
            prop_assert_eq!(one.waits.since, since);
            prop_assert_eq!(one.waits.until, since.map(|since| since + grace));
            prop_assert!(one.waits.until.is_none_or(|until| until > now()));
        }
    }

    #[test]
    fn what_was_taken_is_not_taken_again(departure in departures()) {
        // A deactivation frees a seat, which the next pass gives to somebody
        // who waits for one: that is no taking again.
        let mut departure = departure;
        departure.seed.rules.seats = None;
        let (world, with) = departure.build();
        let first = plan_of(&world, &with);
        let next = world.after(&first)?;
        let second = plan_of(&next, &with);
        let (before, after) = (keys(&all(&first)), keys(&all(&second)));
        let done = keys(&first.deprovision.verdict.released);
        prop_assert!(
            after.is_disjoint(&done),
            "again {:?}\nafter {}", after.intersection(&done).collect::<Vec<_>>(), settled(&first)
        );
        // Where the ledger gives one row to two people, doubt keeps it until the
        // first pass has told them apart.
        let row = |person| world.owned.people.get(&person).map(|known| &known.user);
        let is_alone = |person| {
            let known = world.owned.people.values();
            known.filter(|known| Some(&known.user) == row(person)).count() <= 1
        };
        // Nor is what the ledger says of a row said of the one that the first
        // pass has given somebody instead.
        let same_row = |person| {
            row(person) == next.owned.people.get(&person).map(|known| &known.user)
        };
        if world.owned.people.keys().all(|person| is_alone(*person)) {
            // What the first pass has only just adopted may go with the second.
            let managed = |removal: &Removal| removal.person().is_none_or(same_row);
            let new: Vec<Removal> = all(&second)
                .into_iter()
                .filter(|removal| managed(removal) && !before.contains(&removal.key()))
                .collect();
            prop_assert!(new.is_empty(), "new {:?}", new);
        }
        let mut additions = second.clone();
        additions.deprovision = Default::default();
        prop_assert!(
            additions.is_empty(),
            "the second pass would still\n{}\nafter the first did\n{}",
            settled(&additions), settled(&first)
        );
        let Forgotten { team_members, organization_members, blocks, teams } =
            second.deprovision.forgotten;
        if !world.scope.is_everything() {
            return Ok(());
        }
        prop_assert!(blocks.is_empty(), "forgotten again {:?}", blocks);
        prop_assert!(teams.is_empty(), "forgotten again {:?}", teams);
        let again: Vec<_> = team_members
            .into_iter()
            .chain(organization_members)
            .filter(|(_, member)| is_alone(member.person) && same_row(member.person))
            .collect();
        prop_assert!(again.is_empty(), "forgotten again {:?}", again);
    }

    #[test]
    fn the_order_of_reading_does_not_matter_to_removals(
        departure in departures(),
        shuffle in any::<[u32; 4]>(),
    ) {
        let (world, with) = departure.build();
        let other = crate::stability::shuffled(&world, &shuffle);
        let (plan, again) = (plan_of(&world, &with), plan_of(&other, &with));
        prop_assert_eq!(plan.digest(), again.digest());
        prop_assert_eq!(plan, again);
    }

    /// Taking away never changes what is added.
    #[test]
    fn additions_go_on(departure in departures()) {
        let (world, with) = departure.build();
        let mut with_removals = plan_of(&world, &with);
        with_removals.deprovision = Default::default();
        let mut alone = world.plan();
        with_removals.unreadable.clear();
        // Said of what is not taken away.
        with_removals.skipped.retain(|left_out| left_out.reason != "excluded_role");
        alone.unreadable.clear();
        prop_assert_eq!(with_removals, alone);
    }
}
