//! Teams of groups that are no longer assigned: blocked or deleted.
//!
//! Invariant: a deleted team is kept whole before it goes; what somebody else
//! blocked is not ours to unblock.

use serde_json::{Value, json};

use super::{Task, count, refuse, team_change};
use crate::db::Transaction;
use crate::ledger::changes;
use crate::ledger::ownership;
use crate::ledger::taken::{self, Taken};
use crate::litellm::members::lock_team;
use crate::litellm::organizations::Found;
use crate::litellm::teams;
use crate::model::ids::TeamId;
use crate::model::ledger::Ours;
use crate::model::report::Kind;
use crate::model::target::Block;
use crate::plan::{Removal, Why};
use crate::sync::error::{Error, Result};
use crate::sync::write::Tally;
use crate::sync::write::step::{Desk, Writable};

impl Task<'_> {
    fn place(self, team: &TeamId, copy: Value, owned: Value) -> Taken {
        Taken {
            parent: Some(team.to_string()),
            user: None,
            removal: json!(self.removal),
            copy,
            owned,
        }
    }
}

/// A team that is blocked or deleted.
pub(super) struct Place<'a>(pub(super) Task<'a>);

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
                    let taken = [task.place(&team, Value::Null, Value::Null)];
                    taken::keep(transaction, desk.run, Kind::Team, &taken).await?;
                    let record = team_change("block", group, reason);
                    changes::record(transaction, desk.run, &[record]).await?;
                    tally.counts.teams.blocked += 1;
                }
                continue;
            }
            let deletion = teams::delete(transaction, desk.writing, &team).await?;
            let owned = ownership::forget_team(transaction, source, group).await?;
            if let teams::Deletion::Deleted(copy) = deletion {
                tally.counts.teams.deleted += 1;
                tally.counts.team_memberships.removed += copy.users.len() as u64;
                tally.counts.keys.deleted += copy.keys.len() as u64;
                let taken = [task.place(&team, json!(copy), json!(owned))];
                taken::keep(transaction, desk.run, Kind::Team, &taken).await?;
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
