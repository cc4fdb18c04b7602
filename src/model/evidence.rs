//! What was asked of Entra a second time before anything is taken away.
//!
//! Invariant: absence in one reading is a suspicion only. Graph's replicas lag
//! and pages shift, so a removal needs a second complete reading of its group
//! that also lacks the person, and a look at the person's own object. What is
//! known from an earlier pass is no more than that either: whoever is known as
//! disabled is looked up. Evidence that is missing keeps what is there.

use std::collections::BTreeMap;

use super::complete::Complete;
use super::directory::{Account, AppRole, Assignment, Unread};
use super::ids::{AppRoleId, GroupId, PersonId};

/// A second reading, or why there is none.
pub type Again<T> = Result<Complete<T>, Unread>;

/// Second readings, made in the same pass.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The assignment list, read again because a group seemed unassigned, or
    /// why that failed; `None` when it was not asked for.
    pub assignments: Option<Again<Vec<Assignment>>>,
    /// The application's role definitions, read again together with it.
    pub roles: BTreeMap<AppRoleId, AppRole>,
    /// Groups read again because somebody seemed to have left, by the
    /// configured expansion.
    pub groups: BTreeMap<GroupId, Again<Vec<PersonId>>>,
    /// The direct members of groups read again because somebody seemed to have
    /// lost a role, where `groups` are transitive members.
    pub direct: BTreeMap<GroupId, Again<Vec<PersonId>>>,
    /// People looked up because they were in no reading at all, or because one
    /// shows them as disabled.
    pub people: BTreeMap<PersonId, Whereabouts>,
}

impl Evidence {
    /// Who receives a group's roles, by the second reading. A transitive list
    /// does as well where there is no other: it lacks none of the direct members.
    #[must_use]
    pub fn role_bearers(&self, group: GroupId) -> Option<&Again<Vec<PersonId>>> {
        self.direct.get(&group).or_else(|| self.groups.get(&group))
    }
}

/// Where a person's object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the directory.
    Present(Account),
    /// Among the deleted items: restorable for 30 days.
    SoftDeleted,
    /// In neither: gone for good.
    Purged,
    /// The look-up failed or was forbidden, as one sentence.
    Unknown(String),
}

/// What a plan needs a second look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Whether the assignment list and the role definitions must be read again.
    pub assignments: Needed,
    /// Groups that somebody seems to have left, sorted.
    pub groups: Vec<GroupId>,
    /// Groups through which somebody seems to have lost a role, sorted: their
    /// direct members are in doubt.
    pub bearers: Vec<GroupId>,
    /// People who are in no reading, or who would lose access as disabled, sorted.
    pub people: Vec<PersonId>,
}

/// Whether a second look is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Needed {
    /// No.
    #[default]
    No,
    /// Yes.
    Yes,
}

impl Questions {
    /// Whether nothing is in doubt.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assignments == Needed::No
            && self.groups.is_empty()
            && self.bearers.is_empty()
            && self.people.is_empty()
    }

    /// The same where one list tells who is in a group and who receives its
    /// roles: none is asked for twice.
    #[must_use]
    pub fn with_one_list(mut self) -> Self {
        self.groups.append(&mut self.bearers);
        self.groups.sort_unstable();
        self.groups.dedup();
        self
    }
}
