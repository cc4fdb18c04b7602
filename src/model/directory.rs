//! What Entra says about one Enterprise Application, as it was read.
//!
//! Invariant: an attribute that Graph did not show is *unknown*, which is not a
//! value; a collection that was not read to its end is not here as one.
//! Must not: hold anything LiteLLM-specific beyond the resolved attributes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::complete::Complete;
use super::ids::{AppRoleId, GroupId, PersonId};

/// One whole reading. Groups that could not be read are in it too, each with
/// the reason.
#[derive(Debug, Clone)]
pub struct Directory {
    /// The application's own role definitions.
    pub roles: BTreeMap<AppRoleId, AppRole>,
    /// Every assignment of the application, to its last page.
    pub assignments: Complete<Vec<Assignment>>,
    /// The assigned groups, whether read or not. Groups that the settings
    /// exclude were not read and are `Unread::Excluded`.
    pub groups: BTreeMap<GroupId, Group>,
    /// Everyone seen as a member or assigned directly.
    pub people: HashMap<PersonId, Person>,
    /// People assigned directly whose object could not be read.
    pub unread_people: BTreeMap<PersonId, Unread>,
    /// What the reading cost.
    pub cost: ReadingCost,
}

/// An app role as the application defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRole {
    /// `value`, which Graph may leave null.
    pub value: Option<String>,
    /// `isEnabled`; a disabled role may still be assigned and counts as none.
    pub state: AppRoleState,
}

/// Whether an app role counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppRoleState {
    /// `isEnabled` true.
    Enabled,
    /// `isEnabled` false.
    Disabled,
}

/// One row of `appRoleAssignedTo`. A principal has one row per role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// Who is assigned.
    pub principal: Principal,
    /// With which role; default access is no role.
    pub role: AppRoleId,
}

/// Who an assignment names. Service principals are dropped while reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// `principalType` `Group`.
    Group(GroupId),
    /// `principalType` `User`.
    Person(PersonId),
}

/// A group assigned to the application.
#[derive(Debug, Clone)]
pub struct Group {
    /// The group object's `displayName` (not the stale copy in the assignment),
    /// or `None` when Graph holds none.
    pub display_name: Option<String>,
    /// User members, by the configured expansion (direct or transitive), sorted
    /// and without repetition; or why they are not known.
    pub members: Result<Complete<Vec<PersonId>>, Unread>,
    /// Direct user members, sorted, when `members` is transitive and the group
    /// carries a role: Entra gives a role to direct members only.
    /// `None` when `members` already is the direct list.
    pub direct_members: Option<Complete<Vec<PersonId>>>,
    /// Members that are no users: nested groups, devices, contacts.
    pub other_members: u64,
}

impl Group {
    /// Those who receive the group's app roles, if the group was read.
    #[must_use]
    pub fn role_bearers(&self) -> Option<&[PersonId]> {
        match (&self.direct_members, &self.members) {
            (Some(direct), _) => Some(direct.get()),
            (None, Ok(members)) => Some(members.get()),
            (None, Err(_)) => None,
        }
    }
}

/// Why something assigned is not known. Nothing may be concluded from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// The settings exclude it; what is there stays as it is.
    Excluded,
    /// This pass was asked for other objects only.
    OutOfScope,
    /// 404, or absent from the answer: deleted, or not yet replicated.
    NotFound,
    /// `HiddenMembership` and an empty list: the permission may be missing.
    HiddenMembership,
    /// Anything else, as one sentence with cause and remedy.
    Failed(String),
}

/// A person, by object id.
#[derive(Debug, Clone)]
pub struct Person {
    /// What Graph showed of the person.
    pub attributes: Attributes,
}

impl Person {
    /// Whether Graph showed that the person may not sign in.
    #[must_use]
    pub fn is_disabled(&self) -> bool {
        matches!(&self.attributes, Attributes::Known(known) if known.account == Account::Disabled)
    }
}

/// A person's attributes, or the fact that they were withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    /// `userPrincipalName` was there, so the others can be believed.
    Known(Box<PersonAttributes>),
    /// Null for want of a permission (graph-contract 2): keep what is stored.
    Unknown,
}

/// Attributes, resolved by the rules of LiteLLM's own Microsoft login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonAttributes {
    /// Value of `MICROSOFT_USER_ID_ATTRIBUTE` (default: the object id). LiteLLM
    /// looks for it in `user_id` and `sso_user_id` at login.
    pub subject: Arc<str>,
    /// `MICROSOFT_USER_EMAIL_ATTRIBUTE`, else `mail`; lower-cased.
    pub email: Option<Box<str>>,
    /// `userPrincipalName` and `mail`, lower-cased, as far as they are not
    /// `email`: an operator may ask by them. Nothing is decided from them.
    pub also_known_as: Box<[Box<str>]>,
    /// Trimmed display name unless empty or the id; else first and last name.
    pub alias: Option<Box<str>>,
    /// `accountEnabled`; absent or null is not disabled.
    pub account: Account,
}

/// Whether a person may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// `accountEnabled` true, null or absent.
    Enabled,
    /// `accountEnabled` false.
    Disabled,
}

/// What a reading cost, for the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadingCost {
    /// HTTP requests sent to Graph, retries included.
    pub requests: u64,
    /// Resource units, as `x-ms-resource-unit` said or the table estimates.
    pub resource_units: u64,
    /// Requests that were sent again.
    pub retries: u64,
}
