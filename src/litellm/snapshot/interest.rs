//! Which of LiteLLM's rows matter to a plan.

use std::collections::{BTreeSet, HashSet};

use crate::model::directory::{Attributes, Directory};
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use crate::model::ledger::{Member, Owned};
use crate::model::policy::Policy;
use crate::model::storable::storable;

/// Which of LiteLLM's rows matter.
#[derive(Debug, Default)]
pub struct Interest {
    /// Looked for in `user_id` and `sso_user_id`.
    pub(super) subjects: HashSet<String>,
    /// Looked for in `lower(user_email)`.
    pub(super) emails: HashSet<Box<str>>,
    /// Looked for in LiteLLM's verified subjects.
    pub(super) people: HashSet<PersonId>,
    pub(super) teams: BTreeSet<TeamId>,
    pub(super) organizations: BTreeSet<OrganizationId>,
    /// Teams and organizations of which who is in them does not matter.
    pub(super) rows_only: HashSet<GroupId>,
}

impl Interest {
    /// Everything that a plan for this reading may ask about.
    #[must_use]
    pub fn of(directory: &Directory, owned: &Owned, policy: &Policy) -> Self {
        let people = directory.people.iter();
        let people = people.map(|(person, read)| (*person, &read.attributes));
        let groups = directory.groups.keys().chain(owned.teams.keys()).copied();
        Self::among(people, groups, owned, policy)
    }

    /// What a plan may ask about these people and the teams and organizations of
    /// these groups, and about whatever else is in `owned`.
    #[must_use]
    pub fn among<'a>(
        people: impl IntoIterator<Item = (PersonId, &'a Attributes)>,
        groups: impl IntoIterator<Item = GroupId>,
        owned: &Owned,
        policy: &Policy,
    ) -> Self {
        let mut interest = Self::default();
        for (person, attributes) in people {
            interest.people.insert(person);
            match attributes {
                Attributes::Known(attributes) => {
                    // With a NUL it is nobody's, and no question can hold it.
                    if !attributes.subject.contains('\0') {
                        interest.subjects.insert(attributes.subject.to_string());
                    }
                    let email = attributes.email.as_deref();
                    interest
                        .emails
                        .extend(email.map(|email| storable(email).into()));
                }
                Attributes::Unknown => {
                    interest.subjects.insert(person.to_string());
                }
            }
        }
        // Earlier rows of people too: they may still be able to log in as them,
        // and what they were given is still ours.
        let known = owned.rows().map(|(_, user)| user.user.to_string());
        interest.subjects.extend(known);
        let lists = [&owned.team_members, &owned.organization_members];
        let members = lists.into_iter().flat_map(|list| list.values()).flatten();
        let stands_for = |member: &&Member| {
            let known = owned.people.get(&member.person);
            known.is_some_and(|known| known.user == member.user)
        };
        let earlier = members.filter(|member| !stands_for(member));
        interest
            .subjects
            .extend(earlier.map(|member| member.user.to_string()));
        // An organization outlives the team of its group.
        let ours = lists.into_iter().flat_map(|list| list.keys()).copied();
        for group in groups.into_iter().chain(ours) {
            interest.add_group(group);
        }
        let default_teams = policy.user_defaults.teams.iter();
        interest
            .teams
            .extend(default_teams.map(|team| team.team.clone()));
        interest
            .organizations
            .extend(policy.team_defaults.organization.clone());
        interest
    }

    /// These users, and the teams and organizations of these groups.
    #[must_use]
    pub fn in_these(
        users: impl IntoIterator<Item = UserId>,
        groups: impl IntoIterator<Item = GroupId>,
    ) -> Self {
        let mut interest = Self::default();
        for group in groups {
            interest.add_group(group);
        }
        interest
            .subjects
            .extend(users.into_iter().map(|user| user.to_string()));
        interest
    }

    /// Also the teams and organizations of these groups, but not who is in
    /// them: unless that is of interest anyway, [`look_up`] leaves their lists
    /// empty, as rosters are what is dear.
    ///
    /// [`look_up`]: super::look_up
    #[must_use]
    pub fn with_rows_of(mut self, groups: impl IntoIterator<Item = GroupId>) -> Self {
        for group in groups {
            if !self.teams.contains(&TeamId::of(group)) {
                self.add_group(group);
                self.rows_only.insert(group);
            }
        }
        self
    }

    fn add_group(&mut self, group: GroupId) {
        self.teams.insert(TeamId::of(group));
        self.organizations.insert(OrganizationId::of(group));
    }

    /// Teams of which it matters who is in them.
    pub(super) fn rosters(&self) -> impl Iterator<Item = &TeamId> {
        let is_of_interest = |team: &&TeamId| match team.group() {
            Some(group) => !self.rows_only.contains(&group),
            None => true,
        };
        self.teams.iter().filter(is_of_interest)
    }

    /// The same of organizations.
    pub(super) fn circles(&self) -> impl Iterator<Item = &OrganizationId> {
        let is_of_interest = |organization: &&OrganizationId| {
            let group: Option<GroupId> = organization.as_str().parse().ok();
            group.is_none_or(|group| !self.rows_only.contains(&group))
        };
        self.organizations.iter().filter(is_of_interest)
    }
}
