//! LiteLLM's rows as far as they concern a reading: read in streams, kept
//! compactly, everything else passed over.
//!
//! Invariant: memory grows with the directory, not with LiteLLM: a user,
//! roster entry or membership of somebody whom neither Entra nor our ledger
//! knows is not kept. All copies of a membership come from one snapshot of the
//! database, so a login in between cannot make them look torn.

mod organizations;
mod roster;
mod teams;
mod users;

use std::collections::{BTreeSet, HashMap, HashSet};

use diesel::QueryableByName;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::capabilities::Capabilities;
use super::error::Result;
use super::users::COUNT_BILLABLE;
use crate::db::QueryContext;
use crate::model::directory::{Attributes, Directory};
use crate::model::ids::{GroupId, OrganizationId, PersonId, TeamId, UserId};
use crate::model::ledger::{Member, Owned};
use crate::model::policy::Policy;
use crate::model::target::Target;

/// Which of LiteLLM's rows matter.
#[derive(Debug, Default)]
pub struct Interest {
    /// Looked for in `user_id` and `sso_user_id`.
    subjects: HashSet<String>,
    /// Looked for in `lower(user_email)`.
    emails: HashSet<Box<str>>,
    /// Looked for in LiteLLM's verified subjects.
    people: HashSet<PersonId>,
    teams: BTreeSet<TeamId>,
    organizations: BTreeSet<OrganizationId>,
}

impl Interest {
    /// Everything that a plan for this reading may ask about.
    #[must_use]
    pub fn of(directory: &Directory, owned: &Owned, policy: &Policy) -> Self {
        let mut interest = Self::default();
        for (person, read) in &directory.people {
            interest.people.insert(*person);
            match &read.attributes {
                Attributes::Known(attributes) => {
                    interest.subjects.insert(attributes.subject.to_string());
                    interest.emails.extend(attributes.email.clone());
                }
                Attributes::Unknown => {
                    interest.subjects.insert(person.to_string());
                }
            }
        }
        // Earlier rows of people too: they may still be able to log in as them,
        // and what they were given is still ours.
        let known = owned.rows().map(|(_, user)| user.user.to_string());
        interest.subjects.extend(known);
        let lists = owned.team_members.values();
        let members = lists.chain(owned.organization_members.values()).flatten();
        let stands_for = |member: &&Member| {
            let known = owned.people.get(&member.person);
            known.is_some_and(|known| known.user == member.user)
        };
        let earlier = members.filter(|member| !stands_for(member));
        interest
            .subjects
            .extend(earlier.map(|member| member.user.to_string()));
        let groups = || {
            // An organization outlives the team of its group.
            let lists = [&owned.team_members, &owned.organization_members];
            let members = lists.into_iter().flat_map(|list| list.keys());
            let ours = owned.teams.keys().chain(members);
            directory.groups.keys().chain(ours)
        };
        interest
            .teams
            .extend(groups().map(|group| TeamId::of(*group)));
        let default_teams = policy.user_defaults.teams.iter();
        interest
            .teams
            .extend(default_teams.map(|team| team.team.clone()));
        interest
            .organizations
            .extend(groups().map(|group| OrganizationId::of(*group)));
        interest
            .organizations
            .extend(policy.team_defaults.organization.clone());
        interest
    }
}

impl Interest {
    /// These users, and the teams and organizations of these groups.
    #[must_use]
    pub fn in_these(
        users: impl IntoIterator<Item = UserId>,
        groups: impl IntoIterator<Item = GroupId>,
    ) -> Self {
        let mut interest = Self::default();
        for group in groups {
            interest.teams.insert(TeamId::of(group));
            interest.organizations.insert(OrganizationId::of(group));
        }
        interest
            .subjects
            .extend(users.into_iter().map(|user| user.to_string()));
        interest
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Reads the rows in one snapshot. The transaction must be fresh: this sets its
/// isolation.
///
/// # Errors
/// When the database fails.
pub async fn read(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
    interest: &Interest,
) -> Result<Target> {
    connection
        .batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .doing("beginning the snapshot of LiteLLM's rows")?;
    let verified = verified_subjects(connection, capabilities).await?;
    let mut target = Target {
        users: users::read(connection, interest, &verified).await?,
        ..Target::default()
    };
    // Also of people who were not read: a row as which a stranger has logged
    // in must not be taken for somebody else's.
    target.verified_subjects = verified;
    let users = &target.users;
    target
        .verified_subjects
        .retain(|_, user| users.contains_key(user));
    let teams = teams::read(connection, interest, &target.users).await?;
    target.teams = teams.whole;
    target.broken_teams = teams.broken;
    target.organizations = organizations::read(connection, interest, &target.users).await?;
    let extent = extent(connection).await?;
    target.billable_users = extent.billable_users;
    target.team_count = extent.teams;
    Ok(target)
}

/// How much a licence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Users that take a seat.
    pub billable_users: u64,
    /// Teams.
    pub teams: u64,
}

/// Counts what a licence counts.
///
/// # Errors
/// When the database fails.
pub async fn extent(connection: &mut AsyncPgConnection) -> Result<Extent> {
    Ok(Extent {
        billable_users: count(connection, COUNT_BILLABLE).await?,
        teams: count(
            connection,
            "SELECT count(*) AS count FROM \"LiteLLM_TeamTable\"",
        )
        .await?,
    })
}

async fn count(connection: &mut AsyncPgConnection, sql: &str) -> Result<u64> {
    let row: Count = sql_query(sql)
        .get_result(connection)
        .await
        .doing("counting LiteLLM's rows")?;
    Ok(row.count.unsigned_abs())
}

/// Object ids are unique in all tenants, so the tenant need not be compared;
/// the setting may be a domain name while LiteLLM stores the id.
async fn verified_subjects(
    connection: &mut AsyncPgConnection,
    capabilities: &Capabilities,
) -> Result<HashMap<PersonId, UserId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        oid: String,
        #[diesel(sql_type = Text)]
        user_id: String,
    }
    if !capabilities.has_table("LiteLLM_VerifiedSubject") {
        return Ok(HashMap::new());
    }
    let rows: Vec<Row> =
        sql_query("SELECT oid, user_id FROM \"LiteLLM_VerifiedSubject\" WHERE user_id IS NOT NULL")
            .load(connection)
            .await
            .doing("reading LiteLLM's verified subjects")?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let person: PersonId = row.oid.to_lowercase().parse().ok()?;
            Some((person, UserId::new(row.user_id)))
        })
        .collect())
}

/// Ids as a bind for `= ANY($n)`.
fn any<'a, T>(ids: impl IntoIterator<Item = &'a T>, text: fn(&T) -> &str) -> Vec<&'a str>
where
    T: 'a,
{
    ids.into_iter().map(text).collect()
}

type TextArray = Array<Text>;
