//! Memberships of teams and organizations that end.
//!
//! Invariant: a membership ends in all its copies and in the ledger at once,
//! and a whole copy of it is kept.

use std::collections::HashSet;

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

impl<'a> Task<'a> {
    /// The group whose team or organization somebody is to leave.
    fn membership(self) -> Option<(GroupId, &'a Member, Why)> {
        match self.removal {
            Removal::TeamMember { group, member, why }
            | Removal::OrganizationMember { group, member, why } => Some((*group, member, *why)),
            _ => None,
        }
    }
}

/// All of a batch leave the team, or the organization, of one group.
struct Leaving<'a> {
    group: GroupId,
    why: Why,
    users: Vec<&'a UserId>,
    members: Vec<(GroupId, Member)>,
    tasks: Vec<Task<'a>>,
}

impl<'a> Leaving<'a> {
    fn of(tasks: impl Iterator<Item = Task<'a>>) -> Option<Self> {
        let mut leaving: Option<Self> = None;
        for task in tasks {
            let Some((group, member, why)) = task.membership() else {
                continue;
            };
            let all = leaving.get_or_insert_with(|| Self {
                group,
                why,
                users: Vec::new(),
                members: Vec::new(),
                tasks: Vec::new(),
            });
            all.users.push(&member.user);
            all.members.push((group, member.clone()));
            all.tasks.push(task);
        }
        leaving
    }

    /// Without those whom another source has begun to manage meanwhile: this one
    /// only forgets them.
    fn but_for(&self, held: &HashSet<UserId>) -> Vec<&'a UserId> {
        let users = self.users.iter().copied();
        users.filter(|user| !held.contains(*user)).collect()
    }

    /// Keeps the copy of each membership that went, by its user, and says so.
    async fn note(
        &self,
        desk: Desk<'_>,
        transaction: &mut Transaction,
        kind: Kind,
        owned: &[Membership],
        gone: Vec<(UserId, Value)>,
    ) -> Result<()> {
        let parent = self.group.to_string();
        let members: Vec<(&str, &UserId)> = gone
            .iter()
            .map(|(user, _)| (parent.as_str(), user))
            .collect();
        let record = MemberChange {
            action: "remove",
            kind,
            reason: self.why.as_str(),
            members: &members,
        };
        changes::record_members(transaction, desk.run, record).await?;
        let copies: Vec<Taken> = gone
            .into_iter()
            .filter_map(|(user, copy)| self.copy(&user, owned, copy))
            .collect();
        taken::keep(transaction, desk.run, kind, &copies).await?;
        count(desk, transaction, self.tasks.iter().copied()).await
    }

    /// The copy of what this user had.
    fn copy(&self, user: &UserId, owned: &[Membership], copy: Value) -> Option<Taken> {
        let (task, member) = self
            .tasks
            .iter()
            .filter_map(|task| Some((task, task.membership()?.1)))
            .find(|(_, member)| member.user == *user)?;
        let origin = owned
            .iter()
            .find(|(of, owner, _)| *of == self.group && owner == member)
            .map(|(_, _, origin)| *origin);
        Some(Taken {
            parent: Some(self.group.to_string()),
            user: Some(user.to_string()),
            removal: json!(task.removal),
            copy,
            owned: json!(origin),
        })
    }
}

pub(super) struct Leaver<'a>(pub(super) Task<'a>);

impl Writable for Leaver<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(leaving) = Leaving::of(items.iter().map(|item| item.0)) else {
            return Ok(tally);
        };
        let team = TeamId::of(leaving.group);
        lock_team(transaction, &team).await?;
        let source = desk.lease.source;
        let (group, users) = (leaving.group, &leaving.users);
        let held =
            ownership::team_members_held_elsewhere(transaction, source, group, users).await?;
        let leavers = leaving.but_for(&held);
        let removal = members::remove(transaction, desk.writing, &team, &leavers).await?;
        // Ours no more in every case: gone, gone before, or an administrator's
        // by somebody's hand since.
        let owned = ownership::forget_team_members(transaction, source, &leaving.members).await?;
        let members::Removal::Removed(removed) = removal else {
            return Ok(tally);
        };
        let mut gone = Vec::new();
        for member in &removed.taken {
            tally.counts.team_memberships.removed += 1;
            tally.counts.keys.deleted += member.keys.len() as u64;
            gone.push((UserId::new(member.user.as_str()), json!(member)));
        }
        let kind = Kind::TeamMembership;
        leaving.note(desk, transaction, kind, &owned, gone).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }

    /// Nobody can leave a team that stays locked.
    fn befalls_all(error: &Error) -> bool {
        error.is_forbidden() || error.is_about_a_team()
    }
}

pub(super) struct OrganizationLeaver<'a>(pub(super) Task<'a>);

impl Writable for OrganizationLeaver<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(leaving) = Leaving::of(items.iter().map(|item| item.0)) else {
            return Ok(tally);
        };
        let organization = OrganizationId::of(leaving.group);
        let source = desk.lease.source;
        let (group, users) = (leaving.group, &leaving.users);
        let held =
            ownership::organization_members_held_elsewhere(transaction, source, group, users)
                .await?;
        let leavers = leaving.but_for(&held);
        let removed = organizations::remove_members(transaction, &organization, &leavers).await?;
        let owned =
            ownership::forget_organization_members(transaction, source, &leaving.members).await?;
        let mut gone = Vec::new();
        for row in removed.taken {
            tally.counts.organization_memberships.removed += 1;
            let user = UserId::new(row["user_id"].as_str().unwrap_or_default());
            gone.push((user, row));
        }
        let kind = Kind::OrganizationMembership;
        leaving.note(desk, transaction, kind, &owned, gone).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}
