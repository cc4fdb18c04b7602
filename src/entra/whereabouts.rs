//! Where people are who seem to be gone.
//!
//! Invariant: nobody is gone because of an answer that lacks them. Deleted is
//! whom the deleted items show; purged is of whom Graph says three times, in
//! its own words, that there is no such object: among the people, among the
//! deleted items, and among the people again. Whatever else comes is unknown,
//! with the remedy.
//!
//! Source: graph-contract 2, 4, 10, traps 6 and 7.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use url::Url;

use super::attributes::resolve;
use super::call::Call;
use super::client::IDS_PER_FILTER;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::paging::Harvest;
use super::wire_person::{WirePerson, one_person, people_page};
use crate::config::AttributeNames;
use crate::model::directory::{Account, Attributes};
use crate::model::evidence::Whereabouts;
use crate::model::ids::PersonId;

/// Looks people up: many at a time first, then each alone whom that did not
/// show. Everyone asked for is in the result.
///
/// # Errors
/// Only what ends a whole reading; other failures make people unknown.
pub(super) async fn whereabouts(
    questions: Questions<'_>,
    names: &AttributeNames,
    people: &[PersonId],
) -> Result<BTreeMap<PersonId, Whereabouts>, Error> {
    let portions: Vec<Vec<PersonId>> = people.chunks(IDS_PER_FILTER).map(<[_]>::to_vec).collect();
    let listed: Vec<Vec<(PersonId, Option<Whereabouts>)>> = stream::iter(portions)
        .map(|portion| portion_of_people(questions, names, portion))
        .buffer_unordered(questions.concurrency())
        .try_collect()
        .await?;
    let mut found = BTreeMap::new();
    let mut sought = Vec::new();
    for (id, settled) in listed.into_iter().flatten() {
        match settled {
            Some(settled) => drop(found.insert(id, settled)),
            None => sought.push(id),
        }
    }
    found.extend(each_alone(questions, names, sought).await?);
    Ok(found)
}

/// `None` for those whom a complete answer lacks: that is a question still.
async fn portion_of_people(
    questions: Questions<'_>,
    names: &AttributeNames,
    portion: Vec<PersonId>,
) -> Result<Vec<(PersonId, Option<Whereabouts>)>, Error> {
    let url = questions.client().accounts(&portion);
    let answer = questions
        .collect(Call::People, &url, &Accounts { names })
        .await;
    let (accounts, failed) = match answer {
        Ok(accounts) => (accounts.get().clone(), None),
        Err(error) => (BTreeMap::new(), Some(unknown(questions, error)?)),
    };
    Ok(portion
        .into_iter()
        .map(|id| match accounts.get(&id) {
            Some(account) => (id, Some(Whereabouts::Present(*account))),
            None => (id, failed.clone()),
        })
        .collect())
}

/// Each is asked for three times, in this order.
async fn each_alone(
    questions: Questions<'_>,
    names: &AttributeNames,
    people: Vec<PersonId>,
) -> Result<BTreeMap<PersonId, Whereabouts>, Error> {
    let mut found = BTreeMap::new();
    let absent = present(questions, names, people, &mut found).await?;
    let absent = deleted(questions, names, absent, &mut found).await?;
    // Once more, because whoever was restored between the two answers is in
    // neither of them.
    let absent = present(questions, names, absent, &mut found).await?;
    found.extend(absent.into_iter().map(|id| (id, Whereabouts::Purged)));
    Ok(found)
}

/// Looks among the people; returns those of whom Graph says that they are not
/// there.
async fn present(
    questions: Questions<'_>,
    names: &AttributeNames,
    people: Vec<PersonId>,
    found: &mut BTreeMap<PersonId, Whereabouts>,
) -> Result<Vec<PersonId>, Error> {
    let client = questions.client();
    let asked = people.into_iter().map(|id| (id, client.account(id)));
    let there = Whereabouts::Present;
    objects(
        questions,
        names,
        Call::Person,
        asked.collect(),
        there,
        found,
    )
    .await
}

/// Looks among the deleted items in the same way.
async fn deleted(
    questions: Questions<'_>,
    names: &AttributeNames,
    people: Vec<PersonId>,
    found: &mut BTreeMap<PersonId, Whereabouts>,
) -> Result<Vec<PersonId>, Error> {
    let client = questions.client();
    let asked = people.into_iter().map(|id| (id, client.deleted_item(id)));
    let there = |_| Whereabouts::SoftDeleted;
    objects(
        questions,
        names,
        Call::DeletedItem,
        asked.collect(),
        there,
        found,
    )
    .await
}

/// The objects with these ids; their types need no look, as ids are never
/// shared.
async fn objects(
    questions: Questions<'_>,
    names: &AttributeNames,
    call: Call,
    asked: Vec<(PersonId, Url)>,
    there: impl Fn(Account) -> Whereabouts + Sync,
    found: &mut BTreeMap<PersonId, Whereabouts>,
) -> Result<Vec<PersonId>, Error> {
    let answers = questions.ask_each(
        call,
        asked,
        |id, body| match account(&one_person(body, names)?)? {
            (shown, account) if shown == id => Ok(account),
            _ => Err(Defect::Missing("id")),
        },
        |id, answer| match answer {
            Ok(account) => Ok((id, Some(there(account)))),
            Err(error) if error.states_absence() => Ok((id, None)),
            Err(error) => Ok((id, Some(unknown(questions, error)?))),
        },
    );
    let mut absent = Vec::new();
    for (id, settled) in answers.await? {
        match settled {
            Some(settled) => drop(found.insert(id, settled)),
            None => absent.push(id),
        }
    }
    Ok(absent)
}

/// What a failed look-up says about the person: nothing, and why.
fn unknown(questions: Questions<'_>, error: Error) -> Result<Whereabouts, Error> {
    Ok(stays(&match questions.of_one_object(error)? {
        // Of a collection, or not in Graph's words: no object is meant.
        Error::NotFound { call, code, trace } => Error::Refused {
            call,
            status: 404,
            code,
            trace,
        },
        other => other,
    }))
}

/// Somebody whose look-up failed.
pub(super) fn stays(error: &Error) -> Whereabouts {
    Whereabouts::Unknown(format!("could not be looked up, and stays: {error}"))
}

/// The people of `/users`, each with the state of the account.
struct Accounts<'n> {
    names: &'n AttributeNames,
}

impl Harvest for Accounts<'_> {
    type Crop = BTreeMap<PersonId, Account>;

    fn page(&self, found: &mut Self::Crop, body: &[u8]) -> Result<Option<String>, Defect> {
        let (items, next) = people_page(body, self.names)?;
        let accounts: Vec<(PersonId, Account)> =
            items.iter().map(account).collect::<Result<_, _>>()?;
        found.extend(accounts);
        Ok(next)
    }
}

/// Only a person whose attributes are shown can be seen to be disabled.
fn account(shown: &WirePerson<'_>) -> Result<(PersonId, Account), Defect> {
    let id = shown.id.as_deref().and_then(|text| text.parse().ok());
    let id = id.ok_or(Defect::Missing("id"))?;
    let account = match resolve(id, shown) {
        Attributes::Known(attributes) => attributes.account,
        Attributes::Unknown => Account::Enabled,
    };
    Ok((id, account))
}
