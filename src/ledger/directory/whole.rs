//! The whole directory out of the ledger, as a full reading would have given it.

use std::collections::{HashMap, HashSet};

use diesel::sql_query;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;

use super::groups::StoredGroup;
use super::people::{Row, SELECT};
use super::{groups, head, outline};
use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::complete::{Complete, Recorded};
use crate::model::directory::{
    Assignment, Directory, Group, Person, Principal, ReadingCost, Unread,
};
use crate::model::ids::{PersonId, SourceId};
use crate::model::known::Bearers;

/// More members than this are made room for as they come: a number in a table
/// is no reason to take all memory.
const ROOM: u64 = 1 << 20;

/// The directory as it is known; `None` when none is. People who were deleted
/// are not in it. A group that has to be read again is unread.
///
/// # Errors
/// When the database fails or a newer version wrote the ledger.
pub async fn whole(
    connection: &mut AsyncPgConnection,
    source: SourceId,
) -> Result<Option<Directory>> {
    let Some(roles) = head::roles(connection, source).await? else {
        return Ok(None);
    };
    let assignments: Vec<Assignment> = outline::assignments(connection, source)
        .await?
        .into_iter()
        .collect();
    let stored = groups::load(connection, source).await?;
    let direct: HashSet<PersonId> = assignments
        .iter()
        .filter_map(|row| match row.principal {
            Principal::Person(person) => Some(person),
            Principal::Group(_) => None,
        })
        .collect();
    let mut lists: HashMap<i32, Lists> = stored
        .values()
        .filter(|stored| stored.group.doubt().is_none())
        .map(|stored| (stored.number, Lists::for_group(stored)))
        .collect();

    let reasons = outline::unread_people(connection, source).await?;
    let mut people = HashMap::new();
    let doing = "reading the known directory";
    let mut rows = sql_query(SELECT)
        .bind::<Integer, _>(source.get())
        .load_stream::<Row>(connection)
        .await
        .doing(doing)?;
    while let Some(row) = rows.try_next().await.doing(doing)? {
        if row.deleted {
            continue;
        }
        let person = row.person();
        let mut is_shown = direct.contains(&person) && !reasons.contains_key(&person);
        for number in &row.groups {
            if let Some(lists) = lists.get_mut(number) {
                lists.members.push(person);
                is_shown = true;
            }
        }
        for number in &row.bears {
            if let Some(lists) = lists.get_mut(number) {
                lists.bears.push(person);
                is_shown = true;
            }
        }
        if is_shown {
            let attributes = row.attributes();
            people.insert(person, Person { attributes });
        }
    }
    drop(rows);
    people.shrink_to_fit();

    let unread_people = direct
        .into_iter()
        .filter(|person| !people.contains_key(person))
        // Assigned, and not there: that is what a reading would have found.
        .map(|person| {
            let reason = reasons.get(&person).cloned();
            (person, reason.unwrap_or(Unread::NotFound))
        })
        .collect();
    let groups = stored
        .into_iter()
        .map(|(id, stored)| {
            let lists = lists.remove(&stored.number);
            (id, as_read(stored, lists.unwrap_or_default()))
        })
        .collect();
    Ok(Some(Directory {
        roles,
        assignments: Complete::recorded(assignments, Recorded::whole()),
        groups,
        people,
        unread_people,
        cost: ReadingCost::default(),
    }))
}

/// Who is in a group, as rows come.
#[derive(Default)]
struct Lists {
    members: Vec<PersonId>,
    bears: Vec<PersonId>,
}

impl Lists {
    fn for_group(stored: &StoredGroup) -> Self {
        let room = stored.group.headcount.min(ROOM);
        Self {
            members: Vec::with_capacity(usize::try_from(room).unwrap_or_default()),
            bears: Vec::new(),
        }
    }
}

fn as_read(stored: StoredGroup, lists: Lists) -> Group {
    let seal = |mut people: Vec<PersonId>| {
        people.sort_unstable();
        people.shrink_to_fit();
        Complete::recorded(people, Recorded::whole())
    };
    let unread = stored.group.doubt();
    let direct_members = match (&unread, stored.group.bearers) {
        (None, Bearers::Listed) => Some(seal(lists.bears)),
        _ => None,
    };
    Group {
        display_name: stored.group.display_name,
        members: match unread {
            None => Ok(seal(lists.members)),
            Some(reason) => Err(reason),
        },
        direct_members,
        other_members: stored.group.other_members,
    }
}
