//! When an operator's word about a removal is over.
//!
//! Invariant: each word ends by itself, and by what this pass knows of its own
//! object: something else that could not be read neither ends nor keeps it. A
//! rejection ends only when Entra wants the thing again, or when it is not ours
//! any more; that a setting does not take it now is no reason.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::World;
use super::desired::Desired;
use super::removals::{Deprovision, Removals};
use crate::model::directory::{Account, Attributes};
use crate::model::evidence::Whereabouts;
use crate::model::ids::{GroupId, PersonId, TeamId, UserId};
use crate::model::ledger::Member;
use crate::model::report::Kind;
use crate::model::role::Role;

/// Which words are over with this pass, and what it cannot tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Over {
    /// Approvals: used, or of something that is not planned.
    pub approved: BTreeSet<String>,
    /// Rejections.
    pub rejected: BTreeSet<String>,
    /// Of the questions that nobody has answered: those that are not planned
    /// because their object could not be read.
    pub unknown: BTreeSet<String>,
}

/// What a key, or a cause (see `Removal::key`, `Removal::cause`), is about.
#[derive(Debug, PartialEq)]
enum Subject {
    TeamMember(GroupId, UserId),
    OrganizationMember(GroupId, UserId),
    Access(UserId),
    Role(UserId),
    Team(GroupId),
    /// The team and all memberships, of the organization too.
    Unassigned(GroupId),
}

impl Subject {
    fn of(key: &str) -> Option<Self> {
        let (verb, rest) = key.split_once(' ')?;
        Some(match verb {
            "role" => Self::Role(UserId::new(rest)),
            "unassigned" => Self::Unassigned(rest.parse().ok()?),
            "deactivate" => Self::Access(UserId::new(rest)),
            "lower" => Self::Role(UserId::new(rest.rsplit_once(' ')?.0)),
            "block" | "delete" => Self::Team(rest.parse().ok()?),
            "remove" => {
                let (kind, rest) = rest.split_once(' ')?;
                let (group, user) = rest.split_once('/')?;
                let (group, user) = (group.parse().ok()?, UserId::new(user));
                match kind == Kind::TeamMembership.as_str() {
                    true => Self::TeamMember(group, user),
                    false => Self::OrganizationMember(group, user),
                }
            }
            _ => return None,
        })
    }
}

/// What Entra says about it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    /// It is to be there, or it is not ours to take.
    Keep,
    /// It is not to be there.
    Take,
    /// This pass could not find out.
    Unknown,
}

pub(super) fn over(
    world: World<'_>,
    removals: Removals<'_>,
    desired: &Desired<'_>,
    deprovision: &Deprovision,
    unreadable: impl Iterator<Item = String>,
) -> Over {
    let decisions = removals.decisions;
    let is_silent = decisions.approved.is_empty()
        && decisions.rejected.is_empty()
        && decisions.asked.is_empty();
    if is_silent || !world.scope.is_everything() {
        return Over::default();
    }
    let verdict = &deprovision.verdict;
    let waiting = deprovision.waiting.iter().map(|waiting| &waiting.removal);
    let planned: HashSet<String> = verdict
        .released
        .iter()
        .chain(&verdict.held)
        .chain(waiting)
        .map(super::Removal::key)
        .collect();
    let asked = Asked {
        world,
        removals,
        desired,
        people: people(world),
        in_doubt: unreadable.collect(),
    };
    let unplanned = |key: &&String| !planned.contains(*key);
    Over {
        approved: decisions
            .approved
            .keys()
            .filter(|key| !unplanned(key) || asked.word(key) != Word::Unknown)
            .cloned()
            .collect(),
        rejected: decisions
            .rejected
            .iter()
            .filter(unplanned)
            .filter(|key| asked.word(key) == Word::Keep)
            .cloned()
            .collect(),
        unknown: decisions
            .asked
            .iter()
            .filter(unplanned)
            .filter(|key| asked.word(key) == Word::Unknown)
            .cloned()
            .collect(),
    }
}

/// Whom the ledger knows each row as.
fn people(world: World<'_>) -> HashMap<&UserId, Vec<PersonId>> {
    let mut people: HashMap<&UserId, Vec<PersonId>> = HashMap::new();
    for (person, known) in &world.owned.people {
        people.entry(&known.user).or_default().push(*person);
    }
    people
}

/// Everything an answer is made from.
struct Asked<'a> {
    world: World<'a>,
    removals: Removals<'a>,
    desired: &'a Desired<'a>,
    people: HashMap<&'a UserId, Vec<PersonId>>,
    /// Ids of what could not be read, or not a second time.
    in_doubt: HashSet<String>,
}

impl Asked<'_> {
    fn word(&self, key: &str) -> Word {
        let owned = self.world.owned;
        match Subject::of(key) {
            Some(Subject::TeamMember(group, user)) => {
                self.membership(&owned.team_members, group, &user)
            }
            Some(Subject::OrganizationMember(group, user)) => {
                self.membership(&owned.organization_members, group, &user)
            }
            Some(Subject::Access(user)) => match self.world.target.users.contains_key(&user) {
                true => self.of_all(&user, |person| self.access(person)),
                false => Word::Keep,
            },
            Some(Subject::Role(user)) => self.of_all(&user, |person| self.role(person)),
            Some(Subject::Team(group)) => self.team(group),
            Some(Subject::Unassigned(group)) => self.unassigned(group),
            // Another version's: nothing that this one plans.
            None => Word::Keep,
        }
    }

    fn membership(
        &self,
        lists: &BTreeMap<GroupId, Vec<Member>>,
        group: GroupId,
        user: &UserId,
    ) -> Word {
        let managed = lists.get(&group).into_iter().flatten();
        let people: Vec<PersonId> = managed
            .filter(|member| member.user == *user)
            .map(|member| member.person)
            .collect();
        if people.is_empty() {
            return Word::Keep;
        }
        if let Some(read) = self.desired.groups.get(&group) {
            let is_in = |person: &PersonId| read.members.binary_search(person).is_ok();
            if people.iter().any(is_in) {
                return Word::Keep;
            }
        }
        let doubtful = |person: &PersonId| self.in_doubt.contains(&person.to_string());
        match self.is_doubtful(group) || people.iter().any(doubtful) {
            true => Word::Unknown,
            false => Word::Take,
        }
    }

    /// Assigned and not read, or excluded: filters freeze what they exclude.
    fn is_doubtful(&self, group: GroupId) -> bool {
        let assigned = self.world.directory.groups.contains_key(&group);
        (assigned && !self.desired.groups.contains_key(&group))
            || !self.world.policy.groups.admits(group)
            || self.in_doubt.contains(&group.to_string())
    }

    /// A row may be known as several people's: all of them must be wanted.
    fn of_all(&self, user: &UserId, word: impl Fn(PersonId) -> Word) -> Word {
        let people = self.people.get(user).map_or(&[][..], Vec::as_slice);
        let words: Vec<Word> = people.iter().map(|person| word(*person)).collect();
        match () {
            () if words.contains(&Word::Unknown) => Word::Unknown,
            () if words.contains(&Word::Take) => Word::Take,
            () => Word::Keep,
        }
    }

    fn access(&self, person: PersonId) -> Word {
        let of = |account: Account| match account {
            Account::Enabled => Word::Keep,
            Account::Disabled => Word::Take,
        };
        let directory = self.world.directory;
        let seen = self.removals.evidence.people.get(&person);
        match directory.people.get(&person).map(|read| &read.attributes) {
            // Disabled, and their own object does not say so.
            Some(Attributes::Known(known))
                if known.account == Account::Disabled
                    && matches!(
                        seen,
                        Some(Whereabouts::Present(Account::Enabled) | Whereabouts::Unknown(_))
                    ) =>
            {
                return Word::Unknown;
            }
            Some(Attributes::Known(known)) => return of(known.account),
            Some(Attributes::Unknown) => return Word::Unknown,
            None if directory.unread_people.contains_key(&person) => return Word::Unknown,
            None => {}
        }
        match seen {
            Some(Whereabouts::Present(account)) => of(*account),
            Some(Whereabouts::SoftDeleted | Whereabouts::Purged) => Word::Take,
            Some(Whereabouts::Unknown(_)) | None => Word::Unknown,
        }
    }

    fn role(&self, person: PersonId) -> Word {
        let ours = self.world.owned.people.get(&person);
        let Some(ours) = ours.and_then(|owned| owned.role) else {
            return Word::Keep;
        };
        let default = self.world.policy.user_defaults.role;
        let given = self.desired.roles.get(&person).copied();
        match given.or(default).unwrap_or(Role::FALLBACK) >= ours {
            true => Word::Keep,
            // Whatever could not be read might give it.
            false if !self.in_doubt.is_empty() => Word::Unknown,
            false => Word::Take,
        }
    }

    fn unassigned(&self, group: GroupId) -> Word {
        let owned = self.world.owned;
        let lists = [&owned.team_members, &owned.organization_members];
        let mut members = lists
            .into_iter()
            .filter_map(|list| list.get(&group))
            .flatten();
        let assigned = self.world.directory.groups.contains_key(&group);
        match assigned || members.next().is_none() {
            true => self.team(group),
            false => Word::Take,
        }
    }

    fn team(&self, group: GroupId) -> Word {
        let target = self.world.target;
        let team = TeamId::of(group);
        let is_there = target.teams.contains_key(&team) || target.broken_teams.contains_key(&team);
        let is_ours = self.world.owned.teams.contains_key(&group);
        if self.world.directory.groups.contains_key(&group) || !is_ours || !is_there {
            return Word::Keep;
        }
        match self.is_doubtful(group) {
            true => Word::Unknown,
            false => Word::Take,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Removal, Why};

    #[test]
    fn every_key_is_read_as_what_it_is_about() {
        let group = GroupId::new(uuid::Uuid::from_u128(7));
        let member = Member {
            user: UserId::new("an odd id/with all"),
            person: PersonId::new(uuid::Uuid::from_u128(8)),
        };
        let user = member.user.clone();
        let why = Why::LeftGroup;
        for (removal, subject) in [
            (
                Removal::TeamMember {
                    group,
                    member: member.clone(),
                    why,
                },
                Subject::TeamMember(group, user.clone()),
            ),
            (
                Removal::OrganizationMember {
                    group,
                    member: member.clone(),
                    why,
                },
                Subject::OrganizationMember(group, user.clone()),
            ),
            (
                Removal::Deactivation {
                    member: member.clone(),
                    why,
                    administrator: Default::default(),
                },
                Subject::Access(user.clone()),
            ),
            (
                Removal::LowerRole {
                    member,
                    before: Role::ProxyAdmin,
                    after: Role::InternalUser,
                    from: crate::model::ledger::RoleFrom::Default,
                },
                Subject::Role(user),
            ),
            (
                Removal::BlockTeam { group, members: 2 },
                Subject::Team(group),
            ),
            (
                Removal::DeleteTeam { group, members: 2 },
                Subject::Team(group),
            ),
        ] {
            assert_eq!(Subject::of(&removal.key()), Some(subject));
            let cause = removal.cause().map(|cause| Subject::of(&cause));
            assert!(
                cause.is_none_or(|cause| matches!(
                    cause,
                    Some(Subject::Unassigned(_) | Subject::Role(_))
                )),
                "{removal:?}"
            );
        }
    }
}
