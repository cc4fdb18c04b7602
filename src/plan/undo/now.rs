//! What is there now, and whose it is.
//!
//! Invariant: a row that has become somebody else's since is not touched for
//! whom it was taken from.

use std::collections::{BTreeMap, BTreeSet};

use super::{NotGiven, Present};
use crate::model::ids::{GroupId, PersonId, TeamId, UserId};
use crate::model::ledger::Owned;
use crate::model::target::{Target, UserRow};
use crate::plan::change::Member;
use crate::plan::removal::{Removal, Why};

/// LiteLLM's rows and the ledger's, made ready to be asked.
pub(super) struct Now<'a> {
    pub(super) target: &'a Target,
    pub(super) owned: &'a Owned,
    /// Rows that the ledger knows as more than one person's.
    shared: BTreeSet<&'a UserId>,
    /// What later runs took.
    later: BTreeSet<String>,
}

/// What a removal takes, however far.
fn matter(removal: &Removal) -> String {
    match removal {
        Removal::LowerRole { member, .. } => format!("role {}", member.user),
        other => other.key(),
    }
}

impl<'a> Now<'a> {
    pub(super) fn of(present: Present<'a>) -> Self {
        let mut people: BTreeMap<&UserId, usize> = BTreeMap::new();
        for known in present.owned.people.values() {
            *people.entry(&known.user).or_default() += 1;
        }
        Self {
            target: present.target,
            owned: present.owned,
            shared: people
                .into_iter()
                .filter(|(_, people)| *people > 1)
                .map(|(user, _)| user)
                .collect(),
            later: present.later.iter().map(matter).collect(),
        }
    }

    /// Nothing, unless a later run took the same: then what is missing now is
    /// that run's doing.
    pub(super) fn not_taken_since(&self, removal: &Removal) -> Result<(), NotGiven> {
        match self.later.contains(&matter(removal)) {
            true => Err(NotGiven::TakenAgain),
            false => Ok(()),
        }
    }

    /// Why somebody is not in a team, if a later run took them out.
    pub(super) fn not_in_since(&self, group: GroupId, user: &UserId) -> Option<NotGiven> {
        let left = Removal::TeamMember {
            group,
            // The key does not name the person.
            member: Member {
                user: user.clone(),
                person: PersonId::new(uuid::Uuid::nil()),
            },
            why: Why::LeftGroup,
        };
        self.not_taken_since(&left).err()
    }

    /// Whether all copies of a membership are there.
    pub(super) fn is_member(&self, team: &TeamId, user: &UserId) -> bool {
        let Some(row) = self.target.teams.get(team) else {
            return false;
        };
        let names_it = |row: &UserRow| row.teams.binary_search(team).is_ok();
        row.roster.iter().any(|entry| entry.user == *user)
            && row.memberships.binary_search(user).is_ok()
            && self.target.users.get(user).is_some_and(names_it)
    }

    /// The row that stands for a person, if it still does.
    pub(super) fn row_of(&self, member: &Member) -> Result<&'a UserRow, NotGiven> {
        let row = self
            .target
            .users
            .get(&member.user)
            .ok_or(NotGiven::UserGone)?;
        let known = self.owned.people.get(&member.person);
        let has_another_row = known.is_some_and(|owned| owned.user != member.user);
        let subject = known.and_then(|known| known.subject.as_ref());
        let is_theirs = row.sso_user_id.as_ref().is_some_and(|bound| {
            bound.as_str() == member.person.to_string() || subject == Some(bound)
        });
        // Bound to anything else it is somebody's whom nobody here need know.
        let is_anothers = row.sso_user_id.is_some() || self.shared.contains(&member.user);
        match has_another_row || (is_anothers && !is_theirs) {
            true => Err(NotGiven::RowTaken),
            false => Ok(row),
        }
    }
}
