//! What another source of this ledger manages as well: two tenants' people may
//! be one LiteLLM user, and two applications of one tenant may share groups.
//!
//! Invariant: what another source manages is not taken away by this one. A
//! membership is only forgotten, as the other goes on managing it; access goes
//! once every source that manages the row wants it gone; a role is never
//! lowered while another source manages the row. Whom only sources spare that no
//! settings name is named: nobody else would learn of it.

use super::Forgotten;
use crate::model::ids::PersonId;
use crate::model::ledger::{Elsewhere, Stay};
use crate::model::report::Skipped;
use crate::plan::World;
use crate::plan::desired::skipped;
use crate::plan::removal::Removal;

/// Drops the removals that would hit another source. Gives whom this source
/// would deactivate, spared or not, so that the others know; `None` when that is
/// not to be noted: there are no others, or not everything was looked at.
pub(super) fn spare(
    world: World<'_>,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
    kept: &mut Vec<Skipped>,
) -> Option<Vec<PersonId>> {
    let elsewhere = world.owned.held_elsewhere.as_ref()?;
    let mut unwanted: Vec<PersonId> = candidates
        .iter()
        .filter(|removal| matches!(removal, Removal::Deactivation { .. }))
        .filter_map(Removal::person)
        .collect();
    unwanted.sort_unstable();
    unwanted.dedup();
    candidates.retain(|removal| {
        if !is_held(elsewhere, removal) {
            return true;
        }
        match removal {
            Removal::TeamMember { group, member, .. } => {
                forgotten.team_members.push((*group, member.clone()));
            }
            Removal::OrganizationMember { group, member, .. } => {
                let forgotten = &mut forgotten.organization_members;
                forgotten.push((*group, member.clone()));
            }
            _ => {}
        }
        let named = elsewhere.named.as_deref();
        if named.is_some_and(|named| !is_held(named, removal)) {
            let item = removal.item("remove");
            kept.push(skipped(item.kind, item.id, Skipped::UNNAMED_SOURCE));
        }
        false
    });
    kept.sort();
    kept.dedup();
    world.scope.judges_absence().then_some(unwanted)
}

/// Whether another source stands against it.
fn is_held(elsewhere: &Elsewhere, removal: &Removal) -> bool {
    match removal {
        Removal::TeamMember { group, member, .. } => {
            let key = (*group, member.user.clone());
            elsewhere.team_members.contains(&key)
        }
        Removal::OrganizationMember { group, member, .. } => {
            let key = (*group, member.user.clone());
            elsewhere.organization_members.contains(&key)
        }
        Removal::Deactivation { member, .. } => {
            elsewhere.users.get(&member.user) == Some(&Stay::Wanted)
        }
        Removal::LowerRole { member, .. } => elsewhere.users.contains_key(&member.user),
        Removal::BlockTeam { group, .. } | Removal::DeleteTeam { group, .. } => {
            elsewhere.teams.contains(group)
        }
    }
}
