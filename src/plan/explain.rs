//! Why a person is, or is not, in a team: the same decision as a plan's, told
//! for one person.
//!
//! Invariant: says nothing that the plan does not do; where a reading is
//! missing it says so.
//! Must not: perform I/O, or decide anything of its own.

mod find;

use serde::Serialize;

pub use find::{Match, find_groups, find_people};
use find::{matched, names};

use super::{Item, Plan, UserChange, World};
use crate::model::directory::{
    Account, AppRoleState, Attributes, PersonAttributes, Principal, Unread,
};
use crate::model::ids::{AppRoleId, GroupId, PersonId, TeamId, UserId};
use crate::model::report::{Kind, ObjectError, Skipped};
use crate::model::role::RoleValue;
use crate::model::storable::storable;
use crate::model::target::TeamRole;

/// Everything about one person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Who.
    #[serde(flatten)]
    pub who: Match,
    /// `enabled`, `disabled`, `withheld`, `unread` or `not_shown`.
    pub account: &'static str,
    /// LiteLLM's row, and how it is found.
    pub user: Option<Row>,
    /// App roles, directly or through a group.
    pub app_roles: Vec<AppRole>,
    /// Teams that the person is in, was put into, or was asked about.
    pub teams: Vec<Team>,
    /// What the plan does to the person's own row.
    pub planned: Vec<Item>,
    /// Why something was left out.
    pub skipped: Vec<Skipped>,
    /// What could not be read.
    pub errors: Vec<ObjectError>,
}

/// The row that stands for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `user_id`.
    pub id: UserId,
    /// `user_id`, `sso_user_id`, `verified_login`, `email`, `ledger`;
    /// `not_there_yet` for a row that the plan inserts, `gone` for one that the
    /// ledger knows and `LiteLLM` has no more.
    pub found_by: &'static str,
    /// `user_role` as stored.
    pub role: Option<String>,
    /// Whether the ledger knows the row as this person's: `managed` or `new`.
    pub ledger: &'static str,
}

/// One app role that an assignment names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppRole {
    /// Its id.
    pub id: AppRoleId,
    /// Its value.
    pub value: Option<String>,
    /// The group that gives it; null for a direct assignment.
    pub group: Option<GroupId>,
    /// `yes` if it is a role of a user of `LiteLLM`'s; else why it counts as
    /// none: `disabled`, `removed`, `refused`, or `foreign` for one of another
    /// purpose.
    pub counts: &'static str,
}

/// How a person stands to one team.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Team {
    /// The group, and the team's id.
    pub group: GroupId,
    /// The group's name.
    pub name: Option<String>,
    /// `yes`, `no` or `unknown`.
    pub wanted: &'static str,
    /// Why, in words.
    pub why: &'static str,
    /// `managed`, `manual`, `admin`, `unread` or `none`.
    pub membership: &'static str,
    /// What the plan does: `add`, `repair`, `adopt`, `remove`, `hold`, `wait`;
    /// empty when it leaves the membership as it is.
    pub planned: Vec<Item>,
}

/// Tells about one person, and of all teams or of these.
#[must_use]
pub fn explain(world: World<'_>, plan: &Plan, person: PersonId, asked: &[GroupId]) -> Explanation {
    let id = person.to_string();
    let user = row(world, plan, person);
    let items: Vec<Item> = match &user {
        None => Vec::new(),
        Some(row) => {
            let membership = format!("/{}", row.id);
            plan.items()
                .filter(|item| item.id == row.id.as_str() || item.id.ends_with(&membership))
                .collect()
        }
    };
    let groups = world.directory.groups.keys();
    let mut groups: Vec<GroupId> = groups
        .chain(world.owned.team_members.keys())
        .copied()
        .collect();
    groups.extend(asked);
    groups.sort_unstable();
    groups.dedup();
    let teams = groups
        .into_iter()
        .filter(|group| asked.is_empty() || asked.contains(group))
        .map(|group| team(world, person, group, user.as_ref(), &items))
        .filter(|team| !asked.is_empty() || team.concerns())
        .collect();
    let about =
        |other: &str| other == id || user.as_ref().is_some_and(|row| other == row.id.as_str());
    Explanation {
        who: matched(world, person),
        account: account(world, person),
        app_roles: app_roles(world, person),
        teams,
        planned: items
            .iter()
            .filter(|item| item.kind == Kind::User)
            .cloned()
            .collect(),
        skipped: plan
            .skipped
            .iter()
            .filter(|s| about(&s.id))
            .cloned()
            .collect(),
        errors: plan
            .unreadable
            .iter()
            .filter(|e| about(&e.id))
            .cloned()
            .collect(),
        user,
    }
}

impl Team {
    fn concerns(&self) -> bool {
        self.wanted == "yes" || self.membership != "none" || !self.planned.is_empty()
    }
}

fn attributes(world: World<'_>, person: PersonId) -> Option<&PersonAttributes> {
    match &world.directory.people.get(&person)?.attributes {
        Attributes::Known(attributes) => Some(attributes),
        Attributes::Unknown => None,
    }
}

fn account(world: World<'_>, person: PersonId) -> &'static str {
    match world
        .directory
        .people
        .get(&person)
        .map(|read| &read.attributes)
    {
        Some(Attributes::Known(read)) if read.account == Account::Disabled => "disabled",
        Some(Attributes::Known(_)) => "enabled",
        Some(Attributes::Unknown) => "withheld",
        None if world.directory.unread_people.contains_key(&person) => "unread",
        None => "not_shown",
    }
}

fn row(world: World<'_>, plan: &Plan, person: PersonId) -> Option<Row> {
    let change = plan.users.iter().find(|change| change.person() == person);
    let adopted = plan
        .adopted
        .users
        .iter()
        .find(|(other, _)| *other == person);
    let known = world.owned.people.get(&person);
    let (id, bind) = match (change, adopted, known) {
        (Some(UserChange::Create { user, .. }), _, _) => (user, None),
        (Some(UserChange::Update { user, bind, .. }), _, _) => (user, bind.as_ref()),
        (None, Some((_, owned)), _) | (None, None, Some(owned)) => (&owned.user, None),
        (None, None, None) => return None,
    };
    let subject = attributes(world, person).map(|read| UserId::new(&*read.subject));
    let subject = subject.unwrap_or_else(|| UserId::new(person.to_string()));
    let present = world.target.users.get(id);
    let found_by = match present {
        None if matches!(change, Some(UserChange::Create { .. })) => "not_there_yet",
        None => "gone",
        Some(_) if bind.is_some() => "email",
        Some(_) if *id == subject => "user_id",
        Some(row) if row.sso_user_id.as_ref() == Some(&subject) => "sso_user_id",
        Some(_) if world.target.verified_subjects.get(&person) == Some(id) => "verified_login",
        Some(_) => "ledger",
    };
    let managed = known.is_some_and(|known| known.user == *id);
    Some(Row {
        id: id.clone(),
        found_by,
        role: present.and_then(|row| row.role.as_str().map(str::to_owned)),
        ledger: if managed { "managed" } else { "new" },
    })
}

fn app_roles(world: World<'_>, person: PersonId) -> Vec<AppRole> {
    let assignments = world.directory.assignments.get().iter();
    assignments
        .filter(|assignment| !assignment.role.is_default_access())
        .filter_map(|assignment| {
            let group = match assignment.principal {
                Principal::Person(other) => (other == person).then_some(None)?,
                Principal::Group(group) => {
                    let bearers = world.directory.groups.get(&group)?.role_bearers()?;
                    bearers.contains(&person).then_some(Some(group))?
                }
            };
            let role = world.directory.roles.get(&assignment.role);
            let value = role.and_then(|role| role.value.clone());
            Some(AppRole {
                id: assignment.role,
                counts: match (RoleValue::read(value.as_deref()), role) {
                    (_, None) => "removed",
                    (_, Some(role)) if role.state == AppRoleState::Disabled => "disabled",
                    (RoleValue::Role(_), _) => "yes",
                    (RoleValue::Refused, _) => "refused",
                    (RoleValue::Foreign, _) => "foreign",
                },
                value,
                group,
            })
        })
        .collect()
}

fn team(
    world: World<'_>,
    person: PersonId,
    group: GroupId,
    user: Option<&Row>,
    items: &[Item],
) -> Team {
    let (wanted, why) = wanted(world, person, group);
    let planned = user.map(|row| format!("{group}/{}", row.id));
    Team {
        group,
        name: names(world, group)
            .next()
            .map(|name| storable(name).into_owned()),
        wanted,
        why,
        membership: membership(world, person, group, user),
        planned: items
            .iter()
            .filter(|item| Some(&item.id) == planned.as_ref())
            .cloned()
            .collect(),
    }
}

fn wanted(world: World<'_>, person: PersonId, group: GroupId) -> (&'static str, &'static str) {
    if !world.policy.groups.admits(group) {
        return (
            "unknown",
            "the settings exclude the group: it is left as it is",
        );
    }
    let Some(read) = world.directory.groups.get(&group) else {
        return ("no", "the group is not assigned to the application");
    };
    match &read.members {
        Ok(members) if members.get().binary_search(&person).is_ok() => {
            ("yes", "member of the group in Entra")
        }
        Ok(_) => ("no", "not a member of the group in Entra"),
        Err(Unread::Excluded | Unread::OutOfScope) => (
            "unknown",
            "the settings exclude the group: it is left as it is",
        ),
        Err(Unread::NotFound) => ("unknown", "Entra did not show the group"),
        Err(Unread::HiddenMembership) => ("unknown", "the group hides its members"),
        Err(Unread::Failed(_)) => ("unknown", "the group could not be read"),
    }
}

fn membership(
    world: World<'_>,
    person: PersonId,
    group: GroupId,
    user: Option<&Row>,
) -> &'static str {
    let team = TeamId::of(group);
    if world.target.broken_teams.contains_key(&team) {
        return "unread";
    }
    let (Some(row), Some(user)) = (world.target.teams.get(&team), user) else {
        return "none";
    };
    let mut entries = row
        .roster
        .iter()
        .filter(|entry| entry.user == user.id)
        .peekable();
    if entries.peek().is_none() {
        return "none";
    }
    let managed = world.owned.team_members.get(&group);
    if entries.any(|entry| entry.role == TeamRole::Admin) {
        "admin"
    } else if managed.is_some_and(|members| {
        let mut members = members.iter();
        members.any(|member| member.person == person && member.user == user.id)
    }) {
        "managed"
    } else {
        "manual"
    }
}
