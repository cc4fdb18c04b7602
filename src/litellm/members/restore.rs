//! Undoing a removal: members come back with what the copies hold.
//!
//! Invariant: only what is missing comes back; whoever joined again meanwhile
//! keeps the membership of now, with its spend.

use std::collections::BTreeSet;

use diesel_async::AsyncPgConnection;
use serde_json::Value;

use super::remove::TakenMember;
use super::{
    Columns, Terms, append_to_rosters, append_to_users, existing_teams, insert_memberships,
};
use crate::litellm::audit::{self, Audit};
use crate::litellm::copies::{self, Reference};
use crate::litellm::error::Result;
use crate::litellm::keys::{self, TakenKey};
use crate::litellm::users;
use crate::litellm::writing::Writing;
use crate::model::ids::TeamId;
use crate::model::target::TeamRole;

const MEMBERSHIPS: &str = "LiteLLM_TeamMembership";
const REFERENCES: [Reference; 1] = [("budget_id", "LiteLLM_BudgetTable")];

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// They were not on the roster and are again.
    pub joined: Vec<String>,
    /// Their membership came back with its spend and its budget.
    pub memberships: Vec<String>,
    /// `token` of the keys that came back.
    pub keys: Vec<String>,
    /// They have no user row any more: nothing was written for them.
    pub without_row: Vec<String>,
}

/// How undoing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restoration {
    /// Done.
    Restored(Restored),
    /// The team is gone; nothing was written.
    TeamGone,
}

/// Puts members back where they are missing, each with the membership and the
/// keys it had. A budget that has been deleted since is not referred to any
/// more. The tombstones of the keys stay: they are LiteLLM's record that the
/// keys were deleted then, which remains true. The team's lock must be held.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn restore(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    taken: &[TakenMember],
    audit: Audit,
) -> Result<Restoration> {
    if existing_teams(connection, &[team.as_str()])
        .await?
        .is_empty()
    {
        return Ok(Restoration::TeamGone);
    }
    let wanted: BTreeSet<&str> = taken.iter().map(|member| member.user.as_str()).collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let present = users::lock(connection, &wanted).await?;
    let there: BTreeSet<&str> = present.iter().map(String::as_str).collect();
    let back = || {
        taken
            .iter()
            .filter(|member| there.contains(member.user.as_str()))
    };

    let pairs = Columns {
        teams: vec![team.as_str(); present.len()],
        users: present.iter().map(String::as_str).collect(),
    };
    append_to_users(connection, writing, &pairs).await?;
    let rows: Vec<&Value> = back()
        .filter_map(|member| member.membership.as_ref())
        .collect();
    let memberships = copies::insert(
        connection,
        writing.capabilities,
        MEMBERSHIPS,
        "user_id",
        &REFERENCES,
        &rows,
    )
    .await?;
    // Whose copy holds none gets one as a new member does.
    insert_memberships(connection, writing, &pairs, Terms::MEMBER).await?;
    let taken_keys: Vec<&TakenKey> = back().flat_map(|member| &member.keys).collect();
    let keys = keys::restore(connection, writing, &taken_keys).await?;
    let joined: Vec<String> = append_to_rosters(connection, writing, &pairs, TeamRole::User)
        .await?
        .into_iter()
        .map(|(_, user)| user)
        .collect();
    audit::members_joined(connection, writing, team, &joined, audit).await?;
    Ok(Restoration::Restored(Restored {
        joined,
        memberships,
        keys,
        without_row: wanted
            .iter()
            .filter(|user| !there.contains(**user))
            .map(|user| (*user).to_owned())
            .collect(),
    }))
}
