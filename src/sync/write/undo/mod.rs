//! Giving back what a run took away, from the copies that the ledger keeps.
//!
//! Invariant: each thing comes back together with our ownership of it and with
//! the mark that says so, the last taken first: what one removal moved stands
//! in its old place when the next one is undone.

mod access;
mod members;
mod places;

use serde_json::{Value, json};

use self::access::{AccessBack, RoleBack};
use self::members::{MemberBack, OrganizationMemberBack};
use self::places::PlaceBack;
use super::Tally;
use super::step::Desk;
use crate::db::Transaction;
use crate::ledger::changes::{self, Change};
use crate::ledger::taken::Kept;
use crate::litellm::keys::{Restored, TakenKey};
use crate::model::ids::RunId;
use crate::model::report::{Kind, Skipped};
use crate::plan::Removal;
use crate::plan::undo::{NotGiven, Return, Undo};
use crate::sync::error::{Error, Result};

/// Members that one transaction gives back: each rewrites the roster and brings
/// keys, under the team's lock.
const MEMBERS: usize = 500;
const PEOPLE: usize = 200;

/// Gives everything back.
pub(super) async fn write(desk: Desk<'_>, undo: &Undo, tally: &mut Tally) -> Result<()> {
    let alike = |a: &Return, b: &Return| {
        std::mem::discriminant(&a.removal) == std::mem::discriminant(&b.removal)
            && a.removal.group() == b.removal.group()
    };
    for returns in undo.returns.chunk_by(alike) {
        let tasks = || returns.iter().map(|back| Back { of: undo.of, back });
        match returns.first().map(|back| &back.removal) {
            Some(Removal::TeamMember { .. }) => {
                let items: Vec<_> = tasks().map(MemberBack).collect();
                desk.run(&items, MEMBERS, tally).await?;
            }
            Some(Removal::OrganizationMember { .. }) => {
                let items: Vec<_> = tasks().map(OrganizationMemberBack).collect();
                desk.run(&items, MEMBERS, tally).await?;
            }
            Some(Removal::Deactivation { .. }) => {
                let items: Vec<_> = tasks().map(AccessBack).collect();
                desk.run(&items, PEOPLE, tally).await?;
            }
            Some(Removal::LowerRole { .. }) => {
                let items: Vec<_> = tasks().map(RoleBack).collect();
                desk.run(&items, PEOPLE, tally).await?;
            }
            Some(Removal::BlockTeam { .. } | Removal::DeleteTeam { .. }) => {
                let items: Vec<_> = tasks().map(PlaceBack).collect();
                desk.run(&items, 1, tally).await?;
            }
            None => {}
        }
    }
    Ok(())
}

/// One thing to give back, and which run took it.
#[derive(Clone, Copy)]
struct Back<'a> {
    of: RunId,
    back: &'a Return,
}

impl Back<'_> {
    fn reason(self) -> String {
        format!("given back: taken by run {}", self.of)
    }

    fn refuse(self, error: &Error, tally: &mut Tally) {
        let item = self.back.removal.item("remove");
        let message = format!(
            "could not be given back: {error}; `entra-sync undo {}` tries again",
            self.of
        );
        tally.error(item.kind, item.id, message);
    }

    fn change(self, action: &str, before: Option<Value>, after: Option<Value>) -> Change {
        let item = self.back.removal.item("remove");
        Change {
            action: action.to_owned(),
            kind: item.kind.as_str().to_owned(),
            id: item.id,
            reason: self.reason(),
            before,
            after,
        }
    }
}

/// The task that a copy belongs to.
fn task_of<'a>(kept: &Kept, tasks: impl IntoIterator<Item = Back<'a>>) -> Option<Back<'a>> {
    tasks
        .into_iter()
        .find(|task| task.back.taken == kept.taken_id)
}

fn leave(tally: &mut Tally, kind: Kind, id: impl ToString, why: NotGiven) {
    tally.skipped.push(Skipped {
        kind,
        id: id.to_string(),
        reason: why.as_str().to_owned(),
    });
}

/// Notes each key that came back, and those that lost their alias.
async fn note_keys<'a>(
    desk: Desk<'_>,
    transaction: &mut Transaction,
    reason: &str,
    taken: impl IntoIterator<Item = &'a TakenKey>,
    restored: &Restored,
    tally: &mut Tally,
) -> Result<()> {
    let is_among = |tokens: &[String], key: &TakenKey| {
        key.token()
            .is_some_and(|token| tokens.iter().any(|other| other == token))
    };
    let records: Vec<Change> = taken
        .into_iter()
        .filter(|key| is_among(&restored.tokens, key))
        .map(|key| {
            let nameless = is_among(&restored.without_alias, key);
            Change {
                action: "create".to_owned(),
                kind: Kind::Key.as_str().to_owned(),
                id: key.token().unwrap_or_default().to_owned(),
                reason: reason.to_owned(),
                before: nameless.then(|| json!({ "key_alias": key.alias() })),
                after: Some(json!({
                    "user_id": key.user(),
                    "key_alias": if nameless { None } else { key.alias() },
                })),
            }
        })
        .collect();
    for token in &restored.without_alias {
        leave(tally, Kind::Key, token, NotGiven::KeyAliasTaken);
    }
    Ok(changes::record(transaction, desk.run, &records).await?)
}
