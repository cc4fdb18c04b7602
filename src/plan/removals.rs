//! What Entra no longer wants, out of what is managed.
//!
//! Invariant: removals come from *managed minus wanted* only, only for groups
//! whose reading is complete, and only when a second look (see
//! [`crate::model::evidence`]) agrees. Doubt keeps what is there.

mod elsewhere;
mod ended;
mod gone;
mod groups;
mod leftovers;
mod rivals;
mod roles;
mod unassigned;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::World;
use super::change::{Member, Plan};
use super::decided::{self, Over};
use super::desired::Desired;
use super::guard::{Approvals, Situation, Source, Verdict, guard};
use super::item::Waits;
use super::people::Bound;
use super::removal::Removal;
use crate::model::directory::{Group, Principal, Unread};
use crate::model::evidence::{Again, Evidence, Questions};
use crate::model::ids::{GroupId, PersonId, UserId};
use crate::model::ledger::{Decisions, Lifted, OwnedUser, Recent};
use crate::model::policy::{DeprovisionSettings, GuardSettings, Scope};
use crate::model::report::{Kind, ObjectError};
use crate::model::role::Role;
use crate::model::target::{StoredRole, UserRow};
pub use leftovers::Leftover;

/// Everything a decision about removals needs beyond the [`World`].
#[derive(Debug, Clone, Copy)]
pub struct Removals<'a> {
    /// What the operator wants to happen.
    pub deprovision: &'a DeprovisionSettings,
    /// When removals are held.
    pub guard: &'a GuardSettings,
    /// What a second look showed; empty for the first round.
    pub evidence: &'a Evidence,
    /// Since when removals wait, by [`Removal::key`].
    pub waiting: &'a std::collections::BTreeMap<String, DateTime<Utc>>,
    /// What operators decided.
    pub decisions: &'a Decisions,
    /// Removals applied without approval within the window.
    pub recent: &'a Recent,
    /// UTC.
    pub now: DateTime<Utc>,
}

/// What a pass does about removals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deprovision {
    /// The guard's word: what is applied, what is held.
    pub verdict: Verdict,
    /// Planned, but within the grace time.
    pub waiting: Vec<Waiting>,
    /// No longer ours, without anything being taken away.
    pub forgotten: Forgotten,
    /// What is left of memberships that we took away, by group.
    pub leftovers: Vec<Leftover>,
    /// Words of operators that are over.
    pub over: Over,
    /// Whom this source would deactivate, of those it looked at, for the other
    /// sources of the ledger; `None` without others, and in a filtered pass.
    pub unwanted: Option<Vec<PersonId>>,
}

/// A removal within its grace time.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// What is to go.
    pub removal: Removal,
    /// For how long it stays.
    pub waits: Waits,
}

/// Ledger rows of memberships that somebody ended in LiteLLM, that an
/// administrator has taken over, or whose row is another person's by now, and
/// of what somebody ended or changed of our doing since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// In teams, sorted.
    pub team_members: Vec<(GroupId, Member)>,
    /// In organizations, sorted.
    pub organization_members: Vec<(GroupId, Member)>,
    /// Blocks of teams that somebody ended, sorted, and whether that holds the
    /// next one off.
    pub blocks: Vec<(GroupId, Lifted)>,
    /// Deactivations that are over: the row is active, or gone. A later one is
    /// not ours.
    pub deactivations: Vec<Member>,
    /// Roles that the row does not hold any more, with what it was: whoever
    /// gives it again is somebody else.
    pub roles: Vec<(Member, Role)>,
    /// Teams of groups that are not assigned and that somebody deleted, sorted:
    /// whatever gets such an id later is not of our making. And those that would
    /// be blocked or deleted, had not another source them too.
    pub teams: Vec<GroupId>,
}

/// What must be looked at again before anything may be taken away.
#[must_use]
pub fn questions(
    world: World<'_>,
    desired: &Desired<'_>,
    settings: &DeprovisionSettings,
) -> Questions {
    let mut questions = groups::questions(world, desired, settings);
    roles::ask(world, desired, &mut questions);
    questions.groups.sort_unstable();
    questions.groups.dedup();
    questions.bearers.sort_unstable();
    questions.bearers.dedup();
    questions.people.extend(gone::unseen(world));
    let disabled = gone::seemingly_disabled(world, desired, settings);
    questions.people.extend(disabled);
    questions.people.sort_unstable();
    questions.people.dedup();
    questions
}

/// Decides about everything managed that is not wanted any more.
pub(super) fn decide(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    bound: &Bound,
    plan: &mut Plan,
) {
    let mut candidates = Vec::new();
    let mut doubts = Vec::new();
    let mut forgotten = Forgotten::default();
    groups::decide(
        world,
        removals,
        desired,
        &mut candidates,
        &mut doubts,
        &mut forgotten,
    );
    let mut kept = Vec::new();
    gone::decide(
        world,
        removals,
        desired,
        bound,
        (&mut candidates, &mut doubts, &mut kept),
    );
    roles::decide(
        world,
        removals,
        desired,
        bound,
        (&mut candidates, &mut doubts, &mut plan.skipped),
    );
    gone::keep_the_unknown(world, removals, &mut candidates, &mut doubts);
    rivals::spare(world, removals, bound, &mut candidates, &mut forgotten);
    let unwanted = elsewhere::spare(world, &mut candidates, &mut forgotten, &mut kept);
    plan.skipped.extend(kept);
    candidates.sort();
    // Two people of the ledger may have been the same row.
    candidates.dedup_by_key(|removal| removal.key());
    doubts.sort();
    doubts.dedup();
    forgotten.blocks = groups::ended_blocks(world);
    forgotten.teams.extend(unassigned::gone_teams(world));
    forgotten.teams.sort_unstable();
    forgotten.team_members.sort_unstable();
    forgotten.team_members.dedup();
    forgotten.organization_members.sort_unstable();
    forgotten.organization_members.dedup();
    plan.unreadable
        .retain(|object| !gone::is_deleted(removals, object));
    plan.unreadable.extend(doubts);

    let (due, waiting) = after_grace(removals, candidates);
    let empty_groups = groups::read_as_empty(world, desired);
    let situation = Situation {
        limits: removals.guard,
        owned: world.owned,
        managed: match world.scope {
            Scope::Everything | Scope::Asked(_) => None,
            Scope::Changed(changed) => Some(&changed.managed),
        },
        forgotten: &forgotten,
        recent: removals.recent,
        decisions: removals.decisions,
        approvals: match world.scope.is_everything() {
            true => Approvals::Apply,
            false => Approvals::Defer,
        },
        source: source(world, desired),
        empty_groups: &empty_groups,
    };
    let verdict = guard(&situation, due);
    forgotten.deactivations = ended::deactivations(world, &verdict.released);
    forgotten.roles = ended::roles(world, desired, plan);
    let leftovers = leftovers::find(world, removals, (desired, bound), plan, &forgotten);
    plan.deprovision = Deprovision {
        verdict,
        waiting,
        forgotten,
        leftovers,
        over: Over::default(),
        unwanted,
    };
    let unreadable = plan.unreadable.iter().map(|object| object.id.clone());
    plan.deprovision.over = decided::over(world, removals, desired, &plan.deprovision, unreadable);
}

/// A source of people who are all assigned directly has no members to show, and
/// never had.
fn source(world: World<'_>, desired: &Desired<'_>) -> Source {
    let (shows_members, had_members) = match world.scope {
        Scope::Everything | Scope::Asked(_) => (
            desired.groups.values().any(|g| !g.members.is_empty()),
            world.owned.team_members.values().any(|m| !m.is_empty()),
        ),
        Scope::Changed(changed) => {
            let mut admitted = changed.headcounts.iter();
            (
                admitted.any(|(group, heads)| *heads > 0 && world.policy.groups.admits(*group)),
                changed.managed.team_members > 0,
            )
        }
    };
    let has_people = match world.scope {
        Scope::Everything | Scope::Asked(_) => !desired.people.is_empty(),
        Scope::Changed(_) => {
            let unread = &world.directory.unread_people;
            let mut assigned = world.directory.assignments.get().iter();
            assigned.any(|row| match row.principal {
                Principal::Person(person) => !unread.contains_key(&person),
                Principal::Group(_) => false,
            })
        }
    };
    if shows_members || (!had_members && has_people) {
        Source::Inhabited
    } else if world.directory.groups.values().any(is_unread) {
        Source::Unread
    } else {
        Source::Empty
    }
}

/// Whether a group was asked for in vain; others were left out on purpose.
const fn is_unread(group: &Group) -> bool {
    matches!(
        group.members,
        Err(Unread::NotFound | Unread::HiddenMembership | Unread::Failed(_))
    )
}

/// Removals wait from the first complete reading that lacked them.
fn after_grace(removals: Removals<'_>, candidates: Vec<Removal>) -> (Vec<Removal>, Vec<Waiting>) {
    let grace = removals.deprovision.grace;
    if grace.is_zero() {
        return (candidates, Vec::new());
    }
    let (mut due, mut waiting) = (Vec::new(), Vec::new());
    for removal in candidates {
        let since = removals.waiting.get(&removal.key()).copied();
        let waited = since.and_then(|since| (removals.now - since).to_std().ok());
        // Whoever was disabled or deleted is not waited for: grace is about
        // absence, and that is an explicit word.
        let is_word = matches!(removal, Removal::Deactivation { .. });
        if is_word || waited.is_some_and(|waited| waited >= grace) {
            due.push(removal);
        } else {
            let grace = TimeDelta::from_std(grace).ok();
            let until = since.and_then(|since| since.checked_add_signed(grace?));
            let waits = Waits { since, until };
            waiting.push(Waiting { removal, waits });
        }
    }
    (due, waiting)
}

/// Rows that are never demoted or deactivated: `PROXY_ADMIN_ID`, and
/// administrators that we did not make.
fn is_protected(world: World<'_>, known: &OwnedUser, row: &UserRow) -> bool {
    is_named_administrator(world, known, row) || is_anothers_administrator(known, row)
}

/// `PROXY_ADMIN_ID`, by either of a row's ids, however it is written.
fn is_named_administrator(world: World<'_>, known: &OwnedUser, row: &UserRow) -> bool {
    world.policy.proxy_admin.as_ref().is_some_and(|named| {
        let named = named.as_str().trim();
        let mut ids = [Some(&known.user), row.sso_user_id.as_ref()].into_iter();
        ids.any(|id| id.is_some_and(|id| id.as_str().trim().eq_ignore_ascii_case(named)))
    })
}

fn is_anothers_administrator(known: &OwnedUser, row: &UserRow) -> bool {
    row.role == StoredRole::Role(Role::ProxyAdmin) && known.role != Some(Role::ProxyAdmin)
}

/// Why a second reading does not tell, with the remedy where there is one.
fn unanswered<T>(again: Option<&Again<T>>) -> String {
    match again {
        Some(Err(Unread::Failed(sentence))) => sentence.clone(),
        Some(Err(Unread::NotFound)) => {
            "Entra did not show it again (404): deleted a short while ago, or not yet replicated"
                .to_owned()
        }
        Some(Err(Unread::HiddenMembership)) => {
            "the group hides its members and was read as empty: grant the application \
             Member.Read.Hidden, or exclude the group with entra.exclude_groups"
                .to_owned()
        }
        Some(Ok(_) | Err(Unread::Excluded | Unread::OutOfScope)) | None => {
            "it was not looked at again".to_owned()
        }
    }
}

fn doubt(kind: Kind, id: impl ToString, message: String) -> ObjectError {
    ObjectError {
        kind,
        id: id.to_string(),
        message,
    }
}

fn member(person: PersonId, user: &UserId) -> Member {
    Member {
        user: user.clone(),
        person,
    }
}

/// Groups that the assignment list names, whether read or not.
fn assigned(world: World<'_>) -> BTreeSet<GroupId> {
    world.directory.groups.keys().copied().collect()
}
