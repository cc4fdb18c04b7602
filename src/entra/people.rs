//! Everyone seen in one reading, each kept once; and the people who have to
//! be asked for by id, because they are assigned without being a member.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};

use super::attributes::resolve;
use super::call::Call;
use super::client::IDS_PER_FILTER;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::paging::Harvest;
use super::wire_person::{WirePerson, one_person, people_page};
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

/// Asks for people by id and returns those who could not be read.
///
/// Many at a time first, which costs a fifteenth of the resource units. Whom
/// that does not show is asked for alone, and only what Graph says then counts:
/// an answer that lacks somebody proves nothing.
///
/// # Errors
/// Only what ends the whole reading.
pub(super) async fn read_people(
    questions: Questions<'_>,
    names: &AttributeNames,
    register: &Register,
    people: Vec<PersonId>,
) -> Result<BTreeMap<PersonId, Unread>, Error> {
    let portions: Vec<Vec<PersonId>> = people.chunks(IDS_PER_FILTER).map(<[_]>::to_vec).collect();
    let sought: Vec<(Vec<PersonId>, Option<Unread>)> = stream::iter(portions)
        .map(|portion| portion_of_people(questions, names, register, portion))
        .buffer_unordered(questions.concurrency())
        .try_collect()
        .await?;
    let mut unread = BTreeMap::new();
    let mut alone = Vec::new();
    for (people, failed) in sought {
        let missing = people.into_iter().filter(|id| !register.contains(*id));
        match failed {
            Some(reason) => unread.extend(missing.map(|id| (id, reason.clone()))),
            None => alone.extend(missing.map(|id| (id, questions.client().person(id)))),
        }
    }
    let answers = questions.ask_each(
        Call::Person,
        alone,
        |id, body| {
            let shown = one_person(body, names)?;
            if shown.id.as_deref().and_then(|text| text.parse().ok()) != Some(id) {
                return Err(Defect::Missing("id"));
            }
            register.note([(id, &shown)]);
            Ok(())
        },
        |id, answer| match answer {
            Ok(()) => Ok(None),
            Err(error) => questions.unread(error).map(|unread| Some((id, unread))),
        },
    );
    unread.extend(answers.await?.into_iter().flatten());
    Ok(unread)
}

/// Notes whom a list of these people shows. The reason is there if asking for
/// each would come to the same failure.
async fn portion_of_people(
    questions: Questions<'_>,
    names: &AttributeNames,
    register: &Register,
    portion: Vec<PersonId>,
) -> Result<(Vec<PersonId>, Option<Unread>), Error> {
    if portion.len() == 1 {
        return Ok((portion, None));
    }
    let url = questions.client().people(&portion);
    let listed = Listed {
        names,
        register,
        asked: &portion,
    };
    let failed = match questions.collect(Call::People, &url, &listed).await {
        Ok(_) => None,
        // Whatever else is wrong with the list need not be wrong with each.
        Err(error) => match questions.of_one_object(error)? {
            error if error.is_outage() => Some(Unread::Failed(error.to_string())),
            error => {
                tracing::debug!(error.kind = error.kind(), %error, "people are asked for alone");
                None
            }
        },
    };
    Ok((portion, failed))
}

/// The people of `/users` who were asked for.
struct Listed<'r> {
    names: &'r AttributeNames,
    register: &'r Register,
    asked: &'r [PersonId],
}

impl Harvest for Listed<'_> {
    type Crop = ();

    fn page(&self, (): &mut (), body: &[u8]) -> Result<Option<String>, Defect> {
        let (items, next) = people_page(body, self.names)?;
        let people: Vec<(PersonId, &WirePerson<'_>)> = items
            .iter()
            .filter_map(|item| Some((item.id.as_deref()?.parse().ok()?, item)))
            .filter(|(id, _)| self.asked.contains(id))
            .collect();
        self.register.note(people);
        Ok(next)
    }
}
