//! LiteLLM's user roles, ranked as LiteLLM ranks them.
//!
//! Source: litellm-contract 2c (`get_litellm_user_role` of LiteLLM 1.109.1):
//! app role values are compared without regard to case, the highest of the
//! four roles below wins, and `customer`, `org_admin` and `team` exist but are
//! refused when a user row is created.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A role that `LiteLLM_UserTable.user_role` may hold for a new user. Ordered
/// by power: the greater one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look at its own usage; LiteLLM's default for a person without role.
    InternalUserViewer,
    /// May make keys for itself.
    InternalUser,
    /// May look at everything.
    ProxyAdminViewer,
    /// May do everything.
    ProxyAdmin,
}

impl Role {
    /// LiteLLM's own default when neither claim nor settings give a role.
    pub const FALLBACK: Self = Self::InternalUserViewer;

    /// The name as LiteLLM stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InternalUserViewer => "internal_user_viewer",
            Self::InternalUser => "internal_user",
            Self::ProxyAdminViewer => "proxy_admin_viewer",
            Self::ProxyAdmin => "proxy_admin",
        }
    }

    /// Reads a stored name exactly; `None` for anything else.
    #[must_use]
    pub fn from_stored(name: &str) -> Option<Self> {
        [
            Self::InternalUserViewer,
            Self::InternalUser,
            Self::ProxyAdminViewer,
            Self::ProxyAdmin,
        ]
        .into_iter()
        .find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an app role's `value` means to LiteLLM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleValue {
    /// One of the four roles that count.
    Role(Role),
    /// A role LiteLLM knows but refuses for a new user row.
    Refused,
    /// Nothing to LiteLLM: an app role for some other purpose.
    Foreign,
}

impl RoleValue {
    /// Reads an app role's `value`, which Graph may leave null.
    #[must_use]
    pub fn read(value: Option<&str>) -> Self {
        let Some(value) = value else {
            return Self::Foreign;
        };
        let name = value.to_lowercase();
        match Role::from_stored(&name) {
            Some(role) => Self::Role(role),
            None if matches!(name.as_str(), "customer" | "org_admin" | "team") => Self::Refused,
            None => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_powerful_role_is_the_greater() {
        assert!(Role::ProxyAdmin > Role::ProxyAdminViewer);
        assert!(Role::ProxyAdminViewer > Role::InternalUser);
        assert!(Role::InternalUser > Role::InternalUserViewer);
    }

    #[test]
    fn app_role_values_are_read_without_regard_to_case() {
        assert_eq!(
            RoleValue::read(Some("Proxy_Admin")),
            RoleValue::Role(Role::ProxyAdmin)
        );
        assert_eq!(RoleValue::read(Some("ORG_ADMIN")), RoleValue::Refused);
        assert_eq!(RoleValue::read(Some("billing")), RoleValue::Foreign);
        assert_eq!(RoleValue::read(None), RoleValue::Foreign);
    }
}
