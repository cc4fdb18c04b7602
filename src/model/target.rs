//! What LiteLLM has, as far as it concerns the people and groups of a reading.
//!
//! Invariant: a snapshot only. Whoever writes re-reads under LiteLLM's lock.
//! It holds rows that match somebody read or something we own; a user of
//! LiteLLM whom Entra does not know does not make it larger.

use std::collections::{BTreeMap, HashMap};

use super::ids::{OrganizationId, PersonId, TeamId, UserId};
use super::role::Role;

/// The rows a plan is made against.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Users by `user_id`.
    pub users: BTreeMap<UserId, UserRow>,
    /// Teams by `team_id`.
    pub teams: BTreeMap<TeamId, TeamRow>,
    /// Organizations by `organization_id`.
    pub organizations: BTreeMap<OrganizationId, OrganizationRow>,
    /// `LiteLLM_VerifiedSubject`: who logged in as which of `users`.
    pub verified_subjects: HashMap<PersonId, UserId>,
    /// Rows that take a seat: all users but those with `scim_active` false.
    pub billable_users: u64,
    /// All teams, for a licence's `max_teams`.
    pub team_count: u64,
    /// Teams whose row cannot be understood, each with cause and remedy. They
    /// are left alone and are not among `teams`.
    pub broken_teams: BTreeMap<TeamId, String>,
}

/// A row of `LiteLLM_UserTable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// `sso_user_id`: the identity this row is bound to.
    pub sso_user_id: Option<UserId>,
    /// `user_email`, in whatever case it is stored.
    pub email: Option<Box<str>>,
    /// `user_alias`.
    pub alias: Option<Box<str>>,
    /// `user_role`.
    pub role: StoredRole,
    /// `metadata.scim_active`; only JSON false deactivates.
    pub activity: Activity,
    /// `teams`, sorted; a NULL array is empty.
    pub teams: Vec<TeamId>,
}

/// What `user_role` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredRole {
    /// NULL.
    None,
    /// One of the four ranked roles.
    Role(Role),
    /// Anything else: somebody's decision that we do not rank.
    Other(Box<str>),
}

impl StoredRole {
    /// The text as stored.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Role(role) => Some(role.as_str()),
            Self::Other(text) => Some(text),
        }
    }
}

/// Whether LiteLLM lets the user in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// `scim_active` absent, null or true.
    Active,
    /// `scim_active` is JSON false.
    Deactivated,
}

/// A row of `LiteLLM_TeamTable` with its two other membership copies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamRow {
    /// `team_alias`.
    pub alias: Option<String>,
    /// `organization_id`.
    pub organization: Option<OrganizationId>,
    /// `models`, in stored order; a NULL array is empty.
    pub models: Vec<String>,
    /// Entries of `members_with_roles` with the `user_id` of a row that concerns
    /// this directory, sorted by it.
    pub roster: Vec<RosterEntry>,
    /// Entries of people whom neither Entra nor the ledger knows: somebody added
    /// them by hand, and they are only counted.
    pub strangers: u64,
    /// `LiteLLM_TeamMembership.user_id` of this team, sorted.
    pub memberships: Vec<UserId>,
    /// `blocked`.
    pub block: Block,
}

impl TeamRow {
    /// How many entries `members_with_roles` holds, whoever they are.
    #[must_use]
    pub fn entries(&self) -> usize {
        let strangers = usize::try_from(self.strangers).unwrap_or(usize::MAX);
        self.roster.len().saturating_add(strangers)
    }
}

/// Whether LiteLLM refuses a team's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Block {
    /// It does not.
    #[default]
    Open,
    /// It does.
    Blocked,
}

/// One entry of a roster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RosterEntry {
    /// The member.
    pub user: UserId,
    /// Its role in the team.
    pub role: TeamRole,
}

/// A member's role within a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TeamRole {
    /// `user`: what we and LiteLLM's login write.
    User,
    /// `admin`: always a person's decision.
    Admin,
}

/// A row of `LiteLLM_OrganizationTable`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrganizationRow {
    /// `organization_alias`.
    pub alias: String,
    /// `models`, in stored order.
    pub models: Vec<String>,
    /// `LiteLLM_OrganizationMembership.user_id`, sorted.
    pub members: Vec<UserId>,
    /// What its budget row allows its teams.
    pub ceiling: Ceiling,
}

/// The limits of an organization's budget row; `None` limits nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ceiling {
    /// `max_budget`, US dollars.
    pub max_budget: Option<f64>,
    /// `tpm_limit`: tokens a minute.
    pub tpm_limit: Option<i64>,
    /// `rpm_limit`: requests a minute.
    pub rpm_limit: Option<i64>,
}
