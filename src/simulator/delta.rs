//! Delta queries: how they are answered, and the rounds that their links
//! carry from one request to the next.
//!
//! Invariant: a link says everything that the next request needs (what is
//! tracked, which objects, since when), so that nothing is kept for a client
//! that never comes back. It says nothing to its reader, and a link of another
//! collection, or one that was changed, is refused.

mod round;

use serde::{Deserialize, Serialize};

pub(super) use round::{Cursor, LinkKind, Round, Tracked};

/// Whether a tenant answers delta queries at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaOffer {
    /// It does.
    Offered,
    /// 400, as in Azure AD B2C and in external tenants.
    Unsupported,
    /// 501.
    NotImplemented,
}

/// How a large group is told in the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaLayout {
    /// One group after the other; a page's end cuts a group.
    Together,
    /// A piece of each group in turn, several on a page.
    Interleaved,
}

/// Whether groups tell that a member was deleted for good. It is documented;
/// that it stays out has been reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgedMembers {
    /// The member is removed from its groups.
    Reported,
    /// No group ever says so.
    Silent,
}

/// Whether a group that is restored brings its members along. Graph's own
/// behaviour is not documented, so a reader has to bear both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoredMembers {
    /// It comes back as it went; who was in it never left.
    Untold,
    /// All of them are told again.
    Told,
}

/// How delta queries are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeltaSettings {
    /// Whether at all.
    pub offer: DeltaOffer,
    /// Member entries on a page of `groups/delta`.
    pub entries_per_page: usize,
    /// Users on a page of `users/delta`.
    pub users_per_page: usize,
    /// How large groups are told.
    pub layout: DeltaLayout,
    /// Whether groups hear of purged members.
    pub purged_members: PurgedMembers,
    /// Whether restored groups tell their members.
    pub restored_members: RestoredMembers,
    /// So long a link is good for.
    pub link_lifetime_seconds: u64,
}

impl Default for DeltaSettings {
    fn default() -> Self {
        Self {
            offer: DeltaOffer::Offered,
            entries_per_page: 500,
            users_per_page: 200,
            layout: DeltaLayout::Together,
            purged_members: PurgedMembers::Reported,
            restored_members: RestoredMembers::Untold,
            link_lifetime_seconds: 7 * 24 * 3600,
        }
    }
}

/// How links say that they are no longer good. Graph does it in all these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaExpiry {
    /// 410 `resyncRequired`, with the `Location` of a new first round.
    #[default]
    Gone,
    /// 400 `syncStateNotFound`.
    NotFound,
    /// The same in other letters: `SyncStateNotFound`.
    NotFoundInOtherCase,
    /// 400 with a code that says nothing; the one that counts is deep inside
    /// `innerError`.
    NotFoundInside,
}

/// In which order a member's changes within one round are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WordOrder {
    /// Only what became of the member in the end.
    #[default]
    LastOnly,
    /// Each change, as it happened.
    Chronological,
    /// Each change, the last one first.
    Backwards,
}

/// Which links are still good, as a request finds it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Validity {
    /// Links of an earlier generation are not.
    pub(super) generation: u32,
    /// How those are refused.
    pub(super) expiry: DeltaExpiry,
    /// Milliseconds on the simulator's clock.
    pub(super) now: u64,
}
