//! Delta queries: pages around the items of a round.
//!
//! Invariant: a page has a link to the next page or to the next round, never
//! both.

mod call;
mod groups;
mod item;
mod users;

use super::{Ask, Refusal, json_text};
use crate::simulator::delta::{Cursor, DeltaOffer, LinkKind, Round, Tracked, WordOrder};
use crate::simulator::fault::Effect;
use crate::simulator::page::bent;

/// The relation of groups that can be selected.
const MEMBERS: &str = "members";

/// Items of one page, as JSON.
struct Page {
    items: Vec<Vec<u8>>,
    /// Where the next page begins; `None` at the end of the round.
    next: Option<Cursor>,
}

/// What the client prefers to see of a changed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// All selected properties.
    Selected,
    /// Only those that changed.
    Changed,
}

pub(super) fn of_groups(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_groups())?;
    answer(ask, Tracked::Groups)
}

pub(super) fn of_users(ask: &Ask<'_>) -> Result<Vec<u8>, Refusal> {
    ask.require(ask.rights.read_users())?;
    answer(ask, Tracked::Users)
}

fn answer(ask: &Ask<'_>, tracked: Tracked) -> Result<Vec<u8>, Refusal> {
    match ask.tenant.delta.offer {
        DeltaOffer::Offered => {}
        DeltaOffer::Unsupported => return Err(Refusal::no_change_enumeration()),
        DeltaOffer::NotImplemented => {
            let status = http::StatusCode::NOT_IMPLEMENTED;
            let message = "The requested functionality is not supported.";
            return Err(Refusal::new(status, "NotImplemented", message));
        }
    }
    let round = call::round(ask, tracked)?;
    let page = if ask.effects.contains(&Effect::EmptyPage) {
        let items = Vec::new();
        let next = Some(round.cursor);
        Page { items, next }
    } else if ask.effects.contains(&Effect::EmptyList) {
        let items = Vec::new();
        Page { items, next: None }
    } else {
        match tracked {
            Tracked::Groups => groups::page(ask, &round, shown(ask)),
            Tracked::Users => users::page(ask, &round, shown(ask)),
        }
    };
    Ok(write(ask, round, page))
}

/// `Prefer: return=minimal`; it has to come along with every page.
fn shown(ask: &Ask<'_>) -> Shown {
    let minimal = |prefer: &str| {
        let mut wishes = prefer.split(',');
        wishes.any(|wish| wish.trim().eq_ignore_ascii_case("return=minimal"))
    };
    match ask.prefer.is_some_and(minimal) {
        true => Shown::Changed,
        false => Shown::Selected,
    }
}

/// The link that follows a page.
fn link(ask: &Ask<'_>, round: Round, next: Option<Cursor>) -> (LinkKind, String) {
    let (root, path, effects) = (ask.root, ask.path, ask.effects);
    if effects.contains(&Effect::LoopingLink) {
        let own = format!("{root}{path}?{}", ask.raw_query);
        return (LinkKind::Next, own);
    }
    let page = round.cursor.page + 1;
    let round = match next {
        Some(cursor) => Round {
            cursor: Cursor { page, ..cursor },
            ..round
        },
        None => Round {
            link: LinkKind::Delta,
            issued: ask.validity.now,
            since: Some(round.until),
            replayed: 0,
            order: WordOrder::LastOnly,
            cursor: Cursor::FIRST,
            ..round
        },
    };
    let (kind, option) = (round.link, round.link.option());
    let link = format!("{root}{path}?{option}={}", round.token());
    (kind, bent(link, effects))
}

fn write(ask: &Ask<'_>, round: Round, page: Page) -> Vec<u8> {
    let set = match round.tracked {
        Tracked::Groups => "groups",
        Tracked::Users => "users",
    };
    let context = json_text(&format!("{}/v1.0/$metadata#{set}", ask.root));
    let mut items = page.items;
    if ask.effects.contains(&Effect::DuplicateRows) {
        items.extend_from_within(..);
    }
    let length: usize = items.iter().map(Vec::len).sum();
    let mut body = Vec::with_capacity(length + items.len() + 8192);
    body.extend_from_slice(format!("{{\"@odata.context\":{context}").as_bytes());
    if !ask.effects.contains(&Effect::MissingLink) {
        let (kind, link) = link(ask, round, page.next);
        let link = format!(",\"{}\":{}", kind.annotation(), json_text(&link));
        body.extend_from_slice(link.as_bytes());
    }
    if !ask.effects.contains(&Effect::MissingValue) {
        body.extend_from_slice(b",\"value\":[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(item);
        }
        body.push(b']');
    }
    body.push(b'}');
    body
}

/// Whether this page of a first round tells removals of strangers.
fn past_removals(ask: &Ask<'_>, round: &Round) -> bool {
    round.since.is_none() && ask.effects.contains(&Effect::PastRemovals)
}

/// The property that a fault leaves out of this page.
fn omits(ask: &Ask<'_>, property: &str) -> bool {
    ask.effects.iter().any(|effect| match effect {
        Effect::OmittedProperty { name } => name == property,
        _ => false,
    })
}
