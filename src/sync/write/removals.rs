//! Taking away what the guard released, and giving back what we took.
//!
//! Invariant: each removal commits together with the end of our ownership, a
//! whole copy of what went, and the guard's count; what somebody changed since
//! the snapshot is left to the next pass.

use serde_json::json;

use super::Tally;
use super::step::{Desk, Writable};
use crate::db::Transaction;
use crate::ledger::changes::{self, Change, MemberChange};
use crate::ledger::ownership;
use crate::ledger::taken::{self, Taken};
use crate::litellm::members::{self, lock_team};
use crate::litellm::organizations::{self, Found};
use crate::litellm::users::{self, Administrators, Switching};
use crate::litellm::{Audit, teams};
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use crate::model::ledger::Ours;
use crate::model::report::Kind;
use crate::model::target::Block;
use crate::plan::{Member, Plan, Removal, Restoration, Why};
use crate::sync::error::{Error, Result};

/// Members that one transaction takes out: each rewrites the roster and copies
/// keys, under the team's lock.
const MEMBERS: usize = 500;
const PEOPLE: usize = 200;

/// What a person or team gets back, and whose access ends: before anything
/// else, so that it happens even when the rest of the pass fails.
pub(super) async fn write_access(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let back: Vec<GivenBack<'_>> = plan.restorations.iter().map(GivenBack).collect();
    desk.run(&back, 1, tally).await?;
    let ended: Vec<Ended<'_>> = tasks(plan)
        .filter(|task| matches!(task.removal, Removal::Deactivation { .. }))
        .map(Ended)
        .collect();
    // One kind of administrator at a time: see `Ended::write`.
    for same in ended.chunk_by(|a, b| a.administrators() == b.administrators()) {
        desk.run(same, PEOPLE, tally).await?;
    }
    Ok(())
}

/// Everything else that is taken away.
pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let of = |wanted: fn(&Removal) -> bool| -> Vec<Task<'_>> {
        tasks(plan).filter(|task| wanted(task.removal)).collect()
    };
    let roles: Vec<Lowered<'_>> = of(|r| matches!(r, Removal::LowerRole { .. }))
        .into_iter()
        .map(Lowered)
        .collect();
    desk.run(&roles, PEOPLE, tally).await?;
    let leavers: Vec<Leaver<'_>> = of(|r| matches!(r, Removal::TeamMember { .. }))
        .into_iter()
        .map(Leaver)
        .collect();
    for team in leavers.chunk_by(|a, b| a.0.removal.group() == b.0.removal.group()) {
        desk.run(team, MEMBERS, tally).await?;
    }
    let members: Vec<OrganizationLeaver<'_>> =
        of(|r| matches!(r, Removal::OrganizationMember { .. }))
            .into_iter()
            .map(OrganizationLeaver)
            .collect();
    for organization in members.chunk_by(|a, b| a.0.removal.group() == b.0.removal.group()) {
        desk.run(organization, MEMBERS, tally).await?;
    }
    let places: Vec<Place<'_>> =
        of(|r| matches!(r, Removal::BlockTeam { .. } | Removal::DeleteTeam { .. }))
            .into_iter()
            .map(Place)
            .collect();
    desk.run(&places, 1, tally).await
}

/// A released removal, and whether an operator approved it.
#[derive(Clone, Copy)]
struct Task<'a> {
    removal: &'a Removal,
    approval: Approval,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Approval {
    Given,
    NotAsked,
}

/// The released removals in their order.
fn tasks(plan: &Plan) -> impl Iterator<Item = Task<'_>> {
    let verdict = &plan.deprovision.verdict;
    verdict.released.iter().map(|removal| Task {
        removal,
        approval: if verdict.approved.contains(&removal.key()) {
            Approval::Given
        } else {
            Approval::NotAsked
        },
    })
}

async fn count(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    tasks: impl Iterator<Item = Task<'_>>,
) -> Result<()> {
    let unapproved = tasks
        .filter(|task| task.approval == Approval::NotAsked)
        .count();
    Ok(taken::count_unapproved(transaction, desk.run, unapproved).await?)
}

fn refuse(task: Task<'_>, error: &Error, tally: &mut Tally) {
    let item = task.removal.item("remove");
    let message = format!("could not be taken away: {error}; the next pass tries again");
    tally.error(item.kind, item.id, message);
}

fn change(action: &str, member: &Member, reason: &str, after: serde_json::Value) -> Change {
    Change {
        action: action.to_owned(),
        kind: Kind::User.as_str().to_owned(),
        id: member.user.to_string(),
        reason: reason.to_owned(),
        before: None,
        after: Some(after),
    }
}

struct GivenBack<'a>(&'a Restoration);

impl Writable for GivenBack<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let source = desk.lease.source;
        for GivenBack(restoration) in items {
            match restoration {
                Restoration::Reactivation(member) => {
                    let users = [&member.user];
                    let administrators = Administrators::Ours;
                    let done = users::reactivate(transaction, desk.writing, &users, administrators)
                        .await?;
                    let keys = keys(&done);
                    ownership::mark_deactivated(transaction, source, &[member.person], Ours::No)
                        .await?;
                    if !done.changed.is_empty() {
                        let after = json!({ "scim_active": true, "keys_unblocked": keys });
                        let record = change("reactivate", member, "enabled in Entra again", after);
                        changes::record(transaction, desk.run, &[record]).await?;
                        tally.counts.users.reactivated += 1;
                        tally.counts.keys.unblocked += keys;
                    }
                }
                Restoration::UnblockTeam(group) => {
                    let team = TeamId::of(*group);
                    lock_team(transaction, &team).await?;
                    let found =
                        teams::set_blocked(transaction, desk.writing, &team, Block::Open).await?;
                    ownership::mark_blocked(transaction, source, *group, Ours::No).await?;
                    if found == Found::AsPlanned {
                        let reason = "group assigned again";
                        changes::record(
                            transaction,
                            desk.run,
                            &[team_change("unblock", *group, reason)],
                        )
                        .await?;
                        tally.counts.teams.unblocked += 1;
                    }
                }
            }
        }
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let (kind, id) = match self.0 {
            Restoration::Reactivation(member) => (Kind::User, member.user.to_string()),
            Restoration::UnblockTeam(group) => (Kind::Team, group.to_string()),
        };
        tally.error(kind, id, format!("could not be given back: {error}"));
    }
}

fn team_change(action: &str, group: GroupId, reason: &str) -> Change {
    Change {
        action: action.to_owned(),
        kind: Kind::Team.as_str().to_owned(),
        id: group.to_string(),
        reason: reason.to_owned(),
        before: None,
        after: None,
    }
}

fn keys(done: &Switching) -> u64 {
    done.changed.iter().map(|one| one.keys.len() as u64).sum()
}

struct Ended<'a>(Task<'a>);

impl<'a> Ended<'a> {
    fn parts(&self) -> Option<(&'a Member, Why)> {
        match self.0.removal {
            Removal::Deactivation { member, why, .. } => Some((member, *why)),
            _ => None,
        }
    }

    fn administrators(&self) -> Ours {
        match self.0.removal {
            Removal::Deactivation { administrator, .. } => *administrator,
            _ => Ours::No,
        }
    }
}

impl Writable for Ended<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let members: Vec<(&Member, Why)> = items.iter().filter_map(Ended::parts).collect();
        let users: Vec<&UserId> = members.iter().map(|(member, _)| &member.user).collect();
        // Somebody may have been made an administrator since the snapshot.
        let administrators = match items.first().map(Ended::administrators) {
            Some(Ours::Yes) => Administrators::Ours,
            _ => Administrators::Spare,
        };
        let done = users::deactivate(transaction, desk.writing, &users, administrators).await?;
        let mut records = Vec::new();
        let mut people = Vec::new();
        for switched in &done.changed {
            let Some((member, why)) = members
                .iter()
                .find(|(member, _)| member.user.as_str() == switched.user)
            else {
                continue;
            };
            let after = json!({ "scim_active": false, "keys_blocked": switched.keys.len() });
            records.push(change("deactivate", member, why.as_str(), after));
            people.push(member.person);
            tally.counts.users.deactivated += 1;
        }
        tally.counts.keys.blocked += keys(&done);
        let source = desk.lease.source;
        ownership::mark_deactivated(transaction, source, &people, Ours::Yes).await?;
        changes::record(transaction, desk.run, &records).await?;
        count(desk, transaction, items.iter().map(|item| item.0)).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}

struct Lowered<'a>(Task<'a>);

impl Writable for Lowered<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        for Lowered(task) in items {
            let Removal::LowerRole {
                member,
                before,
                after,
            } = task.removal
            else {
                continue;
            };
            let found =
                users::lower_role(transaction, desk.writing, &member.user, *before, *after).await?;
            if found == Found::Moved {
                continue;
            }
            ownership::mark_role(transaction, desk.lease.source, member.person, *after).await?;
            let mut record = change(
                "update",
                member,
                "app role in Entra is lower",
                json!({ "user_role": after }),
            );
            record.before = Some(json!({ "user_role": before }));
            changes::record(transaction, desk.run, &[record]).await?;
            tally.counts.users.updated += 1;
        }
        count(desk, transaction, items.iter().map(|item| item.0)).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}

/// All of a batch leave one team.
struct Leaver<'a>(Task<'a>);

impl Writable for Leaver<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let leaving: Vec<(GroupId, &Member, Why)> = items
            .iter()
            .filter_map(|Leaver(task)| match task.removal {
                Removal::TeamMember { group, member, why } => Some((*group, member, *why)),
                _ => None,
            })
            .collect();
        let Some((group, _, why)) = leaving.first().copied() else {
            return Ok(tally);
        };
        let team = TeamId::of(group);
        lock_team(transaction, &team).await?;
        let users: Vec<&UserId> = leaving.iter().map(|(_, member, _)| &member.user).collect();
        let removal = members::remove(transaction, desk.writing, &team, &users, Audit::Off).await?;
        let source = desk.lease.source;
        let everybody: Vec<(GroupId, PersonId)> = leaving
            .iter()
            .map(|(group, member, _)| (*group, member.person))
            .collect();
        // Ours no more in every case: gone, gone before, or an administrator's
        // by somebody's hand since.
        ownership::forget_team_members(transaction, source, &everybody).await?;
        let members::Removal::Removed(removed) = removal else {
            return Ok(tally);
        };
        let mut copies = Vec::new();
        let mut gone: Vec<UserId> = Vec::new();
        for member in &removed.taken {
            tally.counts.team_memberships.removed += 1;
            tally.counts.keys.deleted += member.keys.len() as u64;
            gone.push(UserId::new(member.user.as_str()));
            copies.push(Taken {
                parent: team.to_string(),
                user: Some(member.user.clone()),
                copy: json!(member),
            });
        }
        taken::keep(transaction, desk.run, Kind::TeamMembership, &copies).await?;
        let members: Vec<(&str, &UserId)> = gone.iter().map(|user| (team.as_str(), user)).collect();
        let record = MemberChange {
            action: "remove",
            kind: Kind::TeamMembership,
            reason: why.as_str(),
            members: &members,
        };
        changes::record_members(transaction, desk.run, record).await?;
        count(desk, transaction, items.iter().map(|item| item.0)).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}

/// All of a batch leave one organization.
struct OrganizationLeaver<'a>(Task<'a>);

impl Writable for OrganizationLeaver<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let leaving: Vec<(GroupId, &Member, Why)> = items
            .iter()
            .filter_map(|OrganizationLeaver(task)| match task.removal {
                Removal::OrganizationMember { group, member, why } => Some((*group, member, *why)),
                _ => None,
            })
            .collect();
        let Some((group, _, why)) = leaving.first().copied() else {
            return Ok(tally);
        };
        let organization = OrganizationId::of(group);
        let users: Vec<&UserId> = leaving.iter().map(|(_, member, _)| &member.user).collect();
        let removed = organizations::remove_members(transaction, &organization, &users).await?;
        let everybody: Vec<(GroupId, PersonId)> = leaving
            .iter()
            .map(|(group, member, _)| (*group, member.person))
            .collect();
        ownership::forget_organization_members(transaction, desk.lease.source, &everybody).await?;
        let mut copies = Vec::new();
        let mut gone: Vec<UserId> = Vec::new();
        for row in removed.taken {
            tally.counts.organization_memberships.removed += 1;
            let user = row["user_id"].as_str().unwrap_or_default().to_owned();
            gone.push(UserId::new(user.as_str()));
            copies.push(Taken {
                parent: organization.to_string(),
                user: Some(user),
                copy: row,
            });
        }
        taken::keep(transaction, desk.run, Kind::OrganizationMembership, &copies).await?;
        let members: Vec<(&str, &UserId)> = gone
            .iter()
            .map(|user| (organization.as_str(), user))
            .collect();
        let record = MemberChange {
            action: "remove",
            kind: Kind::OrganizationMembership,
            reason: why.as_str(),
            members: &members,
        };
        changes::record_members(transaction, desk.run, record).await?;
        count(desk, transaction, items.iter().map(|item| item.0)).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}

/// A team that is blocked or deleted.
struct Place<'a>(Task<'a>);

impl Writable for Place<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let source = desk.lease.source;
        let reason = Why::GroupUnassigned.as_str();
        for Place(task) in items {
            let Some(group) = task.removal.group() else {
                continue;
            };
            let team = TeamId::of(group);
            lock_team(transaction, &team).await?;
            if let Removal::BlockTeam { .. } = task.removal {
                let found =
                    teams::set_blocked(transaction, desk.writing, &team, Block::Blocked).await?;
                // Blocked by somebody else already: then it is not ours to
                // unblock either.
                if found == Found::AsPlanned {
                    ownership::mark_blocked(transaction, source, group, Ours::Yes).await?;
                    let record = team_change("block", group, reason);
                    changes::record(transaction, desk.run, &[record]).await?;
                    tally.counts.teams.blocked += 1;
                }
                continue;
            }
            let deletion = teams::delete(transaction, desk.writing, &team, Audit::Off).await?;
            ownership::forget_team(transaction, source, group).await?;
            if let teams::Deletion::Deleted(copy) = deletion {
                tally.counts.teams.deleted += 1;
                tally.counts.team_memberships.removed += copy.users.len() as u64;
                tally.counts.keys.deleted += copy.keys.len() as u64;
                let kept = Taken {
                    parent: team.to_string(),
                    user: None,
                    copy: json!(copy),
                };
                taken::keep(transaction, desk.run, Kind::Team, &[kept]).await?;
                let record = team_change("delete", group, reason);
                changes::record(transaction, desk.run, &[record]).await?;
            }
        }
        count(desk, transaction, items.iter().map(|item| item.0)).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}
