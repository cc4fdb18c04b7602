//! Everyone seen in one reading, each kept once; and the people who have to
//! be asked for by id, because they are assigned without being a member.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};

use super::attributes::resolve;
use super::call::Call;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::wire_person::{WirePerson, one_person};
use crate::config::AttributeNames;
use crate::model::directory::{Attributes, Person, Unread};
use crate::model::ids::PersonId;

/// The people of a reading. Locked for as long as a page takes to be merged,
/// never while waiting.
#[derive(Default)]
pub(super) struct Register(Mutex<HashMap<PersonId, Person>>);

impl Register {
    /// Keeps those who are new. Who is known already costs nothing, and an
    /// unknown attribute gives way to a known one.
    pub(super) fn note<'p, 'a: 'p>(
        &self,
        people: impl IntoIterator<Item = (PersonId, &'p WirePerson<'a>)>,
    ) {
        let mut known = self.lock();
        for (id, shown) in people {
            let is_settled = known
                .get(&id)
                .is_some_and(|person| matches!(person.attributes, Attributes::Known(_)));
            if !is_settled {
                let attributes = resolve(id, shown);
                known.insert(id, Person { attributes });
            }
        }
    }

    pub(super) fn contains(&self, id: PersonId) -> bool {
        self.lock().contains_key(&id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn into_people(self) -> HashMap<PersonId, Person> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PersonId, Person>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for people one by one and returns those who could not be read.
///
/// # Errors
/// Only what ends the whole reading.
pub(super) async fn read_people(
    questions: Questions<'_>,
    names: &AttributeNames,
    register: &Register,
    people: Vec<PersonId>,
) -> Result<BTreeMap<PersonId, Unread>, Error> {
    stream::iter(people)
        .map(|id| async move {
            let url = questions.client().person(id);
            let answer = questions
                .ask(Call::Person, &url, |body| {
                    let shown = one_person(body, names)?;
                    if shown.id.as_deref().and_then(|text| text.parse().ok()) != Some(id) {
                        return Err(Defect::Missing("id"));
                    }
                    register.note([(id, &shown)]);
                    Ok(())
                })
                .await;
            match answer {
                Ok(()) => Ok(None),
                Err(error) => questions.unread(error).map(|unread| Some((id, unread))),
            }
        })
        .buffer_unordered(questions.concurrency())
        .try_filter_map(|unread| async move { Ok(unread) })
        .try_collect()
        .await
}
