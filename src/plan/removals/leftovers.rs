//! Users whose `teams` name a team again that we took them out of.
//!
//! LiteLLM writes a user's `teams` whole in some places, from what it had read
//! some time before (litellm-contract 5). Where we took a membership away in
//! between, the team's id is back, in this one copy: the membership is nobody's
//! any more, so nothing else would ever look at it, and LiteLLM lets a session
//! of its command line use whatever team this copy names.
//!
//! Invariant: only of users whom we took out, whom neither the roster nor
//! TeamMembership has, and whom Entra does not want there. Whoever is on the
//! roster was put there by somebody, and a group that was not read says nothing.

use std::collections::HashSet;

use super::{Forgotten, Removals};
use crate::model::ids::{GroupId, PersonId, TeamId, UserId};
use crate::model::policy::MembershipPolicy;
use crate::plan::World;
use crate::plan::change::{Member, Plan};
use crate::plan::desired::Desired;
use crate::plan::people::Bound;

/// Users whose `teams` name a team that we took them out of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The group the team stands for.
    pub group: GroupId,
    /// Who, sorted.
    pub users: Vec<UserId>,
}

/// Finds them, by group.
pub(super) fn find(
    world: World<'_>,
    removals: Removals<'_>,
    (desired, bound): (&Desired<'_>, &Bound),
    plan: &Plan,
    forgotten: &Forgotten,
) -> Vec<Leftover> {
    let kept = removals.deprovision.membership == MembershipPolicy::Keep;
    if kept || !world.scope.is_everything() {
        return Vec::new();
    }
    let mut leftovers = Vec::new();
    for (group, taken) in &world.owned.taken_members {
        let Some(wanted) = wanted(world, desired, *group) else {
            continue;
        };
        let mut users = only_mentioned(world, *group, taken);
        if users.is_empty() {
            continue;
        }
        let managed = world.owned.team_members.get(group).into_iter().flatten();
        let is_forgotten = |member: &&Member| {
            let key = (*group, (*member).clone());
            forgotten.team_members.binary_search(&key).is_ok()
        };
        let managed = managed.filter(|member| !is_forgotten(member));
        let managed = managed.map(|member| member.user.clone());
        let mut spared = spared(world, bound, plan, *group, wanted);
        spared.extend(managed);
        users.retain(|user| !spared.contains(user));
        if !users.is_empty() {
            leftovers.push(Leftover {
                group: *group,
                users,
            });
        }
    }
    leftovers
}

/// Whom Entra wants in this group; `None` when that is not known, or filters
/// freeze the group as it is.
fn wanted<'a>(world: World<'_>, desired: &Desired<'a>, group: GroupId) -> Option<&'a [PersonId]> {
    if world.directory.groups.contains_key(&group) {
        return desired.groups.get(&group).map(|group| group.members);
    }
    world.policy.groups.admits(group).then_some(&[])
}

/// Those whose `teams` name the team, while the other two copies do not have
/// them.
fn only_mentioned(world: World<'_>, group: GroupId, users: &[UserId]) -> Vec<UserId> {
    let team = TeamId::of(group);
    // A roster that cannot be read says nothing; a team that is gone has none.
    if world.target.broken_teams.contains_key(&team) {
        return Vec::new();
    }
    let row = world.target.teams.get(&team);
    let is_named = |user: &UserId| {
        let there = world.target.users.get(user);
        there.is_some_and(|row| row.teams.binary_search(&team).is_ok())
    };
    let is_nothing_else = |user: &UserId| {
        row.is_none_or(|row| {
            let on_roster = row.roster.binary_search_by(|entry| entry.user.cmp(user));
            on_roster.is_err() && row.memberships.binary_search(user).is_err()
        })
    };
    users
        .iter()
        .filter(|user| is_named(user) && is_nothing_else(user))
        .cloned()
        .collect()
}

/// Users whom something else of this pass, or our own record, still puts there.
fn spared(
    world: World<'_>,
    bound: &Bound,
    plan: &Plan,
    group: GroupId,
    people: &[PersonId],
) -> HashSet<UserId> {
    // The reading's word goes before the ledger's.
    let rows = people.iter().filter_map(|person| {
        let known = world.owned.people.get(person).map(|known| &known.user);
        bound.get(person).or(known)
    });
    let team = TeamId::of(group);
    let joining = plan.default_teams.iter();
    let joining = joining
        .filter(|change| change.team.team == team)
        .flat_map(|change| change.add.iter().map(|member| &member.user));
    rows.chain(joining).cloned().collect()
}
