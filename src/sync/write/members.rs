//! Members of teams and organizations, many memberships in a transaction.

use std::collections::HashSet;

use super::Tally;
use super::step::{Desk, Writable, refuse_once};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, Membership};
use crate::litellm::members::{Pair, Terms, ensure};
use crate::litellm::organizations;
use crate::model::ids::{GroupId, OrganizationId, TeamId, UserId};
use crate::model::ledger::Origin;
use crate::model::report::Kind;
use crate::plan::{Member, Plan, RosterChange, TAKEN_OUT};
use crate::sync::error::{Error, Result};

/// Memberships that one transaction adds. LiteLLM's own joins wait behind the
/// teams' locks for 2 s at most and then fail silently, so a transaction must
/// stay far below that, also where it rewrites a very long roster.
const BATCH: usize = 2_500;

/// Teams and organizations do not wait for each other: two connections, where
/// the pool has two, keep two of the database's processors busy.
pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let (mut teams, mut organizations) = (tally.absences(), tally.absences());
    let (in_teams, in_organizations) = futures::join!(
        team_members(desk, plan, &mut teams),
        organization_members(desk, plan, &mut organizations),
    );
    tally.absorb(teams);
    tally.absorb(organizations);
    in_teams.and(in_organizations)
}

async fn team_members(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let teams: Vec<(TeamId, &RosterChange)> = plan
        .rosters
        .iter()
        .filter(|change| !tally.without_team.contains(&change.group))
        .map(|change| (TeamId::of(change.group), change))
        .collect();
    let mut batch: Vec<TeamMember<'_>> = Vec::new();
    // A million memberships are not listed at once: a batch is written as soon
    // as it is full.
    for (team, change) in &teams {
        let add = change
            .add
            .iter()
            .map(|member| (member, Why::of(member, &change.restored)));
        let repair = change.repair.iter().map(|member| (member, Why::Mended));
        for (member, why) in add.chain(repair) {
            if tally.without_row.contains(&member.user) {
                continue;
            }
            batch.push(TeamMember {
                team,
                group: Some(change.group),
                member,
                why,
                terms: Terms::MEMBER,
            });
            if batch.len() == BATCH {
                run(desk, &batch, tally).await?;
                batch.clear();
            }
        }
    }
    run(desk, &batch, tally).await?;
    default_teams(desk, plan, tally).await
}

/// Writes a batch; teams that somebody else worked on come once more, each
/// alone and with patience.
async fn run(desk: Desk<'_>, batch: &[TeamMember<'_>], tally: &mut Tally) -> Result<()> {
    desk.run(batch, BATCH, tally).await?;
    for team in std::mem::take(&mut tally.busy_teams) {
        let members: Vec<TeamMember<'_>> = batch
            .iter()
            .filter(|member| member.team.as_str() == team)
            .copied()
            .collect();
        desk.run(&members, BATCH, tally).await?;
    }
    Ok(())
}

async fn default_teams(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    for change in &plan.default_teams {
        // A team that could not be made is joined by the pass that makes it.
        let group = change.team.team.group();
        if group.is_some_and(|group| tally.without_team.contains(&group)) {
            continue;
        }
        let members: Vec<TeamMember<'_>> = change
            .add
            .iter()
            .filter(|member| !tally.without_row.contains(&member.user))
            .map(|member| TeamMember {
                team: &change.team.team,
                group: None,
                member,
                why: Why::Joins,
                terms: Terms {
                    role: change.team.role,
                    own_budget: change.team.max_budget,
                },
            })
            .collect();
        desk.run(&members, BATCH, tally).await?;
    }
    Ok(())
}

async fn organization_members(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let organizations: Vec<_> = plan
        .organization_members
        .iter()
        .filter(|change| !tally.without_organization.contains(&change.group))
        .map(|change| (OrganizationId::of(change.group), change))
        .collect();
    let mut batch: Vec<OrganizationMember<'_>> = Vec::new();
    for (organization, change) in &organizations {
        for member in &change.add {
            if tally.without_row.contains(&member.user) {
                continue;
            }
            batch.push(OrganizationMember {
                organization,
                group: change.group,
                member,
                why: Why::of(member, &change.restored),
            });
            if batch.len() == BATCH {
                desk.run(&batch, BATCH, tally).await?;
                batch.clear();
            }
        }
    }
    desk.run(&batch, BATCH, tally).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Joins,
    /// Somebody took them out.
    Returns,
    Mended,
}

impl Why {
    fn of(member: &Member, restored: &[UserId]) -> Self {
        match restored.binary_search(&member.user) {
            Ok(_) => Self::Returns,
            Err(_) => Self::Joins,
        }
    }
}

/// All of a batch join on the same terms.
#[derive(Clone, Copy)]
struct TeamMember<'a> {
    team: &'a TeamId,
    /// `None` for a default team: nobody's membership there is managed.
    group: Option<GroupId>,
    member: &'a Member,
    why: Why,
    terms: Terms,
}

impl TeamMember<'_> {
    fn key(&self) -> (&str, &str) {
        (self.team.as_str(), self.member.user.as_str())
    }
}

impl Writable for TeamMember<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(first) = items.first() else {
            return Ok(tally);
        };
        let pairs: Vec<Pair<'_>> = items
            .iter()
            .map(|item| Pair {
                team: item.team,
                user: &item.member.user,
            })
            .collect();
        let done = ensure(transaction, desk.writing, &pairs, first.terms).await?;
        for team in &done.without_team {
            let message = "the team was deleted in LiteLLM while this pass ran; the next pass \
                           decides about it anew";
            tally.error(Kind::Team, team, message);
        }
        for user in &done.without_row {
            let message = "the user's row was deleted in LiteLLM while this pass ran; the next \
                           pass decides about it anew";
            tally.error(Kind::User, user, message);
        }
        tally.busy_teams.extend(done.busy.iter().cloned());
        let set = |ids: &'_ [String]| ids.iter().cloned().collect::<HashSet<String>>();
        let (no_team, no_row) = (set(&done.without_team), set(&done.without_row));
        let busy = set(&done.busy);
        let joined: HashSet<(&str, &str)> = done
            .joined
            .iter()
            .map(|(team, user)| (team.as_str(), user.as_str()))
            .collect();
        let there: Vec<&Self> = items
            .iter()
            .filter(|item| {
                let (team, user) = item.key();
                !no_team.contains(team) && !busy.contains(team) && !no_row.contains(user)
            })
            .collect();
        let (added, present): (Vec<&Self>, Vec<&Self>) = there
            .into_iter()
            .partition(|item| joined.contains(&item.key()));
        // On the roster before us: a login was faster, or other copies had to
        // be mended.
        let mended: Vec<&Self> = present
            .iter()
            .copied()
            .filter(|item| item.why == Why::Mended)
            .collect();
        tally.counts.team_memberships.added += added.len() as u64;
        tally.counts.team_memberships.repaired += mended.len() as u64;

        let managed: Vec<Membership> = managed(&added, Origin::Created)
            .chain(managed(&present, Origin::Adopted))
            .collect();
        let source = desk.lease.source;
        ownership::record_team_members(transaction, source, &managed).await?;
        let joined = added.iter().chain(&present);
        let by_default: Vec<&&Self> = joined.filter(|item| item.group.is_none()).collect();
        let settled: Vec<_> = by_default
            .iter()
            .map(|item| (item.team, item.member.person))
            .collect();
        ownership::settle_default_teams(transaction, source, &settled).await?;
        // A membership of the group whose team it is has ended before: left in
        // the ledger, it would end this one too.
        let over: Vec<_> = by_default
            .iter()
            .filter_map(|item| Some((item.team.group()?, item.member.clone())))
            .collect();
        ownership::forget_team_members(transaction, source, &over).await?;
        let reason = match first.group {
            Some(_) => "member of the group",
            None => "new user, default_internal_user_params.teams",
        };
        let (returned, joined): (Vec<&Self>, Vec<&Self>) =
            added.iter().partition(|item| item.why == Why::Returns);
        record(desk, transaction, "add", reason, &joined).await?;
        record(desk, transaction, "add", TAKEN_OUT, &returned).await?;
        let reason = "copies of the membership disagreed";
        record(desk, transaction, "repair", reason, &mended).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let id = format!("{}/{}", self.team, self.member.user);
        let message = match self.group {
            Some(_) => format!("the member could not be added: {error}"),
            None => format!(
                "the new user could not be added to this default team: {error}; the next pass \
                 tries again"
            ),
        };
        tally.error(Kind::TeamMembership, id, message);
    }

    /// Nobody can join a team that stays locked.
    fn befalls_all(error: &Error) -> bool {
        error.is_forbidden() || error.is_about_a_team()
    }

    fn refuse_all(items: &[Self], error: &Error, tally: &mut Tally) {
        match items.first() {
            Some(first) if error.is_about_a_team() => {
                let message = format!("its members could not be added: {error}");
                tally.error(Kind::Team, first.team, message);
            }
            _ => refuse_once(items, error, tally),
        }
    }
}

fn managed<'a>(
    items: &'a [&TeamMember<'_>],
    origin: Origin,
) -> impl Iterator<Item = Membership> + 'a {
    items
        .iter()
        .filter_map(move |item| Some((item.group?, item.member.clone(), origin)))
}

async fn record(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    action: &str,
    reason: &str,
    items: &[&TeamMember<'_>],
) -> Result<()> {
    let members: Vec<(&str, &UserId)> = items
        .iter()
        .map(|item| (item.team.as_str(), &item.member.user))
        .collect();
    let change = MemberChange {
        action,
        kind: Kind::TeamMembership,
        reason,
        members: &members,
    };
    Ok(changes::record_members(transaction, desk.run, change).await?)
}

struct OrganizationMember<'a> {
    organization: &'a OrganizationId,
    group: GroupId,
    member: &'a Member,
    why: Why,
}

impl Writable for OrganizationMember<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let rows: Vec<(&OrganizationId, &UserId)> = items
            .iter()
            .map(|item| (item.organization, &item.member.user))
            .collect();
        let added = organizations::add_members(transaction, desk.writing, &rows).await?;
        let added: HashSet<(&str, &str)> = added
            .iter()
            .map(|(parent, user)| (parent.as_str(), user.as_str()))
            .collect();
        let new: Vec<&Self> = items
            .iter()
            .filter(|item| added.contains(&(item.organization.as_str(), item.member.user.as_str())))
            .collect();
        tally.counts.organization_memberships.added += new.len() as u64;
        let managed: Vec<Membership> = new
            .iter()
            .map(|item| (item.group, item.member.clone(), Origin::Created))
            .collect();
        ownership::record_organization_members(transaction, desk.lease.source, &managed).await?;
        let (returned, joined): (Vec<&Self>, Vec<&Self>) =
            new.iter().partition(|item| item.why == Why::Returns);
        let reason = "member of the group, create_organizations is on";
        for (reason, items) in [(reason, joined), (TAKEN_OUT, returned)] {
            let members: Vec<(&str, &UserId)> = items
                .iter()
                .map(|item| (item.organization.as_str(), &item.member.user))
                .collect();
            let change = MemberChange {
                action: "add",
                kind: Kind::OrganizationMembership,
                reason,
                members: &members,
            };
            changes::record_members(transaction, desk.run, change).await?;
        }
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let id = format!("{}/{}", self.organization, self.member.user);
        let message = format!("the member could not be added: {error}");
        tally.error(Kind::OrganizationMembership, id, message);
    }
}
