//! The tenant: what is in the directory, who is assigned, what is granted.
//!
//! Building and changing are one API: [`Tenant::group`] and [`Tenant::user`]
//! make what is missing and hand out an editor, before the start as well as
//! while the tenant is served.
//!
//! Invariant: an object keeps its place for ever. Deleted objects stay in
//! their place, marked, so that memberships survive a restore as in Entra.

mod application;
mod edit_group;
mod edit_user;
mod history;
mod objects;
mod users;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use uuid::Uuid;

use super::delta::DeltaSettings;
use super::guid::{self, Kind};
use super::permission::Permission;

pub use application::ApplicationEditor;
pub(super) use application::{Application, Assignment, PrincipalKind};
pub use edit_group::GroupEditor;
pub use edit_user::UserEditor;
pub(super) use history::{GroupEvent, History, UserEvent};
pub use objects::{AccountEnabled, Presence, RoleState, UserType, Visibility};
pub(super) use objects::{Group, Member, Other, OtherKind, User};
pub(super) use users::Users;

/// How the token endpoint writes `expires_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresIn {
    /// As a number, like the Microsoft identity platform.
    Integer,
    /// As a string, like the instance metadata service.
    Text,
}

/// What the assignment list shows of deleted principals. Graph's own behaviour
/// is not documented, so a reader has to bear both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletedAssignments {
    /// They vanish with the principal and come back with it.
    Vanish,
    /// They stay in the list.
    Linger,
}

/// Whether `/members` lists service principals. Graph v1.0 is known not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServicePrincipalMembers {
    /// They are left out, as v1.0 does.
    Omitted,
    /// They are listed, as beta does.
    Listed,
}

/// Who may ask, and how tokens are made.
#[derive(Debug, Clone)]
pub(super) struct Credentials {
    pub(super) tenant_id: Uuid,
    pub(super) domain: String,
    pub(super) client_id: Uuid,
    pub(super) client_secret: String,
    /// In DER.
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) federated_tokens: BTreeSet<String>,
    /// What is issued for the scope of Azure's databases.
    pub(super) database_token: Option<String>,
    pub(super) lifetime: Duration,
    pub(super) expires_in: ExpiresIn,
    pub(super) granted: BTreeSet<Permission>,
}

/// A Microsoft Entra tenant with one Enterprise Application.
#[derive(Debug)]
pub struct Tenant {
    pub(super) credentials: Credentials,
    pub(super) application: Application,
    pub(super) users: Users,
    pub(super) groups: Vec<Group>,
    pub(super) group_places: HashMap<Uuid, u32>,
    pub(super) others: Vec<Other>,
    pub(super) other_places: HashMap<Uuid, u32>,
    pub(super) deleted_assignments: DeletedAssignments,
    pub(super) service_principal_members: ServicePrincipalMembers,
    pub(super) delta: DeltaSettings,
    pub(super) history: History,
}

impl Default for Tenant {
    fn default() -> Self {
        Self::new()
    }
}

impl Tenant {
    /// An empty tenant with one Enterprise Application and the recommended
    /// permissions.
    #[must_use]
    pub fn new() -> Self {
        Self {
            credentials: Credentials {
                tenant_id: guid::of(Kind::Tenant, "contoso"),
                domain: "contoso.example.com".to_owned(),
                client_id: guid::of(Kind::Application, "entra-sync"),
                client_secret: "sample-secret+with/odd&characters=".to_owned(),
                certificates: Vec::new(),
                federated_tokens: BTreeSet::new(),
                database_token: None,
                lifetime: Duration::from_secs(3599),
                expires_in: ExpiresIn::Integer,
                granted: Permission::recommended(),
            },
            application: Application::new(),
            users: Users::default(),
            groups: Vec::new(),
            group_places: HashMap::new(),
            others: Vec::new(),
            other_places: HashMap::new(),
            deleted_assignments: DeletedAssignments::Vanish,
            service_principal_members: ServicePrincipalMembers::Omitted,
            delta: DeltaSettings::default(),
            history: History::default(),
        }
    }

    /// A new tenant, furnished by `furnish`.
    #[must_use]
    pub fn build(furnish: impl FnOnce(&mut Self)) -> Self {
        let mut tenant = Self::new();
        furnish(&mut tenant);
        tenant
    }

    /// The group with this key (or GUID), made if it is missing. A new group's
    /// display name is its key.
    pub fn group(&mut self, key: &str) -> GroupEditor<'_> {
        let place = self.group_place(key);
        GroupEditor::new(self, place)
    }

    /// The user with this key (or GUID), made if missing: an enabled member
    /// named after the key, with `key@contoso.example.com` as UPN and mail.
    pub fn user(&mut self, key: &str) -> UserEditor<'_> {
        let place = self.user_place(key);
        UserEditor::new(self, place)
    }

    /// The Enterprise Application: its roles, and its own objects' ids.
    pub fn application(&mut self) -> ApplicationEditor<'_> {
        ApplicationEditor::new(self)
    }

    /// Grants an application permission; tokens issued from now on carry it.
    pub fn grant(&mut self, permission: Permission) {
        self.credentials.granted.insert(permission);
    }

    /// Takes a permission away; tokens issued before still carry it.
    pub fn revoke(&mut self, permission: Permission) {
        self.credentials.granted.remove(&permission);
    }

    /// Sets how long tokens live that are issued from now on.
    pub fn token_lifetime(&mut self, lifetime: Duration) {
        self.credentials.lifetime = lifetime;
    }

    /// Sets how `expires_in` is written.
    pub fn expires_in(&mut self, form: ExpiresIn) {
        self.credentials.expires_in = form;
    }

    /// Sets the client secret that the token endpoint accepts.
    pub fn set_client_secret(&mut self, secret: impl Into<String>) {
        self.credentials.client_secret = secret.into();
    }

    /// Gives the Enterprise Application another object id: two tenants never
    /// have one in common.
    pub fn set_service_principal_id(&mut self, id: Uuid) {
        self.application.id = id;
    }

    /// Uploads a certificate of the application, in DER: assertions that it
    /// signs are accepted.
    pub fn trust_certificate(&mut self, der: impl Into<Vec<u8>>) {
        self.credentials.certificates.push(der.into());
    }

    /// Takes back all certificates and tokens of other issuers.
    pub fn trust_no_assertion(&mut self) {
        self.credentials.certificates.clear();
        self.credentials.federated_tokens.clear();
    }

    /// Accepts this token of another issuer, as a federated credential would.
    pub fn trust_federated_token(&mut self, token: impl Into<String>) {
        self.credentials.federated_tokens.insert(token.into());
    }

    /// Sets what is issued for the scope of Azure's databases.
    pub fn set_database_token(&mut self, token: impl Into<String>) {
        self.credentials.database_token = Some(token.into());
    }

    /// Sets what the assignment list shows of deleted principals.
    pub fn deleted_assignments(&mut self, shown: DeletedAssignments) {
        self.deleted_assignments = shown;
    }

    /// Sets whether `/members` lists service principals.
    pub fn service_principal_members(&mut self, shown: ServicePrincipalMembers) {
        self.service_principal_members = shown;
    }

    /// How delta queries are answered; what is set holds from now on.
    pub fn delta(&mut self) -> &mut DeltaSettings {
        &mut self.delta
    }

    /// The tenant's id.
    #[must_use]
    pub fn tenant_id(&self) -> Uuid {
        self.credentials.tenant_id
    }

    /// The client id (`appId`) of the application that asks.
    #[must_use]
    pub fn client_id(&self) -> Uuid {
        self.credentials.client_id
    }

    /// The secret that the token endpoint accepts.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.credentials.client_secret
    }

    /// The object id of the Enterprise Application.
    #[must_use]
    pub fn service_principal_id(&self) -> Uuid {
        self.application.id
    }

    /// How many live groups, live users and memberships there are.
    #[must_use]
    pub fn size(&self) -> (usize, usize, usize) {
        let live_groups = self.groups.iter().filter(|group| group.presence.is_live());
        (
            live_groups.clone().count(),
            self.users
                .iter()
                .filter(|user| user.presence.is_live())
                .count(),
            live_groups.map(|group| group.members.len()).sum(),
        )
    }

    pub(super) fn user_place(&mut self, key: &str) -> u32 {
        let id = guid::of(Kind::Person, key);
        match self.users.place(id) {
            Some(place) => place,
            None => {
                let user = User::sample(id, key, &self.credentials.domain);
                let place = self.users.push(user);
                self.history.users.push(place, UserEvent::Made);
                place
            }
        }
    }

    pub(super) fn group_place(&mut self, key: &str) -> u32 {
        let id = guid::of(Kind::Group, key);
        if let Some(&place) = self.group_places.get(&id) {
            return place;
        }
        let place = self.push_group(Group::sample(id, key));
        self.history.groups.push(place, GroupEvent::Made);
        place
    }

    pub(super) fn push_group(&mut self, group: Group) -> u32 {
        let place = place_of(self.groups.len());
        self.group_places.insert(group.id, place);
        self.groups.push(group);
        place
    }

    /// Takes a member out of every group.
    fn remove_everywhere(&mut self, member: Member) {
        for place in 0..place_of(self.groups.len()) {
            GroupEditor::new(self, place).remove(member);
        }
    }

    pub(super) fn other_place(&mut self, kind: OtherKind, key: &str) -> u32 {
        let id = guid::of(kind.guid_kind(), key);
        if let Some(&place) = self.other_places.get(&id) {
            return place;
        }
        let place = place_of(self.others.len());
        self.other_places.insert(id, place);
        self.others.push(Other {
            id,
            kind,
            display_name: key.into(),
        });
        place
    }

    /// The live group with this id.
    pub(super) fn live_group(&self, id: Uuid) -> Option<&Group> {
        let place = *self.group_places.get(&id)?;
        self.groups
            .get(place as usize)
            .filter(|group| group.presence.is_live())
    }
}

/// Places are 32 bits wide, which halves a million memberships.
pub(super) fn place_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
