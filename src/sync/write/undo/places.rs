//! Teams that were blocked or deleted and come back.
//!
//! Invariant: a team that is there again keeps its row; members and keys of the
//! deleted one come back into it.

use serde_json::json;

use super::{Back, leave, note_keys};
use crate::db::Transaction;
use crate::ledger::changes::{self, MemberChange};
use crate::ledger::ownership::{self, ForgottenTeam, Membership};
use crate::ledger::taken::{self, Kept};
use crate::litellm::members::{self, Restoration, lock_team};
use crate::litellm::organizations::Found;
use crate::litellm::teams::{self, RestoredTeam, TakenTeam, TeamRestoration};
use crate::model::ids::{GroupId, TeamId, UserId};
use crate::model::ledger::Ours;
use crate::model::report::Kind;
use crate::model::target::Block;
use crate::plan::undo::NotGiven;
use crate::plan::{Member, Removal};
use crate::sync::error::{Error, Result};
use crate::sync::write::Tally;
use crate::sync::write::step::{Desk, Writable};

pub(super) struct PlaceBack<'a>(pub(super) Back<'a>);

impl Writable for PlaceBack<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        for PlaceBack(task) in items {
            let Some(group) = task.back.removal.group() else {
                continue;
            };
            lock_team(transaction, &TeamId::of(group)).await?;
            let kept = taken::give_back(transaction, desk.run, &[task.back.taken]).await?;
            for kept in kept {
                if let Removal::BlockTeam { .. } = task.back.removal {
                    unblock(desk, transaction, *task, group, &mut tally).await?;
                } else {
                    make_again(desk, transaction, *task, group, &kept, &mut tally).await?;
                }
            }
        }
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        self.0.refuse(error, tally);
    }
}

async fn unblock(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    task: Back<'_>,
    group: GroupId,
    tally: &mut Tally,
) -> Result<()> {
    let team = TeamId::of(group);
    let found = teams::set_blocked(transaction, desk.writing, &team, Block::Open).await?;
    ownership::mark_blocked(transaction, desk.lease.source, group, Ours::No).await?;
    if found == Found::Moved {
        leave(tally, Kind::Team, team, NotGiven::OpenAgain);
        return Ok(());
    }
    let record = task.change("unblock", None, None);
    changes::record(transaction, desk.run, &[record]).await?;
    tally.counts.teams.unblocked += 1;
    Ok(())
}

async fn make_again(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    task: Back<'_>,
    group: GroupId,
    kept: &Kept,
    tally: &mut Tally,
) -> Result<()> {
    let (source, team) = (desk.lease.source, TeamId::of(group));
    let copy: TakenTeam = taken::read("taken.copy", &kept.copy)?;
    let copy = copy.without(&task.back.barred);
    let owned: ForgottenTeam = taken::read("taken.owned", &kept.owned)?;
    let restoration = teams::restore(transaction, desk.writing, &team, &copy).await?;
    let back = match restoration {
        TeamRestoration::Restored(restored) => {
            if let Some(team) = &owned.team {
                let teams = [(group, team.clone())];
                ownership::record_teams(transaction, source, desk.run, &teams).await?;
            }
            note_team(desk, transaction, task, &copy, &restored, tally).await?;
            restored.members
        }
        TeamRestoration::TeamThere => {
            leave(tally, Kind::Team, &team, NotGiven::TeamThere);
            let members = copy.members();
            let restoration = members::restore(transaction, desk.writing, &team, &members).await?;
            let Restoration::Restored(restored) = restoration else {
                return Ok(());
            };
            super::members::note(desk, transaction, task, &members, &restored, tally).await?;
            restored.joined
        }
    };
    let managed: Vec<Membership> = owned
        .members
        .iter()
        .filter(|member| {
            back.iter().any(|user| user == member.user.as_str())
                && !task.back.barred.contains(&member.user)
        })
        .map(|member| {
            let managed = Member {
                user: member.user.clone(),
                person: member.person,
            };
            (group, managed, member.origin)
        })
        .collect();
    Ok(ownership::record_team_members(transaction, source, &managed).await?)
}

async fn note_team(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    task: Back<'_>,
    copy: &TakenTeam,
    restored: &RestoredTeam,
    tally: &mut Tally,
) -> Result<()> {
    let team = copy.row["team_id"].as_str().unwrap_or_default();
    tally.counts.teams.created += 1;
    tally.counts.team_memberships.added += restored.members.len() as u64;
    for user in &restored.without_row {
        let id = format!("{team}/{user}");
        leave(tally, Kind::TeamMembership, id, NotGiven::UserGone);
    }
    let after = json!({ "team_alias": copy.row["team_alias"] });
    let record = task.change("create", None, Some(after));
    changes::record(transaction, desk.run, &[record]).await?;
    let users: Vec<UserId> = restored
        .members
        .iter()
        .map(|user| UserId::new(user.as_str()))
        .collect();
    let members: Vec<(&str, &UserId)> = users.iter().map(|user| (team, user)).collect();
    let reason = task.reason();
    let change = MemberChange {
        action: "add",
        kind: Kind::TeamMembership,
        reason: &reason,
        members: &members,
    };
    changes::record_members(transaction, desk.run, change).await?;
    note_keys(
        desk,
        transaction,
        &reason,
        &copy.keys,
        &restored.keys,
        tally,
    )
    .await
}
