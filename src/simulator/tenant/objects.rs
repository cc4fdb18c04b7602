//! The directory's objects, kept compact: a tenant may hold a million
//! memberships.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::simulator::guid::Kind;

/// `accountEnabled`, with the ways it can be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountEnabled {
    /// `true`.
    Enabled,
    /// `false`.
    Disabled,
    /// `null`, although selected.
    Null,
    /// Left out, although selected.
    Omitted,
}

/// `userType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserType {
    /// `Member`.
    Member,
    /// `Guest`.
    Guest,
}

/// A group's `visibility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// `null`, as for most security groups.
    Unset,
    /// `Public`.
    Public,
    /// `Private`.
    Private,
    /// `HiddenMembership`: members are seen with `Member.Read.Hidden` only.
    HiddenMembership,
}

impl Visibility {
    pub(in crate::simulator) fn as_graph(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Public => Some("Public"),
            Self::Private => Some("Private"),
            Self::HiddenMembership => Some("HiddenMembership"),
        }
    }
}

/// Whether an object is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Live,
    /// It is among the deleted items and can be restored.
    SoftDeleted(DateTime<Utc>),
    /// It is gone for good.
    Purged,
}

impl Presence {
    /// Whether the object is there.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }
}

/// Whether an app role is enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleState {
    /// `isEnabled` true.
    Enabled,
    /// `isEnabled` false; assignments may still name it.
    Disabled,
}

/// A user.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct User {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) user_principal_name: Box<str>,
    pub(in crate::simulator) mail: Option<Box<str>>,
    pub(in crate::simulator) display_name: Option<Box<str>>,
    pub(in crate::simulator) given_name: Option<Box<str>>,
    pub(in crate::simulator) surname: Option<Box<str>>,
    pub(in crate::simulator) account: AccountEnabled,
    pub(in crate::simulator) user_type: UserType,
    pub(in crate::simulator) presence: Presence,
    #[expect(
        clippy::box_collection,
        reason = "most users have none: 8 bytes instead of 24"
    )]
    pub(in crate::simulator) attributes: Option<Box<BTreeMap<String, Value>>>,
}

impl User {
    pub(in crate::simulator) fn sample(id: Uuid, key: &str, domain: &str) -> Self {
        let local: String = key
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '.'
                }
            })
            .collect();
        let address = format!("{local}@{domain}").into_boxed_str();
        Self {
            id,
            mail: Some(address.clone()),
            user_principal_name: address,
            display_name: Some(key.into()),
            given_name: None,
            surname: None,
            account: AccountEnabled::Enabled,
            user_type: UserType::Member,
            presence: Presence::Live,
            attributes: None,
        }
    }
}

/// A group.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Group {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) display_name: Option<Box<str>>,
    pub(in crate::simulator) visibility: Visibility,
    pub(in crate::simulator) presence: Presence,
    pub(in crate::simulator) members: Vec<Member>,
}

impl Group {
    pub(in crate::simulator) fn sample(id: Uuid, name: &str) -> Self {
        Self {
            id,
            display_name: Some(name.into()),
            visibility: Visibility::Unset,
            presence: Presence::Live,
            members: Vec::new(),
        }
    }
}

/// A member, by its place in the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::simulator) enum Member {
    User(u32),
    Group(u32),
    Other(u32),
}

/// An object that is neither user nor group.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Other {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) kind: OtherKind,
    pub(in crate::simulator) display_name: Box<str>,
}

/// What such an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum OtherKind {
    Device,
    ServicePrincipal,
    Contact,
}

impl OtherKind {
    pub(in crate::simulator) fn guid_kind(self) -> Kind {
        match self {
            Self::Device => Kind::Device,
            Self::ServicePrincipal => Kind::ServicePrincipal,
            Self::Contact => Kind::Contact,
        }
    }

    pub(in crate::simulator) fn odata_type(self) -> &'static str {
        match self {
            Self::Device => "#microsoft.graph.device",
            Self::ServicePrincipal => "#microsoft.graph.servicePrincipal",
            Self::Contact => "#microsoft.graph.orgContact",
        }
    }
}
