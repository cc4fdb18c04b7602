//! Links from now on: nothing is told by them but what changes hereafter.
//!
//! Invariant: whoever takes a link first and reads afterwards misses nothing;
//! a change in between is seen twice, which changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use url::Url;

use super::page::{Onward, link_only};
use super::round::{Gather, not_offered};
use crate::entra::call::Call;
use crate::entra::client::Since;
use crate::entra::error::Error;
use crate::entra::fault::Defect;
use crate::entra::line::Questions;
use crate::model::ids::GroupId;
use crate::model::links::{BUCKET_SIZE, Bucket, DeltaLink, Links};

/// Lets the items go by.
struct Nothing;

impl Gather for Nothing {
    type Crop = ();

    fn page(&self, (): &mut (), body: &[u8]) -> Result<Onward, Defect> {
        link_only(body)
    }
}

impl Questions<'_> {
    /// Links for these groups and for everybody.
    ///
    /// # Errors
    /// [`Error::NoDeltaQueries`], else the first that fails: links that do not
    /// cover everything are of no use.
    pub(in crate::entra) async fn links_from_now(
        &self,
        groups: &BTreeSet<GroupId>,
    ) -> Result<Links, Error> {
        let all: Vec<GroupId> = groups.iter().copied().collect();
        let buckets: Vec<(u32, BTreeSet<GroupId>)> = (0..)
            .zip(all.chunks(BUCKET_SIZE))
            .map(|(number, groups)| (number, groups.iter().copied().collect()))
            .collect();
        let taken = stream::iter(buckets)
            .map(|(number, groups)| async move {
                let link = self.groups_from_now(&groups).await?;
                Ok((number, Bucket { groups, link }))
            })
            .buffer_unordered(self.concurrency())
            .try_collect::<BTreeMap<u32, Bucket>>();
        let (groups, people) = futures::try_join!(taken, self.people_from_now())?;
        Ok(Links { groups, people })
    }

    /// A link for the groups of one bucket.
    ///
    /// # Errors
    /// As [`Questions::links_from_now`].
    pub(super) async fn groups_from_now(
        &self,
        groups: &BTreeSet<GroupId>,
    ) -> Result<DeltaLink, Error> {
        let url = |since| self.client().group_changes(groups, since);
        self.taken_now(Call::GroupChanges, url).await
    }

    async fn people_from_now(&self) -> Result<DeltaLink, Error> {
        let url = |since| self.client().people_changes(since);
        self.taken_now(Call::PeopleChanges, url).await
    }

    /// That `latest` goes together with a filter is nowhere documented. Where
    /// it is refused, the first round is read for the link at its end.
    async fn taken_now(
        &self,
        call: Call,
        url: impl Fn(Since) -> Url + Send,
    ) -> Result<DeltaLink, Error> {
        let latest = self.round(call, &url(Since::Now), &Nothing).await;
        let taken = match latest {
            Err(error @ Error::Refused { status: 400, .. }) => {
                tracing::debug!(%error, %call, "no link from now on; reading the first round");
                self.round(call, &url(Since::Ever), &Nothing).await
            }
            other => other,
        };
        taken.map(|((), link)| link).map_err(not_offered)
    }
}
