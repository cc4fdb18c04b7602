//! Undoing the deletion of a team: its row, its members in all copies, their
//! keys, and its place in access groups.
//!
//! Invariant: a team that is there is not touched here; nobody whose row is
//! gone comes back as a name on a roster.

use std::collections::BTreeMap;

use diesel_async::AsyncPgConnection;
use serde_json::Value;

use super::delete::{ACCESS_GROUPS, TEAMS, TakenTeam, exists};
use crate::litellm::audit;
use crate::litellm::copies::{self, List, Mention, Reference, text};
use crate::litellm::error::Result;
use crate::litellm::keys::{self, TakenKey};
use crate::litellm::members::TakenMember;
use crate::litellm::members::restore::{TEAMS_OF_USERS, insert_copies};
use crate::litellm::users;
use crate::litellm::writing::Writing;
use crate::model::ids::{TeamId, UserId};

/// What a team refers to by a foreign key.
const REFERENCES: [Reference; 3] = [
    (
        "organization_id",
        "LiteLLM_OrganizationTable",
        "organization_id",
    ),
    (
        "object_permission_id",
        "LiteLLM_ObjectPermissionTable",
        "object_permission_id",
    ),
    ("model_id", "LiteLLM_ModelTable", "id"),
];

/// What came back with a team.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredTeam {
    /// Users who are members again.
    pub members: Vec<String>,
    /// Their keys.
    pub keys: keys::Restored,
    /// Former members that have no row any more.
    pub without_row: Vec<String>,
}

/// How undoing a deletion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TeamRestoration {
    /// Done.
    Restored(RestoredTeam),
    /// A team of this id is there again; nothing was written.
    TeamThere,
}

impl TakenTeam {
    /// Everybody who was in it in any way, each as if taken out alone: for a
    /// team of the same id that is there by now.
    #[must_use]
    pub fn members(&self) -> Vec<TakenMember> {
        let mut members: BTreeMap<String, TakenMember> = BTreeMap::new();
        fn of<'m>(
            members: &'m mut BTreeMap<String, TakenMember>,
            user: &str,
        ) -> &'m mut TakenMember {
            members
                .entry(user.to_owned())
                .or_insert_with(|| TakenMember {
                    user: user.to_owned(),
                    ..TakenMember::default()
                })
        }
        for entry in self.roster() {
            if let Some(user) = text(&entry, "user_id").map(str::to_owned) {
                of(&mut members, &user).entry.get_or_insert(entry);
            }
        }
        for row in &self.memberships {
            if let Some(user) = text(row, "user_id") {
                of(&mut members, user).membership = Some(row.clone());
            }
        }
        for mention in &self.users {
            of(&mut members, &mention.id).place_in_teams = Some(mention.place);
        }
        for key in &self.keys {
            if let Some(user) = key.user() {
                of(&mut members, user).keys.push(key.clone());
            }
        }
        members.into_values().collect()
    }

    /// The same without these users.
    #[must_use]
    pub fn without(mut self, users: &[UserId]) -> Self {
        let stays = |user: Option<&str>| {
            user.is_none_or(|user| !users.iter().any(|other| other.as_str() == user))
        };
        if !users.is_empty() {
            let mut roster = self.roster();
            roster.retain(|entry| stays(text(entry, "user_id")));
            self.row["members_with_roles"] = Value::Array(roster);
            self.memberships.retain(|row| stays(text(row, "user_id")));
            self.keys.retain(|key| stays(key.user()));
            self.users.retain(|mention| stays(Some(&mention.id)));
        }
        self
    }

    /// As a list, whichever of the forms the column had that LiteLLM reads.
    fn roster(&self) -> Vec<Value> {
        match self.row.get("members_with_roles") {
            Some(Value::Array(roster)) => roster.clone(),
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

/// Makes a deleted team again as it was, with all of its members who still
/// have a row. What it refers to and is gone by now is not referred to any
/// more; the tombstones stay. The team's lock must be held.
///
/// # Errors
/// When the database refuses; nothing is then kept.
pub async fn restore(
    connection: &mut AsyncPgConnection,
    writing: Writing<'_>,
    team: &TeamId,
    taken: &TakenTeam,
) -> Result<TeamRestoration> {
    if exists(connection, team).await? {
        return Ok(TeamRestoration::TeamThere);
    }
    // Access groups first, in the order of deletion.
    let groups: Vec<(&str, Option<i32>)> = taken.access_groups.iter().map(place).collect();
    if writing.capabilities.has(ACCESS_GROUPS, "assigned_team_ids") {
        let list = List {
            table: ACCESS_GROUPS,
            key: "access_group_id",
            column: "assigned_team_ids",
        };
        copies::put_into_lists(connection, writing, list, team.as_str(), &groups).await?;
    }
    let members = taken.members();
    let wanted: Vec<&str> = members.iter().map(|member| member.user.as_str()).collect();
    let present = users::lock(connection, &wanted).await?;
    let gone: Vec<UserId> = wanted
        .into_iter()
        .filter(|user| !present.iter().any(|there| there == user))
        .map(UserId::new)
        .collect();
    let taken = taken.clone().without(&gone);
    let made = copies::insert(
        connection,
        writing.capabilities,
        TEAMS,
        "team_id",
        &REFERENCES,
        &[&taken.row],
    )
    .await?;
    if made.is_empty() {
        return Ok(TeamRestoration::TeamThere);
    }
    let mentions: Vec<(&str, Option<i32>)> = taken.users.iter().map(place).collect();
    copies::put_into_lists(
        connection,
        writing,
        TEAMS_OF_USERS,
        team.as_str(),
        &mentions,
    )
    .await?;
    let memberships: Vec<&Value> = taken.memberships.iter().collect();
    insert_copies(connection, writing, &memberships).await?;
    let taken_keys: Vec<&TakenKey> = taken.keys.iter().collect();
    let keys = keys::restore(connection, writing, &taken_keys).await?;
    audit::teams_created(connection, writing, &[team.to_string()]).await?;
    Ok(TeamRestoration::Restored(RestoredTeam {
        members: present,
        keys,
        without_row: gone.iter().map(UserId::to_string).collect(),
    }))
}

fn place(mention: &Mention) -> (&str, Option<i32>) {
    (&mention.id, Some(mention.place))
}
