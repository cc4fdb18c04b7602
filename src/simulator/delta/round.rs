//! One round of a delta query, as a link carries it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use uuid::Uuid;

use super::WordOrder;
use crate::simulator::random::Random;

/// Bytes of the digest that keeps a token from being changed.
const SEAL: usize = 8;

/// Any number will do: it only keeps a token from being read by its holder.
const MASK: u64 = 0x5eed_de17_a000_0001;

/// What a delta query tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::simulator) enum Tracked {
    Groups,
    Users,
}

/// The two links that a page can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::simulator) enum LinkKind {
    /// `@odata.nextLink`: the same round goes on.
    Next,
    /// `@odata.deltaLink`: the next round.
    Delta,
}

impl LinkKind {
    pub(in crate::simulator) fn annotation(self) -> &'static str {
        match self {
            Self::Next => "@odata.nextLink",
            Self::Delta => "@odata.deltaLink",
        }
    }

    pub(in crate::simulator) fn option(self) -> &'static str {
        match self {
            Self::Next => "$skiptoken",
            Self::Delta => "$deltatoken",
        }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::simulator) struct Cursor {
    /// 1 is the first page.
    pub(in crate::simulator) page: u32,
    /// Which piece of the objects, when they are told in turn.
    pub(in crate::simulator) level: usize,
    /// Which object.
    pub(in crate::simulator) object: usize,
    /// Which entry of that piece.
    pub(in crate::simulator) entry: usize,
}

impl Cursor {
    pub(in crate::simulator) const FIRST: Self = Self {
        page: 1,
        level: 0,
        object: 0,
        entry: 0,
    };
}

/// A round: what is asked, since when, and how far it has been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::simulator) struct Round {
    pub(in crate::simulator) tracked: Tracked,
    pub(in crate::simulator) link: LinkKind,
    /// Generations of delta links and of page tokens.
    pub(in crate::simulator) generation: u32,
    pub(in crate::simulator) epoch: u32,
    /// Milliseconds on the simulator's clock.
    pub(in crate::simulator) issued: u64,
    /// The first change to tell; a first round tells what is there.
    pub(in crate::simulator) since: Option<u64>,
    /// The first change that the next round is to tell.
    pub(in crate::simulator) until: u64,
    /// So many earlier changes are told again.
    pub(in crate::simulator) replayed: usize,
    pub(in crate::simulator) order: WordOrder,
    pub(in crate::simulator) cursor: Cursor,
    pub(in crate::simulator) select: Option<Vec<String>>,
    pub(in crate::simulator) ids: Option<Vec<Uuid>>,
}

impl Round {
    /// Whether a property is tracked; `default` are those that are when
    /// nothing was selected.
    pub(in crate::simulator) fn tracks(&self, name: &str, default: &[&str]) -> bool {
        match &self.select {
            Some(select) => select.iter().any(|one| one == name),
            None => default.contains(&name),
        }
    }

    pub(in crate::simulator) fn token(&self) -> String {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let seal = Sha256::digest(&bytes);
        bytes.extend(seal.iter().take(SEAL));
        mask(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token back; `None` if it is none, or was changed.
    pub(in crate::simulator) fn read(token: &str) -> Option<Self> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        mask(&mut bytes);
        let (round, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL)?)?;
        Sha256::digest(round)
            .starts_with(seal)
            .then(|| serde_json::from_slice(round).ok())?
    }

    /// The page number that a raw query asks for, for faults and the journal.
    pub(in crate::simulator) fn page_of(raw_query: &str) -> Option<u32> {
        let option = LinkKind::Next.option();
        form_urlencoded::parse(raw_query.as_bytes())
            .find(|(key, _)| key == option)
            .and_then(|(_, token)| Self::read(&token))
            .map(|round| round.cursor.page)
    }
}

fn mask(bytes: &mut [u8]) {
    let mut random = Random::new(MASK);
    for chunk in bytes.chunks_mut(8) {
        let key = random.next().to_be_bytes();
        chunk
            .iter_mut()
            .zip(key)
            .for_each(|(byte, key)| *byte ^= key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_nothing_to_its_reader_and_cannot_be_changed() {
        let round = Round {
            tracked: Tracked::Groups,
            link: LinkKind::Next,
            generation: 1,
            epoch: 2,
            issued: 3,
            since: None,
            until: 4,
            replayed: 0,
            order: WordOrder::LastOnly,
            cursor: Cursor {
                page: 7,
                ..Cursor::FIRST
            },
            select: Some(vec!["displayName".into()]),
            ids: Some(vec![Uuid::nil()]),
        };
        let token = round.token();
        assert_eq!(Round::read(&token), Some(round));
        assert_eq!(Round::page_of(&format!("$skiptoken={token}")), Some(7));
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("displayName"));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Round::read(&URL_SAFE_NO_PAD.encode(changed)), None);
        }
        assert_eq!(Round::read("AAAA"), None);
        assert_eq!(Round::read(""), None);
    }
}
