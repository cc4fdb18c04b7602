//! Holds back removals that look like a mistake.
//!
//! Invariant: monotone: more removals, a smaller directory or stricter limits
//! never release anything that was held. What an operator approved is released
//! once and only while it is still planned; what was rejected stays.
//! Must not: look at anything but counts and earlier decisions.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::removal::Removal;
use super::removals::Forgotten;
use super::text::span;
use crate::model::ids::{GroupId, PersonId};
use crate::model::ledger::{Decisions, ManagedCounts, Ours, Owned, Recent};
use crate::model::policy::GuardSettings;
use crate::model::report::Held;

/// What the guard knows besides the removals.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The operator's thresholds.
    pub limits: &'a GuardSettings,
    /// What is managed, as far as the pass has loaded it.
    pub owned: &'a Owned,
    /// How much is managed in all; `None` when all of it has been loaded.
    pub managed: Option<&'a ManagedCounts>,
    /// What of that is not there any more, and so makes nothing look small.
    pub forgotten: &'a Forgotten,
    /// Removals applied without approval within the window.
    pub recent: &'a Recent,
    /// What operators decided about earlier sets.
    pub decisions: &'a Decisions,
    /// Whether this pass may use what operators approved.
    pub approvals: Approvals,
    /// Whether the source as a whole was read as empty.
    pub source: Source,
    /// Groups with managed members that were read as empty.
    pub empty_groups: &'a BTreeSet<GroupId>,
}

/// Whether Entra shows anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Some group is assigned and has a member.
    Inhabited,
    /// No group is assigned, or none has any member.
    Empty,
    /// Some groups could not be read, and none of the others has any member.
    Unread,
}

/// Whether this pass may use approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approvals {
    /// It looks at everything: they are applied. What it could not read has no
    /// part in that: each removal comes from a whole reading of its own object.
    Apply,
    /// It is filtered: what was approved waits for a pass that shows all of it.
    Defer,
}

/// What happens to the removals of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Applied by this pass.
    pub released: Vec<Removal>,
    /// The keys of those that an operator approved; the others count for the
    /// guard's window.
    pub approved: BTreeSet<String>,
    /// Held back.
    pub held: Vec<Removal>,
    /// What to say about the held ones; `None` when nothing is held or exactly
    /// this set was rejected.
    pub alarm: Option<Held>,
}

/// Sorts removals into those that are applied and those that are held.
#[must_use]
pub fn guard(situation: &Situation<'_>, removals: Vec<Removal>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut counted = Vec::new();
    let mut reasons = Vec::new();
    for removal in removals {
        let key = removal.key();
        // What has grown since is not what was approved.
        let approved = situation.decisions.approved.get(&key);
        if situation.decisions.rejected.contains(&key) {
            verdict.held.push(removal);
        } else if approved.is_some_and(|weight| removal.weight() <= *weight) {
            match situation.approvals {
                Approvals::Apply => {
                    verdict.approved.insert(key);
                    verdict.released.push(removal);
                }
                Approvals::Defer => {
                    if reasons.is_empty() {
                        reasons.push(
                            "what was approved waits for a pass that looks at everything"
                                .to_owned(),
                        );
                    }
                    verdict.held.push(removal);
                }
            }
        } else {
            let cause = removal.cause();
            match cause.is_some_and(|cause| situation.decisions.rejected.contains(&cause)) {
                true => verdict.held.push(removal),
                false => counted.push(removal),
            }
        }
    }
    if let Some(reason) = overall(situation, &counted) {
        reasons.push(reason);
        verdict.held.append(&mut counted);
    } else {
        let suspicious = by_group(situation, &counted, &mut reasons);
        for removal in counted {
            let group = removal.group();
            if group.is_some_and(|group| suspicious.contains(&group)) {
                verdict.held.push(removal);
            } else {
                verdict.released.push(removal);
            }
        }
    }
    verdict.released.sort();
    verdict.held.sort();
    verdict.alarm = alarm(situation, &verdict.held, reasons);
    verdict
}

/// Why all removals are held, if they are.
fn overall(situation: &Situation<'_>, removals: &[Removal]) -> Option<String> {
    if removals.is_empty() {
        return None;
    }
    let planned: u64 = removals.iter().map(Removal::weight).sum();
    let limits = situation.limits;
    // A source of which nothing is seen is held like one in which nothing is.
    let nothing = match situation.source {
        Source::Inhabited => None,
        Source::Empty => Some("Entra shows no assigned group with any member"),
        Source::Unread => Some("none of the assigned groups that could be read has any member"),
    };
    if let Some(reason) = nothing {
        return Some(reason.to_owned());
    }
    let recent = situation.recent.removals;
    let counted = planned.saturating_add(recent);
    if counted > limits.max_removals {
        return Some(format!(
            "{counted} removals (those of the last {} included) are more than guard.max_removals \
             {}",
            span(limits.window),
            limits.max_removals
        ));
    }
    let managed = managed(situation);
    // What went within the window does not make it too small to be guarded, nor
    // does a team that few of ours are in.
    if managed.saturating_add(recent).max(counted) >= limits.min_managed
        && exceeds(counted, managed, limits.max_removal_percent)
    {
        return Some(format!(
            "{counted} removals are more than guard.max_removal_percent {} of {managed} managed",
            limits.max_removal_percent
        ));
    }
    people(situation, removals)
}

/// Why so many people at once are suspicious: somebody's access or role is one
/// removal, however many memberships dilute it.
///
/// Monotone: whoever is counted is also of those it is a share of, so one more
/// adds at least as much to the part as to the whole.
fn people(situation: &Situation<'_>, removals: &[Removal]) -> Option<String> {
    let planned: BTreeSet<PersonId> = removals.iter().filter_map(Removal::person_losing).collect();
    if planned.is_empty() {
        return None;
    }
    let limits = situation.limits;
    let counted: BTreeSet<PersonId> = planned.union(&situation.recent.people).copied().collect();
    // Who lost access before the window is nobody that could lose it.
    let known = situation.owned.people.iter();
    let with_access = known.filter(|(_, owned)| owned.deactivation == Ours::No);
    let others = match situation.managed {
        None => with_access
            .filter(|(person, _)| !counted.contains(person))
            .count() as u64,
        Some(all) => {
            // Whoever is to lose something has been loaded.
            let recent = &situation.recent.people;
            let losing = with_access
                .filter(|(person, _)| planned.contains(person) && !recent.contains(person));
            all.people_with_access.saturating_sub(losing.count() as u64)
        }
    };
    let part = counted.len() as u64;
    let managed = part.saturating_add(others);
    (managed >= limits.min_managed && exceeds(part, managed, limits.max_removal_percent)).then(
        || {
            format!(
                "{part} of {managed} managed people would have lost their access or a role (those \
                 of the last {} included), more than guard.max_removal_percent {}",
                span(limits.window),
                limits.max_removal_percent
            )
        },
    )
}

/// Groups whose own removals are held.
fn by_group(
    situation: &Situation<'_>,
    removals: &[Removal],
    reasons: &mut Vec<String>,
) -> BTreeSet<GroupId> {
    let mut planned: BTreeMap<GroupId, u64> = BTreeMap::new();
    for removal in removals {
        if let Some(group) = removal.group_losing() {
            *planned.entry(group).or_default() += removal.weight();
        }
    }
    let limits = situation.limits;
    let mut suspicious = BTreeSet::new();
    for (group, planned) in planned {
        let left = match situation.managed {
            None => situation.owned.team_members.get(&group).map_or(0, Vec::len) as u64,
            Some(all) => all.of_team.get(&group).copied().unwrap_or_default(),
        };
        let gone = situation.forgotten.team_members.iter();
        let gone = gone.filter(|(of, _)| *of == group).count();
        let left = left.saturating_sub(gone as u64);
        let recent = situation.recent.by_group.get(&group).copied();
        let recent = recent.unwrap_or_default();
        // As many as there were before the window's first unapproved removal: a
        // group that loses a few with every pass is judged by what it was.
        let counted = planned.saturating_add(recent);
        let ours = left.saturating_add(recent);
        // A team goes from those too whom somebody added by hand.
        let managed = ours.max(counted);
        if managed < limits.min_managed {
            continue;
        }
        if situation.empty_groups.contains(&group) {
            reasons.push(format!(
                "group {group} with {managed} managed members was read as empty"
            ));
            suspicious.insert(group);
        } else if exceeds(counted, managed, limits.max_removal_percent) {
            let whose = if counted > ours { "" } else { "managed " };
            reasons.push(format!(
                "{counted} of {managed} {whose}members of group {group} would be gone (those of \
                 the last {} included), more than guard.max_removal_percent {}",
                span(limits.window),
                limits.max_removal_percent
            ));
            suspicious.insert(group);
        }
    }
    suspicious
}

fn exceeds(part: u64, whole: u64, percent: u8) -> bool {
    part.saturating_mul(100) > whole.saturating_mul(u64::from(percent))
}

/// Everything managed that could be taken away.
fn managed(situation: &Situation<'_>) -> u64 {
    let (owned, forgotten) = (situation.owned, situation.forgotten);
    let members =
        |lists: &BTreeMap<GroupId, Vec<_>>| -> usize { lists.values().map(Vec::len).sum() };
    let all = match situation.managed {
        None => {
            let lists = members(&owned.team_members) + members(&owned.organization_members);
            (lists + owned.people.len()) as u64
        }
        Some(all) => all.team_members + all.organization_members + all.people,
    };
    let gone = forgotten.team_members.len() + forgotten.organization_members.len();
    all.saturating_sub(gone as u64)
}

fn alarm(situation: &Situation<'_>, held: &[Removal], reasons: Vec<String>) -> Option<Held> {
    if held.is_empty() {
        return None;
    }
    let digest = digest(held);
    if situation.decisions.rejected_digests.contains(&digest) {
        return None;
    }
    let reason = if reasons.is_empty() {
        "they belong to a set that was rejected, which has changed since".to_owned()
    } else {
        reasons.join("; ")
    };
    Some(Held {
        digest,
        removals: held.len() as u64,
        reason,
    })
}

/// Over exactly these removals, as 64 hexadecimal digits.
#[must_use]
pub fn digest(removals: &[Removal]) -> String {
    let keys: BTreeSet<String> = removals.iter().map(Removal::key).collect();
    let mut hasher = Sha256::new();
    for key in keys {
        hasher.update(key.as_bytes());
        hasher.update(b"\n");
    }
    super::digest::hex(hasher)
}
