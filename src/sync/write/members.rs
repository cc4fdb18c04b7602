//! Members of teams and organizations, one team or organization at a time.

use std::collections::HashSet;

use super::Tally;
use super::step::{Desk, Writable};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, Members};
use crate::litellm;
use crate::litellm::members::{Outcome, Terms, ensure, lock_team};
use crate::litellm::organizations;
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use crate::model::ledger::Origin;
use crate::model::report::Kind;
use crate::plan::{Member, Plan};
use crate::sync::error::{Error, Result};

/// Members that one transaction adds. LiteLLM's own joins wait behind the
/// team's lock for 2 s at most and then fail silently, so a transaction must
/// stay far below that, also where each rewrites a very long roster.
const BATCH: usize = 2_500;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    for change in &plan.rosters {
        if tally.without_team.contains(&change.group) {
            continue;
        }
        let team = TeamId::of(change.group);
        let task = |member, why| TeamMember {
            team: &team,
            group: Some(change.group),
            member,
            why,
            terms: Terms::MEMBER,
        };
        let add = change.add.iter().map(|member| task(member, Why::Joins));
        let repair = change.repair.iter().map(|member| task(member, Why::Mended));
        let tasks = with_rows(add.chain(repair), tally);
        desk.run(&tasks, BATCH, tally).await?;
    }
    for change in &plan.default_teams {
        let tasks = change.add.iter().map(|member| TeamMember {
            team: &change.team.team,
            group: None,
            member,
            why: Why::Joins,
            terms: Terms {
                role: change.team.role,
                own_budget: change.team.max_budget,
            },
        });
        let tasks = with_rows(tasks, tally);
        desk.run(&tasks, BATCH, tally).await?;
    }
    for change in &plan.organization_members {
        if tally.without_organization.contains(&change.group) {
            continue;
        }
        let tasks: Vec<_> = change
            .add
            .iter()
            .filter(|member| !tally.without_row.contains(&member.user))
            .map(|member| OrganizationMember {
                group: change.group,
                member,
            })
            .collect();
        desk.run(&tasks, BATCH, tally).await?;
    }
    Ok(())
}

/// Members whose user could not be inserted wait for a pass that can.
fn with_rows<'a>(
    tasks: impl Iterator<Item = TeamMember<'a>>,
    tally: &Tally,
) -> Vec<TeamMember<'a>> {
    tasks
        .filter(|task| !tally.without_row.contains(&task.member.user))
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Joins,
    Mended,
}

/// All tasks of a batch are about one team.
struct TeamMember<'a> {
    team: &'a TeamId,
    /// `None` for a default team: nobody's membership there is managed.
    group: Option<GroupId>,
    member: &'a Member,
    why: Why,
    terms: Terms,
}

impl Writable for TeamMember<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(first) = items.first() else {
            return Ok(tally);
        };
        lock_team(transaction, first.team).await?;
        let users: Vec<&UserId> = items.iter().map(|item| &item.member.user).collect();
        let outcome = ensure(transaction, desk.writing, first.team, &users, first.terms).await?;
        let done = match outcome {
            Outcome::TeamGone => {
                let message = "the team was deleted in LiteLLM while this pass ran; the next pass \
                               decides about it anew";
                tally.error(Kind::Team, first.team, message);
                return Ok(tally);
            }
            Outcome::Ensured(done) => done,
        };
        for user in &done.without_row {
            let id = format!("{}/{user}", first.team);
            let message = "the user's row was deleted in LiteLLM while this pass ran; the next \
                           pass decides about it anew";
            tally.error(Kind::TeamMembership, id, message);
        }
        let gone: HashSet<&str> = done.without_row.iter().map(String::as_str).collect();
        let joined: HashSet<&str> = done.joined.iter().map(String::as_str).collect();
        let there = |item: &&Self| !gone.contains(item.member.user.as_str());
        let has_joined = |item: &&Self| joined.contains(item.member.user.as_str());

        let added: Vec<&Self> = items.iter().filter(there).filter(has_joined).collect();
        // Wanted and on the roster before us: a login was faster, or the other
        // copies had to be mended.
        let present: Vec<&Self> = items
            .iter()
            .filter(there)
            .filter(|item| !has_joined(item))
            .collect();
        let mended: Vec<&Self> = present
            .iter()
            .copied()
            .filter(|item| item.why == Why::Mended)
            .collect();
        tally.counts.team_memberships.added += added.len() as u64;
        tally.counts.team_memberships.repaired += mended.len() as u64;

        if let Some(group) = first.group {
            manage(desk, transaction, group, &added, Origin::Created).await?;
            manage(desk, transaction, group, &present, Origin::Adopted).await?;
        }
        record(desk, transaction, first, "add", &added).await?;
        record(desk, transaction, first, "repair", &mended).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let id = format!("{}/{}", self.team, self.member.user);
        let message = match self.group {
            Some(_) => format!("the member could not be added: {error}"),
            // As at a first login: LiteLLM tries no second time either.
            None => format!(
                "the new user could not be added to this default team: {error}; that is done once \
                 only, so add the user in LiteLLM"
            ),
        };
        tally.error(Kind::TeamMembership, id, message);
    }

    /// Nobody can join a team that stays locked: said once, not for each.
    fn refuse_all(items: &[Self], error: &Error, tally: &mut Tally) -> bool {
        let locked = matches!(error, Error::Litellm(litellm::Error::TeamLocked { .. }));
        if let (true, Some(first)) = (locked, items.first()) {
            let message = format!("its members could not be added: {error}");
            tally.error(Kind::Team, first.team, message);
        }
        locked
    }
}

async fn manage(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    group: GroupId,
    items: &[&TeamMember<'_>],
    origin: Origin,
) -> Result<()> {
    let people: Vec<PersonId> = items.iter().map(|item| item.member.person).collect();
    let members = Members {
        group,
        people: &people,
        origin,
    };
    Ok(ownership::record_team_members(transaction, desk.lease.source, members).await?)
}

async fn record(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    first: &TeamMember<'_>,
    action: &str,
    items: &[&TeamMember<'_>],
) -> Result<()> {
    let users: Vec<UserId> = items.iter().map(|item| item.member.user.clone()).collect();
    let reason = match (action, first.group) {
        ("repair", _) => "copies of the membership disagreed",
        (_, Some(_)) => "member of the group",
        (_, None) => "new user, default_internal_user_params.teams",
    };
    let members = MemberChange {
        action,
        kind: Kind::TeamMembership,
        parent: first.team.as_str(),
        reason,
        users: &users,
    };
    Ok(changes::record_members(transaction, desk.run, members).await?)
}

/// All tasks of a batch are about one organization.
struct OrganizationMember<'a> {
    group: GroupId,
    member: &'a Member,
}

impl Writable for OrganizationMember<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(first) = items.first() else {
            return Ok(tally);
        };
        let id = OrganizationId::of(first.group);
        let users: Vec<&UserId> = items.iter().map(|item| &item.member.user).collect();
        let added = organizations::add_members(transaction, desk.writing, &id, &users).await?;
        let added: HashSet<&str> = added.iter().map(String::as_str).collect();
        let new: Vec<&Member> = items
            .iter()
            .map(|item| item.member)
            .filter(|member| added.contains(member.user.as_str()))
            .collect();
        tally.counts.organization_memberships.added += new.len() as u64;
        let people: Vec<PersonId> = new.iter().map(|member| member.person).collect();
        let members = Members {
            group: first.group,
            people: &people,
            origin: Origin::Created,
        };
        ownership::record_organization_members(transaction, desk.lease.source, members).await?;
        let users: Vec<UserId> = new.iter().map(|member| member.user.clone()).collect();
        let change = MemberChange {
            action: "add",
            kind: Kind::OrganizationMembership,
            parent: id.as_str(),
            reason: "member of the group, create_organizations is on",
            users: &users,
        };
        changes::record_members(transaction, desk.run, change).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let id = format!("{}/{}", self.group, self.member.user);
        let message = format!("the member could not be added: {error}");
        tally.error(Kind::OrganizationMembership, id, message);
    }
}
