//! A pass that looks only at what has changed comes to where one comes that
//! compares everything; and what is known after news is what a full reading
//! would show.

mod doubt;
mod narrowing;
mod telling;

use std::collections::BTreeMap;
use std::time::Duration;

use entra_sync::model::directory::{Attributes, Directory};
use entra_sync::model::ids::PersonId;
use entra_sync::model::known::Touched;
use entra_sync::model::ledger::Ours;
use entra_sync::model::policy::{GuardSettings, Limit, Scope};
use entra_sync::plan::following::{
    Agreement, Told, contradicted, in_doubt, mentioned, needs, turn,
};
use entra_sync::plan::{Adopted, Item, Plan};
use proptest::collection;
use proptest::prelude::*;

use crate::build::{Universe, person_id, whole};
use crate::config;
use crate::departures::{Circumstances, Departure, departures, plan_of, unguarded};
use crate::world::PEOPLE;
use narrowing::{like, narrowed};
use telling::{Known, Noise, known, normal, shown, telling, truth, turned};

/// More passes than any world needs to come to rest.
const ENOUGH: usize = 5;

/// A world at rest, and what its directory becomes.
struct Moved {
    world: Universe,
    with: Circumstances,
    /// The same with a guard.
    guarded: Circumstances,
    next: Directory,
    /// What the pass before left to look at once more.
    open: Touched,
}

/// What a pass over everything decides where every second look agrees.
fn pass(world: &Universe, with: &Circumstances) -> Plan {
    let mut with = with.clone();
    with.evidence = truth(&world.directory, &with.evidence);
    plan_of(world, &with)
}

fn is_at_rest(plan: &Plan) -> bool {
    plan.is_empty()
        && plan.adopted == Adopted::default()
        && plan.deprovision.forgotten == Default::default()
        && plan.deprovision.leftovers.is_empty()
}

fn moved(departure: &Departure, other: &Departure) -> Result<Option<Moved>, TestCaseError> {
    let (mut world, guarded) = departure.build();
    let with = unguarded(&guarded);
    world.scope = Scope::Everything;
    // Who gets the last seat depends on everybody who has none.
    (world.policy.seats, world.policy.teams) = (Limit::Unlimited, Limit::Unlimited);
    world.directory = normal(&world.directory, &world.policy);
    for _ in 0..ENOUGH {
        let plan = pass(&world, &with);
        if is_at_rest(&plan) {
            // What is held or waits makes the next pass compare everything.
            let deprovision = &plan.deprovision;
            if !(deprovision.verdict.held.is_empty() && deprovision.waiting.is_empty()) {
                return Ok(None);
            }
            let Some(open) = plan.concerned() else {
                return Ok(None);
            };
            let (other, _) = other.build();
            let mut next = normal(&other.directory, &world.policy);
            // Other roles are compared with everything.
            next.roles.clone_from(&world.directory.roles);
            remembering(&mut next, &world.directory);
            return Ok(Some(Moved {
                world,
                with,
                guarded,
                next,
                open,
            }));
        }
        // Whether a plan can be applied is for other laws to say.
        let Ok(next) = world.after(&plan) else {
            return Ok(None);
        };
        world = next;
    }
    Ok(None)
}

/// What was known once is not unlearned because a reading could not show it.
fn remembering(next: &mut Directory, before: &Directory) {
    for (person, was) in &before.people {
        let withheld = next
            .people
            .get(person)
            .is_some_and(|read| read.attributes == Attributes::Unknown);
        if withheld || next.unread_people.remove(person).is_some() {
            next.people.insert(*person, was.clone());
        }
    }
}

/// What a plan does, without what it only mentions.
fn deeds(plan: &Plan) -> (Vec<String>, Vec<String>) {
    // What stale writes of LiteLLM leave behind is no change in Entra: it is
    // found when everything is compared.
    let leftover = |item: &Item| item.reason.contains("taken out before");
    let items = plan
        .items()
        .filter(|item| item.is_drift() && !leftover(item));
    let mut items: Vec<String> = items.map(|item| format!("{item:?}")).collect();
    items.sort();
    let mut forgotten = Vec::new();
    let over = &plan.deprovision.forgotten;
    forgotten.extend(over.team_members.iter().map(|gone| format!("{gone:?}")));
    forgotten.extend(
        over.organization_members
            .iter()
            .map(|gone| format!("{gone:?}")),
    );
    forgotten.extend(over.roles.iter().map(|gone| format!("{gone:?}")));
    forgotten.extend(over.deactivations.iter().map(|gone| format!("{gone:?}")));
    (items, forgotten)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_known_after_news_is_what_a_full_reading_shows(
        departure in departures(),
        other in departures(),
        noise in any::<Noise>(),
    ) {
        let Some(moved) = moved(&departure, &other)? else { return Ok(()) };
        let before = known(&moved.world.directory);
        let told = telling(&before, &moved.next, &moved.world.policy.groups, (&noise, &moved.with.evidence));
        let after = turned(&before, &told, &moved.world.policy.groups);
        let (expected, seen) = (shown(&known(&moved.next)), shown(&after));
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn the_same_news_again_change_nothing(
        departure in departures(),
        other in departures(),
        noise in any::<Noise>(),
    ) {
        let Some(moved) = moved(&departure, &other)? else { return Ok(()) };
        let before = known(&moved.world.directory);
        let filter = &moved.world.policy.groups;
        let told = telling(&before, &moved.next, filter, (&noise, &moved.with.evidence));
        let after = turned(&before, &told, filter);
        let again = turn(Told {
            outline: &after.outline,
            known: &after.people,
            news: &told.news,
            fresh: &told.fresh,
            filter,
        });
        prop_assert!(again.people.is_empty(), "{:#?}", again.people);
        prop_assert!(again.dropped.is_empty() && again.touched.people.is_empty());
        prop_assert_eq!(&again.outline, &after.outline);
        // And nothing more is asked for than a second look at what is unread.
        let mentioned = mentioned(&after.outline, &told.news);
        let people = after.people.iter().filter(|(person, _)| mentioned.contains(person));
        let people = people.map(|(person, known)| (*person, known.clone())).collect();
        let asked = needs(&after.outline, &people, &told.news, filter);
        prop_assert!(asked.members_of.is_empty());
    }

    #[test]
    fn looking_at_what_changed_comes_to_where_looking_at_everything_comes(
        departure in departures(),
        other in departures(),
        noise in any::<Noise>(),
        stays in prop::bool::weighted(0.3),
        more in collection::btree_set(0..PEOPLE, 0..3),
        limits in (0_u8..100, 0_u64..8),
    ) {
        let other = if stays { &departure } else { &other };
        let Some(moved) = moved(&departure, other)? else { return Ok(()) };
        let mut before = known(&moved.world.directory);
        let old = before.remembers_from_before(&moved.world.owned);
        let filter = &moved.world.policy.groups;
        let mut told = telling(&before, &moved.next, filter, (&noise, &moved.with.evidence));
        // What became of them was said before these rounds.
        let unseen = |person: &PersonId| !moved.next.people.contains_key(person);
        for person in old.iter().filter(|person| unseen(person)) {
            told.news.people.remove(person);
        }
        let turn = told.turn(&before, filter);
        let after = before.clone().after(&turn);
        let mut whole = moved.world.clone();
        whole.directory = after.doubting(&moved.next);
        let mut touched = turn.touched;
        for more in [moved.open, in_doubt(&after.outline)] {
            touched.people.extend(more.people);
            touched.groups.extend(more.groups);
        }
        // Looking at more people than there is need for changes nothing.
        touched.people.extend(more.into_iter().map(person_id));
        let ours = |person: &&PersonId| whole.owned.people.contains_key(person);
        touched.people.extend(told.news.people.keys().filter(ours));
        // Whoever had to share something with them before may have it now.
        let was = before.people.iter().filter(|(person, _)| touched.people.contains(person));
        let was = was.map(|(person, known)| (*person, known.clone())).collect();
        touched.people.extend(like(&after, &was));
        let mut with = moved.with.clone();
        let few = narrowed(&whole, &after, &touched, &with.recent.people);
        with.evidence = truth(&moved.next, &with.evidence);
        let (all, some) = (plan_of(&whole, &with), plan_of(&few, &with));
        prop_assert_eq!(deeds(&some), deeds(&all));
        prop_assert_eq!(some.unreadable, all.unreadable);
        prop_assert_eq!(some.adopted, all.adopted);

        // Nor does the guard judge otherwise because less was loaded.
        with.guard = GuardSettings {
            max_removals: 500,
            max_removal_percent: limits.0,
            min_managed: limits.1,
            window: Duration::from_secs(3600),
        };
        with.recent = moved.guarded.recent.clone();
        // Whoever lost access did so within the window, and some lost a role.
        let owned = whole.owned.people.iter();
        let lost = owned.filter(|(person, owned)| {
            owned.deactivation == Ours::Yes || person.as_uuid().as_u128().count_ones() % 4 == 0
        });
        with.recent.people = lost.map(|(person, _)| *person).collect();
        let few = narrowed(&whole, &after, &touched, &with.recent.people);
        let (all, some) = (plan_of(&whole, &with), plan_of(&few, &with));
        prop_assert_eq!(some.deprovision.verdict, all.deprovision.verdict);
    }

    /// A second look that says the same leaves nothing to look at again; one
    /// that lacks an assignment, or a role, leaves everything.
    #[test]
    fn what_a_second_look_contradicts_stays_open(departure in departures()) {
        let (world, with) = departure.build();
        let directory = normal(&world.directory, &world.policy);
        let mut evidence = truth(&directory, &with.evidence);
        let same = contradicted(&evidence, &directory, &Scope::Everything);
        prop_assert!(same.groups.is_empty() && same.assignments == Agreement::Alike);
        let mut fewer = directory.assignments.get().clone();
        if fewer.pop().is_some_and(|gone| !fewer.contains(&gone)) {
            evidence.assignments = Some(Ok(whole(fewer)));
            let other = contradicted(&evidence, &directory, &Scope::Everything);
            prop_assert_eq!(other.assignments, Agreement::Otherwise);
        }
        let mut evidence = truth(&directory, &with.evidence);
        if evidence.roles.pop_first().is_some() {
            let other = contradicted(&evidence, &directory, &Scope::Everything);
            prop_assert_eq!(other.assignments, Agreement::Otherwise);
        }
    }

    #[test]
    fn unchanged_means_nothing_to_look_at(departure in departures()) {
        let Some(moved) = moved(&departure, &departure)? else { return Ok(()) };
        let before = known(&moved.world.directory);
        let filter = &moved.world.policy.groups;
        let told = telling(&before, &moved.world.directory, filter, (&Noise::default(), &moved.with.evidence));
        let turn = told.turn(&before, filter);
        prop_assert!(turn.people.is_empty() && turn.dropped.is_empty());
        prop_assert!(turn.touched.people.is_empty());
        let unread = moved.world.directory.groups.values().any(|group| group.members.is_err());
        prop_assert!(unread || turn.touched.groups.is_empty(), "{:?}", turn.touched);
        let _: &BTreeMap<_, _> = &turn.outline.groups;
    }
}

impl Known {
    /// What is known after a turn.
    fn after(mut self, turn: &entra_sync::model::known::Turn) -> Self {
        for person in &turn.dropped {
            self.people.remove(person);
        }
        self.people.extend(turn.people.clone());
        self.outline = turn.outline.clone();
        self
    }
}
