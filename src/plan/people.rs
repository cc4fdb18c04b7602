//! Which LiteLLM row stands for which person, and what has to change in it.
//!
//! Invariant: a row that is bound to another identity, or that an
//! administrator owns, is never taken; a person whose attributes were withheld
//! is neither created nor changed.

use std::collections::{HashMap, HashSet};

use super::World;
use super::addresses::{Addresses, Move, folded};
use super::change::{FieldChange, Member, Plan, UserChange};
use super::desired::{Desired, skipped};
use super::follow::{Verdict, follow, raised_role, take_over_role};
use super::identity::{Identities, Identity};
use super::newcomers;
use crate::model::directory::{Account, Attributes, PersonAttributes};
use crate::model::ids::{PersonId, UserId};
use crate::model::ledger::{LastWritten, Origin, Ours, OwnedUser, RoleFrom};
use crate::model::policy::EmailAdoption;
use crate::model::report::{Kind, ObjectError};
use crate::model::role::Role;
use crate::model::storable::storable;
use crate::model::target::{StoredRole, UserRow};

/// The row of everyone who has or will have one and may be made a member.
pub(super) type Bound = HashMap<PersonId, UserId>;

/// A person together with the row that stands for them.
struct Matched<'a> {
    person: PersonId,
    attributes: &'a PersonAttributes,
    user: &'a UserId,
    row: &'a UserRow,
    /// The row was found by e-mail and is to be bound, as LiteLLM's login does.
    bind: bool,
}

/// Decides about every wanted person; returns who may be a member of what, and
/// who among them is new.
pub(super) fn decide(
    world: World<'_>,
    desired: &Desired<'_>,
    plan: &mut Plan,
) -> (Bound, Vec<Member>) {
    let identities = Identities::new(world);
    let mut addresses = Addresses::new(world.target);
    let mut bound = Bound::with_capacity(desired.people.len());
    let (mut matched, strangers) = identify(world, desired, &identities, &mut bound, plan);
    let moves = moves(world, &matched);
    let granted = addresses.settle(&moves);
    let readers = readers(world);
    let mut newcomers = Vec::new();
    for (person, attributes) in strangers {
        if attributes.account == Account::Disabled {
            plan.skipped.push(skipped(Kind::User, person, "disabled"));
            continue;
        }
        let row = attributes.email.as_deref().and_then(|email| {
            let one_reader = readers.get(&folded(email)) == Some(&1);
            let user = addresses.only_holder(email).filter(|_| one_reader)?;
            adoptable(world, &identities, person, user)
        });
        match row {
            Some((user, row)) => matched.push(Matched {
                person,
                attributes,
                user,
                row,
                bind: true,
            }),
            None => newcomers.push((person, attributes)),
        }
    }
    matched.sort_unstable_by_key(|matched| matched.person);
    for matched in &matched {
        bound.insert(matched.person, matched.user.clone());
        let wanted = desired.roles.get(&matched.person).copied();
        let change = existing(world, plan, matched, wanted, &granted);
        plan.users.extend(change);
    }
    let joined = newcomers::seat(world, desired, plan, &mut addresses, newcomers);
    let rows = joined.iter().map(|new| (new.person, new.user.clone()));
    bound.extend(rows);
    (bound, joined)
}

type Stranger<'a> = (PersonId, &'a PersonAttributes);

/// Parts the wanted people into those whose identity leads to a row and those
/// whom LiteLLM does not know by it; whoever is neither goes into the plan.
fn identify<'a>(
    world: World<'a>,
    desired: &Desired<'_>,
    identities: &Identities<'a>,
    bound: &mut Bound,
    plan: &mut Plan,
) -> (Vec<Matched<'a>>, Vec<Stranger<'a>>) {
    let (mut matched, mut strangers) = (Vec::new(), Vec::new());
    let mut withheld = 0_u64;
    for person in &desired.people {
        let person = *person;
        let attributes = match world.directory.people.get(&person) {
            None => continue,
            Some(read) => match &read.attributes {
                Attributes::Known(attributes) => attributes.as_ref(),
                Attributes::Unknown => {
                    withheld += 1;
                    match identities.of(person, None) {
                        Identity::Row(user, _) => {
                            bound.insert(person, user.clone());
                            remember(world, plan, person, user);
                        }
                        Identity::Nobody | Identity::Refused(_) => {
                            plan.skipped
                                .push(skipped(Kind::User, person, "attributes_unknown"))
                        }
                    }
                    continue;
                }
            },
        };
        if !domain_is_admitted(world, attributes) {
            plan.skipped
                .push(skipped(Kind::User, person, "email_domain"));
            continue;
        }
        match identities.of(person, Some(attributes)) {
            Identity::Row(user, row) => matched.push(Matched {
                person,
                attributes,
                user,
                row,
                bind: false,
            }),
            Identity::Nobody => strangers.push((person, attributes)),
            Identity::Refused(reason) => plan.skipped.push(skipped(Kind::User, person, reason)),
        }
    }
    if withheld > 0 {
        plan.unreadable.push(ObjectError {
            kind: Kind::User,
            id: "*".to_owned(),
            message: format!(
                "Graph withheld the attributes of {withheld} people: grant the application \
                 User.Read.All (admin consent); nobody among them was created or changed"
            ),
        });
    }
    (matched, strangers)
}

/// LiteLLM compares what follows the first `@`, literally; who has no address
/// is not checked (litellm-contract 2c, `ALLOWED_EMAIL_DOMAINS`).
fn domain_is_admitted(world: World<'_>, attributes: &PersonAttributes) -> bool {
    let Some(domains) = &world.policy.email_domains else {
        return true;
    };
    let Some(email) = &attributes.email else {
        return true;
    };
    email
        .split_once('@')
        .is_some_and(|(_, rest)| domains.contains(rest.split('@').next().unwrap_or(rest)))
}

/// How many people read have an address.
fn readers(world: World<'_>) -> HashMap<String, u32> {
    let mut readers = HashMap::new();
    for person in world.directory.people.values() {
        if let Attributes::Known(attributes) = &person.attributes
            && let Some(email) = &attributes.email
        {
            *readers.entry(folded(email)).or_default() += 1;
        }
    }
    readers
}

/// The row that an address leads to, only if nothing about it is in doubt.
fn adoptable<'a>(
    world: World<'a>,
    identities: &Identities<'a>,
    person: PersonId,
    user: &UserId,
) -> Option<(&'a UserId, &'a UserRow)> {
    if world.policy.email_adoption == EmailAdoption::Forbidden {
        return None;
    }
    let (user, row) = world.target.users.get_key_value(user)?;
    let privileged = row.role == StoredRole::Role(Role::ProxyAdmin)
        || world.policy.proxy_admin.as_ref() == Some(user);
    let free = row.sso_user_id.is_none() && identities.is_unclaimed(user, person);
    (free && !privileged).then_some((user, row))
}

/// What the ledger knows of a person as this row, which may be an earlier one
/// that is theirs again.
fn known<'a>(world: World<'a>, person: PersonId, user: &UserId) -> Option<&'a OwnedUser> {
    world.owned.known(person, user)
}

/// A person whom the ledger meets for the first time: nothing was written yet.
#[must_use]
pub fn first_met(user: &UserId) -> OwnedUser {
    OwnedUser {
        user: user.clone(),
        origin: Origin::Adopted,
        alias: LastWritten::Never,
        email: LastWritten::Never,
        subject: None,
        role: None,
        role_from: RoleFrom::Default,
        deactivation: Ours::No,
    }
}

/// Notes who a person is whose attributes are withheld, so that their
/// memberships can be told apart from those a person made by hand.
fn remember(world: World<'_>, plan: &mut Plan, person: PersonId, user: &UserId) {
    let known = known(world, person, user).cloned();
    let is_new = known.is_none();
    let owned = known.unwrap_or_else(|| first_met(user));
    if world.owned.people.get(&person) != Some(&owned) {
        plan.adopted.users.push((person, owned));
    }
    if is_new {
        plan.adopted.first_seen.users.push(Member {
            user: user.clone(),
            person,
        });
    }
}

/// Who would change their address, if they may.
fn moves<'a>(world: World<'_>, matched: &[Matched<'a>]) -> Vec<Move<'a>> {
    matched
        .iter()
        .filter_map(|matched| {
            let last = known(world, matched.person, matched.user).map(|known| &known.email);
            let mut last = last.cloned().unwrap_or_default();
            let change = email(matched, &mut last)?;
            Some(Move {
                person: matched.person,
                user: matched.user,
                row: matched.row,
                to: change.after?,
            })
        })
        .collect()
}

/// What has to change in a row that is there; the ledger's view of it goes
/// into the change or, when LiteLLM stays as it is, into the adoptions.
fn existing(
    world: World<'_>,
    plan: &mut Plan,
    matched: &Matched<'_>,
    wanted_role: Option<Role>,
    may_move: &HashSet<PersonId>,
) -> Option<UserChange> {
    let Matched {
        person,
        attributes,
        user,
        row,
        ..
    } = *matched;
    let known = known(world, person, user);
    let mut owned = known.cloned().unwrap_or_else(|| first_met(user));

    let wanted_alias = as_stored(plan, person, attributes.alias.as_deref());
    // Compared below in the same form; here only to say what was replaced.
    let _ = as_stored(plan, person, attributes.email.as_deref());
    let alias = column(
        row.alias.as_ref(),
        wanted_alias.as_ref(),
        &mut owned.alias,
        |a, b| a == b,
    );
    let mut last_email = owned.email.clone();
    let mut email = email(matched, &mut last_email);
    if email.is_some() && !may_move.contains(&person) {
        plan.skipped
            .push(skipped(Kind::User, person, "email_taken"));
        email = None;
    } else {
        owned.email = last_email;
    }
    let role = raised_role(wanted_role, &row.role);
    match &role {
        Some(change) => {
            (owned.role, owned.role_from) = (change.after, RoleFrom::Assignment);
        }
        None => take_over_role(world, wanted_role, &row.role, &mut owned),
    }
    let bind = matched
        .bind
        .then(|| UserId::new(attributes.subject.as_ref()));
    // Bound otherwise, the row says nothing about what this person's id is.
    let subject = attributes.subject.as_ref();
    if row
        .sso_user_id
        .as_ref()
        .is_none_or(|bound| bound.as_str() == subject)
    {
        owned.subject = OwnedUser::subject_of(person, subject);
    }

    let unchanged = alias.is_none() && email.is_none() && role.is_none() && bind.is_none();
    if known.is_none() {
        plan.adopted.first_seen.users.push(Member {
            user: user.clone(),
            person,
        });
    }
    if unchanged {
        if world.owned.people.get(&person) != Some(&owned) {
            plan.adopted.users.push((person, owned));
        }
        return None;
    }
    Some(UserChange::Update {
        person,
        user: user.clone(),
        bind,
        email,
        alias,
        role,
        owned,
    })
}

/// A name or address as the database can hold it; what it refuses is said.
pub(super) fn as_stored(plan: &mut Plan, person: PersonId, text: Option<&str>) -> Option<Box<str>> {
    let storable = storable(text?);
    if matches!(storable, std::borrow::Cow::Owned(_)) {
        plan.skipped
            .push(skipped(Kind::User, person, "refused_characters_replaced"));
    }
    Some(storable.into())
}

/// What Entra's address does to the row's.
fn email(matched: &Matched<'_>, last: &mut LastWritten<Box<str>>) -> Option<FieldChange<Box<str>>> {
    let wanted = matched.attributes.email.as_deref();
    let wanted: Option<Box<str>> = wanted.map(|email| storable(email).into());
    column(matched.row.email.as_ref(), wanted.as_ref(), last, |a, b| {
        folded(a) == folded(b)
    })
}

/// Applies [`follow`] to a column and keeps the ledger's value in step.
fn column<T: Clone + PartialEq>(
    present: Option<&T>,
    wanted: Option<&T>,
    last: &mut LastWritten<T>,
    same: impl Fn(&T, &T) -> bool,
) -> Option<FieldChange<T>> {
    match follow(present, wanted, last, same) {
        Verdict::Write(value) => {
            *last = LastWritten::Value(value.clone());
            Some(FieldChange {
                before: present.cloned(),
                after: Some(value),
            })
        }
        Verdict::Equal => {
            *last = LastWritten::wrote(present.cloned());
            None
        }
        Verdict::Leave => None,
    }
}
