//! Changes of the tenant as JSON, for example
//! `{"group":{"key":"Sales","add":["anna"],"assign":["internal_user"]}}`.
//!
//! Keys and GUIDs both name objects; what is missing is made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::simulator::delta::DeltaSettings;
use crate::simulator::permission::Permission;
use crate::simulator::tenant::{
    AccountEnabled, DeletedAssignments, ExpiresIn, RoleState, Tenant, Visibility,
};

/// A property that may be set, set to null, or left alone.
type Settable = Option<Option<String>>;

fn settable<'de, D: Deserializer<'de>>(value: D) -> Result<Settable, D::Error> {
    Option::deserialize(value).map(Some)
}

/// One change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    Group(GroupChange),
    User(Box<UserChange>),
    Role {
        value: String,
        state: RoleState,
    },
    Token {
        lifetime_seconds: Option<u64>,
        expires_in: Option<ExpiresIn>,
        secret: Option<String>,
    },
    /// The granted permissions, instead of those of before.
    Permissions(BTreeSet<Permission>),
    DeletedAssignments(DeletedAssignments),
    /// How delta queries are answered; what is not named is as it was at first.
    Delta(DeltaSettings),
}

/// Where an object should be.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    Live,
    SoftDeleted,
    Purged,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupChange {
    key: String,
    #[serde(default, deserialize_with = "settable")]
    display_name: Settable,
    visibility: Option<Visibility>,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
    #[serde(default)]
    nest: Vec<String>,
    #[serde(default)]
    devices: Vec<String>,
    /// Role values; the empty text is default access.
    #[serde(default)]
    assign: Vec<String>,
    #[serde(default)]
    unassign: Vec<String>,
    fate: Option<Fate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChange {
    key: String,
    user_principal_name: Option<String>,
    #[serde(default, deserialize_with = "settable")]
    mail: Settable,
    #[serde(default, deserialize_with = "settable")]
    display_name: Settable,
    given_name: Option<String>,
    surname: Option<String>,
    account: Option<AccountEnabled>,
    /// Makes a guest from this address.
    guest: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    /// Role values; the empty text is default access.
    #[serde(default)]
    assign: Vec<String>,
    #[serde(default)]
    unassign: Vec<String>,
    fate: Option<Fate>,
}

impl Change {
    pub(super) fn apply(self, tenant: &mut Tenant) {
        match self {
            Self::Group(change) => change.apply(tenant),
            Self::User(change) => change.apply(tenant),
            Self::Role { value, state } => {
                tenant.application().role(&value, state);
            }
            Self::Token {
                lifetime_seconds,
                expires_in,
                secret,
            } => {
                if let Some(seconds) = lifetime_seconds {
                    tenant.token_lifetime(Duration::from_secs(seconds));
                }
                if let Some(form) = expires_in {
                    tenant.expires_in(form);
                }
                if let Some(secret) = secret {
                    tenant.set_client_secret(secret);
                }
            }
            Self::Permissions(granted) => tenant.credentials.granted = granted,
            Self::DeletedAssignments(shown) => tenant.deleted_assignments(shown),
            Self::Delta(settings) => *tenant.delta() = settings,
        }
    }
}

impl GroupChange {
    fn apply(self, tenant: &mut Tenant) {
        let mut group = tenant.group(&self.key);
        group = match self.display_name {
            Some(Some(name)) => group.display_name(&name),
            Some(None) => group.without_display_name(),
            None => group,
        };
        if let Some(visibility) = self.visibility {
            group = group.visibility(visibility);
        }
        group = group.members(self.add.iter().map(String::as_str));
        group = self
            .remove
            .iter()
            .fold(group, |group, key| group.without_member(key));
        group = self.nest.iter().fold(group, |group, key| group.nested(key));
        group = self
            .devices
            .iter()
            .fold(group, |group, key| group.device(key));
        group = self
            .unassign
            .iter()
            .fold(group, |group, role| group.unassigned(role));
        group = self
            .assign
            .iter()
            .fold(group, |group, role| match role.as_str() {
                "" => group.assigned_by_default(),
                role => group.assigned(role),
            });
        match self.fate {
            None => group,
            Some(Fate::Live) => group.restored(),
            Some(Fate::SoftDeleted) => group.soft_deleted(),
            Some(Fate::Purged) => group.purged(),
        };
    }
}

impl UserChange {
    fn apply(self, tenant: &mut Tenant) {
        let mut user = tenant.user(&self.key);
        if let Some(address) = self.guest {
            user = user.guest(&address);
        }
        if let Some(name) = self.user_principal_name {
            user = user.user_principal_name(&name);
        }
        user = match self.mail {
            Some(Some(mail)) => user.mail(&mail),
            Some(None) => user.without_mail(),
            None => user,
        };
        user = match self.display_name {
            Some(Some(name)) => user.display_name(&name),
            Some(None) => user.without_display_name(),
            None => user,
        };
        if self.given_name.is_some() || self.surname.is_some() {
            let part = |name: Option<String>| name.unwrap_or_default();
            user = user.names(&part(self.given_name), &part(self.surname));
        }
        if let Some(account) = self.account {
            user = user.account(account);
        }
        user = self
            .attributes
            .into_iter()
            .fold(user, |user, (name, value)| user.attribute(&name, value));
        user = self
            .unassign
            .iter()
            .fold(user, |user, role| user.unassigned(role));
        user = self
            .assign
            .iter()
            .fold(user, |user, role| match role.as_str() {
                "" => user.assigned_by_default(),
                role => user.assigned(role),
            });
        match self.fate {
            None => user,
            Some(Fate::Live) => user.restored(),
            Some(Fate::SoftDeleted) => user.soft_deleted(),
            Some(Fate::Purged) => user.purged(),
        };
    }
}
