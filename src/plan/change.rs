//! A plan as data: specific enough that whoever applies it has nothing left to
//! decide.

use super::people::first_met;
use super::removal::Removal;
use super::removals::Deprovision;
use super::restore::Restoration;
use crate::model::defaults::DefaultTeam;
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
pub use crate::model::ledger::Member;
use crate::model::ledger::{
    LastWritten, Origin, OwnedOrganization, OwnedTeam, OwnedUser, Placement, RoleFrom,
};
use crate::model::report::{Counts, ObjectError, Skipped};
use crate::model::role::Role;

/// Everything one pass wants to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Organizations to make or rename, by group.
    pub organizations: Vec<OrganizationChange>,
    /// Teams to make or change, by group.
    pub teams: Vec<TeamChange>,
    /// Users to change or insert. Changes come first, because one may free an
    /// address that a new user takes; inserts follow in the order in which
    /// they take seats.
    pub users: Vec<UserChange>,
    /// Team members to add or repair, by group.
    pub rosters: Vec<RosterChange>,
    /// Organization members to add, by group.
    pub organization_members: Vec<OrganizationMembersChange>,
    /// Teams that every new user joins, by team.
    pub default_teams: Vec<DefaultTeamChange>,
    /// What is given back to whom comes back.
    pub restorations: Vec<Restoration>,
    /// What is taken away, held back, or waits.
    pub deprovision: Deprovision,
    /// What is there already and becomes ours.
    pub adopted: Adopted,
    /// What was left out on purpose.
    pub skipped: Vec<Skipped>,
    /// What could not be read, each with cause and remedy.
    pub unreadable: Vec<ObjectError>,
}

impl Plan {
    /// Whether anything would be taken away, now or later.
    #[must_use]
    pub fn takes_or_holds(&self) -> bool {
        let Deprovision {
            verdict, waiting, ..
        } = &self.deprovision;
        !(verdict.released.is_empty() && verdict.held.is_empty() && waiting.is_empty())
    }
}

/// A column's value before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange<T> {
    /// What the snapshot held; the write is refused when it has moved.
    pub before: Option<T>,
    /// What it shall hold.
    pub after: Option<T>,
}

/// A change of an organization.
#[derive(Debug, Clone, PartialEq)]
pub enum OrganizationChange {
    /// Insert it, with its budget row, from `default_team_params`.
    Create {
        /// The group it stands for.
        group: GroupId,
        /// `organization_alias`.
        alias: String,
    },
    /// Follow a rename.
    Rename {
        /// The group it stands for.
        group: GroupId,
        /// `organization_alias`.
        alias: FieldChange<String>,
        /// The ledger row afterwards.
        owned: OwnedOrganization,
    },
}

impl OrganizationChange {
    /// The group the organization stands for.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        match self {
            Self::Create { group, .. } | Self::Rename { group, .. } => *group,
        }
    }
}

/// A change of a team.
#[derive(Debug, Clone, PartialEq)]
pub enum TeamChange {
    /// Insert it from `default_team_params`.
    Create {
        /// The group it stands for.
        group: GroupId,
        /// `team_alias`.
        alias: Option<String>,
        /// The organization it belongs to.
        organization: Option<OrganizationId>,
        /// `models`, when they come from the organization.
        models: Option<Vec<String>>,
    },
    /// Change what we wrote and nobody else has changed since.
    Update {
        /// The group it stands for.
        group: GroupId,
        /// Follow a rename.
        alias: Option<FieldChange<String>>,
        /// Join the organization that could not be made before.
        organization: Option<OrganizationId>,
        /// Follow the organization's models.
        models: Option<FieldChange<Vec<String>>>,
        /// The ledger row afterwards.
        owned: OwnedTeam,
    },
}

impl TeamChange {
    /// What is left of the change while the team's organization cannot be made.
    #[must_use]
    pub fn standing_alone(&self) -> Option<Self> {
        match self {
            Self::Create { group, alias, .. } => Some(Self::Create {
                group: *group,
                alias: alias.clone(),
                organization: None,
                models: None,
            }),
            Self::Update {
                organization: None, ..
            } => Some(self.clone()),
            Self::Update {
                group,
                alias,
                models,
                owned,
                ..
            } => alias.is_some().then(|| {
                let mut owned = owned.clone();
                owned.placement = Placement::AwaitsOrganization;
                // They were to come with the organization.
                if let Some(before) = models.as_ref().and_then(|models| models.before.clone()) {
                    owned.models = LastWritten::Value(before);
                }
                Self::Update {
                    group: *group,
                    alias: alias.clone(),
                    organization: None,
                    models: None,
                    owned,
                }
            }),
        }
    }

    /// The group the team stands for.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        match self {
            Self::Create { group, .. } | Self::Update { group, .. } => *group,
        }
    }
}

/// A change of a user.
#[derive(Debug, Clone, PartialEq)]
pub enum UserChange {
    /// Insert the row as LiteLLM's login would.
    Create {
        /// Who.
        person: PersonId,
        /// `user_id` and `sso_user_id`.
        user: UserId,
        /// `user_email`; `None` when there is none or it is taken.
        email: Option<Box<str>>,
        /// `user_alias`.
        alias: Option<Box<str>>,
        /// `user_role`: app role, else default.
        role: Role,
        /// Which of the two.
        role_from: RoleFrom,
    },
    /// Change columns of a row that is there.
    Update {
        /// Who.
        person: PersonId,
        /// The row.
        user: UserId,
        /// Bind the row, found by e-mail, to this identity.
        bind: Option<UserId>,
        /// `user_email`.
        email: Option<FieldChange<Box<str>>>,
        /// `user_alias`.
        alias: Option<FieldChange<Box<str>>>,
        /// `user_role`, with the text it holds now.
        role: Option<FieldChange<Role>>,
        /// The ledger row afterwards.
        owned: OwnedUser,
    },
}

impl UserChange {
    /// The person concerned.
    #[must_use]
    pub const fn person(&self) -> PersonId {
        match self {
            Self::Create { person, .. } | Self::Update { person, .. } => *person,
        }
    }
}

/// Members of one team to add or repair.
#[derive(Debug, Clone, PartialEq)]
pub struct RosterChange {
    /// The group the team stands for.
    pub group: GroupId,
    /// Not members yet.
    pub add: Vec<Member>,
    /// On the roster, but not in all copies of the membership.
    pub repair: Vec<Member>,
    /// Those of `add` whom we had added before and somebody took out.
    pub restored: Vec<UserId>,
    /// How many entries the roster holds, whoever they are: it is written whole.
    pub roster: usize,
}

/// Members of one organization to add.
#[derive(Debug, Clone, PartialEq)]
pub struct OrganizationMembersChange {
    /// The group the organization stands for.
    pub group: GroupId,
    /// Not members yet.
    pub add: Vec<Member>,
    /// Those of them whom we had added before and somebody took out.
    pub restored: Vec<UserId>,
}

/// New users who join a team of `default_internal_user_params.teams`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultTeamChange {
    /// Which team, with the member's own budget.
    pub team: DefaultTeam,
    /// Who, sorted.
    pub add: Vec<Member>,
}

/// What is there already, is wanted by Entra, and becomes ours. Nothing of
/// LiteLLM's changes by it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adopted {
    /// Teams, also those whose last-written values need an update.
    pub teams: Vec<(GroupId, OwnedTeam)>,
    /// Organizations, likewise.
    pub organizations: Vec<(GroupId, OwnedOrganization)>,
    /// People, likewise.
    pub users: Vec<(PersonId, OwnedUser)>,
    /// Team members, by group.
    pub team_members: Vec<MemberList>,
    /// Organization members, by group.
    pub organization_members: Vec<MemberList>,
    /// Joins of default teams that were due and have nothing left to do:
    /// bookkeeping only, by team.
    pub default_teams: Vec<(TeamId, PersonId)>,
    /// Those of the above that were not in the ledger at all: only they are
    /// listed, the others are bookkeeping.
    pub first_seen: FirstSeen,
}

/// Objects that the ledger has not known before.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FirstSeen {
    /// Teams.
    pub teams: Vec<GroupId>,
    /// Organizations.
    pub organizations: Vec<GroupId>,
    /// People, with the row they were matched to.
    pub users: Vec<Member>,
}

/// Members of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberList {
    /// The group.
    pub group: GroupId,
    /// Who.
    pub members: Vec<Member>,
}

impl Plan {
    /// What would change in LiteLLM, counted. Adoptions are no change.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.organizations {
            match change {
                OrganizationChange::Create { .. } => counts.organizations.created += 1,
                OrganizationChange::Rename { .. } => counts.organizations.updated += 1,
            }
        }
        for change in &self.teams {
            match change {
                TeamChange::Create { .. } => counts.teams.created += 1,
                TeamChange::Update { .. } => counts.teams.updated += 1,
            }
        }
        for change in &self.users {
            match change {
                UserChange::Create { .. } => counts.users.created += 1,
                UserChange::Update { .. } => counts.users.updated += 1,
            }
        }
        for change in &self.rosters {
            counts.team_memberships.added += change.add.len() as u64;
            counts.team_memberships.repaired += change.repair.len() as u64;
        }
        for leftover in &self.deprovision.leftovers {
            counts.team_memberships.repaired += leftover.users.len() as u64;
        }
        for change in &self.default_teams {
            counts.team_memberships.added += change.add.len() as u64;
        }
        for change in &self.organization_members {
            counts.organization_memberships.added += change.add.len() as u64;
        }
        for restoration in &self.restorations {
            match restoration {
                Restoration::Reactivation(_) => counts.users.reactivated += 1,
                Restoration::UnblockTeam(_) => counts.teams.unblocked += 1,
            }
        }
        for removal in &self.deprovision.verdict.released {
            match removal {
                Removal::TeamMember { .. } => counts.team_memberships.removed += 1,
                Removal::OrganizationMember { .. } => {
                    counts.organization_memberships.removed += 1;
                }
                Removal::Deactivation { .. } => counts.users.deactivated += 1,
                Removal::LowerRole { .. } => counts.users.updated += 1,
                Removal::BlockTeam { .. } => counts.teams.blocked += 1,
                Removal::DeleteTeam { .. } => counts.teams.deleted += 1,
            }
        }
        counts
    }

    /// Whether anything of LiteLLM's would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts().total() == 0
    }

    /// People whom the ledger meets together with a change of their row, which
    /// may yet fail. Whom only an address leads to is not met before the row is
    /// theirs.
    pub fn newly_met(&self) -> impl Iterator<Item = (PersonId, OwnedUser)> {
        let seen = &self.adopted.first_seen.users;
        self.users.iter().filter_map(move |change| {
            let UserChange::Update {
                person,
                user,
                bind: None,
                ..
            } = change
            else {
                return None;
            };
            let is_new = seen.binary_search_by_key(person, |seen| seen.person);
            is_new.ok().map(|_| (*person, first_met(user)))
        })
    }

    /// Puts every list into its one order, so that equal worlds give equal
    /// plans whatever order they were read in.
    pub(super) fn sort(&mut self) {
        self.organizations.sort_by_key(OrganizationChange::group);
        self.teams.sort_by_key(TeamChange::group);
        self.users.sort_by_cached_key(|change| match change {
            UserChange::Update { person, .. } => (0, std::cmp::Reverse(None), *person),
            UserChange::Create { person, role, .. } => (1, std::cmp::Reverse(Some(*role)), *person),
        });
        self.rosters.sort_by_key(|change| change.group);
        self.organization_members.sort_by_key(|change| change.group);
        self.default_teams
            .sort_by(|a, b| a.team.team.cmp(&b.team.team));
        self.adopted
            .first_seen
            .users
            .sort_by_key(|seen| seen.person);
        self.adopted.teams.sort_by_key(|(group, _)| *group);
        self.adopted.organizations.sort_by_key(|(group, _)| *group);
        self.adopted.users.sort_by_key(|(person, _)| *person);
        self.adopted.team_members.sort_by_key(|list| list.group);
        self.adopted
            .organization_members
            .sort_by_key(|list| list.group);
        self.adopted.default_teams.sort();
        self.skipped.sort();
        self.skipped.dedup();
        self.unreadable.sort();
    }
}

/// The ledger's word for what a plan creates.
pub(super) const CREATED: Origin = Origin::Created;
