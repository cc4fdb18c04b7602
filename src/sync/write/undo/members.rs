//! Memberships of teams and organizations that come back.
//!
//! Invariant: who is a member again keeps the membership of now; it becomes
//! ours only if it was ours and it is we who bring it back.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::{Back, leave, note_keys, task_of};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, Membership};
use crate::ledger::taken::{self, Kept};
use crate::ledger::{self};
use crate::litellm::members::{self, Restoration, Restored, TakenMember, lock_team};
use crate::litellm::organizations;
use crate::model::ids::{GroupId, OrganizationId, TeamId, UserId};
use crate::model::ledger::Origin;
use crate::model::report::Kind;
use crate::plan::undo::{Extent, NotGiven};
use crate::sync::error::{Error, Result};
use crate::sync::write::Tally;
use crate::sync::write::step::{Desk, Writable};

/// All of a batch come back into one team.
pub(super) struct MemberBack<'a>(pub(super) Back<'a>);

impl Writable for MemberBack<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some((first, group)) = first(items.iter().map(|item| item.0)) else {
            return Ok(tally);
        };
        let team = TeamId::of(group);
        lock_team(transaction, &team).await?;
        let kept = give_back(desk, transaction, items.iter().map(|item| item.0)).await?;
        let members = kept
            .iter()
            .map(|kept| taken::read("taken.copy", &kept.copy))
            .collect::<ledger::Result<Vec<TakenMember>>>()?;
        let restored = match members::restore(transaction, desk.writing, &team, &members).await? {
            Restoration::Restored(restored) => restored,
            Restoration::TeamGone => {
                let all: Vec<i64> = kept.iter().map(|kept| kept.taken_id).collect();
                taken::keep_on(transaction, &all).await?;
                for member in &members {
                    let id = format!("{team}/{}", member.user);
                    leave(&mut tally, Kind::TeamMembership, id, NotGiven::TeamGone);
                }
                return Ok(tally);
            }
        };
        let mut without_row = Vec::new();
        let mut managed: Vec<Membership> = Vec::new();
        for (kept, member) in kept.iter().zip(&members) {
            if restored.without_row.contains(&member.user) {
                let id = format!("{team}/{}", member.user);
                leave(&mut tally, Kind::TeamMembership, id, NotGiven::UserGone);
                without_row.push(kept.taken_id);
                continue;
            }
            managed.extend(managed_again(kept, items.iter().map(|item| item.0), group)?);
        }
        taken::keep_on(transaction, &without_row).await?;
        ownership::record_team_members(transaction, desk.lease.source, &managed).await?;
        note(desk, transaction, first, &members, &restored, &mut tally).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        self.0.refuse(error, tally);
    }

    fn befalls_all(error: &Error) -> bool {
        error.is_forbidden() || error.is_about_a_team()
    }
}

/// Counts and records who came back into a team, and which keys.
pub(super) async fn note(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    task: Back<'_>,
    members: &[TakenMember],
    restored: &Restored,
    tally: &mut Tally,
) -> Result<()> {
    let Some(team) = task.back.removal.group().map(TeamId::of) else {
        return Ok(());
    };
    let joined: BTreeSet<&str> = restored.joined.iter().map(String::as_str).collect();
    let mended: BTreeSet<&str> = members
        .iter()
        .filter(|member| {
            restored.memberships.contains(&member.user)
                || member.keys.iter().any(|key| {
                    key.token()
                        .is_some_and(|token| restored.keys.tokens.iter().any(|t| t == token))
                })
        })
        .map(|member| member.user.as_str())
        .filter(|user| !joined.contains(user))
        .collect();
    tally.counts.team_memberships.added += joined.len() as u64;
    tally.counts.team_memberships.repaired += mended.len() as u64;
    let reason = task.reason();
    for (action, users) in [("add", joined), ("repair", mended)] {
        let users: Vec<UserId> = users.into_iter().map(UserId::new).collect();
        let members: Vec<(&str, &UserId)> =
            users.iter().map(|user| (team.as_str(), user)).collect();
        let change = MemberChange {
            action,
            kind: Kind::TeamMembership,
            reason: &reason,
            members: &members,
        };
        changes::record_members(transaction, desk.run, change).await?;
    }
    let keys = members.iter().flat_map(|member| &member.keys);
    note_keys(desk, transaction, &reason, keys, &restored.keys, tally).await
}

/// All of a batch come back into one organization.
pub(super) struct OrganizationMemberBack<'a>(pub(super) Back<'a>);

impl Writable for OrganizationMemberBack<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some((first, group)) = first(items.iter().map(|item| item.0)) else {
            return Ok(tally);
        };
        let organization = OrganizationId::of(group);
        let kept = give_back(desk, transaction, items.iter().map(|item| item.0)).await?;
        let rows: Vec<Value> = kept.iter().map(|kept| kept.copy.clone()).collect();
        let back: HashSet<String> =
            organizations::restore_members(transaction, desk.writing, &organization, &rows)
                .await?
                .into_iter()
                .collect();
        let mut managed = Vec::new();
        let mut not_back = Vec::new();
        let mut users = Vec::new();
        for kept in &kept {
            let user = kept.copy["user_id"].as_str().unwrap_or_default();
            if back.contains(user) {
                managed.extend(managed_again(kept, items.iter().map(|item| item.0), group)?);
                users.push(UserId::new(user));
            } else {
                not_back.push(kept.taken_id);
            }
        }
        // Somebody was faster, or deleted something: undoing again tells.
        taken::keep_on(transaction, &not_back).await?;
        let source = desk.lease.source;
        ownership::record_organization_members(transaction, source, &managed).await?;
        tally.counts.organization_memberships.added += users.len() as u64;
        let members: Vec<(&str, &UserId)> = users
            .iter()
            .map(|user| (organization.as_str(), user))
            .collect();
        let reason = first.reason();
        let change = MemberChange {
            action: "add",
            kind: Kind::OrganizationMembership,
            reason: &reason,
            members: &members,
        };
        changes::record_members(transaction, desk.run, change).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        self.0.refuse(error, tally);
    }
}

fn first<'a>(mut tasks: impl Iterator<Item = Back<'a>>) -> Option<(Back<'a>, GroupId)> {
    let first = tasks.next()?;
    Some((first, first.back.removal.group()?))
}

async fn give_back<'a>(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    tasks: impl Iterator<Item = Back<'a>>,
) -> Result<Vec<Kept>> {
    let ids: Vec<i64> = tasks.map(|task| task.back.taken).collect();
    Ok(taken::give_back(transaction, desk.run, &ids).await?)
}

/// The ledger's row of a membership that comes back whole.
fn managed_again<'a>(
    kept: &Kept,
    tasks: impl Iterator<Item = Back<'a>>,
    group: GroupId,
) -> Result<Option<Membership>> {
    let origin: Option<Origin> = taken::read("taken.owned", &kept.owned)?;
    let member = task_of(kept, tasks)
        .filter(|task| task.back.extent == Extent::Whole)
        .and_then(|task| task.back.removal.member());
    Ok(match (member, origin) {
        (Some(member), Some(origin)) => Some((group, member.clone(), origin)),
        _ => None,
    })
}
