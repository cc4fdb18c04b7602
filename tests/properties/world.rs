//! Small and nasty worlds: few people, groups and rows, so that they collide in
//! every way; names chosen to hurt.
//!
//! A [`Seed`] says in a few words what a world is made of and is what a failing
//! law prints; everything in it is a small number that names a person, group,
//! row or text below. `build.rs` makes the world.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::policies::{Rules, rules};

/// Every world has up to so many people, groups, rows.
pub const PEOPLE: u8 = 5;
pub const GROUPS: u8 = 3;
pub const ROWS: u8 = 5;
pub const ROLES: u8 = 7;

/// Names of people and groups: ordinary ones, and those that try something.
pub const NAMES: [&str; 9] = [
    "Ann",
    "Bob",
    "Cleo",
    "nul\0inside",
    "esc\u{1b}[2J",
    "two\nlines",
    "\u{202e}backwards",
    "quo\"te\\ user_role: \"proxy_admin",
    "",
];

/// Addresses as Entra's reader gives them.
pub const EMAILS: [&str; 4] = ["a@x.org", "b@x.org", "c@y.org", "nul\0@x.org"];

/// The subject or `user_id` of somebody who is known by another text than the
/// object id.
pub const TEXTS: [&str; 3] = ["emp/1", "emp 2\n+ create user x", "litellm-made"];

/// A text that identifies: an object id, or one of [`TEXTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Id {
    Person(u8),
    Text(u8),
}

/// How a group's reading went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Whole,
    Excluded,
    OutOfScope,
    NotFound,
    Hidden,
    Failed,
}

#[derive(Debug, Clone)]
pub struct PersonSeed {
    /// `None`: the object id is the subject.
    pub subject: Option<u8>,
    pub email: Option<u8>,
    pub alias: Option<u8>,
    pub disabled: bool,
    /// Attributes were withheld.
    pub withheld: bool,
}

#[derive(Debug, Clone)]
pub struct GroupSeed {
    pub name: Option<u8>,
    pub reading: Reading,
    pub members: Vec<u8>,
    /// The direct members, when `members` is transitive.
    pub direct: Option<Vec<u8>>,
    pub roles: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct RowSeed {
    pub id: Id,
    pub sso: Option<Id>,
    pub email: Option<u8>,
    pub upper: bool,
    pub alias: Option<u8>,
    /// 0 to 3: a ranked role; 4: NULL; 5: something else.
    pub role: u8,
    pub deactivated: bool,
    pub teams: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct TeamSeed {
    pub alias: Option<u8>,
    /// 0: none; 1: the group's own, if it is there; 2: another.
    pub organization: u8,
    pub models: u8,
    /// Row, and whether it is an admin.
    pub roster: Vec<(u8, bool)>,
    pub memberships: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct OrganizationSeed {
    pub alias: u8,
    pub models: u8,
    pub members: Vec<u8>,
}

/// What the ledger remembers of a text column: never written, NULL, or a text.
pub type Last = Option<Option<u8>>;

#[derive(Debug, Clone)]
pub struct KnownPerson {
    pub person: u8,
    pub row: u8,
    pub created: bool,
    pub alias: Last,
    pub email: Last,
    pub role: Option<u8>,
    /// Default teams that the person waits for, as in [`Rules::default_teams`].
    pub due: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct KnownGroup {
    pub team: Option<(Last, Option<u8>, bool)>,
    pub organization: Option<Last>,
    pub team_members: Vec<u8>,
    pub organization_members: Vec<u8>,
    /// Person and row: members as somebody who was that row before.
    pub earlier: Vec<(u8, u8)>,
}

/// Everything a world is made of.
#[derive(Clone)]
pub struct Seed {
    pub people: Vec<PersonSeed>,
    pub groups: Vec<GroupSeed>,
    /// Direct assignments: person and role.
    pub assigned: Vec<(u8, u8)>,
    pub unread_people: Vec<u8>,
    pub rows: Vec<RowSeed>,
    pub teams: Vec<Option<TeamSeed>>,
    pub organizations: Vec<Option<OrganizationSeed>>,
    /// Person and row: who logged in as whom.
    pub verified: Vec<(u8, u8)>,
    pub known_people: Vec<KnownPerson>,
    pub known_groups: Vec<KnownGroup>,
    pub rules: Rules,
    pub scope_groups: Vec<u8>,
    pub scope_people: Vec<u8>,
}

/// One line for one thing: a counterexample is read by people.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn lines<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, what: &str, list: &[T]) -> fmt::Result {
            for (index, item) in list.iter().enumerate() {
                write!(f, "\n  {what} {index}: {item:?}")?;
            }
            Ok(())
        }
        lines(f, "person", &self.people)?;
        lines(f, "group", &self.groups)?;
        lines(f, "assigned (person, role)", &self.assigned)?;
        lines(f, "unread person", &self.unread_people)?;
        lines(f, "row", &self.rows)?;
        lines(f, "team", &self.teams)?;
        lines(f, "organization", &self.organizations)?;
        lines(f, "verified (person, row)", &self.verified)?;
        lines(f, "ledger person", &self.known_people)?;
        lines(f, "ledger group", &self.known_groups)?;
        write!(f, "\n  {:?}", self.rules)?;
        let (groups, people) = (&self.scope_groups, &self.scope_people);
        writeln!(f, "\n  scope: groups {groups:?}, people {people:?}")
    }
}

fn name() -> impl Strategy<Value = Option<u8>> {
    option::weighted(0.8, 0..NAMES.len() as u8)
}

fn email() -> impl Strategy<Value = Option<u8>> {
    option::weighted(0.8, 0..EMAILS.len() as u8)
}

fn last(texts: usize) -> impl Strategy<Value = Last> {
    option::weighted(0.8, option::weighted(0.8, 0..texts as u8))
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        3 => (0..PEOPLE).prop_map(Id::Person),
        1 => (0..TEXTS.len() as u8).prop_map(Id::Text),
    ]
}

fn person() -> impl Strategy<Value = PersonSeed> {
    (
        option::weighted(0.15, 0..TEXTS.len() as u8),
        email(),
        name(),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.15),
    )
        .prop_map(|(subject, email, alias, disabled, withheld)| PersonSeed {
            subject,
            email,
            alias,
            disabled,
            withheld,
        })
}

fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        8 => Just(Reading::Whole),
        1 => Just(Reading::Excluded),
        1 => Just(Reading::OutOfScope),
        1 => Just(Reading::NotFound),
        1 => Just(Reading::Hidden),
        1 => Just(Reading::Failed),
    ]
}

fn group() -> impl Strategy<Value = GroupSeed> {
    (
        name(),
        reading(),
        vec(0..PEOPLE, 0..5),
        option::weighted(0.2, vec(0..PEOPLE, 0..3)),
        vec(0..ROLES, 0..3),
    )
        .prop_map(|(name, reading, members, direct, roles)| GroupSeed {
            name,
            reading,
            members,
            direct,
            roles,
        })
}

fn row() -> impl Strategy<Value = RowSeed> {
    (
        id(),
        option::weighted(0.5, id()),
        email(),
        any::<bool>(),
        name(),
        0_u8..6,
        prop::bool::weighted(0.1),
        vec(0..GROUPS, 0..3),
    )
        .prop_map(
            |(id, sso, email, upper, alias, role, deactivated, teams)| RowSeed {
                id,
                sso,
                email,
                upper,
                alias,
                role,
                deactivated,
                teams,
            },
        )
}

fn team() -> impl Strategy<Value = TeamSeed> {
    (
        name(),
        0_u8..3,
        0_u8..4,
        vec((0..ROWS, prop::bool::weighted(0.2)), 0..4),
        vec(0..ROWS, 0..4),
    )
        .prop_map(
            |(alias, organization, models, roster, memberships)| TeamSeed {
                alias,
                organization,
                models,
                roster,
                memberships,
            },
        )
}

fn organization() -> impl Strategy<Value = OrganizationSeed> {
    (0..NAMES.len() as u8, 0_u8..4, vec(0..ROWS, 0..4)).prop_map(|(alias, models, members)| {
        OrganizationSeed {
            alias,
            models,
            members,
        }
    })
}

fn known_person() -> impl Strategy<Value = KnownPerson> {
    (
        0..PEOPLE,
        0..ROWS,
        any::<bool>(),
        last(NAMES.len()),
        last(EMAILS.len()),
        option::of(0_u8..4),
        vec(0..=GROUPS, 0..2),
    )
        .prop_map(
            |(person, row, created, alias, email, role, due)| KnownPerson {
                person,
                row,
                created,
                alias,
                email,
                role,
                due,
            },
        )
}

fn known_group() -> impl Strategy<Value = KnownGroup> {
    (
        option::of((last(NAMES.len()), option::of(0_u8..4), any::<bool>())),
        option::of(last(NAMES.len())),
        vec(0..PEOPLE, 0..4),
        vec(0..PEOPLE, 0..4),
        vec((0..PEOPLE, 0..ROWS), 0..2),
    )
        .prop_map(
            |(team, organization, team_members, organization_members, earlier)| KnownGroup {
                team,
                organization,
                team_members,
                organization_members,
                earlier,
            },
        )
}

/// Worlds of every kind, filtered passes among them.
pub fn seeds() -> impl Strategy<Value = Seed> {
    let entra = (
        vec(person(), PEOPLE as usize),
        vec(group(), 0..=GROUPS as usize),
        vec((0..PEOPLE, 0..ROLES), 0..4),
        vec(0..PEOPLE, 0..2),
    );
    let litellm = (
        vec(row(), 0..=ROWS as usize),
        vec(option::of(team()), 0..=GROUPS as usize),
        vec(option::of(organization()), 0..=GROUPS as usize),
        vec((0..PEOPLE, 0..ROWS), 0..3),
    );
    let ledger = (
        vec(known_person(), 0..4),
        vec(known_group(), 0..=GROUPS as usize),
    );
    let scope = prop_oneof![
        6 => Just((Vec::new(), Vec::new())),
        1 => vec(0..GROUPS, 1..2).prop_map(|groups| (groups, Vec::new())),
        1 => vec(0..PEOPLE, 1..3).prop_map(|people| (Vec::new(), people)),
        1 => (vec(0..GROUPS, 1..2), vec(0..PEOPLE, 1..3)),
    ];
    (entra, litellm, ledger, rules(), scope).prop_map(
        |(entra, litellm, ledger, rules, (scope_groups, scope_people))| {
            let (people, groups, assigned, unread_people) = entra;
            let (rows, teams, organizations, verified) = litellm;
            let (known_people, known_groups) = ledger;
            Seed {
                people,
                groups,
                assigned,
                unread_people,
                rows,
                teams,
                organizations,
                verified,
                known_people,
                known_groups,
                rules,
                scope_groups,
                scope_people,
            }
        },
    )
}
