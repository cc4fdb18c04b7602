//! What is released, held and waiting, and that a pass which released
//! something has nothing left to take.

use std::collections::BTreeSet;

use entra_sync::model::directory::{Account, Unread};
use entra_sync::model::evidence::Whereabouts;
use entra_sync::model::ids::{GroupId, PersonId, UserId};
use entra_sync::model::ledger::{Member, Ours};
use entra_sync::model::policy::{GuardSettings, UnassignedGroupPolicy};
use entra_sync::plan::{
    Approvals, Forgotten, Over, Plan, Removal, Restoration, Situation, Source, Why, guard,
    removals_digest,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::build::{group_id, person_id};
use crate::config;
use crate::departures::{Circumstances, all, departures, now, plan_of, unguarded};
use crate::world::{GROUPS, PEOPLE};

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
        managed: None,
        forgotten: &Forgotten::default(),
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
        people in vec(0..PEOPLE, 0..3),
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
        strict.recent.people.extend(people.into_iter().map(person_id));
        *strict.recent.by_group.entry(group_id(group)).or_default() += of_group;
        let strictly = released(&strict, &world.owned, &removals);
        prop_assert!(strictly.is_subset(&many), "{:?} {:?}", strictly, many);
    }

    /// A word is used once, by a pass that looks at everything; until then what
    /// was approved is held like what was not, and so is what has grown since.
    #[test]
    fn an_operators_word_is_kept(departure in departures(), grown in any::<bool>()) {
        let (world, mut with) = departure.build();
        if grown {
            with.decisions.approved.values_mut().for_each(|weight| *weight -= 1);
        }
        let plan = plan_of(&world, &with);
        let whole = world.scope.is_everything();
        let verdict = &plan.deprovision.verdict;
        let over = &plan.deprovision.over;
        let (released, held) = (keys(&verdict.released), keys(&verdict.held));
        let waiting = waiting(&plan);
        for key in released.iter().chain(&held).filter(|key| !waiting.contains(*key)) {
            let approved = with.decisions.approved.contains_key(key) && !grown;
            if with.decisions.rejected.contains(key) {
                prop_assert!(held.contains(key), "{} was rejected", key);
            } else if approved && whole {
                prop_assert!(released.contains(key), "{} was approved", key);
                prop_assert!(verdict.approved.contains(key));
            } else if approved {
                prop_assert!(held.contains(key), "{} was approved for a whole pass", key);
            }
            prop_assert!(!verdict.approved.contains(key) || approved && whole);
            prop_assert!(!over.rejected.contains(key), "{} is still planned", key);
            prop_assert!(!with.decisions.approved.contains_key(key)
                || over.approved.contains(key) == whole, "{} was used", key);
        }
        prop_assert!(verdict.approved.is_subset(&released));
        prop_assert!(whole || *over == Over::default());
    }

    /// What is said of one group ends by what is read of it: something else that
    /// cannot be read neither ends nor keeps it.
    #[test]
    fn a_word_ends_by_its_own_object(departure in departures(), broken in 0..GROUPS) {
        let (mut world, mut with) = departure.build();
        let broken = group_id(broken);
        // A person's own object is part of what a membership is about.
        for person in world.owned.people.keys().chain(world.directory.people.keys()) {
            let here = Whereabouts::Present(Account::Enabled);
            with.evidence.people.insert(*person, here);
        }
        let member = |(group, member): (&GroupId, &Member)| {
            format!("remove team_membership {group}/{}", member.user)
        };
        for (group, members) in &world.owned.team_members {
            for one in members.iter().filter(|_| *group != broken) {
                let key = member((group, one));
                with.decisions.approved.insert(key.clone(), 1);
                with.decisions.rejected.remove(&key);
                let key = key.replace("team_membership", "organization_membership");
                with.decisions.approved.remove(&key);
                with.decisions.rejected.insert(key);
            }
        }
        let of_others = |over: Over| {
            let about = |key: &String| {
                key.starts_with("remove ") && !key.contains(&broken.to_string())
            };
            let about = |keys: BTreeSet<String>| keys.into_iter().filter(about).collect::<Vec<_>>();
            (about(over.approved), about(over.rejected))
        };
        let before = plan_of(&world, &with);
        if let Some(group) = world.directory.groups.get_mut(&broken) {
            group.members = Err(Unread::Failed("broke off".to_owned()));
        }
        let after = plan_of(&world, &with);
        // A doubt about somebody's role is one about them.
        let doubts = before.unreadable.iter().chain(&after.unreadable);
        let doubts: BTreeSet<String> = doubts.map(|error| error.id.clone()).collect();
        let managed = world.owned.team_members.values().flatten();
        let doubted = managed.filter(|one| doubts.contains(&one.person.to_string()));
        let doubted: Vec<String> = doubted.map(|one| format!("/{}", one.user)).collect();
        let sure = |(approved, rejected): (Vec<String>, Vec<String>)| {
            let is_sure = |key: &String| doubted.iter().all(|user| !key.ends_with(user));
            let all = approved.into_iter().chain(rejected);
            all.filter(is_sure).collect::<Vec<_>>()
        };
        let (before, after) = (before.deprovision.over, after.deprovision.over);
        prop_assert_eq!(sure(of_others(before)), sure(of_others(after.clone())));
        for (group, people) in world.owned.team_members.iter().filter(|(g, _)| **g == broken) {
            for one in people {
                prop_assert!(!after.rejected.contains(&member((group, one))));
            }
        }
    }

    /// Who is seen is wanted: whatever was said of taking the membership is over.
    #[test]
    fn a_word_ends_when_entra_wants_it_again(departure in departures()) {
        let (world, mut with) = departure.build();
        with.decisions = Default::default();
        let mut seen = BTreeSet::new();
        let mut unseen = BTreeSet::new();
        for (group, members) in &world.owned.team_members {
            let read = world.directory.groups.get(group).and_then(|read| read.members.as_ref().ok());
            let is_in = |user: &UserId| members
                .iter()
                .filter(|member| member.user == *user)
                .any(|member| read.is_some_and(|read| read.get().contains(&member.person)));
            for member in members {
                let key = format!("remove team_membership {group}/{}", member.user);
                match is_in(&member.user) && world.policy.groups.admits(*group) {
                    true => seen.insert(key.clone()),
                    false => unseen.insert(key.clone()),
                };
                with.decisions.rejected.insert(key);
            }
        }
        let plan = plan_of(&world, &with);
        let over = plan.deprovision.over.rejected.clone();
        prop_assert!(over.is_disjoint(&unseen), "{:?} of {:?}", over, unseen);
        // Another person of the row may have left.
        let planned = keys(&all(&plan));
        seen.retain(|key| !planned.contains(key));
        prop_assert!(!world.scope.is_everything() || seen.is_subset(&over), "{:?} {:?}", seen, over);
    }

    /// What was undone stays, whatever the settings make of it: a group that is
    /// still not assigned loses nothing, and nobody a role.
    #[test]
    fn what_was_undone_stays_in_every_form(departure in departures(), policy in 0_u8..4) {
        let (world, mut with) = departure.build();
        let with_all = unguarded(&with);
        let before = all(&plan_of(&world, &with_all));
        with = with_all;
        let causes = before.iter().filter_map(Removal::cause);
        with.decisions.rejected.extend(causes);
        with.deprovision.unassigned_group = match policy {
            0 => UnassignedGroupPolicy::Detach,
            1 => UnassignedGroupPolicy::Keep,
            2 => UnassignedGroupPolicy::Block,
            _ => UnassignedGroupPolicy::Delete,
        };
        let follows = |removal: &&Removal| match removal {
            Removal::TeamMember { why, .. } | Removal::OrganizationMember { why, .. } => {
                *why == Why::GroupUnassigned
            }
            Removal::BlockTeam { .. } | Removal::DeleteTeam { .. } => true,
            Removal::Deactivation { .. } | Removal::LowerRole { .. } => false,
        };
        let groups: BTreeSet<_> =
            before.iter().filter(follows).filter_map(Removal::group).collect();
        let plan = plan_of(&world, &with);
        for removal in &plan.deprovision.verdict.released {
            let is_protected = removal.group().is_some_and(|group| groups.contains(&group));
            prop_assert!(!(follows(&removal) && is_protected), "{:?}", removal);
            prop_assert!(!matches!(removal, Removal::LowerRole { .. }), "{:?}", removal);
        }
        let over = &plan.deprovision.over.rejected;
        for cause in plan.deprovision.verdict.held.iter().filter_map(Removal::cause) {
            prop_assert!(!over.contains(&cause), "{} holds something", cause);
        }
    }

    /// What may not go at once does not go one by one either: a group loses no
    /// more within the window than its percentage, and so it is with people's
    /// access and roles.
    #[test]
    fn a_slow_drip_is_no_way_around(departure in departures()) {
        let (world, mut with) = departure.build();
        let removals = all(&plan_of(&world, &unguarded(&with)));
        with.decisions = Default::default();
        with.recent = Default::default();
        let mut owned = world.owned.clone();
        let active = owned.people.iter().filter(|(_, known)| known.deactivation == Ours::No);
        let active: BTreeSet<PersonId> = active.map(|(person, _)| *person).collect();
        for removal in removals {
            if released(&with, &owned, std::slice::from_ref(&removal)).is_empty() {
                continue;
            }
            if let Some(person) = removal.person_losing() {
                with.recent.removals += 1;
                with.recent.people.insert(person);
                if let (Removal::Deactivation { .. }, Some(known)) =
                    (&removal, owned.people.get_mut(&person))
                {
                    known.deactivation = Ours::Yes;
                }
                let lost = with.recent.people.len() as u64;
                // Whoever had access before, or lost it again.
                let mut managed = active.clone();
                managed.extend(&with.recent.people);
                let managed = managed.len() as u64;
                let GuardSettings { max_removal_percent, min_managed, .. } = with.guard;
                prop_assert!(
                    managed < min_managed || lost * 100 <= managed * u64::from(max_removal_percent),
                    "{} of {} people", lost, managed
                );
            }
            let Removal::TeamMember { group, member, .. } = &removal else { continue };
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
        let Forgotten { team_members, organization_members, blocks, deactivations, roles, teams } =
            second.deprovision.forgotten;
        if !world.scope.is_everything() {
            return Ok(());
        }
        prop_assert!(blocks.is_empty(), "forgotten again {:?}", blocks);
        prop_assert!(deactivations.is_empty(), "forgotten again {:?}", deactivations);
        let is_now = |member: &Member| {
            let now = next.owned.people.get(&member.person);
            // Another person's first pass may have changed the row that both are.
            let people = next.owned.people.values();
            let alone = people.filter(|known| known.user == member.user).count() <= 1;
            alone && same_row(member.person) && now.is_some_and(|now| now.user == member.user)
        };
        let roles: Vec<_> = roles.into_iter().filter(|(member, _)| is_now(member)).collect();
        prop_assert!(roles.is_empty(), "forgotten again {:?}", roles);
        prop_assert!(teams.is_empty(), "forgotten again {:?}", teams);
        let again: Vec<_> = team_members
            .into_iter()
            .chain(organization_members)
            .filter(|(_, member)| is_alone(member.person) && same_row(member.person))
            // Nor is a row's membership said to be over for all who were it.
            .filter(|(_, member)| {
                let lists = [&world.owned.team_members, &world.owned.organization_members];
                let members = lists.into_iter().flat_map(|lists| lists.values()).flatten();
                members.filter(|other| other.user == member.user).all(|m| m == member)
            })
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
        // Nor does a look at somebody who is in no reading, but for their access.
        let is_looked_up = |restoration: &Restoration| match restoration {
            Restoration::Reactivation(member) => {
                !world.directory.people.contains_key(&member.person)
            }
            Restoration::UnblockTeam(_) => false,
        };
        with_removals.restorations.retain(|restoration| !is_looked_up(restoration));
        with_removals.skipped.retain(|skipped| skipped.reason != "administrator_not_ours");
        with_removals.unreadable.clear();
        // Said of what is not taken away.
        with_removals.skipped.retain(|left_out| left_out.reason != "excluded_role");
        alone.unreadable.clear();
        prop_assert_eq!(with_removals, alone);
    }
}
