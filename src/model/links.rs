//! Links of delta queries: where the next round begins.
//!
//! Invariant: a link is saved together with what its round told, or not at all;
//! it is opaque, kilobytes long and never shown (graph-contract 5.3).
//! Must not: be taken apart, or be sent anywhere before the reader has checked
//! its host again: a row of the ledger may have been tampered with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ids::GroupId;

/// How many groups one link may follow (graph-contract 5.1: the filter takes 50
/// ids).
pub const BUCKET_SIZE: usize = 50;

/// An `@odata.deltaLink`.
#[derive(Clone, PartialEq, Eq)]
pub struct DeltaLink(String);

impl DeltaLink {
    /// Takes the link as Graph gave it.
    #[must_use]
    pub const fn new(link: String) -> Self {
        Self(link)
    }

    /// The link as Graph gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeltaLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeltaLink(..)")
    }
}

/// Where to go on asking: one link for each bucket of groups, one for all
/// people of the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// By the number of the bucket, which never changes.
    pub groups: BTreeMap<u32, Bucket>,
    /// `users/delta`.
    pub people: DeltaLink,
}

/// At most [`BUCKET_SIZE`] groups that share a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Those that the link is followed for. Its filter may name others, which
    /// are no longer assigned: what it tells of them is not kept, so whoever
    /// comes back is read in full.
    pub groups: BTreeSet<GroupId>,
    /// `groups/delta` with their ids in its filter.
    pub link: DeltaLink,
}
