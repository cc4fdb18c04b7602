//! The Enterprise Application: app roles and who is assigned to it.
//!
//! Invariant: `principalDisplayName` is the name at the moment of assignment,
//! which is how Graph's copy goes stale.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::objects::RoleState;
use super::{DeletedAssignments, Tenant};
use crate::simulator::guid::{self, Kind};

/// The service principal.
#[derive(Debug)]
pub(in crate::simulator) struct Application {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) app_id: Uuid,
    pub(in crate::simulator) display_name: String,
    pub(in crate::simulator) roles: Vec<Role>,
    pub(in crate::simulator) assignments: Vec<Assignment>,
}

/// One of its app roles.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Role {
    pub(in crate::simulator) id: Uuid,
    pub(in crate::simulator) value: Option<String>,
    pub(in crate::simulator) display_name: String,
    pub(in crate::simulator) state: RoleState,
}

/// One row of `appRoleAssignedTo`.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Assignment {
    pub(in crate::simulator) principal: Uuid,
    pub(in crate::simulator) kind: PrincipalKind,
    pub(in crate::simulator) name: Option<Box<str>>,
    pub(in crate::simulator) role: Uuid,
    pub(in crate::simulator) created: DateTime<Utc>,
}

/// `principalType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum PrincipalKind {
    User,
    Group,
    ServicePrincipal,
}

impl PrincipalKind {
    pub(in crate::simulator) fn as_graph(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::ServicePrincipal => "ServicePrincipal",
        }
    }
}

impl Application {
    pub(in crate::simulator) fn new() -> Self {
        Self {
            id: guid::of(Kind::ServicePrincipal, "LiteLLM Gateway"),
            app_id: guid::of(Kind::Application, "LiteLLM Gateway"),
            display_name: "LiteLLM Gateway".to_owned(),
            roles: Vec::new(),
            assignments: Vec::new(),
        }
    }

    /// The role with this value, made if missing; `None` is default access.
    pub(in crate::simulator) fn role_id(&mut self, value: Option<&str>) -> Uuid {
        let Some(value) = value else {
            return Uuid::nil();
        };
        let id = guid::of(Kind::Role, value);
        if !self.roles.iter().any(|role| role.id == id) {
            self.roles.push(Role {
                id,
                value: Some(value.to_owned()),
                display_name: value.to_owned(),
                state: RoleState::Enabled,
            });
        }
        id
    }

    pub(in crate::simulator) fn assign(
        &mut self,
        kind: PrincipalKind,
        principal: Uuid,
        name: Option<Box<str>>,
        role: Option<&str>,
    ) {
        let role = self.role_id(role);
        let known = |row: &Assignment| row.principal == principal && row.role == role;
        if !self.assignments.iter().any(known) {
            let created = Utc::now();
            self.assignments.push(Assignment {
                principal,
                kind,
                name,
                role,
                created,
            });
        }
    }

    pub(in crate::simulator) fn unassign(&mut self, principal: Uuid, role: Option<&str>) {
        let role = role.map_or(Uuid::nil(), |value| guid::of(Kind::Role, value));
        self.assignments
            .retain(|row| row.principal != principal || row.role != role);
    }
}

impl Tenant {
    /// Whether the assignment list shows this row.
    pub(in crate::simulator) fn shows(&self, row: &Assignment) -> bool {
        match (row.kind, self.deleted_assignments) {
            (PrincipalKind::ServicePrincipal, _) | (_, DeletedAssignments::Linger) => true,
            (PrincipalKind::User, DeletedAssignments::Vanish) => {
                self.users.live(row.principal).is_some()
            }
            (PrincipalKind::Group, DeletedAssignments::Vanish) => {
                self.live_group(row.principal).is_some()
            }
        }
    }
}

/// Changes the Enterprise Application.
#[derive(Debug)]
pub struct ApplicationEditor<'t> {
    tenant: &'t mut Tenant,
}

impl<'t> ApplicationEditor<'t> {
    pub(super) fn new(tenant: &'t mut Tenant) -> Self {
        Self { tenant }
    }

    /// Declares an app role with this value.
    pub fn role(self, value: &str, state: RoleState) -> Self {
        let id = self.tenant.application.role_id(Some(value));
        for role in &mut self.tenant.application.roles {
            if role.id == id {
                role.state = state;
            }
        }
        self
    }

    /// Declares an app role whose `value` is null; `key` gives its id.
    pub fn role_without_value(self, key: &str) -> Self {
        let id = self.tenant.application.role_id(Some(key));
        for role in &mut self.tenant.application.roles {
            if role.id == id {
                role.value = None;
            }
        }
        self
    }

    /// Takes an app role away; assignments that name it stay.
    pub fn without_role(self, value: &str) -> Self {
        let id = guid::of(Kind::Role, value);
        self.tenant.application.roles.retain(|role| role.id != id);
        self
    }

    /// Assigns a service principal (another application) to this one.
    pub fn assigned_to_service_principal(self, key: &str, role: &str) -> Self {
        let principal = guid::of(Kind::ServicePrincipal, key);
        let name = Some(key.into());
        let kind = PrincipalKind::ServicePrincipal;
        self.tenant
            .application
            .assign(kind, principal, name, Some(role));
        self
    }

    /// Takes every assignment away.
    pub fn without_assignments(self) -> Self {
        self.tenant.application.assignments.clear();
        self
    }

    /// Sets the display name.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.tenant.application.display_name = name.into();
        self
    }
}
