//! A pass may die between any two transactions. What it had done stays done,
//! and the passes that follow come to where it would have come: in LiteLLM, in
//! what is ours, and in what the guard lets go.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entra_sync::model::ids::{GroupId, PersonId};
use entra_sync::model::ledger::{Owned, OwnedUser, RoleFrom};
use entra_sync::plan::{Adopted, Deprovision, Member, Plan, Removal, UserChange};
use proptest::prelude::*;

use crate::apply::{Outcome, Step, woven};
use crate::build::Universe;
use crate::config;
use crate::departures::{Circumstances, departures, now, plan_of, unguarded};

/// More passes than any world needs: the first adopts, and what it adopted may
/// go with the second, which frees a seat for a third.
const ENOUGH: usize = 4;

/// A world in which passes run, one after the other.
#[derive(Clone)]
struct Running {
    world: Universe,
    with: Circumstances,
    /// Everything that was taken away, by its key.
    taken: BTreeSet<String>,
}

impl Running {
    fn plan(&self) -> Plan {
        plan_of(&self.world, &self.with)
    }

    /// The first steps of a pass. What goes is counted with its going; what
    /// waits, and which approvals are spent, is noted at the end.
    fn pass(&mut self, plan: &Plan, weave: u64, cut: impl Fn(usize) -> usize) -> Outcome {
        let steps = woven(plan, weave);
        let done = cut(steps.len());
        for step in steps.into_iter().take(done) {
            match &step {
                Step::Take(removal) => self.count(plan, removal),
                Step::Note(_) => self.note(plan),
                _ => {}
            }
            self.world.apply(step)?;
        }
        Ok(())
    }

    fn count(&mut self, plan: &Plan, removal: &Removal) {
        self.taken.insert(removal.key());
        if plan.deprovision.verdict.approved.contains(&removal.key()) {
            return;
        }
        self.with.recent.removals += removal.weight();
        self.with.recent.people.extend(removal.person_losing());
        if let Some(group) = removal.group_losing() {
            *self.with.recent.by_group.entry(group).or_default() += removal.weight();
        }
    }

    fn note(&mut self, plan: &Plan) {
        if !self.world.scope.is_everything() {
            return;
        }
        let Deprovision {
            verdict,
            waiting,
            over,
            ..
        } = &plan.deprovision;
        let decisions = &mut self.with.decisions;
        decisions
            .approved
            .retain(|key, _| !over.approved.contains(key));
        decisions
            .rejected
            .retain(|key| !over.rejected.contains(key));
        if !self.with.deprovision.grace.is_zero() {
            let since = std::mem::take(&mut self.with.waiting);
            let waiting = waiting.iter().map(|waiting| &waiting.removal);
            let waiting = waiting.chain(&verdict.held).map(Removal::key);
            self.with.waiting = waiting
                .map(|key| (key.clone(), since.get(&key).copied().unwrap_or_else(now)))
                .collect();
        }
    }

    fn is_at_rest(&self, plan: &Plan) -> bool {
        // What a filtered pass would forget is left to one that looks at everything.
        let forgets = plan.deprovision.forgotten != Default::default();
        plan.is_empty()
            && plan.adopted == Adopted::default()
            && !(forgets && self.world.scope.is_everything())
    }

    /// After as many passes as it takes.
    fn at_rest(mut self) -> Result<Self, TestCaseError> {
        for _ in 0..ENOUGH {
            let plan = self.plan();
            if self.is_at_rest(&plan) {
                return Ok(self);
            }
            self.pass(&plan, 0, |steps| steps)?;
        }
        let plan = self.plan();
        prop_assert!(
            self.is_at_rest(&plan),
            "no rest after {} passes: {:#?}",
            ENOUGH,
            plan
        );
        Ok(self)
    }

    /// After everything was added, and nothing taken away.
    fn calm(mut self) -> Result<Self, TestCaseError> {
        let with = self.with.clone();
        self.with.guard.max_removals = 0;
        self.with.decisions = Default::default();
        let mut calm = self.at_rest()?;
        prop_assert!(calm.taken.is_empty(), "{:?}", calm.taken);
        calm.with = with;
        Ok(calm)
    }

    /// The world with, and without, a pass that dies in between.
    fn both(self, cut: prop::sample::Index, weave: u64) -> Result<(Self, Self), TestCaseError> {
        let mut broken = self.clone();
        let plan = broken.plan();
        broken.pass(&plan, weave, |steps| cut.index(steps))?;
        Ok((broken.at_rest()?, self.at_rest()?))
    }
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

    /// Also where changes of rows that are there were refused, or left to the
    /// next pass because somebody else was faster.
    #[test]
    fn whose_membership_is_managed_is_known(
        departure in departures(),
        cut in any::<prop::sample::Index>(),
        refused in any::<u64>(),
    ) {
        let (world, with) = departure.build();
        let plan = plan_of(&world, &unguarded(&with));
        let is_known = |world: &Universe, member: &Member| {
            let known = world.owned.people.get(&member.person);
            known.is_some_and(|known| known.user == member.user)
        };
        let steps = woven(&plan, 0);
        let done = cut.index(steps.len() + 1);
        let (mut after, mut absent) = (world.clone(), BTreeSet::new());
        let mut refusals = (0..64).map(|bit| refused & (1 << bit) != 0);
        for step in steps.into_iter().take(done) {
            match step {
                Step::User(UserChange::Update { user, bind, .. }, _)
                    if refusals.next() == Some(true) =>
                {
                    absent.extend(bind.map(|_| user));
                }
                Step::TeamMember(_, member) | Step::OrganizationMember(_, member)
                    if absent.contains(&member.user) => {}
                Step::Adopt(mut adopted) => {
                    let lists = &mut adopted.team_members;
                    for list in lists.iter_mut().chain(&mut adopted.organization_members) {
                        list.members.retain(|member| !absent.contains(&member.user));
                    }
                    after.apply(Step::Adopt(adopted))?;
                }
                step => after.apply(step)?,
            }
        }
        for (group, members) in &after.owned.team_members {
            for member in members {
                let before = world.owned.team_members.get(group);
                let is_new = before.is_none_or(|before| !before.contains(member));
                prop_assert!(!is_new || is_known(&after, member), "{:?}", member);
            }
        }
    }

    #[test]
    fn a_crash_only_delays_what_is_taken_away(
        departure in departures(),
        cut in any::<prop::sample::Index>(),
        weave in any::<u64>(),
    ) {
        let (world, with) = departure.build();
        let with = unguarded(&with);
        let running = Running { world, with, taken: BTreeSet::new() };
        let (broken, whole) = running.both(cut, weave)?;
        prop_assert_eq!(&broken.taken, &whole.taken);
        let (broken, whole) = (broken.world, whole.world);
        prop_assert_eq!(&broken.target.users, &whole.target.users);
        prop_assert_eq!(&broken.target.teams, &whole.target.teams);
        prop_assert_eq!(&broken.target.organizations, &whole.target.organizations);
        let (broken, whole) = (broken.owned, whole.owned);
        prop_assert_eq!(people(&broken), people(&whole));
        prop_assert_eq!(&broken.teams, &whole.teams);
        prop_assert_eq!(&broken.organizations, &whole.organizations);
        prop_assert_eq!(managed(&broken.team_members), managed(&whole.team_members));
        prop_assert_eq!(
            managed(&broken.organization_members),
            managed(&whole.organization_members)
        );
        prop_assert_eq!(&broken.due_default_teams, &whole.due_default_teams);
    }

    /// What went before a crash counts after it: no more goes than without, and
    /// never more than the window allows. (Compared where nothing is left to
    /// add: a percentage is one of what is managed when the guard is asked, and
    /// a pass that dies in its additions has it asked once more.)
    #[test]
    fn a_crash_is_no_way_around_the_guard(
        departure in departures(),
        cut in any::<prop::sample::Index>(),
        weave in any::<u64>(),
    ) {
        let (world, with) = departure.build();
        let (before, limit) = (with.recent.removals, with.guard.max_removals);
        let running = Running { world, with, taken: BTreeSet::new() };
        let (broken, whole) = running.clone().calm()?.both(cut, weave)?;
        let more: Vec<&String> = broken.taken.difference(&whole.taken).collect();
        prop_assert!(more.is_empty(), "because of the crash {:?}", more);
        let (broken, _) = running.both(cut, weave)?;
        prop_assert!(broken.with.recent.removals <= limit.max(before));
    }
}
