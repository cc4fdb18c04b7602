//! People's access: taken from those who are gone, given back to those who
//! return, and roles that are lowered.
//!
//! Invariant: only what we took is given back.

use serde_json::{Value, json};

use super::{Task, count, refuse, team_change};
use crate::db::Transaction;
use crate::ledger::changes::{self, Change};
use crate::ledger::ownership;
use crate::ledger::taken::{self, Taken};
use crate::litellm::members::lock_team;
use crate::litellm::organizations::Found;
use crate::litellm::teams;
use crate::litellm::users::{self, Administrators, Switching};
use crate::model::ids::{TeamId, UserId};
use crate::model::ledger::Ours;
use crate::model::report::Kind;
use crate::model::target::Block;
use crate::plan::{Member, Removal, Restoration, Why};
use crate::sync::error::{Error, Result};
use crate::sync::write::Tally;
use crate::sync::write::step::{Desk, Writable};

pub(super) struct GivenBack<'a>(pub(super) &'a Restoration);

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
                    ownership::mark_deactivated(
                        transaction,
                        source,
                        std::slice::from_ref(member),
                        Ours::No,
                    )
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

fn keys(done: &Switching) -> u64 {
    done.changed.iter().map(|one| one.keys.len() as u64).sum()
}

pub(super) struct Ended<'a>(pub(super) Task<'a>);

impl<'a> Ended<'a> {
    fn parts(&self) -> Option<(&'a Member, Why)> {
        match self.0.removal {
            Removal::Deactivation { member, why, .. } => Some((member, *why)),
            _ => None,
        }
    }

    pub(super) fn administrators(&self) -> Ours {
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
        // Another source may have begun to manage the row since the plan.
        let source = desk.lease.source;
        let wanted = ownership::users_wanted_elsewhere(transaction, source, &users).await?;
        let users: Vec<&UserId> = users
            .into_iter()
            .filter(|user| !wanted.contains(*user))
            .collect();
        // Somebody may have been made an administrator since the snapshot.
        let administrators = match items.first().map(Ended::administrators) {
            Some(Ours::Yes) => Administrators::Ours,
            _ => Administrators::Spare,
        };
        let done = users::deactivate(transaction, desk.writing, &users, administrators).await?;
        let mut records = Vec::new();
        let mut people = Vec::new();
        let mut copies = Vec::new();
        for (switched, taken) in done.changed.iter().zip(&done.taken) {
            let Some((item, (member, why))) = items
                .iter()
                .filter_map(|item| Some((item, item.parts()?)))
                .find(|(_, (member, _))| member.user.as_str() == switched.user)
            else {
                continue;
            };
            copies.push(item.0.access(member, json!(taken)));
            let after = json!({ "scim_active": false, "keys_blocked": switched.keys.len() });
            records.push(change("deactivate", member, why.as_str(), after));
            people.push(member.clone());
            tally.counts.users.deactivated += 1;
        }
        tally.counts.keys.blocked += keys(&done);
        let source = desk.lease.source;
        ownership::mark_deactivated(transaction, source, &people, Ours::Yes).await?;
        taken::keep(transaction, desk.run, Kind::User, &copies).await?;
        changes::record(transaction, desk.run, &records).await?;
        count(desk, transaction, items.iter().map(|item| item.0)).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        refuse(self.0, error, tally);
    }
}

impl Task<'_> {
    fn access(self, member: &Member, copy: Value) -> Taken {
        Taken {
            parent: None,
            user: Some(member.user.to_string()),
            removal: json!(self.removal),
            copy,
            owned: Value::Null,
        }
    }
}

pub(super) struct Lowered<'a>(pub(super) Task<'a>);

impl Writable for Lowered<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        for Lowered(task) in items {
            let Removal::LowerRole {
                member,
                before,
                after,
                from,
            } = task.removal
            else {
                continue;
            };
            let found =
                users::change_role(transaction, desk.writing, &member.user, *before, *after)
                    .await?;
            if found == Found::Moved {
                continue;
            }
            let written = (*after, *from);
            ownership::mark_role(transaction, desk.lease.source, member.person, written).await?;
            let copy = [task.access(member, Value::Null)];
            taken::keep(transaction, desk.run, Kind::User, &copy).await?;
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
