//! What a plan looks like depends on the world alone: not on the order in which
//! it was read, and not on what its names would like to pretend.

use std::collections::HashMap;
use std::hash::Hash;

use entra_sync::model::ids::PersonId;
use entra_sync::model::role::Role;
use entra_sync::plan::{Adopted, Item, Plan, TeamChange, UserChange, render};
use proptest::prelude::*;

use crate::build::{Universe, whole};
use crate::config;
use crate::world::seeds;

/// The same pairs, put in from the other end: with a new hasher and another
/// history, the map is walked in another order.
fn rebuilt<K: Clone + Ord + Hash, V: Clone>(map: &HashMap<K, V>) -> HashMap<K, V> {
    let mut pairs: Vec<(K, V)> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    pairs.sort_by(|(a, _), (b, _)| b.cmp(a));
    let mut map = HashMap::with_capacity(64);
    map.extend(pairs);
    map
}

pub fn shuffled(world: &Universe, keys: &[u32]) -> Universe {
    let mut other = world.clone();
    let mut assignments = other.directory.assignments.get().clone();
    let mut position = 0;
    assignments.sort_by_cached_key(|_| {
        position += 1;
        keys.get(position % keys.len().max(1))
            .map(|key| key.rotate_left(position as u32))
    });
    other.directory.assignments = whole(assignments);
    other.directory.people = rebuilt(&other.directory.people);
    other.target.verified_subjects = rebuilt(&other.target.verified_subjects);
    other.owned.people = rebuilt(&other.owned.people);
    other.policy.user_defaults.teams.reverse();
    other
}

fn text(plan: &Plan) -> String {
    let mut text = Vec::new();
    render::text(plan, &mut text).expect("a vector takes every byte");
    String::from_utf8(text).expect("a plan is shown in UTF-8")
}

fn drift(plan: &Plan) -> Vec<Item> {
    plan.items().filter(Item::is_drift).collect()
}

/// Characters that move the cursor or turn the direction of a line.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0x061c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff)
}

/// A plan that differs from this one in one respect that LiteLLM would notice.
fn altered(plan: &Plan, which: usize) -> Option<Plan> {
    let mut other = plan.clone();
    match which {
        0 => drop(other.organizations.pop()?),
        1 => drop(other.teams.pop()?),
        2 => drop(other.users.pop()?),
        3 => drop(other.rosters.pop()?),
        4 => drop(other.organization_members.pop()?),
        5 => drop(other.default_teams.pop()?),
        6 => {
            let roster = other
                .rosters
                .iter_mut()
                .find(|roster| !roster.add.is_empty())?;
            let member = roster.add.pop()?;
            roster.repair.push(member);
        }
        7 => match other.teams.first_mut()? {
            TeamChange::Create { models, .. } => {
                *models = match models {
                    None => Some(Vec::new()),
                    Some(_) => None,
                };
            }
            TeamChange::Update { .. } => return None,
        },
        8 => match other
            .users
            .iter_mut()
            .find(|u| matches!(u, UserChange::Create { .. }))?
        {
            UserChange::Create {
                role: Role::ProxyAdmin,
                ..
            }
            | UserChange::Update { .. } => {
                return None;
            }
            UserChange::Create { role, .. } => *role = Role::ProxyAdmin,
        },
        _ => {
            let team = other.default_teams.first_mut()?;
            team.team.max_budget = Some(7.0);
        }
    }
    Some(other)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_reading_does_not_matter(seed in seeds(), keys in any::<[u32; 4]>()) {
        let world = seed.build();
        let (plan, other) = (world.plan(), shuffled(&world, &keys).plan());
        prop_assert_eq!(&plan, &other);
        prop_assert_eq!(plan.digest(), other.digest());
        prop_assert_eq!(text(&plan), text(&other));
    }

    #[test]
    fn every_line_is_ours(seed in seeds()) {
        let plan = seed.build().plan();
        let text = text(&plan);
        let nothing = usize::from(plan.is_empty());
        let expected =
            nothing + plan.items().count() + plan.skipped.len() + plan.unreadable.len();
        prop_assert_eq!(text.lines().count(), expected, "{}", &text);
        for line in text.split('\n') {
            prop_assert!(!line.chars().any(is_deceptive), "{:?}", line);
        }
    }

    /// What a name says stays between its quotation marks: outside of them
    /// there are only our own words.
    #[test]
    fn no_name_leaves_its_quotation_marks(seed in seeds()) {
        let plan = seed.build().plan();
        for item in plan.items() {
            let mut line = Vec::new();
            render::line(&item, &mut line).expect("a vector takes every byte");
            let line = String::from_utf8(line).expect("a plan is shown in UTF-8");
            let outside = outside_of_quotes(&line);
            prop_assert!(
                !outside.contains("proxy_admin\"") && !outside.contains("create user x"),
                "{line}"
            );
            let fields = outside.matches("user_role:").count();
            prop_assert!(fields <= 1, "{line}");
        }
    }

    #[test]
    fn equal_plans_and_no_others_have_equal_digests(seed in seeds(), which in 0_usize..10) {
        let plan = seed.build().plan();
        let mut bookkeeping = plan.clone();
        bookkeeping.adopted = Adopted::default();
        prop_assert_eq!(bookkeeping.digest(), plan.digest());
        if let Some(other) = altered(&plan, which) {
            prop_assert_ne!(drift(&other), drift(&plan));
            prop_assert_ne!(other.digest(), plan.digest());
        }
    }

    #[test]
    fn an_object_is_listed_once_for_each_thing_that_happens_to_it(seed in seeds()) {
        let plan = seed.build().plan();
        let mut seen: HashMap<(&str, &str, String), u32> = HashMap::new();
        for item in plan.items() {
            *seen.entry((item.action, item.kind.as_str(), item.id)).or_default() += 1;
        }
        for (item, times) in seen {
            prop_assert_eq!(times, 1, "{:?}", item);
        }
        let mut people: Vec<PersonId> = plan.users.iter().map(UserChange::person).collect();
        people.sort();
        let all = people.len();
        people.dedup();
        prop_assert_eq!(people.len(), all);
    }
}

fn outside_of_quotes(line: &str) -> String {
    let (mut outside, mut quoted, mut escaped) = (String::new(), false, false);
    for character in line.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            other => outside.push(other),
        }
    }
    outside
}
