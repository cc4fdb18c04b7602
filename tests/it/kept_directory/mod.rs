//! The directory that the ledger keeps between passes.

mod crashes;
mod look_ups;
mod sequences;
mod whole;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entra_sync::db::Transaction;
use entra_sync::ledger::directory::{self, Head, Saved, Stamp};
use entra_sync::model::complete::{Complete, LastPage};
use entra_sync::model::directory::{
    Account, AppRole, AppRoleState, Assignment, Attributes, Directory, Group, Person,
    PersonAttributes, Principal, ReadingCost, Unread,
};
use entra_sync::model::ids::{AppRoleId, GroupId, PersonId, SourceId};
use entra_sync::model::known::{KnownPeople, Outline, Turn};
use entra_sync::model::links::{Bucket, DeltaLink, Links};
use uuid::Uuid;

use crate::support::database::{connect, rows};
use crate::support::{Hands, TestDatabase};

fn person_id(number: u128) -> PersonId {
    PersonId::new(Uuid::from_u128(0xA000 + number))
}

fn group_id(number: u128) -> GroupId {
    GroupId::new(Uuid::from_u128(0xB000 + number))
}

fn role_id(number: u128) -> AppRoleId {
    AppRoleId::new(Uuid::from_u128(number))
}

fn whole<T>(value: T) -> Complete<T> {
    Complete::proven(value, LastPage::seen(None).expect("no next page"))
}

/// Somebody with the attributes that most people have.
fn attributes(person: PersonId, name: &str) -> PersonAttributes {
    PersonAttributes {
        subject: person.to_string().into(),
        email: Some(format!("{}@contoso.example.com", name.to_lowercase()).into()),
        also_known_as: Box::new([]),
        alias: Some(name.into()),
        account: Account::Enabled,
    }
}

fn known(attributes: PersonAttributes) -> Attributes {
    Attributes::Known(Box::new(attributes))
}

fn somebody(number: u128, name: &str) -> (PersonId, Person) {
    let id = person_id(number);
    let attributes = known(attributes(id, name));
    (id, Person { attributes })
}

fn group(name: &str, members: &[u128]) -> Group {
    Group {
        display_name: Some(name.to_owned()),
        members: Ok(whole(members.iter().copied().map(person_id).collect())),
        direct_members: None,
        other_members: 0,
    }
}

fn unread(reason: Unread) -> Group {
    Group {
        display_name: None,
        members: Err(reason),
        direct_members: None,
        other_members: 0,
    }
}

fn assigned(principal: Principal, role: u128) -> Assignment {
    let role = role_id(role);
    Assignment { principal, role }
}

/// A reading of these groups, all assigned by default, and these people.
fn reading(
    groups: impl IntoIterator<Item = (u128, Group)>,
    people: impl IntoIterator<Item = (PersonId, Person)>,
) -> Directory {
    let groups: BTreeMap<GroupId, Group> = groups
        .into_iter()
        .map(|(number, group)| (group_id(number), group))
        .collect();
    let assignments = groups.keys();
    let assignments = assignments.map(|group| assigned(Principal::Group(*group), 0));
    Directory {
        roles: BTreeMap::from([(
            role_id(7),
            AppRole {
                value: Some("proxy_admin".to_owned()),
                state: AppRoleState::Enabled,
            },
        )]),
        assignments: whole(assignments.collect()),
        groups,
        people: people.into_iter().collect(),
        unread_people: BTreeMap::new(),
        cost: ReadingCost::default(),
    }
}

fn links(text: &str) -> Links {
    let bucket = Bucket {
        groups: BTreeSet::from([group_id(1), group_id(2)]),
        link: DeltaLink::new(format!("https://graph.test/groups/delta?{text}")),
    };
    Links {
        groups: BTreeMap::from([(3, bucket)]),
        people: DeltaLink::new(format!("https://graph.test/users/delta?{text}")),
    }
}

fn at(hour: u32) -> DateTime<Utc> {
    let text = format!("2026-11-23T{hour:02}:00:00.123456Z");
    text.parse().expect("a time")
}

fn stamp() -> Stamp {
    Stamp {
        fingerprint: "read like this".to_owned(),
        compared: "planned like this".to_owned(),
        read_at: at(1),
        heard_at: at(1),
    }
}

/// All of a directory but its cost, in a form that can be compared.
#[derive(Debug, PartialEq)]
struct Shown {
    roles: BTreeMap<AppRoleId, AppRole>,
    assignments: Vec<Assignment>,
    groups: BTreeMap<GroupId, ShownGroup>,
    people: BTreeMap<PersonId, Attributes>,
    unread_people: BTreeMap<PersonId, Unread>,
}

#[derive(Debug, PartialEq)]
struct ShownGroup {
    display_name: Option<String>,
    members: Result<Vec<PersonId>, Unread>,
    direct_members: Option<Vec<PersonId>>,
    other_members: u64,
}

fn shown(directory: &Directory) -> Shown {
    let people = directory.people.iter();
    Shown {
        roles: directory.roles.clone(),
        assignments: directory.assignments.get().clone(),
        groups: directory
            .groups
            .iter()
            .map(|(id, group)| {
                let members = group.members.as_ref();
                let shown = ShownGroup {
                    display_name: group.display_name.clone(),
                    members: members.map(|list| list.get().clone()).map_err(Clone::clone),
                    direct_members: group.direct_members.as_ref().map(|list| list.get().clone()),
                    other_members: group.other_members,
                };
                (*id, shown)
            })
            .collect(),
        people: people
            .map(|(id, person)| (*id, person.attributes.clone()))
            .collect(),
        unread_people: directory.unread_people.clone(),
    }
}

/// A ledger, and the way to what it keeps.
struct Kept {
    hands: Hands,
    source: SourceId,
}

impl Kept {
    async fn new() -> Self {
        let hands = Hands::on(TestDatabase::create().await).await;
        let source = hands.ledger().await;
        Self { hands, source }
    }

    async fn begin(&self) -> Transaction {
        self.hands.begin().await
    }

    async fn save(&self, directory: &Directory) -> Saved {
        self.save_with(directory, Some(&links("first"))).await
    }

    async fn save_with(&self, directory: &Directory, links: Option<&Links>) -> Saved {
        let mut transaction = self.begin().await;
        let saved =
            directory::save_whole(&mut transaction, self.source, directory, stamp(), links).await;
        transaction.commit().await.expect("it is committed");
        saved.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn turn(&self, turn: &Turn) {
        let mut transaction = self.begin().await;
        let links = links("next");
        directory::save_turn(&mut transaction, self.source, turn, &links, at(2))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        transaction.commit().await.expect("it is committed");
    }

    async fn whole(&self) -> Option<Shown> {
        let mut transaction = self.begin().await;
        let whole = directory::whole(&mut transaction, self.source).await;
        let whole = whole.unwrap_or_else(|error| panic!("{error}"));
        transaction.commit().await.expect("it is read");
        assert!(
            whole
                .iter()
                .all(|whole| whole.cost == ReadingCost::default())
        );
        whole.as_ref().map(shown)
    }

    async fn head(&self) -> Option<Head> {
        let mut transaction = self.begin().await;
        let head = directory::head(&mut transaction, self.source).await;
        transaction.commit().await.expect("it is read");
        head.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn outline(&self) -> Outline {
        let mut transaction = self.begin().await;
        let outline = directory::outline(&mut transaction, self.source).await;
        transaction.commit().await.expect("it is read");
        outline.unwrap_or_else(|error| panic!("{error}")).0
    }

    async fn people(&self, numbers: impl IntoIterator<Item = u128>) -> KnownPeople {
        let ids: Vec<PersonId> = numbers.into_iter().map(person_id).collect();
        let mut transaction = self.begin().await;
        let people = directory::people(&mut transaction, self.source, &ids).await;
        transaction.commit().await.expect("it is read");
        people.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Which number stands for each group.
    async fn numbers(&self) -> HashMap<String, i64> {
        self.hands
            .database
            .rows("entra_sync.directory_group")
            .await
            .iter()
            .map(|row| {
                let id = row["group_id"].as_str().expect("an id").to_owned();
                (id, row["number"].as_i64().expect("a number"))
            })
            .collect()
    }

    /// Every row that is kept, with the transaction that wrote it.
    async fn writers(&self) -> Vec<String> {
        let client = connect(&self.hands.database.url_as("postgres")).await;
        let mut writers = Vec::new();
        for table in [
            "directory_assignment",
            "directory_bucket",
            "directory_group",
            "directory_person",
            "directory_unread_person",
        ] {
            let sql = format!(
                "SELECT '{table} ' || xmin || ' ' || t::text FROM entra_sync.{table} t ORDER BY 1"
            );
            let found = client.query(&sql, &[]).await.expect("the rows");
            writers.extend(found.iter().map(|row| row.get::<_, String>(0)));
        }
        writers
    }

    /// Everything that the ledger holds.
    async fn everything(&self) -> Vec<serde_json::Value> {
        let client = connect(&self.hands.database.url_as("postgres")).await;
        let mut everything = Vec::new();
        for table in [
            "directory",
            "directory_assignment",
            "directory_bucket",
            "directory_group",
            "directory_person",
            "directory_unread_person",
        ] {
            everything.extend(rows(&client, &format!("entra_sync.{table}")).await);
        }
        everything
    }
}
