//! Worlds from which people and groups have gone, and what a second look at
//! them showed: true, contradicting, broken off, or never asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use entra_sync::model::directory::{Account, AppRoleState, Assignment, Principal, Unread};
use entra_sync::model::evidence::{Evidence, Whereabouts};
use entra_sync::model::ids::{TeamId, UserId};
use entra_sync::model::ledger::{Decisions, Lifted, Origin, Ours, Recent};
use entra_sync::model::policy::{
    DeprovisionSettings, GonePersonPolicy, GuardSettings, MembershipPolicy, UnassignedGroupPolicy,
};
use entra_sync::model::target::{Block, RosterEntry, TeamRole};
use entra_sync::plan::{self, Plan, Removal, Removals};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::apply::insert_sorted;
use crate::build::{Universe, group_id, people, person_id, whole};
use crate::world::{GROUPS, PEOPLE, Seed, seeds};

/// What the second reading of a group showed.
#[derive(Debug, Clone)]
pub enum Again {
    NotAsked,
    Failed,
    /// What the first showed.
    Same,
    Members(Vec<u8>),
}

/// A world, and everything else that a decision about removals asks for.
#[derive(Debug, Clone)]
pub struct Departure {
    pub seed: Seed,
    /// People who have a row and a ledger entry that agrees: the ordinary case.
    pub settled: BTreeSet<u8>,
    /// Whose managed member each of them is: a bit for each group and person.
    pub members: u16,
    /// People who are in no reading.
    pub unseen: Vec<u8>,
    /// One of them, and somebody without a row of their own as whom LiteLLM
    /// has verified a login to the row of the first.
    pub handed_on: Option<(u8, u8)>,
    /// Groups that the assignment list lacks.
    pub unassigned: Vec<u8>,
    pub again: Vec<Again>,
    /// The same of direct members, where the others are transitive.
    pub direct_again: Vec<Again>,
    /// 0: not asked; 1: it broke off; 2: all groups are there; else what the
    /// first list showed.
    pub assignments_again: u8,
    /// 0: not looked up; then here, disabled, deleted, purged, unknown.
    pub whereabouts: Vec<u8>,
    /// 0: blocked by somebody else; 1: by us; 2: by us, and ended by hand
    /// since; 3: the same, and the ledger knows.
    pub blocked: Vec<(u8, u8)>,
    pub deactivated_by_us: Vec<u8>,
    pub adopted_teams: Vec<u8>,
    /// Group and person: taken out by an earlier pass. 0: as the seed has them
    /// now; else a write has brought the team's id back since, and of the other
    /// copies there is, 1: the roster, 2: TeamMembership, more: neither.
    pub taken_before: Vec<(u8, u8, u8)>,
    /// Teams whose roster cannot be read.
    pub broken_teams: Vec<u8>,
    /// Membership, unassigned group, disabled, deleted.
    pub settings: (bool, u8, bool, bool),
    pub grace_minutes: u64,
    pub limits: (u64, u8, u64, u64),
    /// What groups lost within the window.
    pub recent: Vec<(u8, u64)>,
    /// Which of the planned removals wait, and for how many minutes so far.
    pub waiting: (u16, i64),
    pub approved: u16,
    pub rejected: u16,
}

/// Beyond the [`Universe`], owned.
#[derive(Debug, Clone)]
pub struct Circumstances {
    pub deprovision: DeprovisionSettings,
    pub guard: GuardSettings,
    pub evidence: Evidence,
    pub waiting: BTreeMap<String, DateTime<Utc>>,
    pub decisions: Decisions,
    pub recent: Recent,
}

/// Every pass of these worlds runs at this time.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
}

pub fn plan_of(world: &Universe, with: &Circumstances) -> Plan {
    plan::plan(
        world.world(),
        Removals {
            deprovision: &with.deprovision,
            guard: &with.guard,
            evidence: &with.evidence,
            waiting: &with.waiting,
            decisions: &with.decisions,
            recent: &with.recent,
            now: now(),
        },
    )
}

/// Released, held or waiting.
pub fn all(plan: &Plan) -> Vec<Removal> {
    let deprovision = &plan.deprovision;
    let verdict = &deprovision.verdict;
    let waiting = deprovision.waiting.iter().map(|waiting| &waiting.removal);
    let decided = verdict.released.iter().chain(&verdict.held);
    let mut all: Vec<Removal> = decided.chain(waiting).cloned().collect();
    all.sort();
    all
}

/// With nothing that holds, delays or decides.
pub fn unguarded(with: &Circumstances) -> Circumstances {
    let mut free = with.clone();
    free.guard = GuardSettings {
        max_removals: u64::MAX,
        max_removal_percent: 100,
        min_managed: u64::MAX,
        window: Duration::from_secs(3600),
    };
    free.decisions = Decisions::default();
    free.deprovision.grace = Duration::ZERO;
    free.recent = Recent::default();
    free
}

fn again() -> impl Strategy<Value = Again> {
    prop_oneof![
        1 => Just(Again::NotAsked),
        1 => Just(Again::Failed),
        5 => Just(Again::Same),
        2 => vec(0..PEOPLE, 0..4).prop_map(Again::Members),
    ]
}

/// Worlds of every kind, as [`seeds`] makes them, with departures.
pub fn departures() -> impl Strategy<Value = Departure> {
    let gone = (
        prop::collection::btree_set(0..PEOPLE, 0..=PEOPLE as usize),
        vec(0..PEOPLE, 0..3),
        vec(0..GROUPS, 0..2),
        any::<u16>(),
        option::weighted(0.1, (0..PEOPLE, 0..PEOPLE)),
    );
    let evidence = (
        vec(again(), GROUPS as usize),
        0_u8..6,
        vec(0_u8..6, PEOPLE as usize),
        vec(again(), GROUPS as usize),
    );
    let ledger = (
        vec((0..GROUPS, 0_u8..4), 0..2),
        vec(0..PEOPLE, 0..2),
        vec(0..GROUPS, 0..2),
        option::weighted(0.1, 0..GROUPS),
        vec((0..GROUPS, 0..PEOPLE, 0_u8..6), 0..3),
    );
    let settings = (
        (
            prop::bool::weighted(0.2),
            0_u8..4,
            prop::bool::weighted(0.2),
            prop::bool::weighted(0.2),
        ),
        option::weighted(0.3, 1_u64..90).prop_map(|grace| grace.unwrap_or(0)),
    );
    let limits = (
        prop_oneof![1 => 0_u64..8, 2 => Just(500)],
        prop_oneof![1 => 0_u8..=100, 1 => Just(100)],
        0_u64..8,
        prop_oneof![2 => Just(0), 1 => 0_u64..6],
    );
    let recent = vec((0..GROUPS, 0_u64..6), 0..2);
    // Each removal may wait, be approved or rejected.
    let decided = (
        (any::<u16>(), 0_i64..90),
        option::weighted(0.4, any::<u16>()).prop_map(Option::unwrap_or_default),
        option::weighted(0.4, any::<u16>()).prop_map(Option::unwrap_or_default),
    );
    (
        seeds(),
        gone,
        evidence,
        ledger,
        (settings, limits, decided, recent),
    )
        .prop_map(
            |(
                seed,
                gone,
                evidence,
                ledger,
                ((settings, grace_minutes), limits, decided, recent),
            )| Departure {
                seed,
                settled: gone.0,
                members: gone.3,
                handed_on: gone.4.filter(|(from, to)| from != to),
                unseen: gone.1,
                unassigned: gone.2,
                again: evidence.0,
                assignments_again: evidence.1,
                whereabouts: evidence.2,
                direct_again: evidence.3,
                blocked: ledger.0,
                deactivated_by_us: ledger.1,
                adopted_teams: ledger.2,
                broken_teams: ledger.3.into_iter().collect(),
                taken_before: ledger.4,
                settings,
                grace_minutes,
                limits,
                recent,
                waiting: decided.0,
                approved: decided.1,
                rejected: decided.2,
            },
        )
}

impl Departure {
    pub fn build(&self) -> (Universe, Circumstances) {
        let mut world = self.settled_seed().build();
        self.leave(&mut world);
        self.remember(&mut world);
        let mut with = Circumstances {
            deprovision: self.settings(),
            guard: GuardSettings {
                max_removals: self.limits.0,
                max_removal_percent: self.limits.1,
                min_managed: self.limits.2,
                window: Duration::from_secs(3600),
            },
            evidence: self.evidence(&world),
            waiting: BTreeMap::new(),
            decisions: Decisions::default(),
            recent: Recent {
                people: BTreeSet::new(),
                removals: self.limits.3,
                by_group: self
                    .recent
                    .iter()
                    .map(|(g, n)| (group_id(*g), *n))
                    .collect(),
            },
        };
        self.decide(&world, &mut with);
        (world, with)
    }

    /// Takes people and groups out of the reading.
    fn leave(&self, world: &mut Universe) {
        let unassigned: BTreeSet<_> = self.unassigned.iter().map(|g| group_id(*g)).collect();
        let handed_on = self.handed_on.iter().map(|(from, _)| from);
        let unseen = self.unseen.iter().chain(handed_on);
        let unseen: BTreeSet<_> = unseen.map(|person| person_id(*person)).collect();
        let directory = &mut world.directory;
        directory
            .groups
            .retain(|group, _| !unassigned.contains(group));
        directory
            .people
            .retain(|person, _| !unseen.contains(person));
        directory
            .unread_people
            .retain(|person, _| !unseen.contains(person));
        let mut assignments = directory.assignments.get().clone();
        assignments.retain(|assignment| match assignment.principal {
            Principal::Group(group) => !unassigned.contains(&group),
            Principal::Person(person) => !unseen.contains(&person),
        });
        directory.assignments = whole(assignments);
        for group in directory.groups.values_mut() {
            let present = |list: &Vec<_>| {
                let list = list.iter().copied();
                whole(list.filter(|person| !unseen.contains(person)).collect())
            };
            if let Ok(members) = &group.members {
                group.members = Ok(present(members.get()));
            }
            let direct = group.direct_members.as_ref();
            group.direct_members = direct.map(|direct| present(direct.get()));
        }
    }

    /// What the ledger says of blocks, deactivations and adoptions.
    fn remember(&self, world: &mut Universe) {
        for (group, whose) in &self.blocked {
            let group = group_id(*group);
            if let (Some(team), 0 | 1) = (world.target.teams.get_mut(&TeamId::of(group)), whose) {
                team.block = Block::Blocked;
            }
            if let Some(team) = world.owned.teams.get_mut(&group) {
                (team.block, team.lifted) = match whose {
                    0 => (Ours::No, Lifted::No),
                    1 | 2 => (Ours::Yes, Lifted::No),
                    _ => (Ours::No, Lifted::Yes),
                };
            }
        }
        for person in &self.deactivated_by_us {
            if let Some(owned) = world.owned.people.get_mut(&person_id(*person)) {
                owned.deactivation = Ours::Yes;
            }
        }
        for group in &self.broken_teams {
            let team = TeamId::of(group_id(*group));
            if world.target.teams.remove(&team).is_some() {
                let sentence = "its roster cannot be read".to_owned();
                world.target.broken_teams.insert(team, sentence);
            }
        }
        for (group, person, now) in &self.taken_before {
            let (group, user) = (group_id(*group), person_id(*person).to_string());
            let user = UserId::new(user);
            let taken = world.owned.taken_members.entry(group).or_default();
            insert_sorted(taken, user.clone());
            let team = TeamId::of(group);
            let rows = (
                world.target.users.get_mut(&user),
                world.target.teams.get_mut(&team),
            );
            let (Some(named), Some(row), 1..) = (rows.0, rows.1, *now) else {
                continue;
            };
            insert_sorted(&mut named.teams, team);
            row.roster.retain(|entry| entry.user != user);
            row.memberships.retain(|member| *member != user);
            let role = TeamRole::User;
            match now {
                1 => insert_sorted(&mut row.roster, RosterEntry { user, role }),
                2 => insert_sorted(&mut row.memberships, user),
                _ => {}
            }
        }
        for group in &self.adopted_teams {
            if let Some(team) = world.owned.teams.get_mut(&group_id(*group)) {
                team.origin = Origin::Adopted;
            }
        }
    }

    fn settings(&self) -> DeprovisionSettings {
        let gone = |keep| match keep {
            true => GonePersonPolicy::Keep,
            false => GonePersonPolicy::Deactivate,
        };
        let (keep, unassigned, disabled, deleted) = self.settings;
        DeprovisionSettings {
            membership: match keep {
                true => MembershipPolicy::Keep,
                false => MembershipPolicy::Remove,
            },
            unassigned_group: match unassigned {
                0 => UnassignedGroupPolicy::Detach,
                1 => UnassignedGroupPolicy::Keep,
                2 => UnassignedGroupPolicy::Block,
                _ => UnassignedGroupPolicy::Delete,
            },
            disabled_user: gone(disabled),
            deleted_user: gone(deleted),
            grace: Duration::from_secs(self.grace_minutes * 60),
        }
    }

    fn evidence(&self, world: &Universe) -> Evidence {
        let mut evidence = Evidence::default();
        for (index, again) in (0..).zip(&self.again) {
            let id = group_id(index);
            let first = world.directory.groups.get(&id).map(|group| &group.members);
            let answer = match again {
                Again::NotAsked => continue,
                Again::Failed => Err(Unread::Failed("broke off".to_owned())),
                Again::Same => match first {
                    Some(Ok(members)) => Ok(whole(members.get().clone())),
                    _ => continue,
                },
                Again::Members(list) => Ok(whole(people(list))),
            };
            evidence.groups.insert(id, answer);
        }
        for (index, again) in (0..).zip(&self.direct_again) {
            let id = group_id(index);
            let first = world.directory.groups.get(&id);
            // Asked for where the first list of members is not the direct one.
            let Some(direct) = first.and_then(|group| group.direct_members.as_ref()) else {
                continue;
            };
            let answer = match again {
                Again::NotAsked => continue,
                Again::Failed => Err(Unread::Failed("broke off".to_owned())),
                Again::Same => Ok(direct.clone()),
                Again::Members(list) => Ok(whole(people(list))),
            };
            evidence.direct.insert(id, answer);
        }
        for (index, place) in (0..).zip(&self.whereabouts) {
            let place = match place {
                0 => continue,
                1 => Whereabouts::Present(Account::Enabled),
                2 => Whereabouts::Present(Account::Disabled),
                3 => Whereabouts::SoftDeleted,
                4 => Whereabouts::Purged,
                _ => Whereabouts::Unknown("the look-up broke off".to_owned()),
            };
            evidence.people.insert(person_id(index), place);
        }
        let first = world.directory.assignments.get();
        evidence.assignments = match self.assignments_again {
            0 => None,
            1 => Some(Err(Unread::Failed("broke off".to_owned()))),
            2 => {
                let all = (0..GROUPS).map(|group| Assignment {
                    principal: Principal::Group(group_id(group)),
                    role: crate::build::role_id(0),
                });
                Some(Ok(whole(first.iter().cloned().chain(all).collect())))
            }
            // Rows that the first list lacked: what it showed gives a role.
            4 => {
                let shown = world.directory.groups.iter();
                let shown = shown.filter(|(_, group)| group.members.is_ok());
                let given = shown.map(|(group, _)| Assignment {
                    principal: Principal::Group(*group),
                    role: crate::build::role_id(2),
                });
                Some(Ok(whole(first.iter().cloned().chain(given).collect())))
            }
            _ => Some(Ok(whole(first.clone()))),
        };
        if matches!(evidence.assignments, Some(Ok(_))) {
            evidence.roles.clone_from(&world.directory.roles);
            if self.assignments_again == 3 {
                // Enabled in between, or disabled in one replica only.
                for role in evidence.roles.values_mut() {
                    role.state = AppRoleState::Enabled;
                }
            }
        }
        evidence
    }

    /// Lets some of what would be taken away wait, and decides about some.
    fn decide(&self, world: &Universe, with: &mut Circumstances) {
        let planned = all(&plan_of(world, &unguarded(with)));
        let (waits, minutes) = self.waiting;
        let since = now() - TimeDelta::minutes(minutes);
        for (bit, removal) in (0..16).zip(&planned) {
            let is_set = |mask: u16| mask & (1 << bit) != 0;
            if is_set(waits) {
                with.waiting.insert(removal.key(), since);
            }
            if is_set(self.rejected) {
                with.decisions.rejected.insert(removal.key());
            } else if is_set(self.approved) {
                with.decisions
                    .approved
                    .insert(removal.key(), removal.weight());
            }
        }
    }
}
