//! What taking away and giving back does to LiteLLM's rows and to the ledger,
//! as litellm-contract 2f to 2h says it.
//!
//! A removal that meets something else than the plan saw is an error, as in
//! [`crate::apply`].

use std::collections::BTreeMap;

use entra_sync::model::ids::{GroupId, OrganizationId, TeamId, UserId};
use entra_sync::model::ledger::{Origin, Ours};
use entra_sync::model::role::Role;
use entra_sync::model::target::{Activity, Block, StoredRole, TeamRole};
use entra_sync::plan::{Member, Removal, Restoration};

use super::{Outcome, expect, insert_sorted, refuse};
use crate::build::Universe;

pub(super) fn forget(
    lists: &mut BTreeMap<GroupId, Vec<Member>>,
    group: GroupId,
    member: &Member,
) -> bool {
    let Some(list) = lists.get_mut(&group) else {
        return false;
    };
    let before = list.len();
    list.retain(|managed| managed != member);
    list.len() < before
}

impl Universe {
    pub fn give_back(&mut self, restoration: Restoration) -> Outcome {
        match restoration {
            Restoration::Reactivation(member) => {
                let Some(owned) = self.known_as(&member).next() else {
                    return refuse(format!("{} is not ours to reactivate", member.user));
                };
                expect(owned.deactivation == Ours::Yes, || {
                    format!("we did not deactivate {}", member.user)
                })?;
                owned.deactivation = Ours::No;
                self.switch(&member.user, Activity::Deactivated, Activity::Active)
            }
            Restoration::UnblockTeam(group) => {
                let owned = self.owned.teams.get_mut(&group);
                let ours = owned
                    .is_some_and(|team| std::mem::replace(&mut team.block, Ours::No) == Ours::Yes);
                expect(ours, || format!("we did not block {group}"))?;
                self.block(group, Block::Blocked, Block::Open)
            }
        }
    }

    pub fn take(&mut self, removal: Removal) -> Outcome {
        match removal {
            Removal::TeamMember { group, member, .. } => self.leave_team(group, &member),
            Removal::OrganizationMember { group, member, .. } => {
                let managed = forget(&mut self.owned.organization_members, group, &member);
                let id = OrganizationId::of(group);
                let there = self.target.organizations.get_mut(&id).is_some_and(|row| {
                    let before = row.members.len();
                    row.members.retain(|user| *user != member.user);
                    row.members.len() < before
                });
                expect(managed && there, || {
                    format!("{} is no managed member of organization {id}", member.user)
                })
            }
            Removal::Deactivation {
                member,
                administrator,
                ..
            } => {
                let row = self.target.users.get(&member.user);
                let is_admin =
                    row.is_some_and(|row| row.role == StoredRole::Role(Role::ProxyAdmin));
                expect(!is_admin || administrator == Ours::Yes, || {
                    format!("administrator {} would be spared", member.user)
                })?;
                // Of a row that was active, nobody's access has been taken.
                let now = self.owned.people.iter_mut();
                let earlier = self.owned.earlier.iter_mut();
                let earlier = earlier
                    .flat_map(|(person, rows)| rows.iter_mut().map(move |row| (person, row)));
                for (person, owned) in now.chain(earlier) {
                    if owned.user == member.user {
                        owned.deactivation = match *person == member.person {
                            true => Ours::Yes,
                            false => Ours::No,
                        };
                    }
                }
                self.switch(&member.user, Activity::Active, Activity::Deactivated)
            }
            Removal::LowerRole {
                member,
                before,
                after,
                from,
            } => {
                let Some(row) = self.target.users.get_mut(&member.user) else {
                    return refuse(format!("{} has no row to lower", member.user));
                };
                expect(
                    row.role == StoredRole::Role(before) && after < before,
                    || {
                        format!(
                            "the role of {} is {:?}, not {before}",
                            member.user, row.role
                        )
                    },
                )?;
                row.role = StoredRole::Role(after);
                if let Some(owned) = self.owned.people.get_mut(&member.person) {
                    (owned.role, owned.role_from) = (Some(after), from);
                }
                Ok(())
            }
            Removal::BlockTeam { group, .. } => {
                self.is_our_own_team(group)?;
                if let Some(owned) = self.owned.teams.get_mut(&group) {
                    owned.block = Ours::Yes;
                }
                self.block(group, Block::Open, Block::Blocked)
            }
            Removal::DeleteTeam { group, .. } => {
                self.is_our_own_team(group)?;
                let id = TeamId::of(group);
                expect(self.target.teams.remove(&id).is_some(), || {
                    format!("team {id} to delete is not there")
                })?;
                self.target.team_count -= 1;
                for row in self.target.users.values_mut() {
                    row.teams.retain(|team| *team != id);
                }
                self.owned.teams.remove(&group);
                self.owned.team_members.remove(&group);
                Ok(())
            }
        }
    }

    fn leave_team(&mut self, group: GroupId, member: &Member) -> Outcome {
        let id = TeamId::of(group);
        let managed = forget(&mut self.owned.team_members, group, member);
        expect(managed, || format!("{} is not ours in {id}", member.user))?;
        let Some(row) = self.target.teams.get_mut(&id) else {
            return refuse(format!("team {id} to leave is not there"));
        };
        let is_admin = |user: &UserId| {
            let mut entries = row.roster.iter();
            entries.any(|entry| entry.user == *user && entry.role == TeamRole::Admin)
        };
        expect(!is_admin(&member.user), || {
            format!("{} is an administrator of {id}", member.user)
        })?;
        row.roster.retain(|entry| entry.user != member.user);
        row.memberships.retain(|user| *user != member.user);
        if let Some(user) = self.target.users.get_mut(&member.user) {
            user.teams.retain(|team| *team != id);
        }
        let taken = self.owned.taken_members.entry(group).or_default();
        insert_sorted(taken, member.user.clone());
        Ok(())
    }

    pub fn clear(&mut self, group: GroupId, user: &UserId) -> Outcome {
        let id = TeamId::of(group);
        let row = self.target.teams.get(&id);
        let elsewhere = row.is_some_and(|row| {
            row.memberships.contains(user) || row.roster.iter().any(|entry| entry.user == *user)
        });
        expect(!elsewhere, || format!("{user} is in {id}"))?;
        let named = self.target.users.get_mut(user).is_some_and(|row| {
            let before = row.teams.len();
            row.teams.retain(|team| *team != id);
            row.teams.len() < before
        });
        expect(named, || format!("the teams of {user} do not name {id}"))
    }

    fn is_our_own_team(&self, group: GroupId) -> Outcome {
        let owned = self.owned.teams.get(&group);
        expect(
            owned.is_some_and(|team| team.origin == Origin::Created),
            || format!("the team of {group} was somebody's before it was ours"),
        )
    }

    fn switch(&mut self, user: &UserId, from: Activity, to: Activity) -> Outcome {
        let Some(row) = self.target.users.get_mut(user) else {
            return refuse(format!("{user} has no row to switch"));
        };
        expect(row.activity == from, || {
            format!("{user} is {:?} already", row.activity)
        })?;
        row.activity = to;
        match to {
            Activity::Active => self.target.billable_users += 1,
            Activity::Deactivated => self.target.billable_users -= 1,
        }
        Ok(())
    }

    fn block(&mut self, group: GroupId, from: Block, to: Block) -> Outcome {
        let id = TeamId::of(group);
        let Some(row) = self.target.teams.get_mut(&id) else {
            return refuse(format!("team {id} to switch is not there"));
        };
        expect(row.block == from, || {
            format!("team {id} is {:?} already", row.block)
        })?;
        row.block = to;
        Ok(())
    }
}
