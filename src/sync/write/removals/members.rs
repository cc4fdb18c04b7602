//! Memberships of teams and organizations that end.
//!
//! Invariant: a membership ends in all its copies and in the ledger at once,
//! and a whole copy of it is kept.

use serde_json::{Value, json};

use super::{Task, count, refuse};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, Membership};
use crate::ledger::taken::{self, Taken};
use crate::litellm::members::{self, lock_team};
use crate::litellm::organizations;
use crate::model::ids::{GroupId, OrganizationId, TeamId, UserId};
use crate::model::report::Kind;
use crate::plan::{Member, Removal, Why};
use crate::sync::error::{Error, Result};
use crate::sync::write::Tally;
use crate::sync::write::step::{Desk, Writable};

impl Task<'_> {
    /// The copy of a membership that went, if the task is about this user's.
    fn copy(self, user: &str, owned: &[Membership], copy: Value) -> Option<Taken> {
        let (Removal::TeamMember { group, member, .. }
        | Removal::OrganizationMember { group, member, .. }) = self.removal
        else {
            return None;
        };
        let origin = owned
            .iter()
            .find(|(of, other, _)| of == group && other == member)
            .map(|(_, _, origin)| *origin);
        (member.user.as_str() == user).then(|| Taken {
            parent: Some(group.to_string()),
            user: Some(user.to_owned()),
            removal: json!(self.removal),
            copy,
            owned: json!(origin),
        })
    }
}

/// All of a batch leave one team.
pub(super) struct Leaver<'a>(pub(super) Task<'a>);

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
        let removal = members::remove(transaction, desk.writing, &team, &users).await?;
        let source = desk.lease.source;
        let everybody: Vec<(GroupId, Member)> = leaving
            .iter()
            .map(|(group, member, _)| (*group, (*member).clone()))
            .collect();
        // Ours no more in every case: gone, gone before, or an administrator's
        // by somebody's hand since.
        let owned = ownership::forget_team_members(transaction, source, &everybody).await?;
        let members::Removal::Removed(removed) = removal else {
            return Ok(tally);
        };
        let mut copies = Vec::new();
        let mut gone: Vec<UserId> = Vec::new();
        for member in &removed.taken {
            tally.counts.team_memberships.removed += 1;
            tally.counts.keys.deleted += member.keys.len() as u64;
            gone.push(UserId::new(member.user.as_str()));
            copies.extend(
                items
                    .iter()
                    .find_map(|item| item.0.copy(&member.user, &owned, json!(member))),
            );
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
pub(super) struct OrganizationLeaver<'a>(pub(super) Task<'a>);

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
        let everybody: Vec<(GroupId, Member)> = leaving
            .iter()
            .map(|(group, member, _)| (*group, (*member).clone()))
            .collect();
        let source = desk.lease.source;
        let owned = ownership::forget_organization_members(transaction, source, &everybody).await?;
        let mut copies = Vec::new();
        let mut gone: Vec<UserId> = Vec::new();
        for row in removed.taken {
            tally.counts.organization_memberships.removed += 1;
            let user = row["user_id"].as_str().unwrap_or_default().to_owned();
            gone.push(UserId::new(user.as_str()));
            copies.extend(
                items
                    .iter()
                    .find_map(|item| item.0.copy(&user, &owned, row.clone())),
            );
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
