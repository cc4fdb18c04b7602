//! Reading in full what a round of delta queries left open.
//!
//! Invariant: a group is read here the way a whole reading does it; what could
//! not be read says why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::error::Error;
use super::line::Questions;
use super::meter::Meter;
use super::people::{Register, read_people};
use super::progress::Progress;
use super::queue::Priority;
use super::reader::{Assigned, Reader, unread_group};
use crate::model::directory::{Group, Person, ReadingCost, Unread};
use crate::model::ids::{GroupId, PersonId};
use crate::model::known::News;

/// Groups and people, read in full.
#[derive(Debug)]
pub struct Fresh {
    /// All groups that were asked for, whether read or not.
    pub groups: BTreeMap<GroupId, Group>,
    /// Everybody in them, and who was asked for and found.
    pub people: HashMap<PersonId, Person>,
    /// Who was asked for and could not be read.
    pub unread_people: BTreeMap<PersonId, Unread>,
    /// What it cost.
    pub cost: ReadingCost,
}

impl Reader {
    /// Reads these groups with their members, and these people. What is carried
    /// through the groups is known from the `news`. `progress` goes on counting.
    ///
    /// # Errors
    /// What ends a whole reading: no token, throttling without end, an outage,
    /// a foreign link.
    pub async fn read_some(
        &self,
        groups: &BTreeSet<GroupId>,
        people: &BTreeSet<PersonId>,
        news: &News,
        progress: &Progress,
    ) -> Result<Fresh, Error> {
        let meter = Meter::new(progress);
        let questions = Questions::new(&self.line, &meter, Priority::Prompt);
        let assigned = Assigned::sort(news.assignments.get(), &news.roles);
        let register = Register::default();
        let (admitted, excluded): (Vec<GroupId>, Vec<GroupId>) = groups
            .iter()
            .partition(|group| self.settings.groups.admits(**group));
        let mut read = self
            .read_groups(questions, &admitted, &assigned, &register)
            .await?;
        let excluded = excluded.into_iter();
        read.extend(excluded.map(|id| (id, unread_group(None, Unread::Excluded))));
        let asked: Vec<PersonId> = people
            .iter()
            .filter(|person| !register.contains(**person))
            .copied()
            .collect();
        let names = &self.settings.attributes;
        let unread_people = read_people(questions, names, &register, asked).await?;
        Ok(Fresh {
            groups: read,
            people: register.into_people(),
            unread_people,
            cost: meter.total(),
        })
    }
}
