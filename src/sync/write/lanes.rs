//! Which memberships are written at the same time, and in which order.
//!
//! Two lanes, each a connection of its own where the pool has two, keep two of
//! the database's processors busy. The users are cut into two stripes and the
//! teams into two halves; each lane has a stripe of its own, and they write
//! first in different halves of the teams, then each in the other one. More
//! stripes would keep more of a large table's pages at hand, but every stripe
//! rewrites every roster, which costs more than it saves.
//!
//! Invariant: every membership is in exactly one field; the two fields of a
//! step share neither a user nor a team, so that the lanes never wait for each
//! other and cannot lock each other out.
//! Must not: wait, write, or know a clock.

use std::ops::Range;

use crate::model::ids::UserId;
use crate::plan::{Member, RosterChange};

/// Fewer memberships are written one after the other.
const WORTH_TWO_LANES: usize = 10_000;

/// Ids that are looked at to cut the users into stripes of one size.
const SAMPLE: usize = 4_096;

/// Memberships of some users in some teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Of the list of changes.
    pub(super) teams: Range<usize>,
    /// From this user on.
    from: Option<UserId>,
    /// To before this user.
    to: Option<UserId>,
}

/// What is written at the same time.
pub(super) type Step = [Option<Field>; 2];

impl Field {
    /// Those of these members, sorted by user, who are in the field.
    pub(super) fn part<'a>(&self, members: &'a [Member]) -> &'a [Member] {
        let before = |bound: &Option<UserId>, none: usize| match bound {
            Some(bound) => members.partition_point(|member| member.user < *bound),
            None => none,
        };
        let first = before(&self.from, 0);
        let end = before(&self.to, members.len());
        members.get(first..end).unwrap_or_default()
    }
}

/// The steps in which these changes are written.
pub(super) fn steps(changes: &[&RosterChange]) -> Vec<Step> {
    let sizes = || changes.iter().map(|c| c.add.len() + c.repair.len());
    let all: usize = sizes().sum();
    let teams = 0..changes.len();
    if all < WORTH_TWO_LANES {
        let (from, to) = (None, None);
        return vec![[Some(Field { teams, from, to }), None]];
    }
    let cut = cut(changes, all);
    let middle = middle(sizes(), all);
    let below = |teams: Range<usize>| Field {
        teams,
        from: None,
        to: cut.clone(),
    };
    let above = |teams: Range<usize>| Field {
        teams,
        from: cut.clone(),
        to: None,
    };
    let (front, back) = (0..middle, middle..changes.len());
    vec![
        [Some(below(front.clone())), Some(above(back.clone()))],
        [Some(below(back)), Some(above(front))],
    ]
}

/// The user before whom about half of the memberships are.
fn cut(changes: &[&RosterChange], all: usize) -> Option<UserId> {
    let members = changes.iter().flat_map(|c| c.add.iter().chain(&c.repair));
    let mut sample: Vec<&UserId> = members
        .step_by(all / SAMPLE + 1)
        .map(|member| &member.user)
        .collect();
    sample.sort_unstable();
    sample.get(sample.len() / 2).map(|user| (*user).clone())
}

/// Where the second half of the memberships begins.
fn middle(sizes: impl Iterator<Item = usize>, all: usize) -> usize {
    let mut sum = 0;
    sizes
        .take_while(|size| {
            sum += size;
            sum <= all / 2
        })
        .count()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use uuid::Uuid;

    use super::*;
    use crate::model::ids::{GroupId, PersonId};

    fn member(number: usize) -> Member {
        // As the simulator's ids: spread over the whole range.
        let person = PersonId::new(Uuid::from_u128(
            (number as u128).wrapping_mul(u128::MAX / 65_521),
        ));
        Member {
            user: UserId::new(person.to_string()),
            person,
        }
    }

    fn change(number: u128, members: impl IntoIterator<Item = usize>) -> RosterChange {
        let mut add: Vec<Member> = members.into_iter().map(member).collect();
        add.sort_unstable();
        let repair = add.split_off(add.len() - add.len() / 10);
        RosterChange {
            group: GroupId::new(Uuid::from_u128(number)),
            add,
            repair,
            restored: Vec::new(),
            roster: 0,
        }
    }

    /// Every membership of every field, with how often it comes.
    fn covered(changes: &[&RosterChange], steps: &[Step]) -> BTreeMap<(GroupId, UserId), usize> {
        let mut covered = BTreeMap::new();
        for field in steps.iter().flatten().flatten() {
            for change in &changes[field.teams.clone()] {
                let parts = [field.part(&change.add), field.part(&change.repair)];
                for member in parts.into_iter().flatten() {
                    *covered
                        .entry((change.group, member.user.clone()))
                        .or_default() += 1;
                }
            }
        }
        covered
    }

    fn hold(changes: &[RosterChange]) -> Vec<Step> {
        let changes: Vec<&RosterChange> = changes.iter().collect();
        let steps = steps(&changes);
        let covered = covered(&changes, &steps);
        let all: usize = changes.iter().map(|c| c.add.len() + c.repair.len()).sum();
        assert_eq!(covered.len(), all, "every one");
        assert!(covered.values().all(|times| *times == 1), "and once");
        for step in &steps {
            let [one, other] = step.each_ref().map(|field| {
                let of = [field.clone(), None];
                let covered = self::covered(&changes, &[of]);
                let teams: BTreeSet<GroupId> = covered.keys().map(|(group, _)| *group).collect();
                let users: BTreeSet<UserId> = covered.into_keys().map(|(_, user)| user).collect();
                (teams, users)
            });
            assert!(one.0.is_disjoint(&other.0), "a team in both lanes");
            assert!(one.1.is_disjoint(&other.1), "a user in both lanes");
        }
        steps
    }

    #[test]
    fn few_memberships_are_written_one_after_the_other() {
        assert_eq!(hold(&[]).len(), 1);
        let steps = hold(&[change(1, 0..5_000), change(2, 2_000..6_999)]);
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0][1], None);
    }

    #[test]
    fn many_are_written_in_two_lanes_that_share_nothing_and_do_about_as_much() {
        let changes: Vec<RosterChange> = (0..40)
            .map(|team| {
                change(
                    team,
                    (0..6_000).filter(|n| (n * 7 + team as usize).is_multiple_of(8)),
                )
            })
            .collect();
        let steps = hold(&changes);
        assert_eq!(steps.len(), 2);
        let references: Vec<&RosterChange> = changes.iter().collect();
        for field in steps.iter().flatten().flatten() {
            let part = covered(&references, &[[Some(field.clone()), None]]).len();
            assert!(
                (6_500..8_500).contains(&part),
                "{part} of 30,000 in {field:?}"
            );
        }
    }

    #[test]
    fn one_large_team_is_in_one_lane_at_a_time() {
        let steps = hold(&[change(1, 0..60_000)]);
        for step in steps {
            let busy = step
                .iter()
                .flatten()
                .filter(|field| !field.teams.is_empty());
            assert_eq!(busy.count(), 1);
        }
    }

    #[test]
    fn one_user_in_all_teams_leaves_nothing_out() {
        let changes: Vec<RosterChange> = (0..12_000).map(|team| change(team, [7])).collect();
        hold(&changes);
    }
}
