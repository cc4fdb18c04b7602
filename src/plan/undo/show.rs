//! An undo as people and programs are shown it.
//!
//! Invariant: the same words as a plan's; equal undos print the same text.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Extent, NotGiven, Return, Undo};
use crate::model::report::{Counts, Kind};
use crate::plan::digest;
use crate::plan::item::Item;
use crate::plan::removal::Removal;
use crate::plan::render;
use crate::plan::text::shown_id;

impl NotGiven {
    /// A short stable word, for reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GivenBackBefore => "given_back_before",
            Self::TeamGone => "team_gone",
            Self::TeamUnreadable => "team_unreadable",
            Self::OrganizationGone => "organization_gone",
            Self::UserGone => "user_gone",
            Self::RowTaken => "row_taken",
            Self::MemberAgain => "member_again",
            Self::ActiveAgain => "active_again",
            Self::DeactivatedByOthers => "deactivated_by_others",
            Self::RoleChanged => "role_changed",
            Self::OpenAgain => "open_again",
            Self::BlockedByOthers => "blocked_by_others",
            Self::TeamThere => "team_there",
            Self::TakenAgain => "taken_again",
            Self::KeyThere => "key_there",
            Self::KeyAliasTaken => "key_alias_taken",
        }
    }

    /// The same for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::GivenBackBefore => "an earlier undo gave it back; that is done once",
            Self::TeamGone => "the team has been deleted since",
            Self::TeamUnreadable => "the team's roster is no list of members: mend the row",
            Self::OrganizationGone => "the organization has been deleted since",
            Self::UserGone => "the user's row has been deleted since",
            Self::RowTaken => "the user's row stands for somebody else by now",
            Self::MemberAgain => "a member again, nothing is missing",
            Self::ActiveAgain => "active again",
            Self::DeactivatedByOthers => "somebody else deactivated it since",
            Self::RoleChanged => "the role has been changed since, and stays",
            Self::OpenAgain => "not blocked any more",
            Self::BlockedByOthers => "somebody else blocked it since",
            Self::TeamThere => "a team of this id is there again; its row stays as it is",
            Self::TakenAgain => "a later run took it again: undo that one",
            Self::KeyThere => "a key of this token is there again, and stays as it is",
            Self::KeyAliasTaken => "another key has its alias by now: it comes back without",
        }
    }
}

impl Undo {
    /// Every item, the last taken first.
    pub fn items(&self) -> impl Iterator<Item = Item> + '_ {
        self.returns.iter().map(item)
    }

    /// What changes in LiteLLM, counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for back in &self.returns {
            match (&back.removal, back.extent) {
                (Removal::TeamMember { .. }, Extent::Whole) => counts.team_memberships.added += 1,
                (Removal::TeamMember { .. }, Extent::Rest) => {
                    counts.team_memberships.repaired += 1;
                }
                (Removal::OrganizationMember { .. }, _) => {
                    counts.organization_memberships.added += 1;
                }
                (Removal::Deactivation { .. }, _) => counts.users.reactivated += 1,
                (Removal::LowerRole { .. }, _) => counts.users.updated += 1,
                (Removal::BlockTeam { .. }, _) => counts.teams.unblocked += 1,
                (Removal::DeleteTeam { .. }, extent) => {
                    counts.teams.created += u64::from(extent == Extent::Whole);
                    counts.team_memberships.added += back.joining;
                }
            }
        }
        counts
    }

    /// Over everything that is given back, as a plan's.
    #[must_use]
    pub fn digest(&self) -> String {
        digest::of(self.items())
    }

    /// Writes it, one line for one object, then what is not given back.
    ///
    /// # Errors
    /// Only when the output breaks.
    pub fn text(&self, out: &mut impl Write) -> io::Result<()> {
        for item in self.items() {
            render::line(&item, out)?;
        }
        for left in &self.left {
            let (kind, id) = (left.kind.as_str(), shown_id(&left.id));
            writeln!(
                out,
                ". {kind} {id} {}: {}",
                left.why.as_str(),
                left.why.sentence()
            )?;
        }
        match (self.returns.is_empty(), self.left.is_empty()) {
            (true, true) => writeln!(out, "Run {} took nothing away.", self.of),
            (true, false) => writeln!(out, "Nothing of run {} is left to give back.", self.of),
            (false, _) => Ok(()),
        }
    }
}

fn item(back: &Return) -> Item {
    let taken = back.removal.item("remove");
    let (action, reason) = match (&back.removal, back.extent) {
        (Removal::TeamMember { .. }, Extent::Rest) => (
            "repair",
            "a member again: the membership of now stays, the keys come back",
        ),
        (Removal::TeamMember { .. } | Removal::OrganizationMember { .. }, _) => {
            ("add", "given back as it was")
        }
        (Removal::Deactivation { .. }, _) => ("reactivate", "given back as it was"),
        (Removal::LowerRole { .. }, _) => ("update", "given back as it was"),
        (Removal::BlockTeam { .. }, _) => ("unblock", "given back as it was"),
        (Removal::DeleteTeam { .. }, Extent::Whole) => ("create", "given back as it was"),
        (Removal::DeleteTeam { .. }, Extent::Rest) => (
            "repair",
            "members and keys come back into the team that is there again",
        ),
    };
    let mut after = match taken.before {
        Value::Object(columns) => Value::Object(columns),
        _ => json!({}),
    };
    if taken.kind == Kind::Team && matches!(back.removal, Removal::DeleteTeam { .. }) {
        after["members"] = json!(back.joining);
    }
    if back.keys > 0 {
        after["keys"] = json!(back.keys);
    }
    Item {
        action,
        kind: taken.kind,
        id: taken.id,
        reason,
        before: taken.after,
        after,
        waits: None,
    }
}
