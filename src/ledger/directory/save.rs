//! A full reading becomes what is known.
//!
//! Invariant: only differences are written. What the reading does not say is
//! kept as it was: memberships of groups that it could not read.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::sql_query;
use diesel::sql_types::Integer;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures::TryStreamExt;
use uuid::Uuid;

use super::groups::StoredGroup;
use super::people::{Row, SELECT};
use super::writing::{Batch, drop_people, trim_people};
use super::{Stamp, groups, head, links, outline};
use crate::db::QueryContext;
use crate::ledger::error::Result;
use crate::model::directory::{Attributes, Directory, Group};
use crate::model::ids::{GroupId, PersonId, SourceId};
use crate::model::known::{Bearers, KnownGroup, Presence, Trust};
use crate::model::links::Links;

/// How many people's rows a reading changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// New or different.
    pub written: usize,
    /// In no list any more.
    pub dropped: usize,
}

/// Makes what is known what this reading shows, without memberships of groups
/// that it could not read: of those the last known stay. Everything is open
/// afterwards: no pass has settled it.
///
/// Somebody who was deleted, and whom this reading does not show, is dropped.
///
/// # Errors
/// When the database fails or a newer version wrote the ledger.
pub async fn save_whole(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    directory: &Directory,
    stamp: Stamp,
    links: Option<&Links>,
) -> Result<Saved> {
    let people_link = links.map(|links| &links.people);
    head::stamp(connection, source, &stamp, &directory.roles, people_link).await?;
    let buckets = links.map(|links| &links.groups);
    links::save(connection, source, buckets.unwrap_or(&BTreeMap::new())).await?;

    let stored = groups::load(connection, source).await?;
    let known = directory.groups.iter();
    let known: BTreeMap<GroupId, KnownGroup> = known
        .map(|(id, group)| (*id, as_known(group, stored.get(id))))
        .collect();
    let assignments = directory.assignments.get();
    let numbers = outline::save(connection, source, assignments, &stored, &known).await?;
    outline::save_unread_people(connection, source, &directory.unread_people).await?;

    let unread: HashSet<i32> = directory
        .groups
        .iter()
        .filter(|(_, group)| group.members.is_err())
        .filter_map(|(id, _)| numbers.get(id).copied())
        .collect();
    let lists = Lists::of(directory, &numbers);
    let differences = compare(connection, source, directory, &lists, &unread).await?;
    write(connection, source, directory, &lists, &differences).await?;
    let mut still: Vec<i32> = unread.into_iter().collect();
    still.sort_unstable();
    trim_people(connection, source, &differences.trimmed, &still).await?;
    drop_people(connection, source, &differences.dropped).await?;
    let written = differences.same.iter().filter(|same| !**same).count();
    Ok(Saved {
        written: written + differences.trimmed.len(),
        dropped: differences.dropped.len(),
    })
}

fn as_known(group: &Group, stored: Option<&StoredGroup>) -> KnownGroup {
    let stored = stored.map(|stored| &stored.group);
    let read = |headcount, bearers, trust| KnownGroup {
        display_name: group.display_name.clone(),
        unread: group.members.as_ref().err().cloned(),
        headcount,
        other_members: group.other_members,
        bearers,
        trust,
    };
    let bearers = match group.direct_members {
        Some(_) => Bearers::Listed,
        None => Bearers::Members,
    };
    match (&group.members, stored) {
        (Ok(members), _) => read(members.get().len() as u64, bearers, Trust::Sure),
        (Err(_), None) => read(0, bearers, Trust::Sure),
        (Err(_), Some(stored)) => read(stored.headcount, stored.bearers, stored.trust),
    }
}

/// The lists of a reading, person by person instead of group by group.
struct Lists {
    /// Everybody, sorted; a person's place here stands for them below.
    people: Vec<PersonId>,
    /// Place and number of a group, in one word, sorted.
    groups: Vec<u64>,
    /// Likewise, for groups whose roles come by a list of their own.
    bears: Vec<u64>,
}

impl Lists {
    fn of(directory: &Directory, numbers: &BTreeMap<GroupId, i32>) -> Self {
        let mut people: Vec<PersonId> = directory.people.keys().copied().collect();
        loop {
            people.sort_unstable();
            people.dedup();
            let mut lists = Self {
                people,
                groups: Vec::new(),
                bears: Vec::new(),
            };
            let mut strays = Vec::new();
            for (id, group) in &directory.groups {
                let (Ok(members), Some(number)) = (&group.members, numbers.get(id)) else {
                    continue;
                };
                let words = lists.words(members.get(), *number, &mut strays);
                lists.groups.extend(words);
                if let Some(direct) = &group.direct_members {
                    let words = lists.words(direct.get(), *number, &mut strays);
                    lists.bears.extend(words);
                }
            }
            if strays.is_empty() {
                lists.groups.sort_unstable();
                lists.bears.sort_unstable();
                return lists;
            }
            // A member without an object is unheard of, but would be one.
            people = lists.people;
            people.append(&mut strays);
        }
    }

    /// One for each of the members, who are sorted as `people` is: so each is
    /// looked for behind the last one only.
    fn words(&self, members: &[PersonId], number: i32, strays: &mut Vec<PersonId>) -> Vec<u64> {
        let mut from = 0;
        let mut words = Vec::with_capacity(members.len());
        for member in members {
            let rest = self.people.get(from..).unwrap_or_default();
            match rest.binary_search(member) {
                Ok(at) => {
                    from += at;
                    words.push(word(from, number));
                }
                Err(at) => {
                    from += at;
                    strays.push(*member);
                }
            }
        }
        words
    }
}

fn word(place: usize, number: i32) -> u64 {
    (place as u64) << 32 | u64::from(number.unsigned_abs())
}

/// The numbers that go with a place, ascending.
fn numbers_at(words: &[u64], place: usize) -> impl Iterator<Item = i32> + '_ {
    let from = words.partition_point(|other| *other < word(place, 0));
    let words = words.get(from..).unwrap_or_default().iter();
    words
        .take_while(move |word| *word >> 32 == place as u64)
        .map(|word| i32::try_from(word & u64::from(u32::MAX)).unwrap_or(i32::MAX))
}

/// What a reading changes of what is stored.
struct Differences {
    /// By place: whether what is stored is what was read.
    same: Vec<bool>,
    /// By place: numbers that stay although they were not read.
    kept: HashMap<usize, (Vec<i32>, Vec<i32>)>,
    /// Who stays for groups alone that were not read, but not in others.
    trimmed: Vec<Uuid>,
    dropped: Vec<Uuid>,
}

async fn compare(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    directory: &Directory,
    lists: &Lists,
    unread: &HashSet<i32>,
) -> Result<Differences> {
    let mut differences = Differences {
        same: vec![false; lists.people.len()],
        kept: HashMap::new(),
        trimmed: Vec::new(),
        dropped: Vec::new(),
    };
    let doing = "comparing known people with those read";
    let mut rows = sql_query(SELECT)
        .bind::<Integer, _>(source.get())
        .load_stream::<Row>(connection)
        .await
        .doing(doing)?;
    while let Some(row) = rows.try_next().await.doing(doing)? {
        let groups = still(&row.groups, unread);
        let bears = still(&row.bears, unread);
        match lists.people.binary_search(&row.person()) {
            Ok(at) => {
                let same = !row.deleted
                    && row.shows(attributes(directory, row.person()))
                    && with(numbers_at(&lists.groups, at), &groups).eq(row.groups.iter().copied())
                    && with(numbers_at(&lists.bears, at), &bears).eq(row.bears.iter().copied());
                if let Some(place) = differences.same.get_mut(at) {
                    *place = same;
                }
                let stays = !groups.is_empty() || !bears.is_empty();
                if !same && stays {
                    differences.kept.insert(at, (groups, bears));
                }
            }
            Err(_) if row.deleted || groups.is_empty() => differences.dropped.push(row.person_id),
            Err(_) if groups != row.groups || bears != row.bears => {
                differences.trimmed.push(row.person_id);
            }
            Err(_) => {}
        }
    }
    Ok(differences)
}

/// Those of the numbers that no reading has spoken about.
fn still(numbers: &[i32], unread: &HashSet<i32>) -> Vec<i32> {
    if unread.is_empty() {
        return Vec::new();
    }
    let numbers = numbers.iter().copied();
    numbers.filter(|number| unread.contains(number)).collect()
}

/// What was read, and what was kept, in ascending order; both are.
fn with<'a>(
    read: impl Iterator<Item = i32> + 'a,
    kept: &'a [i32],
) -> impl Iterator<Item = i32> + 'a {
    let (mut read, mut kept) = (read.peekable(), kept.iter().copied().peekable());
    std::iter::from_fn(move || match (read.peek(), kept.peek()) {
        (Some(a), Some(b)) if b < a => kept.next(),
        (Some(_), _) => read.next(),
        (None, _) => kept.next(),
    })
}

fn attributes(directory: &Directory, person: PersonId) -> &Attributes {
    match directory.people.get(&person) {
        Some(person) => &person.attributes,
        None => &Attributes::Unknown,
    }
}

async fn write(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    directory: &Directory,
    lists: &Lists,
    differences: &Differences,
) -> Result<()> {
    let mut batch = Batch::default();
    let different = differences.same.iter().enumerate();
    for (at, _) in different.filter(|(_, same)| !**same) {
        let Some(person) = lists.people.get(at) else {
            continue;
        };
        let nothing = (Vec::new(), Vec::new());
        let (groups, bears) = differences.kept.get(&at).unwrap_or(&nothing);
        batch.add(
            (*person, Presence::Here),
            attributes(directory, *person),
            with(numbers_at(&lists.groups, at), groups),
            with(numbers_at(&lists.bears, at), bears),
        );
        if batch.is_full() {
            batch.write(connection, source).await?;
        }
    }
    batch.write(connection, source).await
}
