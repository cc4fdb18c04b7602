//! What has changed since the tenant is served, in order: what delta queries
//! tell, and what a stale replica has not heard of yet.
//!
//! Invariant: sequence numbers only grow. An object's own changes are found
//! without a look at anybody else's, so that a round in which nothing happened
//! costs the same in a large tenant as in a small one.
//!
//! Must not: grow without end. The oldest changes are forgotten, and whoever
//! asks for them is told so.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::objects::{Group, Member, User};

/// Changes kept for groups, and as many for users.
const KEPT: usize = 1 << 20;

/// What happened to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) enum GroupEvent {
    Made,
    /// Deleted or restored.
    Presence,
    Property(&'static str),
    /// At the end of the list.
    Joined(Member),
    /// From this place in the list.
    Left(Member, usize),
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) enum UserEvent {
    Made,
    /// Deleted or restored.
    Presence,
    Property(Cow<'static, str>),
}

/// Both histories.
#[derive(Debug, Default)]
pub(in crate::simulator) struct History {
    pub(in crate::simulator) groups: Log<GroupEvent>,
    pub(in crate::simulator) users: Log<UserEvent>,
}

impl History {
    /// Forgets how the tenant was furnished: nobody can have asked before.
    pub(in crate::simulator) fn begin(&mut self) {
        self.groups.begin();
        self.users.begin();
    }
}

/// Changes of one kind of object, by sequence number and by object.
#[derive(Debug)]
pub(in crate::simulator) struct Log<E> {
    entries: VecDeque<(u32, E)>,
    /// The number of the oldest entry that is kept.
    oldest: u64,
    of: HashMap<u32, VecDeque<u64>>,
}

impl<E> Default for Log<E> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            oldest: 0,
            of: HashMap::new(),
        }
    }
}

impl<E> Log<E> {
    /// The number of the next change; whoever knows all before it is up to
    /// date.
    pub(in crate::simulator) fn head(&self) -> u64 {
        self.oldest + self.entries.len() as u64
    }

    /// Whether everything since then is still known.
    pub(in crate::simulator) fn reaches(&self, since: u64) -> bool {
        (self.oldest..=self.head()).contains(&since)
    }

    pub(in crate::simulator) fn push(&mut self, place: u32, event: E) {
        if self.entries.len() == KEPT {
            self.forget_one();
        }
        let number = self.head();
        self.of.entry(place).or_default().push_back(number);
        self.entries.push_back((place, event));
    }

    fn forget_one(&mut self) {
        if let Some((place, _)) = self.entries.pop_front() {
            self.oldest += 1;
            if let Some(own) = self.of.get_mut(&place) {
                own.pop_front();
                if own.is_empty() {
                    self.of.remove(&place);
                }
            }
        }
    }

    fn begin(&mut self) {
        self.oldest = self.head();
        self.entries.clear();
        self.of.clear();
    }

    fn entry(&self, number: u64) -> Option<&(u32, E)> {
        let index = number.checked_sub(self.oldest)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// One object's changes from `since` until before `until`, and `replayed`
    /// of its own before them.
    pub(in crate::simulator) fn of(
        &self,
        place: u32,
        since: u64,
        until: u64,
        replayed: usize,
    ) -> impl DoubleEndedIterator<Item = &E> {
        let own = self.of.get(&place);
        let range = own.map_or(0..0, |own| {
            let start = own.partition_point(|number| *number < since);
            let end = own.partition_point(|number| *number < until).max(start);
            start.saturating_sub(replayed)..end
        });
        own.into_iter()
            .flat_map(move |own| own.range(range.clone()))
            .filter_map(|number| self.entry(*number).map(|(_, event)| event))
    }

    /// The objects that changed in that time, each once, in the order of their
    /// first change.
    pub(in crate::simulator) fn changed(
        &self,
        since: u64,
        until: u64,
        replayed: usize,
    ) -> Vec<u32> {
        let since = since.saturating_sub(replayed as u64).max(self.oldest);
        let mut seen = HashSet::new();
        (since..until)
            .filter_map(|number| self.entry(number).map(|(place, _)| *place))
            .filter(|place| seen.insert(*place))
            .collect()
    }
}

impl Log<GroupEvent> {
    /// The group's member list as it was before the change with this number.
    pub(in crate::simulator) fn members_at<'m>(
        &self,
        place: u32,
        now: &'m [Member],
        number: u64,
    ) -> Cow<'m, [Member]> {
        let later = self.of(place, number, self.head(), 0);
        undone(now, later.rev().filter(is_membership))
    }

    /// The group's member list as it was so many of its changes ago.
    pub(in crate::simulator) fn members_before<'m>(
        &self,
        place: u32,
        now: &'m [Member],
        changes: usize,
    ) -> Cow<'m, [Member]> {
        let all = self.of(place, self.oldest, self.head(), 0);
        undone(now, all.rev().filter(is_membership).take(changes))
    }
}

fn is_membership(event: &&GroupEvent) -> bool {
    matches!(event, GroupEvent::Joined(_) | GroupEvent::Left(..))
}

/// Takes changes back, the last one first. Who joined stands at the end of the
/// list at that moment, so that the order of before comes back exactly, and
/// with it every position that a page token may name.
fn undone<'m, 'e>(
    now: &'m [Member],
    backwards: impl Iterator<Item = &'e GroupEvent>,
) -> Cow<'m, [Member]> {
    let mut list = Cow::Borrowed(now);
    for event in backwards {
        match event {
            GroupEvent::Joined(_) => {
                list.to_mut().pop();
            }
            GroupEvent::Left(member, at) => {
                let at = (*at).min(list.len());
                list.to_mut().insert(at, *member);
            }
            GroupEvent::Made | GroupEvent::Presence | GroupEvent::Property(_) => {}
        }
    }
    list
}

/// What an edit has changed of a group, its members apart.
pub(super) fn group_events(
    before: &GroupFace,
    after: &Group,
) -> impl Iterator<Item = GroupEvent> + use<> {
    let name = (before.display_name != after.display_name).then_some("displayName");
    let visibility = (before.visibility != after.visibility).then_some("visibility");
    let presence = before.presence != after.presence;
    let properties = [name, visibility].into_iter().flatten();
    let presence = presence.then_some(GroupEvent::Presence);
    properties.map(GroupEvent::Property).chain(presence)
}

/// A group without its members, which may be a hundred thousand.
pub(super) struct GroupFace {
    display_name: Option<Box<str>>,
    visibility: super::Visibility,
    presence: super::Presence,
}

impl GroupFace {
    pub(super) fn of(group: &Group) -> Self {
        Self {
            display_name: group.display_name.clone(),
            visibility: group.visibility,
            presence: group.presence,
        }
    }
}

/// What an edit has changed of a user.
pub(super) fn user_events(before: &User, after: &User) -> Vec<UserEvent> {
    let named = [
        (
            "userPrincipalName",
            before.user_principal_name == after.user_principal_name,
        ),
        ("mail", before.mail == after.mail),
        ("displayName", before.display_name == after.display_name),
        ("givenName", before.given_name == after.given_name),
        ("surname", before.surname == after.surname),
        ("accountEnabled", before.account == after.account),
        ("userType", before.user_type == after.user_type),
    ];
    let own = named
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(name, _)| Cow::Borrowed(name));
    let attribute = |user: &User, name: &str| {
        let attributes = user.attributes.as_deref();
        attributes.and_then(|all| all.get(name).cloned())
    };
    let names = |user: &User| -> Vec<String> {
        let attributes = user.attributes.as_deref();
        attributes.map_or_else(Vec::new, |all| all.keys().cloned().collect())
    };
    let mut further = [names(before), names(after)].concat();
    further.sort();
    further.dedup();
    further.retain(|name| attribute(before, name) != attribute(after, name));
    let presence = before.presence != after.presence;
    own.chain(further.into_iter().map(Cow::Owned))
        .map(UserEvent::Property)
        .chain(presence.then_some(UserEvent::Presence))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(places: &[u32]) -> Vec<Member> {
        places.iter().copied().map(Member::User).collect()
    }

    #[test]
    fn a_member_list_of_before_comes_back_in_its_order() {
        let mut log = Log::default();
        let before = members(&[1, 2, 3]);
        let start = log.head();
        log.push(7, GroupEvent::Left(Member::User(1), 0));
        log.push(8, GroupEvent::Joined(Member::User(99)));
        log.push(7, GroupEvent::Joined(Member::User(4)));
        log.push(7, GroupEvent::Property("displayName"));
        log.push(7, GroupEvent::Left(Member::User(3), 1));
        let now = members(&[2, 4]);
        assert_eq!(*log.members_at(7, &now, start), *before);
        assert_eq!(*log.members_before(7, &now, 1), *members(&[2, 3, 4]));
        assert_eq!(*log.members_before(7, &now, 9), *before);
        assert!(matches!(
            log.members_at(7, &now, log.head()),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn changes_are_found_by_object_and_by_number_until_they_are_forgotten() {
        let mut log = Log::default();
        for round in 0..3 {
            log.push(5, GroupEvent::Property("displayName"));
            log.push(round, GroupEvent::Made);
        }
        assert_eq!(log.of(5, 1, 5, 0).count(), 2);
        assert_eq!(log.of(5, 4, 6, 1).count(), 2, "one of before");
        assert_eq!(log.of(5, 3, 2, 0).count(), 0);
        assert_eq!(log.changed(1, 6, 0), [0, 5, 1, 2]);
        assert_eq!(log.changed(5, 6, 1), [5, 2]);
        log.forget_one();
        assert!(!log.reaches(0) && log.reaches(1) && log.reaches(6) && !log.reaches(7));
        assert_eq!(log.of(5, 0, 6, 0).count(), 2);
        log.begin();
        assert_eq!(
            (log.head(), log.reaches(6), log.reaches(5)),
            (6, true, false)
        );
    }
}
