//! A directory object that may be a person, read without a tree of values.
//!
//! Which properties are read depends on the settings, so the items are visited
//! by hand: a page of 999 people borrows its strings from the body and is
//! dropped as soon as the new ones were kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::fault::Defect;
use crate::config::AttributeNames;

/// Far more than Graph puts on a page; an item in memory is seventy times as
/// large as the shortest one on the wire.
const MOST_ITEMS: usize = 50_000;

/// One item of a member list, or the object of a person.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct WirePerson<'a> {
    /// `@odata.type`, absent when a person was asked for by id.
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) principal_name: Option<Cow<'a, str>>,
    pub(super) mail: Option<Cow<'a, str>>,
    pub(super) account_enabled: Option<bool>,
    /// The properties that the settings name.
    pub(super) subject: Option<Cow<'a, str>>,
    pub(super) email: Option<Cow<'a, str>>,
    pub(super) display_name: Option<Cow<'a, str>>,
    pub(super) first_name: Option<Cow<'a, str>>,
    pub(super) last_name: Option<Cow<'a, str>>,
    /// Whether there is a `displayName`, be it null.
    pub(super) shows_a_name: bool,
    /// Whether there is an `@removed`: of a delta query, and not even an object
    /// any more.
    pub(super) is_removed: bool,
}

/// A page of directory objects.
#[derive(Default)]
pub(super) struct PeoplePage<'a> {
    pub(super) items: Vec<WirePerson<'a>>,
    pub(super) next_link: Option<String>,
    /// `@odata.deltaLink`, at the end of a delta query's round.
    pub(super) delta_link: Option<String>,
}

/// Reads a page of directory objects and the link to the next one.
pub(super) fn people_page<'a>(
    body: &'a [u8],
    names: &AttributeNames,
) -> Result<(Vec<WirePerson<'a>>, Option<String>), Defect> {
    people_changes(body, names).map(|page| (page.items, page.next_link))
}

/// Reads a page of a delta query for people, with both its links.
pub(super) fn people_changes<'a>(
    body: &'a [u8],
    names: &AttributeNames,
) -> Result<PeoplePage<'a>, Defect> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let page = PageSeed(names).deserialize(&mut json)?;
    json.end()?;
    if page.error {
        return Err(Defect::ErrorInside {
            code: "none".to_owned(),
        });
    }
    match page.value {
        Some(items) => Ok(PeoplePage {
            items,
            next_link: page.next_link,
            delta_link: page.delta_link,
        }),
        None => Err(Defect::Missing("value")),
    }
}

/// Reads one person's object.
pub(super) fn one_person<'a>(
    body: &'a [u8],
    names: &AttributeNames,
) -> Result<WirePerson<'a>, Defect> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let person = PersonSeed(names).deserialize(&mut json)?;
    json.end()?;
    Ok(person)
}

#[derive(Default)]
struct WirePage<'a> {
    value: Option<Vec<WirePerson<'a>>>,
    next_link: Option<String>,
    delta_link: Option<String>,
    error: bool,
}

#[derive(Clone, Copy)]
struct PageSeed<'n>(&'n AttributeNames);

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = WirePage<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = WirePage<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of directory objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut page = WirePage::default();
        while let Some(key) = map.next_key_seed(ScalarSeed)? {
            match key.text().as_deref() {
                // Of two lists or links nobody knows which one is meant.
                Some("value") if page.value.is_some() => return Err(twice()),
                Some("@odata.nextLink") if page.next_link.is_some() => return Err(twice()),
                Some("@odata.deltaLink") if page.delta_link.is_some() => return Err(twice()),
                Some("value") => page.value = Some(map.next_value_seed(ItemsSeed(self.0))?),
                Some("@odata.nextLink") => page.next_link = map.next_value()?,
                Some("@odata.deltaLink") => page.delta_link = map.next_value()?,
                Some("error") => page.error |= map.next_value::<Option<IgnoredAny>>()?.is_some(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(page)
    }
}

struct ItemsSeed<'n>(&'n AttributeNames);

impl<'de> DeserializeSeed<'de> for ItemsSeed<'_> {
    type Value = Vec<WirePerson<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed<'_> {
    type Value = Vec<WirePerson<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of directory objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut people = Vec::new();
        while let Some(person) = items.next_element_seed(PersonSeed(self.0))? {
            if people.len() >= MOST_ITEMS {
                return Err(A::Error::custom("more items than any page has"));
            }
            people.push(person);
        }
        Ok(people)
    }
}

#[derive(Clone, Copy)]
struct PersonSeed<'n>(&'n AttributeNames);

impl<'de> DeserializeSeed<'de> for PersonSeed<'_> {
    type Value = WirePerson<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PersonSeed<'_> {
    type Value = WirePerson<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a directory object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let names = self.0;
        let mut person = WirePerson::default();
        while let Some(key) = map.next_key_seed(ScalarSeed)? {
            let Some(key) = key.text() else {
                return Err(A::Error::custom("a key that is no string"));
            };
            let is_known = match key.as_ref() {
                "accountEnabled" => person.account_enabled.is_some(),
                "@odata.type" => person.kind.is_some(),
                "id" => person.id.is_some(),
                _ => false,
            };
            if is_known {
                return Err(twice());
            }
            let value = map.next_value_seed(ScalarSeed)?;
            match key.as_ref() {
                "accountEnabled" => person.account_enabled = value.flag(),
                "displayName" => person.shows_a_name = true,
                // Whatever it says: the reason is no matter here.
                "@removed" => person.is_removed = true,
                _ => {}
            }
            let text = value.text();
            match key.as_ref() {
                "@odata.type" => person.kind = text.clone(),
                "id" => person.id = text.clone(),
                "userPrincipalName" => person.principal_name = text.clone(),
                "mail" => person.mail = text.clone(),
                _ => {}
            }
            // One property may serve several purposes.
            for (name, target) in [
                (&names.id, &mut person.subject),
                (&names.email, &mut person.email),
                (&names.display_name, &mut person.display_name),
                (&names.first_name, &mut person.first_name),
                (&names.last_name, &mut person.last_name),
            ] {
                if *name == key {
                    target.clone_from(&text);
                }
            }
        }
        Ok(person)
    }
}

fn twice<E: serde::de::Error>() -> E {
    E::custom("a property that is there twice")
}

/// A value, if it is a plain one.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Flag(bool),
    /// Null, or something with parts, of which nothing is read.
    Other,
}

impl<'a> Scalar<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Flag(_) | Self::Other => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Text(_) | Self::Other => None,
        }
    }
}

struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Flag(flag))
    }

    // Numbers as Graph writes some extension attributes.
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}
