//! A representative plan, as people and programs are shown it.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{Plan, World, additions, printable, render};
use crate::model::complete::{Complete, LastPage};
use crate::model::defaults::{DefaultTeam, TeamDefaults, UserDefaults};
use crate::model::directory::{
    Account, AppRole, AppRoleState, Assignment, Attributes, Directory, Group, Person,
    PersonAttributes, Principal, ReadingCost, Unread,
};
use crate::model::ids::{AppRoleId, GroupId, PersonId, TeamId, UserId};
use crate::model::ledger::{LastWritten, Member, Origin, Ours, Owned, OwnedUser, RoleFrom};
use crate::model::policy::{
    EmailAdoption, GroupFilter, Limit, OrganizationTeamModels, Organizations, Policy, Scope,
};
use crate::model::role::Role;
use crate::model::target::{Activity, RosterEntry, StoredRole, Target, TeamRole, TeamRow, UserRow};

const ENGINEERING: GroupId = GroupId::new(Uuid::from_u128(0xe1));
const SALES: GroupId = GroupId::new(Uuid::from_u128(0xe2));
const HIDDEN: GroupId = GroupId::new(Uuid::from_u128(0xe3));
const ADMIN: AppRoleId = AppRoleId::new(Uuid::from_u128(0xf1));

const fn id(person: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(person))
}

fn whole<T>(list: T) -> Complete<T> {
    Complete::proven(list, LastPage::seen(None).unwrap())
}

fn person(number: u128, email: &str, alias: &str) -> (PersonId, Person) {
    let attributes = PersonAttributes {
        subject: id(number).to_string().into(),
        email: Some(email.into()),
        also_known_as: Box::default(),
        alias: Some(alias.into()),
        account: Account::Enabled,
    };
    let attributes = Attributes::Known(Box::new(attributes));
    (id(number), Person { attributes })
}

fn group(name: &str, members: Result<Vec<PersonId>, Unread>) -> Group {
    Group {
        display_name: Some(name.to_owned()),
        members: members.map(whole),
        direct_members: None,
        other_members: 0,
    }
}

fn row(sso: Option<u128>, email: &str, alias: &str, teams: &[GroupId]) -> UserRow {
    UserRow {
        sso_user_id: sso.map(|number| UserId::new(id(number).to_string())),
        email: Some(email.into()),
        alias: Some(alias.into()),
        role: StoredRole::Role(Role::InternalUser),
        activity: Activity::Active,
        teams: teams.iter().map(|group| TeamId::of(*group)).collect(),
    }
}

/// Ann (1) is new and an administrator, Bob (2) was invited by e-mail, Cleo
/// (3) and Dan (4) have swapped addresses, Eve (5) is new and finds no seat.
fn directory() -> Directory {
    let everybody = vec![id(1), id(2), id(3), id(4), id(5)];
    let mut people = HashMap::from([
        person(1, "ann@example.com", "Ann \"the\u{202e}\" Admin\n+ create"),
        person(2, "bob@example.com", "Bob"),
        person(3, "dan@example.com", "Cleo"),
        person(4, "cleo@example.com", "Dan"),
        person(5, "eve@example.com", "Eve"),
    ]);
    people.insert(
        id(6),
        Person {
            attributes: Attributes::Unknown,
        },
    );
    let assigned = |principal, role| Assignment { principal, role };
    Directory {
        roles: BTreeMap::from([(
            ADMIN,
            AppRole {
                value: Some("proxy_admin".to_owned()),
                state: AppRoleState::Enabled,
            },
        )]),
        assignments: whole(vec![
            assigned(Principal::Person(id(1)), ADMIN),
            assigned(Principal::Person(id(6)), AppRoleId::new(Uuid::nil())),
        ]),
        groups: BTreeMap::from([
            (ENGINEERING, group("Engineering", Ok(everybody))),
            (SALES, group("Sales", Ok(vec![id(3), id(4)]))),
            (HIDDEN, group("Board", Err(Unread::HiddenMembership))),
        ]),
        people,
        unread_people: BTreeMap::new(),
        cost: ReadingCost::default(),
    }
}

/// LiteLLM has Bob, Cleo and Dan, and the sales team with Cleo torn.
fn target() -> Target {
    let user = |number| UserId::new(id(number).to_string());
    let roster = RosterEntry {
        user: user(3),
        role: TeamRole::User,
    };
    let sales = TeamRow {
        alias: Some("Sales".to_owned()),
        roster: vec![roster],
        ..TeamRow::default()
    };
    Target {
        users: BTreeMap::from([
            (
                UserId::new("invited 1"),
                row(None, "Bob@Example.com", "Bobby", &[]),
            ),
            (user(3), row(Some(3), "cleo@example.com", "Cleo", &[SALES])),
            (user(4), row(Some(4), "dan@example.com", "Dan", &[])),
        ]),
        teams: BTreeMap::from([
            (TeamId::of(SALES), sales),
            (TeamId::new("everybody"), TeamRow::default()),
        ]),
        billable_users: 3,
        team_count: 2,
        ..Target::default()
    }
}

fn member(number: u128) -> Member {
    Member {
        user: UserId::new(id(number).to_string()),
        person: id(number),
    }
}

fn owned() -> Owned {
    let known = |number: u128, email: &str| {
        let user = OwnedUser {
            user: UserId::new(id(number).to_string()),
            origin: Origin::Created,
            alias: LastWritten::Never,
            email: LastWritten::Value(email.into()),
            subject: None,
            role: None,
            role_from: RoleFrom::Default,
            deactivation: Ours::No,
        };
        (id(number), user)
    };
    Owned {
        people: HashMap::from([known(3, "cleo@example.com"), known(4, "dan@example.com")]),
        team_members: BTreeMap::from([(SALES, vec![member(4)])]),
        ..Owned::default()
    }
}

fn policy() -> Policy {
    Policy {
        organizations: Organizations::On(OrganizationTeamModels::Mirror),
        email_adoption: EmailAdoption::Allowed,
        seats: Limit::AtMost(4),
        teams: Limit::Unlimited,
        proxy_admin: None,
        groups: GroupFilter::default(),
        email_domains: None,
        team_defaults: TeamDefaults {
            models: vec!["gpt".to_owned()],
            ..TeamDefaults::default()
        },
        user_defaults: UserDefaults {
            teams: vec![DefaultTeam {
                team: TeamId::new("everybody"),
                max_budget: Some(5.0),
                role: TeamRole::Admin,
            }],
            ..UserDefaults::default()
        },
    }
}

fn representative() -> Plan {
    additions(World {
        directory: &directory(),
        target: &target(),
        owned: &owned(),
        policy: &policy(),
        scope: &Scope::default(),
    })
}

#[test]
fn people_read_one_line_for_one_object() {
    let mut text = Vec::new();
    render::text(&representative(), &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r#"
    + create organization 00000000-0000-0000-0000-0000000000e1 organization_alias: "Engineering" (group assigned, create_organizations is on)
    + create organization 00000000-0000-0000-0000-0000000000e2 organization_alias: "Sales" (group assigned, create_organizations is on)
    + create team 00000000-0000-0000-0000-0000000000e1 models: ["gpt"] organization_id: "00000000-0000-0000-0000-0000000000e1" team_alias: "Engineering" (group assigned)
    ~ update user "invited 1" sso_user_id: nothing -> "00000000-0000-0000-0000-000000000002" (found by e-mail)
    ~ update user 00000000-0000-0000-0000-000000000003 user_email: "cleo@example.com" -> "dan@example.com" (name or address changed in Entra)
    ~ update user 00000000-0000-0000-0000-000000000004 user_email: "dan@example.com" -> "cleo@example.com" (name or address changed in Entra)
    + create user 00000000-0000-0000-0000-000000000001 user_alias: "Ann \"the\u{202e}\" Admin\u{a}+ create" user_email: "ann@example.com" user_role: "proxy_admin" (assigned through a group or directly)
    + add team_membership 00000000-0000-0000-0000-0000000000e1/00000000-0000-0000-0000-000000000001 (member of the group)
    + add team_membership 00000000-0000-0000-0000-0000000000e1/00000000-0000-0000-0000-000000000003 (member of the group)
    + add team_membership 00000000-0000-0000-0000-0000000000e1/00000000-0000-0000-0000-000000000004 (member of the group)
    + add team_membership "00000000-0000-0000-0000-0000000000e1/invited 1" (member of the group)
    + add team_membership 00000000-0000-0000-0000-0000000000e2/00000000-0000-0000-0000-000000000004 (taken out in LiteLLM, still a member of the group)
    ~ repair team_membership 00000000-0000-0000-0000-0000000000e2/00000000-0000-0000-0000-000000000003 (copies of the membership disagree)
    + add team_membership everybody/00000000-0000-0000-0000-000000000001 max_budget_in_team: 5.0 role: "admin" (new user, default_internal_user_params.teams)
    + add organization_membership 00000000-0000-0000-0000-0000000000e1/00000000-0000-0000-0000-000000000001 (member of the group, create_organizations is on)
    + add organization_membership 00000000-0000-0000-0000-0000000000e1/00000000-0000-0000-0000-000000000003 (member of the group, create_organizations is on)
    + add organization_membership 00000000-0000-0000-0000-0000000000e1/00000000-0000-0000-0000-000000000004 (member of the group, create_organizations is on)
    + add organization_membership "00000000-0000-0000-0000-0000000000e1/invited 1" (member of the group, create_organizations is on)
    + add organization_membership 00000000-0000-0000-0000-0000000000e2/00000000-0000-0000-0000-000000000003 (member of the group, create_organizations is on)
    + add organization_membership 00000000-0000-0000-0000-0000000000e2/00000000-0000-0000-0000-000000000004 (member of the group, create_organizations is on)
    = adopt team 00000000-0000-0000-0000-0000000000e2 (found in LiteLLM, wanted by Entra)
    = adopt user "invited 1" (found in LiteLLM, wanted by Entra)
    . user 00000000-0000-0000-0000-000000000005 left out: no_seat
    . user 00000000-0000-0000-0000-000000000006 left out: attributes_unknown
    ! group 00000000-0000-0000-0000-0000000000e3 the group hides its members and was read as empty: grant the application Member.Read.Hidden, or exclude the group with entra.exclude_groups; nothing was changed for it
    ! user * Graph withheld the attributes of 1 people: grant the application User.Read.All (admin consent); nobody among them was created or changed
    "#);
}

#[test]
fn programs_read_columns_before_and_after() {
    let plan = representative();
    let kinds = ["user", "team"];
    let items = plan
        .items()
        .filter(|item| kinds.contains(&item.kind.as_str()));
    let items: Vec<String> = items
        .map(|item| printable(&serde_json::to_string(&item).unwrap()).into_owned())
        .collect();
    insta::assert_snapshot!(items.join("\n"), @r#"
    {"action":"create","kind":"team","id":"00000000-0000-0000-0000-0000000000e1","reason":"group assigned","before":null,"after":{"models":["gpt"],"organization_id":"00000000-0000-0000-0000-0000000000e1","team_alias":"Engineering"}}
    {"action":"update","kind":"user","id":"invited 1","reason":"found by e-mail","before":{"sso_user_id":null},"after":{"sso_user_id":"00000000-0000-0000-0000-000000000002"}}
    {"action":"update","kind":"user","id":"00000000-0000-0000-0000-000000000003","reason":"name or address changed in Entra","before":{"user_email":"cleo@example.com"},"after":{"user_email":"dan@example.com"}}
    {"action":"update","kind":"user","id":"00000000-0000-0000-0000-000000000004","reason":"name or address changed in Entra","before":{"user_email":"dan@example.com"},"after":{"user_email":"cleo@example.com"}}
    {"action":"create","kind":"user","id":"00000000-0000-0000-0000-000000000001","reason":"assigned through a group or directly","before":null,"after":{"user_alias":"Ann \"the\u{202e}\" Admin\n+ create","user_email":"ann@example.com","user_role":"proxy_admin"}}
    {"action":"adopt","kind":"team","id":"00000000-0000-0000-0000-0000000000e2","reason":"found in LiteLLM, wanted by Entra","before":null,"after":null}
    {"action":"adopt","kind":"user","id":"invited 1","reason":"found in LiteLLM, wanted by Entra","before":null,"after":null}
    "#);
}

/// An approval names a digest, maybe for days: it must not change between two
/// builds that mean the same.
#[test]
fn the_digest_of_a_plan_is_the_same_everywhere() {
    insta::assert_snapshot!(representative().digest(), @"7ea13776a07c06bb22ccc39790249d75032c2b2e5f5b21e48c4ca226c9f0a95a");
}
