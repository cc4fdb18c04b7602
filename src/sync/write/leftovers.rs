//! What is left, in users' `teams`, of memberships that we took away.

use super::Tally;
use super::step::{Desk, Writable, refuse_once};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::litellm::members::{clear_mentions, lock_team};
use crate::model::ids::{GroupId, TeamId, UserId};
use crate::model::report::Kind;
use crate::plan::Plan;
use crate::sync::error::{Error, Result};

/// As many as members that leave at once.
const BATCH: usize = 500;

pub(super) async fn write(desk: Desk<'_>, plan: &Plan, tally: &mut Tally) -> Result<()> {
    for leftover in &plan.deprovision.leftovers {
        let group = leftover.group;
        let users = leftover.users.iter().map(|user| Mention { group, user });
        desk.run(&users.collect::<Vec<_>>(), BATCH, tally).await?;
    }
    Ok(())
}

/// All of a batch are about one team.
struct Mention<'a> {
    group: GroupId,
    user: &'a UserId,
}

impl Writable for Mention<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let Some(first) = items.first() else {
            return Ok(tally);
        };
        let team = TeamId::of(first.group);
        lock_team(transaction, &team).await?;
        let users: Vec<&UserId> = items.iter().map(|item| item.user).collect();
        let cleared = clear_mentions(transaction, desk.writing, &team, &users).await?;
        tally.counts.team_memberships.repaired += cleared.len() as u64;
        let members: Vec<(&str, &UserId)> =
            cleared.iter().map(|user| (team.as_str(), user)).collect();
        let change = MemberChange {
            action: "repair",
            kind: Kind::TeamMembership,
            reason: "taken out before, and named in the user's teams again",
            members: &members,
        };
        changes::record_members(transaction, desk.run, change).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        let id = format!("{}/{}", self.group, self.user);
        let message = format!("the user's teams still name it: {error}; the next pass tries again");
        tally.error(Kind::TeamMembership, id, message);
    }

    fn befalls_all(error: &Error) -> bool {
        error.is_forbidden() || error.is_about_a_team()
    }

    fn refuse_all(items: &[Self], error: &Error, tally: &mut Tally) {
        match items.first() {
            Some(first) if error.is_about_a_team() => {
                let message = format!("users' teams that still name it were left: {error}");
                tally.error(Kind::Team, first.group, message);
            }
            _ => refuse_once(items, error, tally),
        }
    }
}
