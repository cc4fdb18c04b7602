//! The settings that a decision depends on, already parsed and free of secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::defaults::{TeamDefaults, UserDefaults};
use super::ids::{GroupId, PersonId, UserId};
use super::ledger::ManagedCounts;

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

/// What a pass looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// The whole source.
    #[default]
    Everything,
    /// What somebody asked for: nothing is concluded from what is absent.
    Asked(Asked),
    /// What has changed since everything was in order: the rest is as it was.
    Changed(Changed),
}

/// `--group` and `--user`. One of them may be empty: all of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Only these groups are read and written.
    pub groups: BTreeSet<GroupId>,
    /// Only changes of these people are written.
    pub people: BTreeSet<PersonId>,
}

/// What a pass knows to have changed. Every list and table that it is given is
/// narrowed to these people, and whole as far as they are concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Everybody about whom something may have to be decided.
    pub people: BTreeSet<PersonId>,
    /// Every group that one of them is or was in, and those that changed
    /// themselves.
    pub groups: BTreeSet<GroupId>,
    /// How many people are in each assigned group whose members are known.
    pub headcounts: BTreeMap<GroupId, u64>,
    /// How much is managed in all.
    pub managed: ManagedCounts,
}

impl Scope {
    /// What somebody asked for; everything, if they named nothing.
    #[must_use]
    pub fn asked(groups: BTreeSet<GroupId>, people: BTreeSet<PersonId>) -> Self {
        if groups.is_empty() && people.is_empty() {
            return Self::Everything;
        }
        Self::Asked(Asked { groups, people })
    }

    /// Whether every row of the source is compared.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// Whether something may be concluded from what is absent: somebody is in
    /// no group, nobody gives a role. Who only asked for some objects has not
    /// looked everywhere.
    #[must_use]
    pub const fn judges_absence(&self) -> bool {
        !matches!(self, Self::Asked(_))
    }

    /// Whether the group is to be read and written.
    #[must_use]
    pub fn covers_group(&self, group: GroupId) -> bool {
        match self {
            Self::Everything => true,
            Self::Asked(asked) => asked.groups.is_empty() || asked.groups.contains(&group),
            Self::Changed(changed) => changed.groups.contains(&group),
        }
    }

    /// Whether the person's rows may be written.
    #[must_use]
    pub fn covers_person(&self, person: PersonId) -> bool {
        match self {
            Self::Everything => true,
            Self::Asked(asked) => asked.people.is_empty() || asked.people.contains(&person),
            Self::Changed(changed) => changed.people.contains(&person),
        }
    }

    /// The people somebody asked for by id.
    #[must_use]
    pub fn asked_people(&self) -> &BTreeSet<PersonId> {
        match self {
            Self::Asked(asked) => &asked.people,
            Self::Everything | Self::Changed(_) => const { &BTreeSet::new() },
        }
    }

    /// The groups somebody asked for by id.
    #[must_use]
    pub fn asked_groups(&self) -> &BTreeSet<GroupId> {
        match self {
            Self::Asked(asked) => &asked.groups,
            Self::Everything | Self::Changed(_) => const { &BTreeSet::new() },
        }
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
