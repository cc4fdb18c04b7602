//! Changing one group.

use chrono::Utc;
use uuid::Uuid;

use super::history::{GroupEvent, GroupFace, group_events};
use super::objects::{Group, Member, OtherKind, Presence, Visibility};
use super::{PrincipalKind, Tenant};
use crate::simulator::guid::{self, Kind};

/// Changes one group; every call takes effect at once.
#[derive(Debug)]
pub struct GroupEditor<'t> {
    tenant: &'t mut Tenant,
    place: u32,
}

impl<'t> GroupEditor<'t> {
    pub(super) fn new(tenant: &'t mut Tenant, place: u32) -> Self {
        Self { tenant, place }
    }

    /// Changes anything but the members.
    fn change(self, change: impl FnOnce(&mut Group)) -> Self {
        if let Some(group) = self.tenant.groups.get_mut(self.place as usize) {
            let before = GroupFace::of(group);
            change(group);
            for event in group_events(&before, group) {
                self.tenant.history.groups.push(self.place, event);
            }
        }
        self
    }

    fn add(self, member: Member) -> Self {
        if let Some(group) = self.tenant.groups.get_mut(self.place as usize)
            && !group.members.contains(&member)
        {
            group.members.push(member);
            let event = GroupEvent::Joined(member);
            self.tenant.history.groups.push(self.place, event);
        }
        self
    }

    pub(super) fn remove(self, member: Member) -> Self {
        if let Some(group) = self.tenant.groups.get_mut(self.place as usize)
            && let Some(at) = group.members.iter().position(|one| *one == member)
        {
            group.members.remove(at);
            let event = GroupEvent::Left(member, at);
            self.tenant.history.groups.push(self.place, event);
        }
        self
    }

    /// The group's object id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.tenant
            .groups
            .get(self.place as usize)
            .map_or(Uuid::nil(), |group| group.id)
    }

    /// Sets the display name.
    pub fn display_name(self, name: &str) -> Self {
        self.change(|group| group.display_name = Some(name.into()))
    }

    /// Makes `displayName` null.
    pub fn without_display_name(self) -> Self {
        self.change(|group| group.display_name = None)
    }

    /// Sets the visibility.
    pub fn visibility(self, visibility: Visibility) -> Self {
        self.change(|group| group.visibility = visibility)
    }

    /// Adds a user, made if missing.
    pub fn member(self, user: &str) -> Self {
        let place = self.tenant.user_place(user);
        self.add(Member::User(place))
    }

    /// Adds users, made if missing.
    pub fn members<'k>(self, users: impl IntoIterator<Item = &'k str>) -> Self {
        users.into_iter().fold(self, Self::member)
    }

    /// Takes a user out.
    pub fn without_member(self, user: &str) -> Self {
        match self.tenant.users.place(guid::of(Kind::Person, user)) {
            Some(place) => self.remove(Member::User(place)),
            None => self,
        }
    }

    /// Takes everybody and everything out.
    pub fn without_members(self) -> Self {
        if let Some(group) = self.tenant.groups.get_mut(self.place as usize) {
            while let Some(member) = group.members.pop() {
                let event = GroupEvent::Left(member, group.members.len());
                self.tenant.history.groups.push(self.place, event);
            }
        }
        self
    }

    /// Adds a group as a member, made if missing.
    pub fn nested(self, group: &str) -> Self {
        let place = self.tenant.group_place(group);
        self.add(Member::Group(place))
    }

    /// Takes a nested group out.
    pub fn without_nested(self, group: &str) -> Self {
        let place = self.tenant.group_place(group);
        self.remove(Member::Group(place))
    }

    /// Adds a device.
    pub fn device(self, key: &str) -> Self {
        let place = self.tenant.other_place(OtherKind::Device, key);
        self.add(Member::Other(place))
    }

    /// Adds a service principal, which v1.0 does not list.
    pub fn service_principal(self, key: &str) -> Self {
        let place = self.tenant.other_place(OtherKind::ServicePrincipal, key);
        self.add(Member::Other(place))
    }

    /// Adds an organizational contact.
    pub fn contact(self, key: &str) -> Self {
        let place = self.tenant.other_place(OtherKind::Contact, key);
        self.add(Member::Other(place))
    }

    fn assign(self, role: Option<&str>) -> Self {
        let found = self.tenant.groups.get(self.place as usize);
        if let Some((id, name)) = found.map(|group| (group.id, group.display_name.clone())) {
            self.tenant
                .application
                .assign(PrincipalKind::Group, id, name, role);
        }
        self
    }

    /// Assigns the group to the application with this role, made if missing.
    pub fn assigned(self, role: &str) -> Self {
        self.assign(Some(role))
    }

    /// Assigns the group with default access, which is no role.
    pub fn assigned_by_default(self) -> Self {
        self.assign(None)
    }

    /// Takes the assignment with this role away.
    pub fn unassigned(self, role: &str) -> Self {
        let id = self.id();
        self.tenant.application.unassign(id, Some(role));
        self
    }

    /// Takes all assignments of the group away.
    pub fn unassigned_entirely(self) -> Self {
        let id = self.id();
        self.tenant
            .application
            .assignments
            .retain(|row| row.principal != id);
        self
    }

    /// Deletes the group, restorably.
    pub fn soft_deleted(self) -> Self {
        self.change(|group| group.presence = Presence::SoftDeleted(Utc::now()))
    }

    /// Brings it back with members and assignments.
    pub fn restored(self) -> Self {
        self.change(|group| group.presence = Presence::Live)
    }

    /// Deletes it for good, its assignments with it.
    pub fn purged(self) -> Self {
        self.unassigned_entirely()
            .without_members()
            .change(|group| group.presence = Presence::Purged)
    }
}
