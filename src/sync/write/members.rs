//! Members of teams, many memberships in a transaction.

use std::collections::HashSet;

use super::Tally;
use super::lanes::{Field, steps};
use super::organization_members;
use super::pace::{Load, Pace};
use super::step::{Desk, Writable, refuse_once};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, Membership};
use crate::litellm::members::{Pair, Terms, ensure};
use crate::model::ids::{GroupId, TeamId, UserId};
use crate::model::ledger::Origin;
use crate::model::report::Kind;
use crate::plan::{Member, Plan, RosterChange, TAKEN_OUT};
use crate::sync::error::{Error, Result};

/// Memberships that one transaction adds at most, rosters that it rewrites
/// counted in. LiteLLM's own joins wait behind the teams' locks for 2 s at most
/// and then fail silently, so a transaction must stay far below that.
const BATCH: usize = 2_500;

/// Teams and organizations do not wait for each other: two connections, where
/// the pool has two, keep two of the database's processors busy.
pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let (mut teams, mut organizations) = (tally.absences(), tally.absences());
    let (in_teams, in_organizations) = futures::join!(
        team_members(desk, plan, &mut teams),
        organization_members::write(desk, plan, &mut organizations),
    );
    tally.absorb(teams);
    tally.absorb(organizations);
    in_teams.and(in_organizations)
}

async fn team_members(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let changes: Vec<&RosterChange> = plan
        .rosters
        .iter()
        .filter(|change| !tally.without_team.contains(&change.group))
        .collect();
    let teams: Vec<Team<'_>> = changes.iter().map(|change| Team::of(change)).collect();
    let mut paces = [Pace::of(BATCH), Pace::of(BATCH)];
    for step in steps(&changes) {
        let [one, other] = &mut paces;
        let [first, second] = step;
        let mut tallies = (tally.absences(), tally.absences());
        let ended = futures::join!(
            lane(desk, &teams, first, one, &mut tallies.0),
            lane(desk, &teams, second, other, &mut tallies.1),
        );
        tally.absorb(tallies.0);
        tally.absorb(tallies.1);
        ended.0.and(ended.1)?;
    }
    default_teams(desk, plan, tally).await
}

/// A team whose members change.
struct Team<'a> {
    id: TeamId,
    change: &'a RosterChange,
}

impl<'a> Team<'a> {
    fn of(change: &'a RosterChange) -> Self {
        Self {
            id: TeamId::of(change.group),
            change,
        }
    }
}

/// Writes the memberships of one field, a transaction after the other. A
/// million of them are not listed at once: a batch is written as soon as it is
/// full.
async fn lane(
    desk: Desk<'_>,
    teams: &[Team<'_>],
    field: Option<Field>,
    pace: &mut Pace,
    tally: &mut Tally,
) -> Result<()> {
    let Some(field) = field else {
        return Ok(());
    };
    let mut batch = Batch::default();
    for team in teams.get(field.teams.clone()).unwrap_or_default() {
        let change = team.change;
        let (add, repair) = (field.part(&change.add), field.part(&change.repair));
        // As if all the others were there already: some of them are.
        let mut roster = change.roster + change.add.len() - add.len();
        let joining = add
            .iter()
            .map(|member| (member, Why::of(member, &change.restored)));
        let mended = repair.iter().map(|member| (member, Why::Mended));
        let members: Vec<_> = joining
            .chain(mended)
            .filter(|(member, _)| !tally.without_row.contains(&member.user))
            .collect();
        let mut rest = members.as_slice();
        while !rest.is_empty() {
            if batch.load.is_full_for(roster, pace) {
                batch.write(desk, pace, tally).await?;
            }
            let taken = batch.take(team, roster, rest, pace);
            rest = rest.get(taken..).unwrap_or_default();
            roster += taken;
        }
    }
    batch.write(desk, pace, tally).await
}

/// What the next transaction writes.
#[derive(Default)]
struct Batch<'a> {
    members: Vec<TeamMember<'a>>,
    load: Load,
}

impl<'a> Batch<'a> {
    /// Takes as many members of this team as there is room for. Returns how many.
    fn take(
        &mut self,
        team: &'a Team<'a>,
        roster: usize,
        members: &[(&'a Member, Why)],
        pace: &Pace,
    ) -> usize {
        self.load.add_roster(roster);
        let before = self.members.len();
        for (member, why) in members {
            self.load.add_member();
            self.members.push(TeamMember {
                team: &team.id,
                group: Some(team.change.group),
                member,
                why: *why,
                terms: Terms::MEMBER,
            });
            if self.load.is_full(pace) {
                break;
            }
        }
        self.members.len() - before
    }

    /// Writes the transaction and begins the next; teams that somebody else
    /// worked on come once more, each alone and with patience.
    async fn write(&mut self, desk: Desk<'_>, pace: &mut Pace, tally: &mut Tally) -> Result<()> {
        let batch = std::mem::take(self);
        if batch.members.is_empty() {
            return Ok(());
        }
        let weight = batch.load.weight();
        desk.run_batch(&batch.members, weight, pace, tally).await?;
        for team in std::mem::take(&mut tally.busy_teams) {
            let members: Vec<TeamMember<'_>> = batch
                .members
                .iter()
                .filter(|member| member.team.as_str() == team)
                .copied()
                .collect();
            desk.run(&members, BATCH, tally).await?;
        }
        Ok(())
    }
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

/// Why somebody's membership is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Joins,
    /// Somebody took them out.
    Returns,
    Mended,
}

impl Why {
    pub(super) fn of(member: &Member, restored: &[UserId]) -> Self {
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
        tally.locked_at = done.locked_at;
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
