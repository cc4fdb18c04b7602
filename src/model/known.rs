//! The directory as it was last known: what the ledger keeps between passes,
//! so that the next one need only ask what has changed.
//!
//! Invariant: it is what a whole reading showed, brought up to date by whole
//! rounds of delta queries and by nothing else. A person who was deleted keeps
//! their groups, flagged: Entra gives them back with the person (graph-contract
//! 5, trap 6). Memberships are kept with the person, each once.
//! Must not: hold a link; links are Graph's and stay with the reader and the
//! ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::complete::Complete;
use super::directory::{AppRole, Assignment, Attributes, Unread};
use super::ids::{AppRoleId, GroupId, PersonId};

/// The application and its groups, without the people in them. Small: it grows
/// with the number of assigned groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The application's own role definitions.
    pub roles: BTreeMap<AppRoleId, AppRole>,
    /// Every assignment, sorted.
    pub assignments: Vec<Assignment>,
    /// Every assigned group.
    pub groups: BTreeMap<GroupId, KnownGroup>,
    /// People assigned directly whose object could not be read, and of whom
    /// nothing is known.
    pub unread_people: BTreeMap<PersonId, Unread>,
}

/// A group, as it was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownGroup {
    /// `displayName`.
    pub display_name: Option<String>,
    /// Why its members are not known; `None` when they are.
    pub unread: Option<Unread>,
    /// How many people are in it who are not deleted: enough to see that a
    /// group has become empty.
    pub headcount: u64,
    /// Members that are no users.
    pub other_members: u64,
    /// Whether roles come by a list of their own (`Group::direct_members`).
    pub bearers: Bearers,
    /// Whether the next pass must read it in full before it believes in it.
    pub trust: Trust,
}

impl KnownGroup {
    /// Why nothing may be concluded about its members; `None` when something
    /// may.
    #[must_use]
    pub fn doubt(&self) -> Option<Unread> {
        self.unread.clone().or_else(|| match self.trust {
            Trust::Sure => None,
            Trust::ReadAgain => Some(Unread::Failed(
                "two readings contradicted each other; it is left alone until the next pass has \
                 read it in full"
                    .to_owned(),
            )),
        })
    }
}

/// Who receives a group's roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bearers {
    /// Its members.
    #[default]
    Members,
    /// Those in [`KnownPerson::bears`].
    Listed,
}

/// Whether what is known of a group can be gone on with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Yes.
    #[default]
    Sure,
    /// Two readings contradicted each other: it is read again in full.
    ReadAgain,
}

/// A person, as last known. Kept for everybody who is in an assigned group or
/// assigned directly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPerson {
    /// What Graph showed.
    pub attributes: Attributes,
    /// Assigned groups that they are in, sorted, by the configured expansion.
    pub groups: Vec<GroupId>,
    /// Of those with [`Bearers::Listed`], the ones that they are in directly.
    pub bears: Vec<GroupId>,
    /// Whether the directory shows them.
    pub presence: Presence,
}

/// Whether the directory shows a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presence {
    /// It does.
    #[default]
    Here,
    /// Deleted, for 30 days or for good: only their own object tells.
    Deleted,
}

/// What whole rounds of delta queries, and the assignment list read beside
/// them, told.
#[derive(Debug, Clone)]
pub struct News {
    /// The application's role definitions now.
    pub roles: BTreeMap<AppRoleId, AppRole>,
    /// Every assignment now, to its last page.
    pub assignments: Complete<Vec<Assignment>>,
    /// What was said about groups, each once, however many items it took.
    pub groups: BTreeMap<GroupId, GroupNews>,
    /// What was said about people of the whole tenant, each once: the last word.
    pub people: BTreeMap<PersonId, PersonNews>,
    /// Groups whose round was lost, or never begun: what was said of them is not
    /// all, they have to be read in full.
    pub unfollowed: BTreeSet<GroupId>,
}

/// What a round said about one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupNews {
    /// The object's own state.
    pub object: ObjectNews,
    /// What was said about its user members.
    pub members: BTreeMap<PersonId, Word>,
}

/// What a round said about a group's object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ObjectNews {
    /// Nothing.
    #[default]
    Nothing,
    /// It is there and has this name (`displayName`), or the item left it out.
    Here(Option<Option<String>>),
    /// It was deleted, for 30 days or for good.
    Deleted,
    /// It was said to be there and to be deleted, or something that only a
    /// whole reading clears up.
    Unclear,
}

/// What a round said about one membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The person is in the group.
    Joined,
    /// The person is not.
    Left,
    /// Both, in whatever order: which is the last word is not known (trap 2).
    Both,
}

/// What a round said about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonNews {
    /// There, with these attributes, all of which the item showed.
    Now(Attributes),
    /// Deleted, for 30 days or for good.
    Deleted,
    /// There, but the item left out what must not be guessed: ask.
    Unclear,
}

/// People as the ledger has them, those that were asked for.
pub type KnownPeople = HashMap<PersonId, KnownPerson>;

/// What becomes of the known directory by [`News`] and by what was read in full
/// because of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turn {
    /// The application and its groups as they are now.
    pub outline: Outline,
    /// People who are other than they were, as they are now.
    pub people: KnownPeople,
    /// People who are in no assigned group and not assigned any more.
    pub dropped: BTreeSet<PersonId>,
    /// What a plan has to look at.
    pub touched: Touched,
}

/// Objects about which something may have changed. Saved with the state that
/// they led to, until a pass has settled them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// People.
    pub people: BTreeSet<PersonId>,
    /// Groups: named otherwise, newly assigned, or assigned no more.
    pub groups: BTreeSet<GroupId>,
}
