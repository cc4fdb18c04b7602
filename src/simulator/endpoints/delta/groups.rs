//! `groups/delta`: groups that changed, and who joined and left them.
//!
//! Invariant: a member that is deleted restorably, or restored, is no change
//! of the group. A first round lists who is there now, as `/members` does; a
//! later round tells what became of each member in the end. A group's
//! properties stand in its first item only; further items continue its
//! members.

use std::borrow::Cow;
use std::collections::HashMap;

use super::item::{Entries, Item, Word};
use super::{MEMBERS, Page, Shown, omits, past_removals};
use crate::simulator::delta::{Cursor, DeltaLayout, RestoredMembers, Round, WordOrder};
use crate::simulator::endpoints::groups::shown;
use crate::simulator::endpoints::{Ask, Row, odata_type};
use crate::simulator::guid::{self, Kind};
use crate::simulator::properties::GROUP_DEFAULTS;
use crate::simulator::render::group_property;
use crate::simulator::tenant::{
    Group, GroupEvent, Member, OtherKind, Presence, ServicePrincipalMembers, Visibility, place_of,
};

/// Groups on a page, however few members they have.
const MAX_GROUPS: usize = 200;

/// The place of an id that is no group's; it may become one.
const NOBODY: u32 = u32::MAX;

/// Pieces of different groups on a page, when they are told in turn.
const PIECES: usize = 4;

/// A group's members, as a round tells them.
enum Membership<'t> {
    There(Cow<'t, [Member]>),
    Changed(Vec<(Member, Word)>),
}

impl Membership<'_> {
    fn len(&self) -> usize {
        match self {
            Self::There(list) => list.len(),
            Self::Changed(list) => list.len(),
        }
    }

    fn get(&self, at: usize) -> Option<(Member, Word)> {
        match self {
            Self::There(list) => list.get(at).map(|member| (*member, Word::Joined)),
            Self::Changed(list) => list.get(at).copied(),
        }
    }
}

/// Which properties changed.
enum Touched {
    All,
    These(Vec<&'static str>),
}

/// What a round has to say of a group.
enum Matter<'t> {
    Nothing,
    Removed(&'t Group, &'static str),
    Told {
        group: &'t Group,
        touched: Touched,
        entries: Membership<'t>,
    },
}

impl Matter<'_> {
    fn entries(&self) -> usize {
        match self {
            Self::Told { entries, .. } => entries.len(),
            Self::Nothing | Self::Removed(..) => 0,
        }
    }
}

/// One round's teller.
struct Teller<'r, 't> {
    ask: &'r Ask<'t>,
    round: &'r Round,
    shown: Shown,
}

pub(super) fn page(ask: &Ask<'_>, round: &Round, shown: Shown) -> Page {
    let teller = Teller { ask, round, shown };
    let mut page = teller.page();
    if past_removals(ask, round) {
        page.items.extend(teller.strangers());
    }
    page
}

impl<'t> Teller<'_, 't> {
    /// The groups that the round may have something to say of.
    fn places(&self) -> Vec<u32> {
        let tenant = self.ask.tenant;
        match (&self.round.ids, self.round.since) {
            (Some(ids), _) => ids
                .iter()
                .map(|id| tenant.group_places.get(id).copied().unwrap_or(NOBODY))
                .collect(),
            (None, None) => (0..place_of(tenant.groups.len())).collect(),
            (None, Some(since)) => {
                let log = &tenant.history.groups;
                log.changed(since, self.round.until, self.round.replayed)
            }
        }
    }

    fn page(&self) -> Page {
        let settings = &self.ask.tenant.delta;
        let most = settings.entries_per_page.max(1);
        let piece = match settings.layout {
            DeltaLayout::Together => usize::MAX,
            DeltaLayout::Interleaved => (most / PIECES).max(1),
        };
        let places = self.places();
        let mut cursor = self.round.cursor;
        let (mut items, mut room) = (Vec::new(), most);
        loop {
            while let Some(place) = places.get(cursor.object) {
                let matter = self.matter(*place);
                let begin = cursor.level.saturating_mul(piece);
                let nothing = matches!(matter, Matter::Nothing);
                if nothing || (cursor.level > 0 && matter.entries() <= begin) {
                    (cursor.object, cursor.entry) = (cursor.object + 1, 0);
                    continue;
                }
                if room == 0 || items.len() == MAX_GROUPS {
                    let next = Some(cursor);
                    return Page { items, next };
                }
                let end = begin.saturating_add(piece).min(matter.entries());
                let from = begin.saturating_add(cursor.entry);
                let (item, at) = self.item(&matter, from..end, &mut room);
                items.extend(item);
                if at < end {
                    cursor.entry = at - begin;
                    let next = Some(cursor);
                    return Page { items, next };
                }
                (cursor.object, cursor.entry) = (cursor.object + 1, 0);
            }
            let further = (cursor.level + 1).saturating_mul(piece);
            let longer = |place: &u32| self.matter(*place).entries() > further;
            if !places.iter().any(longer) {
                break;
            }
            cursor = Cursor {
                level: cursor.level + 1,
                object: 0,
                ..cursor
            };
        }
        // A full page does not know that it is the last.
        let next = (room == 0).then_some(cursor);
        Page { items, next }
    }

    fn matter(&self, place: u32) -> Matter<'t> {
        let tenant = self.ask.tenant;
        let Some(group) = tenant.groups.get(place as usize) else {
            return Matter::Nothing;
        };
        let log = &tenant.history.groups;
        let Some(since) = self.round.since else {
            return match group.presence {
                Presence::Live => Matter::Told {
                    group,
                    touched: Touched::All,
                    entries: Membership::There(match self.tells_members(group) {
                        true => log.members_at(place, &group.members, self.round.until),
                        false => Cow::Borrowed(&[]),
                    }),
                },
                _ => Matter::Nothing,
            };
        };
        let events = || log.of(place, since, self.round.until, self.round.replayed);
        if events().next().is_none() {
            return Matter::Nothing;
        }
        let returned = events().any(|event| *event == GroupEvent::Presence);
        let made = events().any(|event| *event == GroupEvent::Made);
        let reason = match group.presence {
            Presence::Live => None,
            Presence::SoftDeleted(_) => Some("changed"),
            Presence::Purged => Some("deleted"),
        };
        if let Some(reason) = reason {
            return match returned {
                true => Matter::Removed(group, reason),
                false => Matter::Nothing,
            };
        }
        let names = events().filter_map(|event| match event {
            GroupEvent::Property(name) => Some(*name),
            _ => None,
        });
        let names: Vec<&'static str> = names
            .filter(|name| self.round.tracks(name, GROUP_DEFAULTS))
            .collect();
        let tells = self.tells_members(group);
        if returned && tells && tenant.delta.restored_members == RestoredMembers::Told {
            let list = log.members_at(place, &group.members, self.round.until);
            return Matter::Told {
                group,
                touched: Touched::All,
                entries: Membership::There(list),
            };
        }
        let entries = match tells {
            true => words(events(), self.round.order),
            false => Vec::new(),
        };
        let touched = match made || returned {
            true => Touched::All,
            false if names.is_empty() && entries.is_empty() => return Matter::Nothing,
            false => Touched::These(names),
        };
        let entries = Membership::Changed(entries);
        Matter::Told {
            group,
            touched,
            entries,
        }
    }

    fn tells_members(&self, group: &Group) -> bool {
        let hidden = group.visibility == Visibility::HiddenMembership;
        self.round.tracks(MEMBERS, &[MEMBERS])
            && (!hidden || self.ask.rights.read_hidden_membership())
    }

    /// One item with the entries of this range, as far as there is room, and
    /// the first entry that is left.
    fn item(
        &self,
        matter: &Matter<'_>,
        range: std::ops::Range<usize>,
        room: &mut usize,
    ) -> (Option<Vec<u8>>, usize) {
        let (group, touched, entries) = match matter {
            Matter::Nothing => return (None, range.end),
            Matter::Removed(group, reason) => {
                return (Some(Item::removed(group.id, reason)), range.end);
            }
            Matter::Told {
                group,
                touched,
                entries,
            } => (group, touched, entries),
        };
        let mut members = Entries::expecting(range.len().min(*room));
        let mut at = range.start;
        while at < range.end && *room > 0 {
            if let Some((member, word)) = entries.get(at)
                && self.entry(member, word, &mut members)
            {
                *room -= 1;
            }
            at += 1;
        }
        let first = range.start == 0;
        if !first && members.is_empty() {
            return (None, at);
        }
        let mut item = Item::of(group.id);
        if first {
            self.properties(&mut item, group, touched);
        }
        item.text(&members.end());
        (Some(item.end()), at)
    }

    /// The selected properties that were ever set.
    fn properties(&self, item: &mut Item, group: &Group, touched: &Touched) {
        let changed = |name: &str| match touched {
            Touched::All => false,
            Touched::These(names) => names.contains(&name),
        };
        let whole = self.shown == Shown::Selected || matches!(touched, Touched::All);
        let mut write = |name: &str| {
            if name == "id" || !(whole || changed(name)) || omits(self.ask, name) {
                return;
            }
            // Null says that a value was taken away; never set is left out.
            let value = group_property(group, name);
            if let Some(value) = value.filter(|value| !value.is_null() || changed(name)) {
                item.property(name, &value);
            }
        };
        match &self.round.select {
            Some(select) => select.iter().for_each(|name| write(name)),
            None => GROUP_DEFAULTS.iter().for_each(|name| write(name)),
        }
    }

    /// Writes one entry, unless Graph leaves this member out.
    fn entry(&self, member: Member, word: Word, out: &mut Entries) -> bool {
        let tenant = self.ask.tenant;
        let found = match (&self.round.since, member) {
            (None, _) => shown(tenant, member).and_then(|row| {
                let id = match row {
                    Row::User(place) => tenant.users.get(place)?.id,
                    Row::Group(group) => group.id,
                    Row::Other(other) => other.id,
                    Row::Assignment(..) | Row::ServicePrincipal(_) => return None,
                };
                Some((id, odata_type(&row)?))
            }),
            (Some(_), Member::User(place)) => tenant
                .users
                .get(place)
                .map(|user| (user.id, "#microsoft.graph.user")),
            (Some(_), Member::Group(place)) => tenant
                .groups
                .get(place as usize)
                .map(|group| (group.id, "#microsoft.graph.group")),
            (Some(_), Member::Other(place)) => tenant
                .others
                .get(place as usize)
                .filter(|other| {
                    other.kind != OtherKind::ServicePrincipal
                        || tenant.service_principal_members == ServicePrincipalMembers::Listed
                })
                .map(|other| (other.id, other.kind.odata_type())),
        };
        let Some((id, kind)) = found else {
            return false;
        };
        out.push(id, kind, word);
        true
    }

    /// Removals of before the reader's time: groups that are gone, and a
    /// member and a group that nobody knows.
    fn strangers(&self) -> Vec<Vec<u8>> {
        let tenant = self.ask.tenant;
        let gone = self.places().into_iter().filter_map(|place| {
            let group = tenant.groups.get(place as usize)?;
            match group.presence {
                Presence::Live => None,
                Presence::SoftDeleted(_) => Some(Item::removed(group.id, "changed")),
                Presence::Purged => Some(Item::removed(group.id, "deleted")),
            }
        });
        let mut items: Vec<Vec<u8>> = gone.collect();
        if self.round.ids.is_none() {
            let unknown = guid::of(Kind::Group, "removed long ago");
            items.push(Item::removed(unknown, "deleted"));
        }
        let mut places = self.places().into_iter();
        let told = places.find_map(|place| match self.matter(place) {
            Matter::Told { group, .. } => Some(group.id),
            _ => None,
        });
        if let Some(id) = told {
            let unknown = guid::of(Kind::Person, "removed long ago");
            let mut members = Entries::expecting(1);
            members.push(unknown, "#microsoft.graph.user", Word::Left);
            let mut item = Item::of(id);
            item.text(&members.end());
            items.push(item.end());
        }
        items
    }
}

/// What became of the members in a round.
fn words<'e>(
    events: impl Iterator<Item = &'e GroupEvent>,
    order: WordOrder,
) -> Vec<(Member, Word)> {
    let mut all: Vec<(Member, Word)> = events
        .filter_map(|event| match event {
            GroupEvent::Joined(member) => Some((*member, Word::Joined)),
            GroupEvent::Left(member, _) => Some((*member, Word::Left)),
            GroupEvent::Made | GroupEvent::Presence | GroupEvent::Property(_) => None,
        })
        .collect();
    match order {
        WordOrder::Chronological => {}
        WordOrder::Backwards => all.reverse(),
        WordOrder::LastOnly => {
            let last: HashMap<Member, usize> = all
                .iter()
                .enumerate()
                .map(|(at, (member, _))| (*member, at))
                .collect();
            let mut at = 0..;
            all.retain(|(member, _)| last.get(member).copied() == at.next());
        }
    }
    all
}
