//! A collection, from its first page to its last.
//!
//! Invariant: what comes out is whole. Each link is checked before the token
//! goes out, no link is followed twice, and only a page that names no
//! successor seals the collection; everything short of that is an error and
//! what was gathered is thrown away.
//!
//! Source: graph-contract 6. Links are used as they are.

use std::collections::HashSet;

use url::Url;

use super::call::Call;
use super::error::Error;
use super::fault::Defect;
use super::line::Questions;
use crate::model::complete::{Complete, LastPage};

/// What is gathered from the pages of one kind of collection.
pub(super) trait Harvest: Sync {
    /// What the pages come to.
    type Crop: Default + Send;

    /// Takes a whole page in and returns the link to the next one.
    ///
    /// # Errors
    /// What is wrong with the page; the crop is then as it was.
    fn page(&self, crop: &mut Self::Crop, body: &[u8]) -> Result<Option<String>, Defect>;
}

impl Questions<'_> {
    /// Reads all pages.
    ///
    /// # Errors
    /// Any page's, [`Error::ForeignLink`], [`Error::Loop`], and
    /// [`Error::PageTokenLost`] when beginning again did not help.
    pub(super) async fn collect<H: Harvest>(
        &self,
        call: Call,
        first: &Url,
        harvest: &H,
    ) -> Result<Complete<H::Crop>, Error> {
        let mut restarts = 0;
        loop {
            match self.collect_once(call, first, harvest).await {
                Err(error @ Error::PageTokenLost { .. }) if restarts < self.pace().restarts => {
                    restarts += 1;
                    self.meter().retried();
                    tracing::info!(%error, restarts, "reading the collection again from its start");
                }
                other => return other,
            }
        }
    }

    async fn collect_once<H: Harvest>(
        &self,
        call: Call,
        first: &Url,
        harvest: &H,
    ) -> Result<Complete<H::Crop>, Error> {
        let mut crop = H::Crop::default();
        let mut trail = Trail::from(first);
        loop {
            let next = self
                .ask(call, trail.here(), |body| harvest.page(&mut crop, body))
                .await?;
            if let Some(end) = LastPage::seen(next.as_deref()) {
                return Ok(Complete::proven(crop, end));
            }
            trail.go_on(*self, call, &next.unwrap_or_default())?;
        }
    }
}

/// The pages of one collection that were read so far.
pub(super) struct Trail {
    seen: HashSet<Url>,
    here: Url,
}

impl Trail {
    pub(super) fn from(first: &Url) -> Self {
        Self {
            seen: HashSet::new(),
            here: first.clone(),
        }
    }

    /// The page to be read.
    pub(super) const fn here(&self) -> &Url {
        &self.here
    }

    /// Takes the link that this page names, if it may be followed.
    ///
    /// # Errors
    /// [`Error::ForeignLink`] and [`Error::Loop`].
    pub(super) fn go_on(
        &mut self,
        questions: Questions<'_>,
        call: Call,
        link: &str,
    ) -> Result<(), Error> {
        let successor = questions
            .client()
            .endpoint()
            .admit(link)
            .map_err(|fault| Error::ForeignLink { call, fault })?;
        let page = std::mem::replace(&mut self.here, successor);
        self.seen.insert(page);
        if self.seen.contains(&self.here) || self.seen.len() >= questions.pace().page_cap {
            let page = self.seen.len();
            return Err(Error::Loop { call, page });
        }
        Ok(())
    }
}
