//! The objects of the assigned groups: name and visibility, 15 at a time.
//!
//! Source: graph-contract 4 (`id in (…)` takes 15 values). A group that the
//! answer leaves out is deleted or not yet replicated.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use super::call::Call;
use super::client::IDS_PER_FILTER;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use super::paging::Harvest;
use super::wire::{WireGroup, page};
use crate::model::directory::Unread;
use crate::model::ids::GroupId;

/// What a group says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupObject {
    pub(super) display_name: Option<String>,
    pub(super) visibility: Visibility,
}

/// Whether a group hides its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visibility {
    /// `HiddenMembership`.
    Hidden,
    /// Anything else.
    Shown,
}

/// Reads the objects of these groups.
///
/// # Errors
/// Only what ends the whole reading; other failures are the groups' own.
pub(super) async fn group_objects(
    questions: Questions<'_>,
    ids: &[GroupId],
) -> Result<BTreeMap<GroupId, Result<GroupObject, Unread>>, Error> {
    let portions: Vec<Vec<GroupId>> = ids.chunks(IDS_PER_FILTER).map(<[_]>::to_vec).collect();
    stream::iter(portions)
        .map(|ids| async move {
            let url = questions.client().groups(&ids);
            let answer = questions.collect(Call::Groups, &url, &Groups).await;
            let failed = match &answer {
                Ok(_) => Unread::NotFound,
                Err(error) => questions.unread(error.clone())?,
            };
            let mut found = match answer {
                Ok(objects) => objects.get().clone(),
                Err(_) => BTreeMap::new(),
            };
            Ok(ids
                .into_iter()
                .map(|id| (id, found.remove(&id).ok_or_else(|| failed.clone())))
                .collect::<Vec<_>>())
        })
        .buffer_unordered(questions.concurrency())
        .try_fold(BTreeMap::new(), |mut all, portion| async move {
            all.extend(portion);
            Ok(all)
        })
        .await
}

struct Groups;

impl Harvest for Groups {
    type Crop = BTreeMap<GroupId, GroupObject>;

    fn page(&self, found: &mut Self::Crop, body: &[u8]) -> Result<Option<String>, Defect> {
        let (items, next) = page::<WireGroup>(body)?;
        let objects = items
            .into_iter()
            .map(|item| {
                let id = item.id.parse().map_err(|_| Defect::Missing("id"))?;
                let is_hidden = item
                    .visibility
                    .is_some_and(|text| text.eq_ignore_ascii_case("HiddenMembership"));
                let object = GroupObject {
                    display_name: item.display_name,
                    visibility: if is_hidden {
                        Visibility::Hidden
                    } else {
                        Visibility::Shown
                    },
                };
                Ok((id, object))
            })
            .collect::<Result<Vec<_>, Defect>>()?;
        found.extend(objects);
        Ok(next)
    }
}
