//! What we own in LiteLLM and what we last wrote there.
//!
//! Invariant: ownership is kept here, never inferred from LiteLLM's rows; a
//! thing that is not in the ledger is a person's and is left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::ids::{GroupId, PersonId, TeamId, UserId};
use super::role::Role;

/// Everything owned for one source.
#[derive(Debug, Clone, Default)]
pub struct Owned {
    /// Teams that stand for a group.
    pub teams: BTreeMap<GroupId, OwnedTeam>,
    /// Organizations that stand for a group.
    pub organizations: BTreeMap<GroupId, OwnedOrganization>,
    /// People bound to a LiteLLM user.
    pub people: HashMap<PersonId, OwnedUser>,
    /// Rows that people were before they got the one in `people`. They may
    /// still log in as them.
    pub earlier: BTreeMap<PersonId, Vec<OwnedUser>>,
    /// Managed team members per group, sorted. A person who has got another row
    /// may be here twice: what we gave the earlier row is still ours.
    pub team_members: BTreeMap<GroupId, Vec<Member>>,
    /// Users whom we took out of the team of a group and to whom nobody gave
    /// that back, per group, sorted.
    pub taken_members: BTreeMap<GroupId, Vec<UserId>>,
    /// Managed organization members per group, sorted, likewise.
    pub organization_members: BTreeMap<GroupId, Vec<Member>>,
    /// Default teams that people whom we inserted have still to join, per team,
    /// sorted. A person is new in one pass only; what that pass could not
    /// finish is remembered here.
    pub due_default_teams: BTreeMap<TeamId, Vec<PersonId>>,
    /// What of all this other sources manage too; `None` when there are none.
    pub held_elsewhere: Option<Elsewhere>,
}

/// What other sources of the same ledger manage, of what this one does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Members of a group's team, by their rows.
    pub team_members: HashSet<(GroupId, UserId)>,
    /// Members of a group's organization, likewise.
    pub organization_members: HashSet<(GroupId, UserId)>,
    /// Teams of groups.
    pub teams: BTreeSet<GroupId>,
    /// Rows that stand for somebody there, or did.
    pub users: HashMap<UserId, Stay>,
    /// The same without sources that no settings name, which nobody asks what
    /// they want; `None` when there are none.
    pub named: Option<Box<Self>>,
}

/// What other sources want to become of a row that they manage too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stay {
    /// One of them at least wants the person to have access.
    Wanted,
    /// Each would take the access away.
    Unwanted,
}

/// How much is managed: what removals are weighed against, without what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManagedCounts {
    /// Managed members of all teams.
    pub team_members: u64,
    /// Those of each team that has any.
    pub of_team: BTreeMap<GroupId, u64>,
    /// Managed members of all organizations.
    pub organization_members: u64,
    /// People bound to a LiteLLM user.
    pub people: u64,
    /// Those of them whom we have not deactivated, without whoever lost access or
    /// a role within the guard's window.
    pub people_with_access: u64,
}

/// A person together with the LiteLLM row that stands for them, or did when
/// this was written down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The row.
    pub user: UserId,
    /// The person.
    pub person: PersonId,
}

/// How something came to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// We inserted the row.
    Created,
    /// It was there and Entra wants it too.
    Adopted,
}

impl Origin {
    /// The word the ledger stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted => "adopted",
        }
    }
}

/// A team in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedTeam {
    /// Whether we made it.
    pub origin: Origin,
    /// The alias we last wrote, or found equal to Entra's; `None` when the
    /// alias is a person's.
    pub alias: LastWritten<String>,
    /// The mirrored model list we last wrote.
    pub models: LastWritten<Vec<String>>,
    /// Whether the team waits for its organization.
    pub placement: Placement,
    /// Whether we blocked it; only then do we unblock it.
    pub block: Ours,
    /// Whether such a block was ended by hand.
    pub lifted: Lifted,
}

/// Where a team that we made stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// As it should be.
    Settled,
    /// Made standalone because its organization could not be made; attached
    /// once the organization exists.
    AwaitsOrganization,
}

/// An organization in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedOrganization {
    /// Whether we made it.
    pub origin: Origin,
    /// The alias we last wrote, or found equal to Entra's.
    pub alias: LastWritten<String>,
}

/// A person in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedUser {
    /// The LiteLLM row this person was matched to or inserted as.
    pub user: UserId,
    /// Whether we inserted the row.
    pub origin: Origin,
    /// The alias we last wrote, or found equal to Entra's.
    pub alias: LastWritten<Box<str>>,
    /// The e-mail we last wrote, or found equal to Entra's.
    pub email: LastWritten<Box<str>>,
    /// What `sso_user_id` held when the row was last seen to be this person's,
    /// if that is not the object id.
    pub subject: Option<UserId>,
    /// The role we last wrote, whether from an app role or as default, or saw
    /// become what Entra wants in its place; `None` once it is somebody else's.
    pub role: Option<Role>,
    /// Where that role came from.
    pub role_from: RoleFrom,
    /// Whether we deactivated the row; only then do we reactivate it.
    pub deactivation: Ours,
}

impl Owned {
    /// Every row that stands for a person, or did.
    pub fn rows(&self) -> impl Iterator<Item = (PersonId, &OwnedUser)> {
        let earlier = self.earlier.iter();
        let earlier = earlier.flat_map(|(person, rows)| rows.iter().map(|row| (*person, row)));
        let now = self.people.iter().map(|(person, row)| (*person, row));
        now.chain(earlier)
    }

    /// What is known of a person as this row, now or before.
    #[must_use]
    pub fn known(&self, person: PersonId, user: &UserId) -> Option<&OwnedUser> {
        let now = self.people.get(&person).into_iter();
        let earlier = self.earlier.get(&person).into_iter().flatten();
        now.chain(earlier).find(|known| known.user == *user)
    }
}

impl OwnedUser {
    /// A subject as it is kept: the object id goes without saying.
    #[must_use]
    pub fn subject_of(person: PersonId, subject: &str) -> Option<UserId> {
        (subject != person.to_string()).then(|| UserId::new(subject))
    }
}

/// Why a role is what it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleFrom {
    /// An app role in Entra.
    Assignment,
    /// The default for new users. Later settings do not change it.
    #[default]
    Default,
}

/// Whether a person ended a block of ours while its group was not assigned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifted {
    /// No.
    #[default]
    No,
    /// Yes: it is not blocked again before the group has been assigned again.
    Yes,
}

/// Whether a state in LiteLLM is our doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ours {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

/// The value of a column when we last wrote it. While the column still holds
/// it, Entra's changes are followed; once it differs, a person changed it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LastWritten<T> {
    /// We never wrote the column: its value is a person's.
    #[default]
    Never,
    /// We wrote NULL.
    Null,
    /// We wrote this.
    Value(T),
}

impl<T> LastWritten<T> {
    /// From a value that was written, where `None` is NULL.
    pub fn wrote(value: Option<T>) -> Self {
        match value {
            Some(value) => Self::Value(value),
            None => Self::Null,
        }
    }
}

/// What operators decided, by the key of each removal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Released: applied without being counted, as long as the guard weighs
    /// them no heavier than when they were approved.
    pub approved: BTreeMap<String, u64>,
    /// Never applied until Entra wants again what they are about.
    pub rejected: BTreeSet<String>,
    /// Digests of sets that were rejected and all of whose items still are:
    /// silent while exactly the same set would be held again.
    pub rejected_digests: BTreeSet<String>,
    /// In a set that is held, and not decided about.
    pub asked: BTreeSet<String>,
}

/// Removals applied without approval within `guard.window`, as the guard
/// weighs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    /// All of them.
    pub removals: u64,
    /// Those that a group lost: members of its team, or the team itself.
    pub by_group: BTreeMap<GroupId, u64>,
    /// Whose access or role it was.
    pub people: BTreeSet<PersonId>,
}
