//! People as they are stored, and looking some of them up.

use std::collections::HashMap;

use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{groups, wording};
use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::directory::{Account, Attributes, PersonAttributes};
use crate::model::ids::{GroupId, PersonId, SourceId};
use crate::model::known::{KnownPeople, KnownPerson, Presence};

/// Reads all columns of [`Row`].
pub(super) const SELECT: &str = "SELECT person_id, known, disabled, deleted, subject, email, \
     alias, also_known_as, groups, coalesce(bears, '{}') AS bears \
     FROM entra_sync.directory_person WHERE source_id = $1";

/// A person as stored.
#[derive(QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = SqlUuid)]
    pub(super) person_id: Uuid,
    #[diesel(sql_type = Bool)]
    known: bool,
    #[diesel(sql_type = Bool)]
    disabled: bool,
    #[diesel(sql_type = Bool)]
    pub(super) deleted: bool,
    #[diesel(sql_type = Nullable<Text>)]
    subject: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    alias: Option<String>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    also_known_as: Option<Vec<String>>,
    /// Ascending.
    #[diesel(sql_type = Array<Integer>)]
    pub(super) groups: Vec<i32>,
    /// Ascending.
    #[diesel(sql_type = Array<Integer>)]
    pub(super) bears: Vec<i32>,
}

impl Row {
    pub(super) fn person(&self) -> PersonId {
        PersonId::new(self.person_id)
    }

    /// Whether these attributes are the stored ones.
    pub(super) fn shows(&self, attributes: &Attributes) -> bool {
        let Attributes::Known(now) = attributes else {
            return !self.known;
        };
        let same = |stored: &Option<String>, now: Option<&str>| {
            stored.as_deref() == now.map(wording::stored).as_deref()
        };
        let others = self.also_known_as.as_deref().unwrap_or_default();
        self.known
            && self.disabled == (now.account == Account::Disabled)
            && same(&self.subject, own_subject(self.person(), now))
            && same(&self.email, now.email.as_deref())
            && same(&self.alias, now.alias.as_deref())
            && others.len() == now.also_known_as.len()
            && others
                .iter()
                .zip(&now.also_known_as)
                .all(|(stored, now)| *stored == wording::stored(now))
    }

    pub(super) fn attributes(self) -> Attributes {
        if !self.known {
            return Attributes::Unknown;
        }
        let text = |text: String| wording::read(text).into_boxed_str();
        let subject = match self.subject {
            Some(subject) => wording::read(subject),
            None => self.person_id.as_hyphenated().to_string(),
        };
        Attributes::Known(Box::new(PersonAttributes {
            subject: subject.into(),
            email: self.email.map(text),
            also_known_as: self.also_known_as.into_iter().flatten().map(text).collect(),
            alias: self.alias.map(text),
            account: match self.disabled {
                true => Account::Disabled,
                false => Account::Enabled,
            },
        }))
    }

    fn read(mut self, numbers: &HashMap<i32, GroupId>) -> (PersonId, KnownPerson) {
        let groups = named(&std::mem::take(&mut self.groups), numbers);
        let bears = named(&std::mem::take(&mut self.bears), numbers);
        let presence = match self.deleted {
            true => Presence::Deleted,
            false => Presence::Here,
        };
        let person = self.person();
        let known = KnownPerson {
            attributes: self.attributes(),
            groups,
            bears,
            presence,
        };
        (person, known)
    }
}

/// The subject, unless it is the object id.
pub(super) fn own_subject(person: PersonId, attributes: &PersonAttributes) -> Option<&str> {
    let mut buffer = Uuid::encode_buffer();
    let id = person.as_uuid();
    let id = id.as_hyphenated().encode_lower(&mut buffer);
    (*attributes.subject != *id).then_some(&*attributes.subject)
}

fn named(stored: &[i32], numbers: &HashMap<i32, GroupId>) -> Vec<GroupId> {
    let groups = stored.iter().filter_map(|number| numbers.get(number));
    let mut groups: Vec<GroupId> = groups.copied().collect();
    groups.sort_unstable();
    groups
}

/// These people, as far as they are known.
///
/// # Errors
/// When the database fails.
pub async fn people(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    ids: &[PersonId],
) -> Result<KnownPeople> {
    if ids.is_empty() {
        return Ok(KnownPeople::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(PersonId::as_uuid).collect();
    let rows: Vec<Row> = sql_query(format!("{SELECT} AND person_id = ANY($2)"))
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(ids)
        .load(connection)
        .await
        .doing("reading known people")?;
    named_all(connection, source, rows).await
}

/// Everybody who is in any of these groups, whoever they are in besides.
///
/// # Errors
/// When the database fails.
pub async fn members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    groups: &[GroupId],
) -> Result<KnownPeople> {
    if groups.is_empty() {
        return Ok(KnownPeople::new());
    }
    let groups: Vec<Uuid> = groups.iter().map(GroupId::as_uuid).collect();
    let numbers = "(SELECT array_agg(number) FROM entra_sync.directory_group \
         WHERE source_id = $1 AND group_id = ANY($2))";
    let rows: Vec<Row> = sql_query(format!(
        "{SELECT} AND (groups && {numbers} OR bears && {numbers})"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(groups)
    .load(connection)
    .await
    .doing("reading the known members of groups")?;
    named_all(connection, source, rows).await
}

/// Everybody who has one of these addresses, in lower case, or one of these
/// subjects.
///
/// # Errors
/// When the database fails.
pub async fn alike(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    emails: &[&str],
    subjects: &[&str],
) -> Result<KnownPeople> {
    if emails.is_empty() && subjects.is_empty() {
        return Ok(KnownPeople::new());
    }
    // A subject that is the object id goes without saying. No other spelling of
    // the id is that subject.
    let ids: Vec<Uuid> = subjects
        .iter()
        .filter_map(|subject| {
            let id: PersonId = subject.parse().ok()?;
            (id.to_string() == **subject).then(|| id.as_uuid())
        })
        .collect();
    let stored = |texts: &[&str]| -> Vec<String> {
        let texts = texts.iter();
        texts
            .map(|text| wording::stored(text).into_owned())
            .collect()
    };
    let rows: Vec<Row> = sql_query(format!(
        "{SELECT} AND (email = ANY($2) OR subject = ANY($3) \
                       OR person_id = ANY($4) AND subject IS NULL)"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<Text>, _>(stored(emails))
    .bind::<Array<Text>, _>(stored(subjects))
    .bind::<Array<SqlUuid>, _>(ids)
    .load(connection)
    .await
    .doing("reading known people by address and subject")?;
    named_all(connection, source, rows).await
}

async fn named_all(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    rows: Vec<Row>,
) -> Result<KnownPeople> {
    if rows.is_empty() {
        return Ok(KnownPeople::new());
    }
    let numbers = groups::by_number(connection, source).await?;
    Ok(rows.into_iter().map(|row| row.read(&numbers)).collect())
}

/// How many people the directory shows in assigned groups, or directly assigned.
///
/// # Errors
/// When the database fails.
pub async fn count(connection: &mut AsyncPgConnection, source: SourceId) -> Result<u64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        people: i64,
    }
    let count: Count = sql_query(
        "SELECT count(*) AS people FROM entra_sync.directory_person \
         WHERE source_id = $1 AND NOT deleted",
    )
    .bind::<Integer, _>(source.get())
    .get_result(connection)
    .await
    .doing("counting known people")?;
    Ok(count.people.unsigned_abs())
}
