//! Reads everything that is owned for one source.

use std::collections::{BTreeMap, HashMap};

use diesel::sql_types::{Array, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;
use uuid::Uuid;

use super::elsewhere;
use crate::db::QueryContext;
use crate::ledger::error::{Error, Result};
use crate::ledger::taken;
use crate::model::ids::{GroupId, PersonId, SourceId, TeamId, UserId};
use crate::model::ledger::{
    LastWritten, Lifted, Member, Origin, Ours, Owned, OwnedOrganization, OwnedTeam, OwnedUser,
    Placement, RoleFrom,
};
use crate::model::role::Role;

#[derive(QueryableByName)]
struct TeamRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = Text)]
    origin: String,
    #[diesel(sql_type = Bool)]
    alias_written: bool,
    #[diesel(sql_type = Nullable<Text>)]
    alias: Option<String>,
    #[diesel(sql_type = Bool)]
    models_written: bool,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    models: Option<Vec<String>>,
    #[diesel(sql_type = Bool)]
    awaits_organization: bool,
    #[diesel(sql_type = Bool)]
    blocked_by_us: bool,
    #[diesel(sql_type = Bool)]
    block_lifted: bool,
}

#[derive(QueryableByName)]
struct OrganizationRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = Text)]
    origin: String,
    #[diesel(sql_type = Bool)]
    alias_written: bool,
    #[diesel(sql_type = Nullable<Text>)]
    alias: Option<String>,
}

#[derive(QueryableByName)]
pub(super) struct UserRow {
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = Text)]
    origin: String,
    #[diesel(sql_type = Bool)]
    alias_written: bool,
    #[diesel(sql_type = Nullable<Text>)]
    alias: Option<String>,
    #[diesel(sql_type = Bool)]
    email_written: bool,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    role: Option<String>,
    #[diesel(sql_type = Bool)]
    role_assigned: bool,
    #[diesel(sql_type = Nullable<Text>)]
    subject: Option<String>,
    #[diesel(sql_type = Bool)]
    deactivated_by_us: bool,
}

#[derive(QueryableByName)]
struct MembersRow {
    #[diesel(sql_type = SqlUuid)]
    group_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    people: Vec<Uuid>,
    /// Where it is not the row that stands for the person now.
    #[diesel(sql_type = Array<Nullable<Text>>)]
    users: Vec<Option<String>>,
}

const TEAMS: &str = "SELECT group_id, origin, alias_written, alias, models_written, models, \
     awaits_organization, blocked_by_us, block_lifted FROM entra_sync.owned_team";

/// Reads all columns of [`UserRow`].
pub(super) const USERS: &str = "SELECT person_id, user_id, origin, alias_written, alias, \
     email_written, email, role, role_assigned, subject, deactivated_by_us";

impl TeamRow {
    fn read(self) -> Result<(GroupId, OwnedTeam)> {
        let team = OwnedTeam {
            origin: origin(&self.origin, "owned_team.origin")?,
            alias: last_written(self.alias_written, self.alias),
            models: last_written(self.models_written, self.models),
            placement: if self.awaits_organization {
                Placement::AwaitsOrganization
            } else {
                Placement::Settled
            },
            block: ours(self.blocked_by_us),
            lifted: match self.block_lifted {
                true => Lifted::Yes,
                false => Lifted::No,
            },
        };
        Ok((GroupId::new(self.group_id), team))
    }
}

impl UserRow {
    pub(super) fn read(self) -> Result<(PersonId, OwnedUser)> {
        let role = match self.role {
            None => None,
            Some(word) => Some(Role::from_stored(&word).ok_or(Error::Foreign {
                place: "owned_user.role",
                value: word,
            })?),
        };
        let user = OwnedUser {
            user: UserId::new(self.user_id),
            origin: origin(&self.origin, "owned_user.origin")?,
            alias: last_written(self.alias_written, self.alias.map(String::into_boxed_str)),
            email: last_written(self.email_written, self.email.map(String::into_boxed_str)),
            subject: self.subject.map(UserId::new),
            role,
            role_from: match self.role_assigned {
                true => RoleFrom::Assignment,
                false => RoleFrom::Default,
            },
            deactivation: ours(self.deactivated_by_us),
        };
        Ok((PersonId::new(self.person_id), user))
    }
}

fn last_written<T>(written: bool, value: Option<T>) -> LastWritten<T> {
    if written {
        LastWritten::wrote(value)
    } else {
        LastWritten::Never
    }
}

fn ours(ours: bool) -> Ours {
    if ours { Ours::Yes } else { Ours::No }
}

fn origin(word: &str, place: &'static str) -> Result<Origin> {
    match word {
        "created" => Ok(Origin::Created),
        "adopted" => Ok(Origin::Adopted),
        other => Err(Error::Foreign {
            place,
            value: other.to_owned(),
        }),
    }
}

/// Everything owned for this source.
///
/// # Errors
/// When the database fails or a newer version wrote the ledger.
pub async fn load(connection: &mut AsyncPgConnection, source: SourceId) -> Result<Owned> {
    let people = people(connection, source).await?;
    Ok(Owned {
        teams: teams(connection, source).await?,
        organizations: organizations(connection, source).await?,
        team_members: members(connection, source, "owned_team_member", &people).await?,
        organization_members: members(connection, source, "owned_organization_member", &people)
            .await?,
        people,
        earlier: earlier(connection, source).await?,
        due_default_teams: due_default_teams(connection, source).await?,
        taken_members: taken::members(connection, source).await?,
        held_elsewhere: elsewhere::load(connection, source).await?,
    })
}

pub(super) async fn teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<GroupId, OwnedTeam>> {
    let rows: Vec<TeamRow> = sql_query(format!("{TEAMS} WHERE source_id = $1"))
        .bind::<Integer, _>(source.get())
        .load(connection)
        .await
        .doing("reading the teams we own")?;
    rows.into_iter().map(TeamRow::read).collect()
}

/// One team, if it is ours.
pub(super) async fn team(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    group: GroupId,
) -> Result<Option<OwnedTeam>> {
    let row: Option<TeamRow> = sql_query(format!("{TEAMS} WHERE source_id = $1 AND group_id = $2"))
        .bind::<Integer, _>(source.get())
        .bind::<SqlUuid, _>(group.as_uuid())
        .get_result(connection)
        .await
        .optional()
        .doing("reading a team we own")?;
    Ok(row.map(TeamRow::read).transpose()?.map(|(_, team)| team))
}

pub(super) async fn organizations(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<GroupId, OwnedOrganization>> {
    let rows: Vec<OrganizationRow> = sql_query(
        "SELECT group_id, origin, alias_written, alias FROM entra_sync.owned_organization \
         WHERE source_id = $1",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading the organizations we own")?;
    rows.into_iter()
        .map(|row| {
            let organization = OwnedOrganization {
                origin: origin(&row.origin, "owned_organization.origin")?,
                alias: last_written(row.alias_written, row.alias),
            };
            Ok((GroupId::new(row.group_id), organization))
        })
        .collect()
}

async fn people(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<HashMap<PersonId, OwnedUser>> {
    let mut people = HashMap::new();
    rows(connection, source, "owned_user", |person, user| {
        people.insert(person, user);
    })
    .await?;
    Ok(people)
}

async fn earlier(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<PersonId, Vec<OwnedUser>>> {
    let mut earlier: BTreeMap<_, Vec<OwnedUser>> = BTreeMap::new();
    rows(connection, source, "earlier_user", |person, user| {
        earlier.entry(person).or_default().push(user);
    })
    .await?;
    sort(&mut earlier);
    Ok(earlier)
}

pub(super) fn sort(earlier: &mut BTreeMap<PersonId, Vec<OwnedUser>>) {
    for rows in earlier.values_mut() {
        rows.sort_unstable_by(|a, b| a.user.cmp(&b.user));
    }
}

async fn rows(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    table: &str,
    mut known: impl FnMut(PersonId, OwnedUser),
) -> Result<()> {
    let mut rows = sql_query(format!(
        "{USERS} FROM entra_sync.{table} WHERE source_id = $1"
    ))
    .bind::<Integer, _>(source.get())
    .load_stream::<UserRow>(connection)
    .await
    .doing("reading the people we know")?;
    while let Some(row) = rows.try_next().await.doing("reading the people we know")? {
        let (person, user) = row.read()?;
        known(person, user);
    }
    Ok(())
}

async fn members(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    table: &str,
    known: &HashMap<PersonId, OwnedUser>,
) -> Result<BTreeMap<GroupId, Vec<Member>>> {
    // Aggregated on the server: one row for a group, not for a member; and one
    // copy of the text of an id, however many memberships there are.
    let mut rows = sql_query(format!(
        "SELECT m.group_id, array_agg(m.person_id) AS people, \
                array_agg(CASE WHEN m.user_id IS DISTINCT FROM u.user_id THEN m.user_id END) \
                    AS users \
         FROM entra_sync.{table} m \
              LEFT JOIN entra_sync.owned_user u USING (source_id, person_id) \
         WHERE source_id = $1 GROUP BY m.group_id"
    ))
    .bind::<Integer, _>(source.get())
    .load_stream::<MembersRow>(connection)
    .await
    .doing("reading the memberships we own")?;
    let mut members = BTreeMap::new();
    while let Some(row) = rows
        .try_next()
        .await
        .doing("reading the memberships we own")?
    {
        let people = row.people.into_iter().map(PersonId::new).zip(row.users);
        let mut of_group: Vec<Member> = people
            .filter_map(|(person, other)| {
                let user = match other {
                    Some(other) => UserId::new(other),
                    None => known.get(&person)?.user.clone(),
                };
                Some(Member { user, person })
            })
            .collect();
        of_group.sort_unstable();
        members.insert(GroupId::new(row.group_id), of_group);
    }
    Ok(members)
}

#[derive(QueryableByName)]
pub(super) struct DueRow {
    #[diesel(sql_type = Text)]
    team_id: String,
    #[diesel(sql_type = Array<SqlUuid>)]
    people: Vec<Uuid>,
}

impl DueRow {
    pub(super) fn read(self) -> (TeamId, Vec<PersonId>) {
        let people = self.people.into_iter().map(PersonId::new).collect();
        (TeamId::new(self.team_id), people)
    }
}

async fn due_default_teams(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<BTreeMap<TeamId, Vec<PersonId>>> {
    let rows: Vec<DueRow> = sql_query(
        "SELECT team_id, array_agg(person_id ORDER BY person_id) AS people \
         FROM entra_sync.due_default_team WHERE source_id = $1 GROUP BY team_id",
    )
    .bind::<Integer, _>(source.get())
    .load(connection)
    .await
    .doing("reading the default teams that new users wait for")?;
    Ok(rows.into_iter().map(DueRow::read).collect())
}
