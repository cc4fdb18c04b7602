//! What a round of delta queries came to becomes what is known.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::writing::{Batch, drop_people};
use super::{groups, head, links, outline};
use crate::ledger::error::Result;
use crate::model::ids::{GroupId, PersonId, SourceId};
use crate::model::known::Turn;
use crate::model::links::Links;

/// Saves what changed, adds it to what is open, and saves the links by which it
/// goes on.
///
/// # Errors
/// [`Error::DirectoryUnknown`] when no reading has been recorded, or the
/// database fails.
///
/// [`Error::DirectoryUnknown`]: crate::ledger::Error::DirectoryUnknown
pub async fn save_turn(
    connection: &mut AsyncPgConnection,
    source: SourceId,
    turn: &Turn,
    links: &Links,
    heard_at: DateTime<Utc>,
) -> Result<()> {
    let Turn {
        outline,
        people,
        dropped,
        touched,
    } = turn;
    let heard = (heard_at, &links.people);
    head::advance(connection, source, heard, &outline.roles, touched).await?;
    links::save(connection, source, &links.groups).await?;
    let stored = groups::load(connection, source).await?;
    let assigned = &outline.assignments;
    let numbers = outline::save(connection, source, assigned, &stored, &outline.groups).await?;

    let dropped: Vec<Uuid> = dropped.iter().map(PersonId::as_uuid).collect();
    drop_people(connection, source, &dropped).await?;
    let mut batch = Batch::default();
    // In order: two statements that write the same rows never lock them crosswise.
    for (person, known) in people.iter().collect::<BTreeMap<_, _>>() {
        batch.add(
            (*person, known.presence),
            &known.attributes,
            numbered(&known.groups, &numbers),
            numbered(&known.bears, &numbers),
        );
        if batch.is_full() {
            batch.write(connection, source).await?;
        }
    }
    batch.write(connection, source).await?;
    outline::save_unread_people(connection, source, &outline.unread_people).await
}

/// The numbers of groups, ascending. A group that is not assigned any more has
/// none.
fn numbered(groups: &[GroupId], numbers: &BTreeMap<GroupId, i32>) -> Vec<i32> {
    let groups = groups.iter();
    let mut numbers: Vec<i32> = groups.filter_map(|id| numbers.get(id).copied()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
