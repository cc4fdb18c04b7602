//! Identifiers as types, so that a team can never be passed where a person is
//! meant.
//!
//! Entra object ids are GUIDs and are kept as 16 bytes; LiteLLM ids are free
//! text and are shared (`Arc<str>`), because one id stands in many rosters.
//! Identity is always the Entra object id, never a name or an e-mail.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that was expected to be a GUID and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a GUID: expected 8-4-4-4-12 hexadecimal digits")]
pub struct NotAGuid {
    /// The text as it was given.
    pub text: String,
}

macro_rules! guid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a GUID that is known to name this kind of object.
            #[must_use]
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare GUID, for storage.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.as_hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = NotAGuid;

            fn from_str(text: &str) -> Result<Self, NotAGuid> {
                // Only the hyphenated form: the others would let one object
                // have several spellings in settings and URLs.
                let hyphenated = text.len() == 36;
                match Uuid::try_parse(text) {
                    Ok(id) if hyphenated => Ok(Self(id)),
                    _ => Err(NotAGuid { text: text.to_owned() }),
                }
            }
        }
    };
}

guid_id!(
    /// An Entra group's object id. Team and organization take it as their id.
    GroupId
);
guid_id!(
    /// An Entra user's object id.
    PersonId
);
guid_id!(
    /// The object id of the Enterprise Application (service principal).
    ServicePrincipalId
);
guid_id!(
    /// An app role's id; all zeroes means "default access", which is no role.
    AppRoleId
);
guid_id!(
    /// One pass, as the ledger and the logs name it.
    RunId
);
guid_id!(
    /// A request for a pass, in the ledger.
    RequestId
);

impl AppRoleId {
    /// Default access: the assignment carries no app role
    /// (Graph: `appRoleId` all zeroes).
    #[must_use]
    pub const fn is_default_access(&self) -> bool {
        self.0.is_nil()
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps an id as LiteLLM stores it.
            #[must_use]
            pub fn new(id: impl Into<Arc<str>>) -> Self {
                Self(id.into())
            }

            /// The id as LiteLLM stores it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// `LiteLLM_TeamTable.team_id`.
    TeamId
);
text_id!(
    /// `LiteLLM_OrganizationTable.organization_id`.
    OrganizationId
);
text_id!(
    /// `LiteLLM_UserTable.user_id`; also what `sso_user_id` holds.
    UserId
);

impl TeamId {
    /// The team that stands for a group has the group's object id.
    #[must_use]
    pub fn of(group: GroupId) -> Self {
        Self(group.to_string().into())
    }

    /// The group whose id this team carries, if its id is a GUID at all.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.0.parse().ok()
    }
}

impl OrganizationId {
    /// The organization that stands for a group has the group's object id.
    #[must_use]
    pub fn of(group: GroupId) -> Self {
        Self(group.to_string().into())
    }
}

/// One tenant and Enterprise Application; every ledger key starts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(i32);

impl SourceId {
    /// Wraps the ledger's own number for a source.
    #[must_use]
    pub const fn new(id: i32) -> Self {
        Self(id)
    }

    /// The ledger's number, for storage.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What people call a source: in the settings, in the ledger, on the command
/// line. Who it is, tenant and Enterprise Application say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// The name of the one source of settings that give none.
    const SOLE: &'static str = "default";

    /// Reads a name: lower case letters, digits and dashes, 63 at most.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = text.len() <= 63
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || c == '-');
        fits.then(|| Self(text.into()))
    }

    /// The one source of settings that name none.
    #[must_use]
    pub fn sole() -> Self {
        Self(Self::SOLE.into())
    }

    /// Whether it is that one.
    #[must_use]
    pub fn is_sole(&self) -> bool {
        &*self.0 == Self::SOLE
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_one_spelling() {
        let id: GroupId = "6F9619FF-8B86-D011-B42D-00CF4FC964FF".parse().unwrap();
        assert_eq!(id.to_string(), "6f9619ff-8b86-d011-b42d-00cf4fc964ff");
        assert!(
            "6f9619ff8b86d011b42d00cf4fc964ff"
                .parse::<GroupId>()
                .is_err()
        );
        assert!("../members".parse::<GroupId>().is_err());
    }

    #[test]
    fn a_team_knows_its_group_only_by_guid() {
        let id: GroupId = "6f9619ff-8b86-d011-b42d-00cf4fc964ff".parse().unwrap();
        assert_eq!(TeamId::of(id).group(), Some(id));
        assert_eq!(TeamId::new("sales").group(), None);
    }
}
