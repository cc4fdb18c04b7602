//! Which round a delta request belongs to.
//!
//! Invariant: what is tracked is said on the first call only; later calls have
//! nothing but the token that they were given.

use url::form_urlencoded;
use uuid::Uuid;

use super::MEMBERS;
use crate::simulator::delta::{Cursor, DeltaExpiry, LinkKind, Round, Tracked, WordOrder};
use crate::simulator::endpoints::applications::unsupported_clause;
use crate::simulator::endpoints::groups::asked_ids;
use crate::simulator::endpoints::{Ask, Refusal};
use crate::simulator::fault::Effect;
use crate::simulator::properties::{ObjectType, check_select};
use crate::simulator::query::{
    Clause, parse_filter, repeated_option, select_names, unknown_option,
};

/// Ids in one filter.
const MAX_IDS: usize = 50;

/// The round that a request asks for.
pub(super) fn round(ask: &Ask<'_>, tracked: Tracked) -> Result<Round, Refusal> {
    match read(ask, tracked)? {
        Call::First(round) => Ok(round),
        Call::Later(link, token) => resumed(ask, tracked, link, &token),
    }
}

/// A request, by what it carries.
enum Call {
    First(Round),
    Later(LinkKind, String),
}

fn read(ask: &Ask<'_>, tracked: Tracked) -> Result<Call, Refusal> {
    let mut seen: Vec<String> = Vec::new();
    let (mut select, mut ids, mut token, mut latest) = (None, None, None, false);
    for (key, value) in form_urlencoded::parse(ask.raw_query.as_bytes()) {
        if seen.iter().any(|known| key.eq_ignore_ascii_case(known)) {
            return Err(repeated_option(&key));
        }
        match key.as_ref() {
            "$select" => select = Some(selected(&value, tracked)?),
            "$filter" => ids = Some(filtered(&value, tracked)?),
            // Not supported for users and groups, and not complained about.
            "$top" => {}
            "$expand" | "$orderby" => {
                return Err(Refusal::unsupported(format!(
                    "The query option '{key}' is not supported for change tracking."
                )));
            }
            _ if key.eq_ignore_ascii_case(LinkKind::Delta.option()) => {
                latest = value.eq_ignore_ascii_case("latest");
                // An empty one starts from the beginning.
                let link = (!latest && !value.is_empty()).then(|| value.into_owned());
                token = token.or(link.map(|token| (LinkKind::Delta, token)));
            }
            _ if key == LinkKind::Next.option() => {
                token = Some((LinkKind::Next, value.into_owned()));
            }
            _ => return Err(unknown_option(&key)),
        }
        seen.push(key.into_owned());
    }
    if let Some((link, token)) = token {
        return match seen.as_slice() {
            [_] => Ok(Call::Later(link, token)),
            _ => Err(Refusal::bad_request(
                "A delta or skip token carries the options of its query; no other option may \
                 stand beside it.",
            )),
        };
    }
    let head = head(ask, tracked);
    Ok(Call::First(Round {
        tracked,
        link: LinkKind::Next,
        generation: ask.validity.generation,
        epoch: ask.epoch,
        issued: ask.validity.now,
        since: latest.then_some(head),
        until: head,
        replayed: 0,
        order: WordOrder::LastOnly,
        cursor: Cursor::FIRST,
        select,
        ids,
    }))
}

fn selected(value: &str, tracked: Tracked) -> Result<Vec<String>, Refusal> {
    let names = select_names(value)?;
    let object = match tracked {
        Tracked::Groups => ObjectType::Group,
        Tracked::Users => ObjectType::User,
    };
    let properties: Vec<String> = names
        .iter()
        .filter(|name| tracked == Tracked::Users || *name != MEMBERS)
        .cloned()
        .collect();
    check_select(Some(&properties), &[object])?;
    Ok(names)
}

/// The ids of `id eq 'a' or id eq 'b'`; nothing else can be filtered by.
fn filtered(value: &str, tracked: Tracked) -> Result<Vec<Uuid>, Refusal> {
    let resource = match tracked {
        Tracked::Groups => "Group",
        Tracked::Users => "User",
    };
    let clauses = parse_filter(value, MAX_IDS)?;
    for clause in &clauses {
        match clause {
            Clause::AnyOf(property, values) if property == "id" => match values.as_slice() {
                [one] if Uuid::try_parse(one).is_err() => return Err(Refusal::not_a_guid(one)),
                [_] => {}
                _ => return Err(unsupported_clause(property, resource)),
            },
            other => return Err(unsupported_clause(other.property(), resource)),
        }
    }
    Ok(asked_ids(&clauses).unwrap_or_default())
}

fn head(ask: &Ask<'_>, tracked: Tracked) -> u64 {
    let history = &ask.tenant.history;
    match tracked {
        Tracked::Groups => history.groups.head(),
        Tracked::Users => history.users.head(),
    }
}

fn reaches(ask: &Ask<'_>, tracked: Tracked, since: u64) -> bool {
    let history = &ask.tenant.history;
    match tracked {
        Tracked::Groups => history.groups.reaches(since),
        Tracked::Users => history.users.reaches(since),
    }
}

/// The round that a link goes on with.
fn resumed(ask: &Ask<'_>, tracked: Tracked, link: LinkKind, token: &str) -> Result<Round, Refusal> {
    let mut round = Round::read(token)
        .filter(|round| round.tracked == tracked && round.link == link)
        .ok_or_else(Refusal::bad_delta_token)?;
    let validity = &ask.validity;
    let first = || first_call(ask, &round);
    if round.generation != validity.generation {
        return Err(Refusal::delta_link(validity.expiry, first()));
    }
    let age = validity.now.saturating_sub(round.issued);
    if age > ask.tenant.delta.link_lifetime_seconds.saturating_mul(1000) {
        return Err(Refusal::delta_link(DeltaExpiry::NotFound, first()));
    }
    let oldest = round.since.unwrap_or(round.until);
    if !reaches(ask, tracked, oldest) || !reaches(ask, tracked, round.until) {
        return Err(Refusal::delta_link(DeltaExpiry::Gone, first()));
    }
    match link {
        LinkKind::Next => {
            let expired = ask.effects.contains(&Effect::ExpiredPageToken);
            if expired || round.epoch != ask.epoch {
                return Err(Refusal::expired_page_token());
            }
        }
        LinkKind::Delta => begin(ask, &mut round),
    }
    Ok(round)
}

/// A delta link becomes a round, bent by faults. What bends it goes along to
/// the further pages.
fn begin(ask: &Ask<'_>, round: &mut Round) {
    round.link = LinkKind::Next;
    round.epoch = ask.epoch;
    round.issued = ask.validity.now;
    if !ask.effects.contains(&Effect::WithheldChanges) {
        round.until = head(ask, round.tracked);
    }
    for effect in ask.effects {
        match effect {
            Effect::ReplayedChanges { changes } => round.replayed = *changes,
            Effect::EveryWord { order } => round.order = *order,
            _ => {}
        }
    }
}

/// The query that a link stems from, with an empty token.
fn first_call(ask: &Ask<'_>, round: &Round) -> String {
    let mut options = form_urlencoded::Serializer::new(String::new());
    if let Some(select) = &round.select {
        options.append_pair("$select", &select.join(","));
    }
    if let Some(ids) = &round.ids {
        let terms: Vec<String> = ids.iter().map(|id| format!("id eq '{id}'")).collect();
        options.append_pair("$filter", &terms.join(" or "));
    }
    options.append_pair(LinkKind::Delta.option(), "");
    format!("{}{}?{}", ask.root, ask.path, options.finish())
}
