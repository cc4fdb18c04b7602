//! What Entra wants: which groups count, who is in them, who has which role.

use std::collections::{BTreeMap, HashMap};

use super::World;
use super::change::Plan;
use crate::model::directory::{AppRoleState, Principal, Unread};
use crate::model::ids::{AppRoleId, GroupId, PersonId};
use crate::model::report::{Kind, ObjectError, Skipped};
use crate::model::role::{Role, RoleValue};
use crate::model::storable::storable;

/// Entra's wishes, free of LiteLLM.
#[derive(Debug)]
pub struct Desired<'a> {
    /// Groups that were read to their end, by id.
    pub groups: BTreeMap<GroupId, WantedGroup<'a>>,
    /// Everyone who is to have a user: members of these groups and, when the
    /// pass looks at everything, people assigned directly. Sorted.
    pub people: Vec<PersonId>,
    /// The highest app role of whoever has one.
    pub roles: HashMap<PersonId, Role>,
}

/// A group that becomes a team.
#[derive(Debug)]
pub struct WantedGroup<'a> {
    /// Its display name, as PostgreSQL can hold it.
    pub alias: Option<String>,
    /// Its user members, sorted.
    pub members: &'a [PersonId],
}

/// Reads the wishes out of a directory; what was left out goes into the plan.
pub fn desired<'a>(world: World<'a>, plan: &mut Plan) -> Desired<'a> {
    let groups = groups(world, plan);
    let mut people: Vec<PersonId> = groups
        .values()
        .flat_map(|group| group.members.iter().copied())
        .collect();
    if world.scope.asked_groups().is_empty() {
        for assignment in world.directory.assignments.get() {
            if let Principal::Person(person) = assignment.principal {
                people.push(person);
            }
        }
    }
    people.sort_unstable();
    people.dedup();
    // It had room for every membership.
    people.shrink_to_fit();
    let unread_people = &world.directory.unread_people;
    for person in world.scope.asked_people() {
        if people.binary_search(person).is_err() && !unread_people.contains_key(person) {
            plan.skipped
                .push(skipped(Kind::User, *person, "not_in_source"));
        }
    }
    people
        .retain(|person| world.scope.covers_person(*person) && !unread_people.contains_key(person));
    for (person, reason) in unread_people {
        let asked_for = !matches!(reason, Unread::OutOfScope | Unread::Excluded);
        if asked_for && world.scope.covers_person(*person) {
            plan.unreadable.push(ObjectError {
                kind: Kind::User,
                id: person.to_string(),
                message: unread(reason, "user"),
            });
        }
    }
    Desired {
        groups,
        people,
        roles: roles(world, plan),
    }
}

fn groups<'a>(world: World<'a>, plan: &mut Plan) -> BTreeMap<GroupId, WantedGroup<'a>> {
    let mut wanted = BTreeMap::new();
    for (id, group) in &world.directory.groups {
        if !world.scope.covers_group(*id) {
            continue;
        }
        if !world.policy.groups.admits(*id) {
            plan.skipped.push(skipped(Kind::Group, *id, "excluded"));
            continue;
        }
        let members = match &group.members {
            Ok(members) => members.get().as_slice(),
            Err(Unread::Excluded) => {
                plan.skipped.push(skipped(Kind::Group, *id, "excluded"));
                continue;
            }
            Err(Unread::OutOfScope) => continue,
            Err(reason) => {
                plan.unreadable.push(ObjectError {
                    kind: Kind::Group,
                    id: id.to_string(),
                    message: unread(reason, "group"),
                });
                continue;
            }
        };
        let alias = group.display_name.as_deref().map(storable);
        if matches!(alias, Some(std::borrow::Cow::Owned(_))) {
            let reason = "refused_characters_replaced";
            plan.skipped.push(skipped(Kind::Group, *id, reason));
        }
        wanted.insert(
            *id,
            WantedGroup {
                alias: alias.map(std::borrow::Cow::into_owned),
                members,
            },
        );
    }
    wanted
}

/// The sentence for something that could not be read.
fn unread(reason: &Unread, what: &str) -> String {
    match reason {
        Unread::NotFound => format!(
            "Entra does not show this {what} (404): it was deleted a short while ago or is not yet \
             replicated; nothing was changed for it, and the next pass looks again"
        ),
        Unread::HiddenMembership => "the group hides its members and was read as empty: grant the \
             application Member.Read.Hidden, or exclude the group with entra.exclude_groups; \
             nothing was changed for it"
            .to_owned(),
        Unread::Failed(sentence) => sentence.clone(),
        Unread::Excluded | Unread::OutOfScope => "not read".to_owned(),
    }
}

fn roles(world: World<'_>, plan: &mut Plan) -> HashMap<PersonId, Role> {
    let mut highest: HashMap<PersonId, Role> = HashMap::new();
    for assignment in world.directory.assignments.get() {
        let Some(role) = counted_role(world, assignment.role, plan) else {
            continue;
        };
        let mut grant = |person: PersonId| {
            highest
                .entry(person)
                .and_modify(|present| *present = role.max(*present))
                .or_insert(role);
        };
        match assignment.principal {
            Principal::Person(person) => grant(person),
            Principal::Group(group) if world.policy.groups.admits(group) => {
                let bearers = world
                    .directory
                    .groups
                    .get(&group)
                    .and_then(|group| group.role_bearers());
                for person in bearers.unwrap_or_default() {
                    grant(*person);
                }
            }
            Principal::Group(_) => {}
        }
    }
    highest
}

/// What an assignment's app role counts as; one that does not is named.
fn counted_role(world: World<'_>, id: AppRoleId, plan: &mut Plan) -> Option<Role> {
    if id.is_default_access() {
        return None;
    }
    let role = world.directory.roles.get(&id)?;
    let value = RoleValue::read(role.value.as_deref());
    match (value, role.state) {
        (RoleValue::Role(role), AppRoleState::Enabled) => Some(role),
        (RoleValue::Role(_) | RoleValue::Refused, AppRoleState::Disabled) => {
            plan.skipped
                .push(skipped(Kind::AppRole, id, "role_disabled"));
            None
        }
        (RoleValue::Refused, AppRoleState::Enabled) => {
            plan.skipped
                .push(skipped(Kind::AppRole, id, "role_refused"));
            None
        }
        (RoleValue::Foreign, _) => None,
    }
}

pub(super) fn skipped(kind: Kind, id: impl ToString, reason: &str) -> Skipped {
    Skipped {
        kind,
        id: id.to_string(),
        reason: reason.to_owned(),
    }
}
