//! What another source of this ledger manages as well: two tenants' people may
//! be one LiteLLM user, and two applications of one tenant may share groups.
//!
//! Invariant: what another source manages is not taken away by this one. A
//! membership is only forgotten, as the other goes on managing it; access goes
//! once every source that manages the row wants it gone; a role is never
//! lowered while another source manages the row.

use super::Forgotten;
use crate::model::ids::PersonId;
use crate::model::ledger::Stay;
use crate::plan::World;
use crate::plan::removal::Removal;

/// Drops the removals that would hit another source. Gives whom this source
/// would deactivate, spared or not, so that the others know; `None` when that is
/// not to be noted: there are no others, or not everything was looked at.
pub(super) fn spare(
    world: World<'_>,
    candidates: &mut Vec<Removal>,
    forgotten: &mut Forgotten,
) -> Option<Vec<PersonId>> {
    let elsewhere = world.owned.held_elsewhere.as_ref()?;
    let mut unwanted: Vec<PersonId> = candidates
        .iter()
        .filter(|removal| matches!(removal, Removal::Deactivation { .. }))
        .filter_map(Removal::person)
        .collect();
    unwanted.sort_unstable();
    unwanted.dedup();
    candidates.retain(|removal| match removal {
        Removal::TeamMember { group, member, .. } => {
            let key = (*group, member.user.clone());
            let held = elsewhere.team_members.contains(&key);
            if held {
                forgotten.team_members.push((*group, member.clone()));
            }
            !held
        }
        Removal::OrganizationMember { group, member, .. } => {
            let key = (*group, member.user.clone());
            let held = elsewhere.organization_members.contains(&key);
            if held {
                let forgotten = &mut forgotten.organization_members;
                forgotten.push((*group, member.clone()));
            }
            !held
        }
        Removal::Deactivation { member, .. } => {
            elsewhere.users.get(&member.user) != Some(&Stay::Wanted)
        }
        Removal::LowerRole { member, .. } => !elsewhere.users.contains_key(&member.user),
        Removal::BlockTeam { group, .. } | Removal::DeleteTeam { group, .. } => {
            !elsewhere.teams.contains(group)
        }
    });
    world.scope.judges_absence().then_some(unwanted)
}
