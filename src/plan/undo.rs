//! The reverse of what one run took away.
//!
//! Invariant: pure. Only what that run took is given back, each thing once;
//! what somebody changed since stays as it is now, and is said.
//! Must not: read Entra. Whether it still wants what comes back is the next
//! pass's question, which keeps its hands off (see [`Undo::protected`]).

mod keys;
mod now;
mod show;

use std::collections::BTreeMap;

use self::keys::Keys;
use self::now::Now;
use super::change::Member;
use super::removal::Removal;
use crate::model::ids::{GroupId, OrganizationId, RunId, TeamId, UserId};
use crate::model::ledger::{Ours, Owned};
use crate::model::report::{Kind, Skipped};
use crate::model::target::{Activity, Block, StoredRole, Target};

/// Something that a run took, as far as a decision needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The number of its copy.
    pub taken: i64,
    /// What was decided then.
    pub removal: Removal,
    /// The keys that went with it.
    pub keys: Vec<LostKey>,
    /// Everybody who was in a team that was deleted.
    pub users: Vec<UserId>,
    /// Those of them whose membership was managed.
    pub managed: Vec<Member>,
    /// The run that has given it back already.
    pub given_back_by: Option<RunId>,
}

/// A key that was deleted, or that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostKey {
    /// `token`.
    pub token: String,
    /// `key_alias`.
    pub alias: Option<String>,
    /// `user_id`.
    pub owner: Option<UserId>,
}

/// What is there now.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// LiteLLM's rows about everybody and everything concerned.
    pub target: &'a Target,
    /// What is ours.
    pub owned: &'a Owned,
    /// Keys that might stand in the way.
    pub keys: &'a [LostKey],
    /// What later runs took there, and nobody gave back.
    pub later: &'a [Removal],
}

/// What is given back, and what is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// The run whose removals these were.
    pub of: RunId,
    /// What is given back, the last taken first.
    pub returns: Vec<Return>,
    /// What is not, or not as it was.
    pub left: Vec<Left>,
}

/// Something that is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// The number of its copy.
    pub taken: i64,
    /// What is taken back.
    pub removal: Removal,
    /// How much of it.
    pub extent: Extent,
    /// How many keys come with it.
    pub keys: u64,
    /// Users who become members: one for a membership, any number for a team.
    pub joining: u64,
    /// Of a team: whose membership is managed again.
    pub managed: Vec<Member>,
    /// Of a team: rows that stand for somebody else by now, or that a later run
    /// took out, and stay out.
    pub barred: Vec<UserId>,
}

/// How much of a thing is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It, with everything.
    Whole,
    /// It is there again by itself: what else went with it.
    Rest,
}

/// Something that is not given back, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
    /// Why.
    pub why: NotGiven,
}

/// Why something is not given back, or not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotGiven {
    /// An earlier undo did it.
    GivenBackBefore,
    /// The team has been deleted since.
    TeamGone,
    /// The team's roster cannot be read.
    TeamUnreadable,
    /// The organization has been deleted since.
    OrganizationGone,
    /// The user's row has been deleted since.
    UserGone,
    /// The row stands for somebody else by now.
    RowTaken,
    /// A member again, with nothing missing.
    MemberAgain,
    /// Active again.
    ActiveAgain,
    /// Deactivated, but no longer by us.
    DeactivatedByOthers,
    /// The role has been changed since.
    RoleChanged,
    /// Not blocked any more.
    OpenAgain,
    /// Blocked, but no longer by us.
    BlockedByOthers,
    /// A team of this id is there again, and stays as it is.
    TeamThere,
    /// A later run has taken it again.
    TakenAgain,
    /// A key of this token is there again, and stays as it is.
    KeyThere,
    /// Another key has the alias: this one comes back without.
    KeyAliasTaken,
}

/// Decides what of a run's removals is given back. `losses` come the last
/// taken first.
#[must_use]
pub fn undo(of: RunId, losses: &[Loss], present: Present<'_>) -> Undo {
    let mut undo = Undo {
        of,
        returns: Vec::new(),
        left: Vec::new(),
    };
    let keys = Keys::of(present.keys);
    let now = Now::of(present);
    for loss in losses {
        let item = loss.removal.item("remove");
        match decide(loss, &now) {
            Ok(decision) => {
                let Decision {
                    extent,
                    joining,
                    managed,
                    barred,
                } = decision;
                let back = keys.come_back(loss, &barred, &now, &mut undo.left);
                undo.left.extend(barred.iter().map(|(user, why)| Left {
                    kind: Kind::TeamMembership,
                    id: format!("{}/{user}", item.id),
                    why: *why,
                }));
                if extent == Extent::Rest && back == 0 && joining == 0 {
                    undo.left.push(Left {
                        kind: item.kind,
                        id: item.id,
                        why: match loss.removal {
                            Removal::DeleteTeam { .. } => NotGiven::TeamThere,
                            _ => NotGiven::MemberAgain,
                        },
                    });
                    continue;
                }
                if matches!(loss.removal, Removal::DeleteTeam { .. }) && extent == Extent::Rest {
                    undo.left.push(Left {
                        kind: item.kind,
                        id: item.id,
                        why: NotGiven::TeamThere,
                    });
                }
                undo.returns.push(Return {
                    taken: loss.taken,
                    removal: loss.removal.clone(),
                    extent,
                    keys: back,
                    joining,
                    managed,
                    barred: barred.into_iter().map(|(user, _)| user).collect(),
                });
            }
            Err(why) => undo.left.push(Left {
                kind: item.kind,
                id: item.id,
                why,
            }),
        }
    }
    undo.left.sort();
    undo.left.dedup();
    undo
}

impl Undo {
    /// The removals that later passes must not make while Entra still does not
    /// want what came back: who undoes them does not want them.
    #[must_use]
    pub fn protected(&self) -> Vec<Removal> {
        let mut protected = Vec::new();
        for back in &self.returns {
            match (&back.removal, back.extent) {
                (removal, Extent::Whole) => protected.push(removal.clone()),
                // The team of now is wanted, or nobody would have made it; its
                // members may not be.
                (Removal::DeleteTeam { group, .. }, Extent::Rest) => {
                    protected.extend(back.managed.iter().map(|member| Removal::TeamMember {
                        group: *group,
                        member: member.clone(),
                        why: super::Why::GroupUnassigned,
                    }));
                }
                (_, Extent::Rest) => {}
            }
        }
        protected.sort();
        protected.dedup_by_key(|removal| removal.key());
        protected
    }

    /// What is not given back, as a report names it.
    #[must_use]
    pub fn skipped(&self) -> Vec<Skipped> {
        self.left
            .iter()
            .map(|left| Skipped {
                kind: left.kind,
                id: left.id.clone(),
                reason: left.why.as_str().to_owned(),
            })
            .collect()
    }
}

/// As in [`Return`].
struct Decision {
    extent: Extent,
    joining: u64,
    managed: Vec<Member>,
    barred: Vec<(UserId, NotGiven)>,
}

impl Decision {
    const fn of_one(extent: Extent, joining: u64) -> Self {
        Self {
            extent,
            joining,
            managed: Vec::new(),
            barred: Vec::new(),
        }
    }
}

fn decide(loss: &Loss, now: &Now<'_>) -> Result<Decision, NotGiven> {
    if loss.given_back_by.is_some() {
        return Err(NotGiven::GivenBackBefore);
    }
    match &loss.removal {
        Removal::TeamMember { group, member, .. } => {
            let team = TeamId::of(*group);
            if now.target.broken_teams.contains_key(&team) {
                return Err(NotGiven::TeamUnreadable);
            }
            if !now.target.teams.contains_key(&team) {
                return Err(NotGiven::TeamGone);
            }
            now.row_of(member)?;
            if now.is_member(&team, &member.user) {
                return Ok(Decision::of_one(Extent::Rest, 0));
            }
            now.not_taken_since(&loss.removal)?;
            Ok(Decision::of_one(Extent::Whole, 1))
        }
        Removal::OrganizationMember { group, member, .. } => {
            let organization = now
                .target
                .organizations
                .get(&OrganizationId::of(*group))
                .ok_or(NotGiven::OrganizationGone)?;
            now.row_of(member)?;
            match organization.members.binary_search(&member.user) {
                Ok(_) => Err(NotGiven::MemberAgain),
                Err(_) => {
                    now.not_taken_since(&loss.removal)?;
                    Ok(Decision::of_one(Extent::Whole, 1))
                }
            }
        }
        Removal::Deactivation { member, .. } => {
            let row = now.row_of(member)?;
            let owned = now.owned.people.get(&member.person);
            match (row.activity, owned.map(|owned| owned.deactivation)) {
                (Activity::Active, _) => Err(NotGiven::ActiveAgain),
                (Activity::Deactivated, Some(Ours::Yes)) => {
                    now.not_taken_since(&loss.removal)?;
                    Ok(Decision::of_one(Extent::Whole, 0))
                }
                (Activity::Deactivated, _) => Err(NotGiven::DeactivatedByOthers),
            }
        }
        Removal::LowerRole { member, after, .. } => {
            let row = now.row_of(member)?;
            let ours = now.owned.people.get(&member.person);
            let is_ours = ours.is_some_and(|owned| owned.role == Some(*after));
            if row.role == StoredRole::Role(*after) && is_ours {
                now.not_taken_since(&loss.removal)?;
                Ok(Decision::of_one(Extent::Whole, 0))
            } else {
                Err(NotGiven::RoleChanged)
            }
        }
        Removal::BlockTeam { group, .. } => {
            let row = now
                .target
                .teams
                .get(&TeamId::of(*group))
                .ok_or(NotGiven::TeamGone)?;
            let ours = now.owned.teams.get(group).map(|team| team.block);
            match (row.block, ours) {
                (Block::Open, _) => Err(NotGiven::OpenAgain),
                (Block::Blocked, Some(Ours::Yes)) => {
                    now.not_taken_since(&loss.removal)?;
                    Ok(Decision::of_one(Extent::Whole, 0))
                }
                (Block::Blocked, _) => Err(NotGiven::BlockedByOthers),
            }
        }
        Removal::DeleteTeam { group, .. } => team(loss, *group, now),
    }
}

fn team(loss: &Loss, group: GroupId, now: &Now<'_>) -> Result<Decision, NotGiven> {
    let team = &TeamId::of(group);
    if now.target.broken_teams.contains_key(team) {
        return Err(NotGiven::TeamUnreadable);
    }
    let is_there = now.target.teams.contains_key(team);
    if !is_there {
        now.not_taken_since(&loss.removal)?;
    }
    let anothers = loss.managed.iter().filter_map(|member| {
        let why = now.row_of(member).err()?;
        (why == NotGiven::RowTaken).then(|| (member.user.clone(), why))
    });
    // Whom a later run took out of the team that was made again.
    let taken = loss.users.iter().filter_map(|user| {
        let why = now.not_in_since(group, user)?;
        (!now.is_member(team, user)).then(|| (user.clone(), why))
    });
    let barred: BTreeMap<UserId, NotGiven> = taken.chain(anothers).collect();
    let joins = |user: &UserId| {
        now.target.users.contains_key(user)
            && !now.is_member(team, user)
            && !barred.contains_key(user)
    };
    let joining = loss.users.iter().filter(|user| joins(user)).count() as u64;
    let managed = loss.managed.iter().filter(|member| joins(&member.user));
    Ok(Decision {
        extent: match is_there {
            true => Extent::Rest,
            false => Extent::Whole,
        },
        joining,
        managed: managed.cloned().collect(),
        barred: barred.into_iter().collect(),
    })
}
