//! People's access and roles that come back.
//!
//! Invariant: a row comes back exactly as it was, as far as it still is what we
//! made of it.

use serde_json::json;

use super::{Back, leave, task_of};
use crate::db::Transaction;
use crate::ledger::changes;
use crate::ledger::ownership;
use crate::ledger::taken;
use crate::ledger::{self};
use crate::litellm::organizations::Found;
use crate::litellm::users::{self, TakenAccess};
use crate::model::ledger::{Ours, RoleFrom};
use crate::model::report::Kind;
use crate::plan::undo::NotGiven;
use crate::plan::{Member, Removal};
use crate::sync::error::{Error, Result};
use crate::sync::write::Tally;
use crate::sync::write::step::{Desk, Writable};

pub(super) struct AccessBack<'a>(pub(super) Back<'a>);

impl Writable for AccessBack<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        let ids: Vec<i64> = items.iter().map(|item| item.0.back.taken).collect();
        let kept = taken::give_back(transaction, desk.run, &ids).await?;
        let copies = kept
            .iter()
            .map(|kept| taken::read("taken.copy", &kept.copy))
            .collect::<ledger::Result<Vec<TakenAccess>>>()?;
        let done = users::restore(transaction, desk.writing, &copies).await?;
        let mut people: Vec<Member> = Vec::new();
        let mut records = Vec::new();
        let mut not_back = Vec::new();
        for (kept, copy) in kept.iter().zip(&copies) {
            let Some(task) = task_of(kept, items.iter().map(|item| item.0)) else {
                continue;
            };
            let switched = done.changed.iter().find(|one| one.user == copy.user);
            let Some(switched) = switched else {
                let why = match done.without_row.contains(&copy.user) {
                    true => NotGiven::UserGone,
                    false => NotGiven::ActiveAgain,
                };
                leave(&mut tally, Kind::User, &copy.user, why);
                not_back.push(kept.taken_id);
                continue;
            };
            people.extend(task.back.removal.member().cloned());
            let after = json!({ "scim_active": true, "keys_unblocked": switched.keys.len() });
            records.push(task.change("reactivate", None, Some(after)));
            tally.counts.users.reactivated += 1;
            tally.counts.keys.unblocked += switched.keys.len() as u64;
        }
        taken::keep_on(transaction, &not_back).await?;
        let source = desk.lease.source;
        ownership::mark_deactivated(transaction, source, &people, Ours::No).await?;
        changes::record(transaction, desk.run, &records).await?;
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        self.0.refuse(error, tally);
    }
}

pub(super) struct RoleBack<'a>(pub(super) Back<'a>);

impl Writable for RoleBack<'_> {
    async fn write(desk: Desk<'_>, transaction: &mut Transaction, items: &[Self]) -> Result<Tally> {
        let mut tally = Tally::default();
        for RoleBack(task) in items {
            let Removal::LowerRole {
                member,
                before,
                after,
                from: _,
            } = &task.back.removal
            else {
                continue;
            };
            let found =
                users::change_role(transaction, desk.writing, &member.user, *after, *before)
                    .await?;
            if found == Found::Moved {
                leave(&mut tally, Kind::User, &member.user, NotGiven::RoleChanged);
                continue;
            }
            taken::give_back(transaction, desk.run, &[task.back.taken]).await?;
            // The default is nobody's loss: what was lowered came from an app role.
            let written = (*before, RoleFrom::Assignment);
            ownership::mark_role(transaction, desk.lease.source, member.person, written).await?;
            let record = task.change(
                "update",
                Some(json!({ "user_role": after })),
                Some(json!({ "user_role": before })),
            );
            changes::record(transaction, desk.run, &[record]).await?;
            tally.counts.users.updated += 1;
        }
        Ok(tally)
    }

    fn refuse(&self, error: &Error, tally: &mut Tally) {
        self.0.refuse(error, tally);
    }
}
