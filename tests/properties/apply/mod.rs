//! What applying a plan does to LiteLLM's rows and to the ledger, step by step,
//! as litellm-contract 2a to 2h says it.
//!
//! A step that LiteLLM or its database would refuse, or that meets something
//! else than the plan saw, is an error: with nobody else writing, a plan must
//! not contain one.

mod members;
mod people;
mod places;
mod steps;
mod taking;

use entra_sync::model::ids::TeamId;
use entra_sync::model::ledger::{Member, Ours, OwnedUser, RoleFrom};
use entra_sync::model::target::TeamRole;
use entra_sync::plan::{Adopted, Forgotten, Plan};
use proptest::test_runner::TestCaseError;

pub use self::steps::{Step, steps, woven};
use crate::build::Universe;

pub type Outcome = Result<(), TestCaseError>;

pub fn refuse<T>(why: impl Into<String>) -> Result<T, TestCaseError> {
    Err(TestCaseError::fail(why.into()))
}

pub fn expect(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { refuse(why()) }
}

pub fn insert_sorted<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(place) = list.binary_search(&item) {
        list.insert(place, item);
    }
}

impl Universe {
    /// The world after this plan.
    pub fn after(&self, plan: &Plan) -> Result<Self, TestCaseError> {
        let mut world = self.clone();
        for step in steps(plan) {
            world.apply(step)?;
        }
        Ok(world)
    }

    /// Does one step.
    pub fn apply(&mut self, step: Step) -> Outcome {
        match step {
            Step::Organization(change) => self.organization(change),
            Step::Team(change) => self.team(change),
            Step::User(change, due) => {
                let person = change.person();
                self.user(change)?;
                for team in due {
                    insert_sorted(
                        self.owned.due_default_teams.entry(team).or_default(),
                        person,
                    );
                }
                Ok(())
            }
            Step::TeamMember(group, member) => {
                self.join(&TeamId::of(group), &member, TeamRole::User)?;
                let managed = self.owned.team_members.entry(group).or_default();
                insert_sorted(managed, member);
                Ok(())
            }
            Step::DefaultTeam(change, member) => {
                let team = &change.team.team;
                self.join(team, &member, change.team.role)?;
                self.settle(team, member.person);
                // Whatever was managed before has ended: this is not.
                if let Some(group) = team.group() {
                    taking::forget(&mut self.owned.team_members, group, &member);
                }
                Ok(())
            }
            Step::OrganizationMember(group, member) => self.organization_member(group, &member),
            Step::GiveBack(restoration) => self.give_back(restoration),
            Step::Take(removal) => self.take(removal),
            Step::Clear(group, user) => self.clear(group, &user),
            Step::Adopt(adopted) => {
                self.adopt(*adopted);
                Ok(())
            }
            Step::Note(forgotten) => {
                self.forget(*forgotten);
                Ok(())
            }
        }
    }

    /// What the ledger holds of a person as a row.
    fn known_as(&mut self, member: &Member) -> impl Iterator<Item = &mut OwnedUser> {
        let now = self.owned.people.get_mut(&member.person).into_iter();
        let earlier = self.owned.earlier.get_mut(&member.person);
        now.chain(earlier.into_iter().flatten())
            .filter(|known| known.user == member.user)
    }

    fn adopt(&mut self, adopted: Adopted) {
        for (team, person) in &adopted.default_teams {
            self.settle(team, *person);
        }
        for (group, owned) in adopted.teams {
            self.record_team(group, owned);
        }
        self.owned.organizations.extend(adopted.organizations);
        for (person, owned) in adopted.users {
            self.record_user(person, owned);
        }
        for list in adopted.team_members {
            let managed = self.owned.team_members.entry(list.group).or_default();
            list.members
                .into_iter()
                .for_each(|member| insert_sorted(managed, member));
        }
        for list in adopted.organization_members {
            let managed = self
                .owned
                .organization_members
                .entry(list.group)
                .or_default();
            list.members
                .into_iter()
                .for_each(|member| insert_sorted(managed, member));
        }
    }

    /// A filtered pass does not know what else is over, and notes nothing.
    fn forget(&mut self, forgotten: Forgotten) {
        if !self.scope.is_everything() {
            return;
        }
        for (group, member) in forgotten.team_members {
            taking::forget(&mut self.owned.team_members, group, &member);
        }
        for (group, member) in forgotten.organization_members {
            taking::forget(&mut self.owned.organization_members, group, &member);
        }
        for (group, lifted) in forgotten.blocks {
            if let Some(team) = self.owned.teams.get_mut(&group) {
                (team.block, team.lifted) = (Ours::No, lifted);
            }
        }
        for member in forgotten.deactivations {
            for known in self.known_as(&member) {
                known.deactivation = Ours::No;
            }
        }
        for (member, role) in forgotten.roles {
            for known in self.known_as(&member) {
                if known.role == Some(role) {
                    (known.role, known.role_from) = (None, RoleFrom::Default);
                }
            }
        }
        for group in forgotten.teams {
            self.owned.teams.remove(&group);
        }
    }
}

/// As LiteLLM compares addresses.
pub fn same_address(stored: Option<&str>, address: &str) -> bool {
    stored.is_some_and(|stored| stored.to_lowercase() == address.to_lowercase())
}
