//! The settings that a decision depends on, already parsed and free of secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use super::defaults::{TeamDefaults, UserDefaults};
use super::ids::{GroupId, PersonId, UserId};

/// Everything `plan` may ask about what the operator wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `litellm.create_organizations` with `litellm.organization_team_models`.
    pub organizations: Organizations,
    /// `litellm.adopt_by_email`.
    pub email_adoption: EmailAdoption,
    /// How many billable users LiteLLM admits.
    pub seats: Limit,
    /// How many teams the licence admits.
    pub teams: Limit,
    /// `PROXY_ADMIN_ID`: never lowered, never deactivated.
    pub proxy_admin: Option<UserId>,
    /// `entra.include_groups` and `entra.exclude_groups`.
    pub groups: GroupFilter,
    /// `ALLOWED_EMAIL_DOMAINS`; `None` admits all.
    pub email_domains: Option<BTreeSet<String>>,
    /// What a new team starts with.
    pub team_defaults: TeamDefaults,
    /// What a new user starts with.
    pub user_defaults: UserDefaults,
}

/// Whether groups become organizations too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Organizations {
    /// Teams only.
    Off,
    /// An organization for every group; its team holds models by this rule.
    On(OrganizationTeamModels),
}

/// What the `models` of a team inside an organization hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationTeamModels {
    /// A copy of the organization's list, kept up to date.
    Mirror,
    /// The literal `all-org-models`, which LiteLLM 1.79 to 1.109 refuses at
    /// every call (measured; litellm-contract 2b).
    AllOrgModels,
}

/// Whether a person may be matched to an existing row by e-mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailAdoption {
    /// Yes, if the match is unambiguous and unprivileged.
    Allowed,
    /// Never.
    Forbidden,
}

/// A ceiling that a licence or the lack of one sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// No ceiling.
    Unlimited,
    /// At most this many rows in all.
    AtMost(u64),
}

impl Limit {
    /// How many may still be added to what is there.
    #[must_use]
    pub fn room(self, present: u64) -> u64 {
        match self {
            Self::Unlimited => u64::MAX,
            Self::AtMost(most) => most.saturating_sub(present),
        }
    }
}

/// Which assigned groups are provisioned. What is filtered out is frozen as it
/// is, never treated as unassigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// When not empty, only these.
    pub include: BTreeSet<GroupId>,
    /// Never these.
    pub exclude: BTreeSet<GroupId>,
}

impl GroupFilter {
    /// Whether the settings admit the group.
    #[must_use]
    pub fn admits(&self, group: GroupId) -> bool {
        (self.include.is_empty() || self.include.contains(&group)) && !self.exclude.contains(&group)
    }
}

/// What one pass was asked to look at. Both empty: everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `--group ID`: only these groups are read and written.
    pub groups: BTreeSet<GroupId>,
    /// `--user ID`: only changes of these people are written.
    pub people: BTreeSet<PersonId>,
}

impl Scope {
    /// Whether the pass covers the whole source.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.groups.is_empty() && self.people.is_empty()
    }

    /// Whether the group is to be read and written.
    #[must_use]
    pub fn covers_group(&self, group: GroupId) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }

    /// Whether the person's rows may be written.
    #[must_use]
    pub fn covers_person(&self, person: PersonId) -> bool {
        self.people.is_empty() || self.people.contains(&person)
    }
}

/// `deprovision.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeprovisionSettings {
    /// `membership`.
    pub membership: MembershipPolicy,
    /// `unassigned_group`.
    pub unassigned_group: UnassignedGroupPolicy,
    /// `disabled_user`.
    pub disabled_user: GonePersonPolicy,
    /// `deleted_user`.
    pub deleted_user: GonePersonPolicy,
    /// `grace`: how long a removal waits.
    pub grace: Duration,
}

/// `deprovision.membership`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipPolicy {
    /// LiteLLM's own member removal.
    Remove,
    /// Members stay.
    Keep,
}

/// `deprovision.unassigned_group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnassignedGroupPolicy {
    /// Managed members go, the team stays.
    Detach,
    /// Everything stays.
    Keep,
    /// The team is blocked.
    Block,
    /// The team is deleted with a tombstone.
    Delete,
}

/// `deprovision.disabled_user` and `deprovision.deleted_user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GonePersonPolicy {
    /// LiteLLM's SCIM deactivation.
    Deactivate,
    /// Nothing happens.
    Keep,
}

/// `guard.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardSettings {
    /// More removals than this are held.
    pub max_removals: u64,
    /// More than this share of what is managed is held, 0 to 100.
    pub max_removal_percent: u8,
    /// Below so many managed members the share does not count.
    pub min_managed: u64,
    /// Removals applied unapproved within this time count too.
    pub window: Duration,
}
