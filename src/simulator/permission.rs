//! Application permissions, as far as this part of Graph asks for them.
//!
//! Invariant: a token carries the permissions that were granted when it was
//! issued; a later grant needs a new token, as with the real thing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// An application permission of Microsoft Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// Service principals and their assignments.
    #[serde(rename = "Application.Read.All")]
    ApplicationReadAll,
    /// Groups and their members, without the members' attributes.
    #[serde(rename = "GroupMember.Read.All")]
    GroupMemberReadAll,
    /// Groups and their members.
    #[serde(rename = "Group.Read.All")]
    GroupReadAll,
    /// Users with their attributes.
    #[serde(rename = "User.Read.All")]
    UserReadAll,
    /// Devices with their attributes.
    #[serde(rename = "Device.Read.All")]
    DeviceReadAll,
    /// Members of groups whose membership is hidden.
    #[serde(rename = "Member.Read.Hidden")]
    MemberReadHidden,
    /// Nearly everything above, and `getByIds`.
    #[serde(rename = "Directory.Read.All")]
    DirectoryReadAll,
}

impl Permission {
    /// What a careful administrator grants to this program.
    #[must_use]
    pub fn recommended() -> BTreeSet<Self> {
        BTreeSet::from([
            Self::ApplicationReadAll,
            Self::GroupMemberReadAll,
            Self::UserReadAll,
            Self::MemberReadHidden,
        ])
    }
}

/// The permissions frozen in one token.
#[derive(Debug, Clone, Default)]
pub(super) struct Rights(BTreeSet<Permission>);

impl Rights {
    pub(super) fn of(granted: &BTreeSet<Permission>) -> Self {
        Self(granted.clone())
    }

    fn any(&self, enough: &[Permission]) -> bool {
        enough.iter().any(|permission| self.0.contains(permission))
    }

    pub(super) fn read_applications(&self) -> bool {
        self.any(&[Permission::ApplicationReadAll, Permission::DirectoryReadAll])
    }

    pub(super) fn read_groups(&self) -> bool {
        self.any(&[
            Permission::GroupMemberReadAll,
            Permission::GroupReadAll,
            Permission::DirectoryReadAll,
        ])
    }

    /// Graph wants more for subscriptions than for reading.
    pub(super) fn watch_groups(&self) -> bool {
        self.any(&[Permission::GroupReadAll, Permission::DirectoryReadAll])
    }

    pub(super) fn read_users(&self) -> bool {
        self.any(&[Permission::UserReadAll, Permission::DirectoryReadAll])
    }

    pub(super) fn read_devices(&self) -> bool {
        self.any(&[Permission::DeviceReadAll, Permission::DirectoryReadAll])
    }

    pub(super) fn read_hidden_membership(&self) -> bool {
        self.any(&[Permission::MemberReadHidden])
    }

    pub(super) fn read_any_object(&self) -> bool {
        self.any(&[Permission::DirectoryReadAll])
    }
}
