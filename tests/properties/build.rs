//! Makes a world out of its seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entra_sync::model::complete::{Complete, LastPage};
use entra_sync::model::directory::{
    Account, AppRole, AppRoleState, Assignment, Attributes, Directory, Group, Person,
    PersonAttributes, Principal, ReadingCost, Unread,
};
use entra_sync::model::ids::{AppRoleId, GroupId, OrganizationId, PersonId, TeamId, UserId};
use entra_sync::model::ledger::Owned;
use entra_sync::model::policy::{Policy, Scope};
use entra_sync::model::role::Role;
use entra_sync::model::target::{
    Activity, Block, OrganizationRow, RosterEntry, StoredRole, Target, TeamRole, TeamRow, UserRow,
};
use entra_sync::plan::{self, Plan, World};
use uuid::Uuid;

use crate::policies::default_team;
use crate::world::{EMAILS, GROUPS, GroupSeed, Id, NAMES, Reading, RowSeed, Seed, TEXTS, TeamSeed};

/// A whole world, owned.
#[derive(Debug, Clone)]
pub struct Universe {
    pub directory: Directory,
    pub target: Target,
    pub owned: Owned,
    pub policy: Policy,
    pub scope: Scope,
}

impl Universe {
    pub fn plan(&self) -> Plan {
        plan::additions(self.world())
    }

    pub fn world(&self) -> World<'_> {
        World {
            directory: &self.directory,
            target: &self.target,
            owned: &self.owned,
            policy: &self.policy,
            scope: &self.scope,
        }
    }
}

pub fn person_id(index: u8) -> PersonId {
    PersonId::new(Uuid::from_u128(0xaaaa_0000 + u128::from(index)))
}

pub fn group_id(index: u8) -> GroupId {
    GroupId::new(Uuid::from_u128(0x9999_0000 + u128::from(index)))
}

pub fn role_id(index: u8) -> AppRoleId {
    AppRoleId::new(Uuid::from_u128(u128::from(index)))
}

pub fn ranked(index: u8) -> Role {
    match index {
        0 => Role::InternalUserViewer,
        1 => Role::InternalUser,
        2 => Role::ProxyAdminViewer,
        _ => Role::ProxyAdmin,
    }
}

pub fn models(index: u8) -> Vec<String> {
    let names: &[&str] = match index {
        0 => &[],
        1 => &["gpt"],
        2 => &["gpt", "claude"],
        _ => &["claude", "gpt"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Seals a list as the reader does at the last page.
pub fn whole<T>(list: T) -> Complete<T> {
    let end = LastPage::seen(None).expect("a page without successor is the last");
    Complete::proven(list, end)
}

pub fn text(id: Id) -> String {
    match id {
        Id::Person(person) => person_id(person).to_string(),
        Id::Text(text) => TEXTS[usize::from(text)].to_owned(),
    }
}

pub fn name(index: u8) -> &'static str {
    NAMES[usize::from(index)]
}

/// PostgreSQL holds no NUL.
pub fn stored(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub fn people(list: &[u8]) -> Vec<PersonId> {
    let sorted: BTreeSet<PersonId> = list.iter().map(|person| person_id(*person)).collect();
    sorted.into_iter().collect()
}

impl Seed {
    pub fn build(&self) -> Universe {
        let target = self.target();
        Universe {
            directory: self.directory(),
            owned: self.owned(&target),
            policy: self.rules.policy(target.billable_users, target.team_count),
            scope: Scope::asked(
                self.scope_groups.iter().map(|g| group_id(*g)).collect(),
                self.scope_people.iter().map(|p| person_id(*p)).collect(),
            ),
            target,
        }
    }

    fn directory(&self) -> Directory {
        let mut assignments: Vec<Assignment> = Vec::new();
        let mut groups = BTreeMap::new();
        for (index, group) in (0..).zip(&self.groups) {
            let principal = Principal::Group(group_id(index));
            // Default access, as every assignment without role has it.
            assignments.push(Assignment {
                principal,
                role: role_id(0),
            });
            assignments.extend(group.roles.iter().map(|role| Assignment {
                principal,
                role: role_id(*role),
            }));
            groups.insert(group_id(index), directory_group(group));
        }
        assignments.extend(self.assigned.iter().map(|(person, role)| Assignment {
            principal: Principal::Person(person_id(*person)),
            role: role_id(*role),
        }));
        Directory {
            roles: app_roles(),
            assignments: whole(assignments),
            groups,
            people: (0..)
                .zip(&self.people)
                .map(|(i, p)| (person_id(i), person(i, p)))
                .collect(),
            unread_people: self
                .unread_people
                .iter()
                .map(|person| (person_id(*person), Unread::NotFound))
                .collect(),
            cost: ReadingCost::default(),
        }
    }

    fn target(&self) -> Target {
        let mut users: BTreeMap<UserId, UserRow> = BTreeMap::new();
        let mut bound = BTreeSet::new();
        for row in &self.rows {
            let mut made = user_row(row);
            // `sso_user_id` is unique in LiteLLM.
            if made
                .sso_user_id
                .as_ref()
                .is_some_and(|sso| !bound.insert(sso.clone()))
            {
                made.sso_user_id = None;
            }
            users.entry(UserId::new(text(row.id))).or_insert(made);
        }
        let organizations: BTreeMap<_, _> = (0..)
            .zip(&self.organizations)
            .filter_map(|(index, seed)| {
                let seed = seed.as_ref()?;
                let row = OrganizationRow {
                    alias: stored(name(seed.alias)),
                    models: models(seed.models),
                    members: self.users(&seed.members),
                    ..OrganizationRow::default()
                };
                Some((OrganizationId::of(group_id(index)), row))
            })
            .collect();
        let mut teams: BTreeMap<_, _> = (0..)
            .zip(&self.teams)
            .filter_map(|(index, seed)| {
                let own = OrganizationId::of(group_id(index));
                let own = organizations.contains_key(&own).then_some(own);
                Some((
                    TeamId::of(group_id(index)),
                    self.team_row(seed.as_ref()?, own),
                ))
            })
            .collect();
        if self.rules.default_organization != 1 {
            teams.insert(default_team(GROUPS), TeamRow::default());
        }
        let active = |row: &&UserRow| row.activity == Activity::Active;
        Target {
            broken_teams: BTreeMap::new(),
            billable_users: users.values().filter(active).count() as u64,
            team_count: teams.len() as u64,
            verified_subjects: self
                .verified
                .iter()
                .filter_map(|(person, row)| {
                    let row = self.rows.get(usize::from(*row))?;
                    Some((person_id(*person), UserId::new(text(row.id))))
                })
                .collect(),
            users,
            teams,
            organizations,
        }
    }

    fn users(&self, rows: &[u8]) -> Vec<UserId> {
        let ids: BTreeSet<UserId> = rows
            .iter()
            .filter_map(|row| self.rows.get(usize::from(*row)))
            .map(|row| UserId::new(text(row.id)))
            .collect();
        ids.into_iter().collect()
    }

    fn team_row(&self, seed: &TeamSeed, own: Option<OrganizationId>) -> TeamRow {
        let roster: BTreeSet<RosterEntry> = seed
            .roster
            .iter()
            .filter_map(|(row, admin)| {
                let row = self.rows.get(usize::from(*row))?;
                Some(RosterEntry {
                    user: UserId::new(text(row.id)),
                    role: if *admin {
                        TeamRole::Admin
                    } else {
                        TeamRole::User
                    },
                })
            })
            .collect();
        TeamRow {
            alias: seed.alias.map(|alias| stored(name(alias))),
            organization: match seed.organization {
                0 => None,
                1 => own,
                _ => Some(OrganizationId::new("elsewhere")),
            },
            models: models(seed.models),
            roster: roster.into_iter().collect(),
            strangers: 0,
            memberships: self.users(&seed.memberships),
            block: Block::Open,
        }
    }
}

/// Role 0 is default access; then the four ranked ones, a disabled one, and
/// one that LiteLLM refuses.
fn app_roles() -> BTreeMap<AppRoleId, AppRole> {
    let role = |value: &str, state| AppRole {
        value: Some(value.to_owned()),
        state,
    };
    let enabled = AppRoleState::Enabled;
    BTreeMap::from([
        (role_id(1), role("Internal_User_Viewer", enabled)),
        (role_id(2), role("internal_user", enabled)),
        (role_id(3), role("proxy_admin_viewer", enabled)),
        (role_id(4), role("proxy_admin", enabled)),
        (role_id(5), role("proxy_admin", AppRoleState::Disabled)),
        (role_id(6), role("org_admin", enabled)),
    ])
}

fn directory_group(seed: &GroupSeed) -> Group {
    let members = match seed.reading {
        Reading::Whole => Ok(whole(people(&seed.members))),
        Reading::Excluded => Err(Unread::Excluded),
        Reading::OutOfScope => Err(Unread::OutOfScope),
        Reading::NotFound => Err(Unread::NotFound),
        Reading::Hidden => Err(Unread::HiddenMembership),
        Reading::Failed => Err(Unread::Failed("the page broke\noff".to_owned())),
    };
    Group {
        display_name: seed.name.map(|index| name(index).to_owned()),
        direct_members: match (&members, &seed.direct) {
            (Ok(_), Some(direct)) => Some(whole(people(direct))),
            _ => None,
        },
        members,
        other_members: 0,
    }
}

fn person(index: u8, seed: &crate::world::PersonSeed) -> Person {
    if seed.withheld {
        return Person {
            attributes: Attributes::Unknown,
        };
    }
    let subject = match seed.subject {
        None => person_id(index).to_string(),
        Some(text) => TEXTS[usize::from(text)].to_owned(),
    };
    Person {
        attributes: Attributes::Known(Box::new(PersonAttributes {
            subject: subject.into(),
            email: seed.email.map(|email| EMAILS[usize::from(email)].into()),
            also_known_as: Box::default(),
            alias: seed.alias.map(|alias| name(alias).into()),
            account: if seed.disabled {
                Account::Disabled
            } else {
                Account::Enabled
            },
        })),
    }
}

fn user_row(seed: &RowSeed) -> UserRow {
    let email = seed.email.map(|email| stored(EMAILS[usize::from(email)]));
    let teams: BTreeSet<TeamId> = seed
        .teams
        .iter()
        .map(|g| TeamId::of(group_id(*g)))
        .collect();
    UserRow {
        sso_user_id: seed.sso.map(|sso| UserId::new(text(sso))),
        email: email.map(|email| {
            if seed.upper {
                email.to_uppercase().into()
            } else {
                email.into()
            }
        }),
        alias: seed.alias.map(|alias| stored(name(alias)).into()),
        role: match seed.role {
            ranked_role @ 0..=3 => StoredRole::Role(ranked(ranked_role)),
            4 => StoredRole::None,
            _ => StoredRole::Other("customer".into()),
        },
        activity: if seed.deactivated {
            Activity::Deactivated
        } else {
            Activity::Active
        },
        teams: teams.into_iter().collect(),
    }
}

/// Everybody whom the directory shows, for laws that look at all of them.
pub fn known_attributes(directory: &Directory) -> HashMap<PersonId, &PersonAttributes> {
    directory
        .people
        .iter()
        .filter_map(|(id, person)| match &person.attributes {
            Attributes::Known(attributes) => Some((*id, attributes.as_ref())),
            Attributes::Unknown => None,
        })
        .collect()
}
