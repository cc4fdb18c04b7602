//! Asking LiteLLM for the rows of some people shows what the snapshot of all
//! rows shows of them.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::litellm::snapshot::{self, Interest};
use entra_sync::model::directory::{Account, Attributes, PersonAttributes};
use entra_sync::model::ids::{GroupId, PersonId, TeamId, UserId};
use entra_sync::model::ledger::{LastWritten, Member, Origin, Ours, Owned, OwnedUser, RoleFrom};
use entra_sync::model::target::{Target, TeamRow};
use serde_json::json;
use uuid::Uuid;

use crate::support::dice::Dice;
use crate::support::{Hands, TestDatabase, seed};

const PEOPLE: u128 = 12;
const GROUPS: u128 = 10;

fn person_id(number: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(0xABCD_0000 + number))
}

fn group_id(number: u128) -> GroupId {
    GroupId::new(Uuid::from_u128(0xB000_0000 + number))
}

fn read_as(number: u128) -> Attributes {
    let id = person_id(number);
    let email = match number {
        0 => None,
        1 => Some("ada@contoso.example.com"),
        2 => Some("bob@contoso.example.com"),
        3 => Some("zoë@contoso.example.com"),
        4 => Some("kai@contoso.example.com"),
        5 => return Attributes::Unknown,
        _ => Some("somebody@contoso.example.com"),
    };
    let subject = match number {
        6 => "s-6".into(),
        _ => id.to_string().into(),
    };
    Attributes::Known(Box::new(PersonAttributes {
        subject,
        email: email.map(Into::into),
        also_known_as: Box::new([]),
        alias: None,
        account: Account::Enabled,
    }))
}

/// Rows that are found in every way there is, in lists of every form.
async fn furnished() -> Hands {
    let database = TestDatabase::create().await.unexported();
    let own = |number: u128| person_id(number).to_string();
    for number in [1, 7, 8, 9] {
        seed::user(&own(number)).insert(&database).await;
    }
    for (user, column, value) in [
        ("by sso id", "sso_user_id", json!(own(3))),
        ("by subject", "sso_user_id", json!("s-6")),
        ("by address", "user_email", json!("BOB@contoso.example.com")),
        ("also by it", "user_email", json!("bob@Contoso.example.com")),
        (
            "by capitals",
            "user_email",
            json!("ZOË@CONTOSO.example.com"),
        ),
        (
            "by kelvin",
            "user_email",
            json!("\u{212a}ai@contoso.example.com"),
        ),
        ("verified", "user_email", json!("x@no.example")),
        ("verified 2", "user_email", json!(null)),
        ("given", "user_email", json!("y@no.example")),
        ("nobody", "user_email", json!("z@no.example")),
    ] {
        let row = seed::user(user).with("sso_user_id", json!(null));
        row.with(column, value).insert(&database).await;
    }
    seed::user("deactivated")
        .with("user_email", "somebody@contoso.example.com")
        .with("metadata", json!({ "scim_active": false }))
        .insert(&database)
        .await;
    for (oid, user, issuer) in [
        (own(4).to_uppercase(), "verified", "a"),
        (own(5), "verified 2", "a"),
        (own(5), "verified", "b"),
        (own(11), "by address", "a"),
        (own(11), "nobody", "b"),
        ("no id".to_owned(), "by address", "c"),
        // Somebody whom nobody has read.
        (own(99), "by address", "d"),
    ] {
        seed::verified_subject(&oid, user)
            .with("subject_id", format!("{issuer} {oid}"))
            .with("issuer", issuer)
            .insert(&database)
            .await;
    }
    let member = |user: &str, role: &str| json!({ "user_id": user, "role": role, "x": [1] });
    let all = |role: &str| {
        let users = ["by sso id", "nobody", "given", "verified", "by address"];
        let mut list: Vec<_> = users.iter().map(|user| member(user, role)).collect();
        list.extend((0..PEOPLE).map(|number| member(&own(number), "user")));
        list
    };
    let mut twice = all("user");
    twice.push(member("given", "admin"));
    twice.push(member("given", "user"));
    let rosters = [
        json!(all("user")),
        json!(twice),
        json!({}),
        json!(json!(all("user")).to_string()),
        json!({ "a": 1 }),
        json!([member("given", "user"), { "user_id": 7, "role": "user" }]),
        json!([member("given", "user"), { "user_email": "a@no.example", "role": "admin" },
               { "user_id": null, "role": "user" }, { "user_id": "nobody" }]),
        json!([member("given", "user"), "nobody"]),
        json!([member("given", "user"), { "user_id": "verified", "role": null }]),
        json!("no roster"),
    ];
    for (number, roster) in rosters.into_iter().enumerate() {
        let id = group_id(number as u128).to_string();
        let team = seed::team(&id).with("members_with_roles", roster);
        team.insert(&database).await;
        if number % 2 == 0 {
            seed::budget(&id).insert(&database).await;
            let organization = seed::organization(&id, &id);
            organization.insert(&database).await;
        }
        for user in ["given", "by address", "nobody", &own(1)] {
            seed::team_membership(user, &id).insert(&database).await;
            if number % 2 == 0 {
                let membership = seed::organization_membership(user, &id);
                membership.insert(&database).await;
            }
        }
    }
    let hands = Hands::on(database).await;
    let teams = (0..GROUPS + 1).map(|number| group_id(number).to_string());
    let teams: Vec<String> = teams.chain(["sales".to_owned()]).collect();
    hands
        .sql(&format!(
            "UPDATE \"LiteLLM_UserTable\" SET teams = '{{{}}}' WHERE user_id <> 'nobody'",
            teams.join(",")
        ))
        .await;
    hands
}

fn owned_user(user: &str) -> OwnedUser {
    OwnedUser {
        user: UserId::new(user),
        origin: Origin::Adopted,
        alias: LastWritten::Never,
        email: LastWritten::Never,
        subject: None,
        role: None,
        role_from: RoleFrom::Default,
        deactivation: Ours::No,
    }
}

/// What the ledger may say.
fn some_owned(dice: &mut Dice) -> Owned {
    let mut owned = Owned::default();
    if dice.below(2) == 0 {
        owned.people.insert(person_id(9), owned_user("given"));
    }
    if dice.below(2) == 0 {
        let member = Member {
            user: UserId::new("deactivated"),
            person: person_id(8),
        };
        owned.team_members.insert(group_id(3), vec![member]);
    }
    owned
}

async fn read(hands: &Hands, interest: &Interest) -> Target {
    let mut transaction = hands.begin_reading().await;
    let read = snapshot::read(&mut transaction, hands.capabilities(), interest).await;
    transaction.commit().await.expect("it is read");
    read.unwrap_or_else(|error| panic!("{error}"))
}

async fn look_up(hands: &Hands, interest: &Interest) -> Target {
    let mut transaction = hands.begin_reading().await;
    let read = snapshot::look_up(&mut transaction, hands.capabilities(), interest).await;
    transaction.commit().await.expect("it is read");
    read.unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn assert_same(asked: &Target, read: &Target, what: &str) {
    assert_eq!(asked.users, read.users, "{what}");
    assert_eq!(asked.teams, read.teams, "{what}");
    assert_eq!(asked.broken_teams, read.broken_teams, "{what}");
    assert_eq!(asked.organizations, read.organizations, "{what}");
    assert_eq!(asked.verified_subjects, read.verified_subjects, "{what}");
    assert_eq!(asked.billable_users, read.billable_users, "{what}");
    assert_eq!(asked.team_count, read.team_count, "{what}");
}

/// What a snapshot of everything shows of these users and teams.
fn only(all: &Target, users: &BTreeSet<UserId>, teams: &BTreeSet<TeamId>) -> Target {
    let mut target = all.clone();
    target.users.retain(|user, _| users.contains(user));
    for row in target.users.values_mut() {
        row.teams.retain(|team| teams.contains(team));
    }
    target
        .verified_subjects
        .retain(|_, user| users.contains(user));
    target.teams.retain(|team, _| teams.contains(team));
    for row in target.teams.values_mut() {
        let before = row.roster.len();
        row.roster.retain(|entry| users.contains(&entry.user));
        row.strangers += (before - row.roster.len()) as u64;
        row.memberships.retain(|user| users.contains(user));
    }
    target.broken_teams.retain(|team, _| teams.contains(team));
    let named = |id: &str| teams.contains(&TeamId::new(id));
    target.organizations.retain(|id, _| named(id.as_str()));
    for row in target.organizations.values_mut() {
        row.members.retain(|user| users.contains(user));
    }
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_about_is_shown_as_all_are() {
    let hands = furnished().await;
    let read_all: Vec<(PersonId, Attributes)> = (0..PEOPLE)
        .map(|number| (person_id(number), read_as(number)))
        .collect();
    let everybody = read_all.iter().map(|(id, read)| (*id, read));
    let mut owned = Owned::default();
    owned.people.insert(person_id(9), owned_user("given"));
    owned
        .people
        .insert(person_id(10), owned_user("deactivated"));
    let groups = (0..GROUPS).map(group_id);
    let all = Interest::among(everybody, groups, &owned, hands.policy());
    let all = read(&hands, &all).await;
    assert!(all.users.len() > 8, "{:#?}", all.users);
    assert_eq!(all.broken_teams.len(), 4, "{:#?}", all.broken_teams);
    let found: Vec<&str> = all.users.keys().map(UserId::as_str).collect();
    for user in [
        "by capitals",
        "by kelvin",
        "by subject",
        "verified",
        "also by it",
    ] {
        assert!(found.contains(&user), "{user}: {found:?}");
    }
    assert!(!found.contains(&"nobody"), "{found:?}");

    for seed in 0..60 {
        let what = format!("seed {seed}");
        let mut dice = Dice::new(seed);
        let odds = dice.below(4) + 1;
        let owned = some_owned(&mut dice);
        let people = read_all.iter().filter(|_| dice.below(odds) == 0);
        let people: Vec<_> = people.map(|(id, read)| (*id, read)).collect();
        let groups = (0..GROUPS).map(group_id).filter(|_| dice.below(odds) == 0);
        let groups: Vec<GroupId> = groups.collect();
        let interest = Interest::among(people, groups.clone(), &owned, hands.policy());
        let asked = look_up(&hands, &interest).await;
        assert_same(&asked, &read(&hands, &interest).await, &what);
        let users: BTreeSet<UserId> = asked.users.keys().cloned().collect();
        let managed = owned.team_members.keys().copied();
        let teams = groups.into_iter().chain(managed).map(TeamId::of).collect();
        assert_same(&asked, &only(&all, &users, &teams), &what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_some_teams_only_the_row_is_asked_for() {
    let hands = furnished().await;
    let ada = read_as(1);
    let owned = Owned::default();
    let interest = Interest::among(
        [(person_id(1), &ada)],
        [group_id(0)],
        &owned,
        hands.policy(),
    );
    let interest = interest.with_rows_of([group_id(0), group_id(1), group_id(4), group_id(42)]);
    let asked = look_up(&hands, &interest).await;
    let read = read(&hands, &interest).await;
    assert_eq!(asked.users, read.users, "and which of the teams they list");
    let (first, second) = (TeamId::of(group_id(0)), TeamId::of(group_id(1)));
    assert_eq!(asked.teams[&first], read.teams[&first]);
    assert_eq!(asked.teams[&first].roster.len(), 1);
    let row = TeamRow {
        roster: Vec::new(),
        strangers: 0,
        memberships: Vec::new(),
        ..read.teams[&second].clone()
    };
    assert_eq!(asked.teams[&second], row);
    let teams: Vec<&TeamId> = asked.teams.keys().collect();
    assert_eq!(teams.len(), 3, "{teams:?}");
    assert_eq!(asked.broken_teams, BTreeMap::new());
    assert_eq!(asked.organizations.len(), 2);
    let members: Vec<usize> = asked
        .organizations
        .values()
        .map(|o| o.members.len())
        .collect();
    assert_eq!(members, [1, 0]);
}
