//! Members of teams and organizations: all copies of a membership at once.

use entra_sync::model::ids::{GroupId, OrganizationId, PersonId, TeamId};
use entra_sync::model::target::{RosterEntry, TeamRole};
use entra_sync::plan::Member;

use super::{Outcome, expect, insert_sorted, refuse};
use crate::build::Universe;

impl Universe {
    pub(super) fn join(&mut self, team: &TeamId, member: &Member, role: TeamRole) -> Outcome {
        let Some(user) = self.target.users.get_mut(&member.user) else {
            return refuse(format!("{} would join {team} without a row", member.user));
        };
        let Some(row) = self.target.teams.get_mut(team) else {
            return refuse(format!(
                "{} would join {team}, which is not there",
                member.user
            ));
        };
        insert_sorted(&mut user.teams, team.clone());
        insert_sorted(&mut row.memberships, member.user.clone());
        if row.roster.iter().all(|entry| entry.user != member.user) {
            let user = member.user.clone();
            insert_sorted(&mut row.roster, RosterEntry { user, role });
        }
        Ok(())
    }

    pub(super) fn organization_member(&mut self, group: GroupId, member: &Member) -> Outcome {
        let id = OrganizationId::of(group);
        let row = self.target.organizations.get_mut(&id);
        match row {
            Some(row) if self.target.users.contains_key(&member.user) => {
                expect(!row.members.contains(&member.user), || {
                    format!("{} is in organization {id} already", member.user)
                })?;
                insert_sorted(&mut row.members, member.user.clone());
            }
            _ => return refuse(format!("{} cannot join organization {id}", member.user)),
        }
        let managed = self.owned.organization_members.entry(group).or_default();
        insert_sorted(managed, member.clone());
        Ok(())
    }

    /// A join of a default team that nothing is left to do about.
    pub(super) fn settle(&mut self, team: &TeamId, person: PersonId) {
        if let Some(due) = self.owned.due_default_teams.get_mut(team) {
            due.retain(|waiting| *waiting != person);
            if due.is_empty() {
                self.owned.due_default_teams.remove(team);
            }
        }
    }
}
