//! The JSON of delta queries.
//!
//! Invariant: a page leads to the next page or to the next round; one that
//! leads to both, or nowhere, is no page. Must not: take a member without a
//! type for no person, unless it says that it was removed.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::entra::fault::Defect;
use crate::entra::wire::is_object;

/// Where a page leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Onward {
    /// To a further page of the same round.
    Page(String),
    /// To the next round: this was the last page.
    Round(String),
}

impl Onward {
    pub(super) fn read(
        next_link: Option<String>,
        delta_link: Option<String>,
    ) -> Result<Self, Defect> {
        match (next_link, delta_link) {
            (Some(link), None) => Ok(Self::Page(link)),
            (None, Some(link)) => Ok(Self::Round(link)),
            (Some(_), Some(_)) => Err(Defect::TwoLinks),
            (None, None) => Err(Defect::Missing("@odata.deltaLink")),
        }
    }
}

/// A page whose items are none of one's business, or [`GroupItem`]s.
#[derive(Deserialize)]
struct Page<T> {
    value: Option<Vec<T>>,
    #[serde(rename = "@odata.nextLink")]
    next_link: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    delta_link: Option<String>,
    error: Option<IgnoredAny>,
}

/// An item of `groups/delta`. A group may take several of them.
#[derive(Deserialize)]
pub(super) struct GroupItem<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    /// `None` if the item leaves it out, which is not null.
    #[serde(default, rename = "displayName", deserialize_with = "present")]
    pub(super) display_name: Option<Option<String>>,
    pub(super) visibility: Option<String>,
    #[serde(rename = "@removed")]
    pub(super) removed: Option<IgnoredAny>,
    #[serde(borrow, default, rename = "members@delta")]
    pub(super) members: Option<Vec<MemberEntry<'a>>>,
}

/// A member that joined, or left.
#[derive(Deserialize)]
pub(super) struct MemberEntry<'a> {
    #[serde(rename = "@odata.type")]
    pub(super) kind: Option<String>,
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    /// Its reason is `deleted` whether the person lives on or not (trap 5).
    #[serde(rename = "@removed")]
    pub(super) removed: Option<IgnoredAny>,
}

fn present<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(json).map(Some)
}

/// Reads a page of `groups/delta`.
pub(super) fn group_items(body: &[u8]) -> Result<(Vec<GroupItem<'_>>, Onward), Defect> {
    page(body)
}

/// Reads a page for its link only.
pub(super) fn link_only(body: &[u8]) -> Result<Onward, Defect> {
    page::<IgnoredAny>(body).map(|(_, onward)| onward)
}

fn page<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<(Vec<T>, Onward), Defect> {
    is_object(body)?;
    let page: Page<T> = serde_json::from_slice(body)?;
    match (page.error, page.value) {
        (Some(IgnoredAny), _) => Err(Defect::ErrorInside {
            code: "none".to_owned(),
        }),
        (None, None) => Err(Defect::Missing("value")),
        (None, Some(items)) => Ok((items, Onward::read(page.next_link, page.delta_link)?)),
    }
}
