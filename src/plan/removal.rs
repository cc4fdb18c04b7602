//! One thing that is taken away, as data.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::change::Member;
use super::item::Item;
use crate::model::ids::{GroupId, PersonId, UserId};
use crate::model::ledger::{Ours, RoleFrom};
use crate::model::report::Kind;
use crate::model::role::Role;

/// Something Entra no longer wants, or no longer wants so. The ledger keeps it,
/// as JSON, with the copy of what went: names of variants and fields stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// A managed membership in a team.
    TeamMember {
        /// The group the team stands for.
        group: GroupId,
        /// Who.
        member: Member,
        /// Why.
        why: Why,
    },
    /// A managed membership in an organization.
    OrganizationMember {
        /// The group the organization stands for.
        group: GroupId,
        /// Who.
        member: Member,
        /// Why.
        why: Why,
    },
    /// A person's access: LiteLLM's SCIM deactivation.
    Deactivation {
        /// Who.
        member: Member,
        /// Why.
        why: Why,
        /// Whether the role of `proxy_admin`, if the row has it, is ours.
        administrator: Ours,
    },
    /// A role that we gave.
    LowerRole {
        /// Who.
        member: Member,
        /// What the row holds, which is what we last wrote.
        before: Role,
        /// What it shall hold.
        after: Role,
        /// What gives that.
        #[serde(default)]
        from: RoleFrom,
    },
    /// A team that we made, blocked.
    BlockTeam {
        /// The group it stood for.
        group: GroupId,
        /// How many members lose it, whoever added them.
        members: u64,
    },
    /// A team that we made, deleted with a tombstone.
    DeleteTeam {
        /// The group it stood for.
        group: GroupId,
        /// How many members lose it, whoever added them.
        members: u64,
    },
}

/// Why something is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// The person left the group.
    LeftGroup,
    /// The group is no longer assigned to the application, or gone.
    GroupUnassigned,
    /// `accountEnabled` is false.
    Disabled,
    /// Among the deleted items.
    SoftDeleted,
    /// Gone for good.
    Purged,
}

impl Why {
    /// The reason in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeftGroup => "left the group",
            Self::GroupUnassigned => "the group is no longer assigned",
            Self::Disabled => "disabled in Entra",
            Self::SoftDeleted => "deleted in Entra, restorable",
            Self::Purged => "deleted in Entra for good",
        }
    }
}

impl Removal {
    /// The group whose own threshold may hold this, if any.
    #[must_use]
    pub const fn group(&self) -> Option<GroupId> {
        match self {
            Self::TeamMember { group, .. }
            | Self::OrganizationMember { group, .. }
            | Self::BlockTeam { group, .. }
            | Self::DeleteTeam { group, .. } => Some(*group),
            Self::Deactivation { .. } | Self::LowerRole { .. } => None,
        }
    }

    /// The group that loses something by it: leaving an organization goes along
    /// with leaving its team, and is not counted again.
    #[must_use]
    pub const fn group_losing(&self) -> Option<GroupId> {
        match self {
            Self::OrganizationMember { .. } => None,
            _ => self.group(),
        }
    }

    /// Who loses access or a role by it.
    #[must_use]
    pub fn person_losing(&self) -> Option<PersonId> {
        match self {
            Self::Deactivation { member, .. } | Self::LowerRole { member, .. } => {
                Some(member.person)
            }
            _ => None,
        }
    }

    /// How many removals the guard counts this as: a team goes from all of its
    /// members at once.
    #[must_use]
    pub const fn weight(&self) -> u64 {
        match self {
            Self::BlockTeam { members, .. } | Self::DeleteTeam { members, .. } if *members > 1 => {
                *members
            }
            _ => 1,
        }
    }

    /// The person concerned, with the row, if any.
    #[must_use]
    pub const fn member(&self) -> Option<&Member> {
        match self {
            Self::TeamMember { member, .. }
            | Self::OrganizationMember { member, .. }
            | Self::Deactivation { member, .. }
            | Self::LowerRole { member, .. } => Some(member),
            Self::BlockTeam { .. } | Self::DeleteTeam { .. } => None,
        }
    }

    /// The person concerned, if any.
    #[must_use]
    pub fn person(&self) -> Option<PersonId> {
        self.member().map(|member| member.person)
    }

    /// The row concerned, if it is about a person.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.member().map(|member| &member.user)
    }

    /// What the removal is about, whatever its reason: a decision of the guard
    /// or of an operator names this.
    #[must_use]
    pub fn key(&self) -> String {
        let item = self.item("remove");
        match self {
            Self::LowerRole { after, .. } => format!("lower {} {after}", item.id),
            Self::BlockTeam { .. } => format!("block {}", item.id),
            Self::DeleteTeam { .. } => format!("delete {}", item.id),
            Self::Deactivation { .. } => format!("deactivate {}", item.id),
            Self::TeamMember { .. } | Self::OrganizationMember { .. } => {
                format!("remove {} {}", item.kind.as_str(), item.id)
            }
        }
    }

    /// What it follows from, if settings choose the form it takes: a word about
    /// this is about every form.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::TeamMember { group, why, .. } | Self::OrganizationMember { group, why, .. } => {
                (*why == Why::GroupUnassigned).then(|| format!("unassigned {group}"))
            }
            Self::BlockTeam { group, .. } | Self::DeleteTeam { group, .. } => {
                Some(format!("unassigned {group}"))
            }
            Self::LowerRole { member, .. } => Some(format!("role {}", member.user)),
            Self::Deactivation { .. } => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            // Whoever is gone loses access before anything else is touched.
            Self::Deactivation { .. } => 0,
            Self::LowerRole { .. } => 1,
            Self::TeamMember { .. } => 2,
            Self::OrganizationMember { .. } => 3,
            Self::BlockTeam { .. } => 4,
            Self::DeleteTeam { .. } => 5,
        }
    }

    /// The removal as a line of a plan. `membership` is the action that
    /// memberships are shown with: `remove`, or `hold` and `wait` for those
    /// that are not applied now.
    #[must_use]
    pub fn item(&self, action: &'static str) -> Item {
        let shown = |own: &'static str| if action == "remove" { own } else { action };
        match self {
            Self::TeamMember { group, member, why } => Item {
                action,
                kind: Kind::TeamMembership,
                id: format!("{group}/{}", member.user),
                reason: why.as_str(),
                before: json!({ "role": "user" }),
                after: Value::Null,
                waits: None,
            },
            Self::OrganizationMember { group, member, why } => Item {
                action,
                kind: Kind::OrganizationMembership,
                id: format!("{group}/{}", member.user),
                reason: why.as_str(),
                before: json!({ "role": "internal_user" }),
                after: Value::Null,
                waits: None,
            },
            Self::Deactivation { member, why, .. } => Item {
                action: shown("deactivate"),
                kind: Kind::User,
                id: member.user.to_string(),
                reason: why.as_str(),
                before: json!({ "active": true }),
                after: json!({ "active": false }),
                waits: None,
            },
            Self::LowerRole {
                member,
                before,
                after,
                from: _,
            } => Item {
                action: shown("update"),
                kind: Kind::User,
                id: member.user.to_string(),
                reason: "app role in Entra is lower",
                before: json!({ "user_role": before }),
                after: json!({ "user_role": after }),
                waits: None,
            },
            Self::BlockTeam { group, .. } => Item {
                action: shown("block"),
                kind: Kind::Team,
                id: group.to_string(),
                reason: Why::GroupUnassigned.as_str(),
                before: json!({ "blocked": false }),
                after: json!({ "blocked": true }),
                waits: None,
            },
            Self::DeleteTeam { group, .. } => Item {
                action: shown("delete"),
                kind: Kind::Team,
                id: group.to_string(),
                reason: Why::GroupUnassigned.as_str(),
                before: json!({}),
                after: Value::Null,
                waits: None,
            },
        }
    }
}

impl Ord for Removal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank()
            .cmp(&other.rank())
            .then_with(|| self.group().cmp(&other.group()))
            .then_with(|| self.user().cmp(&other.user()))
            .then_with(|| self.person().cmp(&other.person()))
    }
}

impl PartialOrd for Removal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
