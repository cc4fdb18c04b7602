//! How far a pass has to look: at nothing, at what has changed, or at
//! everything that is known.
//!
//! Invariant: whatever may lead to a change is looked at; where that cannot be
//! told from what has changed, everything is.
//! Must not: ask Entra, or write.

use std::time::Duration;

use super::Source;
use super::error::Result;
use crate::db::{Limits, Transaction};
use crate::ledger::directory::{self, Head, Open};
use crate::ledger::held;
use crate::model::ids::SourceId;
use crate::model::known::{Outline, Touched, Trust, Turn};
use crate::plan::following;

/// How far a pass looks.
pub(super) enum Far {
    Nothing,
    These(Touched),
    Everything,
}

/// Whether something is held, waits or was decided about: only a pass that
/// looks at everything sees all of it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    No,
    Yes,
}

pub(super) async fn pending(
    transaction: &mut Transaction,
    source: SourceId,
    window: Duration,
) -> Result<Pending> {
    let state = held::load(transaction, source, window).await?;
    let decisions = &state.decisions;
    let is_quiet = state.waiting.is_empty()
        && decisions.approved.is_empty()
        && decisions.rejected.is_empty()
        && decisions.asked.is_empty();
    Ok(if is_quiet { Pending::No } else { Pending::Yes })
}

impl Source {
    /// Whether what is known says all that is needed to compare everything: not
    /// after a filtered pass, which has seen what is not known, nor while a group
    /// has to be read again before anybody is believed to be in it.
    pub(super) async fn is_enough(&self, source: SourceId, open: &Open) -> Result<bool> {
        let open = match open {
            Open::Nothing => return Ok(true),
            Open::Everything => return Ok(false),
            Open::These(open) => open,
        };
        let mut transaction = self.database.begin(Limits::READ).await?;
        let (outline, _) = directory::outline(&mut transaction, source).await?;
        transaction.commit().await?;
        let mut open = open.groups.iter().filter_map(|id| outline.groups.get(id));
        Ok(open.all(|group| group.unread.is_some() || group.trust == Trust::Sure))
    }

    /// How far a pass has to look after this turn.
    pub(super) fn how_far(
        &self,
        head: &Head,
        before: &Outline,
        turn: &Turn,
        pending: Pending,
    ) -> Far {
        let mut touched = turn.touched.clone();
        match &head.open {
            Open::Nothing => {}
            Open::These(open) => {
                touched.people.extend(&open.people);
                touched.groups.extend(&open.groups);
            }
            Open::Everything => return Far::Everything,
        }
        let in_doubt = following::in_doubt(&turn.outline);
        touched.groups.extend(in_doubt.groups);
        touched.people.extend(in_doubt.people);
        let memberships: u64 = turn
            .outline
            .groups
            .values()
            .map(|group| group.headcount)
            .sum();
        let is_small = memberships <= self.narrowing.from;
        let is_most = touched.people.len() > self.narrowing.most;
        if is_small
            || is_most
            || pending == Pending::Yes
            || head.compared != self.compared()
            || before.roles != turn.outline.roles
        {
            return Far::Everything;
        }
        if touched == Touched::default() {
            return Far::Nothing;
        }
        Far::These(touched)
    }
}
