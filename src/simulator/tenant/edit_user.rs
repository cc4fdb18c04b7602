//! Changing one user.

use chrono::Utc;
use serde_json::Value;
use uuid::Uuid;

use super::history::user_events;
use super::objects::{AccountEnabled, Member, Presence, User, UserType};
use super::{PrincipalKind, Tenant};
use crate::simulator::delta::PurgedMembers;

/// Changes one user; every call takes effect at once.
#[derive(Debug)]
pub struct UserEditor<'t> {
    tenant: &'t mut Tenant,
    place: u32,
}

impl<'t> UserEditor<'t> {
    pub(super) fn new(tenant: &'t mut Tenant, place: u32) -> Self {
        Self { tenant, place }
    }

    fn change(self, change: impl FnOnce(&mut User)) -> Self {
        if let Some(user) = self.tenant.users.edit(self.place) {
            let before = user.clone();
            change(user);
            for event in user_events(&before, user) {
                self.tenant.history.users.push(self.place, event);
            }
        }
        self
    }

    /// The user's object id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.tenant
            .users
            .get(self.place)
            .map_or(Uuid::nil(), |user| user.id)
    }

    /// Sets `userPrincipalName`.
    pub fn user_principal_name(self, name: &str) -> Self {
        self.change(|user| user.user_principal_name = name.into())
    }

    /// Sets `mail`.
    pub fn mail(self, mail: &str) -> Self {
        self.change(|user| user.mail = Some(mail.into()))
    }

    /// Makes `mail` null.
    pub fn without_mail(self) -> Self {
        self.change(|user| user.mail = None)
    }

    /// Sets `displayName`.
    pub fn display_name(self, name: &str) -> Self {
        self.change(|user| user.display_name = Some(name.into()))
    }

    /// Makes `displayName` null.
    pub fn without_display_name(self) -> Self {
        self.change(|user| user.display_name = None)
    }

    /// Sets `givenName` and `surname`.
    pub fn names(self, given: &str, surname: &str) -> Self {
        self.change(|user| {
            user.given_name = Some(given.into());
            user.surname = Some(surname.into());
        })
    }

    /// Sets `accountEnabled`, or how it is missing.
    pub fn account(self, account: AccountEnabled) -> Self {
        self.change(|user| user.account = account)
    }

    /// Sets `accountEnabled` to false.
    pub fn disabled(self) -> Self {
        self.account(AccountEnabled::Disabled)
    }

    /// Makes the user a guest from this foreign address, with an `#EXT#` UPN.
    pub fn guest(self, address: &str) -> Self {
        let domain = self.tenant.credentials.domain.clone();
        self.change(|user| {
            let local = address.replace('@', "_");
            user.user_type = UserType::Guest;
            user.user_principal_name = format!("{local}#EXT#@{domain}").into();
            user.mail = Some(address.into());
        })
    }

    /// Sets any other property, for example `employeeId` or an extension.
    pub fn attribute(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.change(|user| {
            user.attributes
                .get_or_insert_default()
                .insert(name.to_owned(), value);
        })
    }

    fn assign(self, role: Option<&str>) -> Self {
        let found = self.tenant.users.get(self.place);
        if let Some((id, name)) = found.map(|user| (user.id, user.display_name.clone())) {
            self.tenant
                .application
                .assign(PrincipalKind::User, id, name, role);
        }
        self
    }

    /// Assigns the user to the application with this role, made if missing.
    pub fn assigned(self, role: &str) -> Self {
        self.assign(Some(role))
    }

    /// Assigns the user with default access, which is no role.
    pub fn assigned_by_default(self) -> Self {
        self.assign(None)
    }

    /// Takes the user's own assignment with this role away.
    pub fn unassigned(self, role: &str) -> Self {
        let id = self.id();
        self.tenant.application.unassign(id, Some(role));
        self
    }

    /// Takes all of the user's own assignments away.
    pub fn unassigned_entirely(self) -> Self {
        let id = self.id();
        self.tenant
            .application
            .assignments
            .retain(|row| row.principal != id);
        self
    }

    /// Deletes the user, restorably: gone from every list, memberships kept.
    pub fn soft_deleted(self) -> Self {
        self.change(|user| user.presence = Presence::SoftDeleted(Utc::now()))
    }

    /// Brings the user back with all memberships.
    pub fn restored(self) -> Self {
        self.change(|user| user.presence = Presence::Live)
    }

    /// Deletes the user for good. Memberships end with it, unless the tenant is
    /// one whose groups never hear of it.
    pub fn purged(self) -> Self {
        let user = self
            .unassigned_entirely()
            .change(|user| user.presence = Presence::Purged);
        if user.tenant.delta.purged_members == PurgedMembers::Reported {
            user.tenant.remove_everywhere(Member::User(user.place));
        }
        user
    }
}
