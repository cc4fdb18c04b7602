//! Members of organizations, many memberships in a transaction.

use std::collections::HashSet;

use super::Tally;
use super::members::Why;
use super::step::{Desk, Writable};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, Membership};
use crate::litellm::organizations;
use crate::model::ids::{GroupId, OrganizationId, UserId};
use crate::model::ledger::Origin;
use crate::model::report::Kind;
use crate::plan::{Member, Plan, TAKEN_OUT};
use crate::sync::error::{Error, Result};

/// Memberships that one transaction adds.
const BATCH: usize = 2_500;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    let organizations: Vec<_> = plan
        .organization_members
        .iter()
        .filter(|change| !tally.without_organization.contains(&change.group))
        .map(|change| (OrganizationId::of(change.group), change))
        .collect();
    let mut batch: Vec<Joining<'_>> = Vec::new();
    for (organization, change) in &organizations {
        for member in &change.add {
            if tally.without_row.contains(&member.user) {
                continue;
            }
            batch.push(Joining {
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

struct Joining<'a> {
    organization: &'a OrganizationId,
    group: GroupId,
    member: &'a Member,
    why: Why,
}

impl Writable for Joining<'_> {
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
