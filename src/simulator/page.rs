//! Pages: which rows, and the opaque link to the next ones.
//!
//! Invariant: a page token works for the path it was made for and until the
//! tokens are expired on demand; it says nothing to its reader.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::form_urlencoded;

use super::delta::Round;
use super::fault::{Effect, LinkTampering};
use super::query::{DEFAULT_PAGE, Query};
use super::refusal::Refusal;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Position in the collection's own order.
    pub(super) position: u64,
    /// 1 is the first page.
    pub(super) number: u32,
}

impl Mark {
    /// The beginning of a collection.
    pub(super) const FIRST: Self = Self {
        position: 0,
        number: 1,
    };

    fn token(self, path: &str, epoch: u32) -> String {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend(seal(path).to_be_bytes());
        bytes.extend(epoch.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.position.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a page token back.
    pub(super) fn read(token: &str, path: &str, epoch: u32) -> Result<Self, Refusal> {
        let (made_for, mark) = parse(token).ok_or_else(Refusal::unknown_page_token)?;
        if made_for.0 != seal(path) {
            return Err(Refusal::unknown_page_token());
        }
        if made_for.1 != epoch {
            return Err(Refusal::expired_page_token());
        }
        Ok(mark)
    }

    /// The page number that a raw query asks for, for faults and the journal.
    pub(super) fn number_of(raw_query: &str) -> u32 {
        form_urlencoded::parse(raw_query.as_bytes())
            .find(|(key, _)| key == "$skiptoken")
            .and_then(|(_, token)| parse(&token))
            .map(|(_, mark)| mark.number)
            .or_else(|| Round::page_of(raw_query))
            .unwrap_or(1)
    }
}

fn parse(token: &str) -> Option<((u64, u32), Mark)> {
    let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let seal = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let epoch = u32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
    let number = u32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
    let position = u64::from_be_bytes(bytes.get(16..)?.try_into().ok()?);
    Some(((seal, epoch), Mark { position, number }))
}

fn seal(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.to_ascii_lowercase().hash(&mut hasher);
    hasher.finish()
}

/// One page's rows, and where the next page begins.
#[derive(Debug)]
pub(super) struct Page<R> {
    pub(super) rows: Vec<R>,
    pub(super) next: Option<Mark>,
}

impl<R: Clone> Page<R> {
    /// Takes a page from rows that begin at `mark`, bent by faults.
    pub(super) fn take(
        rows: impl Iterator<Item = (usize, R)>,
        mark: Mark,
        query: &Query,
        effects: &[Effect],
    ) -> Self {
        let number = mark.number + 1;
        if effects.contains(&Effect::EmptyList) {
            return Self {
                rows: Vec::new(),
                next: None,
            };
        }
        if effects.contains(&Effect::EmptyPage) {
            return Self {
                rows: Vec::new(),
                next: Some(Mark {
                    position: mark.position,
                    number,
                }),
            };
        }
        let size = match query.top {
            Some(top) if !effects.contains(&Effect::TopIgnored) => top,
            _ => DEFAULT_PAGE,
        };
        let size = effects.iter().fold(size, |size, effect| match effect {
            Effect::ShortPages { rows } => size.min((*rows).max(1)),
            _ => size,
        });
        let shift = effects.iter().find_map(|effect| match effect {
            Effect::ShiftedPage { rows } => Some(*rows),
            _ => None,
        });
        let mut rows = rows.skip(shift.unwrap_or(0)).peekable();
        let mut taken: Vec<R> = rows.by_ref().take(size).map(|(_, row)| row).collect();
        let next = rows
            .peek()
            .filter(|_| !effects.contains(&Effect::MissingLink))
            .map(|(position, _)| Mark {
                position: *position as u64,
                number,
            });
        if effects.contains(&Effect::DuplicateRows) {
            taken.extend_from_within(..);
        }
        Self { rows: taken, next }
    }
}

/// The link to the next page: the request's own URL with a page token.
pub(super) fn next_link(
    root: &str,
    path: &str,
    raw_query: &str,
    next: Mark,
    epoch: u32,
    effects: &[Effect],
) -> String {
    if effects.contains(&Effect::LoopingLink) {
        return format!("{root}{path}?{raw_query}");
    }
    let mut link = format!("{root}{path}?");
    for option in raw_query.split('&').filter(|option| !option.is_empty()) {
        if !option.starts_with("$skiptoken=") && !option.starts_with("%24skiptoken=") {
            link.push_str(option);
            link.push('&');
        }
    }
    link.push_str("$skiptoken=");
    link.push_str(&next.token(path, epoch));
    bent(link, effects)
}

/// The link, or where a fault makes it lead.
pub(super) fn bent(link: String, effects: &[Effect]) -> String {
    let tampering = effects.iter().find_map(|effect| match effect {
        Effect::Link(tampering) => Some(tampering),
        _ => None,
    });
    match tampering {
        Some(tampering) => tamper(&link, tampering),
        None => link,
    }
}

fn tamper(link: &str, tampering: &LinkTampering) -> String {
    let Ok(mut url) = url::Url::parse(link) else {
        return link.to_owned();
    };
    // Refused settings leave the link as it is: the URL was ours to begin with.
    let _ = match tampering {
        LinkTampering::Host(host) => url.set_host(Some(host)).map_err(drop),
        LinkTampering::Scheme(scheme) => url.set_scheme(scheme),
        LinkTampering::Port(port) => url.set_port(Some(*port)),
        LinkTampering::UserInfo(user) => url.set_username(user),
        LinkTampering::Path(path) => {
            url.set_path(path);
            Ok(())
        }
        LinkTampering::Origin(origin) => {
            return link.replacen(&url.origin().ascii_serialization(), origin, 1);
        }
    };
    url.into()
}
