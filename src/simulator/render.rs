//! Objects as JSON: exactly the selected properties, in the asked order.
//!
//! Invariant: without the permission for a type its attributes are null, and
//! the answer is still 200. A property that a type does not have is left out.

use serde_json::{Value, json};

use super::permission::Rights;
use super::properties::{
    ASSIGNMENT_DEFAULTS, GROUP_DEFAULTS, OTHER_DEFAULTS, ObjectType, SERVICE_PRINCIPAL_DEFAULTS,
    USER_DEFAULTS,
};
use super::tenant::{
    AccountEnabled, Application, Assignment, Group, Other, OtherKind, Presence, RoleState, Tenant,
    User, UserType,
};

/// One row of a collection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'t> {
    User(u32),
    Group(&'t Group),
    Other(&'t Other),
    Assignment(usize, &'t Assignment),
    ServicePrincipal(&'t Application),
}

/// Whether rows carry `@odata.type`: those of untyped collections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    Yes,
    No,
}

/// Writes rows of one request.
pub(super) struct Writer<'t> {
    pub(super) tenant: &'t Tenant,
    pub(super) rights: &'t Rights,
    pub(super) select: Option<&'t [String]>,
    pub(super) typed: Typed,
}

impl Writer<'_> {
    /// The rows, separated by commas.
    pub(super) fn rows(&self, rows: &[Row<'_>], out: &mut Vec<u8>) {
        let form = self.form();
        let users = self.tenant.users.texts(&form);
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match row {
                Row::User(place) => users.read(
                    *place,
                    |user| self.user(user),
                    |text| self.wrap(Some("#microsoft.graph.user"), text, out),
                ),
                other => self.wrap(odata_type(other), &self.text(other), out),
            }
        }
    }

    /// One row's members without the braces.
    pub(super) fn text(&self, row: &Row<'_>) -> Vec<u8> {
        match row {
            Row::User(place) => self
                .tenant
                .users
                .get(*place)
                .map(|user| self.user(user))
                .unwrap_or_default(),
            Row::Group(group) => self.fields(GROUP_DEFAULTS, |name| group_property(group, name)),
            Row::Other(other) => {
                let shown = other.kind != OtherKind::Device || self.rights.read_devices();
                self.fields(OTHER_DEFAULTS, |name| other_property(other, name, shown))
            }
            Row::Assignment(number, row) => {
                let application = &self.tenant.application;
                self.fields(ASSIGNMENT_DEFAULTS, |name| {
                    assignment_property(application, *number, row, name)
                })
            }
            Row::ServicePrincipal(application) => self.fields(SERVICE_PRINCIPAL_DEFAULTS, |name| {
                application_property(application, self.tenant, name)
            }),
        }
    }

    /// Everything that a user's text depends on.
    fn form(&self) -> String {
        let shown = if self.rights.read_users() {
            "shown"
        } else {
            "withheld"
        };
        match self.select {
            Some(select) => format!("{shown}:{}", select.join(",")),
            None => shown.to_owned(),
        }
    }

    fn user(&self, user: &User) -> Vec<u8> {
        let shown = self.rights.read_users();
        self.fields(USER_DEFAULTS, |name| {
            if shown || name == "id" {
                user_property(user, name)
            } else {
                ObjectType::User.has(name).then_some(Value::Null)
            }
        })
    }

    fn fields(&self, defaults: &[&str], property: impl Fn(&str) -> Option<Value>) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        let mut write = |name: &str| {
            if let Some(value) = property(name) {
                if !out.is_empty() {
                    out.push(b',');
                }
                out.extend_from_slice(format!("\"{name}\":{value}").as_bytes());
            }
        };
        match self.select {
            Some(select) => select.iter().for_each(|name| write(name)),
            None => defaults.iter().for_each(|name| write(name)),
        }
        out
    }

    fn wrap(&self, odata_type: Option<&str>, text: &[u8], out: &mut Vec<u8>) {
        out.push(b'{');
        if let (Typed::Yes, Some(name)) = (self.typed, odata_type) {
            out.extend_from_slice(b"\"@odata.type\":\"");
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
            if !text.is_empty() {
                out.push(b',');
            }
        }
        out.extend_from_slice(text);
        out.push(b'}');
    }
}

/// `@odata.type` of a row.
pub(super) fn odata_type(row: &Row<'_>) -> Option<&'static str> {
    match row {
        Row::User(_) => Some("#microsoft.graph.user"),
        Row::Group(_) => Some("#microsoft.graph.group"),
        Row::Other(other) => Some(other.kind.odata_type()),
        Row::Assignment(..) => None,
        Row::ServicePrincipal(_) => Some("#microsoft.graph.servicePrincipal"),
    }
}

fn deleted_at(presence: Presence) -> Value {
    match presence {
        Presence::SoftDeleted(when) => json!(when.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        Presence::Live | Presence::Purged => Value::Null,
    }
}

/// A user's property; `None` if it is left out.
pub(super) fn user_property(user: &User, name: &str) -> Option<Value> {
    Some(match name {
        "id" => json!(user.id),
        "userPrincipalName" => json!(user.user_principal_name),
        "mail" => json!(user.mail),
        "displayName" => json!(user.display_name),
        "givenName" => json!(user.given_name),
        "surname" => json!(user.surname),
        "accountEnabled" => match user.account {
            AccountEnabled::Enabled => json!(true),
            AccountEnabled::Disabled => json!(false),
            AccountEnabled::Null => Value::Null,
            AccountEnabled::Omitted => return None,
        },
        "userType" => json!(match user.user_type {
            UserType::Member => "Member",
            UserType::Guest => "Guest",
        }),
        "deletedDateTime" => deleted_at(user.presence),
        _ => {
            let own = user
                .attributes
                .as_deref()
                .and_then(|attributes| attributes.get(name));
            match own {
                Some(value) => value.clone(),
                None if name == "businessPhones" => json!([]),
                // An extension that a user does not carry is left out.
                None if name.starts_with("extension_") => return None,
                None if ObjectType::User.has(name) => Value::Null,
                None => return None,
            }
        }
    })
}

/// A group's property; `None` if it has none of that name.
pub(super) fn group_property(group: &Group, name: &str) -> Option<Value> {
    Some(match name {
        "id" => json!(group.id),
        "displayName" => json!(group.display_name),
        "visibility" => json!(group.visibility.as_graph()),
        "deletedDateTime" => deleted_at(group.presence),
        "groupTypes" | "proxyAddresses" => json!([]),
        "mailEnabled" => json!(false),
        "securityEnabled" => json!(true),
        _ if ObjectType::Group.has(name) => Value::Null,
        _ => return None,
    })
}

fn other_property(other: &Other, name: &str, shown: bool) -> Option<Value> {
    match name {
        "id" => Some(json!(other.id)),
        "displayName" if shown => Some(json!(other.display_name)),
        "displayName" => Some(Value::Null),
        _ => None,
    }
}

fn assignment_property(
    application: &Application,
    number: usize,
    row: &Assignment,
    name: &str,
) -> Option<Value> {
    Some(match name {
        "id" => json!(format!("{}{:06x}", row.principal.simple(), number)),
        "appRoleId" => json!(row.role),
        "createdDateTime" => json!(row.created.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()),
        "principalDisplayName" => json!(row.name),
        "principalId" => json!(row.principal),
        "principalType" => json!(row.kind.as_graph()),
        "resourceDisplayName" => json!(application.display_name),
        "resourceId" => json!(application.id),
        "deletedDateTime" => Value::Null,
        _ => return None,
    })
}

fn application_property(application: &Application, tenant: &Tenant, name: &str) -> Option<Value> {
    let app_roles = || -> Vec<Value> {
        let roles = application.roles.iter();
        roles
            .map(|role| {
                json!({
                    "allowedMemberTypes": ["User"],
                    "description": role.display_name,
                    "displayName": role.display_name,
                    "id": role.id,
                    "isEnabled": role.state == RoleState::Enabled,
                    "origin": "Application",
                    "value": role.value,
                })
            })
            .collect()
    };
    Some(match name {
        "id" => json!(application.id),
        "appId" => json!(application.app_id),
        "displayName" | "appDisplayName" => json!(application.display_name),
        "accountEnabled" => json!(true),
        "appRoleAssignmentRequired" => json!(true),
        "appOwnerOrganizationId" => json!(tenant.credentials.tenant_id),
        "appRoles" => json!(app_roles()),
        "servicePrincipalType" => json!("Application"),
        "signInAudience" => json!("AzureADMyOrg"),
        "servicePrincipalNames" => json!([application.app_id]),
        "alternativeNames" | "tags" | "oauth2PermissionScopes" => json!([]),
        "deletedDateTime" => Value::Null,
        _ => return None,
    })
}
