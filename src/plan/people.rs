//! Which LiteLLM row stands for which person, and what has to change in it.
//!
//! Invariant: a row stands for one person at most; a row that is bound to
//! another identity, or that an administrator owns, is never taken; a person
//! whose attributes were withheld is neither created nor changed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::World;
use super::change::{FieldChange, Member, Plan, UserChange};
use super::desired::{Desired, skipped};
use super::follow::{Verdict, follow};
use super::text::storable;
use crate::model::directory::{Account, Attributes, PersonAttributes};
use crate::model::ids::{PersonId, UserId};
use crate::model::ledger::{LastWritten, Origin, OwnedUser};
use crate::model::policy::EmailAdoption;
use crate::model::report::{Kind, ObjectError};
use crate::model::role::Role;
use crate::model::target::{StoredRole, Target, UserRow};

/// The row of everyone who has or will have one and may be made a member.
pub(super) type Bound = HashMap<PersonId, UserId>;

/// Looks rows up the ways LiteLLM's login does.
struct Lookup<'a> {
    target: &'a Target,
    by_subject: HashMap<&'a str, &'a UserId>,
    by_email: HashMap<String, Vec<&'a UserId>>,
    /// Rows that some Microsoft login is bound to.
    verified: HashMap<&'a UserId, PersonId>,
    /// How many people read have an address.
    readers: HashMap<&'a str, u32>,
    /// Rows that are somebody's by identity: nobody takes them by e-mail,
    /// whoever is looked at first.
    claimed: HashSet<&'a UserId>,
}

impl<'a> Lookup<'a> {
    fn new(world: World<'a>) -> Self {
        let target = world.target;
        let mut by_subject = HashMap::new();
        let mut by_email: HashMap<String, Vec<&UserId>> = HashMap::new();
        for (id, row) in &target.users {
            if let Some(subject) = &row.sso_user_id {
                by_subject.insert(subject.as_str(), id);
            }
            if let Some(email) = &row.email {
                by_email.entry(email.to_lowercase()).or_default().push(id);
            }
        }
        let mut readers: HashMap<&str, u32> = HashMap::new();
        for person in world.directory.people.values() {
            if let Attributes::Known(attributes) = &person.attributes
                && let Some(email) = &attributes.email
            {
                *readers.entry(email).or_default() += 1;
            }
        }
        let mut lookup = Self {
            target,
            by_subject,
            by_email,
            verified: target
                .verified_subjects
                .iter()
                .map(|(p, u)| (u, *p))
                .collect(),
            readers,
            claimed: HashSet::new(),
        };
        lookup.claimed = world
            .directory
            .people
            .iter()
            .filter_map(|(person, read)| {
                let subject = subject(*person, &read.attributes);
                lookup.by_identity(*person, &subject)
            })
            .map(|(user, _)| user)
            .collect();
        lookup
    }

    /// By `user_id`, by `sso_user_id`, by a verified login.
    fn by_identity(&self, person: PersonId, subject: &str) -> Option<(&'a UserId, &'a UserRow)> {
        self.target
            .users
            .get_key_value(subject)
            .or_else(|| {
                let id = self.by_subject.get(subject)?;
                self.target.users.get_key_value(*id)
            })
            .or_else(|| {
                let id = self.target.verified_subjects.get(&person)?;
                self.target.users.get_key_value(id)
            })
    }

    /// By e-mail, only if nothing about the match is in doubt.
    fn by_email(
        &self,
        world: World<'_>,
        person: PersonId,
        email: &str,
    ) -> Option<(&'a UserId, &'a UserRow)> {
        if world.policy.email_adoption == EmailAdoption::Forbidden
            || self.readers.get(email).copied().unwrap_or_default() > 1
        {
            return None;
        }
        let [id] = self.by_email.get(email)?.as_slice() else {
            return None;
        };
        let (id, row) = self.target.users.get_key_value(*id)?;
        let privileged = row.role == StoredRole::Role(Role::ProxyAdmin)
            || world.policy.proxy_admin.as_ref() == Some(id);
        let another = self.claimed.contains(id)
            || self.verified.get(id).is_some_and(|owner| *owner != person);
        (row.sso_user_id.is_none() && !privileged && !another).then_some((id, row))
    }

    fn email_is_free(&self, email: &str, own: Option<&UserId>) -> bool {
        self.by_email
            .get(email)
            .is_none_or(|rows| rows.iter().all(|row| Some(*row) == own))
    }
}

/// What LiteLLM looks for in `user_id` and `sso_user_id`.
fn subject(person: PersonId, attributes: &Attributes) -> Cow<'_, str> {
    match attributes {
        Attributes::Known(attributes) => Cow::Borrowed(attributes.subject.as_ref()),
        Attributes::Unknown => Cow::Owned(person.to_string()),
    }
}

/// How a person's row is found, if there is one.
enum Found<'a> {
    Row(&'a UserId, &'a UserRow),
    ByEmail(&'a UserId, &'a UserRow),
    Nobody,
}

/// Decides about every wanted person; returns who may be a member of what.
pub(super) fn decide(world: World<'_>, desired: &Desired<'_>, plan: &mut Plan) -> Bound {
    let lookup = Lookup::new(world);
    let mut bound = Bound::with_capacity(desired.people.len());
    let mut rows_taken: HashSet<UserId> = HashSet::with_capacity(desired.people.len());
    let mut emails_taken: HashSet<Box<str>> = HashSet::new();
    let mut newcomers: Vec<UserChange> = Vec::new();
    let mut withheld = 0_u64;
    for person in &desired.people {
        let Some(read) = world.directory.people.get(person) else {
            continue;
        };
        let attributes = match &read.attributes {
            Attributes::Known(attributes) => Some(attributes.as_ref()),
            Attributes::Unknown => None,
        };
        let subject = subject(*person, &read.attributes).into_owned();
        let found = find(world, &lookup, *person, &subject, attributes);
        let Some(attributes) = attributes else {
            withheld += 1;
            match found {
                Found::Row(user, _) if rows_taken.insert(user.clone()) => {
                    bound.insert(*person, user.clone());
                }
                _ => plan
                    .skipped
                    .push(skipped(Kind::User, *person, "attributes_unknown")),
            }
            continue;
        };
        if !domain_is_admitted(world, attributes) {
            plan.skipped
                .push(skipped(Kind::User, *person, "email_domain"));
            continue;
        }
        match found {
            Found::Row(user, row) | Found::ByEmail(user, row) => {
                if !rows_taken.insert(user.clone()) {
                    plan.skipped.push(skipped(Kind::User, *person, "row_taken"));
                    continue;
                }
                bound.insert(*person, user.clone());
                let change = existing(
                    world,
                    desired,
                    &lookup,
                    plan,
                    &mut emails_taken,
                    (*person, attributes),
                    (user, row),
                );
                plan.users.extend(change);
            }
            Found::Nobody if attributes.account == Account::Disabled => {
                plan.skipped.push(skipped(Kind::User, *person, "disabled"));
            }
            Found::Nobody => {
                let user = UserId::new(subject);
                if !rows_taken.insert(user.clone()) {
                    plan.skipped.push(skipped(Kind::User, *person, "row_taken"));
                    continue;
                }
                let role = desired
                    .roles
                    .get(person)
                    .copied()
                    .or(world.policy.user_defaults.role)
                    .unwrap_or(Role::FALLBACK);
                newcomers.push(UserChange::Create {
                    person: *person,
                    user,
                    email: new_email(&lookup, plan, &mut emails_taken, *person, attributes),
                    alias: alias(plan, *person, attributes),
                    role,
                });
            }
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
    seat(world, plan, &mut bound, newcomers);
    bound
}

fn find<'a>(
    world: World<'_>,
    lookup: &Lookup<'a>,
    person: PersonId,
    subject: &str,
    attributes: Option<&PersonAttributes>,
) -> Found<'a> {
    if let Some((user, row)) = lookup.by_identity(person, subject) {
        return Found::Row(user, row);
    }
    let email = attributes
        .filter(|a| a.account == Account::Enabled)
        .and_then(|a| a.email.as_deref());
    match email.and_then(|email| lookup.by_email(world, person, email)) {
        Some((user, row)) => Found::ByEmail(user, row),
        None => Found::Nobody,
    }
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

fn alias(plan: &mut Plan, person: PersonId, attributes: &PersonAttributes) -> Option<Box<str>> {
    as_stored(plan, person, attributes.alias.as_deref())
}

/// A name or address as the database can hold it; what it refuses is said.
fn as_stored(plan: &mut Plan, person: PersonId, text: Option<&str>) -> Option<Box<str>> {
    let storable = storable(text?);
    if matches!(storable, Cow::Owned(_)) {
        plan.skipped
            .push(skipped(Kind::User, person, "refused_characters_replaced"));
    }
    Some(storable.into())
}

fn new_email(
    lookup: &Lookup<'_>,
    plan: &mut Plan,
    taken: &mut HashSet<Box<str>>,
    person: PersonId,
    attributes: &PersonAttributes,
) -> Option<Box<str>> {
    let email = as_stored(plan, person, attributes.email.as_deref())?;
    if lookup.email_is_free(&email, None) && taken.insert(email.clone()) {
        Some(email)
    } else {
        plan.skipped
            .push(skipped(Kind::User, person, "email_taken"));
        None
    }
}

/// What has to change in a row that is there; the ledger's view of it goes
/// into the change or, when LiteLLM stays as it is, into the adoptions.
fn existing(
    world: World<'_>,
    desired: &Desired<'_>,
    lookup: &Lookup<'_>,
    plan: &mut Plan,
    emails_taken: &mut HashSet<Box<str>>,
    (person, attributes): (PersonId, &PersonAttributes),
    (user, row): (&UserId, &UserRow),
) -> Option<UserChange> {
    let known = world
        .owned
        .people
        .get(&person)
        .filter(|known| known.user == *user);
    let mut owned = known.cloned().unwrap_or_else(|| OwnedUser {
        user: user.clone(),
        origin: Origin::Adopted,
        alias: LastWritten::Never,
        email: LastWritten::Never,
        role: None,
    });

    let wanted_alias = alias(plan, person, attributes);
    let alias = column(
        row.alias.as_ref(),
        wanted_alias.as_ref(),
        &mut owned.alias,
        |a, b| a == b,
    );
    let email = email_column(
        lookup,
        plan,
        emails_taken,
        &mut owned,
        (person, attributes),
        (user, row),
    );
    let role = raised_role(desired.roles.get(&person).copied(), &row.role);
    if let Some(change) = &role {
        owned.role = change.after;
    }
    // A row found by e-mail is bound to the person, as LiteLLM's login does.
    let found_by_email = lookup.by_identity(person, &attributes.subject).is_none();
    let bind = found_by_email.then(|| UserId::new(attributes.subject.as_ref()));

    let unchanged = alias.is_none() && email.is_none() && role.is_none() && bind.is_none();
    if known.is_none() {
        plan.adopted.first_seen.users.push(Member {
            user: user.clone(),
            person,
        });
    }
    if unchanged {
        if known != Some(&owned) {
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

fn email_column(
    lookup: &Lookup<'_>,
    plan: &mut Plan,
    taken: &mut HashSet<Box<str>>,
    owned: &mut OwnedUser,
    (person, attributes): (PersonId, &PersonAttributes),
    (user, row): (&UserId, &UserRow),
) -> Option<FieldChange<Box<str>>> {
    let wanted = as_stored(plan, person, attributes.email.as_deref());
    let mut last = owned.email.clone();
    let change = column(row.email.as_ref(), wanted.as_ref(), &mut last, |a, b| {
        a.to_lowercase() == b.to_lowercase()
    });
    if let Some(FieldChange {
        after: Some(address),
        ..
    }) = &change
    {
        let free = lookup.email_is_free(address, Some(user)) && taken.insert(address.clone());
        if !free {
            plan.skipped
                .push(skipped(Kind::User, person, "email_taken"));
            return None;
        }
    }
    owned.email = last;
    change
}

/// A role only rises here: lowering it takes something away.
fn raised_role(wanted: Option<Role>, present: &StoredRole) -> Option<FieldChange<Role>> {
    let wanted = wanted?;
    let before = match present {
        StoredRole::None => None,
        StoredRole::Role(present) if wanted > *present => Some(*present),
        StoredRole::Role(_) | StoredRole::Other(_) => return None,
    };
    Some(FieldChange {
        before,
        after: Some(wanted),
    })
}

/// Gives the free seats to the newcomers: the higher role first, then by id.
fn seat(world: World<'_>, plan: &mut Plan, bound: &mut Bound, mut newcomers: Vec<UserChange>) {
    newcomers.sort_by_cached_key(|change| match change {
        UserChange::Create { role, person, .. } => (std::cmp::Reverse(*role), *person),
        UserChange::Update { person, .. } => (std::cmp::Reverse(Role::FALLBACK), *person),
    });
    let room = world.policy.seats.room(world.target.billable_users);
    let room = usize::try_from(room)
        .unwrap_or(usize::MAX)
        .min(newcomers.len());
    let left_out = newcomers.split_off(room);
    for change in left_out {
        plan.skipped
            .push(skipped(Kind::User, change.person(), "no_seat"));
    }
    for change in &newcomers {
        if let UserChange::Create { person, user, .. } = change {
            bound.insert(*person, user.clone());
        }
    }
    plan.users.extend(newcomers);
}
