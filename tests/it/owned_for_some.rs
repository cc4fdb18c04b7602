//! What is owned of some people and groups is what is owned, without the rest.

use std::collections::{BTreeMap, BTreeSet};

use entra_sync::ledger::ownership;
use entra_sync::model::ids::{GroupId, PersonId, RunId, SourceId, TeamId, UserId};
use entra_sync::model::ledger::{
    LastWritten, Lifted, ManagedCounts, Member, Origin, Ours, Owned, OwnedOrganization, OwnedTeam,
    OwnedUser, Placement, RoleFrom,
};
use uuid::Uuid;

use crate::support::database::connect;
use crate::support::dice::Dice;
use crate::support::{Hands, TestDatabase};

const PEOPLE: u128 = 10;
const GROUPS: u128 = 6;

fn person_id(number: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(0xA000 + number))
}

fn group_id(number: u128) -> GroupId {
    GroupId::new(Uuid::from_u128(0xB000 + number))
}

/// A row of somebody, of one of several who were the same, or of nobody else.
fn some_user(dice: &mut Dice) -> UserId {
    match dice.below(4) {
        0 => UserId::new(person_id(u128::from(dice.below(10))).to_string()),
        _ => UserId::new(format!("user {}", dice.below(14))),
    }
}

fn row(user: UserId, deactivation: Ours) -> OwnedUser {
    OwnedUser {
        user,
        origin: Origin::Created,
        alias: LastWritten::Value("Somebody".into()),
        email: LastWritten::Null,
        subject: Some(UserId::new("a subject")),
        role: None,
        role_from: RoleFrom::Default,
        deactivation,
    }
}

/// Writes down what chance has us own; people who are given a second row keep
/// the first as an earlier one.
async fn furnish(hands: &Hands, source: SourceId, dice: &mut Dice) {
    let run = RunId::new(Uuid::from_u128(7));
    let mut transaction = hands.begin().await;
    let mut members = Vec::new();
    for _ in 0..2 {
        let mut users = Vec::new();
        for person in (0..PEOPLE).map(person_id) {
            if dice.below(3) > 0 {
                let ours = *dice.one_of(&[Ours::Yes, Ours::No]);
                users.push((person, row(some_user(dice), ours)));
            }
        }
        ownership::record_users(&mut transaction, source, run, &users)
            .await
            .expect("people are recorded");
        for (person, user) in users {
            for group in (0..GROUPS).map(group_id) {
                if dice.below(4) == 0 {
                    let user = user.user.clone();
                    members.push((group, Member { user, person }, Origin::Adopted));
                }
            }
        }
    }
    let team = OwnedTeam {
        origin: Origin::Created,
        alias: LastWritten::Never,
        models: LastWritten::Never,
        placement: Placement::Settled,
        block: Ours::No,
        lifted: Lifted::No,
    };
    let organization = OwnedOrganization {
        origin: Origin::Created,
        alias: LastWritten::Never,
    };
    let teams: Vec<_> = (0..4).map(|n| (group_id(n), team.clone())).collect();
    let organizations: Vec<_> = (2..4)
        .map(|n| (group_id(n), organization.clone()))
        .collect();
    ownership::record_teams(&mut transaction, source, run, &teams)
        .await
        .expect("teams are recorded");
    ownership::record_organizations(&mut transaction, source, run, &organizations)
        .await
        .expect("organizations are recorded");
    ownership::record_team_members(&mut transaction, source, &members)
        .await
        .expect("members are recorded");
    let some: Vec<_> = members.into_iter().filter(|_| dice.below(2) == 0).collect();
    ownership::record_organization_members(&mut transaction, source, &some)
        .await
        .expect("members are recorded");
    let owned = ownership::load(&mut transaction, source).await;
    let owned = owned.expect("what is owned");
    let team = TeamId::new("sales");
    let joins = owned.people.keys().map(|person| (&team, *person));
    let joins: Vec<_> = joins.filter(|_| dice.below(3) == 0).collect();
    ownership::await_default_teams(&mut transaction, source, &joins)
        .await
        .expect("joins are recorded");
    transaction.commit().await.expect("it is written");

    let client = connect(&hands.database.url()).await;
    client
        .batch_execute(&format!(
            "INSERT INTO entra_sync.run (run_id, source_id, epoch, trigger, mode, started_at) \
             VALUES ('{run}', {source}, 1, 'cli', 'full', now()) ON CONFLICT DO NOTHING"
        ))
        .await
        .expect("a run");
    for _ in 0..12 {
        let user = some_user(dice);
        let group = group_id(u128::from(dice.below(6)));
        client
            .batch_execute(&format!(
                "INSERT INTO entra_sync.taken (run_id, kind, parent_id, user_id, removal, copy, owned) \
                 VALUES ('{run}', 'team_membership', '{group}', '{user}', '{{}}', '{{}}', '{{}}')"
            ))
            .await
            .expect("a copy");
    }
}

/// The same out of everything, by hand.
fn only(all: &Owned, people: &[PersonId], groups: &[GroupId]) -> Owned {
    type Lists = BTreeMap<GroupId, Vec<Member>>;
    let of_interest = |lists: &Lists, of_people: bool, of_groups: bool| -> Lists {
        let mut lists = lists.clone();
        for (group, members) in &mut lists {
            members.retain(|member| {
                of_people && people.contains(&member.person) || of_groups && groups.contains(group)
            });
        }
        lists.retain(|_, members| !members.is_empty());
        lists
    };
    let team_members = of_interest(&all.team_members, true, true);
    let organization_members = of_interest(&all.organization_members, true, true);
    let lists = || {
        let lists = team_members.values().chain(organization_members.values());
        lists.flatten()
    };
    let mut concerned: BTreeSet<PersonId> = people.iter().copied().collect();
    concerned.extend(lists().map(|member| member.person));
    let mut users: BTreeSet<UserId> = lists().map(|member| member.user.clone()).collect();
    for person in &concerned {
        users.insert(UserId::new(person.to_string()));
    }
    let rows = all.rows().filter(|(person, _)| concerned.contains(person));
    users.extend(rows.map(|(_, row)| row.user.clone()));
    let holders = all.rows().filter(|(_, row)| users.contains(&row.user));
    let holders: BTreeSet<PersonId> = holders.map(|(person, _)| person).collect();
    concerned.extend(holders);

    let asked = of_interest(&all.team_members, true, false);
    let asked_too = of_interest(&all.organization_members, true, false);
    let asked = asked.values().chain(asked_too.values()).flatten();
    let mut taken_of: BTreeSet<UserId> = asked.map(|member| member.user.clone()).collect();
    taken_of.extend(people.iter().map(|person| UserId::new(person.to_string())));
    let rows = all.rows().filter(|(person, _)| people.contains(person));
    taken_of.extend(rows.map(|(_, row)| row.user.clone()));

    let mut owned = all.clone();
    owned.team_members = team_members;
    owned.organization_members = organization_members;
    owned.people.retain(|person, _| concerned.contains(person));
    owned.earlier.retain(|person, _| concerned.contains(person));
    for (group, users) in &mut owned.taken_members {
        users.retain(|user| groups.contains(group) || taken_of.contains(user));
    }
    owned.taken_members.retain(|_, users| !users.is_empty());
    for due in owned.due_default_teams.values_mut() {
        due.retain(|person| people.contains(person));
    }
    owned.due_default_teams.retain(|_, due| !due.is_empty());
    owned
}

#[track_caller]
fn assert_same(some: &Owned, expected: &Owned, what: &str) {
    assert_eq!(some.teams, expected.teams, "{what}");
    assert_eq!(some.organizations, expected.organizations, "{what}");
    assert_eq!(some.people, expected.people, "{what}");
    assert_eq!(some.earlier, expected.earlier, "{what}");
    assert_eq!(some.team_members, expected.team_members, "{what}");
    assert_eq!(some.taken_members, expected.taken_members, "{what}");
    let members = (&some.organization_members, &expected.organization_members);
    assert_eq!(members.0, members.1, "{what}");
    assert_eq!(some.due_default_teams, expected.due_default_teams, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_some_people_and_groups_all_that_is_owned() {
    let hands = Hands::on(TestDatabase::create().await).await;
    let source = hands.ledger().await;
    let mut rivals = 0;
    for seed in 0..15 {
        let mut dice = Dice::new(seed);
        let client = connect(&hands.database.url()).await;
        client
            .batch_execute(
                "TRUNCATE entra_sync.run, entra_sync.owned_user, entra_sync.earlier_user, \
                 entra_sync.owned_team, entra_sync.owned_organization, \
                 entra_sync.owned_team_member, entra_sync.owned_organization_member CASCADE",
            )
            .await
            .expect("an empty ledger");
        furnish(&hands, source, &mut dice).await;
        for step in 0..6 {
            let what = format!("seed {seed}, step {step}");
            let odds = dice.below(5) + 1;
            let people = (0..PEOPLE).map(person_id).filter(|_| dice.below(odds) == 0);
            let people: Vec<PersonId> = people.collect();
            let groups = (0..GROUPS).map(group_id).filter(|_| dice.below(6) == 0);
            let groups: Vec<GroupId> = groups.collect();
            let mut transaction = hands.begin().await;
            let all = ownership::load(&mut transaction, source).await;
            let all = all.expect("what is owned");
            let some = ownership::load_for(&mut transaction, source, &people, &groups).await;
            let some = some.expect("what is owned of some");
            assert_same(&some, &only(&all, &people, &groups), &what);
            rivals += some.people.keys().filter(|p| !people.contains(p)).count();

            let users: Vec<UserId> = some.people.values().map(|row| row.user.clone()).collect();
            let holders = ownership::holders(&mut transaction, source, &users).await;
            let expected = all.rows().filter(|(_, row)| users.contains(&row.user));
            let expected: BTreeSet<PersonId> = expected.map(|(person, _)| person).collect();
            let expected: Vec<PersonId> = expected.into_iter().collect();
            assert_eq!(holders.expect("who they are"), expected, "{what}");

            let recent: BTreeSet<PersonId> = people.iter().copied().collect();
            let counts = ownership::counts(&mut transaction, source, &recent).await;
            let lists = all.team_members.iter();
            let of_team: BTreeMap<GroupId, u64> = lists
                .map(|(group, members)| (*group, members.len() as u64))
                .collect();
            let organizations = all.organization_members.values();
            let active = all
                .people
                .iter()
                .filter(|(person, row)| row.deactivation == Ours::No && !recent.contains(person));
            let expected = ManagedCounts {
                team_members: of_team.values().sum(),
                of_team,
                organization_members: organizations.map(|list| list.len() as u64).sum(),
                people: all.people.len() as u64,
                people_with_access: active.count() as u64,
            };
            assert_eq!(counts.expect("counts"), expected, "{what}");
            transaction.commit().await.expect("it is read");
        }
    }
    assert!(rivals > 40, "rows that several people were: {rivals}");
}
