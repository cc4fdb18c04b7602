//! Which of the deleted keys come back.
//!
//! Invariant: a key that is there is never written over, and no two keys get
//! one alias.

use std::collections::BTreeSet;

use super::now::Now;
use super::{Left, Loss, LostKey, NotGiven};
use crate::model::ids::UserId;
use crate::model::report::Kind;

/// Keys that are there now.
pub(super) struct Keys<'a> {
    tokens: BTreeSet<&'a str>,
    aliases: BTreeSet<&'a str>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(present: &'a [LostKey]) -> Self {
        Self {
            tokens: present.iter().map(|key| key.token.as_str()).collect(),
            aliases: present
                .iter()
                .filter_map(|key| key.alias.as_deref())
                .collect(),
        }
    }

    /// How many of the keys come back; notes those that do not, or not as they
    /// were. Keys of somebody whose row is gone, or another's, stay away with it.
    pub(super) fn come_back(
        &self,
        loss: &Loss,
        barred: &[(UserId, NotGiven)],
        now: &Now<'_>,
        left: &mut Vec<Left>,
    ) -> u64 {
        let mut back = 0;
        let mut note = |key: &LostKey, why| {
            left.push(Left {
                kind: Kind::Key,
                id: key.token.clone(),
                why,
            });
        };
        for key in &loss.keys {
            let owner = key.owner.as_ref();
            if self.tokens.contains(key.token.as_str()) {
                note(key, NotGiven::KeyThere);
                continue;
            }
            if owner.is_some_and(|owner| !now.target.users.contains_key(owner)) {
                note(key, NotGiven::UserGone);
                continue;
            }
            let bar = barred.iter().find(|(user, _)| Some(user) == owner);
            if let Some((_, why)) = bar {
                note(key, *why);
                continue;
            }
            let alias = key.alias.as_deref();
            if alias.is_some_and(|alias| self.aliases.contains(alias)) {
                note(key, NotGiven::KeyAliasTaken);
            }
            back += 1;
        }
        back
    }
}
