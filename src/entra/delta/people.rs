//! What a round told of people, anywhere in the tenant.
//!
//! Invariant: an item that leaves out what must not be guessed is no statement
//! about the person: absent is not null, and null is not false (traps 9, 10).

use std::collections::{BTreeMap, HashMap};

use super::page::Onward;
use super::round::Gather;
use crate::config::AttributeNames;
use crate::entra::attributes::resolve;
use crate::entra::fault::Defect;
use crate::entra::wire_person::{WirePerson, people_changes};
use crate::model::directory::Attributes;
use crate::model::ids::PersonId;
use crate::model::known::PersonNews;

/// Gathers pages of `users/delta`.
pub(super) struct People<'n> {
    pub(super) names: &'n AttributeNames,
}

/// What was told of somebody so far.
#[derive(Default)]
pub(super) struct Told {
    is_deleted: bool,
    /// What the last plain item showed.
    shown: Option<Shown>,
}

enum Shown {
    Whole(Attributes),
    Part,
}

impl Gather for People<'_> {
    type Crop = HashMap<PersonId, Told>;

    fn page(&self, told: &mut Self::Crop, body: &[u8]) -> Result<Onward, Defect> {
        let page = people_changes(body, self.names)?;
        let onward = Onward::read(page.next_link, page.delta_link)?;
        let people: Vec<(PersonId, &WirePerson<'_>)> = page
            .items
            .iter()
            .map(|item| {
                let id = item.id.as_deref().and_then(|text| text.parse().ok());
                id.map(|id| (id, item)).ok_or(Defect::Missing("id"))
            })
            .collect::<Result<_, _>>()?;
        for (id, item) in people {
            let told = told.entry(id).or_default();
            if item.is_removed {
                told.is_deleted = true;
            } else {
                told.shown = Some(shown(id, item));
            }
        }
        Ok(onward)
    }
}

fn shown(id: PersonId, item: &WirePerson<'_>) -> Shown {
    let is_whole = item.account_enabled.is_some() && item.shows_a_name;
    match resolve(id, item) {
        attributes @ Attributes::Known(_) if is_whole => Shown::Whole(attributes),
        Attributes::Known(_) | Attributes::Unknown => Shown::Part,
    }
}

/// The last word on each. Deleted and there in one round is none: which came
/// last is not proven by the order of items.
pub(super) fn last_words(told: HashMap<PersonId, Told>) -> BTreeMap<PersonId, PersonNews> {
    told.into_iter()
        .map(|(id, told)| {
            let news = match (told.is_deleted, told.shown) {
                (true, None) => PersonNews::Deleted,
                (false, Some(Shown::Whole(attributes))) => PersonNews::Now(attributes),
                (false, Some(Shown::Part) | None) | (true, Some(_)) => PersonNews::Unclear,
            };
            (id, news)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::directory::Account;

    fn id(number: u32) -> PersonId {
        format!("b0000000-0000-0000-0000-{number:012}")
            .parse()
            .unwrap()
    }

    fn told(pages: &[&[Value]]) -> BTreeMap<PersonId, PersonNews> {
        let names = AttributeNames::default();
        let mut crop = HashMap::new();
        for items in pages {
            let page = json!({ "value": items, "@odata.deltaLink": "x" }).to_string();
            let onward = People { names: &names }.page(&mut crop, page.as_bytes());
            assert_eq!(onward, Ok(Onward::Round("x".into())));
        }
        last_words(crop)
    }

    fn anna() -> Value {
        json!({
            "id": id(1).to_string(),
            "userPrincipalName": "anna@x",
            "displayName": "Anna",
            "accountEnabled": false,
        })
    }

    fn gone() -> Value {
        json!({ "id": id(1).to_string(), "@removed": { "reason": "changed" } })
    }

    fn without(key: &str) -> Value {
        let mut anna = anna();
        anna.as_object_mut().unwrap().remove(key);
        anna
    }

    fn with(key: &str, value: Value) -> Value {
        let mut anna = anna();
        anna[key] = value;
        anna
    }

    #[test]
    fn a_whole_item_is_the_person() {
        let news = told(&[&[anna()]]);
        let PersonNews::Now(Attributes::Known(shown)) = &news[&id(1)] else {
            panic!("{news:?}");
        };
        assert_eq!(shown.account, Account::Disabled);
        assert_eq!(shown.alias.as_deref(), Some("Anna"));
        // Null is said, and it is a value of a name.
        let news = told(&[&[with("displayName", json!(null))]]);
        assert!(matches!(&news[&id(1)], PersonNews::Now(_)));
    }

    #[test]
    fn an_item_that_leaves_out_what_must_not_be_guessed_is_unclear() {
        for item in [
            without("accountEnabled"),
            with("accountEnabled", json!(null)),
            with("accountEnabled", json!("false")),
            without("userPrincipalName"),
            with("userPrincipalName", json!(null)),
            without("displayName"),
        ] {
            assert_eq!(
                told(&[std::slice::from_ref(&item)])[&id(1)],
                PersonNews::Unclear,
                "{item}"
            );
        }
    }

    #[test]
    fn the_last_item_counts_unless_it_contradicts_a_deletion() {
        let later = told(&[&[without("accountEnabled")], &[], &[anna()]]);
        assert!(matches!(&later[&id(1)], PersonNews::Now(_)));
        let earlier = told(&[&[anna()], &[without("accountEnabled")]]);
        assert_eq!(earlier[&id(1)], PersonNews::Unclear);
        for pages in [
            [anna(), gone()],
            [gone(), anna()],
            [gone(), without("displayName")],
        ] {
            let [one, other] = pages;
            let news = told(&[std::slice::from_ref(&one), &[other, one.clone()]]);
            assert_eq!(news[&id(1)], PersonNews::Unclear);
        }
        assert_eq!(told(&[&[gone(), gone()]])[&id(1)], PersonNews::Deleted);
        assert_eq!(
            told(&[&[anna()], &[anna()]]),
            told(&[&[anna()]]),
            "told again"
        );
    }

    #[test]
    fn a_page_with_an_item_without_id_leaves_no_trace() {
        let names = AttributeNames::default();
        let mut crop = HashMap::new();
        let page = json!({ "value": [anna(), { "displayName": "x" }], "@odata.deltaLink": "x" });
        let refused = People { names: &names }.page(&mut crop, page.to_string().as_bytes());
        assert_eq!(refused, Err(Defect::Missing("id")));
        assert!(crop.is_empty());
    }
}
