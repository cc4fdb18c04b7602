//! The teams of `default_internal_user_params.teams`: every new user joins
//! them, once.
//!
//! Invariant: only people whom a pass inserts, or whose join the ledger still
//! holds as due, are added; who was added, or taken out by a person later, is
//! never added again. Nobody's membership here is managed.

use std::collections::BTreeSet;

use super::World;
use super::change::{DefaultTeamChange, Member, Plan};
use super::desired::skipped;
use super::people::Bound;
use crate::model::ids::{PersonId, TeamId};
use crate::model::report::Kind;

/// Plans the joins of new users, and those that an earlier pass left undone.
/// Who joins such a team through a group anyway joins it as the group's member.
pub(super) fn decide(world: World<'_>, bound: &Bound, newcomers: &[Member], plan: &mut Plan) {
    let configured = &world.policy.user_defaults.teams;
    for team in configured {
        let due = due(world, &team.team);
        let waiting = due.iter().filter_map(|person| {
            bound.get(person).map(|user| Member {
                user: user.clone(),
                person: *person,
            })
        });
        let joining: BTreeSet<Member> = newcomers.iter().cloned().chain(waiting).collect();
        if joining.is_empty() {
            continue;
        }
        let (add, settled) = if is_there(world, plan, &team.team) {
            let listed = rosters(world, plan, &team.team);
            joining
                .into_iter()
                .partition(|member| !listed.contains(member.user.as_str()))
        } else {
            // LiteLLM tries no second time either.
            plan.skipped
                .push(skipped(Kind::Team, &team.team, "default_team_missing"));
            (Vec::new(), joining.into_iter().collect::<Vec<_>>())
        };
        let settled = settled.into_iter().map(|member| member.person);
        let settled = settled.filter(|person| due.binary_search(person).is_ok());
        plan.adopted
            .default_teams
            .extend(settled.map(|person| (team.team.clone(), person)));
        if !add.is_empty() {
            plan.default_teams.push(DefaultTeamChange {
                team: team.clone(),
                add,
            });
        }
    }
    for (team, people) in &world.owned.due_default_teams {
        if configured.iter().all(|wanted| wanted.team != *team) {
            let dropped = people.iter().map(|person| (team.clone(), *person));
            plan.adopted.default_teams.extend(dropped);
        }
    }
}

fn due<'a>(world: World<'a>, team: &TeamId) -> &'a [PersonId] {
    let due = world.owned.due_default_teams.get(team);
    due.map_or(&[][..], Vec::as_slice)
}

fn is_there(world: World<'_>, plan: &Plan, team: &TeamId) -> bool {
    world.target.teams.contains_key(team)
        || team
            .group()
            .is_some_and(|group| plan.teams.iter().any(|t| t.group() == group))
}

/// Who is on the team's roster, or will be through a group.
fn rosters<'a>(world: World<'a>, plan: &'a Plan, team: &TeamId) -> BTreeSet<&'a str> {
    let present = world.target.teams.get(team);
    let present = present.into_iter().flat_map(|row| &row.roster);
    let group = team.group();
    let planned = plan.rosters.iter().filter(|r| Some(r.group) == group);
    present
        .map(|entry| entry.user.as_str())
        .chain(
            planned
                .flat_map(|roster| &roster.add)
                .map(|member| member.user.as_str()),
        )
        .collect()
}
