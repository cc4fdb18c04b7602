//! Reads what is owned as far as it concerns some people and groups.
//!
//! Invariant: whatever [`load`] says of these people and groups, this says too;
//! of the others it says less. Who else is, or was, one of their rows is always
//! among it: a row must not look like nobody's because little was read.
//!
//! [`load`]: super::load::load

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::sql_types::{Array, Integer, Text, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::elsewhere;
use super::load::{DueRow, USERS, UserRow, organizations, sort, teams};
use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::ledger::taken;
use crate::model::ids::{GroupId, PersonId, SourceId, TeamId, UserId};
use crate::model::ledger::{Member, Owned, OwnedUser};

/// What is owned of these people and groups: all teams and organizations (they
/// are few), memberships of the people and of the groups, the rows of all who
/// are in these, and of everybody else who is, or was, one of those rows.
///
/// # Errors
/// When the database fails or a newer version wrote the ledger.
pub async fn load_for(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[PersonId],
    groups: &[GroupId],
) -> Result<Owned> {
    let asked: HashSet<PersonId> = people.iter().copied().collect();
    let team_members = memberships(connection, source, "owned_team_member", people, groups).await?;
    let organization_members = memberships(
        connection,
        source,
        "owned_organization_member",
        people,
        groups,
    )
    .await?;
    let members = || [&team_members, &organization_members].into_iter().flatten();
    let concerned: HashSet<PersonId> = members()
        .map(|row| row.person())
        .chain(people.iter().copied())
        .collect();
    let users: HashSet<String> = members().map(|row| row.user_id.clone()).collect();
    let rows = Rows::load(connection, source, &concerned, users).await?;

    let of_asked = rows.of(&asked).map(|row| row.user.as_str());
    let members_asked = members().filter(|row| asked.contains(&row.person()));
    let ids: Vec<String> = people.iter().map(ToString::to_string).collect();
    let taken_of: HashSet<&str> = of_asked
        .chain(members_asked.map(|row| row.user_id.as_str()))
        .chain(ids.iter().map(String::as_str))
        .collect();
    let taken_of: Vec<&str> = taken_of.into_iter().collect();
    let taken_members = taken::members_for(connection, source, &taken_of, groups).await?;
    Ok(Owned {
        teams: teams(connection, source).await?,
        organizations: organizations(connection, source).await?,
        due_default_teams: due_default_teams(connection, source, people).await?,
        team_members: by_group(team_members, &rows.people),
        organization_members: by_group(organization_members, &rows.people),
        taken_members,
        held_elsewhere: elsewhere::load(connection, source).await?,
        people: rows.people,
        earlier: rows.earlier,
    })
}

/// Everybody who is, or was, one of these rows, sorted: whom to load as well
/// once LiteLLM has shown rows that nobody was asked about by.
///
/// # Errors
/// When the database fails.
pub async fn holders(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    users: &[UserId],
) -> Result<Vec<PersonId>> {
    let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let holders = who_holds(connection, source, &users).await?;
    let mut holders: Vec<PersonId> = holders.into_iter().collect();
    holders.sort_unstable();
    Ok(holders)
}

async fn who_holds(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    users: &[&str],
) -> Result<HashSet<PersonId>> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<PersonRow> = sql_query(bound("user_id"))
        .bind::<Integer, _>(source.get())
        .bind::<Array<Text>, _>(users)
        .load(connection)
        .await
        .doing("asking who LiteLLM's rows are")?;
    Ok(rows.into_iter().map(PersonRow::person).collect())
}

#[derive(QueryableByName)]
struct PersonRow {
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
}

impl PersonRow {
    fn person(self) -> PersonId {
        PersonId::new(self.person_id)
    }
}

/// Everybody who is, or was, bound to a LiteLLM user, with `column` among `$2`.
fn bound(column: &str) -> String {
    ["owned_user", "earlier_user"]
        .map(|table| {
            format!(
                "SELECT person_id FROM entra_sync.{table} \
                 WHERE source_id = $1 AND {column} = ANY($2)"
            )
        })
        .join(" UNION ")
}

#[derive(QueryableByName)]
struct MembershipRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Text)]
    user_id: String,
}

impl MembershipRow {
    fn person(&self) -> PersonId {
        PersonId::new(self.person_id)
    }
}

async fn memberships(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    table: &str,
    people: &[PersonId],
    groups: &[GroupId],
) -> Result<Vec<MembershipRow>> {
    Ok(sql_query(format!(
        "SELECT group_id, person_id, user_id FROM entra_sync.{table} \
         WHERE source_id = $1 AND (person_id = ANY($2) OR group_id = ANY($3))"
    ))
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(uuids(people, PersonId::as_uuid))
    .bind::<Array<SqlUuid>, _>(uuids(groups, GroupId::as_uuid))
    .load(connection)
    .await
    .doing("reading memberships we own")?)
}

fn uuids<T>(ids: &[T], uuid: fn(&T) -> Uuid) -> Vec<Uuid> {
    ids.iter().map(uuid).collect()
}

/// One copy of the text of an id, however many memberships there are.
fn by_group(
    rows: Vec<MembershipRow>,
    known: &HashMap<PersonId, OwnedUser>,
) -> BTreeMap<GroupId, Vec<Member>> {
    let mut members: BTreeMap<GroupId, Vec<Member>> = BTreeMap::new();
    for row in rows {
        let person = row.person();
        let user = match known.get(&person) {
            Some(known) if known.user.as_str() == row.user_id => known.user.clone(),
            _ => UserId::new(row.user_id),
        };
        let group = members.entry(GroupId::new(row.group_id)).or_default();
        group.push(Member { user, person });
    }
    for group in members.values_mut() {
        group.sort_unstable();
    }
    members
}

/// Which rows people are, or were.
struct Rows {
    people: HashMap<PersonId, OwnedUser>,
    earlier: BTreeMap<PersonId, Vec<OwnedUser>>,
}

impl Rows {
    /// All of the people, and all of whoever else has, or had, one of theirs or of
    /// `users`, or one that is named as one of them.
    async fn load(
        connection: &mut AsyncPgConnection,
        source: SourceId,
        people: &HashSet<PersonId>,
        mut users: HashSet<String>,
    ) -> Result<Self> {
        let theirs = Self::of_people(connection, source, people).await?;
        users.extend(theirs.of(people).map(|row| row.user.to_string()));
        users.extend(people.iter().map(ToString::to_string));
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let mut others: HashSet<PersonId> = who_holds(connection, source, &users).await?;
        others.retain(|person| !people.contains(person));
        let others = Self::of_people(connection, source, &others).await?;
        let mut rows = theirs;
        rows.people.extend(others.people);
        rows.earlier.extend(others.earlier);
        Ok(rows)
    }

    async fn of_people(
        connection: &mut AsyncPgConnection,
        source: SourceId,
        people: &HashSet<PersonId>,
    ) -> Result<Self> {
        let mut rows = Self {
            people: HashMap::new(),
            earlier: BTreeMap::new(),
        };
        if people.is_empty() {
            return Ok(rows);
        }
        let ids: Vec<Uuid> = people.iter().map(PersonId::as_uuid).collect();
        for table in ["owned_user", "earlier_user"] {
            let found: Vec<UserRow> = sql_query(format!(
                "{USERS} FROM entra_sync.{table} WHERE source_id = $1 AND person_id = ANY($2)"
            ))
            .bind::<Integer, _>(source.get())
            .bind::<Array<SqlUuid>, _>(&ids)
            .load(connection)
            .await
            .doing("reading people we know")?;
            for row in found {
                let (person, user) = row.read()?;
                if table == "owned_user" {
                    rows.people.insert(person, user);
                } else {
                    rows.earlier.entry(person).or_default().push(user);
                }
            }
        }
        sort(&mut rows.earlier);
        Ok(rows)
    }

    fn of<'a>(&'a self, people: &'a HashSet<PersonId>) -> impl Iterator<Item = &'a OwnedUser> {
        let now = self.people.iter().filter(|(id, _)| people.contains(id));
        let earlier = self.earlier.iter().filter(|(id, _)| people.contains(id));
        now.map(|(_, row)| row)
            .chain(earlier.flat_map(|(_, rows)| rows))
    }
}

async fn due_default_teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[PersonId],
) -> Result<BTreeMap<TeamId, Vec<PersonId>>> {
    let rows: Vec<DueRow> = sql_query(
        "SELECT team_id, array_agg(person_id ORDER BY person_id) AS people \
         FROM entra_sync.due_default_team \
         WHERE source_id = $1 AND person_id = ANY($2) GROUP BY team_id",
    )
    .bind::<Integer, _>(source.get())
    .bind::<Array<SqlUuid>, _>(uuids(people, PersonId::as_uuid))
    .load(connection)
    .await
    .doing("reading the default teams that new users wait for")?;
    Ok(rows.into_iter().map(DueRow::read).collect())
}

/// Those of these people who are, or were, bound to a LiteLLM user.
///
/// # Errors
/// When the database fails.
pub async fn ours_among(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    people: &[PersonId],
) -> Result<Vec<PersonId>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<PersonRow> = sql_query(bound("person_id"))
        .bind::<Integer, _>(source.get())
        .bind::<Array<SqlUuid>, _>(uuids(people, PersonId::as_uuid))
        .load(connection)
        .await
        .doing("asking which people are managed")?;
    Ok(rows.into_iter().map(PersonRow::person).collect())
}
