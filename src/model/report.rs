//! What a pass did, in the words that people and programs are given.
//!
//! The JSON shapes are a contract (design 4): field names and the closed sets
//! of words must not change.

use serde::{Deserialize, Serialize};

/// How often each kind of change was planned or done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Organizations.
    pub organizations: OrganizationCounts,
    /// Teams.
    pub teams: TeamCounts,
    /// Users.
    pub users: UserCounts,
    /// Team memberships.
    pub team_memberships: TeamMembershipCounts,
    /// Organization memberships.
    pub organization_memberships: OrganizationMembershipCounts,
    /// Virtual keys.
    pub keys: KeyCounts,
}

macro_rules! counts {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each field is the number of objects its name says")]
        pub struct $name { $(pub $field: u64),+ }

        impl $name {
            fn total(&self) -> u64 {
                0 $(+ self.$field)+
            }
        }
    };
}

counts!(
    /// Changes of organizations.
    OrganizationCounts { created, updated }
);
counts!(
    /// Changes of teams.
    TeamCounts { created, updated, blocked, unblocked, deleted }
);
counts!(
    /// Changes of users.
    UserCounts { created, updated, deactivated, reactivated }
);
counts!(
    /// Changes of team memberships.
    TeamMembershipCounts { added, removed, repaired }
);
counts!(
    /// Changes of organization memberships.
    OrganizationMembershipCounts { added, removed }
);
counts!(
    /// Changes of virtual keys.
    KeyCounts { blocked, unblocked, deleted }
);

impl Counts {
    /// All changes together; zero means nothing differs.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.organizations.total()
            + self.teams.total()
            + self.users.total()
            + self.team_memberships.total()
            + self.organization_memberships.total()
            + self.keys.total()
    }
}

/// The kind of object a line of a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An Entra group.
    Group,
    /// A LiteLLM organization.
    Organization,
    /// A LiteLLM team.
    Team,
    /// A person: Entra user or LiteLLM user.
    User,
    /// A membership in a team; the id is `team/user`.
    TeamMembership,
    /// A membership in an organization; the id is `organization/user`.
    OrganizationMembership,
    /// A virtual key; the id is its `token`, a hash.
    Key,
    /// An app role.
    AppRole,
    /// The whole source: tenant and Enterprise Application.
    Source,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Organization => "organization",
            Self::Team => "team",
            Self::User => "user",
            Self::TeamMembership => "team_membership",
            Self::OrganizationMembership => "organization_membership",
            Self::Key => "key",
            Self::AppRole => "app_role",
            Self::Source => "source",
        }
    }
}

/// An object that was left out on purpose, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// What it is.
    pub kind: Kind,
    /// Its object id.
    pub id: String,
    /// A short stable word, for example `email_taken`.
    pub reason: String,
}

impl Skipped {
    /// [`Skipped::reason`] of people for whom LiteLLM's licence has no seat.
    pub const NO_SEAT: &str = "no_seat";
    /// [`Skipped::reason`] of groups whose team the licence does not admit.
    pub const NO_TEAM_LICENCE: &str = "no_team_licence";

    /// [`Skipped::reason`] of what Entra takes away and a source of the ledger
    /// holds that no settings name.
    pub const UNNAMED_SOURCE: &str = "held_by_unnamed_source";

    /// Whether it was left out for want of room, which anybody may make: who
    /// comes next is seen only where everybody is compared.
    #[must_use]
    pub fn waits_for_room(&self) -> bool {
        [Self::NO_SEAT, Self::NO_TEAM_LICENCE].contains(&self.reason.as_str())
    }
}

/// An object that could not be read or written, with cause and remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectError {
    /// What it is.
    pub kind: Kind,
    /// Its object id.
    pub id: String,
    /// One sentence: what happened and what to do.
    pub message: String,
}

/// Who asked for a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// `entra-sync sync`.
    Cli,
    /// The cron schedule.
    Schedule,
    /// `schedule.on_start`.
    Start,
    /// SIGUSR1.
    Signal,
    /// SIGHUP, or a secret that was refused has changed in its file.
    Reload,
    /// `entra-sync resync`.
    Resync,
    /// The HTTP interface.
    Api,
    /// A Microsoft Graph change notification.
    Notification,
}

/// How the directory was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every group and member.
    Full,
    /// Only what changed.
    Incremental,
    /// Nothing is read again in full, and every row is compared with what was
    /// read before. In reports it is an incremental pass.
    #[serde(rename = "incremental")]
    Drift,
}

impl Mode {
    /// The word in reports and in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental | Self::Drift => "incremental",
        }
    }
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything was done.
    Succeeded,
    /// Some object could not be read or written; the others were.
    Partial,
    /// The guard holds removals back.
    Held,
    /// Nothing could be done, or the pass broke off.
    Failed,
    /// There was nothing to do.
    Unchanged,
}

macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            /// The word in reports and in the ledger.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the word back.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(Trigger {
    Cli => "cli",
    Schedule => "schedule",
    Start => "start",
    Signal => "signal",
    Reload => "reload",
    Resync => "resync",
    Api => "api",
    Notification => "notification",
});
words!(Status {
    Succeeded => "succeeded",
    Partial => "partial",
    Held => "held",
    Failed => "failed",
    Unchanged => "unchanged",
});

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each field is the number of objects its name says"
)]
pub struct DirectoryCounts {
    pub groups: u64,
    pub users: u64,
    pub memberships: u64,
    pub requests: u64,
    pub resource_units: u64,
    pub retries: u64,
}

/// Removals that the guard holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Over exactly the held items; what `approve` and `reject` take.
    pub digest: String,
    /// How many.
    pub removals: u64,
    /// Which threshold, in one sentence.
    pub reason: String,
}

/// What became of the question that held removals put to an operator. Each is
/// said by one pass only, whichever process runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// A set is held that was not held before.
    New,
    /// What was held is held no more, and nothing else is.
    Over,
}
