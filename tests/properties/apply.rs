//! What applying a plan does to LiteLLM's rows and to the ledger, step by step,
//! as litellm-contract 2a to 2f says it.
//!
//! A step that LiteLLM or its database would refuse, or that meets something
//! else than the plan saw, is an error: with nobody else writing, a plan must
//! not contain one.

use entra_sync::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use entra_sync::model::ledger::{
    LastWritten, Origin, Ours, OwnedOrganization, OwnedTeam, OwnedUser, Placement,
};
use entra_sync::model::policy::Organizations;
use entra_sync::model::target::{
    Activity, OrganizationRow, RosterEntry, StoredRole, TeamRole, TeamRow, UserRow,
};
use entra_sync::plan::{
    DefaultTeamChange, FieldChange, Member, OrganizationChange, Plan, Removal, Restoration,
    TeamChange, UserChange, created_team,
};
use proptest::test_runner::TestCaseError;

use crate::build::Universe;

pub type Outcome = Result<(), TestCaseError>;

/// The smallest thing that one transaction may do.
#[derive(Debug, Clone)]
pub enum Step {
    Organization(OrganizationChange),
    Team(TeamChange),
    /// With the default teams that a new user has still to join.
    User(UserChange, Vec<TeamId>),
    TeamMember(GroupId, Member),
    DefaultTeam(DefaultTeamChange, Member),
    OrganizationMember(GroupId, Member),
    GiveBack(Restoration),
    Take(Removal),
    /// A user's `teams` name a team that nothing else has them in.
    Clear(GroupId, UserId),
    /// All adoptions: they touch the ledger only.
    Adopt(Box<Plan>),
}

/// A plan's steps, in the order in which they are written.
pub fn steps(plan: &Plan) -> Vec<Step> {
    let organizations = plan.organizations.iter().cloned().map(Step::Organization);
    let teams = plan.teams.iter().cloned().map(Step::Team);
    let users = plan.users.iter().map(|change| {
        let due = match change {
            UserChange::Create { person, .. } => plan
                .default_teams
                .iter()
                .filter(|team| team.add.iter().any(|member| member.person == *person))
                .map(|change| change.team.team.clone())
                .collect(),
            UserChange::Update { .. } => Vec::new(),
        };
        Step::User(change.clone(), due)
    });
    let rosters = plan.rosters.iter().flat_map(|change| {
        let members = change.add.iter().chain(&change.repair).cloned();
        members.map(|member| Step::TeamMember(change.group, member))
    });
    let defaults = plan.default_teams.iter().flat_map(|change| {
        let members = change.add.iter().cloned();
        members.map(|member| Step::DefaultTeam(change.clone(), member))
    });
    let members = plan.organization_members.iter().flat_map(|change| {
        let members = change.add.iter().cloned();
        members.map(|member| Step::OrganizationMember(change.group, member))
    });
    let back = plan.restorations.iter().cloned().map(Step::GiveBack);
    let released = || plan.deprovision.verdict.released.iter().cloned();
    let is_end = |removal: &Removal| matches!(removal, Removal::Deactivation { .. });
    let cleared = plan.deprovision.leftovers.iter().flat_map(|leftover| {
        let users = leftover.users.iter().cloned();
        users.map(|user| Step::Clear(leftover.group, user))
    });
    let ended = released().filter(is_end).map(Step::Take);
    let taken = released()
        .filter(|removal| !matches!(removal, Removal::Deactivation { .. }))
        .map(Step::Take);
    back.chain(ended)
        .chain(organizations)
        .chain(teams)
        .chain(users)
        .chain(rosters)
        .chain(defaults)
        .chain(members)
        .chain(cleared)
        .chain(taken)
        .chain([Step::Adopt(Box::new(plan.clone()))])
        .collect()
}

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
                insert_sorted(managed, member.person);
                Ok(())
            }
            Step::DefaultTeam(change, member) => {
                let team = &change.team.team;
                self.join(team, &member, change.team.role)?;
                self.settle(team, member.person);
                Ok(())
            }
            Step::OrganizationMember(group, member) => self.organization_member(group, &member),
            Step::GiveBack(restoration) => self.give_back(restoration),
            Step::Take(removal) => self.take(removal),
            Step::Clear(group, user) => self.clear(group, &user),
            Step::Adopt(plan) => {
                self.adopt(&plan);
                Ok(())
            }
        }
    }

    fn organization(&mut self, change: OrganizationChange) -> Outcome {
        let group = change.group();
        let id = OrganizationId::of(group);
        let owned = match change {
            OrganizationChange::Create { alias, .. } => {
                let row = OrganizationRow {
                    alias: alias.clone(),
                    models: self.policy.team_defaults.models.clone(),
                    members: Vec::new(),
                    ..OrganizationRow::default()
                };
                let before = self.target.organizations.insert(id.clone(), row);
                expect(before.is_none(), || format!("organization {id} is there"))?;
                OwnedOrganization {
                    origin: Origin::Created,
                    alias: LastWritten::Value(alias),
                }
            }
            OrganizationChange::Rename { alias, owned, .. } => {
                let Some(row) = self.target.organizations.get_mut(&id) else {
                    return refuse(format!("organization {id} to rename is not there"));
                };
                expect(alias.before.as_ref() == Some(&row.alias), || {
                    format!("organization {id} is not what the plan saw")
                })?;
                match alias.after {
                    Some(after) => row.alias = after,
                    None => return refuse("organization_alias cannot be NULL"),
                }
                owned
            }
        };
        self.owned.organizations.insert(group, owned);
        Ok(())
    }

    fn team(&mut self, change: TeamChange) -> Outcome {
        let group = change.group();
        let id = TeamId::of(group);
        let exists = |organizations: &std::collections::BTreeMap<OrganizationId, _>,
                      organization: &Option<OrganizationId>| {
            organization
                .as_ref()
                .is_none_or(|o| organizations.contains_key(o))
        };
        let owned = match change {
            TeamChange::Create {
                alias,
                organization,
                models,
                ..
            } => {
                expect(exists(&self.target.organizations, &organization), || {
                    format!("team {id} would join an organization that is not there")
                })?;
                let defaults = &self.policy.team_defaults.models;
                let on = matches!(self.policy.organizations, Organizations::On(_));
                let ours = models.clone().or_else(|| on.then(|| defaults.clone()));
                let row = TeamRow {
                    alias: alias.clone(),
                    organization,
                    models: models.unwrap_or_else(|| defaults.clone()),
                    ..TeamRow::default()
                };
                let before = self.target.teams.insert(id.clone(), row);
                expect(before.is_none(), || format!("team {id} is there"))?;
                self.target.team_count += 1;
                created_team(alias, ours, Placement::Settled)
            }
            TeamChange::Update {
                alias,
                organization,
                models,
                owned,
                ..
            } => {
                expect(exists(&self.target.organizations, &organization), || {
                    format!("team {id} would join an organization that is not there")
                })?;
                let Some(row) = self.target.teams.get_mut(&id) else {
                    return refuse(format!("team {id} to change is not there"));
                };
                write(&mut row.alias, alias)?;
                if let Some(organization) = organization {
                    expect(row.organization.is_none(), || {
                        format!("team {id} has been placed")
                    })?;
                    row.organization = Some(organization);
                }
                if let Some(models) = models {
                    expect(models.before.as_ref() == Some(&row.models), || {
                        format!("the models of team {id} are not what the plan saw")
                    })?;
                    row.models = models.after.unwrap_or_default();
                }
                owned
            }
        };
        self.record_team(group, owned);
        Ok(())
    }

    /// Whose doing a block is, is recorded by whoever blocks or unblocks.
    fn record_team(&mut self, group: GroupId, mut owned: OwnedTeam) {
        if let Some(known) = self.owned.teams.get(&group) {
            (owned.block, owned.lifted) = (known.block, known.lifted);
        }
        self.owned.teams.insert(group, owned);
    }

    /// The same with a deactivation, as long as it is about the same row.
    fn record_user(&mut self, person: PersonId, mut owned: OwnedUser) {
        if let Some(known) = self.owned.people.get(&person)
            && known.user == owned.user
        {
            owned.deactivation = known.deactivation;
        }
        self.owned.people.insert(person, owned);
    }

    fn user(&mut self, change: UserChange) -> Outcome {
        let person = change.person();
        let owned: OwnedUser = match change {
            UserChange::Create {
                user,
                email,
                alias,
                role,
                ..
            } => {
                self.unbound(&user)?;
                if let Some(email) = &email {
                    let taken = |row: &UserRow| same_address(row.email.as_deref(), email);
                    expect(!self.target.users.values().any(taken), || {
                        format!("{user} would be inserted with {email}, which is taken")
                    })?;
                }
                let row = UserRow {
                    sso_user_id: Some(user.clone()),
                    email: email.clone(),
                    alias: alias.clone(),
                    role: StoredRole::Role(role),
                    activity: Activity::Active,
                    teams: Vec::new(),
                };
                let before = self.target.users.insert(user.clone(), row);
                expect(before.is_none(), || format!("user {user} is there"))?;
                self.target.billable_users += 1;
                OwnedUser {
                    user,
                    origin: Origin::Created,
                    alias: LastWritten::wrote(alias),
                    email: LastWritten::wrote(email),
                    role: Some(role),
                    deactivation: Ours::No,
                }
            }
            UserChange::Update {
                user,
                bind,
                email,
                alias,
                role,
                owned,
                ..
            } => {
                if let Some(subject) = &bind {
                    self.unbound(subject)?;
                }
                let Some(row) = self.target.users.get_mut(&user) else {
                    return refuse(format!("user {user} to change is not there"));
                };
                if let Some(subject) = bind {
                    expect(row.sso_user_id.is_none(), || {
                        format!("{user} would be rebound")
                    })?;
                    row.sso_user_id = Some(subject);
                }
                write(&mut row.email, email)?;
                write(&mut row.alias, alias)?;
                if let Some(FieldChange { before, after }) = role {
                    let before = before.map_or(StoredRole::None, StoredRole::Role);
                    expect(row.role == before, || {
                        format!("the role of {user} has moved")
                    })?;
                    row.role = after.map_or(StoredRole::None, StoredRole::Role);
                }
                owned
            }
        };
        self.record_user(person, owned);
        Ok(())
    }

    /// `sso_user_id` is unique.
    fn unbound(&self, subject: &UserId) -> Outcome {
        let bound = |row: &UserRow| row.sso_user_id.as_ref() == Some(subject);
        expect(!self.target.users.values().any(bound), || {
            format!("a second row would be bound to {subject}")
        })
    }

    fn join(&mut self, team: &TeamId, member: &Member, role: TeamRole) -> Outcome {
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

    fn organization_member(&mut self, group: GroupId, member: &Member) -> Outcome {
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
        insert_sorted(managed, member.person);
        Ok(())
    }

    /// A join of a default team that nothing is left to do about.
    fn settle(&mut self, team: &TeamId, person: PersonId) {
        if let Some(due) = self.owned.due_default_teams.get_mut(team) {
            due.retain(|waiting| *waiting != person);
            if due.is_empty() {
                self.owned.due_default_teams.remove(team);
            }
        }
    }

    fn adopt(&mut self, plan: &Plan) {
        let adopted = plan.adopted.clone();
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
                .for_each(|member| insert_sorted(managed, member.person));
        }
        for list in adopted.organization_members {
            let managed = self
                .owned
                .organization_members
                .entry(list.group)
                .or_default();
            list.members
                .into_iter()
                .for_each(|member| insert_sorted(managed, member.person));
        }
    }
}

/// Writes a column only while it holds what the plan saw.
fn write<T: PartialEq + std::fmt::Debug>(
    column: &mut Option<T>,
    change: Option<FieldChange<T>>,
) -> Outcome {
    if let Some(FieldChange { before, after }) = change {
        expect(*column == before, || {
            format!("the plan saw {before:?}, the column holds {column:?}")
        })?;
        *column = after;
    }
    Ok(())
}

/// As LiteLLM compares addresses.
pub fn same_address(stored: Option<&str>, address: &str) -> bool {
    stored.is_some_and(|stored| stored.to_lowercase() == address.to_lowercase())
}
