//! The whole reading that begins a row of readings by delta queries.
//!
//! Invariant: links before lists. What changes while the lists are read is told
//! by the links, once more perhaps, but not zero times (graph-contract 0.3).
//! Must not: fail for want of links; a whole reading needs none.

use std::collections::BTreeSet;

use super::error::{Error, NoDelta};
use super::line::Questions;
use super::meter::Meter;
use super::progress::Progress;
use super::queue::Priority;
use super::reader::Reader;
use crate::config::Membership;
use crate::model::directory::Directory;
use crate::model::ids::GroupId;
use crate::model::links::Links;
use crate::model::policy::Scope;

/// Everything, and where to go on from.
#[derive(Debug)]
pub struct WholeReading {
    /// What was read.
    pub directory: Directory,
    /// From where [`Reader::news`] tells all that changed since before the
    /// lists were read; `None` if changes cannot be followed.
    pub links: Option<Links>,
}

impl Reader {
    /// Reads everything, as [`Reader::read`] does without a filter, and sees to
    /// it that changes can be followed from there.
    ///
    /// `kept` are links that still hold good as far as anybody knows. If they
    /// follow exactly the groups that are to be followed, they are given back
    /// and nothing is asked. Whoever reads in full because an error
    /// [wants it](Error::wants_full_reading), or because [`Reader::terms`]
    /// changed, must not bring them.
    ///
    /// # Errors
    /// As [`Reader::read`]. That links cannot be had is none of them, unless
    /// everything else must fail in the same way.
    pub async fn read_whole(
        &self,
        kept: Option<&Links>,
        progress: &Progress,
    ) -> Result<WholeReading, Error> {
        progress.restart();
        let meter = Meter::new(progress);
        let questions = Questions::new(&self.line, &meter, Priority::Background);
        let outset = self.outset(questions).await?;
        let groups = self.admitted(outset.assignments.get());
        let links = self.links(questions, kept, &groups).await?;
        let directory = self.read_on(questions, outset, &Scope::default()).await?;
        Ok(WholeReading { directory, links })
    }

    async fn links(
        &self,
        questions: Questions<'_>,
        kept: Option<&Links>,
        groups: &BTreeSet<GroupId>,
    ) -> Result<Option<Links>, Error> {
        if self.settings.membership == Membership::Transitive {
            self.say_once(NoDelta::Transitive);
            return Ok(None);
        }
        // An older link tells more, never less: what this reading shows already
        // is told again, and saying twice who is in a group changes nothing.
        // Where replicas lag, it even tells what this reading has not seen yet.
        if let Some(kept) = kept
            && follows_exactly(kept, groups)
            && questions.admit_all(kept).is_ok()
        {
            return Ok(Some(kept.clone()));
        }
        match questions.links_from_now(groups).await {
            Ok(links) => Ok(Some(links)),
            Err(Error::NoDeltaQueries(why)) => {
                self.say_once(why);
                Ok(None)
            }
            Err(error) => {
                let error = questions.of_one_object(error)?;
                // Of a permission that is missing the lists speak, with its remedy.
                match &error {
                    Error::PermissionMissing { .. } => tracing::debug!(%error, "no links"),
                    error => tracing::warn!(
                        error.kind = error.kind(),
                        %error,
                        "changes cannot be followed from this reading on; the next one is whole again"
                    ),
                }
                Ok(None)
            }
        }
    }

    fn say_once(&self, why: NoDelta) {
        self.said_no_delta.call_once(|| {
            let error = Error::NoDeltaQueries(why);
            tracing::warn!(error.kind = error.kind(), %error, "incremental passes are not possible");
        });
    }
}

/// Whether every group is in exactly one bucket, and no other group in any.
fn follows_exactly(links: &Links, groups: &BTreeSet<GroupId>) -> bool {
    let followed = || links.groups.values().flat_map(|bucket| &bucket.groups);
    followed().count() == groups.len()
        && followed().all(|group| groups.contains(group))
        && followed().collect::<BTreeSet<_>>().len() == groups.len()
}
