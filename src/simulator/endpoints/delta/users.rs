//! `users/delta`: people who changed.
//!
//! Invariant: deleted restorably is `@removed` with `changed`, deleted for good
//! with `deleted`; who is new or restored comes as a plain object.

use super::item::Item;
use super::{Page, Shown, omits, past_removals};
use crate::simulator::delta::{Cursor, Round};
use crate::simulator::endpoints::Ask;
use crate::simulator::guid::{self, Kind};
use crate::simulator::properties::USER_DEFAULTS;
use crate::simulator::render::user_property;
use crate::simulator::tenant::{AccountEnabled, Presence, User, UserEvent, place_of};

/// The place of an id that is no user's; it may become one.
const NOBODY: u32 = u32::MAX;

/// What a later round knows of a user's changes.
#[derive(Default)]
struct Touched<'t> {
    /// New, or restored.
    whole: bool,
    presence: bool,
    names: Vec<&'t str>,
}

struct Teller<'r, 't> {
    ask: &'r Ask<'t>,
    round: &'r Round,
    shown: Shown,
}

pub(super) fn page(ask: &Ask<'_>, round: &Round, shown: Shown) -> Page {
    let teller = Teller { ask, round, shown };
    let mut page = match round.since {
        None => teller.first(),
        Some(since) => teller.later(since),
    };
    if past_removals(ask, round) {
        page.items.extend(teller.strangers());
    }
    page
}

impl<'t> Teller<'_, 't> {
    fn names(&self) -> Vec<&str> {
        match &self.round.select {
            Some(select) => select.iter().map(String::as_str).collect(),
            None => USER_DEFAULTS.to_vec(),
        }
    }

    fn asked(&self) -> Option<Vec<u32>> {
        let ids = self.round.ids.as_deref()?;
        let users = &self.ask.tenant.users;
        let place = |id: &uuid::Uuid| users.place(*id).unwrap_or(NOBODY);
        Some(ids.iter().map(place).collect())
    }

    /// Everybody who is there, in texts that are written once.
    fn first(&self) -> Page {
        let users = &self.ask.tenant.users;
        let names: Vec<&str> = self
            .names()
            .into_iter()
            .filter(|name| !omits(self.ask, name))
            .collect();
        let form = format!("delta:{}", names.join(","));
        let texts = users.texts(&form);
        let write = |user: &User| {
            let mut item = Item::of(user.id);
            properties(&mut item, user, &names, |_| false);
            item.end()
        };
        let asked = self.asked();
        let count = asked.as_ref().map_or(users.len(), Vec::len);
        let place = |at: usize| match &asked {
            Some(asked) => asked.get(at).copied().unwrap_or(NOBODY),
            None => place_of(at),
        };
        let live = |at: &usize| {
            let user = users.get(place(*at));
            user.is_some_and(|user| user.presence.is_live())
        };
        let mut rest = (self.round.cursor.object..count).filter(live).peekable();
        let mut items = Vec::new();
        for at in rest.by_ref().take(self.most()) {
            texts.read(place(at), write, |text| items.push(text.to_vec()));
        }
        let next = rest.peek().map(|at| self.cursor(*at));
        Page { items, next }
    }

    fn most(&self) -> usize {
        self.ask.tenant.delta.users_per_page.max(1)
    }

    fn cursor(&self, object: usize) -> Cursor {
        Cursor {
            object,
            ..self.round.cursor
        }
    }

    fn later(&self, since: u64) -> Page {
        let (until, replayed) = (self.round.until, self.round.replayed);
        let log = &self.ask.tenant.history.users;
        let places = match self.asked() {
            Some(asked) => asked,
            None => log.changed(since, until, replayed),
        };
        let mut items = Vec::new();
        for (at, place) in places.iter().enumerate().skip(self.round.cursor.object) {
            let item = self.item(*place, log.of(*place, since, until, replayed));
            if item.is_some() && items.len() == self.most() {
                let next = Some(self.cursor(at));
                return Page { items, next };
            }
            items.extend(item);
        }
        Page { items, next: None }
    }

    fn item<'e>(&self, place: u32, events: impl Iterator<Item = &'e UserEvent>) -> Option<Vec<u8>> {
        let user = self.ask.tenant.users.get(place)?;
        let touched = touched(events);
        let reason = match user.presence {
            Presence::Live => None,
            Presence::SoftDeleted(_) => Some("changed"),
            Presence::Purged => Some("deleted"),
        };
        if let Some(reason) = reason {
            return touched.presence.then(|| Item::removed(user.id, reason));
        }
        let changed = |name: &str| touched.names.contains(&name);
        let whole = touched.whole || touched.presence;
        let names = self.names();
        if !whole && !names.iter().any(|name| changed(name)) {
            return None;
        }
        let told: Vec<&str> = names
            .into_iter()
            .filter(|name| whole || self.shown == Shown::Selected || changed(name))
            .filter(|name| !omits(self.ask, name))
            .collect();
        let mut item = Item::of(user.id);
        properties(&mut item, user, &told, changed);
        Some(item.end())
    }

    /// Removals of before the reader's time: who is asked for and gone, or all
    /// who are among the deleted items, and somebody whom nobody knows.
    fn strangers(&self) -> Vec<Vec<u8>> {
        let users = &self.ask.tenant.users;
        let all = || (0..place_of(users.len())).collect();
        let places = self.asked().unwrap_or_else(all);
        let gone = places.into_iter().filter_map(|place| {
            let user = users.get(place)?;
            match user.presence {
                Presence::Live => None,
                Presence::SoftDeleted(_) => Some(Item::removed(user.id, "changed")),
                Presence::Purged => Some(Item::removed(user.id, "deleted")),
            }
        });
        let mut items: Vec<Vec<u8>> = gone.collect();
        if self.round.ids.is_none() {
            let unknown = guid::of(Kind::Person, "removed long ago");
            items.push(Item::removed(unknown, "deleted"));
        }
        items
    }
}

fn touched<'e>(events: impl Iterator<Item = &'e UserEvent>) -> Touched<'e> {
    let mut touched = Touched::default();
    for event in events {
        match event {
            UserEvent::Made => touched.whole = true,
            UserEvent::Presence => touched.presence = true,
            UserEvent::Property(name) => touched.names.push(name),
        }
    }
    touched
}

/// Those of the named properties that were ever set. Null says that a value was
/// taken away in this round, or stands there on a test's demand.
fn properties(item: &mut Item, user: &User, names: &[&str], changed: impl Fn(&str) -> bool) {
    for name in names.iter().filter(|name| **name != "id") {
        let demanded = *name == "accountEnabled" && user.account == AccountEnabled::Null;
        let value =
            user_property(user, name).filter(|value| !value.is_null() || demanded || changed(name));
        if let Some(value) = value {
            item.property(name, &value);
        }
    }
}
