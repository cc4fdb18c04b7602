//! Writing people, many at a time.

use std::borrow::Cow;

use diesel::sql_query;
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::people::own_subject;
use super::wording;
use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::directory::{Account, Attributes};
use crate::model::ids::{PersonId, SourceId};
use crate::model::known::Presence;

/// People in one statement: enough that statements do not count, few enough
/// that their columns need little memory.
const AT_ONCE: usize = 4_000;

/// People to be written, column by column. Written in portions; the last one
/// with [`Batch::write`].
#[derive(Default)]
pub(super) struct Batch<'a> {
    ids: Vec<Uuid>,
    known: Vec<bool>,
    disabled: Vec<bool>,
    deleted: Vec<bool>,
    subjects: Vec<Option<Cow<'a, str>>>,
    emails: Vec<Option<Cow<'a, str>>>,
    aliases: Vec<Option<Cow<'a, str>>>,
    others: Vec<Option<String>>,
    groups: Numbers,
    bears: Numbers,
}

/// Everybody's numbers, one after the other, and where each one's end:
/// PostgreSQL cannot take lists of different lengths apart.
#[derive(Default)]
struct Numbers {
    all: Vec<i32>,
    ends: Vec<i32>,
}

impl Numbers {
    fn add(&mut self, numbers: impl IntoIterator<Item = i32>) {
        self.all.extend(numbers);
        self.ends
            .push(i32::try_from(self.all.len()).unwrap_or(i32::MAX));
    }

    fn clear(&mut self) {
        self.all.clear();
        self.ends.clear();
    }
}

impl<'a> Batch<'a> {
    /// Adds a person; the numbers have to be in ascending order.
    pub(super) fn add(
        &mut self,
        (person, presence): (PersonId, Presence),
        attributes: &'a Attributes,
        groups: impl IntoIterator<Item = i32>,
        bears: impl IntoIterator<Item = i32>,
    ) {
        let known = match attributes {
            Attributes::Known(known) => Some(known.as_ref()),
            Attributes::Unknown => None,
        };
        let account = known.map(|known| known.account);
        self.ids.push(person.as_uuid());
        self.known.push(known.is_some());
        self.disabled.push(account == Some(Account::Disabled));
        self.deleted.push(presence == Presence::Deleted);
        let subject = known.and_then(|known| own_subject(person, known));
        self.subjects.push(subject.map(wording::stored));
        let email = known.and_then(|known| known.email.as_deref());
        self.emails.push(email.map(wording::stored));
        let alias = known.and_then(|known| known.alias.as_deref());
        self.aliases.push(alias.map(wording::stored));
        let others = known.and_then(|known| wording::array_literal(&known.also_known_as));
        self.others.push(others);
        self.groups.add(groups);
        self.bears.add(bears);
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= AT_ONCE
    }

    /// Writes what was added and begins anew. Who is stored already is replaced.
    pub(super) async fn write(
        &mut self,
        connection: &mut AsyncPgConnection,
        source: SourceId,
    ) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        sql_query(
            "INSERT INTO entra_sync.directory_person (source_id, person_id, known, disabled, \
                    deleted, subject, email, alias, also_known_as, groups, bears) \
             SELECT $1, n.person_id, n.known, n.disabled, n.deleted, n.subject, n.email, n.alias, \
                    n.others::text[], \
                    ($10::integer[])[1 + lag(n.groups_end, 1, 0) OVER w : n.groups_end], \
                    nullif(($12::integer[])[1 + lag(n.bears_end, 1, 0) OVER w : n.bears_end], '{}') \
             FROM unnest($2::uuid[], $3::bool[], $4::bool[], $5::bool[], $6::text[], $7::text[], \
                    $8::text[], $9::text[], $11::integer[], $13::integer[]) WITH ORDINALITY \
                  AS n (person_id, known, disabled, deleted, subject, email, alias, others, \
                        groups_end, bears_end, position) \
             WINDOW w AS (ORDER BY n.position) \
             ON CONFLICT (source_id, person_id) DO UPDATE SET \
                known = excluded.known, disabled = excluded.disabled, \
                deleted = excluded.deleted, subject = excluded.subject, email = excluded.email, \
                alias = excluded.alias, also_known_as = excluded.also_known_as, \
                groups = excluded.groups, bears = excluded.bears",
        )
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(&self.ids)
        .bind::<Array<Bool>, _>(&self.known)
        .bind::<Array<Bool>, _>(&self.disabled)
        .bind::<Array<Bool>, _>(&self.deleted)
        .bind::<Array<Nullable<Text>>, _>(&self.subjects)
        .bind::<Array<Nullable<Text>>, _>(&self.emails)
        .bind::<Array<Nullable<Text>>, _>(&self.aliases)
        .bind::<Array<Nullable<Text>>, _>(&self.others)
        .bind::<Array<Integer>, _>(&self.groups.all)
        .bind::<Array<Integer>, _>(&self.groups.ends)
        .bind::<Array<Integer>, _>(&self.bears.all)
        .bind::<Array<Integer>, _>(&self.bears.ends)
        .execute(connection)
        .await
        .doing("recording known people")?;
        self.clear();
        Ok(())
    }

    fn clear(&mut self) {
        self.ids.clear();
        self.known.clear();
        self.disabled.clear();
        self.deleted.clear();
        self.subjects.clear();
        self.emails.clear();
        self.aliases.clear();
        self.others.clear();
        self.groups.clear();
        self.bears.clear();
    }
}

/// These people are not known any more.
pub(super) async fn drop_people(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[Uuid],
) -> Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    sql_query(
        "DELETE FROM entra_sync.directory_person WHERE source_id = $1 AND person_id = ANY($2)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(people)
    .execute(connection)
    .await
    .doing("forgetting people")?;
    Ok(())
}

/// These people are in no group but those with these numbers.
pub(super) async fn trim_people(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[Uuid],
    numbers: &[i32],
) -> Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    sql_query(
        "UPDATE entra_sync.directory_person SET \
            groups = ARRAY(SELECT n FROM unnest(groups) n WHERE n = ANY($3) ORDER BY n), \
            bears = nullif(ARRAY(SELECT n FROM unnest(bears) n WHERE n = ANY($3) ORDER BY n), '{}') \
         WHERE source_id = $1 AND person_id = ANY($2)",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(people)
    .bind::<Array<Integer>, _>(numbers)
    .execute(connection)
    .await
    .doing("recording who left groups")?;
    Ok(())
}
